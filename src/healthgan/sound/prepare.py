"""Read the images of a sound study and plan its jobs; nothing is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthgan.arms.available import why_not
from healthgan.errors import InputError
from healthgan.executors import Job
from healthgan.facts import collection_digest, task_facts
from healthgan.generators.brought import Brought, read_brought
from healthgan.images import SPLITS, Collection, Split
from healthgan.protocol_sound import BOTH_CLASSES, Sound
from healthgan.request import Request
from healthgan.sound.cells import (
    Cell,
    Classes,
    all_in_one,
    cell_task,
    fold_collection,
    held_back,
    other_findings,
    plan_cells,
)
from healthgan.sound.external import External, external_test, onward_task, other_images
from healthgan.sound.feasible import check_cells
from healthgan.sound.plan import ONWARD, plan_jobs
from healthgan.sources import load
from healthgan.splits import in_splits, keep_apart
from healthgan.statistics.words import FEW_SPLITS, few_splits_sentence, no_curve_sentence
from healthgan.task import Members, Task, check_rare, class_pair


@dataclass(frozen=True, eq=False)
class SoundStudy:
    """A sound study whose images are read.

    Attributes:
        request: what the user asked for.
        protocol: its settings.
        design: ``own-test``, ``cross-validation`` or ``tuning``.
        collection: in three splits; in ``train`` alone for a cross-validation.
        classes: the task.
        task: of the first cell.
        cells: training and test parts.
        arms: that run, in order.
        facts: the record of the task.
        jobs: in an order in which they can be done.
        brought: synthetic images from elsewhere.
        external: a test set from elsewhere.
        other: rare and reference training images of another source.
        onward: the task of the second question.
    """

    request: Request
    protocol: Sound
    design: str
    collection: Collection
    classes: Classes
    task: Task
    cells: tuple[Cell, ...]
    arms: tuple[str, ...]
    facts: dict[str, Any]
    jobs: tuple[Job, ...]
    brought: Brought | None
    external: External | None
    other: tuple[Members, Members] | None
    onward: Task | None

    @property
    def warnings(self) -> list[str]:
        """What speaks against the synthetic images that were brought, and what the design can't tell well."""
        brought: list[str] = self.facts.get("synthetic", {}).get("warnings", [])
        splits = sum(cell.kind == "fold" for cell in self.cells)
        few = [few_splits_sentence(splits)] if 0 < splits < FEW_SPLITS else []
        return [*brought, *few, *self._no_curve()]

    def _no_curve(self) -> list[str]:
        curve = self.protocol.curve
        if curve is None or any(cell.kind == "curve" for cell in self.cells):
            return []
        return [no_curve_sentence(brought=self.brought is not None, independent=curve.independent)]


def prepare_sound(request: Request, protocol: Sound, images: Collection | None = None) -> SoundStudy:
    """Read all images and plan the jobs.

    Args:
        request: what the user asked for.
        protocol: its settings.
        images: those of the request's source where they are in memory.

    Raises:
        InputError: a source, a class or a setting cannot be used.
    """
    source = load(request.source, size=request.size, seed=request.seed) if images is None else images
    design = _design(protocol, source)
    collection, moved = _divided(source, design, request.seed)
    rare, reference = class_pair(collection, request.rare, request.reference)
    rare_count = request.rare_count or protocol.images.rare_count
    classes = Classes(rare, reference, rare_count, request.seed)
    first = plan_cells(protocol.design, design, None, rare_count, 0)[0]
    task = cell_task(collection, classes, protocol.design, first)
    check_rare(task)
    _try_network(protocol, task)
    curve = protocol.curve
    if curve is not None and request.synthetic is not None and not curve.independent:
        curve = None  # as all training images taught the generator, or may have
    cells = plan_cells(protocol.design, design, curve, rare_count, len(task.rares["train"]))
    facts: dict[str, Any] = {"key": "task", "kind": "task"}
    facts["main"] = task_facts(_first(collection, classes, protocol, first), task)
    facts["main"]["digest"] = collection_digest(collection)
    facts["removed"] = moved
    brought = None
    if request.synthetic is not None:
        brought, facts["synthetic"] = _brought(request, source, collection, task, first)
    made = [] if brought is None else [brought]
    other, facts["other"] = other_images(request, protocol.other, collection, task)
    onward, facts["onward"] = onward_task(request, protocol.onward, collection, task, made)
    if request.test is not None and design == "tuning":
        raise InputError(
            'design.kind = "tuning" chooses settings and reads no test image. Leave --test out, and give it to the study '
            "that the settings are chosen for."
        )
    learnt = None if facts["other"] is None else facts["other"]["digest"]
    external, facts["external"] = external_test(request, collection, task, [*(other or ()), *made], learnt)
    arms, left_out = _arms(protocol, collection, classes, task, first, brought is not None)
    check_cells(collection, classes, protocol.design, cells, arms)
    if onward is not None:
        cells.append(Cell(ONWARD, "onward"))
    facts |= {"cells": [cell.facts() for cell in cells], "arms": list(arms), "left_out": left_out}
    return SoundStudy(
        request,
        protocol,
        design,
        collection,
        classes,
        task,
        tuple(cells),
        arms,
        facts,
        tuple(plan_jobs(protocol, cells, arms, brought is not None)),
        brought,
        external,
        other,
        onward,
    )


