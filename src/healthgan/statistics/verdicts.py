"""From intervals to words: what an arm does, what all arms together say, and what it would take to know more."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from healthgan.statistics.simultaneous import t_quantile

POWER = 0.8


class Verdict(StrEnum):
    """What a difference between an arm and a reference comes to."""

    NO_DIFFERENCE = "no practical difference"
    HURTS = "hurts"
    HELPS = "helps"
    UNKNOWN = "can't tell yet"


class Headline(StrEnum):
    """What a study comes to.

    HELPS: one synthetic arm helps against every reference arm, each with an interval that holds for all
    synthetic arms together. There is no choice of the best arm in it: if no arm were better than the best
    reference arm, it would be said in at most 5 % of studies (intersection-union; Berger, Technometrics 1982).

    HURTS: every synthetic arm hurts against training on the real images only.

    NOT_NEEDED: every synthetic arm hurts against one and the same other reference arm: a recipe without
    synthetic images is better. As any of them may be that one, it must hold at the level over their number
    (Bonferroni).

    NO_DIFFERENCE: no synthetic arm differs in practice from training on the real images only.
    """

    HELPS = "synthetic images help"
    HURTS = "synthetic images hurt"
    NOT_NEEDED = "a recipe without synthetic images is better"
    NO_DIFFERENCE = "synthetic images make no practical difference"
    UNKNOWN = "can't tell yet whether synthetic images help"


def verdict(low: float, high: float, equivalence: float = 0.01) -> Verdict:
    """The verdict on an interval of a difference, arm minus reference.

    An interval without width, as where two arms are perfect on the test set, is no ground for one.

    Args:
        low: of the interval.
        high: of the interval.
        equivalence: differences below this are of no practical use.
    """
    if not low < high:
        return Verdict.UNKNOWN
    if -equivalence <= low and high <= equivalence:
        return Verdict.NO_DIFFERENCE
    if high < 0:
        return Verdict.HURTS
    return Verdict.HELPS if low > 0 else Verdict.UNKNOWN


class Answer(NamedTuple):
    """What is known of a synthetic arm against a reference arm.

    Attributes:
        arm: its name.
        reference: the other's.
        verdict: on the difference.
        clear: whether the difference is told from zero also at the level over the number of reference arms.
    """

    arm: str
    reference: str
    verdict: Verdict
    clear: bool


def headline(answers: Sequence[Answer], real: str) -> tuple[Headline, tuple[str, ...]]:
    """The study's answer, and the arms (or for NOT_NEEDED the reference arms) that give it.

    Args:
        answers: of every synthetic arm against every reference arm.
        real: the reference arm that is trained on the real images only.
    """
    arms = list(dict.fromkeys(answer.arm for answer in answers))
    references = list(dict.fromkeys(answer.reference for answer in answers))
    found = {(answer.arm, answer.reference): answer.verdict for answer in answers}
    clear = {(answer.arm, answer.reference) for answer in answers if answer.clear}

    def all_arms(reference: str, what: Verdict) -> bool:
        return bool(arms) and all(found.get((arm, reference)) == what for arm in arms)

    helping = [arm for arm in arms if all(found.get((arm, other)) == Verdict.HELPS for other in references)]
    better = [
        reference
        for reference in references
        if all_arms(reference, Verdict.HURTS)
        and (reference == real or all((arm, reference) in clear for arm in arms))
    ]
    if helping:
        return Headline.HELPS, tuple(helping)
    if real in better:
        return Headline.HURTS, tuple(arms)
    if better:
        return Headline.NOT_NEEDED, tuple(better)
    if all_arms(real, Verdict.NO_DIFFERENCE):
        return Headline.NO_DIFFERENCE, tuple(arms)
    return Headline.UNKNOWN, ()


@dataclass(frozen=True)
class Variance:
    """The variance of a difference of two arms' mean AUROCs, by where it comes from.

    Attributes:
        cases: falls with the number of test patients.
        trainings: falls with the number of trainings (generators and their classifiers together).
        crossed: falls with both: different trainings err on different patients.
    """

    cases: float
    trainings: float
    crossed: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.cases + self.trainings + self.crossed


@dataclass(frozen=True)
class Needed:
    """How many times as many would settle a verdict, if the difference is what it seems.

    Attributes:
        patients: times the test patients, with the same trainings; None if no number would.
        trainings: times the trainings, with the same test patients; None if no number would. In a cross-validation,
            times the repeats.
        both: times both; always enough. None where ``splits`` come first.
        splits: of a cross-validation, to be had before anything else can be told; None where there are enough.
        repeats: whether ``trainings`` are the repeats of a cross-validation.
    """

    patients: float | None
    trainings: float | None
    both: float | None
    splits: int | None = None
    repeats: bool = False


def needed(
    difference: float, variance: Variance, critical: float, equivalence: float = 0.01
) -> Needed | None:
    """What would make the interval narrow enough for a verdict at the difference that was found.

    The interval must leave out zero, or lie inside the equivalence region, whichever needs less. The critical
    value stays that of the present degrees of freedom, which errs on the side of more. Chance will move the
    difference as more is measured: this is an estimate of the effort, no promise.

    Args:
        difference: arm minus reference.
        variance: of it.
        critical: half the interval's width in standard errors.
        equivalence: as in ``verdict``.

    Returns:
        None where nothing varies.
    """
    if variance.total <= 0:
        return None
    half_width = max(abs(difference), equivalence - abs(difference))
    allowed = (half_width / critical) ** 2

    def factor(shrinks: float, stays: float) -> float | None:
        return shrinks / (allowed - stays) if allowed > stays else None

    return Needed(
        patients=factor(variance.cases + variance.crossed, variance.trainings),
        trainings=factor(variance.trainings + variance.crossed, variance.cases),
        both=variance.total / allowed,
    )


def detectable(variance: float, critical: float, df: float, power: float = POWER) -> float:
    """The true difference whose interval leaves out zero with chance ``power``.

    Args:
        variance: of the estimated difference.
        critical: half the interval's width in standard errors.
        df: degrees of freedom.
        power: the chance.
    """
    return float((critical + t_quantile(1 - power, df)) * np.sqrt(variance))
