"""Jobs in worker processes: order, failure, and the end of workers whose parent is gone."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from healthgan.executors import (
    LOSSES,
    Job,
    Report,
    Result,
    Step,
    Together,
    do,
    ready,
    run_jobs,
    with_far_needs,
)
from tiny import descendants

PATIENCE = 300
"""Seconds after which something hangs; a busy machine needs many for what takes an idle one a moment."""


def work(context: Path, job: Job, report: Report) -> Result:
    """Note start and end in a file; a job may be told to fail, to wait or to wait for others to start."""
    with (context / "log").open("a") as log:
        log.write(f"start {job.key}\n")
    report(Step(job.key, 1, 2, {"x": 0.5}))
    deadline = time.monotonic() + PATIENCE
    while (context / "log").read_text().count("start") < job.parameters.get("together", 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if job.kind == "fail":
        raise ValueError("this job fails")
    time.sleep(job.parameters.get("seconds", 0.0))
    with (context / "log").open("a") as log:
        log.write(f"end {job.key}\n")
    return {"process": os.getpid()}


def ignore(step: Step) -> None:
    pass


def job(key: str, *needs: str, kind: str = "work", **parameters: float) -> Job:
    return Job(key, kind, parameters, needs)


def test_a_job_starts_after_what_it_needs(tmp_path) -> None:
    jobs = [job("c", "a", "b"), job("a", seconds=0.2), job("b")]
    records = list(run_jobs(jobs, set(), work, tmp_path, 2, ignore))
    log = (tmp_path / "log").read_text().splitlines()
    assert log.index("start c") > max(log.index("end a"), log.index("end b"))
    assert [record["key"] for record in records][-1] == "c"
    assert all(record["time_seconds"] >= 0 and record["kind"] == "work" for record in records)


def test_two_workers_work_at_once(tmp_path) -> None:
    """Each job ends once both have started."""
    records = list(run_jobs([job("a", together=2), job("b", together=2)], set(), work, tmp_path, 2, ignore))
    assert len({record["process"] for record in records}) == 2
    log = (tmp_path / "log").read_text().splitlines()
    assert {line.split()[0] for line in log[:2]} == {"start"}


def test_finished_jobs_do_not_run_again(tmp_path) -> None:
    records = list(run_jobs([job("a"), job("b", "a")], {"a"}, work, tmp_path, 1, ignore))
    assert [record["key"] for record in records] == ["b"]
    assert "a" not in (tmp_path / "log").read_text().split()


def test_a_job_waits_for_what_runs_again_far_below_it(tmp_path) -> None:
    """The artefact of a was lost; b, which lies between, is done and stays. The job a ends once d has started beside it."""
    jobs = [job("a", together=2), job("b", "a"), job("c", "b"), job("d")]
    list(run_jobs(jobs, {"b"}, work, tmp_path, 2, ignore))
    log = (tmp_path / "log").read_text().splitlines()
    assert log.index("start c") > log.index("end a")
    assert log.index("start d") < log.index("end a")
    assert "start b" not in log


def test_needs_far_below_are_found_once_whatever_the_order() -> None:
    jobs = [job("d", "b", "c"), job("c", "a"), job("b", "a"), job("a", "elsewhere")]
    assert [set(one.needs) for one in with_far_needs(jobs)] == [
        {"a", "b", "c", "elsewhere"},
        {"a", "elsewhere"},
        {"a", "elsewhere"},
        {"elsewhere"},
    ]
    assert all(len(one.needs) == len(set(one.needs)) for one in with_far_needs(jobs))


def test_nothing_to_do_starts_no_process(tmp_path) -> None:
    assert list(run_jobs([job("a")], {"a"}, work, tmp_path, 1, ignore)) == []


def test_steps_are_reported(tmp_path) -> None:
    steps: list[Step] = []
    list(run_jobs([job("a")], set(), work, tmp_path, 1, steps.append))
    assert steps == [Step("a", 1, 2, {"x": 0.5})]


def test_a_failing_job_ends_the_whole(tmp_path) -> None:
    jobs = [job("a", kind="fail"), job("b", "a")]
    with pytest.raises(ValueError, match="this job fails"):
        list(run_jobs(jobs, set(), work, tmp_path, 1, ignore))
    assert "b" not in (tmp_path / "log").read_text().split()


def chatter(context: Path, job: Job, report: Report) -> Result:
    """Report without end."""
    (context / job.key).touch()
    while True:
        report(Step(job.key, 1, 2, {}))


def surroundings(context: Path, job: Job, report: Report) -> Result:
    """What a worker finds around it."""
    return {"variable": os.environ.get("OF_THIS_TEST"), "folder": str(Path.cwd()), "number": random.random()}


def test_workers_find_variables_and_folder_as_they_are_now_and_numbers_of_their_own(
    tmp_path, monkeypatch
) -> None:
    """Though the process that they are forked from may have begun long before."""
    numbers = set()
    for variable in ("first", "second", None):
        if variable is None:
            monkeypatch.delenv("OF_THIS_TEST")
        else:
            monkeypatch.setenv("OF_THIS_TEST", variable)
        folder = tmp_path / str(variable)
        folder.mkdir()
        monkeypatch.chdir(folder)
        (found,) = run_jobs([job("a")], set(), surroundings, tmp_path, 1, ignore)
        assert (found["variable"], found["folder"]) == (variable, str(folder))
        numbers.add(found["number"])
    assert len(numbers) == 3


STOPPED = """
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_executors import chatter, ignore, job, run_jobs
if __name__ == "__main__":
    try:
        list(run_jobs([job("a"), job("b")], set(), chatter, Path(sys.argv[1]), 2, ignore))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("loading", [True, False])
