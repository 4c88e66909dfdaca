"""One rare class against a reference, in every split."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError, meant
from healthgan.images import NORMAL, SPLITS, Collection, ImageSet, Split

REST = "rest"
"""As a reference: every image that is not of the rare class."""


@dataclass(frozen=True)
class Members:
    """Images of one class in one split.

    Attributes:
        pixels: (N, H, W, C) uint8.
        image: (N,) int64, the image's position in its source's split; −1 − position where it was taken
            from the main source to top up a control.
        patient: (N,) int64; where the source knows no patients, every image of every split is one of its own.
    """

    pixels: NDArray[np.uint8]
    image: NDArray[np.int64]
    patient: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def first(self, count: int) -> "Members":
        """The first ``count`` of them (views, no copies)."""
        return Members(self.pixels[:count], self.image[:count], self.patient[:count])

    def take(self, index: NDArray[np.int64]) -> "Members":
        """Those at the positions ``index``."""
        return Members(self.pixels[index], self.image[index], self.patient[index])


@dataclass(frozen=True)
class Task:
    """Rare and reference images of every split, in the order in which they are to be used.

    Attributes:
        source: the name of the source.
        rare: the class of interest.
        reference: the class it is told from.
        rares: the rare images of each split.
        references: the reference images of each split; a balanced set takes the first n.
    """

    source: str
    rare: str
    reference: str
    rares: Mapping[Split, Members]
    references: Mapping[Split, Members]

    def balanced(self, split: Split, extra: int = 0) -> tuple[Members, Members]:
        """Rare images of a split and as many reference images, with ``extra`` more of the latter.

        Where one class runs out, the first images of the other are taken.
        """
        rares, references = self.rares[split], self.references[split]
        real = min(len(rares), len(references))
        return rares.first(real), references.first(real + extra)

    @property
    def test_labels(self) -> NDArray[np.int64]:
        """Labels of the balanced test set, rare images first."""
        rares, references = self.balanced("test")
        return np.repeat(np.array([1, 0]), (len(rares), len(references)))


def make_task(
    collection: Collection,
    *,
    rare: str | None,
    reference: str | None,
    rare_count: int | None,
    order: Literal["first", "random"],
    seed: int,
) -> Task:
    """The task in a source that has all three splits.

    Args:
        collection: images with the splits train, val and test.
        rare: a class name or number; by default the smallest class, where an image has one label only.
        reference: a class name or number, ``rest``, or, in a multi-label source, ``normal``; by default
            ``normal`` in a multi-label source and ``rest`` in others.
        rare_count: keep that many rare training images, whole patients first, drawn by the seed.
        order: use the reference images in file order (the study's way) or in a random one.
        seed: decides the draws.

    Raises:
        InputError: a class is unknown or missing in a split, or there are too few images.
    """
    rare_name, reference_name = class_pair(collection, rare, reference)
    rares, references, seen = {}, {}, 0
    for split in SPLITS:
        images = collection[split]
        patients = np.arange(seen, seen + len(images)) if images.patients is None else images.patients
        seen += len(images)
        is_rare = images.members(rare_name)
        is_reference = ~is_rare if reference_name == REST else images.members(reference_name) & ~is_rare
        rares[split] = _members(images, patients, np.flatnonzero(is_rare))
        references[split] = _members(images, patients, np.flatnonzero(is_reference))
        _need_some(
            collection.name, split, {rare_name: len(rares[split]), reference_name: len(references[split])}
        )
    rng = _draws(seed)
    if rare_count is not None:
        rares["train"] = _shrink(rares["train"], rare_count, rare_name, rng)
    if order == "random":
        references = {
            split: members.take(rng.permutation(len(members))) for split, members in references.items()
        }
    return Task(collection.name, rare_name, reference_name, rares, references)


def with_fewer(task: Task, count: int, seed: int) -> Task:
    """The task with so many of its rare training images, whole patients first, drawn by the seed as ``make_task`` does.

    Raises:
        InputError: it has fewer.
    """
    kept = _shrink(task.rares["train"], count, task.rare, _draws(seed))
    return replace(task, rares={**task.rares, "train": kept})


def class_pair(collection: Collection, rare: str | None, reference: str | None) -> tuple[str, str]:
    """The names of the rare and of the reference class, defaults filled in as ``make_task`` does.

    Raises:
        InputError: a class is unknown, or both are the same, or there is one only.
    """
    names = collection["train"].known_classes
    if len(names) == 1 and not collection.multi_label:
        raise InputError(
            f"'{collection.name}' has one class only, '{names[0]}'; a study needs a rare one and another. Give each a "
            "sub-folder, or name them in the column 'label' of a .csv."
        )
    rare_name = _rare_name(collection, rare)
    reference_name = _reference_name(collection, reference)
    if rare_name == reference_name:
        raise InputError(f"'{rare_name}' is given as rare and as reference class. Give two different ones.")
    return rare_name, reference_name


def check_rare(task: Task) -> None:
    """Make sure that the rare class is the smaller one in training, so that a set can be balanced.

    Raises:
        InputError: there are more rare than reference images.
    """
    rares, references = len(task.rares["train"]), len(task.references["train"])
    if references < rares:
        raise InputError(
            f"'{task.source}' has {rares} training images of '{task.rare}' but only {references} of "
            f"'{task.reference}': '{task.rare}' is not the rare class. Swap --rare and --reference, or shrink it "
            "with --rare-count."
        )


def top_up(control: Task, main: Task) -> Task:
    """The control with reference images of the main task added where it has too few, as published.

    This mixes two sources in one class, which a classifier can learn instead of the finding.

    Raises:
        InputError: the two have images of different sizes or channels.
    """
    ours, theirs = main.rares["train"].pixels.shape[1:], control.rares["train"].pixels.shape[1:]
    if ours != theirs:
        raise InputError(
            f"The control '{control.source}' has images of {theirs} (height, width, channels), the main source "
            f"'{main.source}' of {ours}; they must be equal. Leave [control] out of the protocol, or take a fitting one."
        )
    references = {}
    classes = (control.rares, control.references)
    strangers = 1 + max(int(members[split].patient.max()) for members in classes for split in SPLITS)
    for split in SPLITS:
        own = control.references[split]
        more = main.references[split].first(max(len(control.rares[split]) - len(own), 0))
        references[split] = Members(
            pixels=np.concatenate([own.pixels, more.pixels]),
            image=np.concatenate([own.image, -1 - more.image]),
            patient=np.concatenate([own.patient, more.patient + strangers]),
        )
    return Task(control.source, control.rare, control.reference, control.rares, references)


def _class_name(collection: Collection, given: str) -> str:
    """A class by its name, or by its number."""
    names = collection["train"].known_classes
    if given not in names and given.isdecimal() and int(given) < len(collection.class_names):
        return collection.class_names[int(given)]
    if given not in names:
        raise InputError(
            f"'{collection.name}' has no class '{given}'.{meant(given, names)} Its classes are: {', '.join(names)}."
        )
    return given


def _rare_name(collection: Collection, given: str | None) -> str:
    if given is not None:
        return _class_name(collection, given)
    if collection.multi_label:
        raise InputError(
            f"An image of '{collection.name}' may have several labels: name the rare class with --rare. "
            f"The classes are: {', '.join(collection.class_names)}."
        )
    counts = np.bincount(collection["train"].labels, minlength=len(collection.class_names))
    return collection.class_names[int(np.argmin(counts))]


def _reference_name(collection: Collection, given: str | None) -> str:
    if given is None:
        return NORMAL if collection.multi_label else REST
    return REST if given == REST and REST not in collection.class_names else _class_name(collection, given)


def _members(images: ImageSet, patients: NDArray[np.int64], index: NDArray[np.int64]) -> Members:
    return Members(images.pixels[index], index, patients[index])


def _need_some(source: str, split: Split, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        if count == 0:
            raise InputError(
                f"'{source}' has no image of '{name}' in its {split} split. Choose another class, or another split "
                "of the images."
            )


def _draws(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))


def _shrink(members: Members, count: int, name: str, rng: np.random.Generator) -> Members:
    if count > len(members):
        raise InputError(
            f"--rare-count {count} is more than the {len(members)} training images of '{name}'. Give fewer."
        )
    patients = rng.permutation(np.unique(members.patient))
    rank = np.empty(int(patients.max()) + 1, np.int64)
    rank[patients] = np.arange(len(patients))
    chosen = np.argsort(rank[members.patient], kind="stable")[:count]
    return members.take(np.sort(chosen))
