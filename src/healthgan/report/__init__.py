"""From records to tables, figures and one HTML file; no torch."""

from pathlib import Path

from healthgan.errors import InputError


def build(run: Path, *, patient_images: bool = True) -> Path:
    """Write a run's tables, figures and ``report.html`` from its records, whatever of it is finished.

    Args:
        run: the run folder.
        patient_images: whether real images may stand in the report.

    Returns:
        The path of the page.

    Raises:
        InputError: the folder holds no study, is damaged, has a link where it is written to, or cannot be written.
    """
    from healthgan.files import write_text
    from healthgan.report.reading import read_run
    from healthgan.report.sound.reading import SoundRun

    for name in ("figures", "tables"):  # figures that a report does not have are removed from there
        if (run / name).is_symlink():
            raise InputError(
                f"'{run / name}' is a link, which may lead out of the run folder. Remove the link."
            )
    read = read_run(run)
    page = run / "report.html"
    try:
        if isinstance(read, SoundRun):
            from healthgan.report.sound.build import write_all

            text = write_all(read, patient_images=patient_images)
        else:
            from healthgan.report.html import write_published

            text = write_published(read, patient_images=patient_images)
        write_text(page, text)
    except OSError as error:
        raise InputError(
            f"The report cannot be written into '{run}': {error.strerror}. Make room there, or make it writable."
        ) from None
    return page
