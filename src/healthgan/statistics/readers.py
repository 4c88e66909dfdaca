"""Arms with several trained classifiers: their mean AUROC and what its variance consists of.

The design is that of a multi-reader multi-case study (Obuchowski and Rockette, Communications in Statistics B
24:285, 1995): the trained classifiers are the readers, the test patients the cases. An arm whose recipe needs a
generator has *generators* as its independent units, and classifier seeds nested in them (the mean square of the
generators, MSG, holds both); an arm without one has its seeds (MSS). Then, for the mean AUROC of an arm,

    variance = case covariance between *different* units + variance of the units' means / number of units,

without bias whatever part of the units' variance is their own and whatever part is that they err on other cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from healthgan.statistics.cases import (
    CaseCovariance,
    Influence,
    auc_influence,
    case_covariance,
    case_variance,
)

Kind = Literal["reference", "synthetic", "control"]

OUTLYING = 0.01
"""Level of the test for arms whose trainings differ far more than the others'."""


@dataclass(frozen=True)
class Arm:
    """The predictions of the classifiers that one recipe trained.

    Attributes:
        name: of the recipe.
        kind: what it is there for.
        scores: (F, N) logits of the test images.
        generator: (F,) number of the generator whose images the classifier was trained on; None where the
            recipe needs none, so that every classifier is a unit of its own.
        validation: (F, V) logits of validation or out-of-fold images, where there are any.
    """

    name: str
    kind: Kind
    scores: NDArray[np.floating]
    generator: NDArray[np.int64] | None = None
    validation: NDArray[np.floating] | None = None

    @property
    def unit(self) -> NDArray[np.int64]:
        """(F,) which independent training each classifier belongs to: its generator, or itself."""
        return np.arange(len(self.scores)) if self.generator is None else self.generator

    @property
    def generators(self) -> int | None:
        """How many different ones; None where the recipe needs none."""
        return None if self.generator is None else len(np.unique(self.generator))


@dataclass(frozen=True)
class Units:
    """The independent trainings of an arm: its generators if it has several, else its classifiers.

    Attributes:
        name: of the arm.
        kind: of the arm.
        generators: their numbers, one a unit; None where the units are classifiers.
        sizes: (U,) classifiers a unit.
        influence: of the units' mean AUROCs.
        seed_variance: of single classifiers' AUROCs within a unit, or between units that are classifiers.
        seed_df: its degrees of freedom; 0 where it cannot be estimated.
    """

    name: str
    kind: Kind
    generators: tuple[int, ...] | None
    sizes: NDArray[np.int64]
    influence: Influence
    seed_variance: float
    seed_df: int

    @property
    def count(self) -> int:
        """How many units."""
        return len(self.sizes)

    @property
    def auroc(self) -> float:
        """The mean over units."""
        return float(self.influence.auroc.mean())

    @property
    def variance(self) -> float:
        """Of the units' mean AUROCs; 0 with a single unit."""
        return float(self.influence.auroc.var(ddof=1)) if self.count > 1 else 0.0

    @property
    def fits_a_unit(self) -> float:
        """Harmonic mean, so that the variance of seeds over it is the mean part of seeds in the units' means."""
        return float(len(self.sizes) / np.sum(1 / self.sizes))


def units_of(arm: Arm, labels: NDArray[np.int64], patients: NDArray[np.int64]) -> Units:
    """An arm's units. With a single generator they are its classifiers, and speak of that generator only.

    Args:
        arm: its scores are finite.
        labels: (N,) 0 or 1, of the test images.
        patients: (N,) equal for images of one patient.
    """
    single = auc_influence(labels, arm.scores, patients)
    fits = len(arm.scores)
    several = arm.generators is not None and arm.generators > 1
    generators, member = np.unique(arm.unit if several else np.arange(fits), return_inverse=True)
    sizes = np.bincount(member)
    means = (member == np.arange(len(sizes))[:, np.newaxis]) / sizes[:, np.newaxis]  # (U, F)
    if several:
        squares = float(np.sum((single.auroc - (means @ single.auroc)[member]) ** 2))
        df = fits - len(sizes)
    else:
        squares = float(np.sum((single.auroc - single.auroc.mean()) ** 2))
        df = fits - 1
    return Units(
        name=arm.name,
        kind=arm.kind,
        generators=tuple(int(number) for number in generators) if several else None,
        sizes=sizes,
        influence=single.combine(means),
        seed_variance=squares / df if df else 0.0,
        seed_df=df,
    )


@dataclass(frozen=True)
class Cases:
    """Over choices of test patients.

    Attributes:
        between: covariance of the arms' mean AUROCs (A, A); on the diagonal between different units of an arm.
        interaction: (A,) how much more a unit's mean varies by itself: what is left for the mean square of units.
    """

    between: CaseCovariance
    interaction: NDArray[np.float64]


def cases_of(arms: Sequence[Units]) -> Cases:
    """The case covariance of the arms' mean AUROCs.

    An arm with one unit has no two different ones: its diagonal is that unit's variance.
    """
    means = [arm.influence.combine(np.full((1, arm.count), 1 / arm.count)) for arm in arms]
    joint = Influence(
        np.concatenate([mean.auroc for mean in means]),
        np.concatenate([mean.positive for mean in means]),
        np.concatenate([mean.negative for mean in means]),
        means[0].positive_patients,
        means[0].negative_patients,
    )
    found = case_covariance(joint)
    interaction = np.zeros(len(arms))
    for number, arm in enumerate(arms):
        if arm.count > 1:
            own = case_variance(arm.influence)
            for part, alone in (
                (found.positive, own.positive),
                (found.negative, own.negative),
                (found.both, own.both),
            ):
                different = (arm.count * part[number, number] - alone.mean()) / (arm.count - 1)
                interaction[number] += alone.mean() - different
                part[number, number] = different
    return Cases(found, interaction)


