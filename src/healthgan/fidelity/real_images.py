"""The real images that synthetic ones are measured against: both classes, and whose they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.fidelity.features import Images

CLASSES = ("rare", "reference")

LEAST = 14
"""Images of a class, real or synthetic, below which nothing is measured."""


@dataclass(frozen=True)
class RealImages:
    """Real images of two classes and whose they are.

    Attributes:
        rare: (N, H, W, C) uint8.
        reference: (M, H, W, C) uint8.
        rare_patients: (N,) codes; None where they are not known, and each image counts as of another patient.
        reference_patients: (M,) likewise.
    """

    rare: Images
    reference: Images
    rare_patients: NDArray[np.int64] | None = None
    reference_patients: NDArray[np.int64] | None = None

    def of(self, name: str) -> tuple[Images, NDArray[np.int64]]:
        """Images of ``rare`` or ``reference`` and whose they are, one of its own each where that is not known."""
        images, patients = self.rare if name == "rare" else self.reference, self.known_patients(name)
        return images, np.arange(len(images)) if patients is None else patients

    def known_patients(self, name: str) -> NDArray[np.int64] | None:
        """Whose the images of ``rare`` or ``reference`` are; None where that is not known."""
        return self.rare_patients if name == "rare" else self.reference_patients


def check_enough(training: RealImages, heldout: RealImages, synthetic: dict[str, Images]) -> None:
    """Refuse what fidelity can't be measured on.

    Raises:
        InputError: a class has too few images, or some are of another size than the real rare training images.
    """
    shape = training.rare.shape[1:]
    for kind, least, sets in (
        ("real training", LEAST, {name: training.of(name)[0] for name in CLASSES}),
        ("held-out real", 2, {name: heldout.of(name)[0] for name in CLASSES}),
        ("synthetic", LEAST, synthetic),
    ):
        for name, images in sets.items():
            if len(images) < least:
                raise InputError(
                    f"{len(images)} {kind} images of the {name} class; {least} or more are needed to measure fidelity."
                )
            if images.shape[1:] != shape:
                raise InputError(
                    f"The {kind} images of the {name} class are {images.shape[1:]} (height, width, channels), the real "
                    f"training images {shape}; all must be equal."
                )
