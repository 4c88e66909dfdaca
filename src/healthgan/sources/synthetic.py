"""Synthetic images made here or elsewhere: an ``.npz`` or a folder.

An ``.npz`` has ``images`` (N, H, W) or (N, H, W, 1 or 3) uint8 and, if known, ``labels`` (N,) and
``class_names`` (K,); or MedMNIST's names for the same, ``train_images`` and ``train_labels``. A folder has
pictures and a ``metadata.csv`` with the columns ``file_name`` and, if known, ``label`` (Hugging Face's
ImageFolder), or one sub-folder a class, or pictures alone. Our own exports also carry a card: ``card`` (JSON)
inside the ``.npz``, ``card.json`` in the folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.files import check_kind
from healthgan.images import SPLITS, ImageSet
from healthgan.sources import message
from healthgan.sources.folder import check_link, entries, read_folder
from healthgan.sources.gather import gather
from healthgan.sources.imagefolder import read_metadata
from healthgan.sources.members import Member, listed, look_into, names_in, opened, read_all
from healthgan.sources.npz import MAX_CLASSES, check_images, resolve_class_names
from healthgan.sources.pictures import PICTURE_SUFFIXES

METADATA, CARD = "metadata.csv", "card.json"
MAX_CARD_BYTES = 1 << 20
LAYOUTS = (
    "Give an .npz with images[, labels, class_names] or with train_images and train_labels, or a folder of "
    f"pictures with a {METADATA} (file_name,label) or with one sub-folder a class."
)
_KEYS = frozenset({"images", "labels", "train_images", "train_labels", "class_names", "card"})


@dataclass(frozen=True)
class SyntheticSet:
    """Images that no camera took.

    Attributes:
        pixels: (N, H, W, C) uint8, C = 1 or 3.
        labels: (N,) int64 class numbers; None where they are not known.
        class_names: the name of every class; empty where there are no labels.
        name: the stem of the path.
        card: what an export says of how they were made; None where there is no card.

    Raises:
        InputError: an array has another shape, type or range than the ones above.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    name: str
    card: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.labels is None and self.class_names:
            raise InputError(f"'{self.name}' has class names but no labels. Give both, or neither.")
        unlabelled = np.zeros(len(self.pixels), np.int64)
        names = self.class_names if self.labels is not None else ("unlabelled",)
        whole = ImageSet(self.pixels, unlabelled if self.labels is None else self.labels, names)
        if whole.multi_label:
            raise InputError(
                f"'{self.name}' has several labels an image; a synthetic image has one. Give one label an image."
            )
        if len(whole) == 0:
            raise InputError(f"'{self.name}' holds no image. Add some.")

    def __len__(self) -> int:
        return len(self.pixels)

    def of_class(self, name: str) -> NDArray[np.int64]:
        """Positions of the images of a class; of all where there are no labels.

        Raises:
            InputError: there are labels, but none of that name.
        """
        if self.labels is None:
            return np.arange(len(self))
        if name not in self.class_names:
            raise InputError(
                f"'{self.name}' has no class '{name}'; its classes are: {', '.join(self.class_names)}. "
                "Name its classes as the real images' are named."
            )
        return np.flatnonzero(self.labels == self.class_names.index(name))


