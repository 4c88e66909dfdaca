"""Writes a sound study's tables and figures and makes its page."""

from healthgan.report.sound.comparison import examine
from healthgan.report.sound.drawing import draw
from healthgan.report.sound.page import render
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import tables
from healthgan.report.tables import write_csv


def write_all(run: SoundRun) -> str:
    """Write tables/ and figures/ and give the page as HTML text."""
    answers = examine(run)
    folder = run.folder.path
    for name, rows in tables(run, answers).items():
        write_csv(folder / "tables" / f"{name}.csv", rows)
    return render(run, answers, draw(answers, folder / "figures"))
