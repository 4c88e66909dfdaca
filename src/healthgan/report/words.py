"""The answer in plain words, computed from the records. Nothing is claimed where an interval holds zero."""

from healthgan.report.comparison import Comparison, Trend
from healthgan.report.published import Row
from healthgan.report.reading import Run
from healthgan.report.results import repeats
from healthgan.statistics import Estimate
from healthgan.terminal import plain


def answer(run: Run, comparison: Comparison) -> list[str]:
    """Sentences that answer the study's questions, in their order."""
    real, control = repeats(run, "real"), repeats(run, "control")
    sentences = [
        _baseline(real),
        _with_generated(run),
        *_differences(comparison),
        *_trend(comparison),
        *_inflation(comparison),
        *_control(run, control),
        _caution(real, comparison),
    ]
    return [sentence for sentence in sentences if sentence]


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
    likeness = run.records.get("likeness")
    if likeness is not None and not any(likeness["accepted"].values()):
        return f"No generated image reached the lowest likeness floor, {floor_text(run.floors[0])}: there is nothing to compare."
    if not tested:
        return "No classifier has been trained with generated images yet."
    worst, best = min(tested, key=tested.__getitem__), max(tested, key=tested.__getitem__)
    if len(tested) == 1:
        return f"With generated images added it is {tested[best]:.1f} %, at floor {floor_text(best)} (one training)."
    return (
        f"With generated images added it is between {tested[worst]:.1f} % (likeness floor {floor_text(worst)}) and "
        f"{tested[best]:.1f} % (floor {floor_text(best)}), one training at each of {len(tested)} floors."
    )


def _differences(comparison: Comparison) -> list[str]:
    found = comparison.differences
    if not found:
        return []
    worse = [floor for floor, gain in found.items() if gain.high < 0]
    better = [floor for floor, gain in found.items() if gain.low > 0]
    open_ = len(found) - len(worse) - len(better)
    parts = []
    if worse:
        parts.append(f"lower than with real images alone at {_floors(worse)}")
    if better:
        parts.append(
            f"higher at {_floors(better)}"
            if worse
            else f"higher than with real images alone at {_floors(better)}"
        )
    if open_ == len(found):
        first = f"At none of the {len(found)} floors" if len(found) > 1 else "At this floor no"
        sentence = (
            f"{first} does the 95 % interval of the difference from real images alone leave zero out: no effect is shown."
            if len(found) > 1
            else "The 95 % interval of its difference from real images alone includes zero: no effect is shown."
        )
    else:
        rest = f"; at the other {open_} the 95 % interval includes zero" if open_ else ""
        sentence = f"It is {' and '.join(parts)} (95 % intervals without zero){rest}."
    sentences = [sentence]
    if comparison.mean_difference is not None and len(found) > 1:
        mean = comparison.mean_difference
        verdict = "" if mean.clear else ", which includes zero"
        sentences.append(
            f"Over all {len(found)} floors the difference is {points(mean.value)} points on average "
            f"(95 % interval {points(mean.low)} to {points(mean.high)}{verdict})."
        )
    return sentences


def _trend(comparison: Comparison) -> list[str]:
    trend = comparison.trends["generated"]
    if trend.rank is None or trend.slope is None:
        return [
            "There are too few floors with a trained model, or no variation, to ask whether test accuracy rises with the floor."
        ]
    direction = "rises" if trend.rank.rho > 0 else "falls"
    if trend.clear:
        claim = f"With generated images, test accuracy {direction} with the likeness floor"
    elif trend.rank.pairs < 5:
        claim = f"Whether test accuracy rises with the likeness floor cannot be told: {trend.rank.pairs} floors are too few"
    else:
        claim = "That test accuracy rises or falls with the likeness floor is not shown"
    return [f"{claim} ({trend_text(trend)})."]


def trend_text(trend: Trend) -> str:
    """The figures behind a claim about a trend."""
    if trend.rank is None or trend.slope is None:
        return "not enough floors"
    return (
        f"Spearman's ρ = {trend.rank.rho:.2f}".replace("-", "−")
        + f", p = {trend.rank.p:.3f}, {trend.rank.pairs} floors; slope {interval(trend.slope)} points a 0.01 of likeness"
    )


def _inflation(comparison: Comparison) -> list[str]:
    generated, real = (comparison.mean_inflation(arm) for arm in ("generated", "real"))
    if generated is None:
        return []
    gaps = comparison.inflation["generated"]
    above = [floor for floor, gap in gaps.items() if gap.low > 0]
    against = "" if real is None else f", against {points(real)} with real images alone"
    figures = f"validation minus test is {points(generated)} points on average with generated images{against}"
    if not above:
        return [
            f"That validation is inflated is not shown: {figures}, and every interval includes zero or lies below."
        ]
    count = "every floor" if len(above) == len(gaps) else f"{len(above)} of {len(gaps)} floors"
    return [f"Validation is inflated: {figures}; the 95 % interval lies above zero at {count}."]


def _control(run: Run, control: Row) -> list[str]:
    if not control["runs"] or run.task is None or "control" not in run.task:
        return []
    spread = f" ± {control['test_sd']:.1f}" if control["runs"] > 1 else ""
    return [
        f"The control ({plain(run.task['control']['rare'])}) reaches {control['test_mean']:.1f}{spread} % of "
        f"{control['n']:,} test images."
    ]


def _caution(real: Row, comparison: Comparison) -> str:
    if not real["n"]:
        return ""
    whose = f" of {comparison.patients:,} patients" if comparison.patients not in (None, real["n"]) else ""
    return (
        f"One training a floor and {real['n']:,} test images{whose} are little to go by: the intervals cover the choice of "
        "test patients, not the luck of a training."
    )


def _floors(floors: list[float]) -> str:
    texts = [floor_text(floor) for floor in floors]
    return ("floor " if len(texts) == 1 else "floors ") + (
        texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
    )
