"""What is shown on stderr: bars in a terminal however narrow, a line now and then elsewhere."""

import io
import re
import time

import pytest
from rich.console import Console

from healthgan import progress
from healthgan.executors import Job, Step
from healthgan.progress import Progress, duration, stages, waiting

JOBS = [Job("generator/main/0", "generator", {}), *(Job(f"fit/main/real/{n}", "fit", {}) for n in range(4))]
EXPECTED = {"generator/main/0": 100.0} | {job.key: 1.0 for job in JOBS[1:]}


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=30,
        color_system=None,
        _environ={"TERM": "xterm"},
    )


def pipe() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def written(console: Console) -> str:
    """What was written, without the codes that move the cursor."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_the_end_is_told_in_each(width: int) -> None:
    console = terminal(width)
    with Progress(JOBS, EXPECTED, 1, console=console) as shown:
        shown.step(Step("generator/main/0", 0, 2400, {}))
        time.sleep(1.1)  # what is left is worked out once a second
        shown.step(Step("generator/main/0", 300, 2400, {"training_loss": 0.5}))
        time.sleep(0.5)  # bars are drawn four times a second
    lines = written(console).splitlines()
    assert all(len(line.rstrip()) <= width for line in lines)
    last = "\n".join(lines[-4:])
    assert "0/5 jobs" in last
    assert "300/2400" in last
    assert re.search(r"study .* \d+ (s|min) left", last)
    assert ("/s" in last) == (width >= progress.MEDIUM)
    assert ("━" in last) == (width >= progress.NARROW)


def test_a_resumed_study_says_how_many_jobs_are_done_and_lists_none() -> None:
    console = pipe()
    with Progress(JOBS, EXPECTED, 1, console=console) as shown:
        shown.found([{"key": "task"}, *({"key": job.key, "time_seconds": 1.0} for job in JOBS[1:4])])
        shown.finished({"key": JOBS[0].key, "time_seconds": 9.0})
    assert written(console) == "Going on: 3 of 5 jobs are done.\n"


def test_a_study_that_starts_says_nothing_of_going_on() -> None:
    console = pipe()
    with Progress(JOBS, EXPECTED, 1, console=console) as shown:
        shown.found([{"key": "task"}])
    assert written(console) == ""


def test_the_last_job_is_told_in_a_pipe() -> None:
    console = pipe()
    with Progress(JOBS[:2], EXPECTED, 1, console=console) as shown:
        for job in JOBS[:2]:
            shown.finished({"key": job.key, "time_seconds": 1.0})
    assert re.fullmatch(r"2 jobs are done, in \d+ s\.\n", written(console))


def test_a_pipe_hears_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand steps in 100 s, by a clock that is set: one line in 30 s, with what is left by the generator's speed."""
    console, now = pipe(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress(JOBS, EXPECTED, 1, console=console) as shown:
        for done in range(1, 1001):
            now[0] = done / 10
            shown.step(Step("generator/main/0", done, 2000, {}))
    lines = written(console).splitlines()
    assert len(lines) == 3
    assert lines[0] == "0/5 jobs, 14 % of the work, 3 min left; now generator/main/0, 300/2000"


def test_colours_and_bars_are_not_for_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    console = terminal(80)
    with stages(console) as tell:
        tell("training", 1, 10)
    assert written(console) == ""


def test_stages_are_told_when_they_end_in_a_pipe_and_once() -> None:
    console = pipe()
    with stages(console) as tell:
        for _ in range(3):
            tell("real images", 0, 10)
            tell("real images", 10, 10)
        tell("measuring: one", 0, 2)
        tell("measuring: two", 2, 2)
    first, second = written(console).splitlines()
    assert first.startswith("real images: 10/10, ")
    assert second.startswith("measuring: two: 2/2, ")


def test_parts_of_a_stage_share_a_bar() -> None:
    console = terminal(80)
    with stages(console) as tell:
        for done, part in enumerate(("one", "two", "three")):
            tell(f"measuring: {part}", done, 3)
        time.sleep(0.5)
    last = written(console).rstrip().splitlines()[-1]
    assert last.startswith("measuring: three")
    assert "2/3" in last


def test_what_is_waited_for_is_gone_in_the_end() -> None:
    console = terminal(80)
    with waiting("writing the report", console):
        time.sleep(0.5)
    assert "writing the report" in written(console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("\x1b[1A\x1b[2K"), "the line is wiped"
    console = pipe()
    with waiting("writing the report", console):
        pass
    assert written(console) == ""


def test_silence_where_it_is_asked_for() -> None:
    console = terminal(80)
    with stages(console, quiet=True) as tell:
        tell("training", 10, 10)
    assert written(console) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3569, "59 min"),
        (3599, "1 h 0 min"),
        (4 * 3600 + 29 * 60, "4 h 29 min"),
        (51 * 3600, "2 d 3 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
