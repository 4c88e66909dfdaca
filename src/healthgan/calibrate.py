"""How fast this machine does what a study is made of: measured for seconds, on made-up images of the study's size."""

import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.arms import Materials, Settings, make_training
from healthgan.classifiers.batched import train_many
from healthgan.classifiers.fit import Recipe, fit, new_classifier
from healthgan.classifiers.train import train
from healthgan.estimate import Rates, What
from healthgan.executors import Job, Report, Result, run_jobs
from healthgan.generators.dcgan import Generator
from healthgan.generators.diffusion import BLOCK
from healthgan.generators.fit_dcgan import fit_dcgan
from healthgan.generators.presets import DIFFUSION, DiffusionGenerator
from healthgan.protocol import Protocol
from healthgan.protocol_sound import Sound
from healthgan.sound.context import training_settings
from healthgan.ssim import best_match
from healthgan.stopping import Stopped

SECONDS = 1.5
"""How long each thing is measured; slow ones twice at least."""
IMAGES = 256
"""Made-up images of a class, at most."""


@dataclass(frozen=True)
class Machine:
    """What was measured.

    Attributes:
        rates: seconds that one of each thing takes in one of the workers, all of them at work.
        start: seconds until workers can begin.
        weights: bytes of a generator's file.
        seconds: that measuring took.
    """

    rates: Rates
    start: float
    weights: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What each worker measures.

    Attributes:
        protocol: of the study.
        shape: (H, W, C) of its images.
        counts: rare and reference training images; fewer are made up.
        device: ``cpu`` or ``cuda``.
        brought: whether no generator is trained.
        together: classifiers that are trained in one go; 0 for one by one.
    """

    protocol: Protocol | Sound
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    device: str
    brought: bool
    together: int


class _EnoughError(Exception):
    """Measured for long enough."""


def calibrate(trial: Trial, workers: int) -> Machine:
    """Measure in as many workers at once as the study will have: they share memory and cores as its jobs do.

    Args:
        trial: what to measure.
        workers: processes of one thread each.
    """
    began = time.monotonic()
    jobs = [Job(f"calibration/{number}", "calibration", {}) for number in range(workers)]
    found = list(run_jobs(jobs, set(), measure, trial, workers, lambda _: None))
    seconds = time.monotonic() - began
    rates: dict[What, float] = {
        what: float(np.mean([record["rates"][what] for record in found])) for what in found[0]["rates"]
    }
    return Machine(
        rates,
        max(seconds - max(record["time_seconds"] for record in found), 0.0),
        int(found[0]["weights"]),
        seconds,
    )


def measure(trial: Trial, _job: Job, _report: Report) -> Result:
    """What one worker measures."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rare, reference = (
        rng.integers(0, 256, (min(count, IMAGES), *trial.shape), np.uint8) for count in trial.counts
    )
    rates: dict[What, float] = {"pair": _pair(rare, reference)}
    weights = 0
    if isinstance(trial.protocol, Sound):
        rates |= {what: _step(trial, arm, rare, reference) for what, arm in _STEPS.items()}
        if not trial.brought:
            found, weights = _generator(trial.protocol, rare, reference, trial.device)
            rates |= found
    else:
        rates["fold step"] = _fold_step(trial.protocol, rare, reference, trial.device)
        if not trial.brought:
            rates["gan step"] = _gan_step(trial.protocol, rare, trial.device)
            weights = _bytes(Generator(trial.protocol.generator.preset, trial.shape[0], trial.shape[2]))
    return {"rates": rates, "weights": weights}


_STEPS: dict[What, str] = {"step": "real", "altered step": "classical"}


class _Watch:
    """Times what calls it now and then, the first stretch left out: it loads and compiles."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []

    def seen(self, done: float) -> bool:
        """So much is done now; True where that was watched for long enough."""
        self._marks.append((done, time.perf_counter()))
        return len(self._marks) > 2 and self._marks[-1][1] - self._marks[0][1] >= SECONDS

    def stop_if_enough(self, done: float) -> None:
        """As ``seen``, ending what is timed."""
        if self.seen(done):
            raise _EnoughError

    @property
    def each(self) -> float:
        """Seconds for one."""
        (first, start), (last, end) = self._marks[0], self._marks[-1]
        return (end - start) / max(last - first, 1)


def _pair(rare: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Seconds for a pair of pixels in the search for the most alike image."""
    best_match(rare[:8], reference[:8], threads=1, device="cpu")  # compiles
    watch, done = _Watch(), 0
    while not watch.seen(done):
        best_match(rare, reference, threads=1, device="cpu")
        done += len(rare) * reference.size
    return watch.each


