"""Splits and folds that never part a patient, and the duplicates that undermine them."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split

FRACTIONS = (0.7, 0.1, 0.2)
"""Of all images, for train, val and test where a source is not split."""


@dataclass(frozen=True)
class Overlaps:
    """What splits share and shouldn't.

    Attributes:
        inside: split → images equal, pixel by pixel, to an earlier one of the same split.
        across: (earlier split, later split) → images of the later one that also stand in the earlier.
        patients: (earlier split, later split) → patients with images in both; None where a source does not
            tell its patients.
    """

    inside: Mapping[Split, int]
    across: Mapping[tuple[Split, Split], int]
    patients: Mapping[tuple[Split, Split], int] | None


def duplicates(collection: Collection) -> Overlaps:
    """Count equal images inside each split and across splits, and patients in several splits."""
    hashes = {split: pixel_hashes(collection[split]) for split in collection}
    sets = {split: set(found) for split, found in hashes.items()}
    pairs = list(itertools.combinations(collection, 2))
    people = {split: set(_known_patients(collection[split]).tolist()) for split in collection}
    told = all(collection[split].patients is not None for split in collection)
    return Overlaps(
        inside={split: len(found) - len(sets[split]) for split, found in hashes.items()},
        across={(a, b): sum(value in sets[a] for value in hashes[b]) for a, b in pairs},
        patients={(a, b): len(people[a] & people[b]) for a, b in pairs} if told else None,
    )


def keep_apart(collection: Collection) -> tuple[Collection, dict[Split, dict[str, int]]]:
    """Leave every patient and every image in one split only: the first of train, val and test.

    Training data thus never changes because of validation or test images.

    Returns:
        The collection without the images of later splits that belong to an earlier one, and how many
        images each split lost: split → ``{"patient": n, "duplicate": n}`` (an image that is both counts as
        patient).

    Raises:
        InputError: a split would lose all its images.
    """
    seen_pixels: set[bytes] = set()
    seen_patients: NDArray[np.int64] = np.empty(0, np.int64)
    kept: dict[Split, ImageSet] = {}
    removed: dict[Split, dict[str, int]] = {}
    for split in collection:
        images = collection[split]
        hashes = pixel_hashes(images)
        patient = (
            np.zeros(len(images), bool)
            if images.patients is None
            else np.isin(images.patients, seen_patients)
        )
        duplicate = np.array([value in seen_pixels for value in hashes], bool) & ~patient
        stays = ~(patient | duplicate)
        removed[split] = {"patient": int(patient.sum()), "duplicate": int(duplicate.sum())}
        if not stays.any():
            raise InputError(
                f"'{collection.name}': every image of '{split}' belongs to a patient of, or also stands in, an "
                "earlier split. Give the split images of its own or leave it out."
            )
        kept[split] = images if stays.all() else images.take(np.flatnonzero(stays))
        seen_pixels.update(value for value, stay in zip(hashes, stays, strict=True) if stay)
        seen_patients = np.union1d(seen_patients, _known_patients(kept[split]))
    return replace(collection, splits=kept), removed


def split_collection(
    collection: Collection, seed: int, fractions: tuple[float, float, float] = FRACTIONS
) -> Collection:
    """Divide a source that is not split into train, val and test.

    Patients and equal images stay together; otherwise each class is divided in the given proportions, as
    nearly as whole patients allow, the rarest class first (after Sechidis et al., "On the stratification
    of multi-label data", ECML PKDD 2011, with patients in place of images).

    Args:
        collection: with everything in ``train``.
        seed: another one gives another division.
        fractions: of train, val and test; they add up to 1.

    Raises:
        InputError: the source is split already, or too small for three splits.
    """
    if set(collection) != {"train"}:
        raise InputError(f"'{collection.name}' is split already ({', '.join(collection)}).")
    images = collection["train"]
    groups = together(images)
    classes = _memberships(images)
    counts = np.zeros((groups.max() + 1, classes.shape[1]), np.int64)
    np.add.at(counts, groups, classes)
    part = _assign(counts, np.array(fractions), np.random.default_rng(seed))[groups]
    for number, split in enumerate(SPLITS):
        if not (part == number).any():
            raise InputError(
                f"'{collection.name}' has {len(images)} images of {len(counts)} patients or different pictures: "
                f"too few for train, val and test ('{split}' would be empty). Add images, or split them yourself."
            )
    return replace(
        collection,
        splits={split: images.take(np.flatnonzero(part == number)) for number, split in enumerate(SPLITS)},
    )


def in_splits(collection: Collection, seed: int) -> Collection:
    """The collection with all three splits: its own, or made by the seed where it has none.

    Raises:
        InputError: it has some splits but not all, or too few images to be divided.
    """
    if tuple(collection) == ("train",):
        return split_collection(collection, seed)
    missing = [split for split in SPLITS if split not in collection.splits]
    if missing:
        raise InputError(
            f"'{collection.name}' has the splits {', '.join(collection)} but not {', '.join(missing)}. "
            "Add what is missing, or give all images unsplit: then the program divides them by patient."
        )
    return collection


def stratified_folds(
    labels: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    n_folds: int,
    seed: int,
    names: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """The number of the fold that each image is held out in.

    Without patients the folds are those of scikit-learn's ``StratifiedKFold(shuffle=True)``, with them those
    of ``StratifiedGroupKFold(shuffle=True)``, which keeps a patient's images in one fold.

    Args:
        labels: (n,) class numbers.
        patients: (n,) codes.
        n_folds: 2 or more.
        seed: scikit-learn's ``random_state``.
        names: of the classes, for messages; by default their numbers.

    Returns:
        (n,) int64 from 0 to n_folds − 1.

    Raises:
        InputError: a class has fewer images, or patients, than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    for label in np.unique(labels):
        members = labels == label
        found = int(members.sum()) if patients is None else len(np.unique(patients[members]))
        if found < n_folds:
            what = "images" if patients is None else "patients"
            name = f"number {label}" if names is None else f"'{names[label]}'"
            raise InputError(
                f"The class {name} has {found} {what}; {n_folds} folds need {n_folds}. Add {what} of it, or take fewer "
                "folds (in a protocol of your own)."
            )
    splitter = StratifiedKFold if patients is None else StratifiedGroupKFold
    folds = np.full(len(labels), -1, np.int64)
    parts = splitter(n_folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, patients)
    for number, (_, held_out) in enumerate(parts):
        folds[held_out] = number
    return folds


class Pictures(Protocol):
    """Whatever has pictures."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(N, H, W, C)."""
        ...


def pixel_hashes(images: Pictures) -> list[bytes]:
    """A 128-bit hash of each image's pixels: equal images have equal hashes."""
    pixels = np.ascontiguousarray(images.pixels)
    return [hashlib.blake2b(picture.data, digest_size=16).digest() for picture in pixels]


def _known_patients(images: ImageSet) -> NDArray[np.int64]:
    return np.empty(0, np.int64) if images.patients is None else np.unique(images.patients)


def _memberships(images: ImageSet) -> NDArray[np.bool_]:
    """(N, classes) True where the image has the label; the last column, where it has none."""
    if images.multi_label:
        return np.column_stack([images.labels == 1, ~images.labels.any(axis=1)])
    return np.equal.outer(images.labels, np.arange(len(images.class_names)))


def together(images: ImageSet) -> NDArray[np.int64]:
    """(N,) numbers of what must stay together: images tied by a patient or by equal pixels."""
    first: dict[bytes, int] = {}
    pixels = np.array([first.setdefault(value, len(first)) for value in pixel_hashes(images)], np.int64)
    if images.patients is None:
        return pixels
    _, people = np.unique(images.patients, return_inverse=True)
    nodes = len(first) + int(people.max()) + 1
    edges = coo_array((np.ones(len(pixels), bool), (pixels, len(first) + people)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    _, groups = np.unique(component[pixels], return_inverse=True)
    return np.asarray(groups, np.int64)


def _assign(
    counts: NDArray[np.int64], fractions: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(groups,) number of the split each group goes to.

    Args:
        counts: (groups, classes) images of each class.
        fractions: (splits,).
        rng: decides among equals.
    """
    wanted = fractions[:, np.newaxis] * counts.sum(axis=0)  # (splits, classes) images still to be given
    part = np.full(len(counts), -1, np.int64)
    shuffled = rng.permutation(len(counts))
    order: Sequence[int] = np.argsort(counts.sum(axis=0), kind="stable").tolist()
    for label in order:
        left = shuffled[(part[shuffled] < 0) & (counts[shuffled, label] > 0)]
        for group in left[np.argsort(-counts[left, label], kind="stable")]:
            best = np.flatnonzero(wanted[:, label] >= wanted[:, label].max() - 1e-9)
            choice = best[np.argmax(wanted[best].sum(axis=1))]
            part[group] = choice
            wanted[choice] -= counts[group]
    return part
