"""What a worker does for each kind of job of a study."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Recipe
from healthgan.classifiers.folds import Examples, FoldScores, FoldTraining, run_folds, run_many_folds
from healthgan.executors import Job, Report, Result, Step
from healthgan.fidelity import real_or_synthetic
from healthgan.files import write_atomically
from healthgan.generators.brought import MIN_HALF, Brought, altered_copies, candidates_of, halves
from healthgan.generators.fit_dcgan import DcganRun, fit_dcgan, load_generator, render, save_generator
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.likeness import Candidates, score_candidates
from healthgan.nearest import heldout_likeness, nearest_reals
from healthgan.protocol import Protocol
from healthgan.run import RunFolder
from healthgan.scores import accuracy, auroc
from healthgan.splits import stratified_folds
from healthgan.task import Task

CANDIDATES = "synthetic/candidates.npz"
EXAMPLES = "synthetic/examples.npz"
REALS = "reals/nearest.npz"


@dataclass(frozen=True)
class Context:
    """What every job of a study may read."""

    protocol: Protocol
    folder: RunFolder
    task: Task
    control: Task | None
    brought: Brought | None
    patients_known: bool
    seed: int
    device: str
    workers: int
    checkpoint_seconds: float


def seed_for(study_seed: int, key: str) -> int:
    """The seed of a job (63 bits), from the study's seed and the job's key."""
    digest = hashlib.blake2b(f"{study_seed}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def do_job(context: Context, job: Job, report: Report) -> Result:
    """Do one job and give its record, without the key and the times."""
    torch.set_num_threads(1)
    return WORK[job.kind](context, job, report)


def do_many(context: Context, jobs: list[Job], report: Report) -> list[Result | FloatingPointError]:
    """Do jobs of one kind of ``WORK_MANY`` as one program; the records are those of ``do_job``, but for what rounding changes.

    The time is shared among them in proportion to the steps of each.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    outcomes = WORK_MANY[jobs[0].kind](context, jobs, report)
    second = (time.monotonic() - started) / max(sum(steps for _, steps in outcomes), 1)
    return [
        outcome if isinstance(outcome, FloatingPointError) else outcome | {"time_seconds": second * steps}
        for outcome, steps in outcomes
    ]


def generator_files(number: int) -> tuple[str, str]:
    """Names of the artefacts of a training of the GAN: its weights, and the images of all epochs."""
    return f"generator/round-{number}.safetensors", f"synthetic/round-{number}.npz"


def _train_generator(context: Context, job: Job, report: Report) -> Result:
    settings, number = context.protocol.generator, int(job.parameters["round"])
    run = fit_dcgan(
        context.task.rares["train"].pixels,
        preset=settings.preset,
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        seed=seed_for(context.seed, job.key),
        device=_device(context),
        checkpoint=_checkpoint(context, number),
        checkpoint_seconds=context.checkpoint_seconds,
        progress=lambda epoch, facts: report(Step(job.key, epoch, settings.epochs, facts)),
    )
    return _trained_generator(context, number, run)


def _train_generators(context: Context, jobs: Sequence[Job], report: Report) -> "Outcomes":
    settings, images = context.protocol.generator, context.task.rares["train"].pixels
    trainings = [
        DcganTraining(
            images,
            seed_for(context.seed, job.key),
            _checkpoint(context, int(job.parameters["round"])),
            lambda epoch, facts, job=job: report(Step(job.key, epoch, settings.epochs, facts)),  # type: ignore[misc] # mypy cannot infer a lambda with a default
        )
        for job in jobs
    ]
    runs = fit_dcgans(
        trainings,
        preset=settings.preset,
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        device=_device(context),
        checkpoint_seconds=context.checkpoint_seconds,
    )
    return [
        (
            run
            if isinstance(run, FloatingPointError)
            else _trained_generator(context, int(job.parameters["round"]), run),
            1,
        )
        for job, run in zip(jobs, runs, strict=True)
    ]


def _checkpoint(context: Context, number: int) -> Path:
    return context.folder.artifact(f"generator/round-{number}.checkpoint.safetensors")


