"""What the jobs of a sound study read: its cells' images, what arms are made of, where artefacts lie."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.arms import Findings, Materials, Settings
from healthgan.classifiers.recipes import Augmentation
from healthgan.jobs import load_npz
from healthgan.protocol_sound import Sound
from healthgan.run import RunFolder
from healthgan.sound.cells import cell_task, held_back, other_findings
from healthgan.sound.plan import ONWARD
from healthgan.sound.prepare import SoundStudy
from healthgan.task import Members, Task

MOST_REFERENCES = 5000
"""Reference images that synthetic ones are held against; the rare class is always held against all."""


@dataclass(frozen=True, eq=False)
class SoundContext:
    """What every job may read."""

    study: SoundStudy
    folder: RunFolder
    device: str
    checkpoint_seconds: float

    @property
    def protocol(self) -> Sound:
        """The study's settings."""
        return self.study.protocol

    @property
    def seed(self) -> int:
        """The study's seed."""
        return self.study.request.seed

    @property
    def settings(self) -> Settings:
        """How every classifier is trained, with initial weights where this process has them."""
        settings = training_settings(self.protocol)
        if settings.weights is None:
            return settings
        return replace(settings, weights=self.folder.outside(settings.weights))


def materials_of(context: SoundContext, cell: str, arm: str, generator: int | None) -> Materials:
    """What an arm is made of in a cell: training images, and the pool of a generator."""
    study, task = context.study, task_of(context, cell)
    place = next(place for place in study.cells if place.name == cell)
    synthetic, reference = {}, None
    if generator is not None:
        arrays = load_npz(context.folder.artifact(pool_file(cell, generator)))
        synthetic = _kept(arrays, "rare", context.protocol)
        if "reference_images" in arrays:
            reference = _kept(arrays, "reference", context.protocol)["band"]
    fresh = findings = None
    if arm == "oracle":
        fresh = held_back(study.collection, task, place, study.classes, study.protocol.design)
    if arm.startswith("transfer"):
        found = other_findings(study.collection, task, place, study.classes, study.protocol.design)
        findings = None if found is None else Findings(*found)
    return Materials(
        rare=task.rares["train"].pixels,
        reference=task.references["train"].pixels,
        synthetic=synthetic,
        synthetic_reference=reference,
        fresh=None if fresh is None else fresh.pixels,
        findings=findings,
        other=None if study.other is None else (study.other[0].pixels, study.other[1].pixels),
    )


def _kept(arrays: dict[str, NDArray[Any]], name: str, protocol: Sound) -> dict[str, NDArray[np.uint8]]:
    verdict, likeness, faithful = (arrays[f"{name}_{key}"] for key in ("verdict", "likeness", "faithful"))
    rules = kept_by(verdict, likeness, faithful, protocol.generator.floor)
    return {rule: arrays[f"{name}_images"][found] for rule, found in rules.items()}


@lru_cache(maxsize=2)
def task_of(context: SoundContext, cell: str) -> Task:
    """The images of a cell."""
    study = context.study
    if cell == ONWARD:
        assert study.onward is not None
        return study.onward
    place = next(place for place in study.cells if place.name == cell)
    return cell_task(study.collection, study.classes, study.protocol.design, place)


def patients_known(context: SoundContext) -> bool:
    """Whether the source tells its patients."""
    return context.study.collection["train"].patients is not None


def training_settings(protocol: Sound) -> Settings:
    """How every classifier is trained."""
    training = protocol.training
    return Settings(
        steps=training.steps,
        batch=training.batch,
        learning_rate=training.learning_rate,
        first_phase=training.first_phase,
        mixup=training.mixup,
        augmentation=Augmentation(**protocol.augmentation.model_dump()),
        network=training.network,
        weights=protocol.weights_file,
    )


def generator_file(cell: str, number: int) -> str:
    """The artefact with a generator's weights."""
    return f"generator/{cell}-{number}.safetensors"


def pool_file(cell: str, number: int) -> str:
    """The artefact with a generator's images."""
    return f"synthetic/{cell}-{number}.npz"


def reals_file(cell: str) -> str:
    """The artefact with the real images that those of a cell's first pool are most like."""
    return f"reals/{cell}.npz"


def is_explored(context: SoundContext, cell: str) -> bool:
    """Whether a report shows the first pool of this cell image by image: the first cell of the study."""
    return cell == context.study.cells[0].name


def band_file(cell: str) -> str:
    """The artefact with the likeness bands of a cell."""
    return f"bands/{cell}.json"


def held_against(context: SoundContext, task: Task) -> Members:
    """Reference images for likeness: all, or of so many patients, drawn by the seed, that there are ``MOST_REFERENCES``."""
    members = task.references["train"]
    if len(members) <= MOST_REFERENCES:
        return members
    rng = np.random.default_rng(np.random.SeedSequence(context.seed, spawn_key=(17,)))
    patients = rng.permutation(np.unique(members.patient))
    rank = dict(zip(patients.tolist(), range(len(patients)), strict=True))
    order = np.argsort([rank[code] for code in members.patient.tolist()], kind="stable")
    return members.take(np.sort(order[:MOST_REFERENCES]))


def kept_by(
    verdict: NDArray[np.int8],
    likeness: NDArray[np.float32],
    faithful: NDArray[np.float32],
    floor: float,
) -> dict[str, NDArray[np.bool_]]:
    """(N,) True where an image is kept, by rule: ``band``, ``floor``, ``faithful`` (and band), ``none``.

    Args:
        verdict: (N,) of the band.
        likeness: (N,) best SSIM.
        faithful: (N,) probability of the rare class; NaN where it was not judged.
        floor: of the likeness.
    """
    band = verdict == 0
    return {
        "band": band,
        "floor": likeness >= floor,
        "faithful": band & (faithful > 0.5),
        "none": np.ones(len(verdict), bool),
    }
