"""How a set of generated images compares with a set of real ones."""

from healthgan.fidelity.real_images import RealImages
from healthgan.fidelity.summary import FidelityReport, fidelity_report
from healthgan.fidelity.two_sample import RealOrSynthetic, real_or_synthetic

__all__ = ["FidelityReport", "RealImages", "RealOrSynthetic", "fidelity_report", "real_or_synthetic"]
