"""Real images that a command sets beside synthetic ones: of one class, or all, in some splits of a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from healthgan.images import ImageSet, Split


@dataclass(frozen=True)
class Reals:
    """Real images of one class, or of all.

    Attributes:
        where: which they are: ``chestmnist, val and test``.
        pixels: (M, H, W, C) uint8.
        patients: (M,) codes; None where they are not known.
        position: (M,) int64, the place of each in its split.
    """

    where: str
    pixels: "NDArray[np.uint8]"
    patients: "NDArray[np.int64] | None"
    position: "NDArray[np.int64]"

    def take(self, index: "NDArray[np.int64]") -> "Reals":
        """Those at the positions ``index`` of these."""
        patients = None if self.patients is None else self.patients[index]
        return Reals(self.where, self.pixels[index], patients, self.position[index])


def of_class(splits: "Mapping[Split, ImageSet]", name: str, rare: str | None) -> Reals:
    """The images of a class, or all where it is None, in several splits of one source.

    Raises:
        InputError: there is none, or no such class.
    """
    import numpy as np

    from healthgan.errors import InputError

    found = _taken(
        splits,
        name,
        {
            split: np.ones(len(images), np.bool_) if rare is None else images.members(rare)
            for split, images in splits.items()
        },
    )
    if not len(found.pixels):
        raise InputError(
            f"There is no image of '{rare}' in {name}, {' or '.join(splits)}. Choose another class."
        )
    return found


def not_of_class(splits: "Mapping[Split, ImageSet]", name: str, rare: str | None) -> Reals | None:
    """The images that are not of the class; None where there are none."""
    if rare is None:
        return None
    found = _taken(splits, name, {split: ~images.members(rare) for split, images in splits.items()})
    return found if len(found.pixels) else None


def check_shapes(train: Reals, others: "Mapping[str, NDArray[np.uint8]]") -> None:
    """Make sure that images can be compared.

    Args:
        train: the training images.
        others: other images by what they are called.

    Raises:
        InputError: height, width or channels differ.
    """
    from healthgan.errors import InputError

    theirs = train.pixels.shape[1:]
    for name, pixels in others.items():
        if pixels.shape[1:] != theirs:
            raise InputError(
                f"The images of '{name}' are {pixels.shape[1:]} (height, width, channels), those of '{train.where}' "
                f"{theirs}; they must be equal. Resample with --size N, which reaches pictures in folders but not a "
                "synthetic .npz."
            )


def _taken(
    splits: "Mapping[Split, ImageSet]", name: str, members: "Mapping[Split, NDArray[np.bool_]]"
) -> Reals:
    import numpy as np

    patients = [
        images.patients[members[split]] for split, images in splits.items() if images.patients is not None
    ]
    return Reals(
        where=f"{name}, {' and '.join(splits)}",
        pixels=np.concatenate([images.pixels[members[split]] for split, images in splits.items()]),
        patients=np.concatenate(patients) if len(patients) == len(splits) else None,
        position=np.concatenate([np.flatnonzero(members[split]) for split in splits]),
    )
