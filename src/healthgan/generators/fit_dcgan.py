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
from safetensors.torch import load_file
from torch import Tensor

from healthgan.generators.checkpoint import read_checkpoint
from healthgan.generators.dcgan import Generator, Preset, gan_losses
from healthgan.generators.dcgan_state import State, restore, save, start
from healthgan.generators.dcgan_state import render as render
from healthgan.generators.tensor_files import write_tensors
from healthgan.stopping import Stopped

Progress = Callable[[int, dict[str, float]], None]
"""Called after every epoch with the number of epochs done and what was measured."""


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
    state = start(images, preset, learning_rate, seed, device)
    if checkpoint.exists():
        read_checkpoint(checkpoint, lambda tensors: restore(state, tensors, device))
    pool = torch.from_numpy(images).to(device)  # (N, H, W, C) uint8
    written = time.monotonic()
    for epoch in range(len(state.losses) + 1, epochs + 1):
        try:
            losses = _epoch(state, pool, batch, stop)
        except Stopped:
            save(state, checkpoint)
            raise
        if not np.isfinite(losses).all():
            raise diverged(epoch, losses)
        state.losses.append(losses)
        state.history.append(render(state.generator, state.noise))
        if time.monotonic() - written >= checkpoint_seconds and epoch < epochs:
            save(state, checkpoint)
            written = time.monotonic()
        progress(epoch, {"generator_loss": losses[0], "discriminator_loss": losses[1]})
    checkpoint.unlink(missing_ok=True)
    return ended(state)


def diverged(epoch: int, losses: tuple[float, float]) -> FloatingPointError:
    """What is told of a training whose losses are no numbers."""
    return FloatingPointError(f"The GAN diverged in epoch {epoch}: losses {losses}.")


def ended(state: State) -> DcganRun:
    """What a training leaves after its last epoch."""
    return DcganRun(
        generator=state.generator,
        noise=state.noise.cpu().numpy(),
        history=np.stack(state.history),
        losses=np.asarray(state.losses, np.float32),
    )


def save_generator(generator: Generator, preset: Preset, size: int, channels: int, path: Path) -> None:
    """Write the generator's weights as safetensors, with what is needed to build it again."""
    facts = {"format": "healthgan-dcgan-1", "preset": preset, "size": size, "channels": channels}
    said = {"healthgan": json.dumps(facts)}  # one entry: safetensors writes several in a random order
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    write_tensors(path, tensors, said)


def load_generator(path: Path, preset: Preset, size: int, channels: int) -> Generator:
    """The generator that ``save_generator`` wrote."""
    generator = Generator(preset, size, channels)
    generator.load_state_dict(load_file(path))
    return generator


def _epoch(state: State, pool: Tensor, batch: int, stop: Callable[[], bool]) -> tuple[float, float]:
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


def _step(state: State, real: Tensor, noise: Tensor) -> Tensor:
    """One step of both networks, from gradients at the same point; their losses (2,)."""
    fake = state.generator(noise)
    logits = state.discriminator(torch.cat([real, fake]))
    generator_loss, discriminator_loss = gan_losses(logits[: len(real)], logits[len(real) :])
    down = torch.autograd.grad(discriminator_loss, state.discriminator_adam.parameters, retain_graph=True)
    up = torch.autograd.grad(generator_loss, state.generator_adam.parameters)
    state.discriminator_adam.step(down)
    state.generator_adam.step(up)
    return torch.stack([generator_loss.detach(), discriminator_loss.detach()])
