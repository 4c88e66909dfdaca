"""The answer in plain words, computed from the records. Nothing is claimed where an interval holds zero."""

from healthgan.report.brought import origin, warnings
from healthgan.report.comparison import Comparison, Trend
from healthgan.report.published import Row
from healthgan.report.reading import Run
from healthgan.report.results import repeats
from healthgan.scores import wilson_interval
from healthgan.statistics import Estimate
from healthgan.terminal import plain


def answer(run: Run, comparison: Comparison) -> list[str]:
    """The answer in one sentence, then paragraphs: the comparison, trend and validation, how far to trust it.

    Where synthetic images were brought, what speaks against them goes before the answer, and their origin comes last.
    """
    real, control = repeats(run, "real"), repeats(run, "control")
    paragraphs = [
        [*warnings(run), _verdict(run, comparison)],
        [_baseline(real), _with_generated(run), *_differences(comparison, real)],
        [_trend(comparison.trends["generated"]), _inflation(comparison), _control(run, control)],
        [_caution(real, comparison)],
        [origin(run)],
    ]
    joined = [" ".join(sentence for sentence in sentences if sentence) for sentences in paragraphs]
    return [paragraph for paragraph in joined if paragraph]


def points(value: float) -> str:
    """A signed difference in percentage points, with a true minus sign."""
    return f"{value:+.1f}".replace("-", "−")


def interval(estimate: Estimate) -> str:
    """A difference with its interval."""
    return f"{points(estimate.value)} [{points(estimate.low)}, {points(estimate.high)}]"


def state(run: Run) -> str:
    """How much of a run is finished; empty where all is."""
    if not run.missing:
        return ""
    return f"unfinished: {len(run.planned) - len(run.missing)} of {len(run.planned)} jobs"


def floor_text(floor: float) -> str:
    """A likeness floor as it stands in tables and charts."""
    return f"{floor:.2f}"


def _baseline(real: Row) -> str:
    if real["runs"] == 0:
        return "No classifier has been trained on the real images alone yet."
    if real["runs"] == 1:
        return (
            f"Trained on the real images alone, the classifier judges {real['test_mean']:.1f} % of the {real['n']:,} "
            "test images right (one training)."
        )
    return (
        f"Trained on the real images alone, the classifier judges {real['test_mean']:.1f} ± {real['test_sd']:.1f} % of "
        f"the {real['n']:,} test images right (mean ± standard deviation of {real['runs']} trainings that differ "
        "only in their seed)."
    )


def _with_generated(run: Run) -> str:
    tested = {floor: 100 * record["test_accuracy"] for floor, record in run.trained("generated")}
    if _nothing_reached(run):
        return ""
    if not tested:
        return "No classifier has been trained with generated images yet."
    worst, best = min(tested, key=tested.__getitem__), max(tested, key=tested.__getitem__)
    if len(tested) == 1:
        return f"With generated images added, test accuracy is {tested[best]:.1f} %, at floor {floor_text(best)} (one training)."
    return (
        f"With generated images added, test accuracy is between {tested[worst]:.1f} % (likeness floor {floor_text(worst)}) and "
        f"{tested[best]:.1f} % (floor {floor_text(best)}), one training at each of {len(tested)} floors."
    )


def _verdict(run: Run, comparison: Comparison) -> str:
    mean = comparison.mean_difference
    if mean is None:
        return _nothing_reached(run) or ("Not known yet." if run.missing else "There is nothing to compare.")
    start = "So far" if run.missing else "In this run"
    if not mean.clear:
        clear = _clear_floors(comparison)
        if not clear:
            return f"{start} no effect of the generated images on test accuracy is shown."
        return f"{start} test accuracy with generated images is {clear}; over all floors together no effect is shown."
    word = "higher" if mean.value > 0 else "lower"
    return (
        f"{start} test accuracy is {word} with generated images, by {abs(mean.value):.1f} points on average."
    )


def _nothing_reached(run: Run) -> str:
    likeness = run.records.get("likeness")
    if likeness is None or any(likeness["accepted"].values()):
        return ""
    return f"No generated image reached the lowest likeness floor, {floor_text(run.floors[0])}: there is nothing to compare."


def _differences(comparison: Comparison, real: Row) -> list[str]:
    found, mean = comparison.differences, comparison.mean_difference
    if not found or mean is None:
        return []
    if len(found) == 1:
        verdict = "" if mean.clear else ": no effect is shown, as it includes zero"
        return [f"The difference is {_with_interval(mean)}{verdict}."]
    words = _clear_floors(comparison)
    unclear = sum(not gain.clear for gain in found.values())
    if not words:
        first = "At no floor does the 95 % interval of the difference between the two leave zero out."
    else:
        rest = f"; at {unclear} of {len(found)} floors the 95 % interval includes zero" if unclear else ""
        first = f"Compared floor by floor on the same test images, it is {words}{rest}."
    verdict = "" if mean.clear else ", which includes zero"
    return [
        first,
        _beyond_luck([abs(gain.value) for gain in found.values() if gain.clear], real),
        f"Over all {len(found)} floors the difference is {_with_interval(mean)}{verdict}.",
    ]


