"""HealthGAN: do synthetic images help a rare class, by how much, and are they safe to use?"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from healthgan.sampler import GANSampler

__version__ = "0.1.0"
__all__ = ["GANSampler", "__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """``GANSampler``, imported when it is first asked for: ``import healthgan`` loads neither NumPy nor PyTorch."""
    if name == "GANSampler":
        from healthgan.sampler import GANSampler

        return GANSampler
    raise AttributeError(f"module 'healthgan' has no attribute '{name}'")
