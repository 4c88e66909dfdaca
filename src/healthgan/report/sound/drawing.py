"""The figures of a sound study, as far as its answers are known."""

from healthgan.report.charts.forest import Forest, Line
from healthgan.report.charts.learning import curve_figure
from healthgan.report.charts.svg import Figure
from healthgan.report.charts.telling import calibration_figure, roc_figure
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.rows import ORDER
from healthgan.report.sound.telling import hardest
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair

TITLES = {
    "synthetic": "with synthetic images",
    "reference": "without synthetic images",
    "control": "controls",
}


def figures(answers: Answers) -> dict[str, Figure]:
    """Name → figure."""
    found, drawn = answers.main, {}
    if found is not None and answers.best is not None:
        best = answers.best.reference
        drawn["forest"] = _forest(
            found,
            list(answers.best.pairs),
            f"difference in AUROC to '{best}', the best without synthetic images",
        ).figure("forest", "Every arm against the best way of training without synthetic images")
        if best != found.real:
            drawn["forest-real"] = against_real(found, "forest-real")
        worst = [hardest(found, arm.name) for arm in found.arms if arm.kind == "synthetic"]
        if worst:
            lines = [_line(found, pair, f"{pair.arm} − {pair.reference}") for pair in worst]
            axis = "difference in AUROC to the reference arm it is least sure to beat"
            drawn["hardest"] = Forest(lines, axis, found.equivalence, {}).figure(
                "hardest", "Each synthetic arm against the reference arm that it is least sure to beat"
            )
    if found is not None and answers.telling:
        drawn["roc"] = roc_figure(answers.telling, found.prevalence)
        if all(arm.reliability for arm in answers.telling):
            drawn["calibration"] = calibration_figure(answers.telling)
    if answers.curve is not None and answers.curve.counts:
        drawn["curve"] = curve_figure(answers.curve)
    if answers.external is not None and len(answers.external.arms) > 1:
        drawn["external"] = against_real(answers.external, "external")
    return drawn


def against_real(found: Comparison, name: str) -> Figure:
    """Every arm against real images alone."""
    pairs = [found.pair(arm.name, found.real) for arm in found.arms if arm.name != found.real]
    forest = _forest(found, pairs, "difference in AUROC to real images alone")
    return forest.figure(name, "Every arm against real images alone")


def _forest(found: Comparison, pairs: list[Pair], axis: str) -> Forest:
    """Synthetic arms first, then reference arms and controls, each in the study's order."""
    place = {arm.name: number for number, arm in enumerate(found.arms)}
    ordered = sorted(pairs, key=lambda pair: (ORDER.index(pair.kind), place[pair.arm]))
    return Forest([_line(found, pair, pair.arm) for pair in ordered], axis, found.equivalence, TITLES)


def _line(found: Comparison, pair: Pair, label: str) -> Line:
    unsteady = found.arm(pair.arm).auroc.unsteady or found.arm(pair.reference).auroc.unsteady
    return Line(
        label,
        pair.kind,
        pair.difference,
        pair.low,
        pair.high,
        (pair.marginal_low, pair.marginal_high),
        not unsteady,
    )
