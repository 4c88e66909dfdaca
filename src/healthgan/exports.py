"""Synthetic sets as files that others can use, each with a card.

An ``.npz`` in MedMNIST's layout (``train_images``, ``train_labels``, ``class_names``; ``images`` alone where there
are no labels), the card as JSON inside it under ``card`` and for people beside it, in ``NAME.card.md``. Or a folder
of PNG files with ``metadata.csv`` (Hugging Face's ImageFolder), the card as JSON in ``card.json`` and for people in
``README.md``. :func:`healthgan.sources.synthetic.load_synthetic` reads both back to an equal set.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from healthgan import __version__
from healthgan.card_text import card_text, front_matter
from healthgan.errors import InputError
from healthgan.files import (
    check_new_file,
    check_new_folder,
    write_atomically,
    write_folder_atomically,
    write_text,
)
from healthgan.sources.pictures import PICTURE_SUFFIXES
from healthgan.sources.synthetic import CARD, MAX_CARD_BYTES, METADATA, SyntheticSet

README = "README.md"
INTENDED_USE = (
    "Training images beside real ones, in research on small image sets. Measure on real held-out images whether they "
    "help; keep them out of validation and test sets."
)
LIMITS = (
    "They repeat what the training images have in common, their mistakes and gaps included: they add no patients.",
    "They are not for diagnosis, nor for measuring how well a model works.",
    "No audit proves that no training image can be recognised; treat them with the care the training images need.",
)
_FILE_SUFFIXES = frozenset({".7z", ".bz2", ".h5", ".hdf5", ".jp2", ".mp4"}) | PICTURE_SUFFIXES
"""Of files, beside those of letters alone."""


def make_card(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    class_names: Sequence[str],
    *,
    name: str,
    trained_on: Mapping[str, Any],
    generator: Mapping[str, Any],
    selection: Mapping[str, Any] | None = None,
    fidelity: Mapping[str, Any] | None = None,
    privacy: Mapping[str, Any] | None = None,
    intended_use: str = INTENDED_USE,
    limits: Sequence[str] = LIMITS,
) -> dict[str, Any]:
    """What a set of synthetic images should say of itself, ready for JSON.

    Args:
        pixels: (N, H, W, C) uint8.
        labels: (N,) class numbers; None where they are not known.
        class_names: K names; none where there are no labels.
        name: what to call the set.
        trained_on: the source's name, split, md5 and counts: images a class, number of patients; no identifiers.
        generator: preset, settings, seed.
        selection: the likeness rule and how many candidates it gave which verdict.
        fidelity: figures with n and interval; None is written as "not measured".
        privacy: the audit; None is written as "not audited".
        intended_use: a sentence or two.
        limits: what the images are not good for.

    Raises:
        InputError: a part holds what JSON can't say, such as NaN or an array.
    """
    counts = {} if labels is None else dict(zip(class_names, _counts(labels, len(class_names)), strict=True))
    card = {
        "name": name,
        "made_by": f"healthgan {__version__}",
        "images": len(pixels),
        "counts": counts,
        "class_names": list(class_names),
        "size": list(pixels.shape[1:3]),
        "channels": int(pixels.shape[3]),
        "trained_on": dict(trained_on),
        "generator": dict(generator),
        "selection": None if selection is None else dict(selection),
        "fidelity": None if fidelity is None else dict(fidelity),
        "privacy": None if privacy is None else dict(privacy),
        "intended_use": intended_use,
        "limits": list(limits),
    }
    found: dict[str, Any] = json.loads(_as_json(card))  # tuples become lists here and not first in the file
    return found


def check_export(path: Path) -> None:
    """Make sure that a synthetic set can be written there, before it is made.

    Args:
        path: as for :func:`export`.

    Raises:
        InputError: the path is taken, can't be written, or looks like a file of another kind.
    """
    if path.suffix.lower() == ".npz":
        check_new_file(path)
        check_new_file(_card_beside(path), replace=True)
        return
    check_new_folder(path)
    suffix = path.suffix.lower()
    if not path.is_dir() and (suffix[1:].isalpha() or suffix in _FILE_SUFFIXES):
        raise InputError(
            f"'{path}' looks like a {suffix} file, which can't be written. End it in .npz for one file, or leave "
            f"'{path.suffix}' out for a folder of PNG files."
        )


def export(made: SyntheticSet, path: Path, verdicts: Sequence[str] | None = None) -> None:
    """Write a synthetic set, whole or not at all.

    Args:
        made: images with a card of :func:`make_card`.
        path: a new ``.npz``, or a folder that is new or empty.
        verdicts: N words for a further column of a folder's ``metadata.csv``; not written into an ``.npz``.

    Raises:
        InputError: the path is taken, the set has no card or one of another set, or a class name can't be written.
    """
    card = _checked_card(made)
    check_export(path)
    if path.suffix.lower() == ".npz":
        _export_npz(path, made, card)
        return
    write_folder_atomically(path, lambda part: _write_folder(part, made, card, verdicts))


def _counts(labels: NDArray[np.int64], classes: int) -> list[int]:
    found: list[int] = np.bincount(labels, minlength=classes).tolist()
    return found


def _as_json(card: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The card can't be written as JSON ({error}). Give numbers, text, lists and None."
        ) from error
    if size > MAX_CARD_BYTES:
        raise InputError(f"The card has {size} bytes; {MAX_CARD_BYTES} are allowed. Shorten it.")
    return text


def _checked_card(made: SyntheticSet) -> dict[str, Any]:
    if made.card is None:
        raise InputError("The synthetic set has no card. Make one with make_card.")
    told = {key: made.card.get(key) for key in ("images", "class_names", "size", "channels")}
    height, width, channels = made.pixels.shape[1:]
    is_so = {"images": len(made), "class_names": list(made.class_names), "size": [height, width]}
    if told != is_so | {"channels": channels}:
        raise InputError(f"The card is of another set: it says {told}. Make one with make_card.")
    for name in made.class_names:
        if "\0" in name or name.encode("utf-8", "ignore").decode("utf-8") != name:
            raise InputError(f"The class name {name!r} can't be written to a file. Rename the class.")
    return made.card


def _export_npz(path: Path, made: SyntheticSet, card: Mapping[str, Any]) -> None:
    """The card is written last and an older one goes first: a set that has its card beside it is whole."""
    text = _card_beside(path)
    text.unlink(missing_ok=True)
    write_atomically(path, lambda part: _write_npz(part, made, card))
    try:
        write_text(text, card_text(card, f"'card' in {path.name}"))
    except BaseException:  # a full disk, an impatient user
        path.unlink()  # so that the same command can be repeated
        raise


def _card_beside(path: Path) -> Path:
    return path.with_suffix(".card.md")


def _write_npz(path: Path, made: SyntheticSet, card: Mapping[str, Any]) -> None:
    grey = made.pixels.shape[3] == 1
    pixels = made.pixels[..., 0] if grey else made.pixels  # MedMNIST's shapes: (N, H, W) or (N, H, W, 3)
    arrays: dict[str, NDArray[Any]] = {"card": np.array(_as_json(card))}
    if made.labels is None:
        arrays["images"] = pixels
    else:
        kind = np.uint8 if len(made.class_names) <= 256 else np.int64
        arrays |= {"train_images": pixels, "train_labels": made.labels.astype(kind)[:, np.newaxis]}
        arrays["class_names"] = np.array(made.class_names)
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _write_folder(
    root: Path, made: SyntheticSet, card: Mapping[str, Any], verdicts: Sequence[str] | None
) -> None:
    digits = max(5, len(str(len(made) - 1)))
    names = [f"{number:0{digits}d}.png" for number in range(len(made))]
    for name, image in zip(names, made.pixels, strict=True):
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(root / name)
    columns: dict[str, Sequence[str]] = {"file_name": names}
    if made.labels is not None:
        columns["label"] = [made.class_names[label] for label in made.labels]
    if verdicts is not None:
        columns["verdict"] = verdicts
    with (root / METADATA).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    write_text(root / CARD, _as_json(card))
    write_text(root / README, front_matter(card) + card_text(card, CARD))
