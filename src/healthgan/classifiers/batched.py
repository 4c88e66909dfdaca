"""Train many classifiers at once: one program for all recipes of equal shape, and to rounding what each gives alone."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from healthgan.classifiers.draws import batch_images
from healthgan.classifiers.feed import Feed, Lane
from healthgan.classifiers.networks import NETWORKS, Network
from healthgan.classifiers.pictures import Pictures
from healthgan.classifiers.program import Program
from healthgan.classifiers.recipes import Phase, Recipe
from healthgan.classifiers.room import activations, budget, by_turns
from healthgan.classifiers.stacks import stack_of
from healthgan.classifiers.train import (
    Trained,
    diverged,
    fresh_network,
    own_global_generator,
    train,
)
from healthgan.classifiers.weights import weights_digest
from healthgan.keras_semantics import Dropout

CPU = torch.device("cpu")

Outcome = Trained | FloatingPointError


@dataclass(frozen=True)
class _Member:
    """A training, and where the images of its pool lie among all."""

    recipe: Recipe
    positions: NDArray[np.int64]


def train_many(
    trainings: Iterable[tuple[Recipe, NDArray[np.uint8]]],
    device: torch.device,
    progress: Callable[[int], None] | None = None,
    memory: int | None = None,
) -> list[Outcome]:
    """Train a fresh network by each recipe, those of equal shape together.

    What ``train`` does with a recipe on the CPU is done here with the same initial values, batches, alterations and
    dropout, on whatever device; sums are taken in another order, which Adam makes more of with every step. Equal
    have to be, for recipes to be trained together: network, size of the images and, phase by phase, steps, images of
    a batch, outputs, and whether the head is new or domains are aligned. A network of the user's own is trained
    together with others if it can be (``stacks.stack_of``) and keeps its head; else one after the other.

    Args:
        trainings: recipes, each with its pool (N, H, W, C) uint8; taken one by one and kept as positions in one pool
            that holds equal images once, so that it does not grow with the number of recipes that share images.
        device: where to train.
        progress: called with the number of steps done so far, in all trainings together.
        memory: bytes that networks trained at once may take; None: what a CUDA device has free, or ``MEMORY``.

    Returns:
        In order, for each recipe the classifier or, where its training diverged, the error that ``train`` raises.

    Raises:
        InputError: a network or initial weights cannot be used.
    """
    members, pictures = _gathered(trainings)
    told = progress or (lambda _: None)
    found: dict[int, Outcome] = {}
    done = 0
    groups: dict[Hashable, list[int]] = {}
    for place, (member, shape) in enumerate(members):
        groups.setdefault((shape, _shape(member.recipe)), []).append(place)
    with own_global_generator(0, CPU):
        for places in groups.values():
            some, shape = [members[place][0] for place in places], members[places[0]][1]
            group = _Group(some, pictures[shape].pixels, device, memory)
            found |= zip(places, group.trained(_beyond(told, done)), strict=True)
            done += sum(member.recipe.steps for member in some)
    return [found[place] for place in range(len(members))]


class _Group:
    """Trainings of equal shape, as many at a time as the memory holds."""

    def __init__(
        self,
        members: Sequence[_Member],
        pixels: NDArray[np.uint8],
        device: torch.device,
        memory: int | None,
    ) -> None:
        self.members, self.pixels, self.device, self.memory = members, pixels, device, memory
        self.shape: tuple[int, int, int] = pixels.shape[1:]

    def trained(self, told: Callable[[int], None]) -> list[Outcome]:
        """The classifiers, in order."""
        if not self._can_be_stacked():
            return self._one_by_one(told)
        pool = torch.from_numpy(self.pixels).to(self.device)
        done = 0

        def work(some: Sequence[_Member]) -> list[Outcome]:
            nonlocal done
            found = self._together(some, pool, _beyond(told, done, len(some)))
            done += len(some) * some[0].recipe.steps
            return found

        return by_turns(self.members, self._at_once(), work)

    def _can_be_stacked(self) -> bool:
        recipe = self.members[0].recipe
        if len(self.members) == 1:
            return False
        if recipe.network in NETWORKS:
            return True
        outputs = {phase.targets.shape[1] for phase in recipe.phases}
        if len(outputs) > 1 or any(phase.new_head or phase.align is not None for phase in recipe.phases):
            return False
        two = [_fresh(member.recipe, self.shape)[0] for member in self.members[:2]]
        return stack_of(two, self.shape, CPU) is not None

    def _one_by_one(self, told: Callable[[int], None]) -> list[Outcome]:
        found: list[Outcome] = []
        for number, member in enumerate(self.members):
            before = number * member.recipe.steps
            try:
                found.append(
                    train(
                        member.recipe,
                        self.pixels[member.positions],
                        self.device,
                        _beyond(told, before),
                    )
                )
            except FloatingPointError as error:
                found.append(error)
        return found

    def _at_once(self) -> int:
        """How many fit."""
        recipe = self.members[0].recipe
        network = _fresh(recipe, self.shape)[0]
        weights = sum(value.nbytes for value in network.parameters())
        images = max(batch_images(phase) for phase in recipe.phases)
        blocks = max(
            Feed(
                _lanes(self.members[:1], [network], number),
                int(np.prod(self.shape)),
                64,
                torch.float32,
                pin=False,
            ).bytes
            for number in range(len(recipe.phases))
        )
        # Parameters, gradient, two averages and what a step makes of them; images and what is made of them.
        one = 8 * weights + images * activations(network, self.shape, self.device) + blocks
        return max(1, budget(self.device, self.memory) // one)

    def _together(
        self, members: Sequence[_Member], pool: Tensor, told: Callable[[int], None]
    ) -> list[Outcome]:
        begun = [_fresh(member.recipe, self.shape) for member in members]
        networks = [network for network, _, _ in begun]
        errors: dict[int, FloatingPointError] = {}
        done = 0
        for number, phase in enumerate(members[0].recipe.phases):
            if _renews(members[0].recipe, number):
                for network, rng, _ in begun:
                    network.renew_head(phase.targets.shape[1], rng)
            stack = stack_of(networks, self.shape, self.device)
            assert stack is not None
            stack.train(True)
            width = 0 if stack.dropout is None else stack.dropout[0]
            feed = Feed(
                _lanes(members, networks, number),
                pool[0].numel(),
                width,
                stack.flat.dtype,
                pin=self.device.type == "cuda",
            )
            ends = Program(stack, feed, pool).run(_beyond(told, done))
            for place, end in enumerate(ends.tolist()):
                if end and place not in errors:
                    own = members[place].recipe.phases[number]
                    errors[place] = diverged(own, number, None if end < 0 else end)
            stack.write_to(networks)
            done += phase.steps
        return [
            errors[place] if place in errors else _ready(network, taken, self.device)
            for place, (network, _, taken) in enumerate(begun)
        ]


def _beyond(told: Callable[[int], None], before: int, each: int = 1) -> Callable[[int], None]:
    """Tells of so many steps more than it is told of, each of which counts so often."""
    return lambda steps: told(before + each * steps)


def _gathered(
    trainings: Iterable[tuple[Recipe, NDArray[np.uint8]]],
) -> tuple[list[tuple[_Member, tuple[int, ...]]], dict[tuple[int, ...], Pictures]]:
    """The trainings with the shapes of their images, and all images by shape."""
    members: list[tuple[_Member, tuple[int, ...]]] = []
    pictures: dict[tuple[int, ...], Pictures] = {}
    for recipe, pool in trainings:
        for number, phase in enumerate(recipe.phases):
            assert len(phase.targets) == len(pool), f"phase {number} has targets for another pool"
        shape = pool.shape[1:]
        place = pictures.setdefault(shape, Pictures(shape)).add(pool)
        members.append((_Member(recipe, place), shape))
    return members, pictures


def _shape(recipe: Recipe) -> Hashable:
    """What has to be equal for recipes to be trained together, beside the size of their images."""
    return recipe.network, tuple(
        (
            phase.steps,
            batch_images(phase),
            phase.labelled,
            phase.targets.shape[1],
            phase.align is None,
            _renews(recipe, number),
        )
        for number, phase in enumerate(recipe.phases)
    )


def _renews(recipe: Recipe, number: int) -> bool:
    """Whether a phase begins with a new head, beyond the one that the network has."""
    phase: Phase = recipe.phases[number]
    before = recipe.phases[max(number - 1, 0)].targets.shape[1]
    return phase.new_head or phase.targets.shape[1] != before


def _fresh(recipe: Recipe, shape: tuple[int, int, int]) -> tuple[Network, torch.Generator, int]:
    with own_global_generator(recipe.seed, CPU):
        return fresh_network(recipe, shape, CPU)


def _ready(network: Network, taken: int, device: torch.device) -> Trained:
    network.eval()
    return Trained(network.to(device), device, weights_digest(network), taken)


def _lanes(members: Sequence[_Member], networks: Sequence[Network], number: int) -> list[Lane]:
    return [
        Lane(member.recipe.phases[number], number, member.recipe.seed, member.positions, _dropout(network))
        for member, network in zip(members, networks, strict=True)
    ]


def _dropout(network: nn.Module) -> Dropout | None:
    return next((part for part in network.modules() if isinstance(part, Dropout)), None)
