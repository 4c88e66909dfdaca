"""From records to tables, figures and one HTML file; no torch."""

from pathlib import Path

from healthgan.errors import InputError


def build(run: Path) -> Path:
    """Write a run's tables, figures and ``report.html`` from its records, whatever of it is finished.

    Args:
        run: the run folder.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder holds no study, is damaged, or cannot be written.
    """
    from healthgan.files import write_text
    from healthgan.report.comparison import compare
    from healthgan.report.drawing import draw
    from healthgan.report.html import render
    from healthgan.report.published import published_for
    from healthgan.report.reading import read_run
    from healthgan.report.sound.build import write_all
    from healthgan.report.sound.reading import SoundRun
    from healthgan.report.tables import write_tables

    read = read_run(run)
    page = run / "report.html"
    try:
        if isinstance(read, SoundRun):
            write_text(page, write_all(read))
        else:
            published, comparison = published_for(read), compare(read)
            write_tables(read, run / "tables")
            write_text(page, render(read, published, comparison, draw(read, published, comparison)))
    except OSError as error:
        raise InputError(
            f"The report cannot be written into '{run}': {error.strerror}. Make room there, or make it writable."
        ) from None
    return page
