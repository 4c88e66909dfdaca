"""The page of a sound study."""

from typing import Any

from healthgan import __version__
from healthgan.report.brought import details, facts_of
from healthgan.report.page import environment, inline_svg, stylesheet
from healthgan.report.sound.cautions import cautions
from healthgan.report.sound.checks import checks
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import forest_rows
from healthgan.report.sound.words import about, lede, settles, signed, span, state, verdict_sentence
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.verdicts import Verdict

Row = dict[str, Any]

MARKS = {Verdict.HELPS: "▲", Verdict.HURTS: "▼", Verdict.NO_DIFFERENCE: "=", Verdict.UNKNOWN: "?"}


def render(run: SoundRun, answers: Answers, charts: dict[str, str]) -> str:
    """The page as HTML text."""
    found = environment()
    found.filters |= {
        "signed": signed,
        "settles": settles,
        "about": about,
        "span": lambda pair: span(pair.low, pair.high),
    }
    template = found.get_template("sound/page.html.j2")
    return template.render(_view(run, answers, charts), style=stylesheet("style.css", "sound/sound.css"))


def _view(run: SoundRun, answers: Answers, charts: dict[str, str]) -> Row:
    main = answers.main
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
        "main": main,
        "rows": [] if main is None else forest_rows(main),
        "matrix": None if main is None else _matrix(main),
        "marks": MARKS,
        "checks": [] if main is None else checks(main),
        "cautions": {"arms": cautions(run, answers)},
        "tiles": [],
        "parts": _parts(answers),
        "brought": facts_of(run),
        "brought_details": details(run),
        "charts": {name: inline_svg(svg, name, _label(name)) for name, svg in charts.items()},
    }


def _parts(answers: Answers) -> list[str]:
    """The templates of the sections that have something to show."""
    return [] if answers.main is None else ["arms", "references", "honesty"]


def _matrix(found: Comparison) -> Row:
    """Every synthetic arm and control against every reference arm."""
    references = [arm.name for arm in found.arms if arm.kind == "reference"]
    others = [arm.name for kind in ("synthetic", "control") for arm in found.arms if arm.kind == kind]
    return {
        "references": references,
        "rows": [(name, [found.pair(name, other) for other in references]) for name in others],
    }


def _label(name: str) -> str:
    """What a chart shows, for those who cannot see it; the tables hold all figures."""
    return {
        "forest": "Chart of every arm's difference in AUROC to real images alone with its intervals; the table below holds its figures.",
        "hardest": "Chart of every synthetic arm's difference in AUROC to the reference arm that it is least sure to beat; "
        "tables/differences.csv holds its figures.",
    }[name]