def test_ctrl_c_ends_workers_at_once_and_without_a_word(loading, tmp_path) -> None:
    """Whether they are still loading or in the middle of reporting; a terminal sends Ctrl-C to all of them."""
    script = tmp_path / "parent.py"
    script.write_text(STOPPED)
    heard = signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # in the background it is ignored, and that is inherited
    try:
        command = [sys.executable, script, tmp_path, Path(__file__).parent]
        parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, heard)
    deadline = time.monotonic() + PATIENCE
    children: list[
        int
    ] = []  # one that keeps track of shared memory, the fork server, and in time two workers
    while len(children) < 2 or not (loading or ((tmp_path / "a").exists() and (tmp_path / "b").exists())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
        children = descendants(parent.pid)
    assert loading or len(children) >= 4
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=PATIENCE)
    assert (parent.returncode, said) == (130, "")
    assert not any(alive(child) for child in children[2:]), "a worker outlived its parent"
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.01)


def work_many(context: Path, jobs: list[Job], report: Report) -> list[Result | FloatingPointError]:
    """Note which jobs came together; a job may be told to fail."""
    with (context / "log").open("a") as log:
        log.write("together " + " ".join(job.key for job in jobs) + "\n")
    report(Step(jobs[0].key, 1, 1, {}))
    return [
        FloatingPointError(f"{job.key} diverged") if job.parameters.get("wild") else {"time_seconds": 0.5}
        for job in jobs
    ]


def test_jobs_of_a_kind_are_done_together_when_all_of_them_can_start(tmp_path) -> None:
    fits = [job("f1", kind="fit"), job("f2", "a", kind="fit"), job("f3", "b", kind="fit")]
    jobs = [job("a"), job("b", "a"), job("c"), *fits]
    records = list(run_jobs(jobs, {"f1"}, work, tmp_path, 2, ignore, Together(frozenset({"fit"}), work_many)))
    log = (tmp_path / "log").read_text().splitlines()
    assert [line for line in log if line.startswith("together")] == ["together f2 f3"]
    assert log.index("together f2 f3") > max(log.index("end a"), log.index("end b"))
    assert sorted(record["key"] for record in records) == ["a", "b", "c", "f2", "f3"]
    made = [record for record in records if record["kind"] == "fit"]
    assert all(record["time_seconds"] == 0.5 and record["time_started"] > 0 for record in made)


def test_no_more_than_so_many_come_together_and_one_lot_after_the_other(tmp_path) -> None:
    jobs = [job(f"f{number}", kind="fit") for number in range(5)]
    records = list(
        run_jobs(jobs, set(), work, tmp_path, 3, ignore, Together(frozenset({"fit"}), work_many, most=2))
    )
    assert (tmp_path / "log").read_text().splitlines() == ["together f0 f1", "together f2 f3", "together f4"]
    assert [record["key"] for record in records] == ["f0", "f1", "f2", "f3", "f4"]


