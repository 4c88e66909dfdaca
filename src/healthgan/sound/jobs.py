"""What a worker does for each kind of job of a sound study. No job of training sees a label of a test image."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.arms import Materials, make_training
from healthgan.classifiers.train import train
from healthgan.executors import Job, Report, Result, Step
from healthgan.files import write_text
from healthgan.generators.brought import altered_copies
from healthgan.generators.interface import check_generated
from healthgan.generators.measure import measure_generator, times_told
from healthgan.generators.store import load_generator
from healthgan.jobs import save_npz, seed_for
from healthgan.likeness import Band, Judged, calibrate, judge
from healthgan.nearest import heldout_likeness, nearest_reals
from healthgan.protocol_sound import ARMS, BOTH_CLASSES
from healthgan.sound.context import (
    SoundContext,
    band_file,
    generator_file,
    held_against,
    is_explored,
    kept_by,
    patients_known,
    pool_file,
    reals_file,
    task_of,
    training_settings,
)
from healthgan.sound.fits import HELD_OUT, fit, fit_many
from healthgan.sound.generators import RARE, REFERENCE, train_generator, train_generators
from healthgan.sound.plan import ONWARD
from healthgan.task import Members, Task

QUALITY_STEPS = 2000
"""Of each classifier that measures fidelity."""
JUDGES = 3
"""Classifiers that judge class faithfulness."""


def do_sound_job(context: SoundContext, job: Job, report: Report) -> Result:
    """Do one job and give its record, without the key and the times."""
    torch.set_num_threads(1)
    return WORK[job.kind](context, job, report)


def do_many(context: SoundContext, jobs: list[Job], report: Report) -> list[Result | FloatingPointError]:
    """Do jobs of one kind, generators or classifiers, as one program; the records are those of ``do_sound_job``."""
    return (fit_many if jobs[0].kind == "fit" else train_generators)(context, jobs, report)


def _band(context: SoundContext, job: Job, report: Report) -> Result:
    """The likeness bands of both classes, from real training images alone."""
    task = task_of(context, str(job.parameters["cell"]))
    known = patients_known(context)
    bands = {}
    for done, (name, members) in enumerate(
        (("rare", task.rares["train"]), ("reference", held_against(context, task))), start=1
    ):
        bands[name] = asdict(calibrate(members.pixels, members.patient if known else None))
        report(Step(job.key, done, 2, {}))
    name = band_file(str(job.parameters["cell"]))
    write_text(context.folder.artifact(name), json.dumps(bands))
    return {**_place(job), **bands, "artifacts": context.folder.hashes([name])}


def _pool(context: SoundContext, job: Job, report: Report) -> Result:
    """Synthetic images of both classes with what the band, the floor and a classifier say of each."""
    cell, number = str(job.parameters["cell"]), int(job.parameters["number"])
    task, protocol = task_of(context, cell), context.protocol
    arrays: dict[str, NDArray[Any]] = {}
    beside: dict[str, NDArray[Any]] = {}
    record: Result = {**_place(job), "generator": number, "rare": None, "reference": None}
    bands = json.loads(context.folder.artifact(band_file(cell)).read_text("utf-8"))
    made = _candidates(context, cell, number, seed_for(context.seed, job.key))
    reals = {"rare": task.rares["train"], "reference": held_against(context, task)}
    for done, (name, images) in enumerate(made.items(), start=1):
        judged = judge(images, reals[name].pixels, Band(**bands[name]))
        faithful = np.full(len(images), np.nan, np.float32)
        if name == "rare" and "faithful-50" in context.study.arms:
            faithful = _faithful(context, task, images, job)
        kept = kept_by(judged.verdict, judged.likeness, faithful, protocol.generator.floor)
        arrays |= _of_class(name, images, judged, faithful, reals[name])
        beside |= _named(name, nearest_reals(reals[name], judged.nearest))
        record[name] = {
            "candidates": len(images),
            "verdicts": judged.counts(),
            "kept": {rule: int(found.sum()) for rule, found in kept.items()},
        }
        report(Step(job.key, done, len(made), {}))
    files = {pool_file(cell, number): arrays}
    if number == 0 and is_explored(context, cell):
        files[reals_file(cell)] = beside
        record |= _suspects(context, task, job)
    for file, content in files.items():
        save_npz(context.folder.artifact(file), **content)
    return record | {"artifacts": context.folder.hashes(list(files))}


def _candidates(context: SoundContext, cell: str, number: int, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Images by class, from the generator or as they were brought; the reference class only where an arm needs it."""
    study, protocol = context.study, context.protocol
    if study.brought is not None:
        return {"rare": study.brought.pixels}
    generator = load_generator(
        context.folder.artifact(generator_file(cell, number)), context.device
    ).generator
    count, shape = protocol.generator.candidates, study.task.rares["train"].pixels.shape[1:]
    wanted = {"rare": RARE}
    if BOTH_CLASSES & set(study.arms):
        wanted["reference"] = REFERENCE
    return {
        name: check_generated(generator.sample(count, label, seed), n=count, shape=shape)
        for name, label in wanted.items()
    }


