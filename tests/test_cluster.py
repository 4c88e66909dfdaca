"""Jobs on a real Ray cluster of two nodes: what is lost is done again, and the records are those of worker processes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from healthgan import studies
from healthgan.cluster.connection import Cluster, connected
from healthgan.cluster.driver import GpuNeeds, LostError, run_on_cluster
from healthgan.errors import InputError
from healthgan.executors import LOSSES, Job, Report, Result, Step
from healthgan.protocol import to_toml
from healthgan.run import RunFolder, without_times
from ray_nodes import SECONDS, Context, Node, Place, job, nodes, processes, work
from tiny import tiny_protocol

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'healthgan[cluster]'"),
]
EPOCHS = 30
"""Of the generators, so that they are at work long enough to be killed."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Node, Node]]:
    """Two nodes; the last test kills the second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", os.urandom(32).hex())
        with nodes(tmp_path_factory.mktemp("r"), Place(gpus=1)) as found:
            yield found


@pytest.fixture(scope="class")
def cluster(two: tuple[str, Node, Node]) -> Iterator[Cluster]:
    before = signal.getsignal(signal.SIGTERM)
    with connected(two[0], None) as found:
        assert signal.getsignal(signal.SIGTERM) == before, "SIGTERM stays the program's"
        yield found


@pytest.fixture
def context(tmp_path: Path) -> Context:
    outside = tmp_path / "weights.bin"
    outside.write_bytes(b"weights ")
    return Context(RunFolder(tmp_path / "run"), np.ones((1000, 16, 16, 1), np.uint8), outside)


def run(
    context: Context,
    jobs: list[Job],
    done: tuple[str, ...] = (),
    report: Report = lambda _: None,
    **how: object,
) -> dict[str, Result]:
    found = {}
    for record in run_on_cluster(jobs, set(done), work, context, report, outside=(context.outside,), **how):
        context.folder.path.mkdir(exist_ok=True)
        context.folder.append(record)
        found[record["key"]] = record
    return found


@pytest.mark.usefixtures("cluster")
class TestJobs:
    """On one connection."""

    def test_jobs_read_what_others_wrote_on_other_nodes(self, context: Context) -> None:
        """Four jobs at a time on two nodes of one processor each; files go through the driver's folder, images through Ray."""
        first = [job(f"a{number}", seconds=0.5) for number in range(4)]
        found = run(
            context,
            [*first, job("b", *(one.key for one in first), reads=("a0", "a1", "a2", "a3"), outside=True)],
        )
        assert context.folder.artifact("out/b").read_bytes() == b"a0a1a2a3weights b"
        assert [record["images"] for record in found.values()] == [1000 * 256] * 5
        assert not any(record["time_writeable"] for record in found.values()), "images are read in place"
        assert all(record["kind"] == "work" and record["time_seconds"] > 0 for record in found.values())
        again = run(context, [*first, job("c", "a0", reads=("a0",))], done=tuple(one.key for one in first))
        assert list(again) == ["c"]
        assert context.folder.artifact("out/c").read_bytes() == b"a0c"

    def test_a_failing_job_ends_the_whole_and_no_other_goes_on(self, context: Context) -> None:
        started = time.monotonic()
        with pytest.raises(InputError, match=r"^this job fails$"):
            run(context, [job("slow", seconds=1800), job("wrong", kind="fail"), job("next", "wrong")])
        assert time.monotonic() - started < 1500
        wait_until(lambda: not any(name in ("ray::slow", "ray::next") for _, _, name in processes()))
        assert context.folder.records() == []

    def test_a_gpu_is_one_jobs_own_or_shared_by_four(self, context: Context) -> None:
        jobs = [
            job(f"{kind}{number}", kind=kind, seconds=1) for kind in ("fit", "pool") for number in range(2)
        ]
        found = run(context, jobs, gpus=GpuNeeds(any=True, whole=frozenset({"fit"})))
        spans = sorted(found[f"fit{number}"]["time_span"] for number in range(2))
        assert spans[0][1] <= spans[1][0], "two jobs had the one GPU for themselves at once"
        assert len(found) == 4

    def test_a_job_that_takes_its_worker_down_is_not_tried_for_ever(self, context: Context) -> None:
        told: list[str] = []
        with pytest.raises(LostError, match=f"doomed was lost {LOSSES} times"):
            run(context, [job("doomed", kind="die")], notice=told.append)
        assert sum("doomed was lost" in text for text in told) == LOSSES - 1

    def test_a_job_whose_worker_is_killed_goes_on_from_its_checkpoint(
        self, context: Context, two: tuple[str, Node, Node], tmp_path: Path
    ) -> None:
        killed: list[int] = []
        go_on = tmp_path / "go on"

        def kill_once(step: Step) -> None:
            checkpoint = context.folder.artifact("out/long.checkpoint.bin")
            found = [pid for node in two[1:] if (pid := node.works_on("long"))]
            if not killed and checkpoint.exists() and found:
                os.kill(found[0], signal.SIGKILL)
                killed.extend(found)
                go_on.touch()

        jobs = [job("long", steps=8, seconds=0.1, keeps=True, until=str(go_on))]
        found = run(context, jobs, report=kill_once)
        assert killed
        assert 0 < found["long"]["went_on_from"] < 8
        assert not list(context.folder.artifact("").rglob("*.checkpoint.*"))

    def test_a_job_that_hangs_is_done_again(
        self, context: Context, two: tuple[str, Node, Node], tmp_path: Path
    ) -> None:
        stopped: list[int] = []
        go_on = tmp_path / "go on"

        def stop_once(step: Step) -> None:
            found = [pid for node in two[1:] if (pid := node.works_on("stuck"))]
            if not stopped and found:
                os.kill(found[0], signal.SIGSTOP)
                stopped.extend(found)
                go_on.touch()

        told: list[str] = []
        try:
            jobs = [job("stuck", until=str(go_on))]
            assert run(context, jobs, report=stop_once, notice=told.append, silent=15).keys() == {"stuck"}
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):  # Ray has ended it
                    os.kill(pid, signal.SIGKILL)
        assert "stuck was lost (TimeoutError) and is done again" in told

    def test_a_study_that_was_stopped_goes_on_from_its_checkpoint(self, context: Context) -> None:
        state = context.folder.artifact("out/long.checkpoint.bin")
        state.parent.mkdir(parents=True)
        state.write_text("6")
        assert run(context, [job("long", steps=8, keeps=True)])["long"]["went_on_from"] == 6
        assert not state.exists()


