"""How long one of each thing that a study is made of takes in this process, on made-up images."""

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.arms import Materials, make_training
from healthgan.classifiers.batched import train_many
from healthgan.classifiers.fit import Recipe, fit, new_classifier
from healthgan.classifiers.train import train
from healthgan.estimate import Rates, What, completed
from healthgan.generators.diffusion import BLOCK
from healthgan.generators.fit_dcgan import fit_dcgan
from healthgan.generators.presets import DIFFUSION, DiffusionGenerator
from healthgan.protocol import Protocol
from healthgan.protocol_sound import Sound
from healthgan.sound.context import training_settings
from healthgan.ssim import best_match
from healthgan.stopping import Stopped

SECONDS = 1.0
"""How long each thing is measured; slow ones twice at least."""


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
        until: when measuring ends, by the monotonic clock, which all processes of a machine share.
    """

    protocol: Protocol | Sound
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    device: str
    brought: bool
    together: int
    until: float = math.inf


Part = Callable[[Trial, Materials, Rates], Mapping[What, float]]
"""Measures something with made-up images, given what was measured before."""


class EnoughError(Exception):
    """Measured for long enough."""


class Watch:
    """Times what calls it now and then, the first stretch left out: it loads and compiles."""

    def __init__(self, until: float = math.inf) -> None:
        self._until = until
        self._marks: list[tuple[float, float]] = []

    def seen(self, done: float) -> bool:
        """So much is done now; True where that was watched for long enough, or once where there is no more time."""
        self._marks.append((done, time.perf_counter()))
        if len(self._marks) > 1 and time.monotonic() >= self._until:
            return True
        return len(self._marks) > 2 and self._marks[-1][1] - self._marks[0][1] >= SECONDS

    def stop_if_enough(self, done: float) -> None:
        """As ``seen``, ending what is timed."""
        if self.seen(done):
            raise EnoughError

    @property
    def each(self) -> float:
        """Seconds for one."""
        (first, start), (last, end) = self._marks[0], self._marks[-1]
        return (end - start) / max(last - first, 1)


def _pair(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A pair of pixels in the search for the most alike image."""
    rare, reference = images.rare, images.reference
    best_match(rare[:8], reference[:8], threads=1, device="cpu")  # compiles
    watch, done = Watch(trial.until), 0
    while not watch.seen(done):
        best_match(rare, reference, threads=1, device="cpu")
        done += len(rare) * reference.size
    return {"pair": watch.each}


def _step(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A step of a classifier."""
    return {"step": _step_of(trial, images, "real")}


def _altered_step(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A step of a classifier with classical augmentation."""
    return {"altered step": _step_of(trial, images, "classical")}


def _step_of(trial: Trial, images: Materials, arm: str) -> float:
    """Seconds for a step of an arm's classifiers, which are trained as they will be: one by one, or all together."""
    assert isinstance(trial.protocol, Sound)
    watch, device = Watch(trial.until), torch.device(trial.device)
    settings = replace(training_settings(trial.protocol), steps=10_000 if trial.together else 100_000)
    trainings = [make_training(arm, images, settings, seed) for seed in range(trial.together or 1)]
    with suppress(EnoughError):  # raised by the watch
        if trial.together:
            given = [(training.recipe, training.pool) for training in trainings]
            train_many(given, device, watch.stop_if_enough)
        else:
            train(trainings[0].recipe, trainings[0].pool, device, watch.stop_if_enough)
    return watch.each


def _labelled(images: Materials) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    labels = np.repeat([0, 1], [len(images.reference), len(images.rare)])
    return np.concatenate([images.reference, images.rare]), labels


def _generator_step(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A step of the diffusion generator."""
    assert isinstance(trial.protocol, Sound)
    watch, steps = Watch(trial.until), 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return watch.seen(steps)

    settings = DIFFUSION[trial.protocol.generator.preset]
    with suppress(Stopped):  # by the watch
        DiffusionGenerator(settings, device=trial.device, stop=stop).fit(*_labelled(images))
    return {"generator step": watch.each}


def _check_and_image(trial: Trial, images: Materials, rates: Rates) -> Mapping[What, float]:
    """A check of the diffusion generator, and an image of it: where there is time, as neither can be cut short."""
    assert isinstance(trial.protocol, Sound)
    likely = completed(rates, ("generator step", "check", "image"))
    if time.monotonic() + likely["check"] + BLOCK * likely["image"] > trial.until:
        return {}
    settings = replace(DIFFUSION[trial.protocol.generator.preset], steps=1, checks=1)
    begun = time.perf_counter()
    short = DiffusionGenerator(settings, device=trial.device).fit(*_labelled(images))
    checked = time.perf_counter()
    short.sample(BLOCK, 1, 0)
    made = time.perf_counter()
    return {
        "check": max(checked - begun - likely["generator step"], 0.0),
        "image": (made - checked) / BLOCK,
    }


def _gan_step(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A step of the published GAN."""
    assert isinstance(trial.protocol, Protocol)
    settings, watch, steps = trial.protocol.generator, Watch(trial.until), 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        watch.stop_if_enough(steps)
        return False

    with tempfile.TemporaryDirectory() as folder, suppress(EnoughError):  # raised by the watch
        fit_dcgan(
            images.rare,
            preset=settings.preset,
            epochs=10_000,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=0,
            device=torch.device(trial.device),
            checkpoint=Path(folder) / "none",
            progress=lambda _epoch, _facts: None,
            stop=stop,
        )
    return {"gan step": watch.each}


def _fold_step(trial: Trial, images: Materials, _rates: Rates) -> Mapping[What, float]:
    """A step of the published study's classifier."""
    assert isinstance(trial.protocol, Protocol)
    settings, watch = trial.protocol.classifier, Watch(trial.until)
    pixels, labels = _labelled(images)
    recipe = Recipe(settings.scale_pixels, settings.learning_rate, settings.batch)
    batches = -(-len(pixels) // recipe.batch)
    device = torch.device(trial.device)
    classifier = new_classifier(pixels.shape[1:3], pixels.shape[3], recipe, 0, device)
    with suppress(EnoughError):  # raised by the watch
        fit(classifier, pixels, labels, 100_000, lambda epoch: watch.stop_if_enough(epoch * batches))
    return {"fold step": watch.each}


def parts_of(trial: Trial) -> dict[tuple[What, ...], Part]:
    """What is measured, in order, and by what."""
    sound, trained = isinstance(trial.protocol, Sound), not trial.brought
    parts: list[tuple[bool, tuple[What, ...], Part]] = [
        (sound, ("step",), _step),
        (sound and trained, ("generator step",), _generator_step),
        (not sound and trained, ("gan step",), _gan_step),
        (not sound, ("fold step",), _fold_step),
        (True, ("pair",), _pair),
        (sound, ("altered step",), _altered_step),
        (sound and trained, ("check", "image"), _check_and_image),
    ]
    return {names: part for asked, names, part in parts if asked}
