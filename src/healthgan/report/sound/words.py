"""What a sound study found, in plain words. Nothing is claimed that no interval carries."""

from collections.abc import Iterable
from math import isinf

from healthgan.protocol_sound import ARMS
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import nearest
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.exchange import Exchange
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Headline, Needed, Verdict
from healthgan.statistics.words import MOST, needed_sentence
from healthgan.terminal import plain

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


def verdict_sentence(answers: Answers) -> str:
    """The answer in one sentence with its interval."""
    if answers.main is None:
        return "Not known yet: nothing is compared before every classifier is trained."
    found, pair = answers.main, nearest(answers.main)
    if pair is None:
        return "This study has no synthetic arm: it says nothing about synthetic images."
    return _SENTENCES[found.headline](found, pair)


def _helps(found: Comparison, _: Pair) -> str:
    first = found.pair(found.because[0], found.real)
    names = listed(f"'{name}'" for name in found.because)
    return (
        f"Synthetic images help here: {names} {_is(found.because)} better than each of the {_references(found)} "
        f"reference arms; {'it' if len(found.because) == 1 else found.because[0]} gains "
        f"{with_interval(first)} in AUROC over real images alone."
    )


def _hurts(found: Comparison, _: Pair) -> str:
    best = max(found.against(found.real), key=lambda pair: pair.difference)
    return (
        f"Synthetic images hurt here: {_every(found)} worse than real images alone; "
        f"{_even(found, best)} {with_interval(best)} in AUROC."
    )


def _not_needed(found: Comparison, _: Pair) -> str:
    reference = found.because[0]
    best = max(found.against(reference), key=lambda pair: pair.difference)
    return (
        f"Synthetic images do not help here: {_every(found)} worse than '{reference}' ({about(reference)}), which "
        f"needs none; {_even(found, best)} {with_interval(best)} in AUROC."
    )


def _no_difference(found: Comparison, _: Pair) -> str:
    pairs = found.against(found.real)
    low, high = min(pair.low for pair in pairs), max(pair.high for pair in pairs)
    return (
        f"Synthetic images make no practical difference here: against real images alone, "
        f"{'all intervals lie' if len(pairs) > 1 else 'the interval lies'} within {span(low, high)} in AUROC."
    )


def _unknown(found: Comparison, pair: Pair) -> str:
    if pair.low > 0:  # what is left are reference arms that hardest() does not count
        names = [arm.name for arm in found.arms if arm.kind == "reference" and arm.auroc.unsteady]
        return (
            f"That synthetic images help here is not shown: '{pair.arm}' is better than every reference arm but "
            f"{listed(names)}, whose trainings differ too much to tell; it differs from '{pair.reference}' "
            f"({about(pair.reference)}) by {with_interval(pair)} in AUROC."
        )
    count = len(found.against(found.real))
    subject = f"none of {count} synthetic arms is" if count > 1 else f"the synthetic arm '{pair.arm}' is not"
    nearest_one = f"the one that comes nearest, '{pair.arm}', " if count > 1 else "it "
    other = (
        "real images alone"
        if pair.reference == found.real
        else f"'{pair.reference}' ({about(pair.reference)})"
    )
    return (
        f"That synthetic images help here is not shown: {subject} better than every reference arm; "
        f"{nearest_one}differs from {other} by {with_interval(pair)} in AUROC."
    )


_SENTENCES = {
    Headline.HELPS: _helps,
    Headline.HURTS: _hurts,
    Headline.NOT_NEEDED: _not_needed,
    Headline.NO_DIFFERENCE: _no_difference,
    Headline.UNKNOWN: _unknown,
}


