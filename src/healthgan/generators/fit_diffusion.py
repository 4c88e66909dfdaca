"""Train the diffusion generator on the images of all classes, so that a rare one borrows from the others."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from healthgan.errors import InputError
from healthgan.generators import edm
from healthgan.generators.diffusion import BLOCK, Check, Diffusion, Settings, scale, trains_in
from healthgan.generators.diffusion_state import State, restore, save, start
from healthgan.stopping import Stopped

CPU = torch.device("cpu")
Progress = Callable[[int, dict[str, float]], None]
"""Called with the number of steps done every few steps, and at every check with what was measured."""


def fit_diffusion(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    *,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Diffusion:
    """Train; with a checkpoint in place, go on from it to the same result.

    A class is drawn in proportion to the square root of its number of images (Mahajan et al., ECCV 2018), so that
    rare classes are learnt without being repeated too often. The checkpoint that is kept has the least denoising
    error, a bound on the likelihood (Kingma and Gao, NeurIPS 2023), on patients that were not trained on:
    it rises as soon as training images are memorised. Where a class has fewer patients than
    ``settings.heldout``, none are held out and the last checkpoint is kept.

    Args:
        images: (N, H, W, C) uint8, 16 to 224 pixels a side.
        labels: (N,) class numbers from 0; every class up to the highest has an image.
        patients: (N,) whose they are; None where every image is of another patient.
        settings: how.
        seed: decides everything random.
        device: where; on a CPU with one thread the result is the same bit for bit.
        checkpoint: file that holds the state of an unfinished training; removed at the end.
        checkpoint_seconds: write it after the first step that ends this long after the last write.
        progress: told how far it is.
        stop: asked after every step; where it says yes, the checkpoint is written and training ends.

    Raises:
        InputError: images, labels or patients cannot be used, or the checkpoint is of another training.
        Stopped: ``stop`` said yes before the last step.
        FloatingPointError: training diverged or collapsed before the first good checkpoint.
    """
    check_images(images, labels, patients)
    state = start(images, labels, patients, settings, seed, device)
    if checkpoint is not None and checkpoint.exists():
        restore(state, checkpoint)
    ends = check_ends(settings)
    written = time.monotonic()
    while state.step < settings.steps and not state.stopped:
        _take_step(state)
        ending, stopping = state.step in ends, stop() and state.step < settings.steps
        due = checkpoint is not None and (stopping or time.monotonic() - written >= checkpoint_seconds)
        if (ending or due or state.step % _LOOK_EVERY == 0) and int(state.finite) < state.step:
            state.stopped = f"diverged at step {int(state.finite) + 1}"
        elif ending:
            measured = measure(state)
            if progress is not None:
                progress(state.step, {"training_loss": measured.training, "held_out_loss": measured.heldout})
        elif progress is not None and state.step % _TELL_EVERY == 0:
            progress(state.step, {})
        if checkpoint is not None and due and not state.stopped:
            save(state, checkpoint)
            written = time.monotonic()
        if stopping and not state.stopped:
            raise Stopped
    return ended(state, checkpoint)


def check_ends(settings: Settings) -> set[int]:
    """Steps after which a checkpoint is measured."""
    return {round(settings.steps * (number + 1) / settings.checks) for number in range(settings.checks)}


def ended(state: State, checkpoint: Path | None) -> Diffusion:
    """What a training leaves: the best checkpoint; the file to go on from is removed.

    Raises:
        FloatingPointError: there is none.
    """
    if not state.best:
        raise FloatingPointError(
            f"The generator {state.stopped}, before its first good checkpoint. Take a lower learning rate."
        )
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    state.averaged.load_state_dict(state.best)
    height, width, channels = state.pool.shape[1:]
    return Diffusion(
        network=state.averaged,
        settings=state.settings,
        size=(height, width),
        channels=channels,
        classes=len(state.shares),
        mean=state.mean,
        spread=state.spread,
        checks=tuple(state.checks),
        chosen=state.chosen,
        stopped=state.stopped,
    )


_LOOK_EVERY = (
    50  # steps after which divergence is looked for; on a GPU each look waits for all steps before it
)
_TELL_EVERY = 10  # steps after which progress is told: some seconds on a CPU
_COLLAPSED = 0.2  # of the spread of real images; real ones of other patients score about 1
_LEVELS = 8  # noise levels that held-out images are measured at


def check_images(
    images: NDArray[np.uint8], labels: NDArray[np.int64], patients: NDArray[np.int64] | None
) -> None:
    """Refuse what can't be learnt from; as ``fit_diffusion``."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"Images are {images.dtype} {images.shape}; uint8 (N, H, W, 1 or 3) is needed.")
    if min(images.shape[1:3]) < 16 or max(images.shape[1:3]) > 224:
        raise InputError(
            f"Images are {images.shape[1]}×{images.shape[2]}; 16 to 224 pixels a side are possible. Use --size."
        )
    if not len(images):
        raise InputError("There is no image; a generator needs some of every class.")
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise InputError(
            f"Labels are {labels.dtype} {labels.shape}; each of the {len(images)} images needs a class number from 0."
        )
    if len(np.unique(labels)) <= labels.max():
        raise InputError("Every class number up to the highest needs an image.")
    if patients is not None and patients.shape != (len(images),):
        raise InputError(
            f"Patients are of shape {patients.shape}; each of the {len(images)} images needs one, or None for all."
        )
    if images.min() == images.max():
        raise InputError("All images are one constant grey; there is nothing to learn.")


