"""Arms against each other on one test set: mean AUROCs, their differences and the variance of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.statistics.cases import CaseCovariance
from healthgan.statistics.differences import Estimate
from healthgan.statistics.pairs import Differences, Pair, families, judge
from healthgan.statistics.readers import (
    Arm,
    TrainingVariance,
    Units,
    cases_of,
    training_variances,
    units_of,
)
from healthgan.statistics.simultaneous import t_quantile
from healthgan.statistics.verdicts import Variance


@dataclass(frozen=True)
class MeanAuroc:
    """An arm's mean AUROC.

    Attributes:
        estimate: with an interval for this arm alone, symmetric on the logit scale.
        se: standard error over test patients, generators and classifier seeds.
        df: its degrees of freedom.
        unit_sd: standard deviation of the means of generators, or of classifiers where there are none; None
            with one of them.
        seed_sd: standard deviation of classifiers of one generator, or where there are none, of all; None
            where no two can be compared.
        unsteady: its trainings differ far more than those of the other arms, whose intervals leave them out.
    """

    estimate: Estimate
    se: float
    df: float
    unit_sd: float | None
    seed_sd: float | None
    unsteady: bool = False


@dataclass(frozen=True)
class Design:
    """All arms of one test set, ready to be compared: means, and variance components."""

    units: tuple[Units, ...]
    cases: CaseCovariance
    interaction: NDArray[np.float64]
    trainings: tuple[TrainingVariance, ...]
    patients: tuple[int, int]
    """With a positive image, with a negative image."""

    @property
    def auroc(self) -> NDArray[np.float64]:
        """(A,)."""
        return np.array([unit.auroc for unit in self.units])


def design_of(arms: Sequence[Arm], labels: NDArray[np.int64], patients: NDArray[np.int64]) -> Design:
    """Means and variance components of all arms.

    Args:
        arms: finite scores of the same test images.
        labels: (N,) 0 or 1; at least two patients with either.
        patients: (N,) equal for images of one patient.
    """
    units = tuple(units_of(arm, labels, patients) for arm in arms)
    cases = cases_of(units)
    influence = units[0].influence
    return Design(
        units,
        cases.between,
        cases.interaction,
        tuple(training_variances(units)),
        (influence.positive_patients, influence.negative_patients),
    )


def mean_aurocs(design: Design, level: float = 0.95) -> list[MeanAuroc]:
    """Each arm's mean AUROC."""
    found = []
    for number, unit in enumerate(design.units):
        contrast = np.zeros(len(design.units))
        contrast[number] = 1
        variance, df = _variance(design, contrast)
        se = float(np.sqrt(variance.total))
        found.append(
            MeanAuroc(
                estimate=on_logit_scale(unit.auroc, se, t_quantile((1 - level) / 2, df)),
                se=se,
                df=df,
                unit_sd=float(np.sqrt(unit.variance)) if unit.count > 1 else None,
                seed_sd=float(np.sqrt(unit.seed_variance)) if unit.seed_df else None,
                unsteady=design.trainings[number].unsteady,
            )
        )
    return found


def compare_pairs(
    design: Design, real: str = "real", equivalence: float = 0.01, level: float = 0.95
) -> list[Pair]:
    """Every synthetic arm and every control against every reference arm, and the others of those against real.

    The intervals of the arms of one kind against one reference hold together; intervals against different
    references do not, as a claim needs all references at once (intersection-union).

    Args:
        design: of the arms.
        real: the reference arm that is trained on the real images only.
        equivalence: differences below this are of no practical use.
        level: of the intervals.
    """
    pairs = []
    for family in families([(unit.name, unit.kind) for unit in design.units], real):
        contrasts = family.contrasts(len(design.units))
        found = [_variance(design, contrast) for contrast in contrasts]
        se = np.sqrt([variance.total for variance, _ in found])
        differences = Differences(
            contrasts @ design.auroc,
            [variance for variance, _ in found],
            np.array([df for _, df in found]),
            _correlation(design, contrasts, family.reference, se),
        )
        pairs += judge(family, differences, equivalence, level)
    return pairs


def _variance(design: Design, contrast: NDArray[np.float64]) -> tuple[Variance, float]:
    """The variance of a contrast of arm means, and its degrees of freedom (Satterthwaite, Biometrics 1946).

    The case variance has those of the patients of either class, as in a two-sample t test that takes the
    classes' variances apart; the rest those of the trainings.
    """
    parts = [
        float(contrast @ part @ contrast)
        for part in (design.cases.positive, design.cases.negative, design.cases.both)
    ]
    cases = max(sum(parts), 0.0)
    weights = contrast**2
    trained = [weight * one.variance for weight, one in zip(weights, design.trainings, strict=True)]
    trainings = float(sum(trained))
    counts = np.array([unit.count for unit in design.units])
    crossed = float(np.clip(weights @ (design.interaction / counts), 0, trainings))
    squares = sum(value**2 / one.df for value, one in zip(trained, design.trainings, strict=True))
    squares += sum(part**2 / (count - 1) for part, count in zip(parts[:2], design.patients, strict=True))
    total = cases + trainings
    df = total**2 / squares if squares > 0 and total > 0 else np.inf
    return Variance(cases, trainings - crossed, crossed), float(df)


def _correlation(
    design: Design, contrasts: NDArray[np.float64], reference: int, se: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(K, K) of differences from one reference: they share its trainings and the test patients.

    What generators do alike in several arms is left out, which makes the intervals a little wider.
    """
    covariance = contrasts @ design.cases.total @ contrasts.T + design.trainings[reference].variance
    scale = np.outer(se, se)
    correlation: NDArray[np.float64] = np.divide(
        covariance, scale, out=np.zeros_like(scale), where=scale > 0
    ).clip(-1, 1)
    np.fill_diagonal(correlation, 1)
    return correlation


def on_logit_scale(auroc: float, se: float, critical: float) -> Estimate:
    """The interval that is symmetric on the logit scale, so that it stays within 0 and 1 (delta method)."""
    if not 0 < auroc < 1 or se == 0:
        return Estimate(auroc, auroc, auroc)
    middle = np.log(auroc / (1 - auroc))
    half = critical * se / (auroc * (1 - auroc))
    low, high = 1 / (1 + np.exp(-(middle + np.array([-half, half]))))
    return Estimate(auroc, float(low), float(high))