def _trained_generator(context: Context, number: int, run: DcganRun) -> Result:
    """The record of a training of the GAN, whose artefacts are written."""
    settings, images = context.protocol.generator, context.task.rares["train"].pixels
    weights, history = generator_files(number)
    save_generator(
        run.generator, settings.preset, images.shape[1], images.shape[3], context.folder.artifact(weights)
    )
    save_npz(context.folder.artifact(history), history=run.history, losses=run.losses, noise=run.noise)
    last = {"generator_loss": float(run.losses[-1, 0]), "discriminator_loss": float(run.losses[-1, 1])}
    return {
        "round": number,
        "images": len(images),
        "epochs": settings.epochs,
        **last,
        "artifacts": context.folder.hashes([weights, history]),
    }


def _score_likeness(context: Context, job: Job, report: Report) -> Result:
    reals = context.task.rares["train"]
    candidates, suspects = _candidates(context, job)
    lowest = context.protocol.likeness.floors[0]
    shown = candidates.spread(lowest, 8)
    nearest = np.where(candidates.nearest < 0, -1, reals.image[candidates.nearest])
    heldout = (context.task.rares["val"], context.task.rares["test"])
    save_npz(
        context.folder.artifact(CANDIDATES),
        images=candidates.images,
        likeness=candidates.likeness,
        nearest=nearest,
        round=candidates.round,
        epoch=candidates.epoch,
        vector=candidates.vector,
        heldout_likeness=heldout_likeness(heldout, reals, threads=context.workers),
    )
    save_npz(
        context.folder.artifact(EXAMPLES),
        generated=candidates.images[shown],
        likeness=candidates.likeness[shown],
        nearest=nearest[shown],
    )
    save_npz(context.folder.artifact(REALS), **nearest_reals(reals, candidates.nearest))
    report(Step(job.key, 1, 1, {}))
    accepted = {
        f"{floor:.2f}": int(candidates.accepted(floor).sum()) for floor in context.protocol.likeness.floors
    }
    known = candidates.likeness[~np.isnan(candidates.likeness)]
    return {
        "harvested": candidates.harvested,
        "duplicates": candidates.harvested - len(candidates.images),
        "constant": len(candidates.images) - len(known),
        "candidates": len(candidates.images),
        "accepted": accepted,
        "likeness_quantiles": [round(float(q), 6) for q in np.quantile(known, [0.05, 0.5, 0.95])]
        if len(known)
        else [],
        **suspects,
        "artifacts": context.folder.hashes([CANDIDATES, EXAMPLES, REALS]),
    }


def _candidates(context: Context, job: Job) -> tuple[Candidates, Result]:
    """The images that were brought, and how many look like altered held-out ones; else the generators' harvest."""
    reals = context.task.rares["train"].pixels
    if context.brought is not None:
        seed = seed_for(context.seed, f"{job.key}/suspects")
        suspects = altered_copies(context.brought, context.task, seed)
        found = candidates_of(context.brought, reals, threads=context.workers)
        return found, {"heldout_suspects": suspects}
    settings = context.protocol.generator
    rounds = [
        load_npz(context.folder.artifact(generator_files(number)[1]))["history"][settings.harvest_after + 1 :]
        for number in range(settings.rounds)
    ]  # each (epochs, 16, H, W, C); the first row of a history is before training
    return score_candidates(
        rounds, reals, first_epoch=settings.harvest_after + 1, threads=context.workers
    ), {}


@dataclass(frozen=True)
class _Planned:
    """A classifier before its training, if it has any: what its record says, and what it is trained on."""

    record: Result
    task: Task
    training: FoldTraining | None


def _train_classifier(context: Context, job: Job, report: Report) -> Result:
    planned, folds = _planned(context, job), context.protocol.folds
    one = planned.training
    if one is None:
        return planned.record
    scores, judged = run_folds(
        one.examples,
        one.test_pixels,
        recipe=_recipe(context.protocol),
        epochs=one.epochs,
        reset_between_folds=folds.reset_between_folds,
        synthetic_in_validation=folds.synthetic_in_validation,
        seed=one.seed,
        device=_device(context),
        progress=lambda epoch: report(Step(job.key, epoch, one.epochs * folds.count, {})),
    )
    return _trained_classifier(context, job, planned, scores, judged)


