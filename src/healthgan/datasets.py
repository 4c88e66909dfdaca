"""Synthetic images, alone or beside real ones, as a PyTorch ``Dataset`` of dictionaries, as MONAI's transforms take them.

``DataLoader(dataset, batch_size=32)`` gives batches of the same keys. For MONAI: ``monai.data.Dataset(list(dataset),
transform)``, or a dictionary transform as ``transform`` here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from healthgan.errors import InputError
from healthgan.sources.arrays import from_arrays
from healthgan.sources.synthetic import SyntheticSet, load_synthetic

Dtype = Literal["float32", "uint8"]


class Item(TypedDict):
    """An image of a dataset.

    Attributes:
        image: (C, H, W), float32 from 0 to 1 or uint8.
        label: class number.
        class_name: its name.
        synthetic: whether no camera took it.
    """

    image: torch.Tensor
    label: int
    class_name: str
    synthetic: bool


class ImageDataset(Dataset[Any]):
    """Images with labels, each marked as synthetic or real.

    Attributes:
        pixels: (N, H, W, C) uint8.
        labels: (N,) int64 class numbers.
        synthetic: (N,) True where no camera took the image.
        class_names: the name of every class.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, C = 1 or 3.
        labels: (N,) class numbers from 0, or class names.
        synthetic: whether they are: of all, or (N,) of each.
        class_names: K names; those of the labels, or their numbers, by default.
        dtype: of the images: ``float32``, pixels divided by 255, or ``uint8`` as they are.
        transform: called with every item; what it gives is the item then.

    Raises:
        InputError: an array has another shape, type or value.
    """

    def __init__(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        synthetic: bool | NDArray[np.bool_],
        class_names: Sequence[str] | None = None,
        dtype: Dtype = "float32",
        transform: Callable[[Item], Any] | None = None,
    ) -> None:
        whole = from_arrays(images, labels, class_names=class_names)["train"]
        if whole.multi_label:
            raise InputError("An image has several labels; one each is needed.")
        if dtype not in ("float32", "uint8"):
            raise InputError(f"dtype is {dtype!r}; 'float32' (0 to 1) or 'uint8' is needed.")
        self.pixels = whole.pixels
        self.labels: NDArray[np.int64] = whole.labels.astype(np.int64)
        self.class_names = whole.class_names
        self.synthetic = np.broadcast_to(np.asarray(synthetic, bool), len(whole))
        self.dtype, self.transform = dtype, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 # an Item, or what the transform makes of it
        image = torch.from_numpy(self.pixels[index].transpose(2, 0, 1).copy())  # (C, H, W) uint8
        label = int(self.labels[index])
        item = Item(
            image=image / 255 if self.dtype == "float32" else image,
            label=label,
            class_name=self.class_names[label],
            synthetic=bool(self.synthetic[index]),
        )
        return item if self.transform is None else self.transform(item)


def synthetic_dataset(
    source: str | Path | SyntheticSet,
    *,
    class_names: Sequence[str] | None = None,
    class_name: str | None = None,
    dtype: Dtype = "float32",
    transform: Callable[[Item], Any] | None = None,
) -> ImageDataset:
    """A synthetic set, as ``healthgan sample`` writes it or as it was made elsewhere.

    Args:
        source: an ``.npz``, a folder, or what ``load_synthetic`` gave.
        class_names: the names that number the classes, in the order of the real images' labels; by default the set's.
        class_name: of all images, where the set has no labels.
        dtype: as in :class:`ImageDataset`.
        transform: as in :class:`ImageDataset`.

    Raises:
        InputError: there is no such set, it has no labels and no class was named, or it has a class that
            ``class_names`` lacks.
    """
    made = source if isinstance(source, SyntheticSet) else load_synthetic(source)
    if (made.labels is None) != (class_name is not None):
        raise InputError(
            f"'{made.name}' has no labels: name the class of its images with class_name."
            if made.labels is None
            else f"'{made.name}' has labels of its own; leave class_name out."
        )
    if made.labels is None:
        names = [str(class_name)] * len(made)
    else:
        names = [made.class_names[number] for number in made.labels]
    known = class_names or made.class_names or [str(class_name)]
    return ImageDataset(
        made.pixels, names, synthetic=True, class_names=known, dtype=dtype, transform=transform
    )


def mixed(real: ImageDataset, synthetic: ImageDataset, share: float, seed: int = 0) -> ImageDataset:
    """All real images, and so many synthetic ones that they are a share of every class of which there are any.

    For training only: no synthetic image belongs into a validation or test set.

    Args:
        real: training images.
        synthetic: of the same size, channels and class names, at least as many of a class as the share asks for.
        share: of a class's images in the result, from 0 to below 1.
        seed: decides which synthetic images are drawn, without replacement.

    Returns:
        The real images first, in their order; dtype and transform are those of ``real``.

    Raises:
        InputError: the sets do not fit each other, or there are too few synthetic images of a class.
    """
    if not 0 <= share < 1:
        raise InputError(f"share is {share}; from 0 to below 1 is possible.")
    if real.class_names != synthetic.class_names or real.pixels.shape[1:] != synthetic.pixels.shape[1:]:
        raise InputError(
            f"Real images are {real.pixels.shape[1:]} of {', '.join(real.class_names)}, synthetic ones "
            f"{synthetic.pixels.shape[1:]} of {', '.join(synthetic.class_names)}; both must be equal. Give "
            "synthetic_dataset() the class_names of the real images."
        )
    rng = np.random.default_rng(seed)
    chosen = [np.empty(0, np.int64)]
    for label in np.unique(synthetic.labels).tolist():
        pool = np.flatnonzero(synthetic.labels == label)
        wanted = round(share / (1 - share) * int((real.labels == label).sum()))
        if wanted > len(pool):
            raise InputError(
                f"{wanted} synthetic images of '{real.class_names[label]}' make a share of {share:g}; {len(pool)} are "
                "there. Make more, or take a smaller share."
            )
        chosen.append(rng.choice(pool, wanted, replace=False))
    drawn = np.concatenate(chosen)
    return ImageDataset(
        np.concatenate([real.pixels, synthetic.pixels[drawn]]),
        np.concatenate([real.labels, synthetic.labels[drawn]]),
        synthetic=np.concatenate([real.synthetic, synthetic.synthetic[drawn]]),
        class_names=real.class_names,
        dtype=real.dtype,
        transform=real.transform,
    )
