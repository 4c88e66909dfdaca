"""A sound study's arms, figures and counts in plain words."""

from collections.abc import Iterable

from healthgan.protocol_sound import ARMS
from healthgan.report.sound.reading import SoundRun
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.exchange import Exchange
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Needed
from healthgan.statistics.words import MOST, needed_sentence

ONWARD_ARMS = {
    "scratch": "trained on the other data only",
    "real": "trained on the real images first",
}
DESIGNS = {
    "own-test": "the test split of its own, read once",
    "cross-validation": "repeated cross-validation that keeps patients together",
    "tuning": "repeated cross-validation inside training and validation split",
}


def signed(value: float) -> str:
    """A signed difference of AUROC, with a true minus sign."""
    return f"{value:+.3f}".replace("-", "−")


def span(low: float, high: float) -> str:
    """An interval of a difference."""
    return f"{signed(low)} to {signed(high)}"


def with_interval(pair: Pair) -> str:
    """A difference with the interval that its verdict rests on."""
    return f"{signed(pair.difference)} (95 % interval {span(pair.low, pair.high)})"


def about(arm: str) -> str:
    """What an arm is, in a few words."""
    return ARMS[arm][1] if arm in ARMS else ONWARD_ARMS.get(arm, arm)


def listed(names: Iterable[str]) -> str:
    """``a, b and c``."""
    texts = list(names)
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def tested_words(found: Comparison, rare: str, what: str) -> str:
    """The images of a comparison and whose they are, where that is known."""
    count = f"{found.images:,} {what}"
    if found.patients is None:
        return f"{count} ({found.rare_images:,} of {rare}; patients are not known)"
    return f"{count} of {found.patients:,} patients ({found.rare_images:,} of {rare}, of {found.rare_patients:,} patients)"


def settles(needed: Needed | None) -> str:
    """What would tell where a verdict can't; empty where nothing would need to."""
    return "" if needed is None else needed_sentence(needed)


def briefly(needed: Needed | None) -> str:
    """The same in a few words, for a table."""
    if needed is None:
        return ""
    if needed.splits is not None:
        return f"first {needed.splits} splits or more"
    what = "repeats" if needed.repeats else "trainings"
    within = [
        f"{_times(factor)} {name}"
        for factor, name in ((needed.patients, "patients"), (needed.trainings, what))
        if factor is not None and factor <= MOST
    ]
    if within:
        return " or ".join(within)
    return (
        f"{_times(needed.both)} both"
        if needed.both is not None and needed.both <= MOST
        else "too alike to tell apart"
    )


def _times(factor: float) -> str:
    return f"{factor:.0f} ×" if factor >= 3 else f"{factor:.1f} ×"


def worth(rate: Exchange, value: float) -> str:
    """A number of real images in words."""
    return rate.words(value)


def worths(rate: Exchange) -> str:
    """The interval of what the images were worth."""
    low, high = worth(rate, rate.low), worth(rate, rate.high)
    return low if low == high else f"{low} to {high}"


def state(run: SoundRun) -> str:
    """How much of a run is finished; empty where all is."""
    if not run.missing:
        return ""
    return f"unfinished: {len(run.planned) - len(run.missing)} of {len(run.planned)} jobs"
