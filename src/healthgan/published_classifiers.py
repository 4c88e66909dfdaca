"""The classifiers of a study after the published one: one job by itself, or all of them in one go, with the same records."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.classifiers.folds import Examples, FoldScores, FoldTraining, run_folds, run_many_folds
from healthgan.executors import Job, Report, Result, Step
from healthgan.protocol import Protocol
from healthgan.published_context import (
    CANDIDATES,
    Context,
    Outcomes,
    device_of,
    load_npz,
    recipe_of,
    save_npz,
    seed_for,
    subset,
)
from healthgan.scores import accuracy, auroc
from healthgan.splits import stratified_folds
from healthgan.task import Task


@dataclass(frozen=True)
class _Planned:
    """A classifier before its training, if it has any: what its record says, and what it is trained on."""

    record: Result
    task: Task
    training: FoldTraining | None


def train_classifier(context: Context, job: Job, report: Report) -> Result:
    """Train the classifier of an arm at a floor, and let it judge."""
    planned, folds = _planned(context, job), context.protocol.folds
    one = planned.training
    if one is None:
        return planned.record
    scores, judged = run_folds(
        one.examples,
        one.test_pixels,
        recipe=recipe_of(context.protocol),
        epochs=one.epochs,
        reset_between_folds=folds.reset_between_folds,
        synthetic_in_validation=folds.synthetic_in_validation,
        seed=one.seed,
        device=device_of(context),
        progress=lambda epoch: report(Step(job.key, epoch, one.epochs * folds.count, {})),
    )
    return _trained_classifier(context, job, planned, scores, judged)


def train_classifiers(context: Context, jobs: Sequence[Job], report: Report) -> Outcomes:
    """Train all classifiers as one program."""
    everything = [_planned(context, job) for job in jobs]
    trained = [place for place, planned in enumerate(everything) if planned.training is not None]
    folds = context.protocol.folds
    steps = [0] * len(jobs)

    def told(number: int, done: int, total: int) -> None:
        steps[trained[number]] = total
        report(Step(jobs[trained[number]].key, done, total, {}))

    found = run_many_folds(
        [one for planned in everything if (one := planned.training) is not None],
        recipe=recipe_of(context.protocol),
        reset_between_folds=folds.reset_between_folds,
        synthetic_in_validation=folds.synthetic_in_validation,
        device=device_of(context),
        progress=told,
    )
    records = {
        place: _trained_classifier(context, jobs[place], everything[place], *outcome)
        for place, outcome in zip(trained, found, strict=True)
    }
    return [(records.get(place, planned.record), steps[place]) for place, planned in enumerate(everything)]


def _planned(context: Context, job: Job) -> _Planned:
    """Images, epochs and seed of a classifier; nothing is trained where its floor lets no generated image in."""
    protocol, arm, floor = context.protocol, str(job.parameters["arm"]), float(job.parameters["floor"])
    task = context.control if arm == "control" else context.task
    assert task is not None
    record: Result = {"arm": arm, "floor": floor, "accepted": 0}
    generated = np.empty((0, *task.rares["train"].pixels.shape[1:]), np.uint8)
    if arm == "generated":
        stored = load_npz(context.folder.artifact(CANDIDATES))
        accepted = np.flatnonzero(stored["likeness"] >= floor)
        room = len(task.references["train"]) - len(task.rares["train"])
        kept = subset(accepted, room, seed_for(context.seed, f"{job.key}/kept"))
        record["accepted"] = len(accepted)
        generated = stored["images"][kept]
    examples, counts = _examples(task, generated, protocol)
    test_rares, test_references = task.balanced("test")
    record |= counts | {"test_images": len(test_rares) + len(test_references)}
    if arm == "generated" and record["generated"] == 0:
        return _Planned(record | {"epochs": 0, "artifacts": {}}, task, None)
    epochs = protocol.classifier.epochs_for(counts["train_images"], arm == "generated")
    test_pixels = np.concatenate([test_rares.pixels, test_references.pixels])
    return _Planned(
        record, task, FoldTraining(examples, test_pixels, epochs, seed_for(context.seed, job.key))
    )


def _trained_classifier(
    context: Context, job: Job, planned: _Planned, scores: list[FoldScores], judged: NDArray[np.float32]
) -> Result:
    """The record of a trained classifier, whose predictions are written."""
    assert planned.training is not None
    tests = planned.task.balanced("test")
    labels = planned.task.test_labels
    predictions = f"predictions/{job.key.replace('/', '-')}.npz"
    save_npz(
        context.folder.artifact(predictions),
        image=np.concatenate([members.image for members in tests]),
        patient=np.concatenate([members.patient for members in tests]),
        label=labels,
        score=judged,
    )
    return (
        planned.record
        | _summary(scores)
        | {
            "epochs": planned.training.epochs,
            "test_accuracy": accuracy(labels, judged),
            "test_auroc": auroc(labels, judged),
            "artifacts": context.folder.hashes([predictions]),
        }
    )


def _examples(
    task: Task, generated: NDArray[np.uint8], protocol: Protocol
) -> tuple[Examples, dict[str, int]]:
    """Training and validation images of an arm with their folds, and how many of each kind there are."""
    rares, references = task.balanced("train", extra=len(generated))
    val_rares, val_references = task.balanced("val")
    parts: list[tuple[NDArray[np.uint8], NDArray[np.int64] | None, int]] = [
        (rares.pixels, rares.patient, 1),
        (generated, None, 1),
        (references.pixels, references.patient, 0),
        (val_rares.pixels, val_rares.patient, 1),
        (val_references.pixels, val_references.patient, 0),
    ]
    labels = np.concatenate([np.full(len(pixels), label) for pixels, _, label in parts])
    synthetic = np.concatenate([np.full(len(pixels), patients is None) for pixels, patients, _ in parts])
    patients = None
    if protocol.folds.keep_patients_together:
        own = -1 - np.arange(len(generated))  # a generated image belongs to no patient
        patients = np.concatenate([own if known is None else known for _, known, _ in parts])
    names = (task.reference, task.rare)
    folds = stratified_folds(labels, patients, protocol.folds.count, protocol.folds.seed, names)
    counts = {
        "real": len(rares),
        "generated": len(generated),
        "train_images": len(rares) + len(generated) + len(references),
        "val_images": len(val_rares) + len(val_references),
    }
    return Examples(np.concatenate([pixels for pixels, _, _ in parts]), labels, synthetic, folds), counts


def _summary(scores: list[FoldScores]) -> dict[str, Any]:
    return {
        "folds": [asdict(fold) for fold in scores],
        "train_accuracy": float(np.mean([fold.train_accuracy for fold in scores])),
        "val_accuracy": float(np.mean([fold.val_accuracy for fold in scores])),
    }
