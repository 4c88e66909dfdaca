"""What a worker does for each kind of job of a study."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.executors import Job, Report, Result, Step
from healthgan.fidelity import real_or_synthetic
from healthgan.generators.brought import MIN_HALF, altered_copies, candidates_of, halves
from healthgan.generators.fit_dcgan import DcganRun, fit_dcgan, load_generator, render, save_generator
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.likeness import Candidates, score_candidates
from healthgan.nearest import heldout_likeness, nearest_reals
from healthgan.published_classifiers import train_classifier, train_classifiers
from healthgan.published_context import CANDIDATES as CANDIDATES
from healthgan.published_context import Context as Context
from healthgan.published_context import Outcomes, device_of, recipe_of, subset
from healthgan.published_context import load_npz as load_npz
from healthgan.published_context import save_npz as save_npz
from healthgan.published_context import seed_for as seed_for

EXAMPLES = "synthetic/examples.npz"
REALS = "reals/nearest.npz"


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
    settings, training = context.protocol.generator, _training(context, job, report)
    run = fit_dcgan(
        training.images,
        preset=settings.preset,
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        seed=training.seed,
        device=device_of(context),
        checkpoint=training.checkpoint,
        checkpoint_seconds=context.checkpoint_seconds,
        progress=training.progress,
    )
    return _trained_generator(context, int(job.parameters["round"]), run)


def _train_generators(context: Context, jobs: Sequence[Job], report: Report) -> Outcomes:
    settings = context.protocol.generator
    runs = fit_dcgans(
        [_training(context, job, report) for job in jobs],
        preset=settings.preset,
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        device=device_of(context),
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


def _training(context: Context, job: Job, report: Report) -> DcganTraining:
    number, epochs = int(job.parameters["round"]), context.protocol.generator.epochs
    return DcganTraining(
        context.task.rares["train"].pixels,
        seed_for(context.seed, job.key),
        context.folder.artifact(f"generator/round-{number}.checkpoint.safetensors"),
        lambda epoch, facts: report(Step(job.key, epoch, epochs, facts)),
    )


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
        task = context.task
        scored = [*task.balanced("val"), *task.balanced("test")]
        learned = [task.rares["train"], task.references["train"]]
        suspects = altered_copies(context.brought, learned, scored, seed)
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
        fresh = stored["images"][subset(rest, unseen, seed_for(context.seed, f"{job.key}/fresh"))]
    count = min(len(reals), len(accepted))
    kept = subset(accepted, count, seed_for(context.seed, f"{job.key}/kept"))
    settings = protocol.real_or_synthetic
    result = real_or_synthetic(
        reals[:count],
        stored["images"][kept],
        heldout_real=np.concatenate([members.pixels for members in heldout]),
        heldout_patients=np.concatenate([members.patient for members in heldout])
        if context.patients_known
        else None,
        fresh=fresh,
        recipe=recipe_of(protocol),
        epochs=settings.epochs,
        classifiers=settings.classifier_seeds,
        seed=seed,
        device=device_of(context),
        progress=lambda done: report(Step(job.key, done, settings.classifier_seeds, {})),
    )
    return {**asdict(result), "artifacts": {}}


WORK: dict[str, Callable[[Context, Job, Report], Result]] = {
    "generator": _train_generator,
    "likeness": _score_likeness,
    "classifier": train_classifier,
    "real-or-synthetic": _tell_real_from_synthetic,
}


WORK_MANY: dict[str, Callable[[Context, Sequence[Job], Report], Outcomes]] = {
    "generator": _train_generators,
    "classifier": train_classifiers,
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
