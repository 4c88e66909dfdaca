"""Arms whose outcome is known before: whether the study can be believed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Verdict

State = Literal["as it should", "not settled", "alarm"]


@dataclass(frozen=True)
class Check:
    """One arm that tells on the study.

    Attributes:
        arm: its name.
        should: what it should show against real images alone.
        difference: what it shows.
        low: of the interval that holds for all arms of its kind together.
        high: of it.
        state: whether that is as it should be.
        meaning: what an alarm means; what is left open where nothing is settled.
    """

    arm: str
    should: str
    difference: float
    low: float
    high: float
    state: State
    meaning: str


_MUST_NOT_HELP = {
    "noise": "An arm with noise for synthetic images gains: something other than the images' content makes arms look good.",
    "copies": "Altered copies of training images gain: variety of the very same patients is enough, so a synthetic arm's "
    "gain would not show that it adds any.",
}


def checks(found: Comparison) -> list[Check]:
    """The checks whose arms the study has."""
    return list(_all(found))


def _all(found: Comparison) -> Iterator[Check]:
    names = {arm.name for arm in found.arms}
    if "real-again" in names:
        yield _no_difference(found.pair("real-again", found.real))
    for arm, meaning in _MUST_NOT_HELP.items():
        if arm in names:
            yield _no_help(found.pair(arm, found.real), meaning)
    if "oracle" in names:
        yield _help(found.pair("oracle", found.real))


def _no_difference(pair: Pair) -> Check:
    alarm = pair.verdict in (Verdict.HELPS, Verdict.HURTS)
    settled = pair.verdict is Verdict.NO_DIFFERENCE
    return Check(
        arm=pair.arm,
        should="no difference: it is the same recipe with other seeds",
        **_figures(pair),
        state="alarm" if alarm else "as it should" if settled else "not settled",
        meaning="The luck of training is larger than the intervals say: believe no verdict of this study."
        if alarm
        else ""
        if settled
        else "No difference is shown, but the interval is wider than differences of practical interest.",
    )


def _no_help(pair: Pair, meaning: str) -> Check:
    alarm = pair.verdict is Verdict.HELPS
    settled = pair.high <= 0 or pair.verdict is Verdict.NO_DIFFERENCE
    return Check(
        arm=pair.arm,
        should="no gain",
        **_figures(pair),
        state="alarm" if alarm else "as it should" if settled else "not settled",
        meaning=meaning
        if alarm
        else ""
        if settled
        else "No gain is shown, but the interval does not rule one out.",
    )


def _help(pair: Pair) -> Check:
    if pair.verdict is Verdict.HELPS:
        return Check(pair.arm, "a gain", **_figures(pair), state="as it should", meaning="")
    alarm = pair.verdict is Verdict.HURTS
    meaning = (
        "More real patients make it worse: something is wrong with the training or the test set."
        if alarm
        else "Even fresh real patients gain nothing that this study can see: it could not see a gain by synthetic images either."
    )
    state: State = "alarm" if alarm else "not settled"
    return Check(pair.arm, "a gain", **_figures(pair), state=state, meaning=meaning)


def _figures(pair: Pair) -> dict[str, float]:
    return {"difference": pair.difference, "low": pair.low, "high": pair.high}
