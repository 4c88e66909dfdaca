"""How a set of generated images compares with a set of real ones."""

from healthgan.fidelity.two_sample import RealOrSynthetic, real_or_synthetic

__all__ = ["RealOrSynthetic", "real_or_synthetic"]
