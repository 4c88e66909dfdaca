"""Made-up studies by repeated cross-validation, with what ties their splits together and a known truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from healthgan.statistics.cross_validation import Split
from healthgan.statistics.readers import Arm
from healthgan.statistics.simulation import Layout, World, arm_names, normal, spread_over_patients


@dataclass(frozen=True)
class Folding:
    """How a set is cross-validated, and what other training images would change.

    Attributes:
        folds: of patients.
        repeats: with other folds.
        training_sd: of an arm's true AUROC over training sets.
        training: share of the scores' variance that a training set decides, an arm each.
    """

    folds: int = 5
    repeats: int = 3
    training_sd: float = 0.006
    training: float = 0.03


SET = World(positives=150, positive_patients=120, negatives=450, patients=400)
"""A set to cross-validate: some hundred images in all."""


def simulate_splits(
    world: World, layout: Layout, folding: Folding, gains: Sequence[float], rng: np.random.Generator
) -> tuple[list[Split], dict[str, float]]:
    """The splits of a study, and each arm's expected AUROC over patients, training sets, generators and seeds.

    What a training set does to an arm is a sum over its patients, so that training sets are as alike as they
    overlap; what an image's score owes to the image and to the arm stays the same in all splits.

    Args:
        world: the whole set, and the variances.
        layout: the arms.
        folding: the splits.
        gains: of the synthetic arms.
        rng: source of randomness.
    """
    labels = np.repeat([1, 0], (world.positives, world.negatives))
    patients = np.concatenate(
        [
            spread_over_patients(world.positives, world.positive_patients, rng),
            spread_over_patients(world.negatives, world.patients, rng),
        ]
    )
    tested = np.concatenate(
        [_folds(world.patients, folding.folds, rng) for _ in range(folding.repeats)]
    )  # (J, P)
    trained = ~tested / np.sqrt((~tested).sum(axis=1, keepdims=True))
    common = 1 - world.patient - world.arm - world.generator - world.fit - folding.training
    shared = normal(rng, world.patients)[patients] * np.sqrt(world.patient)
    shared = shared + normal(rng, len(labels)) * np.sqrt(common)
    steepness = float(stats.norm.pdf(stats.norm.ppf(world.auroc)))
    arms: list[list[Arm]] = [[] for _ in tested]
    truth = {}
    for number, (name, kind) in enumerate(arm_names(layout)):
        synthetic = kind == "synthetic"
        generators, seeds = (layout.generators, layout.seeds) if synthetic else (layout.reference_seeds, 1)
        centre = float(
            stats.norm.ppf(world.auroc + (gains[number - layout.references] if synthetic else 0.0))
        )
        sds = np.array([world.seed_sd, synthetic * world.generator_sd, folding.training_sd]) / steepness
        by_training = sds[2] * trained @ normal(rng, world.patients)  # (J,)
        field = trained @ normal(rng, world.patients, len(labels)) * np.sqrt(folding.training)  # (J, N)
        own = shared + normal(rng, len(labels)) * np.sqrt(world.arm)
        which = np.repeat(np.arange(generators), seeds)
        for split, test in enumerate(tested):
            images = test[patients]
            apart = centre + by_training[split] + sds[1] * normal(rng, generators)[which]
            apart = apart + sds[0] * normal(rng, len(which))
            noise = normal(rng, generators, int(images.sum()))[which] * np.sqrt(world.generator)
            noise = noise + normal(rng, len(which), int(images.sum())) * np.sqrt(world.fit)
            scores = own[images] + field[split, images] + noise
            scores = scores + np.sqrt(2) * apart[:, np.newaxis] * labels[images]
            arms[split].append(Arm(name, kind, scores, which if synthetic else None))
        truth[name] = float(stats.norm.cdf(centre / np.sqrt(1 + np.sum(sds**2))))
    found = [
        Split(
            tuple(arms[split]), labels[test[patients]], patients[test[patients]], int((~test[patients]).sum())
        )
        for split, test in enumerate(tested)
    ]
    return found, truth


def _folds(patients: int, folds: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(folds, patients) which patients each fold tests."""
    fold = rng.permutation(np.arange(patients) % folds)
    chosen: NDArray[np.bool_] = fold == np.arange(folds)[:, np.newaxis]
    return chosen
