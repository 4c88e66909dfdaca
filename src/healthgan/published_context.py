"""What every job of a study after the published one may read, and how its arrays are kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Recipe
from healthgan.executors import Result
from healthgan.files import write_atomically
from healthgan.generators.brought import Brought
from healthgan.protocol import Protocol
from healthgan.run import RunFolder
from healthgan.task import Task

CANDIDATES = "synthetic/candidates.npz"
"""The candidates of all generators with their likeness."""

Outcomes = list[tuple[Result | FloatingPointError, int]]
"""Of jobs done together, the record of each or the error that ended it, and the steps that it took."""


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


def subset(index: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """All of them, or a random ``count`` of them in their order."""
    if len(index) <= count:
        return index
    return np.sort(np.random.default_rng(seed).choice(index, count, replace=False))


def recipe_of(protocol: Protocol) -> Recipe:
    """How classifiers are trained."""
    settings = protocol.classifier
    return Recipe(settings.scale_pixels, settings.learning_rate, settings.batch)


def device_of(context: Context) -> torch.device:
    """Where they are."""
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
