"""Training and test parts of a sound study."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.protocol_sound import Curve, Design
from healthgan.splits import stratified_folds, together
from healthgan.task import REST, Members, Task, make_task, with_fewer

VALIDATION_FOLDS = 8
"""In a cross-validation, one in so many of the images outside the test fold is held out for validation."""

Kind = Literal["main", "fold", "curve", "onward"]


@dataclass(frozen=True)
class Classes:
    """Which task is set, however the images are divided."""

    rare: str | None
    reference: str | None
    rare_count: int | None
    seed: int


@dataclass(frozen=True)
class Cell:
    """One training part and one test part.

    Attributes:
        name: stands in the keys of its jobs.
        kind: ``main``, ``fold`` (of a cross-validation), ``curve`` (of the learning curve) or ``onward`` (another task).
        rare_count: rare training images; None for all.
        draw: of the learning curve.
        repeat: of the cross-validation.
        fold: of the cross-validation.
    """

    name: str
    kind: Kind
    rare_count: int | None = None
    draw: int | None = None
    repeat: int | None = None
    fold: int | None = None

    def facts(self) -> dict[str, Any]:
        """For a record."""
        return asdict(self)


def plan_cells(
    design: Design, kind: str, curve: Curve | None, rare_count: int | None, rares: int
) -> list[Cell]:
    """The cells of a study, the ones first that the verdict rests on.

    Args:
        design: folds and repeats.
        kind: ``own-test``, ``cross-validation`` or ``tuning``.
        curve: the learning curve, of studies with a test split only.
        rare_count: rare training images that the study keeps.
        rares: how many it has then.
    """
    if kind != "own-test":
        return [
            Cell(f"cv-{repeat}-{fold}", "fold", rare_count, repeat=repeat, fold=fold)
            for repeat in range(design.repeats)
            for fold in range(design.folds)
        ]
    counts = [] if curve is None else [count for count in curve.counts if count < rares]
    draws = 0 if curve is None else curve.draws
    return [
        Cell("main", "main", rare_count),
        *(
            Cell(f"n{count:04d}-{draw}", "curve", count, draw=draw)
            for count in counts
            for draw in range(draws)
        ),
    ]


def cell_task(collection: Collection, classes: Classes, design: Design, cell: Cell) -> Task:
    """The images of a cell; the same call gives the same images.

    A draw of the learning curve is taken from the rare images that the study keeps: its curve is about them.

    Args:
        collection: in three splits, or in ``train`` alone for a cross-validation.
        classes: which task.
        design: of the study.
        cell: one of ``plan_cells``.
    """
    if cell.kind == "fold":
        assert cell.repeat is not None
        assert cell.fold is not None
        parts = _fold_parts(collection, classes, design.folds, cell.repeat, cell.fold)
        collection = _taken(_numbered(collection), parts)
    task = make_task(
        collection,
        rare=classes.rare,
        reference=classes.reference,
        rare_count=classes.rare_count if cell.kind == "curve" else cell.rare_count,
        order="first",
        seed=classes.seed,
    )
    if cell.kind != "curve":
        return task
    assert cell.draw is not None
    assert cell.rare_count is not None
    return with_fewer(task, cell.rare_count, draw_seed(classes.seed, cell.draw))


def _numbered(collection: Collection) -> Collection:
    """An unsplit source whose images, where it tells no patients, have a number each as theirs: the same in every fold.

    Counted within folds, other images would take the same numbers, and an image another one in every repeat: statistics
    over folds would take strangers for one patient, and one image for several.
    """
    images = collection["train"]
    if images.patients is not None:
        return collection
    return replace(collection, splits={"train": replace(images, patients=np.arange(len(images)))})


def draw_seed(seed: int, draw: int) -> int:
    """The seed by which a draw of the learning curve picks its patients."""
    return int(np.random.SeedSequence(seed, spawn_key=(11, draw)).generate_state(1, np.uint64)[0] >> 1)


def all_in_one(collection: Collection, splits: tuple[Split, ...]) -> Collection:
    """The images of these splits as one unsplit source; patients that are not known stay unknown."""
    sets = [collection[split] for split in splits if split in collection.splits]
    merged = replace(
        sets[0],
        pixels=np.concatenate([images.pixels for images in sets]),
        labels=np.concatenate([images.labels for images in sets]),
        patients=_joined([images.patients for images in sets]),
        columns={name: np.concatenate([images.columns[name] for images in sets]) for name in _shared(sets)},
    )
    return replace(collection, splits={"train": merged})


def fold_collection(
    collection: Collection, classes: Classes, folds: int, repeat: int, fold: int
) -> Collection:
    """An unsplit source with one fold as test split and an eighth of the rest as validation split.

    Patients and equal pictures stay together; folds are stratified by the rare class.

    Raises:
        InputError: there are too few patients with rare images, or without, for so many folds.
    """
    return _taken(collection, _fold_parts(collection, classes, folds, repeat, fold))


def _taken(collection: Collection, parts: Mapping[Split, NDArray[np.int64]]) -> Collection:
    """The images of an unsplit source at these positions."""
    images = collection["train"]
    return replace(collection, splits={split: images.take(index) for split, index in parts.items()})


def _fold_parts(
    collection: Collection, classes: Classes, folds: int, repeat: int, fold: int
) -> dict[Split, NDArray[np.int64]]:
    """Positions in the unsplit source, in order."""
    images = collection["train"]
    assert classes.rare is not None, "the class is resolved before cells are made"
    label = images.members(classes.rare).astype(np.int64)
    groups = together(images)
    _enough(collection, classes.rare, groups[label == 1], folds)
    _enough(collection, f"not {classes.rare}", groups[label == 0], folds)
    seed = int(np.random.SeedSequence(classes.seed, spawn_key=(13, repeat)).generate_state(1)[0])
    test = stratified_folds(label, groups, folds, seed) == fold
    rest = np.flatnonzero(~test)
    validation = rest[stratified_folds(label[rest], groups[rest], VALIDATION_FOLDS, seed) == 0]
    return {"train": np.setdiff1d(rest, validation), "val": validation, "test": np.flatnonzero(test)}


def fold_patients(folds: int) -> int:
    """Patients of a class that a cross-validation needs: two in every test part, eight for the validation folds beside it."""
    return next(
        count for count in itertools.count(2 * folds) if count - math.ceil(count / folds) >= VALIDATION_FOLDS
    )


def _enough(collection: Collection, name: str, groups: NDArray[np.int64], folds: int) -> None:
    found, needed = len(np.unique(groups)), fold_patients(folds)
    if found >= needed:
        return
    unit = "different images" if collection["train"].patients is None else "patients with images"
    others = [count for count in range(2, folds) if fold_patients(count) <= found]
    fewer = f" take {max(others)} folds (design.folds in a protocol of your own)," if others else ""
    raise InputError(
        f"'{collection.name}' has {found} {unit} of '{name}'; a cross-validation of {folds} folds, with a validation part "
        f"in each, needs {needed}. Add images of more patients,{fewer} or divide the source into train, val and test "
        "yourself."
    )


def held_back(
    collection: Collection, task: Task, cell: Cell, classes: Classes, design: Design
) -> Members | None:
    """Rare training images that a cell leaves out because of its rare count; none of a patient whom it trains on."""
    if cell.rare_count is None or cell.kind in ("curve", "onward"):
        return None
    everything = cell_task(collection, classes, design, replace(cell, rare_count=None))
    rares = everything.rares["train"]
    known = np.concatenate([task.rares["train"].patient, task.references["train"].patient])
    fresh = np.flatnonzero(~np.isin(rares.image, task.rares["train"].image) & ~np.isin(rares.patient, known))
    return rares.take(fresh) if len(fresh) else None


def other_findings(
    collection: Collection, task: Task, cell: Cell, classes: Classes, design: Design
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]] | None:
    """Training images that are neither rare nor reference, and their labels without the rare class.

    An image of the reference class that has another finding too is none of them: it is taught as what it is, once.

    Returns:
        (N, H, W, C) uint8 with their labels (N, K) float32, and the labels (M, K) of the reference images of the task;
        None where there are none, as where the reference is all the rest.
    """
    if task.reference == REST:
        return None
    if cell.kind == "fold":
        assert cell.repeat is not None
        assert cell.fold is not None
        collection = fold_collection(collection, classes, design.folds, cell.repeat, cell.fold)
    images = collection["train"]
    others = [name for name in images.class_names if name not in (task.rare, task.reference)]
    targets = np.column_stack([images.members(name) for name in others]) if others else np.empty((0, 0), bool)
    if not targets.size:
        return None
    neither = ~images.members(task.rare) & ~images.members(task.reference)
    chosen = np.flatnonzero(targets.any(axis=1) & neither)
    used = targets[chosen].any(axis=0)
    if not len(chosen):
        return None
    of_references = targets[task.references["train"].image]
    own, theirs = (part[:, used].astype(np.float32) for part in (targets[chosen], of_references))
    return images.pixels[chosen], own, theirs


def external_members(
    collection: Collection, rare: str, reference: str
) -> tuple[Members, Members, Mapping[str, NDArray[np.str_]]]:
    """Rare and reference images of an external test set, and its columns in that order.

    A source that has a test split gives that; another, all its images.

    Raises:
        InputError: a class is missing; the message names the test source.
    """
    images = collection["test"] if "test" in collection.splits else all_in_one(collection, SPLITS)["train"]
    for name in (rare, reference):
        if name not in images.known_classes and name != REST:
            raise InputError(
                f"The test source '{collection.name}' has no class '{name}'; its classes are: "
                f"{', '.join(images.known_classes)}. Name its classes as those of the study's own source are named."
            )
    is_rare = images.members(rare)
    is_reference = ~is_rare if reference == REST else images.members(reference) & ~is_rare
    for name, found in ((rare, is_rare), (reference, is_reference)):
        if not found.any():
            raise InputError(f"The test source '{collection.name}' has no image of '{name}' to test on.")
    patients = np.arange(len(images)) if images.patients is None else images.patients
    order = np.concatenate([np.flatnonzero(is_rare), np.flatnonzero(is_reference)])
    parts = [
        Members(images.pixels[index], index, patients[index])
        for index in (np.flatnonzero(is_rare), np.flatnonzero(is_reference))
    ]
    return parts[0], parts[1], {name: values[order] for name, values in images.columns.items()}


def _joined(patients: list[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    known = [codes for codes in patients if codes is not None]
    return np.concatenate(known) if len(known) == len(patients) else None


def _shared(sets: list[ImageSet]) -> list[str]:
    return [name for name in sets[0].columns if all(name in images.columns for images in sets)]