def _step(trial: Trial, arm: str, rare: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Seconds for a step of an arm's classifiers, which are trained as they will be: one by one, or all together."""
    assert isinstance(trial.protocol, Sound)
    settings = training_settings(trial.protocol)
    watch, device = _Watch(), torch.device(trial.device)
    materials = Materials(rare, reference)
    if trial.together:
        return _step_together(settings, arm, materials, device, trial.together)
    training = make_training(arm, materials, replace(settings, steps=100_000), 0)
    with suppress(_EnoughError):
        train(training.recipe, training.pool, device, watch.stop_if_enough)
    return watch.each


def _step_together(
    settings: Settings,
    arm: str,
    materials: Materials,
    device: torch.device,
    count: int,
) -> float:
    """Seconds for a step of one of many classifiers that are trained in one go."""
    watch = _Watch()
    trainings = [
        make_training(arm, materials, replace(settings, steps=10_000), seed) for seed in range(count)
    ]
    with suppress(_EnoughError):
        train_many([(training.recipe, training.pool) for training in trainings], device, watch.stop_if_enough)
    return watch.each


def _generator(
    protocol: Sound, rare: NDArray[np.uint8], reference: NDArray[np.uint8], device: str
) -> tuple[dict[What, float], int]:
    """Seconds for a step of the diffusion generator, a check and an image; and the bytes of its weights."""
    settings = DIFFUSION[protocol.generator.preset]
    images, labels = np.concatenate([reference, rare]), np.repeat([0, 1], [len(reference), len(rare)])
    watch, steps = _Watch(), 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return watch.seen(steps)

    with suppress(Stopped):
        DiffusionGenerator(settings, device=device, stop=stop).fit(images, labels)
    begun = time.perf_counter()
    short = DiffusionGenerator(replace(settings, steps=1, checks=1), device=device).fit(images, labels)
    checked = time.perf_counter()
    short.sample(BLOCK, 1, 0)
    made = time.perf_counter()
    assert short.trained is not None
    rates: dict[What, float] = {
        "generator step": watch.each,
        "check": max(checked - begun - watch.each, 0.0),
        "image": (made - checked) / BLOCK,
    }
    return rates, _bytes(short.trained.network)


def _gan_step(protocol: Protocol, rare: NDArray[np.uint8], device: str) -> float:
    """Seconds for a step of the published GAN."""
    settings, watch, steps = protocol.generator, _Watch(), 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        watch.stop_if_enough(steps)
        return False

    with tempfile.TemporaryDirectory() as folder, suppress(_EnoughError):
        fit_dcgan(
            rare,
            preset=settings.preset,
            epochs=10_000,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=0,
            device=torch.device(device),
            checkpoint=Path(folder) / "none",
            progress=lambda _epoch, _facts: None,
            stop=stop,
        )
    return watch.each


def _fold_step(
    protocol: Protocol, rare: NDArray[np.uint8], reference: NDArray[np.uint8], device: str
) -> float:
    """Seconds for a step of the published study's classifier."""
    settings, watch = protocol.classifier, _Watch()
    images = np.concatenate([rare, reference])
    labels = np.repeat([1, 0], [len(rare), len(reference)])
    recipe = Recipe(settings.scale_pixels, settings.learning_rate, settings.batch)
    batches = -(-len(images) // recipe.batch)
    classifier = new_classifier(images.shape[1:3], images.shape[3], recipe, 0, torch.device(device))
    with suppress(_EnoughError):
        fit(classifier, images, labels, 100_000, lambda epoch: watch.stop_if_enough(epoch * batches))
    return watch.each


def _bytes(network: torch.nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())