def _clear_floors(comparison: Comparison) -> str:
    """Where the interval of the difference leaves zero out: "lower at floors 0.80 and 0.81"."""
    found = comparison.differences
    sides = {
        "lower": [floor for floor, gain in found.items() if gain.high < 0],
        "higher": [floor for floor, gain in found.items() if gain.low > 0],
    }
    return " and ".join(f"{word} at {_floors(floors)}" for word, floors in sides.items() if floors)


def _beyond_luck(gains: list[float], real: Row) -> str:
    """How many of the clear differences are larger than what lies between trainings on the same images."""
    if not gains or real["runs"] < 2:
        return ""
    larger = sum(gain > real["test_range"] for gain in gains)
    luck = f"the {real['test_range']:.1f} points that lie between trainings on the very same real images"
    if len(gains) == 1:
        return f"That difference {'exceeds' if larger else 'does not exceed'} {luck}."
    return f"Of these {len(gains)} differences {larger or 'none'} exceed{'s' * (larger < 2)} {luck}."


def _with_interval(estimate: Estimate) -> str:
    return (
        f"{points(estimate.value)} points (95 % interval {points(estimate.low)} to {points(estimate.high)})"
    )


def _trend(trend: Trend) -> str:
    if trend.rank is None or trend.slope is None:
        return ""
    direction = "rises" if trend.rank.rho > 0 else "falls"
    if trend.clear:
        claim = f"With generated images, test accuracy {direction} with the likeness floor"
    elif trend.rank.pairs < 5:
        claim = f"Whether test accuracy rises with the likeness floor cannot be told from {trend.rank.pairs} floors"
    else:
        claim = "That test accuracy rises or falls with the likeness floor is not shown"
    return f"{claim} ({trend_text(trend)})."


def trend_text(trend: Trend) -> str:
    """The figures behind a claim about a trend."""
    if trend.rank is None or trend.slope is None:
        return "not enough floors"
    return (
        f"Spearman's ρ = {trend.rank.rho:.2f}".replace("-", "−")
        + f", p = {trend.rank.p:.3f}, {trend.rank.pairs} floors; slope {interval(trend.slope)} points a 0.01 of likeness"
    )


def _inflation(comparison: Comparison) -> str:
    generated, real = (comparison.mean_inflation(arm) for arm in ("generated", "real"))
    if generated is None:
        return ""
    gaps = comparison.inflation["generated"].values()
    above = sum(gap.low > 0 for gap in gaps)
    against = "" if real is None else f", against {points(real)} with real images alone"
    figures = f"validation minus test is {points(generated)} points on average with generated images{against}"
    if not above:
        return f"That validation is inflated is not shown: {figures}, and no interval lies above zero."
    count = "every floor" if above == len(gaps) else f"{above} of {len(gaps)} floors"
    claim = (
        "Validation is inflated" if 2 * above >= len(gaps) else "Validation is inflated at few floors only"
    )
    return f"{claim}: {figures}; the 95 % interval lies above zero at {count}."


def _control(run: Run, control: Row) -> str:
    if not control["runs"] or run.task is None or "control" not in run.task:
        return ""
    spread = f" ± {control['test_sd']:.1f}" if control["runs"] > 1 else ""
    name = plain(run.task["control"]["rare"])
    return (
        f"The control ({name}) reaches {control['test_mean']:.1f}{spread} % on {control['n']:,} test images."
    )


def _caution(real: Row, comparison: Comparison) -> str:
    if not real["n"]:
        return ""
    low, high = wilson_interval(round(real["test_mean"] / 100 * real["n"]), real["n"])
    whose = f" of {comparison.patients:,} patients" if comparison.patients not in (None, real["n"]) else ""
    return (
        f"Each floor was trained once, and {real['n']:,} test images{whose} tell a single accuracy to about "
        f"± {50 * (high - low):.1f} points. The interval at a single floor covers the choice of test patients, not the "
        "luck of a training."
    )


def _floors(floors: list[float]) -> str:
    texts = [floor_text(floor) for floor in floors]
    if len(texts) == 1:
        return f"floor {texts[0]}"
    return f"floors {', '.join(texts[:-1])} and {texts[-1]}"
