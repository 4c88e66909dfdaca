"""Puts a report's figures into the run folder, and takes away those of an earlier report that it has no more."""

from collections.abc import Mapping
from pathlib import Path

from healthgan.files import write_atomically, write_text

KINDS = (".svg", ".png", ".gif")


def replace_figures(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the figures, and remove what lies in their folder and is none of them: it may show what this report leaves out.

    Args:
        folder: ``figures`` of a run.
        files: name → content.
    """
    for name, content in files.items():
        if isinstance(content, str):
            write_text(folder / name, content)
        else:
            _write_bytes(folder / name, content)
    for old in folder.glob("*") if folder.is_dir() else ():
        if old.suffix in KINDS and old.name not in files:
            old.unlink()


def _write_bytes(path: Path, content: bytes) -> None:
    def write(part: Path) -> None:
        part.write_bytes(content)

    write_atomically(path, write)