def _train_classifiers(context: Context, jobs: Sequence[Job], report: Report) -> "Outcomes":
    everything = [_planned(context, job) for job in jobs]
    trained = [place for place, planned in enumerate(everything) if planned.training is not None]
    folds = context.protocol.folds
    steps = [0] * len(jobs)

    def told(number: int, done: int, total: int) -> None:
        steps[trained[number]] = total
        report(Step(jobs[trained[number]].key, done, total, {}))

    found = run_many_folds(
        [one for planned in everything if (one := planned.training) is not None],
        recipe=_recipe(context.protocol),
        reset_between_folds=folds.reset_between_folds,
        synthetic_in_validation=folds.synthetic_in_validation,
        device=_device(context),
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
        kept = _subset(accepted, room, seed_for(context.seed, f"{job.key}/kept"))
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


def _tell_real_from_synthetic(context: Context, job: Job, report: Report) -> Result:
    protocol, task = context.protocol, context.task
    stored = load_npz(context.folder.artifact(CANDIDATES))
    accepted = np.flatnonzero(stored["likeness"] >= protocol.likeness.floors[0])
    reals = task.rares["train"].pixels
    seed, few = seed_for(context.seed, job.key), 1 if context.brought is None else 2 * MIN_HALF
    if len(accepted) < few:
        return {"real_images": len(reals), "generated_images": 0, "artifacts": {}}
    heldout = [task.rares["val"], task.rares["test"]]
    unseen = sum(len(members) for members in heldout)
    if context.brought is None:
        fresh = _fresh_images(context, unseen, seed)
    else:  # nothing makes new ones: half of them take that part
        accepted, rest = halves(accepted, seed_for(context.seed, f"{job.key}/halves"))
        fresh = stored["images"][_subset(rest, unseen, seed_for(context.seed, f"{job.key}/fresh"))]
    count = min(len(reals), len(accepted))
    kept = _subset(accepted, count, seed_for(context.seed, f"{job.key}/kept"))
    settings = protocol.real_or_synthetic
    result = real_or_synthetic(
        reals[:count],
        stored["images"][kept],
        heldout_real=np.concatenate([members.pixels for members in heldout]),
        heldout_patients=np.concatenate([members.patient for members in heldout])
        if context.patients_known
        else None,
        fresh=fresh,
        recipe=_recipe(protocol),
        epochs=settings.epochs,
        classifiers=settings.classifier_seeds,
        seed=seed,
        device=_device(context),
        progress=lambda done: report(Step(job.key, done, settings.classifier_seeds, {})),
    )
    return {**asdict(result), "artifacts": {}}


WORK: dict[str, Callable[[Context, Job, Report], Result]] = {
    "generator": _train_generator,
    "likeness": _score_likeness,
    "classifier": _train_classifier,
    "real-or-synthetic": _tell_real_from_synthetic,
}


Outcomes = list[tuple[Result | FloatingPointError, int]]
"""Of jobs done together, the record of each or the error that ended it, and the steps that it took."""

WORK_MANY: dict[str, Callable[[Context, Sequence[Job], Report], Outcomes]] = {
    "generator": _train_generators,
    "classifier": _train_classifiers,
}


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


def _fresh_images(context: Context, count: int, seed: int) -> NDArray[np.uint8]:
    """New images of the trained generators, as many of each as can be: (count, H, W, C) uint8."""
    settings, pixels = context.protocol.generator, context.task.rares["train"].pixels
    shares = np.bincount(np.arange(count) % settings.rounds, minlength=settings.rounds)
    rng = torch.Generator().manual_seed(seed)
    images = []
    for number, share in enumerate(shares):
        weights = context.folder.artifact(generator_files(number)[0])
        generator = load_generator(weights, settings.preset, pixels.shape[1], pixels.shape[3])
        images.append(render(generator, torch.randn(int(share), generator.noise, generator=rng)))
    return np.concatenate(images)


def _subset(index: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """All of them, or a random ``count`` of them in their order."""
    if len(index) <= count:
        return index
    return np.sort(np.random.default_rng(seed).choice(index, count, replace=False))


def _recipe(protocol: Protocol) -> Recipe:
    settings = protocol.classifier
    return Recipe(settings.scale_pixels, settings.learning_rate, settings.batch)


def _device(context: Context) -> torch.device:
    return torch.device(context.device)


def save_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays whole or not at all."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    write_atomically(path, write)


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file; no pickle is read."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
