"""What a sound study found: its verdict, and what stands below it. Nothing is claimed that no interval carries."""

from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import nearest
from healthgan.report.sound.words import (
    about,
    listed,
    span,
    tested_words,
    with_interval,
    worth,
    worths,
)
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Headline, Verdict
from healthgan.statistics.words import ENOUGH_SPLITS
from healthgan.terminal import plain


def verdict_sentence(answers: Answers) -> str:
    """The answer in one sentence with its interval."""
    if answers.main is None:
        return "Not known yet: nothing is compared before every classifier is trained."
    found, pair = answers.main, nearest(answers.main)
    if pair is None:
        return "This study has no synthetic arm: it says nothing about synthetic images."
    return _SENTENCES[found.headline](found, pair, "here")


def external_sentence(run: SoundRun, answers: Answers) -> str:
    """The same of the images from elsewhere; empty where there are none."""
    found, facts = answers.external, (run.task or {}).get("external")
    if found is None or not facts:
        return ""
    pair = nearest(found)
    images = tested_words(found, plain(run.asked["rare"]), "images")
    start = f"On {images} from elsewhere ('{plain(facts['source'])}')"
    real = found.arm(found.real).auroc.estimate
    alone = f"real images alone reach an AUROC of {real.value:.3f} ({real.low:.3f} to {real.high:.3f})"
    if pair is None:
        return f"{start} {alone}."
    return f"{start} {alone}. {_SENTENCES[found.headline](found, pair, 'there')}"


def _helps(found: Comparison, _: Pair, place: str) -> str:
    first = found.pair(found.because[0], found.real)
    names = listed(f"'{name}'" for name in found.because)
    return (
        f"Synthetic images help {place}: {names} {_is(found.because)} better than each of the {_references(found)} "
        f"reference arms; {'it' if len(found.because) == 1 else found.because[0]} gains "
        f"{with_interval(first)} in AUROC over real images alone."
    )


def _hurts(found: Comparison, _: Pair, place: str) -> str:
    best = max(found.against(found.real), key=lambda pair: pair.difference)
    return (
        f"Synthetic images hurt {place}: {_every(found)} worse than real images alone; "
        f"{_even(found, best)} {with_interval(best)} in AUROC."
    )


def _not_needed(found: Comparison, _: Pair, place: str) -> str:
    reference = found.because[0]
    best = max(found.against(reference), key=lambda pair: pair.difference)
    return (
        f"Synthetic images do not help {place}: {_every(found)} worse than '{reference}' ({about(reference)}), which "
        f"needs none; {_even(found, best)} {with_interval(best)} in AUROC."
    )


def _no_difference(found: Comparison, _: Pair, place: str) -> str:
    pairs = found.against(found.real)
    low, high = min(pair.low for pair in pairs), max(pair.high for pair in pairs)
    return (
        f"Synthetic images make no practical difference {place}: against real images alone, "
        f"{'all intervals lie' if len(pairs) > 1 else 'the interval lies'} within {span(low, high)} in AUROC."
    )


def _unknown(found: Comparison, pair: Pair, place: str) -> str:
    if pair.low > 0:  # what is left are reference arms that hardest() does not count
        names = [arm.name for arm in found.arms if arm.kind == "reference" and arm.auroc.unsteady]
        return (
            f"That synthetic images help {place} is not shown: '{pair.arm}' is better than every reference arm but "
            f"{listed(names)}, whose trainings differ too much to tell; it differs from '{pair.reference}' "
            f"({about(pair.reference)}) by {with_interval(pair)} in AUROC."
        )
    count = len(found.against(found.real))
    other = (
        "real images alone"
        if pair.reference == found.real
        else f"'{pair.reference}' ({about(pair.reference)})"
    )
    start = f"That synthetic images help {place} is not shown: "
    differs = f"differs from {other}, the reference arm that it is least sure to beat, by {with_interval(pair)} in AUROC."
    if count == 1:
        return f"{start}the synthetic arm '{pair.arm}' is not better than every reference arm; it {differs}"
    return (
        f"{start}none of {count} synthetic arms is better than every reference arm. Nearest, judged by the lower end of an "
        f"interval, comes '{pair.arm}': it {differs}"
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
    tested = tested_words(found, plain(run.asked["rare"]), "test images")
    paragraphs = [
        f"Real images alone reach an AUROC of {real.auroc.estimate.value:.3f} "
        f"({real.auroc.estimate.low:.3f} to {real.auroc.estimate.high:.3f}) on {tested}.{_counts(found)}",
        external_sentence(run, answers),
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
    """The smallest gain that could have been seen, and what limits it."""
    if found.detectable is None or found.detectable_at_best is None:
        return ""
    whose = "images" if found.patients is None else "patients"
    small = f"Differences up to {found.equivalence:g} are taken to be of no practical use."
    chance = (
        f"A true gain of {found.detectable:.3f} over real images alone would have been found with 80 % chance"
    )
    if found.detectable_with_enough is not None:
        return (
            f"{chance}. That it is no less is due to the {found.splits} splits, which are few: by their spread, "
            f"{ENOUGH_SPLITS} (folds × repeats) would find {found.detectable_with_enough:.3f}, any number of repeats "
            f"{found.detectable_at_best:.3f}. Take more folds or repeats. {small}"
        )
    more = "repeats there were" if found.design == "cross-validation" else "classifiers were trained"
    return f"{chance}; however many {more}, these test {whose} can't settle less than {found.detectable_at_best:.3f}. {small}"


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
