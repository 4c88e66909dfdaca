"""Draws and writes a sound study's figures, as far as its answers are known."""

from pathlib import Path

from healthgan.report.figures import save
from healthgan.report.sound import figures
from healthgan.report.sound.charts import calibration_chart, curve_chart, roc_chart
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.rows import ORDER
from healthgan.report.sound.telling import hardest
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair


def draw(answers: Answers, folder: Path) -> dict[str, str]:
    """Write the figures; name → SVG text."""
    found = answers.main
    charts = {}
    if found is not None and len(found.arms) > 1:
        pairs = in_groups(
            found, [found.pair(arm.name, found.real) for arm in found.arms if arm.name != found.real]
        )
        axis = "difference in AUROC to real images alone"
        figure = figures.forest(pairs, [pair.arm for pair in pairs], axis, found.equivalence)
        charts["forest"] = save(figure, folder, "forest")
        worst = [hardest(found, arm.name) for arm in found.arms if arm.kind == "synthetic"]
        if worst:
            labels = [f"{pair.arm} − {pair.reference}" for pair in worst]
            figure = figures.forest(
                worst, labels, "difference in AUROC to the hardest reference arm", found.equivalence
            )
            charts["hardest"] = save(figure, folder, "hardest")
    if found is not None and answers.telling:
        charts["roc"] = save(roc_chart(answers.telling, found.prevalence), folder, "roc")
        if all(arm.reliability for arm in answers.telling):
            charts["calibration"] = save(calibration_chart(answers.telling), folder, "calibration")
    if answers.curve is not None and answers.curve.counts:
        charts["curve"] = save(curve_chart(answers.curve), folder, "curve")
    if answers.external is not None and len(answers.external.arms) > 1:
        charts["external"] = _against_real(answers.external, folder, "external")
    return charts


def _against_real(found: Comparison, folder: Path, name: str) -> str:
    pairs = in_groups(
        found, [found.pair(arm.name, found.real) for arm in found.arms if arm.name != found.real]
    )
    axis = "difference in AUROC to real images alone"
    return save(figures.forest(pairs, [pair.arm for pair in pairs], axis, found.equivalence), folder, name)


def in_groups(found: Comparison, pairs: list[Pair]) -> list[Pair]:
    """Synthetic arms first, then reference arms and controls, each in the study's order."""
    place = {arm.name: number for number, arm in enumerate(found.arms)}
    return sorted(pairs, key=lambda pair: (ORDER.index(pair.kind), place[pair.arm]))
