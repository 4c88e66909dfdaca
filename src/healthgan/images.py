"""Images with labels, as every other part of the program takes and gives them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError, meant

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

MIN_SIZE, MAX_SIZE = 16, 224
NORMAL = "normal"
"""In a multi-label set: the name of every image that has no label at all."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one split, with one label each or several.

    Attributes:
        pixels: (N, H, W, C) uint8, C = 1 (grey) or 3 (RGB).
        labels: (N,) int64 class numbers, or (N, K) uint8 of 0 and 1 (multi-label).
        class_names: K names, distinct and not empty.
        patients: (N,) int64 codes, equal for images of one patient and the same in every split of a
            source; never an identifier. None where the source does not say.
        columns: further facts an image, such as sex or site: name → (N,) str.

    Raises:
        InputError: an array has another shape, type or range than the ones above.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | NDArray[np.uint8]
    class_names: tuple[str, ...]
    patients: NDArray[np.int64] | None = None
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
        _check_names(self.class_names)
        _check_labels(self.labels, len(self.pixels), len(self.class_names))
        for name, values in {"patients": self.patients, **self.columns}.items():
            if values is not None and values.shape != (len(self.pixels),):
                raise InputError(
                    f"'{name}' has shape {values.shape}; {len(self.pixels)} images need ({len(self.pixels)},). Give one value an image."
                )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return int(self.pixels.shape[3])

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels.ndim == 2

    def members(self, class_name: str) -> NDArray[np.bool_]:
        """(N,) True where the image belongs to the class.

        In a multi-label set ``normal`` is every image without a label (unless a class has that name).

        Raises:
            InputError: there is no such class; the message lists the ones there are.
        """
        if class_name in self.class_names:
            number = self.class_names.index(class_name)
            if self.multi_label:
                return np.asarray(self.labels[:, number] == 1, np.bool_)
            return np.asarray(self.labels == number, np.bool_)
        if self.multi_label and class_name == NORMAL:
            return np.asarray(~self.labels.any(axis=1), np.bool_)
        raise InputError(
            f"There is no class '{class_name}'.{meant(class_name, self.known_classes)} The classes are: {', '.join(self.known_classes)}."
        )

    @property
    def known_classes(self) -> tuple[str, ...]:
        """The class names, and ``normal`` where the set is multi-label."""
        extra = (NORMAL,) if self.multi_label and NORMAL not in self.class_names else ()
        return self.class_names + extra

    def take(self, index: NDArray[np.int64]) -> "ImageSet":
        """The images at the positions ``index`` (a copy)."""
        return replace(
            self,
            pixels=self.pixels[index],
            labels=self.labels[index],
            patients=None if self.patients is None else self.patients[index],
            columns={name: values[index] for name, values in self.columns.items()},
        )


@dataclass(frozen=True)
class Collection:
    """All that one source holds.

    Attributes:
        name: what people call it: ``chestmnist``, or the stem of the path.
        splits: the splits it comes with, in the order train, val, test; a source that is not split holds
            everything in ``train``.
        md5: of the file it was read from, where it is one file.
        notes: what was done to the pixels on reading them (resampled, scaled from 16 bits, …).
    """

    name: str
    splits: Mapping[Split, ImageSet]
    md5: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "train" not in self.splits:
            raise InputError(
                f"'{self.name}' has no training images; found only: {', '.join(self.splits) or 'nothing'}. Add some."
            )
        first = self.splits["train"]
        for name, images in self.splits.items():
            if images.pixels.shape[1:] != first.pixels.shape[1:]:
                raise InputError(
                    f"'{self.name}': '{name}' images are {images.pixels.shape[1:]} (height, width, channels) "
                    f"but 'train' images are {first.pixels.shape[1:]}. Bring all to one."
                )
            if images.class_names != first.class_names or images.multi_label != first.multi_label:
                raise InputError(
                    f"'{self.name}': '{name}' and 'train' do not have the same classes. Give them the same."
                )

    def __getitem__(self, split: Split) -> ImageSet:
        return self.splits[split]

    def __iter__(self) -> Iterator[Split]:
        return iter(self.splits)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, the same in every split."""
        return self.splits["train"].class_names

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.splits["train"].multi_label


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    if pixels.dtype != np.uint8:
        raise InputError(f"Images have type {pixels.dtype}; uint8 (0…255) is needed. Convert them first.")
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        raise InputError(
            f"Images have shape {pixels.shape}; (N, H, W, 1) or (N, H, W, 3) is needed. Save them in that shape."
        )
    height, width = pixels.shape[1:3]
    if not (MIN_SIZE <= height <= MAX_SIZE and MIN_SIZE <= width <= MAX_SIZE):
        raise InputError(
            f"Images are {height}×{width} pixels; {MIN_SIZE} to {MAX_SIZE} a side are allowed. "
            "Resample them with --size N."
        )


def _check_names(names: tuple[str, ...]) -> None:
    if not names or any(not name.strip() for name in names):
        raise InputError("A class has no name. Name every class.")
    if len(set(names)) != len(names):
        raise InputError(
            f"Class names repeat: {', '.join(sorted(names)[:10])}. Give each class a name of its own."
        )


def _check_labels(labels: NDArray[np.int64] | NDArray[np.uint8], images: int, classes: int) -> None:
    if labels.shape not in ((images,), (images, classes)):
        raise InputError(
            f"Labels have shape {labels.shape}; {images} images of {classes} classes need "
            f"({images},), or ({images}, {classes}) where an image may have several."
        )
    top = classes - 1 if labels.ndim == 1 else 1
    if labels.size and (labels.min() < 0 or labels.max() > top):
        raise InputError(
            f"Labels run from {labels.min()} to {labels.max()}; 0 to {top} are allowed. Number the classes from 0."
        )
