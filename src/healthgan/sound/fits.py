"""The classifiers of a sound study: one job by itself, or all of them in one go, with the same records."""

import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.arms import Materials, NothingKeptError, Training, make_training, onward
from healthgan.classifiers.batched import train_many
from healthgan.classifiers.judging import predict_many
from healthgan.classifiers.recipes import Recipe, digest
from healthgan.classifiers.train import Trained, train
from healthgan.executors import Job, Report, Result, Step
from healthgan.images import Split
from healthgan.jobs import save_npz, seed_for
from healthgan.sound.context import SoundContext, materials_of, task_of
from healthgan.sound.plan import ONWARD

HELD_OUT: tuple[Split, ...] = ("val", "test")


def fit(context: SoundContext, job: Job, report: Report) -> Result:
    """Train a classifier and let it judge."""
    try:
        training = _training(context, job)
    except NothingKeptError as error:
        return _skipped(job, error)
    recipe = training.recipe
    trained = train(
        recipe,
        training.pool,
        torch.device(context.device),
        lambda done: report(Step(job.key, done, recipe.steps, {})),
    )
    judged = _judged(context, str(job.parameters["cell"]))
    logits = {name: trained.predict(images) for name, images in judged.items()}
    return _finished(context, job, _planned(job, training), trained, logits)


def fit_many(context: SoundContext, jobs: list[Job], report: Report) -> list[Result | FloatingPointError]:
    """Train all classifiers together; the records are those of ``fit``, but for what rounding changes.

    Time is shared among the jobs in proportion to their steps. All steps are reported as those of the first job.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    records: dict[str, Result] = {}
    planned: list[Job] = []

    def trainings() -> Iterator[tuple[Recipe, NDArray[np.uint8]]]:
        for job in jobs:
            try:
                training = _training(context, job)
            except NothingKeptError as error:
                records[job.key] = _skipped(job, error)
                continue
            records[job.key] = _planned(job, training)
            planned.append(job)
            yield training.recipe, training.pool

    total = len(jobs) * context.protocol.training.steps
    outcomes = train_many(
        trainings(),
        torch.device(context.device),
        lambda done: report(Step(jobs[0].key, min(done, total), total, {})),
    )
    found = {job.key: outcome for job, outcome in zip(planned, outcomes, strict=True)}
    failed = {key: outcome for key, outcome in found.items() if isinstance(outcome, FloatingPointError)}
    trained = {key: outcome for key, outcome in found.items() if isinstance(outcome, Trained)}
    for job, logits in _judged_together(context, planned, trained):
        records[job.key] = _finished(context, job, records[job.key], trained[job.key], logits)
    steps = sum(record.get("steps", 0) for record in records.values())
    second = (time.monotonic() - started) / max(steps, 1)
    return [
        failed[job.key]
        if job.key in failed
        else records[job.key] | {"time_seconds": second * records[job.key].get("steps", 0)}
        for job in jobs
    ]


def _judged_together(
    context: SoundContext, jobs: list[Job], trained: Mapping[str, Trained]
) -> Iterator[tuple[Job, dict[str, NDArray[np.float32]]]]:
    """The jobs with their classifiers' logits, cell by cell."""
    for cell in dict.fromkeys(str(job.parameters["cell"]) for job in jobs):
        here = [job for job in jobs if job.parameters["cell"] == cell and job.key in trained]
        judges = [trained[job.key] for job in here]
        logits = {name: predict_many(judges, images) for name, images in _judged(context, cell).items()}
        for row, job in enumerate(here):
            yield job, {name: found[row] for name, found in logits.items()}


def _training(context: SoundContext, job: Job) -> Training:
    """The recipe of a fit with its images."""
    cell, arm, number = (job.parameters[name] for name in ("cell", "arm", "generator"))
    settings, seed = context.settings, seed_for(context.seed, job.key)
    if cell != ONWARD:
        return make_training(arm, materials_of(context, cell, arm, number), settings, seed)
    second = task_of(context, ONWARD)
    reals = Materials(second.rares["train"].pixels, second.references["train"].pixels)
    first = materials_of(context, "main", "real" if arm == "scratch" else arm, number)
    return onward(None if arm == "scratch" else arm, first, reals, settings, seed)


def _judged(context: SoundContext, cell: str) -> dict[str, NDArray[np.uint8]]:
    """Images to be judged: of each held-out split and of an external set, rare ones first, as in the truth."""
    task = task_of(context, cell)
    sets = {
        str(split): np.concatenate([task.rares[split].pixels, task.references[split].pixels])
        for split in HELD_OUT
    }
    external = context.study.external
    if external is not None and cell != ONWARD:
        sets["external"] = np.concatenate([external.rares.pixels, external.references.pixels])
    return sets


def _named(job: Job) -> Result:
    return {name: job.parameters[name] for name in ("cell", "arm", "generator", "seed")}


def _skipped(job: Job, error: NothingKeptError) -> Result:
    """Too few images were kept: a finding about the generator, and no fault of the user's."""
    return _named(job) | {"skipped": str(error), "artifacts": {}}


def _planned(job: Job, training: Training) -> Result:
    return _named(job) | {
        "steps": training.recipe.steps,
        "images": {"real": training.real, "synthetic": training.synthetic},
        "training_digest": digest(training.recipe, training.pool),
    }


def _finished(
    context: SoundContext,
    job: Job,
    record: Result,
    trained: Trained,
    logits: dict[str, NDArray[np.float32]],
) -> Result:
    file = f"predictions/{job.key.replace('/', '-')}.npz"
    save_npz(context.folder.artifact(file), **logits)
    return record | {"weights_digest": trained.digest, "artifacts": context.folder.hashes([file])}
