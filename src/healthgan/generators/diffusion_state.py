"""A training of the diffusion generator under way: how it starts, and its file to go on from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.adam import Adam
from healthgan.generators.checkpoint import read_checkpoint, write_checkpoint
from healthgan.generators.diffusion import Check, Settings, scale
from healthgan.generators.unet import UNet
from healthgan.splits import stratified_folds

_HELD_MOST = 64  # held-out images of a class that are measured


@dataclass
class State:
    """A training under way; all that changes is in a checkpoint, which is written of good states only."""

    settings: Settings
    network: UNet
    averaged: UNet
    adam: Adam
    rng: torch.Generator
    pool: Tensor  # (N, H, W, C) uint8, training images
    members: list[Tensor]  # positions of each class in the pool
    shares: Tensor  # (classes,) chance of each class
    held: list[Tensor]  # of each class (M, C, H, W) float32, held-out images
    mean: float
    spread: float
    best: dict[str, Tensor]
    checks: list[Check]
    sum: Tensor  # of losses since the last check
    finite: Tensor  # int64, steps whose losses were numbers; on the device, since asking it at every step takes time
    step: int = 0
    chosen: int = 0
    stopped: str = ""


def start(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    settings: Settings,
    seed: int,
    device: torch.device,
) -> State:
    """The state before the first step; arguments as in :func:`healthgan.generators.fit_diffusion.fit_diffusion`."""
    rng = torch.Generator().manual_seed(seed)
    size, classes = (images.shape[1], images.shape[2]), int(labels.max()) + 1

    def build() -> UNet:
        network = UNet(size, images.shape[3], classes, settings.width, rng)
        return network.to(device)

    held = held_out(labels, patients, settings.heldout, seed)
    pool = torch.from_numpy(images[~held]).to(device)
    scaled = pool.float().div(127.5).sub(1)
    mean, spread = float(scaled.mean()), float(scaled.std())
    members = [torch.from_numpy(np.flatnonzero(labels[~held] == label)) for label in range(classes)]
    shares = torch.tensor([len(found) for found in members], dtype=torch.float64).sqrt()
    network, averaged = build(), build()
    averaged.load_state_dict(network.state_dict())
    return State(
        settings=settings,
        network=network,
        averaged=averaged.eval(),
        adam=Adam(list(network.parameters()), settings.learning_rate, (0.9, 0.99), fused=False),
        rng=rng,
        pool=pool,
        members=members,
        shares=shares / shares.sum(),
        held=[
            scale(torch.from_numpy(images[held & (labels == label)][:_HELD_MOST]).to(device), mean)
            for label in range(classes)
        ],
        mean=mean,
        spread=spread,
        best={},
        checks=[],
        sum=torch.zeros((), device=device),
        finite=torch.zeros((), dtype=torch.int64, device=device),
    )


def held_out(
    labels: NDArray[np.int64], patients: NDArray[np.int64] | None, one_in: int, seed: int
) -> NDArray[np.bool_]:
    """(N,) True for the images of one patient in ``one_in`` of every class; none where a class has too few."""
    people = np.arange(len(labels)) if patients is None else patients
    fewest = min(len(np.unique(people[labels == label])) for label in np.unique(labels))
    if fewest < one_in:
        return np.zeros(len(labels), bool)
    held: NDArray[np.bool_] = stratified_folds(labels, patients, one_in, seed % 2**32) == 0
    return held


def save(state: State, path: Path) -> None:
    """Write all that changes in training."""
    tensors = {
        "rng": state.rng.get_state(),
        "sum": state.sum,
        "step": torch.tensor([state.step, state.chosen]),
    }
    tensors["checks"] = torch.tensor(
        [[check.step, check.training, check.heldout, check.diversity] for check in state.checks],
        dtype=torch.float64,
    ).reshape(-1, 4)
    parts = {
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict(),
        "best": state.best,
        "adam": {
            f"{number}.{name}": value
            for number, entry in enumerate(state.adam.state)
            for name, value in entry.items()
        },
    }
    for part, found in parts.items():
        tensors |= {f"{part}/{name}": value.contiguous().clone() for name, value in found.items()}
    write_checkpoint(path, tensors)


def restore(state: State, path: Path) -> None:
    """Bring a state that has just been started to where ``save`` left it; a damaged file leaves it as it is.

    Raises:
        InputError: the file cannot be read, or is of another training.
    """
    read_checkpoint(path, lambda tensors: _take_over(state, tensors))


def _take_over(state: State, tensors: dict[str, Tensor]) -> None:
    def part(name: str) -> dict[str, Tensor]:
        return {
            key.removeprefix(f"{name}/"): value
            for key, value in tensors.items()
            if key.startswith(f"{name}/")
        }

    device = state.pool.device
    state.network.load_state_dict(part("network"))
    state.averaged.load_state_dict(part("averaged"))
    state.best = {name: value.to(device) for name, value in part("best").items()}
    moments: list[dict[str, Tensor]] = [{} for _ in state.adam.parameters]
    for key, value in part("adam").items():
        number, _, name = key.partition(".")
        moments[int(number)][name] = value
    state.adam.restore(moments)
    state.rng.set_state(tensors["rng"])
    state.sum = tensors["sum"].to(device)
    state.step, state.chosen = tensors["step"].tolist()
    state.finite = torch.tensor(state.step, device=device)
    state.checks = [Check(int(row[0]), *row[1:]) for row in tensors["checks"].tolist()]
