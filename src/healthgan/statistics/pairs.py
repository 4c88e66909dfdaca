"""Which arms are held against which, and what comes of it: intervals that hold together, and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.statistics.readers import Kind
from healthgan.statistics.simultaneous import critical_values, t_quantile
from healthgan.statistics.verdicts import Answer, Needed, Variance, Verdict, detectable, needed, verdict


@dataclass(frozen=True)
class Pair:
    """An arm against a reference arm.

    Attributes:
        arm: its name.
        kind: its kind; the arms of one kind against one reference share a simultaneous interval.
        reference: the other arm's name.
        difference: mean AUROC of the arm minus that of the reference.
        se: its standard error, over test patients, generators and classifier seeds.
        df: Satterthwaite's degrees of freedom of the standard error.
        low: of the interval that holds for all arms of this kind against this reference together.
        high: of it.
        marginal_low: of the interval that holds for this arm alone.
        marginal_high: of it.
        verdict: on the simultaneous interval.
        variance: of the difference, by where it comes from.
        needed: where the verdict can't be told yet, how much more would tell.
        detectable: the true difference that such a comparison finds with 80 % chance.
        detectable_at_best: the same with any number of trainings: what the test patients allow.
    """

    arm: str
    kind: Kind
    reference: str
    difference: float
    se: float
    df: float
    low: float
    high: float
    marginal_low: float
    marginal_high: float
    verdict: Verdict
    variance: Variance
    needed: Needed | None
    detectable: float
    detectable_at_best: float


def answers_of(pairs: Sequence[Pair], level: float = 0.95) -> list[Answer]:
    """What a headline rests on: the synthetic arms against every reference arm.

    Args:
        pairs: of a study.
        level: of its intervals.
    """
    synthetic = [pair for pair in pairs if pair.kind == "synthetic"]
    tail = (1 - level) / 2 / max(1, len({pair.reference for pair in synthetic}))
    return [
        Answer(
            pair.arm,
            pair.reference,
            pair.verdict,
            clear=abs(pair.difference) > t_quantile(tail, pair.df) * pair.se,
        )
        for pair in synthetic
    ]


@dataclass(frozen=True)
class Family:
    """Arms of one kind and the reference arm that they are held against, by their positions.

    Attributes:
        kind: of the arms.
        members: their positions.
        reference: its position.
        names: of all arms.
    """

    kind: Kind
    members: tuple[int, ...]
    reference: int
    names: tuple[str, ...]

    def contrasts(self, arms: int) -> NDArray[np.float64]:
        """(K, arms) that make the differences of the arms' means."""
        found = np.zeros((len(self.members), arms))
        found[np.arange(len(self.members)), self.members] = 1
        found[:, self.reference] = -1
        return found


def families(arms: Sequence[tuple[str, Kind]], real: str) -> list[Family]:
    """What is compared with what, from the arms' names and kinds."""
    names = tuple(name for name, _ in arms)
    kinds: tuple[Kind, ...] = ("synthetic", "control", "reference")
    found = []
    for reference, (name, own) in enumerate(arms):
        for kind in kinds if own == "reference" else ():
            members = tuple(
                number for number, (_, other) in enumerate(arms) if other == kind and number != reference
            )
            if members and (kind != "reference" or name == real):
                found.append(Family(kind, members, reference, names))
    return found


@dataclass(frozen=True)
class Differences:
    """Of a family's arms from their reference.

    Attributes:
        value: (K,).
        variance: K of them.
        df: (K,) degrees of freedom.
        correlation: (K, K).
        df_at_best: (K,) degrees of freedom that any number of trainings, or of repeats, would have; None for the same.
    """

    value: NDArray[np.float64]
    variance: Sequence[Variance]
    df: NDArray[np.float64]
    correlation: NDArray[np.float64]
    df_at_best: NDArray[np.float64] | None = None


def judge(family: Family, found: Differences, equivalence: float, level: float) -> list[Pair]:
    """A family's differences with intervals that hold together, and their verdicts."""
    criticals = critical_values(found.correlation, found.df, level)
    df_at_best, at_best = found.df, criticals
    if found.df_at_best is not None:
        df_at_best = found.df_at_best
        at_best = critical_values(found.correlation, df_at_best, level)
    pairs = []
    for place, member in enumerate(family.members):
        value, df = float(found.value[place]), float(found.df[place])
        variance, critical = found.variance[place], float(criticals[place])
        se = float(np.sqrt(variance.total))
        low, high = value - critical * se, value + critical * se
        alone = t_quantile((1 - level) / 2, df) * se
        decided = verdict(low, high, equivalence)
        unknown = decided is Verdict.UNKNOWN
        pairs.append(
            Pair(
                arm=family.names[member],
                kind=family.kind,
                reference=family.names[family.reference],
                difference=value,
                se=se,
                df=df,
                low=low,
                high=high,
                marginal_low=value - alone,
                marginal_high=value + alone,
                verdict=decided,
                variance=variance,
                needed=needed(value, variance, critical, equivalence) if unknown else None,
                detectable=detectable(variance.total, critical, df),
                detectable_at_best=detectable(
                    variance.cases, float(at_best[place]), float(df_at_best[place])
                ),
            )
        )
    return pairs
