"""A study that ran: its verdict, its results as pandas frames, its report."""

import html
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from healthgan.errors import InputError
from healthgan.frames import published, sound
from healthgan.frames.columns import PUBLISHED, SOUND, Columns
from healthgan.report import build
from healthgan.report.comparison import compare
from healthgan.report.reading import read_run
from healthgan.report.sound.comparison import examine
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.verdict import verdict_sentence
from healthgan.report.words import answer


@dataclass(frozen=True)
class Report:
    """A study's report: shown in place as the last value of a notebook's cell.

    Attributes:
        path: the file, which needs no network and no other file.
        height: of the frame in a notebook, in pixels.
    """

    path: Path
    height: int = 800

    def open(self) -> None:
        """Show it in the web browser."""
        webbrowser.open(self.path.resolve().as_uri())

    def _repr_html_(self) -> str:
        """The whole page in a frame of its own origin: its scripts reach nothing of the notebook's page."""
        page = html.escape(self.path.read_text("utf-8"), quote=True)
        return (
            f'<iframe title="HealthGAN report" sandbox="allow-scripts" allow="clipboard-write" '
            f'style="width: 100%; height: {self.height:d}px; border: 0" srcdoc="{page}"></iframe>'
        )


class Study:
    """The results of a study, of all its jobs that are finished.

    The frames are in long form. What their columns say is in :mod:`healthgan.frames.columns` and in ``columns``; those
    of studies after the published protocol (``paper``, ``quick``) are others than those of sound studies, and a frame
    without rows has its columns.

    Args:
        folder: of a run, which :func:`healthgan.study` and ``healthgan study`` write.

    Raises:
        InputError: the folder holds no study, or it is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._run = read_run(self.folder)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r}): {self.verdict}"

    @property
    def columns(self) -> dict[str, Columns]:
        """Frame → column → what it says, with its unit."""
        return dict(SOUND if isinstance(self._run, SoundRun) else PUBLISHED)

    @cached_property
    def verdict(self) -> str:
        """The answer in words, with its interval."""
        run = self._run
        return verdict_sentence(examine(run)) if isinstance(run, SoundRun) else answer(run, compare(run))[0]

    @cached_property
    def arms(self) -> pd.DataFrame:
        """The arms by themselves: one row an arm and measure."""
        run = self._run
        return sound.arms(examine(run)) if isinstance(run, SoundRun) else published.arms(run)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Arms against each other, with intervals: one row a pair that is compared."""
        run = self._run
        if isinstance(run, SoundRun):
            return sound.differences(examine(run))
        return published.differences(compare(run))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What every classifier said of every image: one row each."""
        run = self._run
        return sound.predictions(run) if isinstance(run, SoundRun) else published.predictions(run)

    @cached_property
    def curve(self) -> pd.DataFrame:
        """The learning curve, where the protocol has one: one row an arm, count of rare images and draw."""
        run = self._run
        return sound.curve(examine(run)) if isinstance(run, SoundRun) else published.curve()

    @cached_property
    def images(self) -> pd.DataFrame:
        """The synthetic images, accepted and rejected: one row each."""
        run = self._run
        return sound.images(run) if isinstance(run, SoundRun) else published.images(run)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables that the report writes into ``tables/``, as it stands there.

        Raises:
            InputError: there is none of that name; the message lists those there are.
        """
        build(self.folder)
        files = {file.stem: file for file in sorted((self.folder / "tables").glob("*.csv"))}
        if name not in files:
            raise InputError(
                f"'{self.folder}' has no table '{name}'. There are: {', '.join(files) or 'none'}."
            )
        return pd.read_csv(files[name])

    def report(self, height: int = 800) -> Report:
        """The report; as the last value of a notebook's cell it is shown in place.

        Args:
            height: of the frame there, in pixels.
        """
        return Report(build(self.folder), height)

    def open(self) -> None:
        """Show the report in the web browser."""
        self.report().open()
