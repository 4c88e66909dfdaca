"""``.npz`` files in MedMNIST's layout.

Keys: ``{train,val,test}_images`` (N, H, W) or (N, H, W, 1 or 3) uint8 and ``{train,val,test}_labels`` (N,),
(N, 1) or, several an image, (N, K) of 0 and 1. Optional: ``class_names`` (K,) strings and
``{train,val,test}_patients`` (N,) integers or strings. ``val`` and ``test`` may be missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.sources.members import Member, listed, look_into, names_in, opened, read_all
from healthgan.sources.resampling import how_resampled, resample_all

MAX_CLASSES = 1000
"""More are a mistake, such as identifiers in place of labels."""


def read_npz(
    path: Path,
    *,
    size: int | None = None,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    md5: str | None = None,
) -> Collection:
    """Read a file in MedMNIST's layout.

    Args:
        path: the file.
        size: resample the images to size × size.
        name: of the collection; the file's stem by default.
        class_names: to use where the file has none; ``"0"``, ``"1"``, … by default.
        md5: of the file, where it is known already.

    Raises:
        InputError: the file is not readable, not in that layout or too large; the message names the file,
            the key, what was found and what is allowed. Pickled objects are never loaded.
    """
    arrays, unused = _read_arrays(path)
    present = tuple(split for split in SPLITS if f"{split}_images" in arrays)
    pixels = {split: _pixels(path, split, arrays) for split in present}
    labels = {split: _labels(path, split, arrays) for split in present}
    names = resolve_class_names(path, arrays.get("class_names"), labels, class_names)
    patients = _patients(path, arrays, present)
    notes = [f"not used: {listed(unused)}"] if unused else []
    if size is not None:
        height, width = pixels[present[0]].shape[1:3]
        if (height, width) != (size, size):
            notes.append(how_resampled(height, width, size))
            arrays.clear()
            pixels = {split: resample_all(pixels.pop(split), size) for split in present}
    splits: dict[Split, ImageSet] = {}
    for split in present:
        try:
            splits[split] = ImageSet(pixels[split], labels[split], names, patients.get(split))
        except InputError as error:
            raise InputError(f"'{path}', {split}: {error}") from error
    if md5 is None:
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
    try:
        return Collection(name or path.stem, splits, md5, tuple(notes))
    except InputError as error:
        raise InputError(f"'{path}'{str(error).removeprefix(repr(name or path.stem))}") from error


def codes(identifiers: NDArray[Any]) -> NDArray[np.int64]:
    """Equal numbers for equal identifiers, counted in the order in which they first appear."""
    _, first, inverse = np.unique(identifiers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], set[str]]:
    """The arrays of the layout, and the names of what else the file holds."""
    wanted = {f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels", "patients")} | {
        "class_names"
    }
    with opened(path) as archive:
        names = names_in(archive)
        _check_keys(path, names)
        members = look_into(path, archive, wanted)
        for split in SPLITS:
            if f"{split}_images" in members:
                check_images(members[f"{split}_images"])
                _check_labels(members[f"{split}_labels"], members[f"{split}_images"])
        return read_all(archive, members), names - wanted


def _check_keys(path: Path, keys: set[str]) -> None:
    found = listed(keys)
    if "train_images" not in keys:
        raise InputError(
            f"'{path}' has no 'train_images'; it holds: {found}. Name the arrays as MedMNIST does: train_images and "
            "train_labels, and where there are any val_… and test_…."
        )
    for split in SPLITS:
        images, labels = f"{split}_images", f"{split}_labels"
        if images in keys and labels not in keys:
            raise InputError(
                f"'{path}' has '{images}' but no '{labels}'; it holds: {found}. Add one label an image."
            )
        for extra in (labels, f"{split}_patients"):
            if extra in keys and images not in keys:
                raise InputError(
                    f"'{path}' has '{extra}' but no '{images}'; it holds: {found}. Add or remove one."
                )


def check_images(images: Member) -> None:
    """Refuse, before it is read, what is no array of images.

    Raises:
        InputError: another type or another shape.
    """
    if images.dtype != np.uint8:
        raise InputError(
            f"{images.where} have type {images.dtype}; uint8 (0…255) is needed. Scale them to 0…255 and save them with "
            ".astype('uint8')."
        )
    if len(images.shape) not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
        raise InputError(
            f"{images.where} have shape {images.shape}; (N, H, W) or (N, H, W, 1 or 3) is needed. Save them in that shape."
        )


def _check_labels(labels: Member, images: Member) -> None:
    if labels.dtype.kind not in "iub":
        raise InputError(
            f"{labels.where} have type {labels.dtype}; whole numbers are needed. Number the classes from 0."
        )
    if len(labels.shape) not in (1, 2) or 0 in labels.shape[1:]:
        raise InputError(
            f"{labels.where} have shape {labels.shape}; (N,), (N, 1) or (N, K) is needed. Save them in that shape."
        )
    if labels.shape[0] != images.shape[0]:
        raise InputError(
            f"{labels.where} are {labels.shape[0]}, the images {images.shape[0]}. Give one label an image."
        )
    if labels.shape[1:] > (MAX_CLASSES,):
        raise InputError(
            f"{labels.where} have {labels.shape[1]} columns; {MAX_CLASSES} classes are allowed. Give one column a class."
        )


def _pixels(path: Path, split: Split, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """(N, H, W, C) uint8, without a copy."""
    array = arrays[f"{split}_images"]
    if len(array) == 0:
        raise InputError(f"'{path}', '{split}_images' hold no image. Leave the split out or add images.")
    return array[..., np.newaxis] if array.ndim == 3 else array


def _labels(
    path: Path, split: Split, arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64] | NDArray[np.uint8]:
    """(N,) int64, or (N, K) uint8 where an image may have several."""
    array = arrays[f"{split}_labels"]
    several = array.ndim == 2 and array.shape[1] > 1
    low, high, top = int(array.min()), int(array.max()), 1 if several else MAX_CLASSES - 1
    if low < 0 or high > top:
        raise InputError(
            f"'{path}', '{split}_labels' run from {low} to {high}; 0 to {top} are allowed. Number the classes from 0."
        )
    return array.astype(np.uint8) if several else array.reshape(-1).astype(np.int64)


def resolve_class_names(
    path: Path,
    given: NDArray[Any] | None,
    labels: Mapping[Split, NDArray[np.int64] | NDArray[np.uint8]],
    default: Sequence[str] | None,
) -> tuple[str, ...]:
    """The class names that fit the labels: those in the file, else ``default``, else numbers.

    Raises:
        InputError: the splits' labels differ in shape, or the names do not fit them.
    """
    shapes = {split: array.shape[1:] for split, array in labels.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{split} {array.shape}" for split, array in labels.items())
        raise InputError(
            f"'{path}': the labels of the splits differ in shape: {found}. Give all the same classes."
        )
    first = labels["train"]
    several = first.ndim == 2
    needed = first.shape[1] if several else 1 + max(int(array.max()) for array in labels.values())
    if given is None:
        if default is not None and (len(default) == needed if several else len(default) >= needed):
            return tuple(default)
        return tuple(str(number) for number in range(needed))
    if given.ndim != 1 or given.dtype.kind not in "US":
        raise InputError(
            f"'{path}', 'class_names' are {given.dtype} of shape {given.shape}; strings (K,) are needed. "
            "Give one name a class."
        )
    try:
        names = tuple(np.char.decode(given, "utf-8").tolist() if given.dtype.kind == "S" else given.tolist())
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path}', 'class_names' are not UTF-8 ({error.reason}). Save them as strings."
        ) from error
    if len(names) != needed if several else len(names) < needed:
        raise InputError(
            f"'{path}', 'class_names' are {len(names)}, but the labels need {needed}. Give one a class."
        )
    return names


def _patients(
    path: Path, arrays: Mapping[str, NDArray[Any]], present: Sequence[Split]
) -> Mapping[Split, NDArray[np.int64]]:
    """Codes in place of identifiers, the same in every split."""
    given = [split for split in present if f"{split}_patients" in arrays]
    if not given:
        return {}
    if len(given) < len(present):
        missing = ", ".join(f"{split}_patients" for split in present if split not in given)
        raise InputError(f"'{path}' has patients of {', '.join(given)} but no {missing}. Give all or none.")
    found = [arrays[f"{split}_patients"] for split in present]
    for split, array in zip(present, found, strict=True):
        images = len(arrays[f"{split}_images"])
        shape = (images,) if array.shape == (images, 1) else array.shape
        if array.dtype.kind not in "iuUS" or shape != (images,):
            raise InputError(
                f"'{path}', '{split}_patients' are {array.dtype} of shape {array.shape}; "
                f"integers or strings ({images},) are needed. Give each image its patient."
            )
    if len({array.dtype.kind in "iu" for array in found}) > 1:
        raise InputError(f"'{path}': patients are numbers in one split, strings in another. Use one kind.")
    numbers = codes(np.concatenate([array.reshape(-1) for array in found]))
    ends = np.cumsum([len(array) for array in found])[:-1]
    return dict(zip(present, np.split(numbers, ends), strict=True))
