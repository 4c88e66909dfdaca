"""How one classifier is trained, as data: what is in a batch, what it should be called, how it is altered.

A recipe holds positions in a pool of images, not images, and needs no PyTorch: many recipes can be planned anywhere
and later be trained one by one or many at once.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
"""Images that are hashed at a time."""


def _within(
    name: str, value: float, low: float, high: float, *, open_below: bool = False, open_above: bool = False
) -> None:
    """Refuse what is no number between the bounds."""
    inside = (low < value if open_below else low <= value) and (value < high if open_above else value <= high)
    if not inside:
        bounds = f"{'above' if open_below else 'from'} {low:g} and {'below' if open_above else 'to'} {high:g}"
        raise ValueError(f"{name} is {value}; it must be {bounds}.")


def _whole(name: str, value: int, low: int) -> None:
    if value != int(value) or value < low:
        raise ValueError(f"{name} is {value}; it must be a whole number from {low}.")


@dataclass(frozen=True)
class Augmentation:
    """How the images of a batch are altered at random: all zero and False, not at all.

    Each strength s means a uniform draw from −s to +s for every image.

    Attributes:
        rotate: degrees, to 180.
        shift: share of the side, below 1, along either axis.
        scale: share, below 1: 0.1 is a factor of 0.9 to 1.1. Zooming in crops.
        brightness: share of the full range that is added, to 1.
        contrast: share, to 1: a factor about the image's mean.
        mirror: swap left and right in half of the images.
    """

    rotate: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    mirror: bool = False

    def __post_init__(self) -> None:
        _within("rotate", self.rotate, 0, 180)
        _within("shift", self.shift, 0, 1, open_above=True)
        _within("scale", self.scale, 0, 1, open_above=True)
        _within("brightness", self.brightness, 0, 1)
        _within("contrast", self.contrast, 0, 1)

    @property
    def none(self) -> bool:
        """Whether it leaves every image as it is."""
        return not any(astuple(self))


@dataclass(frozen=True)
class Part:
    """A fixed number of images of every batch, drawn with replacement.

    Attributes:
        images: how many of a batch.
        index: (n,) int64, positions in the pool to draw from.
        weight: (n,) float64, the probability of each; None: all alike.
    """

    images: int
    index: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _whole("images", self.images, 1)
        if self.index.dtype != np.int64 or self.index.ndim != 1 or not len(self.index):
            raise ValueError(
                f"index is {self.index.dtype} {self.index.shape}; it must be (n,) int64 with n > 0."
            )
        if self.index.min() < 0:
            raise ValueError(f"index holds {self.index.min()}; positions start at 0.")
        if self.weight is None:
            return
        if self.weight.dtype != np.float64 or self.weight.shape != self.index.shape:
            raise ValueError(
                f"weight is {self.weight.dtype} {self.weight.shape}; it must be float64 {self.index.shape}."
            )
        if not (self.weight >= 0).all() or not abs(self.weight.sum() - 1) < 1e-6:
            raise ValueError("weight must be probabilities: none below 0, all together 1.")


@dataclass(frozen=True)
class Phase:
    """Steps of one kind.

    Attributes:
        steps: of the optimiser.
        parts: what every batch is made of.
        targets: (pool, K) float32, what each image of the pool should be called, 0 to 1, in K outputs; NaN: the
            output is not used for this image.
        augmentation: of every image, also of those of ``align``.
        mixup: α of the Beta(α, α) that mixes pairs of a batch (Zhang et al., ICLR 2018); 0: none.
        class_weights: of target 0 and of target 1 in the loss, which is divided by the number of targets.
        learning_rate: the highest. It rises to it and falls to 0 within the phase.
        align: images of another domain, whose targets are not used: Deep CORAL (Sun and Saenko, ECCV workshops
            2016) draws the covariance of their features and of the others' together.
        align_weight: of that in the loss.
        new_head: begin with a new last layer. It is new anyway where K differs from the phase before.
    """

    steps: int
    parts: tuple[Part, ...]
    targets: NDArray[np.float32]
    augmentation: Augmentation = Augmentation()
    mixup: float = 0.0
    class_weights: tuple[float, float] = (1.0, 1.0)
    learning_rate: float = 1e-3
    align: Part | None = None
    align_weight: float = 0.0
    new_head: bool = False

    def __post_init__(self) -> None:
        _whole("steps", self.steps, 1)
        if not self.parts:
            raise ValueError("parts is empty; a batch needs one at least.")
        self._check_targets()
        _within("mixup", self.mixup, 0, np.inf, open_above=True)
        _within("learning_rate", self.learning_rate, 0, np.inf, open_below=True, open_above=True)
        _within("align_weight", self.align_weight, 0, np.inf, open_above=True)
        for weight in self.class_weights:
            _within("class_weights", weight, 0, np.inf, open_below=True, open_above=True)
        if (self.align is None) != (self.align_weight == 0):
            raise ValueError("align and an align_weight above 0 go together.")
        if self.align is not None and min(self.align.images, self.labelled) < 2:
            raise ValueError(
                "align needs two images of either domain in a batch: a covariance has to be taken."
            )

    def _check_targets(self) -> None:
        if self.targets.dtype != np.float32 or self.targets.ndim != 2 or not self.targets.shape[1]:
            raise ValueError(
                f"targets is {self.targets.dtype} {self.targets.shape}; it must be (pool, K) float32, K > 0."
            )
        for part in (*self.parts, *([] if self.align is None else [self.align])):
            if part.index.max() >= len(self.targets):
                raise ValueError(f"index holds {part.index.max()}, the pool {len(self.targets)} images.")
        used = [self.targets[part.index] for part in self.parts]
        if any(((rows < 0) | (rows > 1)).any() for rows in used):
            raise ValueError("targets must lie between 0 and 1, or be NaN.")
        if all(np.isnan(rows).all() for rows in used):
            raise ValueError("targets are all NaN: nothing to learn.")

    @property
    def labelled(self) -> int:
        """Images of a batch that are trained on by their targets."""
        return sum(part.images for part in self.parts)


@dataclass(frozen=True)
class Recipe:
    """How one classifier is trained.

    Attributes:
        phases: one after the other, on the same network; each with an optimiser of its own.
        network: a name in ``healthgan.classifiers.networks``, or 'package.module:factory'.
        seed: decides everything random.
        weights: a .safetensors file to begin with; a tensor is taken where name and shape fit.
    """

    phases: tuple[Phase, ...]
    network: str = "cnn-2023"
    seed: int = 0
    weights: Path | None = None

    def __post_init__(self) -> None:
        if not self.phases:
            raise ValueError("phases is empty; a recipe needs one at least.")
        if not self.network:
            raise ValueError("network is empty; it must be a name or 'package.module:factory'.")
        _whole("seed", self.seed, 0)

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(phase.steps for phase in self.phases)


def digest(recipe: Recipe, pool: NDArray[np.uint8]) -> str:
    """SHA-256 over all that decides a training: settings, images that can be drawn, their targets, initial weights.

    Images are hashed as they are drawn from, so it matters neither where they stand in the pool nor what else the
    pool holds. A network of the user's own stands by its name, not by its code.

    Args:
        recipe: the recipe.
        pool: (N, H, W, C) uint8.
    """
    summed = hashlib.sha256(repr(("recipe 1", recipe.network, recipe.seed, pool.shape[1:])).encode())
    if recipe.weights is not None:
        with recipe.weights.open("rb") as file:
            summed.update(hashlib.file_digest(file, "sha256").digest())
    for phase in recipe.phases:
        settings = (
            phase.steps,
            phase.targets.shape[1],
            tuple(float(value) for value in astuple(phase.augmentation)),
            *(float(value) for value in (phase.mixup, *phase.class_weights, phase.learning_rate)),
            float(phase.align_weight),
            phase.new_head,
        )
        summed.update(repr((settings, len(phase.parts))).encode())
        for part in phase.parts:
            summed.update(b"".join(_facts(part)))
            for images in _drawn_from(part, pool):
                summed.update(images)
            rows = phase.targets[part.index]
            summed.update(np.where(np.isnan(rows), np.float32(np.nan), rows).tobytes())
        if phase.align is not None:
            summed.update(b"align" + b"".join(_facts(phase.align)))
            for images in _drawn_from(phase.align, pool):
                summed.update(images)
    return summed.hexdigest()


def _facts(part: Part) -> Iterator[bytes]:
    yield repr((part.images, len(part.index), part.weight is None)).encode()
    if part.weight is not None:
        yield part.weight.tobytes()


def _drawn_from(part: Part, pool: NDArray[np.uint8]) -> Iterator[bytes]:
    for start in range(0, len(part.index), _BLOCK):
        yield pool[part.index[start : start + _BLOCK]].tobytes()
