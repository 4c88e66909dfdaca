"""A study on a Ray cluster of two nodes: equal records when a worker and a node are lost, throughput, cost of a job.

    python benchmarks/cluster.py equal [--protocol sound-quick]
    python benchmarks/cluster.py throughput [--seconds 10] [--jobs 24]

As root on Linux with iproute2 the nodes are in network namespaces of their own, joined by a virtual cable, and the
second one sees neither the folder of runs nor the memory in which the first one's objects lie; elsewhere they are two
sets of processes. ``equal`` runs a study of the phantom in worker processes and on the cluster, where it kills the
first worker that reports a step, and then every process of the second node. ``throughput`` runs jobs that sleep, and
jobs that do nothing, with 1, 2 and 4 workers, in processes and on the cluster: sleeping jobs leave a machine with two
cores room for four workers.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as Ray's workers have it

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from healthgan import studies
from healthgan.cluster.connection import connected
from healthgan.cluster.driver import run_on_cluster
from healthgan.executors import Result, Step, run_jobs
from healthgan.protocol import load_protocol
from healthgan.run import RunFolder, without_times
from ray_nodes import Context, Node, Place, job, nodes, work

HEAD, SECOND = "hg-bench-head", "hg-bench-second"
INSIDE = "HEALTHGAN_BENCH_INSIDE"
ADDRESSES = ("10.213.7.1", "10.213.7.2")


def namespaces() -> bool:
    """Whether this process may make network namespaces."""
    if shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    made = subprocess.run(["ip", "netns", "add", HEAD], capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "del", HEAD], capture_output=True).returncode == 0


@contextmanager
def cabled() -> Iterator[None]:
    """Two network namespaces joined by a virtual cable."""
    ends = (("hg-bench-0", HEAD, ADDRESSES[0]), ("hg-bench-1", SECOND, ADDRESSES[1]))
    try:
        for _, name, _ in ends:
            ip("netns", "add", name)
        ip("link", "add", ends[0][0], "type", "veth", "peer", "name", ends[1][0])
        for end, name, address in ends:
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "route", "add", "default", "dev", end)
        yield
    finally:
        for name in (HEAD, SECOND):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def places(cpus: int, hidden: Path) -> tuple[Place, Place]:
    """Where the nodes run; the second one sees an empty folder in place of ``hidden``."""
    if os.environ.get(INSIDE) is None:
        return Place(cpus=cpus), Place(cpus=cpus)
    own = 'mount -t tmpfs tmpfs "$0" && mount -t tmpfs tmpfs /dev/shm && exec "$@"'
    apart = ("ip", "netns", "exec", SECOND, "unshare", "--mount", "sh", "-c", own, str(hidden))
    return Place(ADDRESSES[0], ("env",), cpus), Place(ADDRESSES[1], apart, cpus)


@contextmanager
def cluster(cpus: int, hidden: Path) -> Iterator[tuple[str, Node, Node]]:
    """A cluster of two nodes with a token: its address, and both."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex()}
    with (
        tempfile.TemporaryDirectory(prefix="hg", ignore_cleanup_errors=True) as folder,
        nodes(Path(folder), *places(cpus, hidden)) as found,
    ):
        yield found


