"""Whole studies made up at the level of predictions, with known truths: what the statistics are tested on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from healthgan.statistics.readers import Arm, Kind


@dataclass(frozen=True)
class World:
    """A test set, and how trained classifiers differ on it. The defaults resemble a small chest X-ray set.

    Scores are binormal: a standard normal in either class. Its variance is shared out: most of an image's score
    is common to all classifiers (some of that to the images of a patient), a little to all classifiers of an
    arm, to those of a generator, and to one classifier only.

    Attributes:
        positives: test images of the rare class.
        positive_patients: whose they are.
        negatives: test images of the reference class.
        patients: of all test images; those with positive images may have negative ones as well.
        auroc: of an arm without a gain.
        seed_sd: true AUROCs of classifiers that differ in their seed.
        generator_sd: true mean AUROCs of generators.
        alike: correlation of a generator's effect in different arms.
        uneven: coefficient of variation of the two sds over arms (log-normal).
        patient: share of the variance that the images of a patient have in common.
        arm: share that the classifiers of an arm have in common.
        generator: share that those of an arm and a generator have in common.
        fit: share that a classifier has to itself.
    """

    positives: int = 66
    positive_patients: int = 50
    negatives: int = 1692
    patients: int = 790
    auroc: float = 0.87
    seed_sd: float = 0.0033
    generator_sd: float = 0.0035
    alike: float = 0.5
    uneven: float = 0.0
    patient: float = 0.3
    arm: float = 0.05
    generator: float = 0.005
    fit: float = 0.03

    def times(self, factor: float) -> "World":
        """With a larger or smaller test set."""
        counts = {
            name: round(factor * getattr(self, name))
            for name in ("positives", "positive_patients", "negatives", "patients")
        }
        return World(**(vars(self) | counts))


@dataclass(frozen=True)
class Layout:
    """What a study trains.

    Attributes:
        references: reference arms; the first is called ``real``.
        synthetic: synthetic arms.
        generators: of each synthetic arm, the same ones in all.
        seeds: classifiers a generator.
        reference_seeds: classifiers of a reference arm.
    """

    references: int = 7
    synthetic: int = 6
    generators: int = 2
    seeds: int = 2
    reference_seeds: int = 4

    @property
    def fits(self) -> int:
        """Classifiers in all."""
        return self.references * self.reference_seeds + self.synthetic * self.generators * self.seeds


@dataclass(frozen=True)
class Study:
    """A made-up study.

    Attributes:
        arms: reference arms, then synthetic ones.
        labels: (N,).
        patients: (N,).
        truth: expected AUROC by arm, over patients, generators and seeds.
    """

    arms: tuple[Arm, ...]
    labels: NDArray[np.int64]
    patients: NDArray[np.int64]
    truth: dict[str, float]


def simulate(world: World, layout: Layout, gains: Sequence[float], rng: np.random.Generator) -> Study:
    """A study in which each synthetic arm's AUROC is above ``world.auroc`` by its gain.

    Args:
        world: the test set and the variances.
        layout: the arms.
        gains: one a synthetic arm.
        rng: source of randomness.
    """
    labels = np.repeat([1, 0], (world.positives, world.negatives))
    patients = np.concatenate(
        [
            spread_over_patients(world.positives, world.positive_patients, rng),
            spread_over_patients(world.negatives, world.patients, rng),
        ]
    )
    common = 1 - world.patient - world.arm - world.generator - world.fit
    shared = normal(rng, world.patients)[patients] * np.sqrt(world.patient)
    shared = shared + normal(rng, len(labels)) * np.sqrt(common)
    generator_effects = normal(rng, layout.generators)
    # AUROC = Φ(q), where the classes' means are √2 q apart; effects on q that give the AUROC the stated sd
    steepness = float(stats.norm.pdf(stats.norm.ppf(world.auroc)))
    arms, truth = [], {}
    for number, (name, kind) in enumerate(arm_names(layout)):
        synthetic = kind == "synthetic"
        generators, seeds = (layout.generators, layout.seeds) if synthetic else (1, layout.reference_seeds)
        sds = _uneven(world, rng) * np.array([world.seed_sd, synthetic * world.generator_sd]) / steepness
        gain = gains[number - layout.references] if synthetic else 0.0
        centre = float(stats.norm.ppf(world.auroc + gain))
        own = np.sqrt(1 - world.alike) * normal(rng, generators)
        effect = sds[1] * (np.sqrt(world.alike) * generator_effects[:generators] + own)
        which = np.repeat(np.arange(generators), seeds)
        apart = centre + effect[which] + sds[0] * normal(rng, len(which))
        scores = shared + normal(rng, len(labels)) * np.sqrt(world.arm)
        noise = normal(rng, len(which), len(labels))
        if synthetic:
            by_generator = normal(rng, generators, len(labels))[which]
            scores = scores + by_generator * np.sqrt(world.generator) + noise * np.sqrt(world.fit)
        else:  # without generators that part, too, is a classifier's own
            scores = scores + noise * np.sqrt(world.fit + world.generator)
        scores = scores + (np.sqrt(2) * apart)[:, np.newaxis] * labels
        arms.append(Arm(name, kind, scores.astype(np.float32), which if synthetic else None))
        truth[name] = float(stats.norm.cdf(centre / np.sqrt(1 + np.sum(sds**2))))
    return Study(tuple(arms), labels, patients, truth)


def arm_names(layout: Layout) -> list[tuple[str, Kind]]:
    """Names and kinds of the arms: ``real`` first, the synthetic ones last."""
    references: list[tuple[str, Kind]] = [
        ("real" if number == 0 else f"reference-{number}", "reference") for number in range(layout.references)
    ]
    return references + [(f"synthetic-{number}", "synthetic") for number in range(layout.synthetic)]


def normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Standard normal numbers."""
    return rng.standard_normal(shape, dtype=np.float32).astype(np.float64)


def _uneven(world: World, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2,) factors with mean square 1."""
    width = np.sqrt(np.log(1 + world.uneven**2))
    factors: NDArray[np.float64] = np.exp(width * rng.standard_normal(2) - width**2)
    return factors


def spread_over_patients(images: int, patients: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(images,) patients from 0 on, each with at least one image."""
    return np.concatenate([np.arange(patients), rng.integers(patients, size=images - patients)])
