"""Writes a sound study's tables and figures and makes its page."""

from pathlib import Path

from healthgan.report.grid import Row
from healthgan.report.sound.checks import checks
from healthgan.report.sound.comparison import Answers, examine
from healthgan.report.sound.drawing import figures
from healthgan.report.sound.page import render
from healthgan.report.sound.quality_grids import fidelity_rows
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import tables
from healthgan.report.tables import write_csv
from healthgan.report.writing import replace_figures


def write_all(run: SoundRun, *, patient_images: bool) -> str:
    """Write tables/ and figures/ and give the page as HTML text.

    Args:
        run: the study.
        patient_images: whether real images may stand on the page.
    """
    answers = examine(run)
    rows, drawn = every_table(run, answers), figures(answers)
    folder: Path = run.folder.path
    for name, content in rows.items():
        write_csv(folder / "tables" / f"{name}.csv", content)
    replace_figures(folder / "figures", {f"{name}.svg": figure.file() for name, figure in drawn.items()})
    return render(run, answers, drawn, rows, patient_images=patient_images)


def every_table(run: SoundRun, answers: Answers) -> dict[str, list[Row]]:
    """File name → rows: those of the answers, of the controls and of the first generator."""
    found = tables(run, answers)
    if answers.main is not None:
        fields = ("arm", "should", "difference", "low", "high", "state", "meaning")
        found["checks"] = [
            {name: _short(getattr(check, name)) for name in fields} for check in checks(answers.main)
        ]
    for record in run.by_kind("quality")[:1]:
        found["fidelity"] = fidelity_rows(record["fidelity"])
        found["privacy"] = record["privacy"]["audit"]
    return {name: content for name, content in found.items() if content}


def _short(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
