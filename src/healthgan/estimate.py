"""What a study's jobs should take, before any has run: how much of what each has to do, and how long one of it takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from statistics import geometric_mean
from types import MappingProxyType
from typing import Literal

from healthgan.devices import choose_device, cores
from healthgan.executors import Job
from healthgan.generators.measure import MOST
from healthgan.generators.presets import DIFFUSION
from healthgan.progress import Progress
from healthgan.protocol import Protocol
from healthgan.protocol_sound import BOTH_CLASSES
from healthgan.sound.context import MOST_REFERENCES
from healthgan.sound.fits import HELD_OUT
from healthgan.sound.jobs import JUDGES
from healthgan.sound.prepare import SoundStudy
from healthgan.studies import TOGETHER_ON, Study

What = Literal["step", "altered step", "generator step", "check", "image", "pair", "gan step", "fold step"]
"""What time goes into: a step of a classifier, without and with classical augmentation; a step of the diffusion
generator, a check of its checkpoint, an image of it; a pair of pixels compared; of a study after the published one, a
step of the GAN, and of a classifier."""

Amounts = Mapping[What, float]
Rates = Mapping[What, float]
"""Seconds that one of each takes, in one worker."""

USUAL: Rates = MappingProxyType(
    {
        "step": 0.0075,
        "altered step": 0.011,
        "generator step": 0.18,
        "check": 1.5,
        "image": 0.03,
        "pair": 2.5e-10,
        "gan step": 0.5,
        "fold step": 0.008,
    }
)
"""At 28×28 pixels on a core of 2026: for the ratios between jobs of which none has been measured yet."""

MEASURING = 21 * 2000
"""Steps of all classifiers that measure the fidelity of a generator."""
ROUNDS = 3
"""Times that all real images are compared with one another for a likeness band, where patients are not known."""
VECTORS = 16
"""Images that are kept of each epoch of the published GAN."""
REACH = 0.5
"""Of these, the share that reaches a floor: a guess."""


REPORT = 2_000_000
"""Bytes of a report with its figures and tables, about."""
CHECKPOINT = 6
"""A checkpoint of a generator holds so many times its weights: its averages, its opponent, both optimisers."""


def expected(study: Study | SoundStudy, rates: Rates = USUAL) -> dict[str, float]:
    """Job key → seconds that it should take in one worker."""
    return {
        job.key: sum(rates[what] * amount for what, amount in amounts(study, job).items())
        for job in study.jobs
    }


def completed(rates: Rates, wanted: Iterable[What]) -> Rates:
    """All rates that are wanted: those not measured are the usual ones, as much slower as the measured ones are.

    Args:
        rates: measured.
        wanted: what a study is made of.
    """
    slower = [rate / USUAL[what] for what, rate in rates.items() if rate > 0]
    factor = geometric_mean(slower) if slower else 1.0
    return {what: rates.get(what, factor * USUAL[what]) for what in wanted}


def progress_of(
    study: Study | SoundStudy, device: str, workers: int | None, cluster: str | None = None
) -> Progress:
    """What shows how far a study is; arguments as ``studies.run`` takes them."""
    at_once = workers or (cores() if cluster is None else 1)
    alone = (
        cluster is not None or not isinstance(study, SoundStudy) or choose_device(device) not in TOGETHER_ON
    )
    return Progress(study.jobs, expected(study), at_once, None if alone else "fit")


@dataclass(frozen=True)
class Disk:
    """Bytes that a run folder takes.

    Attributes:
        kept: when the study is done.
        most: on the way, with the checkpoints of running generators and the images that the workers share.
    """

    kept: int
    most: int


def disk(study: Study | SoundStudy, weights: int, workers: int) -> Disk:
    """What the run folder should take.

    Args:
        study: what ``prepare`` gave.
        weights: bytes of one generator.
        workers: jobs at a time.
    """
    generators = sum(job.kind == "generator" for job in study.jobs)
    pixels = _pixels(study)
    if isinstance(study, SoundStudy):
        judged = sum(
            len(members[split]) for members in (study.task.rares, study.task.references) for split in HELD_OUT
        )
        pools = sum(job.kind == "pool" for job in study.jobs)
        classifiers = sum(job.kind == "fit" for job in study.jobs)
        images = 2 * pools * study.protocol.generator.candidates * pixels
        shared = sum(study.collection[split].pixels.nbytes for split in study.collection)
    else:
        judged = 2 * len(study.task.rares["test"])
        classifiers = sum(job.kind == "classifier" for job in study.jobs)
        images = (_rendered(study) + _harvest(study, study.protocol)) * pixels
        shared = sum(
            part[split].pixels.nbytes for part in (study.task.rares, study.task.references) for split in part
        )
    kept = REPORT + generators * weights + images + 4 * judged * classifiers
    return Disk(kept, kept + shared + CHECKPOINT * weights * min(generators, workers))


def amounts(study: Study | SoundStudy, job: Job) -> Amounts:
    """How much of what a job has to do; of the cells of a study, all as of the first."""
    if isinstance(study, SoundStudy):
        return _SOUND[job.kind](study, job)
    return _PUBLISHED[job.kind](study, study.protocol, job)


def _generator(study: SoundStudy, _job: Job) -> Amounts:
    settings = DIFFUSION[study.protocol.generator.preset]
    return {"generator step": settings.steps, "check": settings.checks}


def _band(study: SoundStudy, _job: Job) -> Amounts:
    rounds = 1 if study.facts["main"]["patients_known"] else ROUNDS
    return {"pair": rounds * sum(count**2 for count in _reals(study)) * _pixels(study)}


def _pool(study: SoundStudy, _job: Job) -> Amounts:
    settings, reals = study.protocol.generator, _reals(study)
    classes = 2 if BOTH_CLASSES & set(study.arms) else 1
    made = 0 if study.brought is not None else settings.candidates * classes
    candidates = settings.candidates if study.brought is None else len(study.brought.pixels)
    judges = JUDGES if "faithful-50" in study.arms else 0
    return {
        "image": made,
        "pair": candidates * sum(reals[:classes]) * _pixels(study),
        "step": judges * study.protocol.training.steps,
    }


def _quality(study: SoundStudy, _job: Job) -> Amounts:
    return {"image": 2 * min(MOST, 2 * _reals(study)[0]), "step": MEASURING}


def _truth(_study: SoundStudy, _job: Job) -> Amounts:
    return {}


def _fit(study: SoundStudy, job: Job) -> Amounts:
    altered = "classical" in str(job.parameters["arm"]) or job.parameters["arm"] in (
        "both-mixup",
        "transfer-both",
    )
    return {"altered step" if altered else "step": study.protocol.training.steps}


def _gan(study: Study, protocol: Protocol, _job: Job) -> Amounts:
    batches = ceil(len(study.task.rares["train"]) / protocol.generator.batch)
    return {"gan step": protocol.generator.epochs * batches}


def _likeness(study: Study, protocol: Protocol, _job: Job) -> Amounts:
    return {"pair": _harvest(study, protocol) * len(study.task.rares["train"]) * _pixels(study)}


def _classifier(study: Study, protocol: Protocol, job: Job) -> Amounts:
    task = study.control if job.parameters["arm"] == "control" and study.control is not None else study.task
    rares, references = (len(members["train"]) for members in (task.rares, task.references))
    generated = 0
    if job.parameters["arm"] == "generated":
        generated = min(int(REACH * _harvest(study, protocol)), max(references - rares, 0))
    training = 2 * min(rares + generated, references)
    images = training + 2 * min(len(task.rares["val"]), len(task.references["val"]))
    epochs = protocol.classifier.epochs_for(training, generated > 0)
    batches = ceil(images * (protocol.folds.count - 1) / protocol.folds.count / protocol.classifier.batch)
    return {"fold step": epochs * protocol.folds.count * batches}


def _real_or_synthetic(study: Study, protocol: Protocol, _job: Job) -> Amounts:
    settings = protocol.real_or_synthetic
    batches = ceil(2 * len(study.task.rares["train"]) / protocol.classifier.batch)
    return {"fold step": settings.classifier_seeds * settings.epochs * batches}


def _harvest(study: Study, protocol: Protocol) -> int:
    """Candidates of a study after the published one."""
    if study.brought is not None:
        return len(study.brought.pixels)
    settings = protocol.generator
    return settings.rounds * VECTORS * max(settings.epochs - settings.harvest_after, 0)


def _rendered(study: Study) -> int:
    """Images of all epochs that are kept, of a study that trains the published GAN."""
    settings = study.protocol.generator
    return 0 if study.brought is not None else settings.rounds * VECTORS * (settings.epochs + 1)


def _reals(study: SoundStudy) -> tuple[int, int]:
    """Rare and reference training images that others are held against."""
    task = study.task
    return len(task.rares["train"]), min(len(task.references["train"]), MOST_REFERENCES)


def _pixels(study: Study | SoundStudy) -> int:
    return int(study.task.rares["train"].pixels[0].size)


_SOUND: Mapping[str, Callable[[SoundStudy, Job], Amounts]] = MappingProxyType(
    {
        "generator": _generator,
        "band": _band,
        "pool": _pool,
        "quality": _quality,
        "truth": _truth,
        "fit": _fit,
    }
)
_PUBLISHED: Mapping[str, Callable[[Study, Protocol, Job], Amounts]] = MappingProxyType(
    {
        "generator": _gan,
        "likeness": _likeness,
        "classifier": _classifier,
        "real-or-synthetic": _real_or_synthetic,
    }
)
