"""The generators of a sound study: one job by itself, or all of them in one go, with the same records."""

import time
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.executors import Job, Report, Result, Step
from healthgan.generators.fit_diffusions import DiffusionTraining, fit_diffusions
from healthgan.generators.presets import DIFFUSION, DiffusionGenerator
from healthgan.generators.store import save_generator
from healthgan.jobs import seed_for
from healthgan.sound.context import SoundContext, generator_file, task_of
from healthgan.task import Members

REFERENCE, RARE = 0, 1
"""Class numbers of the generators."""


def train_generator(context: SoundContext, job: Job, report: Report) -> Result:
    """Train a generator, write its file and give its record."""
    generator = _new_generator(context, job, report)
    generator.fit(*_learnt_from(context, job))
    return _trained_generator(context, job, generator)


def train_generators(
    context: SoundContext, jobs: list[Job], report: Report
) -> list[Result | FloatingPointError]:
    """All generators together; the time is shared equally among them."""
    torch.set_num_threads(1)
    started = time.monotonic()
    made = [_new_generator(context, job, report) for job in jobs]
    outcomes = fit_diffusions(
        [_training(context, job, one, report) for job, one in zip(jobs, made, strict=True)],
        settings=made[0].settings,
        device=torch.device(context.device),
        checkpoint_seconds=context.checkpoint_seconds,
    )
    seconds = (time.monotonic() - started) / len(jobs)
    records: list[Result | FloatingPointError] = []
    for job, one, outcome in zip(jobs, made, outcomes, strict=True):
        if isinstance(outcome, FloatingPointError):
            records.append(outcome)
        else:
            one.trained = outcome
            records.append(_trained_generator(context, job, one) | {"time_seconds": seconds})
    return records


def _new_generator(context: SoundContext, job: Job, report: Report) -> DiffusionGenerator:
    name = generator_file(str(job.parameters["cell"]), int(job.parameters["number"]))
    return DiffusionGenerator(
        DIFFUSION[context.protocol.generator.preset],
        seed=seed_for(context.seed, job.key),
        device=context.device,
        checkpoint=context.folder.artifact(name.replace(".safetensors", ".checkpoint.safetensors")),
        checkpoint_seconds=context.checkpoint_seconds,
        progress=lambda done, total, facts: report(Step(job.key, done, total, facts)),
    )


def _training(
    context: SoundContext, job: Job, generator: DiffusionGenerator, report: Report
) -> DiffusionTraining:
    """What ``generator.fit`` would do, to be done with others."""
    return DiffusionTraining(
        *_learnt_from(context, job),
        generator.seed,
        generator.checkpoint,
        lambda done, facts: report(Step(job.key, done, generator.settings.steps, facts)),
    )


def _learnt_from(
    context: SoundContext, job: Job
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Images, class numbers and patients."""
    reals = _reals(context, job)
    return (
        np.concatenate([members.pixels for members in reals]),
        np.repeat(np.array([REFERENCE, RARE]), [len(members) for members in reals]),
        np.concatenate([members.patient for members in reals]),
    )


def _reals(context: SoundContext, job: Job) -> list[Members]:
    """Reference and rare training images of a job's cell."""
    task = task_of(context, str(job.parameters["cell"]))
    return [task.references["train"], task.rares["train"]]


def _trained_generator(context: SoundContext, job: Job, generator: DiffusionGenerator) -> Result:
    """The record of a trained generator, whose file is written."""
    reals, number = _reals(context, job), int(job.parameters["number"])
    name = generator_file(str(job.parameters["cell"]), number)
    assert generator.trained is not None
    save_generator(generator, {}, context.folder.artifact(name))
    checks = [
        {
            key: None if isinstance(value, float) and np.isnan(value) else value
            for key, value in asdict(check).items()
        }
        for check in generator.trained.checks
    ]
    return {
        "cell": job.parameters["cell"],
        "generator": number,
        "images": {"rare": len(reals[1]), "reference": len(reals[0])},
        "chosen": generator.trained.chosen,
        "stopped": generator.trained.stopped or None,
        "trained_in": generator.trained_in,
        "checks": checks,
        "artifacts": context.folder.hashes([name]),
    }