def _suspects(context: SoundContext, task: Task, job: Job) -> Result:
    """Of images that were brought, those that look like altered copies of what any classifier is scored on."""
    brought, external = context.study.brought, context.study.external
    if brought is None:
        return {}
    found = altered_copies(
        brought,
        [task.rares["train"], task.references["train"]],
        [members[split] for members in (task.rares, task.references) for split in HELD_OUT],
        seed_for(context.seed, f"{job.key}/suspects"),
        elsewhere=[] if external is None else [external.rares, external.references],
    )
    return {"heldout_suspects": found}


def _faithful(context: SoundContext, task: Task, images: NDArray[np.uint8], job: Job) -> NDArray[np.float32]:
    """Mean probability of the rare class, by classifiers trained on the real training images."""
    materials = Materials(task.rares["train"].pixels, task.references["train"].pixels)
    settings = training_settings(context.protocol)
    scores = []
    for number in range(JUDGES):
        training = make_training(
            "real", materials, settings, seed_for(context.seed, f"{job.key}/judge/{number}")
        )
        logits = train(training.recipe, training.pool, torch.device(context.device)).predict(images)
        scores.append(1 / (1 + np.exp(-logits)))
    mean: NDArray[np.float32] = np.mean(scores, axis=0).astype(np.float32)
    return mean


def _of_class(
    name: str, images: NDArray[np.uint8], judged: Judged, faithful: NDArray[np.float32], reals: Members
) -> dict[str, NDArray[Any]]:
    nearest = np.where(judged.nearest < 0, -1, reals.image[judged.nearest])
    values: dict[str, NDArray[Any]] = {
        "images": images,
        "verdict": judged.verdict,
        "likeness": judged.likeness,
        "nearest": nearest,
        "faithful": faithful,
    }
    return _named(name, values)


def _named(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a class, as a file with both classes names them."""
    return {f"{name}_{key}": values for key, values in arrays.items()}


def _quality(context: SoundContext, job: Job, report: Report) -> Result:
    """Fidelity and privacy of the first generator, against the validation images, which decide nothing."""
    cell, done = str(job.parameters["cell"]), itertools.count(1)
    found = measure_generator(
        load_generator(context.folder.artifact(generator_file(cell, 0)), context.device).generator,
        task_of(context, cell),
        patients_known=patients_known(context),
        both=True,
        seed=seed_for(context.seed, job.key) % 2**31,
        device=context.device,
        steps=QUALITY_STEPS,
        progress=lambda _: report(Step(job.key, next(done), times_told(both=True), {})),
    )
    return {**_place(job), **found, "artifacts": {}}


def _truth(context: SoundContext, job: Job, report: Report) -> Result:
    """Labels and patients of what is judged. Nothing but the report reads them."""
    cell = str(job.parameters["cell"])
    task = task_of(context, cell)
    rares, references = len(task.rares["train"]), len(task.references["train"])
    arrays: dict[str, NDArray[Any]] = {"prevalence": np.array(rares / (rares + references))}
    record: Result = {**_place(job), "prevalence": rares / (rares + references)}
    sets: dict[str, tuple[Members, Members]] = {
        split: (task.rares[split], task.references[split]) for split in HELD_OUT
    }
    external = context.study.external
    if external is not None and cell != ONWARD:
        sets["external"] = (external.rares, external.references)
        arrays |= {f"external_column_{name}": values for name, values in external.columns.items()}
    for name, pair in sets.items():
        arrays[f"{name}_label"] = np.repeat(np.array([1, 0]), [len(members) for members in pair])
        arrays[f"{name}_patient"] = np.concatenate([members.patient for members in pair])
        arrays[f"{name}_image"] = np.concatenate([members.image for members in pair])
        people = len(np.unique(arrays[f"{name}_patient"]))
        record[name] = {"rare": len(pair[0]), "reference": len(pair[1]), "patients": people}
    arrays |= _heldout(context, task, cell)
    file = f"truth/{cell}.npz"
    save_npz(context.folder.artifact(file), **arrays)
    report(Step(job.key, 1, 1, {}))
    return record | {"artifacts": context.folder.hashes([file])}


def _heldout(context: SoundContext, task: Task, cell: str) -> dict[str, NDArray[Any]]:
    """How alike held-out images are to the training images of their class, beside which synthetic ones are shown."""
    if not is_explored(context, cell) or all(ARMS[arm][0] != "synthetic" for arm in context.study.arms):
        return {}
    classes = {
        "rare": (task.rares, task.rares["train"]),
        "reference": (task.references, held_against(context, task)),
    }
    return {
        f"{name}_heldout_likeness": heldout_likeness(tuple(members[split] for split in HELD_OUT), reals)
        for name, (members, reals) in classes.items()
    }


WORK: dict[str, Callable[[SoundContext, Job, Report], Result]] = {
    "generator": train_generator,
    "band": _band,
    "pool": _pool,
    "quality": _quality,
    "truth": _truth,
    "fit": fit,
}


def _place(job: Job) -> Result:
    return {"cell": job.parameters["cell"]}