def _is(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _references(found: Comparison) -> int:
    return sum(arm.kind == "reference" for arm in found.arms)


def _every(found: Comparison) -> str:
    names = [arm.name for arm in found.arms if arm.kind == "synthetic"]
    return f"'{names[0]}' is" if len(names) == 1 else f"each of the {len(names)} synthetic arms is"


def _even(found: Comparison, best: Pair) -> str:
    several = sum(arm.kind == "synthetic" for arm in found.arms) > 1
    return f"even the best of them, '{best.arm}', by" if several else "by"


def lede(run: SoundRun, answers: Answers) -> list[str]:
    """What stands below the verdict: what was compared, against what, and how far to trust it."""
    found = answers.main
    if found is None:
        return []
    real = found.arm(found.real)
    tested = f"{found.images:,} test images ({found.rare_images:,} of {plain(run.asked['rare'])})"
    paragraphs = [
        f"Real images alone reach an AUROC of {real.auroc.estimate.value:.3f} "
        f"({real.auroc.estimate.low:.3f} to {real.auroc.estimate.high:.3f}) on {tested}.{_counts(found)}",
        _power(found),
        curve_sentence(answers.curve),
        f"{_CLAIMS[run.design]} {_covers(found, run.brought)} Those against one reference arm hold for all synthetic arms together.",
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


_CLAIMS = {
    "own-test": "The claim holds for classifiers trained on this training set, not for other sets of its size.",
    "cross-validation": "The claim is about training sets of this size.",
    "tuning": "This is for choosing settings: the figures of settings that were chosen by it flatter them.",
}


def _covers(found: Comparison, brought: bool) -> str:
    """What the intervals count."""
    if found.design == "cross-validation":
        return (
            f"Differences are means over {found.splits} splits; their intervals are Nadeau and Bengio's, which allow for "
            "training sets that overlap."
        )
    synthetic = [arm.generators for arm in found.arms if arm.kind == "synthetic"]
    if any(count == 1 for count in synthetic):
        what = "these images" if brought else "one generator"
        return f"Intervals count the choice of test patients and of the classifiers' seeds; they speak of {what} only."
    return "Intervals count the choice of test patients and the luck of training, of generators as of classifiers."


def _counts(found: Comparison) -> str:
    pairs = found.against(found.real)
    if not pairs:
        return ""
    words = {
        Verdict.HELPS: "better",
        Verdict.HURTS: "worse",
        Verdict.NO_DIFFERENCE: "no different in practice",
        Verdict.UNKNOWN: "not told apart yet",
    }
    counted = {word: sum(pair.verdict is what for pair in pairs) for what, word in words.items()}
    if len(pairs) == 1:
        return f" Against them the synthetic arm is {words[pairs[0].verdict]}."
    if counted[words[Verdict.UNKNOWN]] == len(pairs):
        return f" None of the {len(pairs)} synthetic arms is told apart from them yet."
    if max(counted.values()) == len(pairs):
        return f" Against them all {len(pairs)} synthetic arms are {words[pairs[0].verdict]}."
    parts = [f"{count} {'is' if count == 1 else 'are'} {word}" for word, count in counted.items() if count]
    return f" Against them, of {len(pairs)} synthetic arms {listed(parts)}."


def _power(found: Comparison) -> str:
    if found.detectable is None or found.detectable_at_best is None:
        return ""
    return (
        f"A true gain of {found.detectable:.3f} over real images alone would have been found with 80 % chance; however "
        f"many classifiers were trained, these test patients can't settle less than {found.detectable_at_best:.3f}. "
        f"Differences up to {found.equivalence:g} are taken to be of no practical use."
    )


def settles(needed: Needed | None) -> str:
    """What would tell where a verdict can't; empty where nothing would need to."""
    return "" if needed is None else needed_sentence(needed)


def briefly(needed: Needed | None) -> str:
    """The same in a few words, for a table."""
    if needed is None:
        return ""
    within = [
        f"{_times(factor)} {what}"
        for factor, what in ((needed.patients, "patients"), (needed.trainings, "trainings"))
        if factor is not None and factor <= MOST
    ]
    if within:
        return " or ".join(within)
    return f"{_times(needed.both)} both" if needed.both <= MOST else "too alike to tell apart"


def _times(factor: float) -> str:
    return f"{factor:.0f} ×" if factor >= 3 else f"{factor:.1f} ×"


def worth(rate: Exchange, value: float) -> str:
    """A number of real images in words; 'some' where the curve ends."""
    return "some" if isinf(value) and not rate.beyond else rate.words(value)


def worths(rate: Exchange) -> str:
    """The interval of what the images were worth."""
    low, high = worth(rate, rate.low), worth(rate, rate.high)
    return low if low == high else f"{low} to {high}"


def curve_sentence(curve: LearningCurve | None) -> str:
    """What synthetic images were worth in real ones; empty without a curve."""
    if curve is None or not curve.rates:
        return ""
    parts = [
        f"at {rate.count:,} rare training images {worth(rate, rate.more)} ({worths(rate)})"
        for rate in curve.rates[curve.reference]
        if rate.beyond
    ]
    return (
        f"By the learning curve of '{curve.reference}', the synthetic images of '{curve.synthetic}' were worth this many "
        f"more real ones (95 % interval): {'; '.join(parts)}."
    )


def state(run: SoundRun) -> str:
    """How much of a run is finished; empty where all is."""
    if not run.missing:
        return ""
    return f"unfinished: {len(run.planned) - len(run.missing)} of {len(run.planned)} jobs"
