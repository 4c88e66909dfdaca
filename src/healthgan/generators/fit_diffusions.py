"""Train several diffusion generators at once: to rounding, what ``fit_diffusion`` gives for each on the CPU."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.feed import SPAN_BYTES
from healthgan.classifiers.pictures import Pictures
from healthgan.classifiers.room import budget, by_turns
from healthgan.generators.diffusion import Diffusion, Settings
from healthgan.generators.diffusion_program import DiffusionFeed, DiffusionProgram
from healthgan.generators.diffusion_state import State, restore, save, start
from healthgan.generators.fit_diffusion import Progress, check_ends, check_images, ended, measure
from healthgan.stopping import Stopped


@dataclass(frozen=True)
class DiffusionTraining:
    """What differs from one training to another; as ``fit_diffusion`` takes it.

    Attributes:
        images: (N, H, W, C) uint8.
        labels: (N,) class numbers.
        patients: (N,) whose they are, or None.
        seed: decides everything random.
        checkpoint: file that holds the state of an unfinished training, if any; removed at the end.
        progress: told how far it is, if any.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.int64] | None
    seed: int
    checkpoint: Path | None = None
    progress: Progress | None = None


def fit_diffusions(
    trainings: Sequence[DiffusionTraining],
    *,
    settings: Settings,
    device: torch.device,
    checkpoint_seconds: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
    memory: int | None = None,
) -> list[Diffusion | FloatingPointError]:
    """Train them all; with checkpoints in place, go on from these.

    Draws are those of ``fit_diffusion``, so that none depends on what else is trained; checkpoints are the same too.
    Trainings that are as far as one another, on images of one size and as many classes, step together.

    Args:
        trainings: what differs.
        settings: how.
        device: where to train.
        checkpoint_seconds: write checkpoints after the first block of steps that ends this long after the last write.
        stop: asked after every block of steps; where it says yes, checkpoints are written.
        memory: bytes that may be taken; None as in ``train_many``.

    Returns:
        In order the generators, on the device, or the error that ended a training.

    Raises:
        InputError: as ``fit_diffusion``.
        Stopped: ``stop`` said yes.
    """
    states = []
    for one in trainings:
        check_images(one.images, one.labels, one.patients)
        state = start(one.images, one.labels, one.patients, settings, one.seed, device)
        if one.checkpoint is not None and one.checkpoint.exists():
            restore(state, one.checkpoint)
        states.append(state)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, state in enumerate(states):
        groups[state.step, state.pool.shape[1:], len(state.shares)].append(place)
    found: dict[int, Diffusion | FloatingPointError] = {}

    def work(places: Sequence[int]) -> list[Diffusion | FloatingPointError]:
        some = [trainings[place] for place in places]
        return _Together(some, [states[place] for place in places], device).run(checkpoint_seconds, stop)

    for places in groups.values():
        most = _at_once(states[places[0]], device, memory)
        found |= zip(places, by_turns(places, most, work), strict=True)
    return [found[place] for place in range(len(trainings))]


def _at_once(state: State, device: torch.device, memory: int | None) -> int:
    """How many fit: weights with what belongs to them, and of every image as much as 100 of its copies a channel."""
    weights = sum(value.nbytes for value in state.network.parameters())
    pixels = state.settings.batch * int(np.prod(state.pool.shape[1:]))
    return max(1, budget(device, memory) // (8 * weights + 400 * state.settings.width * pixels + SPAN_BYTES))


class _Together:
    """Trainings that are as far as one another, to the end."""

    def __init__(
        self, trainings: Sequence[DiffusionTraining], states: Sequence[State], device: torch.device
    ) -> None:
        pictures = Pictures(trainings[0].images.shape[1:])
        pools = [pictures.add(state.pool.cpu().numpy()) for state in states]
        self.trainings, self.states = trainings, states
        self.feed = DiffusionFeed(states, pools, pin=device.type == "cuda")
        self.program = DiffusionProgram(states, self.feed, torch.from_numpy(pictures.pixels).to(device))

    def run(
        self, checkpoint_seconds: float, stop: Callable[[], bool]
    ) -> list[Diffusion | FloatingPointError]:
        """Take all steps, unless all trainings have ended before."""
        done, written = self.feed.done, time.monotonic()
        settings, ends = self.feed.settings, check_ends(self.feed.settings)
        for count, _ in self.program.taken(self.feed.blocks()):
            done += count
            marks = self.feed.marks.popleft()
            self._look(done)
            stopping = stop() and done < settings.steps
            due = stopping or time.monotonic() - written >= checkpoint_seconds
            if done in ends or due:
                self.program.hand_back(done)
            self._tell(done, check=done in ends)
            if due:
                self._save(marks)
                written = time.monotonic()
            if stopping:
                raise Stopped
            if all(state.stopped for state in self.states):
                break
        return [self._left(place) for place in range(len(self.states))]

    def _look(self, done: int) -> None:
        """Note which have diverged."""
        for state, finite in zip(self.states, self.program.finite.tolist(), strict=True):
            if finite < done and not state.stopped:
                state.stopped = f"diverged at step {finite + 1}"

    def _tell(self, done: int, *, check: bool) -> None:
        """Tell of those that go on; at a check measure them, which may end one."""
        for row, (state, one) in enumerate(zip(self.states, self.trainings, strict=True)):
            if state.stopped:
                continue
            facts: dict[str, float] = {}
            if check:
                measured = measure(state)
                self.program.begin_again(row)
                facts = {"training_loss": measured.training, "held_out_loss": measured.heldout}
            if one.progress is not None:
                one.progress(done, facts)

    def _save(self, marks: Sequence[torch.Tensor]) -> None:
        """Write the checkpoints of those that go on; draws stand where the last block that was taken ended."""
        for state, one, mark in zip(self.states, self.trainings, marks, strict=True):
            if one.checkpoint is not None and not state.stopped:
                rng = torch.Generator()
                rng.set_state(mark)
                save(replace(state, rng=rng), one.checkpoint)

    def _left(self, place: int) -> Diffusion | FloatingPointError:
        try:
            return ended(self.states[place], self.trainings[place].checkpoint)
        except FloatingPointError as error:
            return error
