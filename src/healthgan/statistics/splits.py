"""One training part and one test part of a cross-validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.statistics.readers import Arm


@dataclass(frozen=True)
class Split:
    """One training part and one test part.

    Attributes:
        arms: the same names in the same order in all splits.
        labels: (N,) 0 or 1, of the test part.
        patients: (N,) equal for images of one patient, in all splits.
        training_images: in the training part.
        prevalence: of the rare class in the training part; None where not known.
        validation_labels: (V,) of the images of the arms' ``validation`` scores.
    """

    arms: tuple[Arm, ...]
    labels: NDArray[np.int64]
    patients: NDArray[np.int64]
    training_images: int
    prevalence: float | None = None
    validation_labels: NDArray[np.int64] | None = None