@dataclass(frozen=True)
class Drawn:
    """What chance decides in a step, on the CPU.

    Attributes:
        chosen: (B,) positions in the pool.
        flip: (B,) which images are mirrored, where any may be.
        label: (B,) class numbers; the number of classes stands for "any".
        sigma: (B,) noise levels.
        noise: (B, C, H, W) standard normal.
    """

    chosen: Tensor
    flip: Tensor | None
    label: Tensor
    sigma: Tensor
    noise: Tensor


def draw_step(state: State) -> Drawn:
    """Draw the next step."""
    settings, rng = state.settings, state.rng
    label = torch.multinomial(state.shares, settings.batch, replacement=True, generator=rng)
    draw = torch.rand(settings.batch, generator=rng, dtype=torch.float64)
    chosen = torch.stack(
        [
            state.members[which][int(part * len(state.members[which]))]
            for which, part in zip(label.tolist(), draw.tolist(), strict=True)
        ]
    )
    flip = torch.rand(settings.batch, generator=rng) < 0.5 if settings.mirror else None
    label[torch.rand(settings.batch, generator=rng) < settings.unlabelled] = len(state.shares)
    sigma = edm.noise_levels(settings.batch, rng, CPU)
    height, width, channels = state.pool.shape[1:]
    return Drawn(
        chosen, flip, label, sigma, torch.randn(settings.batch, channels, height, width, generator=rng)
    )


def rate(settings: Settings, step: int) -> float:
    """The learning rate behind so many steps: up over 100, down over the last 40 %."""
    return settings.learning_rate * min(1.0, (step + 1) / 100, (1 - step / settings.steps) / 0.4 + 0.02)


def share_kept(settings: Settings, steps: int) -> float:
    """Of the averaged weights, what stays as so many steps are done."""
    return min(settings.average, steps / (steps + 9))


def _take_step(state: State) -> None:
    settings, device = state.settings, state.pool.device
    state.adam.learning_rate = rate(settings, state.step)
    drawn = draw_step(state)
    clean = scale(state.pool[drawn.chosen.to(device)], state.mean)
    if drawn.flip is not None:
        clean = torch.where(drawn.flip.to(device).view(-1, 1, 1, 1), clean.flip(3), clean)
    noise, sigma, label = (value.to(device) for value in (drawn.noise, drawn.sigma, drawn.label))
    kind = trains_in(settings, device)
    with torch.autocast(device.type, kind, enabled=kind != torch.float32):
        loss = edm.loss(state.network, clean, noise, sigma, label, state.spread).mean()
    state.adam.descend(loss)
    state.step += 1
    state.sum = state.sum + loss.detach()
    state.finite += torch.isfinite(state.sum)  # once it is no number, a sum stays none
    keep = share_kept(settings, state.step)
    with torch.no_grad():
        torch._foreach_lerp_(list(state.averaged.parameters()), list(state.network.parameters()), 1 - keep)


def measure(state: State) -> Check:
    """Measure the averaged weights; keep them if they are the best so far."""
    before = state.checks[-1].step if state.checks else 0
    check = Check(
        step=state.step,
        training=float(state.sum) / (state.step - before),
        heldout=_held_out_loss(state),
        diversity=_diversity(state),
    )
    held = all(len(images) for images in state.held)
    if not np.isfinite(check.diversity) or (held and not np.isfinite(check.heldout)):
        state.stopped = f"diverged at step {state.step}"
    elif check.diversity < _COLLAPSED and state.step > state.settings.steps // 2:
        state.stopped = (
            f"collapsed at step {state.step}: its images have {check.diversity:.0%} of real ones' spread"
        )
    known = [entry.heldout for entry in state.checks]
    if not state.stopped and (not held or not known or check.heldout <= min(known)):
        state.best = {name: value.clone() for name, value in state.averaged.state_dict().items()}
        state.chosen = state.step
    state.checks.append(check)
    state.sum = torch.zeros_like(state.sum)
    return check


def _held_out_loss(state: State) -> float:
    """Mean over classes, images and eight noise levels (quantiles of those in training), with fixed noise."""
    if not all(len(images) for images in state.held):
        return float("nan")
    rng = torch.Generator().manual_seed(0)
    quantiles = special.ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS)
    losses = []
    with torch.inference_mode():
        for label, clean in enumerate(state.held):
            named = torch.full((len(clean),), label, device=clean.device)
            for quantile in quantiles:
                sigma = clean.new_full(
                    (len(clean),), float(np.exp(edm.NOISE_MEAN + edm.NOISE_SPREAD * quantile))
                )
                noise = torch.randn(clean.shape, generator=rng).to(clean.device)
                losses.append(edm.loss(state.averaged, clean, noise, sigma, named, state.spread).mean())
    return float(torch.stack(losses).mean())


def _diversity(state: State) -> float:
    """Mean distance between 32 rendered images of the smallest class, over that between real ones."""
    label = int(state.shares.argmin())
    shape = (BLOCK, state.pool.shape[3], *state.pool.shape[1:3])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(state.pool.device)
    named = torch.full((BLOCK,), label, device=state.pool.device)
    with torch.inference_mode():
        made = edm.heun(
            lambda x, sigma: edm.denoised(state.averaged, x, sigma, named, state.spread), noise, 6
        )
    real = scale(state.pool[state.members[label][: 4 * BLOCK].to(state.pool.device)], state.mean)
    spreads = [torch.pdist(images.flatten(1)).mean() for images in (made, real)]
    return float(spreads[0] / spreads[1]) if float(spreads[1]) > 0 else 1.0
