"""What arms are made of, and where they lay it out: a pool of images and the batches drawn from it.

All arms take the same number of optimiser steps in batches of the same size, half of them rare and half reference
images; only ``weighted`` draws at natural frequencies. Adding images thus never means training longer, and ``real``,
which repeats its rare images as often as a synthetic arm shows other ones, is the count-matched control.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe

Pixels = NDArray[np.uint8]
Index = NDArray[np.int64]

EMPTY: Index = np.empty(0, np.int64)
UNALTERED = Augmentation()
ALIGN_WEIGHT = 1.0
"""Of Deep CORAL's loss."""


@dataclass(frozen=True)
class Findings:
    """Images of the training split that are neither of the rare nor of the reference class, with their labels.

    Attributes:
        pixels: (N, H, W, C) uint8.
        targets: (N, K) float32 of 0 and 1, each row with a 1.
        reference: (M, K) those of the reference images, which may have one of these findings too.
    """

    pixels: Pixels
    targets: NDArray[np.float32]
    reference: NDArray[np.float32]


@dataclass(frozen=True)
class Materials:
    """What arms can be made of; all of it from the training part.

    Attributes:
        rare: (N, H, W, C) uint8, real.
        reference: (M, H, W, C) uint8, real, all there are.
        synthetic: images of the rare class by how they were filtered: ``band``, ``floor``, ``faithful``, ``none``.
        synthetic_reference: of the reference class, filtered by its band.
        fresh: real rare images that the training part lacks, for the oracle.
        findings: None where the source has no third class.
        other: rare and reference images of another source.
    """

    rare: Pixels
    reference: Pixels
    synthetic: Mapping[str, Pixels] = field(default_factory=dict)
    synthetic_reference: Pixels | None = None
    fresh: Pixels | None = None
    findings: Findings | None = None
    other: tuple[Pixels, Pixels] | None = None


@dataclass(frozen=True)
class Settings:
    """How classifiers are trained, the same for all arms.

    Attributes:
        steps: in all.
        batch: images a step, even.
        learning_rate: the highest.
        first_phase: share of the steps in the first of two phases.
        mixup: α.
        augmentation: of the arms that augment.
        network: a name or import path.
        weights: initial weights for the arm ``weights``.
    """

    steps: int
    batch: int
    learning_rate: float
    first_phase: float
    mixup: float
    augmentation: Augmentation
    network: str = "cnn-2023"
    weights: Path | None = None


@dataclass(frozen=True)
class Training:
    """A recipe with the images that it refers to.

    Attributes:
        pool: (P, H, W, C) uint8.
        recipe: its positions are those of the pool.
        real: real images of the task that can be drawn.
        synthetic: how many others.
    """

    pool: Pixels
    recipe: Recipe
    real: int
    synthetic: int


Targets = tuple[tuple[Index, NDArray[np.float32]], ...]


@dataclass(frozen=True)
class Stage:
    """A phase before the pool is complete: targets are (positions, rows) until then."""

    parts: tuple[Part, ...]
    targets: Targets
    share: float = 1.0
    augmentation: Augmentation = UNALTERED
    mixup: float = 0.0
    class_weights: tuple[float, float] = (1.0, 1.0)
    align: Part | None = None
    new_head: bool = False


class Bench:
    """Where an arm lays out its images: a pool that grows, and batches drawn from it."""

    def __init__(self, materials: Materials, settings: Settings, seed: int) -> None:
        self.materials, self.settings = materials, settings
        self.rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7,)))
        self.half = settings.batch // 2
        self._pool: list[Pixels] = []
        self._count = 0
        self.synthetic = 0
        self.rare = self.add(materials.rare, synthetic=False)
        self.reference = self.add(materials.reference, synthetic=False)

    def add(self, pixels: Pixels, *, synthetic: bool = True) -> Index:
        """Put images into the pool; their positions in it."""
        index = np.arange(self._count, self._count + len(pixels))
        self._pool.append(pixels)
        self._count += len(pixels)
        self.synthetic += len(pixels) if synthetic else 0
        return index

    def stage(
        self, rare: tuple[Index, Index, float], reference: tuple[Index, Index, float] | None = None
    ) -> Stage:
        """Half a batch of either class: of each (real, synthetic, share of the synthetic)."""
        reference = reference or (self.reference, EMPTY, 0.0)
        return Stage(
            (_mixed(self.half, *rare), _mixed(self.half, *reference)),
            (
                (np.concatenate(rare[:2]), np.ones((len(rare[0]) + len(rare[1]), 1), np.float32)),
                (
                    np.concatenate(reference[:2]),
                    np.zeros((len(reference[0]) + len(reference[1]), 1), np.float32),
                ),
            ),
        )

    def real(self) -> Stage:
        """Real images only."""
        return self.stage((self.rare, EMPTY, 0.0))

    def training(self, stages: tuple[Stage, ...], seed: int, weights: Path | None = None) -> Training:
        """The recipe of these stages, one after the other."""
        pool = np.concatenate(self._pool)
        steps = _divided(self.settings.steps, [stage.share for stage in stages])
        phases = tuple(
            Phase(
                steps=count,
                parts=stage.parts,
                targets=_targets(len(pool), stage.targets),
                augmentation=stage.augmentation,
                mixup=stage.mixup,
                class_weights=stage.class_weights,
                learning_rate=self.settings.learning_rate,
                align=stage.align,
                align_weight=0.0 if stage.align is None else ALIGN_WEIGHT,
                new_head=stage.new_head,
            )
            for stage, count in zip(stages, steps, strict=True)
        )
        recipe = Recipe(phases, self.settings.network, seed, weights)
        return Training(pool, recipe, len(self.rare) + len(self.reference), self.synthetic)


def _mixed(images: int, real: Index, synthetic: Index, share: float) -> Part:
    """Part of a batch: a share of it synthetic on average, each image of a kind as likely as another."""
    if not share or not len(synthetic):
        return Part(images, real)
    if share == 1:
        return Part(images, synthetic)
    weight = np.concatenate(
        [np.full(len(real), (1 - share) / len(real)), np.full(len(synthetic), share / len(synthetic))]
    )
    return Part(images, np.concatenate([real, synthetic]), weight)


def _targets(pool: int, rows: Targets) -> NDArray[np.float32]:
    targets = np.full((pool, rows[0][1].shape[1]), np.nan, np.float32)
    for index, values in rows:
        targets[index] = values
    return targets


def _divided(steps: int, shares: list[float]) -> list[int]:
    """Whole numbers of steps in proportion to the shares, at least one each, that add up."""
    ends = np.rint(steps * np.cumsum(shares) / np.sum(shares)).astype(int)
    return [int(count) for count in np.diff(ends, prepend=0)]
