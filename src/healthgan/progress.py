"""How far the program is, on stderr: live bars in a terminal, a line now and then elsewhere."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from healthgan.executors import Job, Step
from healthgan.pace import Course, Pace
from healthgan.run import Record

QUIET_SECONDS = 30.0
"""Where no terminal is: at most one line in this time."""
NARROW, MEDIUM = 56, 76
"""Columns of a terminal below which bars, and speeds, are left out."""
MOST_BARS = 8
"""Jobs under way that have a bar of their own."""

Tell = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and how far it goes (0: not known)."""


class _Display:
    """Bars on stderr, or lines where stderr is no terminal.

    Attributes:
        console: what is drawn on.
        live: whether there are bars.
        bars: Rich's; its thread asks for the texts of the bars, which must not wait for ``lock``.
        lock: held by whoever tells how far something is.
    """

    def __init__(self, console: Console | None = None, *, transient: bool = False) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal and "CI" not in os.environ
        self.lock = threading.RLock()
        self._spoke = time.monotonic()
        width = self.console.width
        columns: list[ProgressColumn] = [_Text("name", min(34, width * 9 // 20))]
        if width >= NARROW:
            columns.append(BarColumn(min(20, width // 5)))
        columns.append(_Text("count", 0, right=True))
        if width >= MEDIUM:
            columns.append(_Text("speed", 0, right=True))
        columns.append(_Text("left", 0, right=True))
        self.bars = Bars(
            *columns, console=self.console, disable=not self.live, refresh_per_second=4, transient=transient
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def add(
        self, name: str, *, count: Callable[[], str], speed: Callable[[], str], left: Callable[[], str]
    ) -> TaskID:
        """A bar whose texts are asked for whenever it is drawn."""
        return self.bars.add_task(name, total=None, count=count, speed=speed, left=left)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, markup=False, soft_wrap=not self.live)
        self._spoke = time.monotonic()

    def say_unless_live(self, line: str) -> None:
        """A line where there are no bars."""
        if not self.live:
            self.say(line)

    def now_and_then(self, line: Callable[[], str]) -> None:
        """A line, where there are no bars and none was written lately."""
        if not self.live and time.monotonic() - self._spoke >= QUIET_SECONDS:
            self.say(line())


class _Text(ProgressColumn):
    """The name of a task, or what one of its fields says when it is asked."""

    def __init__(self, field: str, width: int, *, right: bool = False) -> None:
        justify: Literal["left", "right"] = "right" if right else "left"
        super().__init__(Column(no_wrap=True, overflow="ellipsis", max_width=width or None, justify=justify))
        self._field = field

    def render(self, task: Task) -> Text:
        """The field's text."""
        return Text(task.description if self._field == "name" else task.fields[self._field]())


class Progress:
    """A study: the running jobs, how many are done, and when the last will be.

    Args:
        jobs: all of them, in the order in which they start.
        expected: key → seconds that a job should take, of which the ratios count.
        workers: jobs at a time.
        together: a kind of job that is done in one go.
        console: to draw on; stderr by default.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        expected: Mapping[str, float],
        workers: int,
        together: str | None = None,
        console: Console | None = None,
    ) -> None:
        self._pace, self._total = Pace(jobs, expected, workers, together), len(jobs)
        self._keys = {job.key for job in jobs}
        self._bars: dict[str, TaskID] = {}
        self._display = _Display(console)
        self._started = self._asked = time.monotonic()
        self._end: float | None = None
        self._all = self._display.add(
            "study", count=lambda: f"{self._pace.done}/{self._total} jobs", speed=str, left=self._when
        )

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def found(self, records: Iterable[Record]) -> None:
        """Take note of the jobs that were finished in an earlier start of the study."""
        with self._display.lock:
            for record in records:
                self._pace.finished(record["key"], record.get("time_seconds", 0.0))
            if self._pace.done:
                self._display.say(f"Going on: {self._pace.done} of {self._total} jobs are done.")
            self._draw_all()

    def step(self, step: Step) -> None:
        """Show that a running job has advanced."""
        with self._display.lock:
            course = self._pace.step(step, time.monotonic())
            if course is None:
                return
            if step.key not in self._bars and len(self._bars) < MOST_BARS:
                self._bars[step.key] = _add(self._display, step.key, course)
            if step.key in self._bars:
                _draw(self._display, self._bars[step.key], course)
            self._draw_all()
            self._display.now_and_then(lambda: f"{self._so_far()}; now {step.key}, {_count(course)}")

    def notice(self, text: str) -> None:
        """Tell something about where the jobs run."""
        self._display.say(f"cluster: {text}")

    def finished(self, record: Record) -> None:
        """Show that a job is finished."""
        with self._display.lock:
            key = record["key"]
            if key not in self._keys:
                return
            self._pace.finished(key, record.get("time_seconds", 0.0))
            if key in self._bars:
                self._display.bars.remove_task(self._bars.pop(key))
            self._draw_all()
            if self._pace.done == self._total:
                self._display.say(
                    f"{self._total} jobs are done, in {duration(time.monotonic() - self._started)}."
                )
            else:
                self._display.now_and_then(self._so_far)

    def _draw_all(self) -> None:
        """The bar of the whole; when it ends is worked out at most once a second."""
        now = time.monotonic()
        if now - self._asked >= 1:
            left = self._pace.left(now)
            self._asked, self._end = now, None if left is None else now + left
        self._display.bars.update(self._all, total=1.0, completed=self._pace.share)

    def _so_far(self) -> str:
        share = f"{self._pace.done}/{self._total} jobs, {100 * self._pace.share:.0f} % of the work"
        return ", ".join(part for part in (share, self._when()) if part)

    def _when(self) -> str:
        """What is left; asked for by the thread that draws, so it waits for no lock."""
        end = self._end
        return "" if end is None else f"{duration(max(end - time.monotonic(), 0))} left"


@contextmanager
def stages(console: Console | None = None, *, quiet: bool = False) -> Iterator[Tell]:
    """Show work that is one stage after another: a bar a stage, or a line now and then.

    Args:
        console: to draw on; stderr by default.
        quiet: show nothing.

    Yields:
        A function to tell how far a stage is. Another name is another stage, but for what follows a colon: that may
        change from part to part of it.
    """
    if quiet:
        yield lambda _what, _done, _total: None
        return
    with _Display(console) as display:
        courses: dict[str, Course] = {}
        drawn: dict[str, TaskID] = {}
        ended: set[str] = set()

        def tell(what: str, done: int, total: int) -> None:
            stage, now = what.partition(":")[0], time.monotonic()
            with display.lock:
                if stage in courses:
                    courses[stage].advance(done, total, now)
                else:
                    courses[stage] = Course(done, total, now)
                    drawn[stage] = _add(display, what, courses[stage])
                _draw(display, drawn[stage], courses[stage], what)
                if courses[stage].share == 1 and stage not in ended:
                    ended.add(stage)
                    display.say_unless_live(_line(what, courses[stage]))
                display.now_and_then(lambda: _line(what, courses[stage]))

        yield tell


@contextmanager
def waiting(what: str, console: Console | None = None) -> Iterator[None]:
    """Show, in a terminal and until it is done, that something takes a while that can't be told."""
    course = Course(0, 0, time.monotonic())
    with _Display(console, transient=True) as display:
        _add(display, what, course)
        yield


def duration(seconds: float) -> str:
    """So many seconds in the one or two largest units: ``45 s``, ``12 min``, ``1 h 20 min``, ``2 d 3 h``."""
    if seconds < 90:
        return f"{max(round(seconds), 0)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _add(display: _Display, name: str, course: Course) -> TaskID:
    return display.add(
        name,
        count=lambda: _count(course),
        speed=lambda: _speed(course),
        left=lambda: _left(course),
    )


def _draw(display: _Display, bar: TaskID, course: Course, name: str | None = None) -> None:
    display.bars.update(bar, total=course.total or None, completed=course.done, description=name)


def _line(name: str, course: Course) -> str:
    return ", ".join(part for part in (f"{name}: {_count(course)}", _speed(course), _left(course)) if part)


def _count(course: Course) -> str:
    return f"{course.done:.0f}/{course.total:.0f}" if course.total else ""


def _speed(course: Course) -> str:
    rate = course.rate
    if rate is None:
        return ""
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


def _left(course: Course) -> str:
    """What is left of it; of what is done, or can't be told, how long it has taken."""
    now = time.monotonic()
    if course.total and course.done >= course.total:
        return f"took {duration(course.at - course.since)}"
    left = course.left(now)
    return f"{duration(now - course.since)} so far" if left is None else f"{duration(left)} left"