def load_synthetic(path: str | Path, *, size: int | None = None, progress: bool = True) -> SyntheticSet:
    """Read synthetic images.

    Args:
        path: an ``.npz`` file or a folder.
        size: bring the pictures of a folder to size × size; needed where they differ in size.
        progress: draw a bar on stderr, if that is a terminal.

    Raises:
        InputError: there is nothing of that path, or it can't be used; the message names the file and says
            what to do. Nothing is unpickled.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_folder(path, size, progress)
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        found = "is a file of another kind" if path.exists() else "does not exist"
        raise InputError(f"'{path}' {found}. {LAYOUTS}")
    except InputError as error:
        raise InputError(message(str(error))) from error
    except OSError as error:
        raise InputError(
            message(f"'{path}' cannot be read: {error.strerror or error}. Make it readable, or give another.")
        ) from error


def _read_npz(path: Path) -> SyntheticSet:
    with opened(path) as archive:
        names = names_in(archive)
        _check_keys(path, names)
        members = look_into(path, archive, _KEYS)
        prefix = "train_" if "train_images" in members else ""
        check_images(members[f"{prefix}images"])
        if f"{prefix}labels" in members:
            _check_labels(members[f"{prefix}labels"], members[f"{prefix}images"].shape[0])
        arrays = read_all(archive, members)
    pixels = arrays[f"{prefix}images"]
    labels = _npz_labels(path, f"{prefix}labels", arrays)
    class_names: tuple[str, ...] = ()
    if labels is not None:
        class_names = resolve_class_names(path, arrays.get("class_names"), {"train": labels}, None)
    elif "class_names" in arrays:
        raise InputError(f"'{path}' has 'class_names' but no '{prefix}labels'. Add or remove one.")
    card = _npz_card(path, arrays["card"]) if "card" in arrays else None
    grey = pixels[..., np.newaxis] if pixels.ndim == 3 else pixels
    return _checked(path, grey, labels, class_names, path.stem, card)


def _check_keys(path: Path, keys: set[str]) -> None:
    found = listed(keys)
    if ("images" in keys) == ("train_images" in keys):
        which = "both 'images' and 'train_images'" if "images" in keys else "no 'images'"
        raise InputError(f"'{path}' has {which}; it holds: {found}. {LAYOUTS}")
    wrong = "labels" if "train_images" in keys else "train_labels"
    if wrong in keys:
        raise InputError(
            f"'{path}' has '{wrong}', which doesn't go with its images; it holds: {found}. {LAYOUTS}"
        )
    parts = sorted(key for key in keys for split in SPLITS[1:] if key.startswith(f"{split}_"))
    if parts:
        raise InputError(
            f"'{path}' has {listed(parts)}: synthetic images are not split. Is it a set of real images? Keep only "
            "train_images and train_labels."
        )


def _check_labels(labels: Member, images: int) -> None:
    """Refuse, before they are read, what are no labels of one class an image."""
    if labels.dtype.kind not in "iub":
        raise InputError(
            f"{labels.where} have type {labels.dtype}; whole numbers are needed. Number the classes from 0."
        )
    if labels.shape not in ((images,), (images, 1)):
        raise InputError(
            f"{labels.where} have shape {labels.shape}; ({images},) is needed. Give one label an image."
        )


def _npz_labels(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    if key not in arrays:
        return None
    array = arrays[key]
    if len(array) and not 0 <= int(array.min()) <= int(array.max()) < MAX_CLASSES:
        raise InputError(
            f"'{path}', '{key}' run from {array.min()} to {array.max()}; 0 to {MAX_CLASSES - 1} are allowed. "
            "Number the classes from 0."
        )
    return array.reshape(-1).astype(np.int64)


def _npz_card(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind != "U" or array.shape != ():
        raise InputError(
            f"'{path}', 'card' is {array.dtype} of shape {array.shape}; one string of JSON is needed. Correct or remove it."
        )
    return _parse_card(f"'{path}', 'card'", str(array))


def _parse_card(where: str, text: str) -> dict[str, Any]:
    if len(text) > MAX_CARD_BYTES:
        raise InputError(f"{where} is longer than {MAX_CARD_BYTES} characters. Remove or shorten it.")
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON ({error}). Correct or remove it.") from error
    if not isinstance(card, dict):
        raise InputError(
            f"{where} is a JSON {type(card).__name__}; an object is needed. Correct or remove it."
        )
    return card


def _read_folder(root: Path, size: int | None, progress: bool) -> SyntheticSet:
    name = root.resolve().name or "folder"
    for file in (CARD, METADATA):
        check_link(root / file, root)
    card = _folder_card(root / CARD)
    if (root / METADATA).exists():
        files, cells = read_metadata(root / METADATA)
        pixels, _, _ = gather(files, size, progress)
        if (card or {}).get("channels") == 3 and pixels.shape[3] == 1:  # colour pictures without any colour
            pixels = np.repeat(pixels, 3, axis=3)
        if cells is None:
            return _checked(root, pixels, None, (), name, card)
        names = _ordered(cells, card)
        labels = np.array([names.index(cell) for cell in cells], np.int64)
        return _checked(root, pixels, labels, names, name, card)
    found = entries(root, root, folders=False)
    if any(entry.is_dir() for entry in found):
        collection = read_folder(root, size=size, progress=progress)
        if len(collection.splits) > 1 or any((root / split).is_dir() for split in SPLITS):
            raise InputError(
                f"'{root}' is divided into train, val or test: synthetic images are not split. Is it a set of real images? "
                "Give one folder, with one sub-folder a class."
            )
        whole = collection["train"]
        return _checked(root, whole.pixels, whole.labels.astype(np.int64), whole.class_names, name, card)
    files = [entry for entry in found if entry.suffix.lower() in PICTURE_SUFFIXES]
    if not files:
        raise InputError(f"'{root}' holds no picture. {LAYOUTS}")
    pixels, _, _ = gather(files, size, progress)
    return _checked(root, pixels, None, (), name, card)


def _folder_card(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    check_kind(path)
    if path.stat().st_size > MAX_CARD_BYTES:
        raise InputError(f"'{path}' is larger than {MAX_CARD_BYTES} bytes. Remove or shorten it.")
    try:
        return _parse_card(f"'{path}'", path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}). Correct or remove it.") from error


def _ordered(cells: list[str], card: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The class names in the card's order where it names all of them, else in alphabetical order."""
    found, told = set(cells), (card or {}).get("class_names")
    if isinstance(told, list) and all(isinstance(name, str) for name in told) and found <= set(told):
        return tuple(told)
    return tuple(sorted(found))


def _checked(
    path: Path,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    class_names: tuple[str, ...],
    name: str,
    card: dict[str, Any] | None,
) -> SyntheticSet:
    try:
        return SyntheticSet(pixels, labels, class_names, name, card)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