def test_no_gpu_is_promised_that_is_not_there() -> None:
    none = Cluster("2", 2, 4.0, 0.0)
    assert (none.device("auto"), none.device("cpu")) == ("cpu", "cpu")
    with pytest.raises(InputError, match="No node of the cluster has told Ray of a GPU"):
        none.device("cuda")
    assert Cluster("2", 2, 4.0, 1.0).device("auto") == "cuda"


def test_a_study_loses_a_worker_and_then_a_node(
    blobs: Path, tmp_path: Path, two: tuple[str, Node, Node]
) -> None:
    """The records, but for times, are those of worker processes; the second node is gone for good."""
    address, head, second = two
    study = studies.prepare(studies.Request(str(blobs), tiny_protocol(generator={"epochs": EPOCHS})))
    lost: list[str] = []

    def kill(step: Step) -> None:
        at_work = head.works_on(step.key) or second.works_on(step.key)
        if not lost and at_work:
            with suppress(ProcessLookupError):  # it has just ended, and another is to come
                os.kill(at_work, signal.SIGKILL)
                lost.append("worker")
        elif lost == ["worker"] and second.works_on(step.key):
            second.kill()
            lost.append("node")

    told: list[str] = []
    found = [
        without_times(
            RunFolder(
                studies.run(
                    study,
                    tmp_path / name,
                    workers=2,
                    device="cpu",
                    checkpoint_seconds=0,
                    report=report,
                    cluster=where,
                    notice=told.append,
                )
            ).records()
        )
        for name, report, where in (("there", kill, address), ("here", lambda _: None, None))
    ]
    assert lost == ["worker", "node"]
    assert found[0] == found[1]
    assert sum("is done again" in text for text in told) >= 2
    for name in ("there", "here"):
        assert RunFolder(tmp_path / name).finished().keys() == {"task", *(job.key for job in study.jobs)}


def test_a_study_on_this_machine_from_the_command_line(blobs: Path, tmp_path: Path) -> None:
    """A cluster of its own, which is gone afterwards; results on stdout, all else on stderr."""
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(to_toml(tiny_protocol()), encoding="utf-8")
    command = ["study", blobs, "--protocol", protocol, "--out", tmp_path / "run", "--cluster", "local"]
    with tempfile.TemporaryDirectory(prefix="h") as temporary:
        for _ in range(3):
            ended = subprocess.run(
                [sys.executable, "-m", "healthgan", *map(str, command), "--jobs", "2", "--json"],
                capture_output=True,
                text=True,
                env={**os.environ, "TMPDIR": temporary},
            )
            if "node timed out during startup" not in ended.stderr:  # Ray's word for a machine too busy
                break
        left = [
            path for pattern in ("hg-ray-*", "healthgan-node-*") for path in Path(temporary).glob(pattern)
        ]
    assert left == [], "neither Ray's folder nor a job's stays"
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["report"] == str(tmp_path / "run" / "report.html")
    assert "cluster: 1 node, " in ended.stderr
    (start,) = json.loads((tmp_path / "run" / "manifest.json").read_text())["starts"]
    assert (start["workers"], start["cluster"]["nodes"], start["cluster"]["cpus"]) == (2, 1, 2.0)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
