"""The trainings of ``mended.py``: which images an arm has in a rung, and the study's CNN on them."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Classifier, Recipe, fit, new_classifier, predict
from healthgan.classifiers.folds import Examples
from healthgan.errors import InputError
from healthgan.images import Split
from healthgan.jobs import seed_for
from healthgan.protocol import Protocol
from healthgan.run import Record
from healthgan.splits import stratified_folds
from healthgan.task import Members, Task
from mended_figures import RUNGS, Rung, training_key

CPU = torch.device("cpu")
CLASSES = ("rare", "reference")
"""Of each of which a GAN makes images."""


@dataclass(frozen=True)
class Images:
    """The parts of an arm's training and validation set, in the published order.

    Attributes:
        parts: pixels, units and label of each part; a unit is a patient, or a synthetic image (below 0).
    """

    parts: tuple[tuple[NDArray[np.uint8], NDArray[np.int64], int], ...]

    def examples(self, rung: Rung, protocol: Protocol) -> tuple[Examples, NDArray[np.int64]]:
        """With folds; and the units (N,)."""
        labels = np.concatenate([np.full(len(pixels), label) for pixels, _, label in self.parts])
        units = np.concatenate([units for _, units, _ in self.parts])
        folds = stratified_folds(
            labels, units if rung.patients else None, protocol.folds.count, protocol.folds.seed
        )
        pixels = np.concatenate([pixels for pixels, _, _ in self.parts])
        return Examples(pixels, labels, units < 0, folds), units


@dataclass(frozen=True)
class Made:
    """Generated images of one class, with their likeness to its real training images.

    Attributes:
        pixels: (N, H, W, C) uint8.
        likeness: (N,) float32.
        units: (N,) negative codes.
    """

    pixels: NDArray[np.uint8]
    likeness: NDArray[np.float32]
    units: NDArray[np.int64]

    def accepted(self, floor: float) -> NDArray[np.int64]:
        """Positions of those that reach the floor."""
        return np.flatnonzero(self.likeness >= floor)


def first_accepted(
    made: Made, floor: float, count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels and units of the accepted images, or of a random ``count`` of them."""
    index = made.accepted(floor)
    if len(index) > count:
        index = np.sort(np.random.default_rng(seed).choice(index, count, replace=False))
    return made.pixels[index], made.units[index]


def gather(
    task: Task,
    rares_made: tuple[NDArray[np.uint8], NDArray[np.int64]],
    references_made: tuple[NDArray[np.uint8], NDArray[np.int64]],
) -> Images:
    """Training and validation images: synthetic references take the place of real ones that balanced the set."""
    extra = len(rares_made[0]) - len(references_made[0])
    rares, references = task.balanced("train", extra=extra)
    val_rares, val_references = task.balanced("val")
    return Images(
        (
            (rares.pixels, rares.patient, 1),
            (*rares_made, 1),
            (references.pixels, references.patient, 0),
            (*references_made, 0),
            (val_rares.pixels, val_rares.patient, 1),
            (val_references.pixels, val_references.patient, 0),
        )
    )


def fit_steps(
    classifier: Classifier, pixels: NDArray[np.uint8], labels: NDArray[np.int64], steps: int
) -> float:
    """Train on for this many steps: whole epochs, then a part of one; the training accuracy of the last whole one."""
    batch = classifier.recipe.batch
    epochs, rest = divmod(steps, math.ceil(len(pixels) / batch))
    accuracies = fit(classifier, pixels, labels, epochs, _ignore)
    if rest:
        part = torch.randperm(len(pixels), generator=classifier.rng)[: rest * batch].numpy()
        last = fit(classifier, pixels[part], labels[part], 1, _ignore)
        accuracies = accuracies or last
    return accuracies[-1]


def train_folds(
    examples: Examples,
    test_pixels: NDArray[np.uint8],
    *,
    recipe: Recipe,
    epochs: int,
    steps: int | None,
    rung: Rung,
    seed: int,
) -> Record:
    """What ``healthgan.classifiers.folds.run_folds`` does, image by image, with steps in place of epochs if given."""
    numbers = np.unique(examples.folds)
    children = np.random.SeedSequence(seed).spawn(len(numbers))
    seeds = [int(child.generate_state(1, np.uint64)[0] >> 1) for child in children]
    height, width, channels = examples.pixels.shape[1:]

    def fresh(place: int) -> Classifier:
        return new_classifier((height, width), channels, recipe, seeds[place], CPU)

    classifier, right, accuracies, taken = fresh(0), np.full(len(examples.labels), -1), [], []
    for place, number in enumerate(numbers):
        if rung.reset and place:
            classifier = fresh(place)
        training = np.flatnonzero(examples.folds != number)
        held_out = np.flatnonzero((examples.folds == number) & ~(rung.real_validation & examples.synthetic))
        taken.append(steps or epochs * math.ceil(len(training) / recipe.batch))
        accuracies.append(
            fit_steps(classifier, examples.pixels[training], examples.labels[training], taken[-1])
        )
        judged = predict(classifier, examples.pixels[held_out]) > 0.5
        right[held_out] = judged == (examples.labels[held_out] == 1)
    return {
        "train_accuracy": float(np.mean(accuracies)),
        "steps": taken,
        "val_right": right.tolist(),  # -1: not in a validation fold
        "val_fold": examples.folds.tolist(),
        "test_score": [float(score) for score in predict(classifier, test_pixels)],
    }