def _try_network(protocol: Sound, task: Task) -> None:
    """Build the classifier once: what is wrong with it shows before hours are spent on generators."""
    import torch  # late: it takes seconds

    from healthgan.classifiers.networks import build
    from healthgan.classifiers.train import take_weights

    training, (height, width, channels) = protocol.training, task.rares["train"].pixels.shape[1:]
    with torch.random.fork_rng([]):
        network = build(
            training.network, channels, (height, width), 1, torch.Generator(), torch.device("cpu")
        )
    take_weights(network, training.network, None if training.weights is None else Path(training.weights))


def _design(protocol: Sound, source: Collection) -> str:
    kind = protocol.design.kind
    split = "test" in source.splits
    if kind == "auto":
        kind = "own-test" if split else "cross-validation"
    if kind == "own-test" and not split:
        raise InputError(
            f'\'{source.name}\' has no test split of its own. Take design.kind = "cross-validation" or "auto".'
        )
    if kind == "tuning" and not split:
        raise InputError(
            f"'{source.name}' has no test split to leave out: settings chosen on all its images are chosen on those that a "
            'comparison then tests on. Divide it into train, val and test, or take design.kind = "cross-validation".'
        )
    if kind != "own-test" and (protocol.onward is not None):
        raise InputError(
            "The second question ([onward]) needs a source with a test split. Leave the table out."
        )
    return kind


def _divided(source: Collection, design: str, seed: int) -> tuple[Collection, dict[Split, dict[str, int]]]:
    """Three splits that share nothing, or everything in one; a test split is dropped before tuning."""
    if design == "own-test":
        return keep_apart(in_splits(source, seed))
    if tuple(source) == ("train",):
        return source, {}
    kept, moved = keep_apart(source)
    splits: tuple[Split, ...] = ("train", "val") if design == "tuning" else SPLITS
    return all_in_one(kept, splits), {split: lost for split, lost in moved.items() if split in splits}


def _first(collection: Collection, classes: Classes, protocol: Sound, cell: Cell) -> Collection:
    if cell.kind != "fold":
        return collection
    return fold_collection(collection, classes, protocol.design.folds, cell.repeat or 0, cell.fold or 0)


def _arms(
    protocol: Sound, collection: Collection, classes: Classes, task: Task, cell: Cell, brought: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The arms that can run, and why others can't."""
    fresh = held_back(collection, task, cell, classes, protocol.design) is not None
    findings = other_findings(collection, task, cell, classes, protocol.design) is not None
    left_out = {}
    for arm in protocol.arms.all:
        reason = why_not(arm, fresh=fresh, findings=findings, other=protocol.other is not None)
        if brought and arm in BOTH_CLASSES:
            reason = "the synthetic images that were brought are of the rare class only"
        if reason:
            left_out[arm] = reason
    return tuple(arm for arm in protocol.arms.all if arm not in left_out), left_out


def _brought(
    request: Request, source: Collection, collection: Collection, task: Task, cell: Cell
) -> tuple[Brought, dict[str, Any]]:
    if cell.kind == "fold":
        raise InputError(
            "Synthetic images from elsewhere were made from some training images; a cross-validation would test on those "
            "same images. Give a source with a test split of its own (folders train, val and test, or a column 'split')."
        )
    return read_brought(
        str(request.synthetic),
        task,
        size=request.size,
        patients_known=collection["train"].patients is not None,
        origin={
            "md5": source.md5,
            "seed": request.seed,
            "seed_matters": tuple(source) == ("train",) or request.source == "phantom",
        },
    )
