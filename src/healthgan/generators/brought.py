"""Synthetic images that a user brings to a study: what is read of them, what can be checked, what is left out."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.generators.interface import declared_checks, heldout_suspects
from healthgan.images import Split
from healthgan.sources import printable
from healthgan.sources.synthetic import load_synthetic
from healthgan.task import Members, Task

if TYPE_CHECKING:
    from healthgan.likeness import Candidates

DECLARED = "declared to be made from this study's training images only, which cannot be proved"
MIN_IMAGES = 3
"""The fewest that a study takes, as of real images."""
MIN_HALF = 10
"""With fewer accepted images to train on, or to be scored, real and synthetic are not told apart."""
CALIBRATE = 2000
"""Training images that set the thresholds for altered copies, at most."""
_HELD_OUT: tuple[Split, ...] = ("val", "test")
_TEXT = 200  # characters of a card's text that are kept


@dataclass(frozen=True)
class Brought:
    """Images that take the place of a generator's.

    Attributes:
        pixels: (N, H, W, C) uint8 of the rare class, none of them a held-out image.
        position: (N,) int64, the place of each in its file or folder.
        patients_known: whether the study's source tells its patients.
    """

    pixels: NDArray[np.uint8]
    position: NDArray[np.int64]
    patients_known: bool


def read_brought(
    path: str | Path, task: Task, *, size: int | None, patients_known: bool, origin: Mapping[str, Any]
) -> tuple[Brought, dict[str, Any]]:
    """Read a synthetic set and check what can be checked of it against the task.

    Validation and test images are compared with it for this check only: they decide nothing but that copies of
    them are left out.

    Args:
        path: as in ``healthgan.sources.synthetic.load_synthetic``.
        task: whose rare class the images are of.
        size: bring a folder's pictures to size × size.
        patients_known: whether the task's source tells its patients.
        origin: ``md5`` of the source's file or None, the study's ``seed``, and ``seed_matters``: whether other seeds
            give other training images. A card is held against them.

    Returns:
        The images, and facts about them for the record: counts, digest, what the card says, warnings; no path,
        no pixel.

    Raises:
        InputError: the set can't be read, has no images of the rare class or too few, or has another size.
    """
    made = load_synthetic(path, size=size)
    found = made.of_class(task.rare)
    pixels, name = made.pixels[found], printable(made.name)
    _check_shape(name, pixels, task)
    heldout = np.concatenate(
        [members[split].pixels for members in (task.rares, task.references) for split in _HELD_OUT]
    )
    seen = {image.tobytes() for image in heldout} | {image[:, ::-1].tobytes() for image in heldout}
    clean = np.array([image.tobytes() not in seen for image in pixels], bool)
    _check_count(name, task.rare, len(found), int(clean.sum()))
    card = None if made.card is None else card_facts(made.card, task.rare)
    checks = declared_checks(pixels, heldout)
    facts = {
        "name": name,
        "digest": _digest(pixels),
        "images": len(found),
        "images_of_other_classes": len(made) - len(found),
        "labelled": made.labels is not None,
        "card": card,
        "declared": DECLARED,
        "heldout": checks,
        "left_out": int(len(found) - clean.sum()),
        "used": int(clean.sum()),
        "warnings": [*_found_held_out(checks), *_against(card, task, origin)],
    }
    return Brought(pixels[clean], found[clean], patients_known), facts


def card_facts(card: Mapping[str, Any], rare: str) -> dict[str, Any]:
    """Of a card, whoever wrote it, what a record may repeat: counts, md5, preset, seed; no text that looks like a path."""
    trained_on, generator = (_table(card.get(key)) for key in ("trained_on", "generator"))
    md5 = trained_on.get("md5")
    return {
        "made_by": _text(card.get("made_by")),
        "source": _text(trained_on.get("source")),
        "md5": md5 if isinstance(md5, str) and re.fullmatch("[0-9a-f]{32}", md5) else None,
        "split": _text(trained_on.get("split")),
        "rare_images": _number(_table(trained_on.get("images")).get(rare)),
        "preset": _text(generator.get("preset")),
        "seed": _number(generator.get("seed")),
        "sampling_seed": _number(generator.get("sampling_seed")),
    }


def candidates_of(brought: Brought, reals: NDArray[np.uint8], *, threads: int | None = None) -> "Candidates":
    """The images, each once, with their likeness; round and epoch are −1, ``vector`` is the place in the file.

    Args:
        brought: what ``read_brought`` gave.
        reals: (M, H, W, C) uint8, the real training images of the class.
        threads: to score with; by default one a core.
    """
    from healthgan.likeness import score_candidates

    found = score_candidates([brought.pixels[np.newaxis]], reals, first_epoch=0, threads=threads)
    none = np.full(len(found.images), -1, np.int64)
    return replace(found, round=none, epoch=none, vector=brought.position[found.vector])


def altered_copies(
    brought: Brought,
    learned: Sequence[Members],
    scored: Sequence[Members],
    seed: int,
    *,
    elsewhere: Sequence[Members] = (),
) -> dict[str, Any]:
    """Images that look like altered copies of the images that classifiers are scored on; decides nothing.

    Args:
        brought: what ``read_brought`` gave.
        learned: training images, all classes.
        scored: the source's validation and test images that the study scores.
        seed: draws up to 2,000 training images, which set the thresholds, and divides their patients.
        elsewhere: images of another source that it scores, whose patients are others.

    Returns:
        ``heldout_suspects``'s counts and ``beyond_chance``: whether so many would turn up in less than 1 % of
        sets without a copy. The rank of a threshold among K exchangeable images makes the
        number beyond it among N new ones beta-binomial.
    """
    from scipy.stats import betabinom

    heldout = np.concatenate([members.pixels for members in (*scored, *elsewhere)])
    train = np.concatenate([members.pixels for members in learned])
    people = np.concatenate([members.patient for members in learned])
    patients = np.concatenate([members.patient for members in scored])
    if not brought.patients_known:
        patients, people = np.arange(len(patients)), np.arange(len(train))
    strangers = 1 + int(patients.max())
    patients = np.concatenate([patients, *(strangers + members.patient for members in elsewhere)])
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.permutation(len(train))[:CALIBRATE])
    counts = heldout_suspects(brought.pixels, heldout, patients, train[drawn], people[drawn], seed)
    images, calibrated = len(brought.pixels), int(counts["calibrated_on"])
    rank = max(1.0, calibrated * float(counts["expected"]) / images)
    beyond = betabinom.sf(counts["suspects"] - 1, images, rank, calibrated + 1 - rank) < 0.01
    return {**counts, "beyond_chance": bool(beyond)}


def halves(index: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions divided at random into two halves, each in its order; of an odd number the second has one more."""
    shuffled = np.random.default_rng(seed).permutation(index)
    return np.sort(shuffled[: len(index) // 2]), np.sort(shuffled[len(index) // 2 :])


def _check_shape(name: str, pixels: NDArray[np.uint8], task: Task) -> None:
    ours, theirs = pixels.shape[1:], task.rares["train"].pixels.shape[1:]
    if ours != theirs:
        raise InputError(
            f"The synthetic images of '{name}' are {ours} (height, width, channels), those of '{task.source}' {theirs}; "
            "they must be equal. Resample with --size N, which reaches pictures in folders but not a synthetic .npz, "
            "or make them in the source's size."
        )


def _check_count(name: str, rare: str, images: int, clean: int) -> None:
    if clean < MIN_IMAGES:
        lost = f" {images - clean} of them are validation or test images." if clean < images else ""
        raise InputError(
            f"'{name}' has {images} image{'s' * (images != 1)} of '{rare}'; at least {MIN_IMAGES} are needed that are no "
            f"validation or test images.{lost} Make more from the training images."
        )


def _found_held_out(checks: Mapping[str, int]) -> list[str]:
    count = checks["heldout_found"] + checks["heldout_found_mirrored"]
    if not count:
        return []
    what = "1 held-out image stands" if count == 1 else f"{count:,} held-out images stand"
    return [f"{what} among the synthetic ones: the comparison is not valid."]


def _against(card: Mapping[str, Any] | None, task: Task, origin: Mapping[str, Any]) -> list[str]:
    """What a card says that does not fit this study."""
    if card is None:
        return []
    warnings = []
    if None not in (card["md5"], origin["md5"]) and card["md5"] != origin["md5"]:
        warnings.append(
            "The card of the synthetic images names another file (by its md5) than this study's source."
        )
    if card["split"] not in (None, "train"):
        warnings.append(
            f"The card of the synthetic images says that they were made from the split '{card['split']}', not from 'train'."
        )
    ours = len(task.rares["train"])
    if card["rare_images"] not in (None, ours):
        warnings.append(
            f"The card of the synthetic images counts {card['rare_images']:,} real training images of "
            f"'{task.rare}', this study {ours:,}: the two did not learn from the same."
        )
    if origin["seed_matters"] and card["seed"] not in (None, origin["seed"]):
        warnings.append(
            f"The seed decides what this source's training images are: {card['seed']} where the synthetic images were made "
            f"(says their card), {origin['seed']} here. They may have been made from images that are held out here."
        )
    return warnings


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if not isinstance(value, str) or "/" in value or "\\" in value:
        return None
    return printable(value[:_TEXT])


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _digest(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 over shape and pixels."""
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
