"""HealthGAN: do synthetic images help a rare class, by how much, and are they safe to use?

From Python: ``load``, ``study``, ``Study``, ``fit_generator``, ``GANSampler``, ``best_match`` and ``compare``
(docs/python.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthgan.api import fit_generator, load, study
    from healthgan.comparing import compare
    from healthgan.result import Study
    from healthgan.sampler import GANSampler
    from healthgan.ssim import best_match

__version__ = "0.1.0"
__all__ = ["GANSampler", "Study", "__version__", "best_match", "compare", "fit_generator", "load", "study"]

_PLACES = {
    "GANSampler": "sampler",
    "Study": "result",
    "best_match": "ssim",
    "compare": "comparing",
    "fit_generator": "api",
    "load": "api",
    "study": "api",
}
"""Name → the module that it is imported from when it is first asked for (PEP 562): importing healthgan loads neither NumPy
nor PyTorch."""


if not TYPE_CHECKING:  # type checkers know the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'healthgan' has no attribute '{name}'")
        return getattr(import_module(f"healthgan.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
