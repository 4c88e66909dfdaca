"""What a generator is: any object with ``fit`` and ``sample``, ours or the user's; what of it can be checked."""

from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError

LABELS = {"reference": 0, "rare": 1}
"""Class numbers of every generator that ``healthgan train`` makes."""


@runtime_checkable
class ImageGenerator(Protocol):
    """Learns from labelled images and makes new ones of a class.

    No base class is needed: an object that has both methods is one. Wrap a model made elsewhere (MONAI,
    medigan, a diffusion model) in a small class of your own.
    """

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Self:
        """Learn.

        Args:
            images: (N, H, W, C) uint8, training images only.
            labels: (N,) int64 class numbers.
        """
        ...

    def sample(self, n: int, label: int, seed: int) -> NDArray[np.uint8]:
        """Make images of one class: (n, H, W, C) uint8, the same for the same seed.

        Another seed gives other images; image i should depend on the seed and on i, not on n.
        """
        ...


def check_generator(generator: object) -> ImageGenerator:
    """The same object, if it has what a generator needs.

    Raises:
        InputError: it has no ``fit`` or no ``sample``, or is a class where an instance is needed.
    """
    missing = [name for name in ("fit", "sample") if not callable(getattr(generator, name, None))]
    if missing or isinstance(generator, type) or not isinstance(generator, ImageGenerator):
        found = f"the class {generator.__name__}" if isinstance(generator, type) else type(generator).__name__
        raise InputError(
            f"The generator is {found}{' without ' + ' and '.join(missing) if missing else ''}; an object with "
            "fit(images, labels) and sample(n, label, seed) is needed."
        )
    return generator


def check_generated(images: object, *, n: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """What ``sample`` returned, if it is what was asked for.

    Args:
        images: what the generator gave, of whatever kind.
        n: how many were asked for.
        shape: (H, W, C) of the images it was trained on.

    Returns:
        (n, H, W, C) uint8.

    Raises:
        InputError: it is not an array, or has another type, shape or count. Nothing is converted, since a
            wrong guess at the range of the values would go unseen.
    """
    remedy = f"sample({n}, label, seed) must return an array ({', '.join(map(str, (n, *shape)))}) of uint8"
    if not isinstance(images, np.ndarray):
        raise InputError(f"The generator gave {type(images).__name__}; {remedy}.")
    if images.dtype != np.uint8:
        raise InputError(f"The generator gave images of {images.dtype}; {remedy}, scaled to 0…255.")
    if images.shape != (n, *shape):
        raise InputError(f"The generator gave shape {images.shape}; {remedy}.")
    return images


def declared_checks(synthetic: NDArray[np.uint8], heldout: NDArray[np.uint8]) -> dict[str, int]:
    """What can be checked of images that are declared to be made from training images only.

    Args:
        synthetic: (N, H, W, C) uint8.
        heldout: (M, H, W, C) uint8, validation and test images.

    Returns:
        How many there are, and how many held-out images stand among the synthetic ones pixel by pixel, as they
        are or mirrored. Altered copies are a matter of the audit.
    """
    made = {image.tobytes() for image in synthetic}
    exact = [image.tobytes() in made for image in heldout]
    mirrored = [image[:, ::-1].tobytes() in made for image in heldout]
    both = np.array(mirrored, bool) & ~np.array(exact, bool)
    return {
        "synthetic": len(synthetic),
        "heldout": len(heldout),
        "heldout_found": sum(exact),
        "heldout_found_mirrored": int(both.sum()),
    }


def heldout_suspects(
    synthetic: NDArray[np.uint8],
    heldout: NDArray[np.uint8],
    heldout_patients: NDArray[np.int64],
    train: NDArray[np.uint8],
    train_patients: NDArray[np.int64],
    seed: int,
) -> dict[str, int | float]:
    """Synthetic images that look copied from held-out ones, altered ones included.

    The detector of :mod:`healthgan.privacy.copies`, with the parts exchanged: held-out images are what may have
    been copied, and training images, which show other patients, set the thresholds; less those that show the same
    picture as a held-out one, stored or cropped otherwise, which are no false alarm and would raise the thresholds
    above copies. It decides nothing.

    Args:
        synthetic: (N, H, W, C) uint8.
        heldout: (M, H, W, C) uint8, validation and test images.
        heldout_patients: (M,) codes; an own one for each image where they are not known.
        train: (K, H, W, C) uint8, real training images of all classes, K ≥ 1,000 for the rate to hold.
        train_patients: (K,) codes.
        seed: divides the training patients.

    Returns:
        ``images``, ``suspects``, the number of ``expected`` suspects where nothing is copied, and how many training
        images set the thresholds: ``calibrated_on``.

    Raises:
        InputError: shapes differ, or fewer than two training patients have other pictures than the held-out ones.
    """
    from healthgan.privacy.copies import FALSE_ALARMS, calibrate, gather_evidence

    negatives = gather_evidence(train, heldout, heldout_patients)
    others = np.flatnonzero(~negatives.same_picture())
    detector = calibrate(negatives.take(others), train_patients[others], np.random.default_rng(seed))
    suspects = detector.copies(gather_evidence(synthetic, heldout, heldout_patients))
    return {
        "images": len(synthetic),
        "suspects": int(suspects.sum()),
        "expected": FALSE_ALARMS * len(synthetic),
        "calibrated_on": len(others),
    }
