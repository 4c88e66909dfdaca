"""Arrays at hand as a source."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    split: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
) -> Collection:
    """Images that are in memory, as every other source gives them.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, C = 1 or 3, 16 to 224 pixels a side.
        labels: (N,) class numbers from 0 or class names; or (N, K) of 0 and 1 where an image may have several.
        patients: (N,) whose each is, whole numbers or text; without it every image counts as one of its own.
        split: (N,) ``train``, ``val`` or ``test``; without it the images are divided by patient later.
        class_names: K names, for labels that are numbers; ``0``, ``1`` … by default.
        name: what to call it.

    Raises:
        InputError: an array has another shape, type or value.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    count = len(pixels) if pixels.ndim else 0
    numbers, names = _labels(np.asarray(labels), count, class_names)
    people = None if patients is None else _codes(np.asarray(patients), count, "patients")
    whole = ImageSet(pixels, numbers, names, people)
    if split is None:
        return Collection(name, {"train": whole})
    where = np.asarray(split)
    if where.shape != (count,) or not np.isin(where, SPLITS).all():
        found = ", ".join(map(repr, np.unique(where)[:5].tolist()))
        raise InputError(
            f"split is {where.shape} of {found}; {count} of 'train', 'val' and 'test' are needed, one an image."
        )
    members = {part: np.flatnonzero(where == part) for part in SPLITS}
    return Collection(name, {part: whole.take(index) for part, index in members.items() if len(index)})


def _labels(
    labels: NDArray[Any], count: int, class_names: Sequence[str] | None
) -> tuple[NDArray[np.int64] | NDArray[np.uint8], tuple[str, ...]]:
    """Class numbers, or 0 and 1 a class, and the names of the classes."""
    if labels.ndim == 2 and labels.dtype.kind in "iub":
        names = class_names or [str(number) for number in range(labels.shape[1])]
        if not np.isin(labels, (0, 1)).all():
            raise InputError(
                "Labels (N, K) hold other values than 0 and 1; 1 means that an image has the label."
            )
        return labels.astype(np.uint8), tuple(names)
    if labels.shape == (count,) and labels.dtype.kind in "UO" and all(isinstance(one, str) for one in labels):
        known = tuple(class_names) if class_names is not None else tuple(sorted(set(labels.tolist())))
        unknown = sorted(set(labels.tolist()) - set(known))
        if unknown:
            raise InputError(f"Label {unknown[0]!r} is none of the class names: {', '.join(known)}.")
        return np.array([known.index(one) for one in labels], np.int64), known
    if labels.shape != (count,) or labels.dtype.kind not in "iub":
        raise InputError(
            f"Labels are {labels.dtype} {labels.shape}; {count} class numbers from 0 or class names are needed, one an "
            "image, or (N, K) of 0 and 1."
        )
    top = int(labels.max()) if count else 0
    return labels.astype(np.int64), tuple(class_names or [str(number) for number in range(top + 1)])


def _codes(values: NDArray[Any], count: int, what: str) -> NDArray[np.int64]:
    """A number for each different value, so that no identifier goes on."""
    texts = values.dtype.kind == "U" or all(isinstance(value, str) for value in values.flat)
    if values.shape != (count,) or not (texts or values.dtype.kind in "iu"):
        raise InputError(
            f"{what} are {values.dtype} {values.shape}; {count} whole numbers or texts are needed, one an image."
        )
    codes: NDArray[np.int64] = np.unique(values.astype(str) if texts else values, return_inverse=True)[
        1
    ].astype(np.int64)
    return codes
