"""The sentence that each section of a sound study's page begins with: the answer to its question."""

from collections.abc import Mapping, Sequence
from typing import Any

from healthgan.report.sound.best import AgainstBest
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.words import listed, with_interval, worth, worths
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Verdict

Row = dict[str, Any]


def arms_lead(best: AgainstBest) -> str:
    """How many synthetic arms are better than the best without."""
    pairs = [pair for pair in best.pairs if pair.kind == "synthetic"]
    what = f"'{best.reference}', the best way here that needs none"
    if not pairs:
        return f"No arm has synthetic images. The best way here is '{best.reference}'."
    counts = {verdict: [pair for pair in pairs if pair.verdict is verdict] for verdict in Verdict}
    if counts[Verdict.HELPS]:
        top = max(counts[Verdict.HELPS], key=lambda pair: pair.difference)
        return (
            f"{len(counts[Verdict.HELPS])} of {len(pairs)} ways with synthetic images {_are(counts[Verdict.HELPS])} better than "
            f"{what}; '{top.arm}' gains {with_interval(top)} in AUROC."
        )
    words = {
        Verdict.NO_DIFFERENCE: "no different in practice",
        Verdict.UNKNOWN: "not told apart from it",
        Verdict.HURTS: "worse",
    }
    there = {word: counts[verdict] for verdict, word in words.items() if counts[verdict]}
    parts = [f"{len(found)} {_are(found)} {word}" for word, found in there.items()]
    told = f"of {len(pairs)}, {listed(parts)}"
    if len(there) == 1:
        told = f"{('it', 'both', 'all')[min(len(pairs), 3) - 1]} {_are(pairs)} {next(iter(there))}"
    top = max(pairs, key=lambda pair: pair.difference)
    return (
        f"No way with synthetic images is shown to be better than {what}: {told}. "
        f"The highest, '{top.arm}', differs by {with_interval(top)} in AUROC."
    )


def _are(found: Sequence[Pair]) -> str:
    return "is" if len(found) == 1 else "are"


def references_lead(found: Comparison) -> str:
    """Whether a synthetic arm is better than each reference arm."""
    arms = [arm.name for arm in found.arms if arm.kind == "synthetic"]
    references = [arm.name for arm in found.arms if arm.kind == "reference"]
    best = [
        name for name in arms if all(found.pair(name, other).verdict is Verdict.HELPS for other in references)
    ]
    if best:
        names = listed(f"'{name}'" for name in best)
        return f"Yes: {names} {'is' if len(best) == 1 else 'are'} better than each of {len(references)}."
    won = {
        name: sum(found.pair(name, other).verdict is Verdict.HELPS for other in references) for name in arms
    }
    top = max(won, key=lambda name: won[name], default=None)
    if top is None or not won[top]:
        return f"No: none is shown to be better than any of the {len(references)} reference arms."
    return f"No. '{top}' comes furthest: it is better than {won[top]} of {len(references)} reference arms."


def curve_lead(curve: LearningCurve) -> str:
    """What synthetic images were worth where there were fewest real ones."""
    if not curve.rates:
        return "Not known: there are too few numbers of images, or no synthetic arm, for a rate."
    rate = curve.at(curve.counts[0])
    return (
        f"With {rate.count:,} rare training images, the synthetic images of '{curve.synthetic}' were worth this many more "
        f"real ones: {worth(rate, rate.more)} (95 % interval {worths(rate)})."
    )


def measures_lead(answers: Answers) -> str:
    """What share of rare images the telling arms find at a specificity that a reader can picture."""
    found, parts = answers.main, []
    assert found is not None
    for arm in answers.telling:
        value = found.arm(arm.name).measures.get("sensitivity")
        if value is not None:
            parts.append(
                f"'{arm.name}' {100 * value.value:.0f} % ({100 * value.low:.0f} to {100 * value.high:.0f})"
            )
    if not parts:
        return "By AUROC alone the verdict is reached; these show where on the curve arms differ."
    return f"With one false alarm in ten, of the {found.rare_images:,} rare test images are found: {listed(parts)}."


def pools_lead(pools: Sequence[Row]) -> str:
    """How many candidates the likeness band keeps."""
    parts = []
    for pool in pools:
        kept, total = sum(pool["kept"]["band"]), pool["candidates"]
        parts.append(f"{kept:,} of {total:,} images of {pool['title']} ({100 * kept / total:.0f} %)")
    return f"The likeness band keeps {listed(parts)}."


def fidelity_lead(classes: Mapping[str, Row], rows: Sequence[Row]) -> str:
    """Whether a classifier tells synthetic from real images, and how many goals are reached."""
    parts = []
    for name, facts in classes.items():
        apart, floor = facts["real_or_synthetic"], facts["real_or_real"]
        told = f"{name} class {apart['auroc']:.2f} ({apart['auroc_low']:.2f} to {apart['auroc_high']:.2f}"
        beside = f"; real from real {floor['auroc']:.2f})" if floor else ")"
        parts.append(told + beside)
    goals = [row for row in rows if row["limit"] is not None]
    reached = sum(bool(row["reached"]) for row in goals)
    return (
        f"A classifier tells synthetic from real images it has not seen with an AUROC of: {'; '.join(parts)}, where 0.5 is not "
        f"at all. {reached} of {len(goals)} goals below are reached."
    )


def privacy_lead(privacy: Row) -> str:
    """What the audit concludes, in its own words."""
    if privacy.get("conclusion"):
        return str(privacy["conclusion"])
    first = privacy["audit"][0]
    return (
        f"Of the generator's images, {first['images']} are {first['measure']} ({first['value']}, 95 % interval "
        f"{first['interval']} %), where new images would give {first['best']}."
    )
