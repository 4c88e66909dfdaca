"""All of fidelity in one call, ready for JSON."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Classifier
from healthgan.fidelity.faithfulness import (
    JUDGE_STEPS,
    Faithfulness,
    Learnt,
    faithfulness,
    judge,
    learnt_from_synthetic,
    train_classifiers,
)
from healthgan.fidelity.features import SPACES, FeatureSpace, Images
from healthgan.fidelity.halves import MOST, AgainstReal, against_real
from healthgan.fidelity.real_images import CLASSES, RealImages, check_enough
from healthgan.fidelity.two_sample import STEPS, RealOrSynthetic, real_or_real, real_or_synthetic_balanced


@dataclass(frozen=True)
class ClassFidelity:
    """Synthetic images of one class against real ones.

    Attributes:
        training_images: real images that the generator was trained on.
        training_patients: whose they are; None where patients are not known.
        heldout_images: real images that it did not see.
        heldout_patients: whose they are; None likewise.
        synthetic_images: how many were measured.
        spaces: space → measure → its value beside the real-against-real floor.
        real_or_synthetic: the classifier two-sample test.
        real_or_real: its floor; None where it was not asked for or the patients are too few to be divided.
    """

    training_images: int
    training_patients: int | None
    heldout_images: int
    heldout_patients: int | None
    synthetic_images: int
    spaces: dict[str, dict[str, AgainstReal]]
    real_or_synthetic: RealOrSynthetic
    real_or_real: RealOrSynthetic | None


@dataclass(frozen=True)
class FidelityReport:
    """What a generator made, measured.

    Attributes:
        classes: ``rare``, and ``reference`` where synthetic images of it were given.
        faithfulness: whether the images show the class they were made for.
        learnt: training on synthetic, testing on real images.
        seed: of everything random.
        steps: of every classifier but the feature space's.
    """

    classes: dict[str, ClassFidelity]
    faithfulness: Faithfulness
    learnt: Learnt
    seed: int
    steps: int

    def as_dict(self) -> dict[str, object]:
        """Plain numbers, strings, lists and dicts, for JSON."""
        return asdict(self)


def fidelity_report(
    training: RealImages,
    heldout: RealImages,
    rare: Images,
    reference: Images | None,
    *,
    seed: int,
    device: torch.device,
    halves: int = 200,
    classifiers: int = 3,
    steps: int = STEPS,
    measured: tuple[str, ...] = CLASSES,
    floor: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> FidelityReport:
    """Measure synthetic images against the real ones they were made from and against held-out ones.

    Feature spaces and classifiers are made from ``training`` only. Half of the synthetic images, but no more than
    there are real ones, train the classifier that tells them from real images, and others are judged by it: so
    give twice as many as there are real training images, or more.

    Args:
        training: real images that the generator was trained on.
        heldout: real images of patients that it was not trained on and that chose nothing about it, in none of
            its checkpoints or settings; test images only in a final report.
        rare: (N, H, W, C) uint8, synthetic images of the rare class.
        reference: (M, H, W, C) uint8, synthetic images of the reference class, or None.
        seed: decides everything random.
        device: where to train and compute.
        halves: real halves of each floor.
        classifiers: trained for each question.
        steps: of each of them.
        measured: the classes that are compared as sets; faithfulness always takes both.
        floor: do the two-sample test with real images in place of synthetic ones, too.
        progress: told what is done, at the start of each part and after each classifier.

    Raises:
        InputError: too few images of a class, images of different sizes, or one patient has more than half of
            a class's training images.
    """
    synthetic = {"rare": rare} if reference is None else {"rare": rare, "reference": reference}
    check_enough(training, heldout, synthetic)
    seeds = [int(number >> 1) for number in np.random.SeedSequence(seed).generate_state(8, np.uint64)]
    work = _Work(training, heldout, synthetic, device, halves, classifiers, steps, floor, progress)
    progress("feature spaces")
    spaces = [make(training.rare, training.reference, seeds[0], device) for make in SPACES.values()]
    return FidelityReport(
        classes={
            name: _one_class(work, name, spaces, seeds[1 + CLASSES.index(name)])
            for name in synthetic
            if name in measured
        },
        faithfulness=_faithfulness(work, seeds[3]),
        learnt=_learnt(work, seeds[4]),
        seed=seed,
        steps=steps,
    )


def times_told(classes: int, classifiers: int = 3) -> int:
    """How often ``progress`` of a report on one class, or on both, is told; fewer where patients are too few for a floor."""
    return 1 + classes * (3 + 2 * classifiers) + 2 + 3 * classifiers


@dataclass(frozen=True)
class _Work:
    """What every part of the report needs; the attributes are the arguments of :func:`fidelity_report`."""

    training: RealImages
    heldout: RealImages
    synthetic: dict[str, Images]
    device: torch.device
    halves: int
    classifiers: int
    steps: int
    floor: bool
    progress: Callable[[str], None]

    def begin(self, what: str) -> Callable[[int], None]:
        """Tell that a part begins, and give what tells of each of its classifiers."""
        self.progress(what)
        return lambda _: self.progress(what)

    def train(
        self, reference: Images, rare: Images, steps: int, seed: int, progress: Callable[[int], None]
    ) -> list[Classifier]:
        """Classifiers that tell ``rare`` from ``reference`` images."""
        return train_classifiers(
            reference,
            rare,
            seed=seed,
            device=self.device,
            classifiers=self.classifiers,
            steps=steps,
            progress=progress,
        )


def _one_class(work: _Work, name: str, spaces: list[FeatureSpace], seed: int) -> ClassFidelity:
    real, patients = work.training.of(name)
    heldout, heldout_patients = work.heldout.of(name)[0], work.heldout.known_patients(name)
    images = work.synthetic[name]
    work.progress(f"{name}: feature spaces, {work.halves} real halves")
    found = {
        space.name: against_real(space, real, patients, images, np.random.default_rng(seed), work.halves)
        for space in spaces  # the same halves in each
    }
    tell = work.begin(f"{name}: real or synthetic")
    order = np.random.default_rng([seed, 3]).permutation(len(images))
    count = min(len(real), len(images) // 2)
    tested = real_or_synthetic_balanced(
        real,
        images[order[:count]],
        heldout_real=heldout,
        heldout_patients=heldout_patients,
        fresh=images[order[count : count + MOST]],
        seed=seed,
        device=work.device,
        steps=work.steps,
        classifiers=work.classifiers,
        progress=tell,
    )
    return ClassFidelity(
        training_images=len(real),
        training_patients=_count(work.training.known_patients(name)),
        heldout_images=len(heldout),
        heldout_patients=_count(heldout_patients),
        synthetic_images=len(images),
        spaces=found,
        real_or_synthetic=tested,
        real_or_real=_floor(work, name, seed) if work.floor else None,
    )


def _floor(work: _Work, name: str, seed: int) -> RealOrSynthetic | None:
    """The two-sample test with real images in place of synthetic ones, where there are patients enough."""
    real, patients = work.training.of(name)
    heldout, heldout_patients = work.heldout.of(name)
    if min(len(np.unique(patients)), len(np.unique(heldout_patients))) < 2:
        return None
    tell = work.begin(f"{name}: real or real")
    return real_or_real(
        real,
        patients,
        heldout_real=heldout,
        heldout_patients=work.heldout.known_patients(name),
        seed=seed,
        device=work.device,
        steps=work.steps,
        classifiers=work.classifiers,
        progress=tell,
    )


def _count(patients: NDArray[np.int64] | None) -> int | None:
    return None if patients is None else len(np.unique(patients))


def _faithfulness(work: _Work, seed: int) -> Faithfulness:
    tell = work.begin("class faithfulness")
    judges = work.train(work.training.reference, work.training.rare, min(work.steps, JUDGE_STEPS), seed, tell)
    synthetic = {name: judge(judges, images) for name, images in work.synthetic.items()}
    heldout = {name: judge(judges, *work.heldout.of(name)) for name in work.synthetic}
    return faithfulness(synthetic, heldout, np.random.default_rng(seed))


def _learnt(work: _Work, seed: int) -> Learnt:
    """Equally many images of a class on both sides; without synthetic reference images, the same real ones."""
    tell = work.begin("train on synthetic, test on real")
    rng = np.random.default_rng(seed)
    made = {"reference": work.training.reference} | work.synthetic
    real, synthetic = {}, {}
    for name in ("reference", "rare"):
        known = work.training.of(name)[0]
        count = min(len(known), len(made[name]))
        real[name] = known[rng.permutation(len(known))[:count]]
        synthetic[name] = made[name][rng.permutation(len(made[name]))[:count]]
    if "reference" not in work.synthetic:
        synthetic["reference"] = real["reference"]
    answers = []
    for number, pool in enumerate((synthetic, real)):
        taught = work.train(pool["reference"], pool["rare"], work.steps, seed + number, tell)
        answers.append(
            (judge(taught, *work.heldout.of("reference")), judge(taught, *work.heldout.of("rare")))
        )
    return learnt_from_synthetic(
        answers[0],
        answers[1],
        rare_images=len(real["rare"]),
        reference_images=len(real["reference"]),
        synthetic_reference="reference" in work.synthetic,
        rng=rng,
    )
