"""The published study's trainings, many at once: chains of folds as one program."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.classifiers.chains import Chain, ChainFeed, Stream
from healthgan.classifiers.feed import Block
from healthgan.classifiers.fit import Recipe
from healthgan.classifiers.networks import NETWORKS, Network
from healthgan.classifiers.recording import Recorded
from healthgan.classifiers.room import activations, budget, by_turns
from healthgan.classifiers.stacks import Stack, stack_of
from healthgan.keras_semantics import Dropout, SteadyAdam

CPU = torch.device("cpu")
_JUDGED = 4096
"""Images that are judged at a time."""


@dataclass(frozen=True)
class Course:
    """What came of a chain.

    Attributes:
        train_accuracies: of the last epoch of each fold, over its batches as they were trained on.
        validation: the probabilities (M,) of each fold's validation images, by the network after that fold.
        judged: those (K,) of the images that the network after the last fold had to judge.
    """

    train_accuracies: tuple[float, ...]
    validation: tuple[NDArray[np.float32], ...]
    judged: NDArray[np.float32]


def run_chains(
    chains: Sequence[Chain],
    judging: Sequence[NDArray[np.int64]],
    pixels: NDArray[np.uint8],
    recipe: Recipe,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda *_: None,
    memory: int | None = None,
) -> list[Course]:
    """Train a network through each chain, all of them together; to rounding, what ``fit`` and ``predict`` give on the CPU.

    Shorter chains leave when they are done, and the others go on. The longest come first where memory does not hold all.

    Args:
        chains: any number of steps each.
        judging: for each chain positions (K,) of images to be judged at its end.
        pixels: (N, H, W, C) uint8, all images.
        recipe: how the networks are trained.
        device: where.
        progress: called with the place of a chain and its number of steps done, every few hundred of them.
        memory: bytes that networks trained at once may take; None as in ``train_many``.
    """
    order = sorted(range(len(chains)), key=lambda place: -chains[place].steps)
    if not order:
        return []
    pool = torch.from_numpy(pixels).to(device)
    size = _at_once(chains[order[0]], recipe, pixels.shape[1:], device, memory)

    def work(places: Sequence[int]) -> list[Course]:
        some = [chains[place] for place in places]
        together = _Together(some, [judging[place] for place in places], pool, recipe)
        return together.run(lambda row, steps: progress(places[row], steps))

    courses = dict(zip(order, by_turns(order, size, work), strict=True))
    return [courses[place] for place in range(len(chains))]


def _network(seed: int, shape: tuple[int, int, int]) -> Network:
    """The study's network as ``new_classifier`` makes it, with dropout from the generator that gave its initial values."""
    height, width, channels = shape
    return NETWORKS["cnn-2023"](channels, (height, width), 1, torch.Generator().manual_seed(seed), CPU)


def _dropout(network: Network) -> Dropout:
    (found,) = (part for part in network.modules() if isinstance(part, Dropout))
    return found


def _stack(networks: Sequence[Network], shape: tuple[int, int, int], device: torch.device) -> Stack:
    stack = stack_of(networks, shape, device)
    assert stack is not None, "the study's network can be stacked"
    return stack


