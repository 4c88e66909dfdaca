"""Train several DCGANs at once: to rounding, what ``fit_dcgan`` gives for each on the CPU."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.feed import SPAN_BYTES
from healthgan.classifiers.pictures import Pictures
from healthgan.classifiers.room import budget, by_turns
from healthgan.generators.checkpoint import read_checkpoint
from healthgan.generators.dcgan import LAYERS, Preset
from healthgan.generators.dcgan_state import State, restore, save, start
from healthgan.generators.fit_dcgan import DcganRun, Progress, diverged, ended
from healthgan.generators.gan_feed import GanFeed, Mark, Settings
from healthgan.generators.gan_program import GanProgram
from healthgan.stopping import Stopped

CPU = torch.device("cpu")


@dataclass(frozen=True)
class DcganTraining:
    """What differs from one training to another.

    Attributes:
        images: (N, H, W, C) uint8.
        seed: decides everything random.
        checkpoint: file that holds the state of an unfinished training; removed at the end.
        progress: told after every epoch.
    """

    images: NDArray[np.uint8]
    seed: int
    checkpoint: Path
    progress: Progress


def fit_dcgans(
    trainings: Sequence[DcganTraining],
    *,
    preset: Preset,
    epochs: int,
    batch: int,
    learning_rate: float,
    device: torch.device,
    checkpoint_seconds: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
    memory: int | None = None,
) -> list[DcganRun | FloatingPointError]:
    """Train them all; with checkpoints in place, go on from these.

    Draws are those of ``fit_dcgan`` on the CPU, from generators there, so that none depends on what else is trained;
    checkpoints are the same too. Trainings that are as far as one another, on as many images, step together.

    Args:
        trainings: what differs.
        preset: the networks' layers.
        epochs: passes over the images.
        batch: images and noise vectors a step.
        learning_rate: of Adam, for both networks.
        device: where to train.
        checkpoint_seconds: write checkpoints after the first epoch that ends this long after the last write.
        stop: asked after every block of steps, an epoch or less; where it says yes, checkpoints are written.
        memory: bytes that may be taken; None as in ``train_many``.

    Returns:
        In order what each training leaves, its generator on the CPU, or the error that ended it.

    Raises:
        InputError: as ``fit_dcgan``.
        Stopped: ``stop`` said yes.
    """
    states = []
    for one in trainings:
        state = start(one.images, preset, learning_rate, one.seed, CPU)
        if one.checkpoint.exists():
            read_checkpoint(one.checkpoint, lambda tensors, state=state: restore(state, tensors, CPU))  # type: ignore[misc] # mypy cannot infer a lambda with a default
        states.append(state)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, (state, one) in enumerate(zip(states, trainings, strict=True)):
        groups[len(state.losses), state.position, *one.images.shape].append(place)
    settings = Settings(preset, epochs, batch, learning_rate)
    found: dict[int, DcganRun | FloatingPointError] = {}

    def work(places: Sequence[int]) -> list[DcganRun | FloatingPointError]:
        some = [trainings[place] for place in places]
        together = _Together(some, [states[place] for place in places], settings, device)
        return together.run(checkpoint_seconds, stop)

    for places in groups.values():
        found |= zip(places, by_turns(places, _at_once(states[places[0]], device, memory), work), strict=True)
    return [found[place] for place in range(len(trainings))]


def _at_once(state: State, device: torch.device, memory: int | None) -> int:
    """How many fit: parameters, gradients, two averages and as much again for what a step makes of them."""
    networks = (state.generator, state.discriminator)
    weights = sum(value.nbytes for network in networks for value in network.parameters())
    return max(1, budget(device, memory) // (8 * weights + 2 * SPAN_BYTES))


class _Together:
    """Trainings that are as far as one another, to the end."""

    def __init__(
        self,
        trainings: Sequence[DcganTraining],
        states: Sequence[State],
        settings: Settings,
        device: torch.device,
    ) -> None:
        pictures = Pictures(trainings[0].images.shape[1:])
        pools = [pictures.add(one.images) for one in trainings]
        self.trainings, self.states, self.settings = trainings, states, settings
        size = trainings[0].images.shape[1]
        self.feed = GanFeed(states, pools, settings, size, pin=device.type == "cuda")
        pool = torch.from_numpy(pictures.pixels).to(device)
        self.program = GanProgram(states, self.feed, pool, LAYERS[settings.preset].beta1)
        self.errors: dict[int, FloatingPointError] = {}

    def run(self, checkpoint_seconds: float, stop: Callable[[], bool]) -> list[DcganRun | FloatingPointError]:
        """Take all steps."""
        done, written = self.feed.done, time.monotonic()
        end = done + self.feed.steps
        sums = np.stack([state.sums.numpy() for state in self.states])
        if (
            self.states[0].position and done % self.feed.epoch_steps == 0
        ):  # stopped before the epoch was closed
            self._end_epoch(sums / self.feed.epoch_steps)
            sums = np.zeros_like(sums)
        for count, _ in self.program.taken(self.feed.blocks()):
            done += count
            marks = self.feed.marks.popleft()
            sums = sums + self.program.losses[:, :count].sum(dim=1).float().cpu().numpy()
            if done % self.feed.epoch_steps == 0:
                self._end_epoch(sums / self.feed.epoch_steps)
                sums = np.zeros_like(sums)
            stopping = stop() and done < end
            due = done % self.feed.epoch_steps == 0 and time.monotonic() - written >= checkpoint_seconds
            if (due and done < end) or stopping:
                self._save(done, sums, marks)
                written = time.monotonic()
            if stopping:
                raise Stopped
        self.program.hand_back(done)
        return [self._left(place) for place in range(len(self.states))]

    def _end_epoch(self, losses: NDArray[np.floating]) -> None:
        """Note the mean losses (E, 2) and the images of an epoch; where a loss is no number, its training has failed."""
        images = self.program.rendered()
        for place, (state, one) in enumerate(zip(self.states, self.trainings, strict=True)):
            both = (float(losses[place, 0]), float(losses[place, 1]))
            epoch = len(state.losses) + 1
            if not np.isfinite(both).all():
                self.errors.setdefault(place, diverged(epoch, both))
            state.losses.append(both)
            state.history.append(images[place])
            if place not in self.errors:
                one.progress(epoch, {"generator_loss": both[0], "discriminator_loss": both[1]})

    def _save(self, done: int, sums: NDArray[np.floating], marks: Sequence[Mark]) -> None:
        """Write the checkpoints of all that have not failed; draws stand where the last block that was taken ended."""
        self.program.hand_back(done)
        for place, (state, one, mark) in enumerate(zip(self.states, self.trainings, marks, strict=True)):
            between = mark.position >= len(mark.order)
            rng = torch.Generator()
            rng.set_state(mark.rng)
            kept = replace(
                state,
                rng=rng,
                order=mark.order[:0] if between else mark.order,
                position=0 if between else mark.position,
                sums=torch.from_numpy(sums[place].astype(np.float32)),
            )
            if place not in self.errors:
                save(kept, one.checkpoint)

    def _left(self, place: int) -> DcganRun | FloatingPointError:
        if place in self.errors:
            return self.errors[place]
        self.trainings[place].checkpoint.unlink(missing_ok=True)
        return ended(self.states[place])
