"""How far a study is, on stderr: live bars in a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from healthgan.executors import Job, Step
from healthgan.run import Record

QUIET_SECONDS = 60.0
"""Where no terminal is: at most one line a job in this time."""


class Progress:
    """Shows the running jobs of a study and how many are finished."""

    def __init__(self, jobs: tuple[Job, ...]) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._total = len(jobs)
        self._keys = {job.key for job in jobs}
        self._done = 0
        self._bars: dict[str, TaskID] = {}
        self._spoke: dict[str, float] = {}
        self._live = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[facts]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._all = self._live.add_task("study", total=self._total, facts="jobs")

    def __enter__(self) -> "Progress":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def step(self, step: Step) -> None:
        """Show that a running job has advanced."""
        facts = " ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in step.facts.items())
        if step.key not in self._bars:
            self._bars[step.key] = self._live.add_task(step.key, total=step.total, facts=facts)
        self._live.update(self._bars[step.key], completed=step.done, total=step.total, facts=facts)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._spoke.setdefault(step.key, now) >= QUIET_SECONDS:
            self._spoke[step.key] = now
            print(f"{step.key}: {step.done}/{step.total} {facts}", file=sys.stderr)  # noqa: T201 - progress is spoken

    def notice(self, text: str) -> None:
        """Tell something about where the jobs run."""
        self._console.print(f"cluster: {text}", markup=False, soft_wrap=True)

    def finished(self, record: Record) -> None:
        """Show that a job is finished."""
        key = record["key"]
        if key not in self._keys:
            return
        self._done += 1
        self._live.update(self._all, completed=self._done)
        if key in self._bars:
            self._live.remove_task(self._bars.pop(key))
        if not self._console.is_terminal:
            print(  # noqa: T201 - progress is spoken
                f"{self._done}/{self._total} {key} ({record.get('time_seconds', 0):.0f} s)", file=sys.stderr
            )
