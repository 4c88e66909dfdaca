"""The page of a sound study."""

from collections.abc import Iterator
from typing import Any

from healthgan import __version__
from healthgan.report.brought import details, facts_of, origin
from healthgan.report.page import environment, inline_svg, stylesheet
from healthgan.report.sound import sections
from healthgan.report.sound.believing import belief
from healthgan.report.sound.cautions import PLACES, Caution, cautions
from healthgan.report.sound.checks import checks
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import forest_rows
from healthgan.report.sound.verdict import lede, verdict_sentence
from healthgan.report.sound.words import (
    about,
    briefly,
    signed,
    span,
    state,
    tested_words,
    worth,
    worths,
)
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.verdicts import Verdict
from healthgan.terminal import plain

Row = dict[str, Any]

MARKS = {Verdict.HELPS: "▲", Verdict.HURTS: "▼", Verdict.NO_DIFFERENCE: "=", Verdict.UNKNOWN: "?"}


def render(run: SoundRun, answers: Answers, charts: dict[str, str]) -> str:
    """The page as HTML text."""
    found = environment()
    found.filters |= {
        "signed": signed,
        "briefly": briefly,
        "about": about,
        "worth": worth,
        "worths": worths,
        "figure": figure,
        "span": lambda pair: span(pair.low, pair.high),
    }
    template = found.get_template("sound/page.html.j2")
    return template.render(_view(run, answers, charts), style=stylesheet("style.css", "sound/sound.css"))


def figure(value: float) -> str:
    """A number of any size with three or so telling digits, and a true minus sign."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


def _view(run: SoundRun, answers: Answers, charts: dict[str, str]) -> Row:
    main = answers.main
    material = {
        "pools": sections.pools(run),
        "quality": sections.quality(run),
        "curve": answers.curve,
        "onward": sections.onward(run, answers),
        "external": answers.external,
    }
    return {
        "run": run,
        "name": run.folder.path.resolve().name,
        "version": __version__,
        "asked": run.asked,
        "protocol": run.protocol,
        "task": run.task,
        "state": state(run),
        "verdict": verdict_sentence(answers),
        "lede": lede(run, answers),
        "tiles": sections.tiles(answers),
        "main": main,
        "rows": [] if main is None else forest_rows(main),
        "external_rows": [] if answers.external is None else forest_rows(answers.external),
        "matrix": None if main is None else _matrix(main),
        "measures": None if main is None else sections.measures(main),
        "telling": [arm.name for arm in answers.telling],
        "marks": MARKS,
        "belief": belief(run, answers),
        "tested": "" if main is None else tested_words(main, plain(run.asked["rare"]), "test images"),
        "checks": [] if main is None else checks(main),
        "subgroups": sections.subgroups(answers),
        "cautions": _by_place(cautions(run, answers)),
        "brought": facts_of(run),
        "brought_details": details(run),
        "origin": origin(run),
        "times": sections.times(run),
        "charts": {name: inline_svg(svg, name, LABELS[name]) for name, svg in charts.items()},
        "parts": list(_parts(material, main is not None)),
        **material,
    }


def _parts(material: Row, compared: bool) -> Iterator[str]:
    """The templates of the sections that have something to show, in their order."""
    if compared:
        yield from ("arms", "references", "honesty")
    if material["curve"] is not None:
        yield "curve"
    if compared:
        yield "measures"
    yield from (name for name in ("pools", "quality", "onward", "external") if material[name])
    yield "settings"


def _matrix(found: Comparison) -> Row:
    """Every synthetic arm and control against every reference arm."""
    references = [arm.name for arm in found.arms if arm.kind == "reference"]
    others = [arm.name for kind in ("synthetic", "control") for arm in found.arms if arm.kind == kind]
    rows = [(name, [found.pair(name, other) for other in references]) for name in others]
    return {"references": references, "rows": rows}


def _by_place(found: list[Caution]) -> dict[str, list[Caution]]:
    return {place: [caution for caution in found if caution.place == place] for place in PLACES}


LABELS = {
    "forest": "Chart of every arm's difference in AUROC to real images alone with its intervals; the table below holds its figures.",
    "hardest": "Chart of every synthetic arm's difference in AUROC to the reference arm that it is least sure to beat; the table above holds its figures.",
    "roc": "ROC and precision-recall curves of the arms that matter; tables/roc.csv holds their figures.",
    "calibration": "Chart of the share that is rare over the predicted probability; tables/calibration.csv holds its figures.",
    "curve": "Chart of AUROC over the number of rare training images; the table below holds its figures.",
    "external": "Chart of every arm's difference in AUROC to real images alone on the external test set; the table below holds its figures.",
}
"""What each chart shows, for those who cannot see it."""