def _at_once(
    chain: Chain, recipe: Recipe, shape: tuple[int, int, int], device: torch.device, memory: int | None
) -> int:
    network = _network(0, shape)
    stack = _stack([network], shape, CPU)
    assert stack.dropout is not None
    feed = ChainFeed(
        [Stream(chain, _dropout(network))],
        0,
        recipe.learning_rate,
        stack.dropout[0],
        stack.flat.dtype,
        pin=False,
    )
    # Parameters, gradient, two averages and what a step makes of them; images and what is made of them.
    one = 8 * stack.flat.nbytes + chain.batch * activations(network, shape, device) + feed.bytes
    return max(1, budget(device, memory) // one)


class _Together:
    """Chains that are trained together.

    Args:
        chains: the chains.
        judging: positions of images that each one judges at its end.
        pool: (N, H, W, C) uint8 on the device.
        recipe: how they are trained.
    """

    def __init__(
        self,
        chains: Sequence[Chain],
        judging: Sequence[NDArray[np.int64]],
        pool: Tensor,
        recipe: Recipe,
    ) -> None:
        self.chains, self.judging, self.pool, self.recipe = chains, judging, pool, recipe
        height, width, channels = pool.shape[1:]
        shape = (height, width, channels)
        networks = [_network(chain.seed, shape) for chain in chains]
        self.streams = [
            Stream(chain, _dropout(network)) for chain, network in zip(chains, networks, strict=True)
        ]
        self.stack = _stack(networks, shape, pool.device)
        self.right = np.zeros(len(chains), np.int64)  # of the epoch that is the last of its fold
        self.accuracies: list[list[float]] = [[] for _ in chains]
        self.validation: list[list[NDArray[np.float32]]] = [[] for _ in chains]
        self.judged: dict[int, NDArray[np.float32]] = {}

    def run(self, told: Callable[[int, int], None]) -> list[Course]:
        """Take all steps of all chains."""
        rows = list(range(len(self.chains)))
        averages: list[Tensor] = []
        done = 0
        while rows:
            program = FoldProgram(
                self.stack, [self.streams[row] for row in rows], done, self.pool, self.recipe
            )
            for ours, theirs in zip(program.averages, averages, strict=False):
                ours.copy_(theirs)
            for count, hits in program.run():
                self._count(rows, done, hits)
                done += count
                self._validate(rows, done)
                for row in rows:
                    told(row, done)
            stay = [place for place, row in enumerate(rows) if self.chains[row].steps > done]
            self.stack = self.stack.some(stay)
            averages = [average[stay] for average in program.averages]
            rows = [rows[place] for place in stay]
        return [
            Course(tuple(self.accuracies[row]), tuple(self.validation[row]), self.judged[row])
            for row in range(len(self.chains))
        ]

    def _count(self, rows: Sequence[int], done: int, hits: NDArray[np.int64]) -> None:
        """Add up what was right in the last epochs of folds: ``hits`` (S, E) of the steps behind ``done`` others."""
        for place, row in enumerate(rows):
            chain = self.chains[row]
            fold = int(np.searchsorted(chain.ends, done, side="right"))
            last = int(chain.ends[fold]) - -(-len(chain.folds[fold].training) // chain.batch)
            self.right[row] += hits[max(last - done, 0) :, place].sum()

    def _validate(self, rows: Sequence[int], done: int) -> None:
        """Where folds have ended: their accuracy in training, and what their networks say of the validation images."""
        for place, row in enumerate(rows):
            chain = self.chains[row]
            if done not in chain.ends:
                continue
            fold = chain.folds[len(self.accuracies[row])]
            self.accuracies[row].append(int(self.right[row]) / len(fold.training))
            self.right[row] = 0
            self.validation[row].append(self._probabilities(place, fold.validation))
            if done == chain.steps:
                self.judged[row] = self._probabilities(place, self.judging[row])

    def _probabilities(self, place: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M,) of images, by the network in one place of the stack, without dropout."""
        flat = self.stack.flat.detach()[place : place + 1]
        found = [torch.zeros(0, dtype=flat.dtype, device=flat.device)]
        with torch.no_grad():
            for start in range(0, len(positions), _JUDGED):
                some = torch.from_numpy(positions[start : start + _JUDGED]).to(flat.device)
                x = inputs(self.pool[some], flat.dtype, scale=self.recipe.scale_pixels)
                found.append(self.stack.both(flat, x[None], None)[1].flatten().sigmoid())
        probabilities: NDArray[np.float32] = torch.cat(found).float().cpu().numpy()
        return probabilities


def inputs(pixels: Tensor, dtype: torch.dtype, *, scale: bool) -> Tensor:
    """Pixels, uint8, as networks take them: as they are, or from 0 to 1."""
    values = pixels.to(dtype)
    return values.div_(255) if scale else values


class FoldProgram(Recorded):
    """Chains that go on together until the first is done.

    Args:
        stack: their networks; its ``flat`` is moved.
        streams: their draws.
        done: steps that all of them have taken.
        pool: (N, H, W, C) uint8 on the stack's device, all images.
        recipe: how they are trained.
    """

    def __init__(
        self, stack: Stack, streams: Sequence[Stream], done: int, pool: Tensor, recipe: Recipe
    ) -> None:
        flat = stack.flat.detach()
        assert stack.dropout is not None
        self.feed = ChainFeed(
            streams, done, recipe.learning_rate, stack.dropout[0], flat.dtype, pin=flat.device.type == "cuda"
        )
        super().__init__(flat.device, self.feed.span, self.feed.steps)
        self.stack, self.pool, self.scale = stack, pool, recipe.scale_pixels
        self.flat = flat.requires_grad_()
        self.adam = SteadyAdam([self.flat])
        self.logits = flat.new_zeros(self.feed.span, len(streams), self.feed.batch)

    @property
    def averages(self) -> tuple[Tensor, Tensor]:
        """Both of Adam's, (E, P) each."""
        return self.adam.first[0], self.adam.second[0]

    def state(self) -> list[Tensor]:
        """Weights and averages."""
        return [self.flat, *self.averages]

    def run(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Take all steps: for each block how many, and how many images (S, E) were judged right before each step."""
        for count, block in self.taken(self.feed.blocks()):
            right = (self.logits[:count] > 0) == (block["targets"][:count] == 1)
            yield count, (right & (block["weights"][:count] > 0)).sum(dim=2).cpu().numpy()

    def step(self, block: Block) -> None:
        """A step of every chain, on the gradient of binary cross-entropy, averaged over the images that count."""
        index = block["index"]
        x = inputs(self.pool.index_select(0, index.flatten()), self.flat.dtype, scale=self.scale)
        _, logits = self.stack.both(self.flat, x.view(*index.shape, *x.shape[1:]), block["mask"])
        with torch.no_grad():
            slope = (logits.squeeze(2).sigmoid() - block["targets"]) * block["weights"]
            self.logits.index_copy_(0, self.now, logits.detach().squeeze(2)[None])
        gradients = torch.autograd.grad(logits, self.flat, slope[:, :, None])
        self.adam.step(gradients, block["rate"])
