"""Train a DCGAN as the 2023 study did, and harvest its images as training goes on."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from healthgan.files import write_atomically
from healthgan.generators.checkpoint import read_checkpoint, write_checkpoint
from healthgan.generators.dcgan import LAYERS, Discriminator, Generator, Preset, build, gan_losses
from healthgan.keras_semantics import Adam
from healthgan.stopping import Stopped

Progress = Callable[[int, dict[str, float]], None]
"""Called after every epoch with the number of epochs done and what was measured."""

HARVEST = 16
"""Noise vectors that are rendered after every epoch: the study's 4 × 4 grid."""


@dataclass(frozen=True)
class DcganRun:
    """What one training of a DCGAN leaves.

    Attributes:
        generator: the network after the last epoch.
        noise: (16, 100) float32, the vectors that were rendered after every epoch.
        history: (epochs + 1, 16, H, W, C) uint8, their images; the first row is before training.
        losses: (epochs, 2) float32, means over an epoch's steps: generator, discriminator.
    """

    generator: Generator
    noise: NDArray[np.float32]
    history: NDArray[np.uint8]
    losses: NDArray[np.float32]


@dataclass
class _State:
    """A training under way; all of it is in a checkpoint."""

    generator: Generator
    discriminator: Discriminator
    generator_adam: Adam
    discriminator_adam: Adam
    rng: torch.Generator
    noise: Tensor
    history: list[NDArray[np.uint8]]
    losses: list[tuple[float, float]]
    order: Tensor  # int64, of the images in the epoch under way; empty between two
    position: int  # in that order: images that were trained on
    sums: Tensor  # (2,) float32, losses of the steps of that epoch


def fit_dcgan(
    images: NDArray[np.uint8],
    *,
    preset: Preset,
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    checkpoint_seconds: float = 60.0,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> DcganRun:
    """Train on images of one class; with a checkpoint in place, go on from it to the same result.

    The image batches of an epoch are a new permutation each time; the last one may be smaller, while the
    noise batch stays whole, as in the published source. Both networks step on gradients that were taken
    at the same point (one forward pass), as in TensorFlow's two tapes.

    Args:
        images: (N, H, W, C) uint8.
        preset: the networks' layers.
        epochs: passes over the images.
        batch: images and noise vectors a step.
        learning_rate: of Adam, for both networks.
        seed: decides everything random.
        device: where to train; on a CPU with one thread the result is the same bit for bit.
        checkpoint: file that holds the state of an unfinished training; removed at the end.
        checkpoint_seconds: write it after the first epoch that ends this long after the last write.
        progress: told after every epoch.
        stop: asked after every step; where it says yes, the checkpoint is written and training ends.

    Raises:
        InputError: the preset cannot make images of this size, or the checkpoint is of another training.
        Stopped: ``stop`` said yes.
        FloatingPointError: a loss is not a number.
    """
    state = _start(images, preset, learning_rate, seed, device)
    if checkpoint.exists():
        read_checkpoint(checkpoint, lambda tensors: _restore(state, tensors, device))
    pool = torch.from_numpy(images).to(device)  # (N, H, W, C) uint8
    written = time.monotonic()
    for epoch in range(len(state.losses) + 1, epochs + 1):
        try:
            losses = _epoch(state, pool, batch, stop)
        except Stopped:
            _save(state, checkpoint)
            raise
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"The GAN diverged in epoch {epoch}: losses {losses}.")
        state.losses.append(losses)
        state.history.append(render(state.generator, state.noise))
        if time.monotonic() - written >= checkpoint_seconds and epoch < epochs:
            _save(state, checkpoint)
            written = time.monotonic()
        progress(epoch, {"generator_loss": losses[0], "discriminator_loss": losses[1]})
    checkpoint.unlink(missing_ok=True)
    return DcganRun(
        generator=state.generator,
        noise=state.noise.cpu().numpy(),
        history=np.stack(state.history),
        losses=np.asarray(state.losses, np.float32),
    )


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


def save_generator(generator: Generator, preset: Preset, size: int, channels: int, path: Path) -> None:
    """Write the generator's weights as safetensors, with what is needed to build it again."""
    facts = {"format": "healthgan-dcgan-1", "preset": preset, "size": size, "channels": channels}
    metadata = {"healthgan": json.dumps(facts)}  # one entry: safetensors writes several in a random order
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    write_atomically(path, lambda part: save_file(tensors, part, metadata=metadata))


def load_generator(path: Path, preset: Preset, size: int, channels: int) -> Generator:
    """The generator that ``save_generator`` wrote."""
    generator = Generator(preset, size, channels)
    generator.load_state_dict(load_file(path))
    return generator


def _start(
    images: NDArray[np.uint8], preset: Preset, learning_rate: float, seed: int, device: torch.device
) -> _State:
    rng = torch.Generator().manual_seed(seed)
    generator, discriminator = build(preset, images.shape[1], images.shape[3], rng, device)
    beta1 = LAYERS[preset].beta1
    noise = torch.randn(HARVEST, generator.noise, generator=rng).to(device)
    return _State(
        generator=generator,
        discriminator=discriminator,
        generator_adam=Adam(list(generator.parameters()), learning_rate, beta1),
        discriminator_adam=Adam(list(discriminator.parameters()), learning_rate, beta1),
        rng=rng,
        noise=noise,
        history=[render(generator, noise)],
        losses=[],
        order=torch.empty(0, dtype=torch.int64),
        position=0,
        sums=torch.zeros(2),
    )


def _epoch(state: _State, pool: Tensor, batch: int, stop: Callable[[], bool]) -> tuple[float, float]:
    """One pass over the images, or the rest of one; the mean losses of generator and discriminator."""
    if not len(state.order):
        state.order, state.sums = torch.randperm(len(pool), generator=state.rng), torch.zeros(2)
    while state.position < len(pool):
        chosen = state.order[state.position : state.position + batch].to(pool.device)
        real = pool[chosen].permute(0, 3, 1, 2).float().sub(127.5).div(127.5)  # channels last in memory
        noise = torch.randn(batch, state.generator.noise, generator=state.rng).to(pool.device)
        state.sums += _step(state, real, noise).cpu()
        state.position += len(chosen)
        if stop():
            raise Stopped
    generator_loss, discriminator_loss = (state.sums / math.ceil(len(pool) / batch)).tolist()
    state.order, state.position = state.order[:0], 0
    return generator_loss, discriminator_loss


def _step(state: _State, real: Tensor, noise: Tensor) -> Tensor:
    """One step of both networks, from gradients at the same point; their losses (2,)."""
    fake = state.generator(noise)
    logits = state.discriminator(torch.cat([real, fake]))
    generator_loss, discriminator_loss = gan_losses(logits[: len(real)], logits[len(real) :])
    down = torch.autograd.grad(discriminator_loss, state.discriminator_adam.parameters, retain_graph=True)
    up = torch.autograd.grad(generator_loss, state.generator_adam.parameters)
    state.discriminator_adam.step(down)
    state.generator_adam.step(up)
    return torch.stack([generator_loss.detach(), discriminator_loss.detach()])


def _tensors(state: _State) -> dict[str, Tensor]:
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


def _save(state: _State, path: Path) -> None:
    tensors = _tensors(state)
    tensors["history"] = torch.from_numpy(np.stack(state.history))
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    write_checkpoint(path, tensors)


def _restore(state: _State, tensors: dict[str, Tensor], device: torch.device) -> None:

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
