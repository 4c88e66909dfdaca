"""The generators that go by a name: ``fit`` and ``sample`` as in :mod:`healthgan.generators.interface`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.errors import InputError, meant
from healthgan.generators.dcgan import Generator
from healthgan.generators.diffusion import Diffusion, Settings, sample, trains_in
from healthgan.generators.fit_dcgan import fit_dcgan, render
from healthgan.generators.fit_diffusion import fit_diffusion

Preset = Literal["edm", "edm-quick", "dcgan-2023"]
Progress = Callable[[int, int, dict[str, float]], None]
"""Told how much is done, of how much, and what was measured."""
Stop = Callable[[], bool]
"""Asked after every step whether training shall end there."""

DEFAULT: Preset = "edm"

DIFFUSION: Mapping[Preset, Settings] = {
    "edm": Settings(),
    "edm-quick": Settings(steps=400, width=32, checks=4),
}


@dataclass(frozen=True)
class DcganSettings:
    """The published training (docs/method.md).

    Attributes:
        epochs: passes over the images.
        batch: images a step.
        learning_rate: of Adam.
    """

    epochs: int = 500
    batch: int = 32
    learning_rate: float = 1e-4


def _never() -> bool:
    return False


class DiffusionGenerator:
    """The default: a small diffusion model of all classes at once (:mod:`healthgan.generators.fit_diffusion`).

    Args:
        settings: how it is built and trained.
        seed: decides everything random in training.
        device: ``cpu`` or ``cuda``.
        checkpoint: file for the state of an unfinished training, to go on from.
        checkpoint_seconds: how often it is written.
        progress: told every few steps, and at every check what was measured.
        stop: asked after every step; where it says yes, the checkpoint is written and ``fit`` raises ``Stopped``.
    """

    def __init__(
        self,
        settings: Settings = DIFFUSION[DEFAULT],
        *,
        seed: int = 0,
        device: str = "cpu",
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 60.0,
        progress: Progress | None = None,
        stop: Stop = _never,
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        self.checkpoint, self.checkpoint_seconds, self.progress = checkpoint, checkpoint_seconds, progress
        self.stop = stop
        self.trained: Diffusion | None = None

    @property
    def trained_in(self) -> str:
        """``bfloat16`` or ``float32``: the type in which products are formed in training here."""
        return str(trains_in(self.settings, torch.device(self.device))).removeprefix("torch.")

    def fit(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        patients: NDArray[np.int64] | None = None,
    ) -> Self:
        """Learn all classes; arguments and errors as in :func:`fit_diffusion`."""
        report = self.progress
        self.trained = fit_diffusion(
            images,
            labels,
            patients,
            settings=self.settings,
            seed=self.seed,
            device=torch.device(self.device),
            checkpoint=self.checkpoint,
            checkpoint_seconds=self.checkpoint_seconds,
            progress=None if report is None else lambda step, facts: report(step, self.settings.steps, facts),
            stop=self.stop,
        )
        return self

    def sample(self, n: int, label: int, seed: int) -> NDArray[np.uint8]:
        """Images of a class: (n, H, W, C) uint8; image i depends on seed, i and class only."""
        assert self.trained is not None, "fit first"
        if not 0 <= label < self.trained.classes:
            raise InputError(f"Class number {label} is unknown; 0 to {self.trained.classes - 1} were learnt.")
        return sample(self.trained, n, label, seed)


class DcganGenerator:
    """The published study's GAN, of one class: class number 1.

    Args:
        settings: how it is trained.
        seed: decides everything random in training.
        device: ``cpu`` or ``cuda``.
        checkpoint: file for the state of an unfinished training, to go on from.
        progress: told after every epoch.
        stop: asked after every step; where it says yes, the checkpoint is written and ``fit`` raises ``Stopped``.
    """

    def __init__(
        self,
        settings: DcganSettings = DcganSettings(),
        *,
        seed: int = 0,
        device: str = "cpu",
        checkpoint: Path,
        progress: Progress | None = None,
        stop: Stop = _never,
    ) -> None:
        self.settings, self.seed, self.device = settings, seed, device
        self.checkpoint, self.progress, self.stop = checkpoint, progress, stop
        self.trained: Generator | None = None

    def fit(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        patients: NDArray[np.int64] | None = None,  # noqa: ARG002 # nothing is held out, as published
    ) -> Self:
        """Learn the images of class number 1, as published without the others."""
        settings, report = self.settings, self.progress
        self.trained = fit_dcgan(
            images[labels == 1],
            preset="dcgan-2023",
            epochs=settings.epochs,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=self.seed,
            device=torch.device(self.device),
            checkpoint=self.checkpoint,
            progress=lambda epoch, facts: report and report(epoch, settings.epochs, facts),
            stop=self.stop,
        ).generator
        return self

    def sample(self, n: int, label: int, seed: int) -> NDArray[np.uint8]:
        """Images of the class that was learnt: (n, H, W, C) uint8; image i depends on seed and i only."""
        assert self.trained is not None, "fit first"
        if label != 1:
            raise InputError("The published GAN makes images of the rare class only. Take another preset.")
        block = 64  # what render() makes at a time: an image must not depend on how many are asked for
        numbers = range(-(-n // block) * block)
        noise = np.stack(
            [
                np.random.default_rng((seed, i)).standard_normal(self.trained.noise, np.float32)
                for i in numbers
            ]
        )
        return render(self.trained, torch.from_numpy(noise).to(self.device))[:n]


def new_generator(
    preset: str,
    *,
    seed: int,
    device: str,
    checkpoint: Path,
    progress: Progress | None = None,
    stop: Stop = _never,
) -> DiffusionGenerator | DcganGenerator:
    """The generator of a name.

    Raises:
        InputError: there is none of that name.
    """
    if preset == "dcgan-2023":
        return DcganGenerator(seed=seed, device=device, checkpoint=checkpoint, progress=progress, stop=stop)
    for name, settings in DIFFUSION.items():
        if name == preset:
            return DiffusionGenerator(
                settings, seed=seed, device=device, checkpoint=checkpoint, progress=progress, stop=stop
            )
    names = [*DIFFUSION, "dcgan-2023"]
    raise InputError(f"There is no preset '{preset}'.{meant(preset, names)} Take one of {', '.join(names)}.")