def equal(protocol: str) -> bool:
    """Whether a study that loses a worker and a node has the records of one that loses nothing."""
    study = studies.prepare(studies.Request("phantom", load_protocol(protocol)))
    lost: list[str] = []
    ended: list[str] = []
    with ExitStack() as stack:
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hg-runs")))
        address, head, second = stack.enter_context(cluster(1, runs))

        def kill(step: Step) -> None:
            if not lost and (process := head.works_on(step.key) or second.works_on(step.key)):
                os.kill(process, signal.SIGKILL)
                lost.append(f"the worker at {step.key}, step {step.done} of {step.total}")
            elif len(lost) == 1 and len(ended) > len(study.jobs) // 3 and second.works_on(step.key):
                second.kill()
                lost.append(f"the node at {step.key}, after {len(ended)} of {len(study.jobs)} jobs")
            else:
                return
            print(f"killed {lost[-1]}", flush=True)

        started = time.monotonic()
        there = studies.run(
            study,
            runs / "there",
            device="cpu",
            workers=None,
            report=kill,
            on_record=lambda record: ended.append(record["key"]),
            cluster=address,
            notice=lambda text: print(f"cluster: {text}", flush=True),
        )
        middle = time.monotonic()
        here = studies.run(
            study,
            runs / "here",
            device="cpu",
            workers=2,
            report=lambda _: None,
            on_record=lambda _: None,
        )
        found = [without_times(RunFolder(folder).records()) for folder in (there, here)]
        print(
            f"{len(found[0])} records; on the cluster {middle - started:.0f} s, in processes {time.monotonic() - middle:.0f} s"
        )
        whole = all(len(RunFolder(folder).finished()) == len(study.jobs) + 1 for folder in (there, here))
    same = len(lost) == 2 and whole and found[0] == found[1]
    print("records are equal" if same else "RECORDS DIFFER, or not both were killed")
    return same


def throughput(seconds: float, count: int) -> None:
    """Jobs a minute, and the time between two jobs, in processes and on the cluster."""
    print(
        "| workers | jobs | jobs a minute in processes | on the cluster | between two jobs, s, in processes |",
        end="",
    )
    print(" on the cluster | more, of a job's length |\n|---|---|---|---|---|---|---|")
    with ExitStack() as stack:
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hg-runs")))
        address, *_ = stack.enter_context(cluster(2, runs))
        stack.enter_context(connected(address, None))
        images = np.random.default_rng(0).integers(0, 256, (5000, 28, 28, 1), dtype=np.uint8)
        context = Context(RunFolder(runs), images, runs / "none")
        done(context, 4, 1.0, 4, there=True)  # Ray starts its workers
        for workers in (1, 2, 4):
            for length, jobs in ((seconds, count * workers // 4), (0.0, 100)):
                here, there = (done(context, workers, length, jobs, there=where) for where in (False, True))
                rates, waits = zip(pace(here, workers), pace(there, workers), strict=True)
                more = f"{(waits[1] - waits[0]) / length:.2%}" if length else "–"
                cells = [workers, f"{jobs} of {length:g} s", *(f"{rate:.1f}" for rate in rates)]
                print(
                    "|",
                    " | ".join(map(str, [*cells, *(f"{wait:.3f}" for wait in waits), more])),
                    "|",
                    flush=True,
                )


def done(context: Context, workers: int, seconds: float, count: int, *, there: bool) -> list[Result]:
    """The records of jobs that sleep."""
    jobs = [job(f"j{number}", seconds=seconds) for number in range(count)]
    if there:
        return list(run_on_cluster(jobs, set(), work, context, lambda _: None, workers))
    return list(run_jobs(jobs, set(), work, context, workers, lambda _: None))


def pace(records: list[Result], workers: int) -> tuple[float, float]:
    """Jobs a minute from the first start to the last end, and the mean time from the end of a job to the next start."""
    spans = sorted(record["time_span"] for record in records)
    ends = sorted(end for _, end in spans)
    waits = [start - end for (start, _), end in zip(spans[workers:], ends, strict=False)]
    return 60 * len(records) / (ends[-1] - spans[0][0]), float(np.mean(waits))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("equal", "throughput"))
    parser.add_argument("--protocol", default="sound-quick")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=24, help="with four workers; fewer with fewer")
    asked = parser.parse_args()
    if os.environ.get(INSIDE) is None and namespaces():
        with cabled():
            inside = ["ip", "netns", "exec", HEAD, sys.executable, *sys.argv]
            sys.exit(subprocess.run(inside, env=os.environ | {INSIDE: "1"}).returncode)
    print(
        "two network namespaces" if os.environ.get(INSIDE) else "two sets of processes, one network",
        flush=True,
    )
    if asked.what == "throughput":
        throughput(asked.seconds, asked.jobs)
    elif not equal(asked.protocol):
        sys.exit(1)


if __name__ == "__main__":
    main()