def test_lots_share_what_is_left_evenly_and_wait_for_a_place() -> None:
    fits = [job(f"f{number}", kind="fit") for number in range(5)]
    two = Together(frozenset({"fit"}), work_many, most=4, lots=2)
    assert ready(fits, set(), [], two) == [fits[:3], fits[3:]]
    assert ready(fits, set(), [[job("g", kind="fit")]], two) == [fits[:4]]
    assert ready(fits, set(), [[job("g", kind="fit")], [job("h", kind="fit")]], two) == []
    assert ready(fits[:1], set(), [], two) == [fits[:1]]
    assert ready([*fits, job("i", "a", kind="fit")], set(), [], two) == []


def test_each_kind_is_done_by_itself_once_its_needs_are_met() -> None:
    """Generators first, then what rests on them; another job does not wait for either."""
    makers = [job(f"g{number}", kind="generator") for number in range(2)]
    fits = [job("f0", kind="fit"), job("f1", "g1", kind="fit")]
    other = job("a")
    both = Together(frozenset({"generator", "fit"}), work_many)
    assert ready([*makers, *fits, other], set(), [], both) == [[other], makers]
    assert ready(fits, {"g0"}, [makers], both) == []
    assert ready(fits, {"g0", "g1"}, [[other]], both) == [fits]


def test_one_that_fails_among_others_leaves_their_records(tmp_path) -> None:
    jobs = [job("f0", kind="fit"), job("f1", kind="fit", wild=1), job("f2", kind="fit"), job("a", "f1")]
    found = run_jobs(jobs, set(), work, tmp_path, 1, ignore, Together(frozenset({"fit"}), work_many))
    assert [next(found)["key"], next(found)["key"]] == ["f0", "f2"]
    with pytest.raises(FloatingPointError, match="f1 diverged"):
        next(found)


PARENT = """
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_executors import PATIENCE, ignore, job, run_jobs, work
if __name__ == "__main__":
    list(run_jobs([job("a", seconds=2 * PATIENCE)], set(), work, Path(sys.argv[1]), 1, ignore))
"""


def test_workers_end_when_their_parent_is_killed(tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script, tmp_path, Path(__file__).parent])
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = descendants(parent.pid)
    assert len(children) >= 3
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def deadly(context: Path, job: Job, report: Report) -> Result:
    """Kill or stop this process as often as the job says, then do the job."""
    tries = context / f"tries-{job.key}"
    before = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (before + 1))
    if before < job.parameters.get("deaths", 0):
        os.kill(os.getpid(), int(job.parameters["signal"]))
        time.sleep(2 * PATIENCE)
    return {"tries": before + 1}


def test_jobs_of_a_killed_worker_run_again(tmp_path, caplog) -> None:
    jobs = [job("a"), job("b", "a", deaths=2, signal=signal.SIGKILL), job("c", "b")]
    records = {record["key"]: record for record in run_jobs(jobs, set(), deadly, tmp_path, 2, ignore)}
    assert {key: record["tries"] for key, record in records.items()} == {"a": 1, "b": 3, "c": 1}
    assert caplog.text.count("A worker process was killed; what was running runs again.") == 2
    assert not list(tmp_path.glob(".*.part"))


def test_a_job_that_always_kills_its_worker_ends_the_whole(tmp_path) -> None:
    jobs = [job("a"), job("b", "a", deaths=99, signal=signal.SIGKILL)]
    records = []
    with pytest.raises(BrokenProcessPool):
        records.extend(run_jobs(jobs, set(), deadly, tmp_path, 1, ignore))
    assert (tmp_path / "tries-a").read_text() == "x", "what has ended is kept"
    assert (tmp_path / "tries-b").read_text() == "x" * LOSSES


def test_a_hanging_worker_is_killed_and_its_job_runs_again(tmp_path) -> None:
    jobs = [job("a", deaths=1, signal=signal.SIGSTOP)]
    (record,) = run_jobs(jobs, set(), deadly, tmp_path, 1, ignore, silent=5.0)
    assert record["tries"] == 2


def test_a_clock_that_is_set_back_makes_no_job_shorter(tmp_path, monkeypatch) -> None:
    times = iter([1e9, 0.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    (record,) = do(work, None, tmp_path, [job("a", seconds=0.01)], ignore)
    assert record["time_started"] == 1e9
    assert 0.01 <= record["time_seconds"] < 60
