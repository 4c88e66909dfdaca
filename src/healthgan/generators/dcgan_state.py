"""A training of the DCGAN under way: how it starts, its images, and its file to go on from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.generators.checkpoint import write_checkpoint
from healthgan.generators.dcgan import LAYERS, Discriminator, Generator, Preset, build
from healthgan.keras_semantics import KerasAdam

HARVEST = 16
"""Noise vectors that are rendered after every epoch: the study's 4 × 4 grid."""


@dataclass
class State:
    """A training under way; all of it is in a checkpoint."""

    generator: Generator
    discriminator: Discriminator
    generator_adam: KerasAdam
    discriminator_adam: KerasAdam
    rng: torch.Generator
    noise: Tensor
    history: list[NDArray[np.uint8]]
    losses: list[tuple[float, float]]
    order: Tensor  # int64, of the images in the epoch under way; empty between two
    position: int  # in that order: images that were trained on
    sums: Tensor  # (2,) float32, losses of the steps of that epoch


def render(generator: Generator, noise: Tensor) -> NDArray[np.uint8]:
    """Images (N, H, W, C) uint8 of noise (N, 100), in inference mode and rounded to integers.

    In inference mode every image depends on its own vector only; blocks of 64 bound the memory.
    """
    generator.eval()
    with torch.inference_mode():
        blocks = [generator(noise[start : start + 64]) for start in range(0, len(noise), 64)]
        scaled = torch.cat(blocks).mul(127.5).add(127.5).round().clamp(0, 255)
        pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    generator.train()
    return np.ascontiguousarray(pixels)


def start(
    images: NDArray[np.uint8], preset: Preset, learning_rate: float, seed: int, device: torch.device
) -> State:
    """The state before the first step; arguments as :func:`healthgan.generators.fit_dcgan.fit_dcgan` takes them."""
    rng = torch.Generator().manual_seed(seed)
    generator, discriminator = build(preset, images.shape[1], images.shape[3], rng, device)
    beta1 = LAYERS[preset].beta1
    noise = torch.randn(HARVEST, generator.noise, generator=rng).to(device)
    return State(
        generator=generator,
        discriminator=discriminator,
        generator_adam=KerasAdam(list(generator.parameters()), learning_rate, beta1),
        discriminator_adam=KerasAdam(list(discriminator.parameters()), learning_rate, beta1),
        rng=rng,
        noise=noise,
        history=[render(generator, noise)],
        losses=[],
        order=torch.empty(0, dtype=torch.int64),
        position=0,
        sums=torch.zeros(2),
    )


def _tensors(state: State) -> dict[str, Tensor]:
    parts = {
        "generator": state.generator.state_dict(),
        "discriminator": state.discriminator.state_dict(),
        "generator_adam": state.generator_adam.state(),
        "discriminator_adam": state.discriminator_adam.state(),
    }
    named = {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
    return named | {
        "rng": state.rng.get_state(),
        "noise": state.noise,
        "order": state.order,
        "position": torch.tensor(state.position),
        "sums": state.sums,
    }


def save(state: State, path: Path) -> None:
    """Write all that changes in training."""
    tensors = _tensors(state)
    tensors["history"] = torch.from_numpy(np.stack(state.history))
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    write_checkpoint(path, tensors)


def restore(state: State, tensors: dict[str, Tensor], device: torch.device) -> None:
    """Bring a state that has just been started to where a checkpoint of these tensors left it."""

    def part(name: str) -> dict[str, Tensor]:
        return {
            key.removeprefix(f"{name}/"): value.to(device)
            for key, value in tensors.items()
            if key.startswith(f"{name}/")
        }

    state.generator.load_state_dict(part("generator"))
    state.discriminator.load_state_dict(part("discriminator"))
    state.generator_adam.restore(part("generator_adam"))
    state.discriminator_adam.restore(part("discriminator_adam"))
    state.rng.set_state(tensors["rng"].cpu())
    state.noise = tensors["noise"].to(device)
    state.order, state.position = tensors["order"], int(tensors["position"])
    state.sums = tensors["sums"]
    state.history = list(tensors["history"].cpu().numpy())
    state.losses = [(generator, discriminator) for generator, discriminator in tensors["losses"].tolist()]