def _ignore(_: int) -> None:
    """No progress is shown inside a training."""


@dataclass(frozen=True)
class Study:
    """All that the trainings read.

    Attributes:
        protocol: the published one.
        published: the task with the splits as they come; its test images are those of ``apart``.
        apart: the task with patients and equal images in one split only.
        control: likewise, of another source; its units don't meet those of the main source.
        lost: images of each split that left ``apart``.
        digest: of the main source.
        seed: every other one is derived from it.
    """

    protocol: Protocol
    published: Task
    apart: Task
    control: Task
    lost: dict[Split, dict[str, int]]
    digest: str
    seed: int

    @cached_property
    def recipe(self) -> Recipe:
        """The study's CNN."""
        settings = self.protocol.classifier
        return Recipe(settings.scale_pixels, settings.learning_rate, settings.batch)

    def reals(self, name: str) -> NDArray[np.uint8]:
        """The real images that the GAN of a class is trained on, and its images are compared with."""
        return self.published.balanced("train")[CLASSES.index(name)].pixels

    @cached_property
    def steps(self) -> int:
        """A fold, on the real set as published."""
        count = sum(len(members) for split in ("train", "val") for members in self.published.balanced(split))
        training = count - count // self.protocol.folds.count
        return self.protocol.classifier.epochs * math.ceil(training / self.recipe.batch)

    @cached_property
    def nothing(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """No synthetic images."""
        return np.empty((0, *self.reals("rare").shape[1:]), np.uint8), np.empty(0, np.int64)

    def train(
        self, images: Images, task: Task, rung: Rung, key: str, epochs: int, steps: int | None
    ) -> Record:
        """A training's record, its seed derived from the key without the rung: rungs share their chances."""
        arm, floor, _, number = key.split("/")
        seed = seed_for(self.seed, f"classifier/{arm}/{floor}/{number}")
        examples, units = images.examples(rung, self.protocol)
        test = np.concatenate([members.pixels for members in task.balanced("test")])
        found = train_folds(
            examples, test, recipe=self.recipe, epochs=epochs, steps=steps, rung=rung, seed=seed
        )
        seen = np.array(found["val_right"]) >= 0
        lists = {name: np.array(found[name])[seen].tolist() for name in ("val_right", "val_fold")}
        sizes = {"images": len(units), "synthetic": int((units < 0).sum())}
        return {"key": key, **sizes, **found, **lists, "val_unit": units[seen].tolist()}

    def real(self, rung: int, number: int) -> Record:
        """Real images alone."""
        asked = RUNGS[rung]
        task = self.apart if asked.patients else self.published
        images = gather(task, self.nothing, self.nothing)
        key = training_key("real", 0.0, rung, number)
        steps = self.steps if asked.equal_steps else None
        return self.train(images, task, asked, key, self.protocol.classifier.epochs, steps)

    def generated(self, made: dict[str, Made], floor: float, rung: int, number: int) -> Record:
        """Real and generated images."""
        asked = RUNGS[rung]
        task = self.apart if asked.patients else self.published
        room = len(task.references["train"]) - len(task.rares["train"])
        if asked.both:
            room = min(len(one.accepted(floor)) for one in made.values())
        kept = {
            name: first_accepted(one, floor, room, seed_for(self.seed, f"kept/{name}/{floor:.2f}/{number}"))
            for name, one in made.items()
        }
        images = gather(task, kept["rare"], kept["reference"] if asked.both else self.nothing)
        total = sum(len(pixels) for pixels, _, _ in images.parts[:4])
        key = training_key("generated", floor, rung, number)
        epochs = self.protocol.classifier.epochs_for(total, generated=True)
        return self.train(images, task, asked, key, epochs, self.steps if asked.equal_steps else None)

    def control_arm(self, arm: str, number: int) -> Record:
        """Real images of the control, as many as there are or as the rare class has."""
        task, rung = self.control, len(RUNGS) - 1
        if arm == "control-small":
            rng = np.random.default_rng(seed_for(self.seed, f"shrunk/{number}"))
            task = shrunk(task, self.apart, rng)
        steps = None if arm == "control-full" else self.steps
        images = gather(task, self.nothing, self.nothing)
        key = training_key(arm, 0.0, rung, number)
        return self.train(images, task, RUNGS[rung], key, self.protocol.classifier.epochs, steps)


def shrunk(task: Task, like: Task, rng: np.random.Generator) -> Task:
    """As many rare and reference images in training and validation as another task's balanced sets have."""

    def draw(members: Members, count: int) -> Members:
        if len(members) < count:
            raise InputError(f"The control '{task.source}' has fewer images of a class than the main source.")
        return members.take(np.sort(rng.choice(len(members), count, replace=False)))

    rares, references = dict(task.rares), dict(task.references)
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        count = len(like.balanced(split)[0])
        rares[split], references[split] = draw(rares[split], count), draw(references[split], count)
    return replace(task, rares=rares, references=references)