@dataclass(frozen=True)
class TrainingVariance:
    """Of an arm's mean AUROC over trainings: generators and classifier seeds.

    Attributes:
        variance: 0 with a single training in every arm, whose intervals then speak of these trainings only.
        df: degrees of freedom.
        unsteady: the arm's trainings differ so much that it counts by itself.
    """

    variance: float
    df: float
    unsteady: bool = False


def training_variances(arms: Sequence[Units]) -> list[TrainingVariance]:
    """For each arm, the variance pooled over arms and half of what the arm's own variance exceeds it by.

    With two generators an arm's own variance has one degree of freedom: intervals from it are of no use, up to
    twice as wide. From the pooled variance alone, the arm that varies most is covered worst. In benchmarks/
    intervals.py (G, S from 2, 2 to 5, 10; generators' effects the same in all arms, half so, or independent; arms
    equally variable or by a coefficient of variation of 50 %) this compromise held 94.7-96.5 % of differences, and
    93.1-96.6 % of those of the most variable arm, wherever test patients decide a good part of the width. Where
    trainings decide it, with standard deviations of 0.01 AUROC against 0.003 over patients, it held 92.0-96.4 %
    and 85.8-96.7 % (own variance 90.1-95.3 % and 87.6-95.7 %): worst with two generators that do the same in all
    arms, which no rule can make up for.

    Pooled are, without the controls: seeds over all arms; generators over the arms that have the same ones, with
    degrees of freedom by Satterthwaite from what the arms' generators have in common and what they do not, so
    that a generator which is good or bad in every arm counts once.

    An arm whose trainings differ far more than the others' (``unsteady``) counts by itself: one failed training
    would else widen the intervals of every other arm.
    """
    apart = unsteady(arms)
    pooled = [arm for arm in arms if arm.kind != "control" and arm.name not in apart]
    seed_df = sum(arm.seed_df for arm in pooled)
    seed = sum(arm.seed_variance * arm.seed_df for arm in pooled) / seed_df if seed_df else 0.0
    generator = _pooled_generators(pooled)
    found = []
    for arm in arms:
        if arm.name in apart:
            found.append(TrainingVariance(arm.variance / arm.count, arm.count - 1, unsteady=True))
            continue
        candidates = [TrainingVariance(seed / arm.fits_a_unit, seed_df or np.inf)]
        if arm.generators is not None:
            candidates.append(generator)
        best = max(candidates, key=lambda candidate: candidate.variance)
        own = max(arm.variance - best.variance, 0.0)
        found.append(TrainingVariance((best.variance + own / 2) / arm.count, best.df))
    return found


def unsteady(arms: Sequence[Units]) -> frozenset[str]:
    """Names of the arms whose trainings differ far more than those of the others, at a level of 1 %.

    As laboratories are left out of a pooled repeatability (Cochran's test, ISO 5725-2:2019): the arm with the largest
    variance is held against all others together by an F test, with Bonferroni's correction for looking at the
    largest, and so on with the rest. First by its seeds, then by its generators. Three arms are always kept, as of
    two none can be called the odd one.
    """
    seeds = {arm.name: (arm.seed_variance, arm.seed_df) for arm in arms if arm.seed_df and arm.count > 1}
    found = _outlying(seeds)
    generators = {
        arm.name: (arm.variance, arm.count - 1)
        for arm in arms
        if arm.generators is not None and arm.count > 1 and arm.name not in found
    }
    return found | _outlying(generators)


def _outlying(variances: dict[str, tuple[float, int]]) -> frozenset[str]:
    """Which of these variances, each with its degrees of freedom."""
    left = dict(variances)
    while len(left) > 3:
        odds = {}
        for name, (variance, df) in left.items():
            others = [value for other, value in left.items() if other != name]
            rest_df = sum(freedom for _, freedom in others)
            rest = sum(value * freedom for value, freedom in others) / rest_df
            if variance > rest:
                odds[name] = special.fdtrc(df, rest_df, variance / rest) if rest else 0.0
        name = min(odds, key=lambda one: odds[one], default="")
        if not odds or odds[name] * len(left) >= OUTLYING:
            break
        del left[name]
    return frozenset(variances) - frozenset(left)


def _pooled_generators(arms: Sequence[Units]) -> TrainingVariance:
    """The variance of generators' means, pooled over arms, with Satterthwaite's degrees of freedom."""
    with_generators = [arm for arm in arms if arm.generators is not None]
    if not with_generators:
        return TrainingVariance(0.0, np.inf)
    every = max((arm.generators or () for arm in with_generators), key=len)
    table = np.stack([arm.influence.auroc for arm in with_generators if arm.generators == every])
    rows, generators = table.shape
    mean = table.mean(axis=0)
    common = mean.var(ddof=1)  # shared by all arms, and 1/rows of what is not
    apart = ((table - mean - (table.mean(axis=1) - mean.mean())[:, np.newaxis]) ** 2).sum() / (generators - 1)
    own = apart / rows
    total = float(common + own)
    squares = common**2 / (generators - 1)
    if rows > 1:
        squares += own**2 / ((generators - 1) * (rows - 1))
    return TrainingVariance(total, float(total**2 / squares) if squares else np.inf)
