"""Jobs, and the process that does them one after the other."""

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Lock
from typing import Any, Generic, Protocol, TypeVar

from healthgan.sharing import Shared, received

Result = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        key: identifies it in the records; its seed is derived from it.
        kind: which function does it.
        parameters: what the function needs beside the study's context.
        needs: keys of the jobs that must be finished before.
    """

    key: str
    kind: str
    parameters: dict[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """How far a running job is."""

    key: str
    done: int
    total: int
    facts: dict[str, float]


Context = TypeVar("Context", contravariant=True)
Report = Callable[[Step], None]


class Work(Protocol[Context]):
    """Does one job: the context, the job, and a function to report steps to → the job's record."""

    def __call__(self, context: Context, job: Job, report: Report, /) -> Result:
        """Do the job."""


class WorkMany(Protocol[Context]):
    """Does several jobs of a kind in one go."""

    def __call__(
        self, context: Context, jobs: list[Job], report: Report, /
    ) -> "list[Result | FloatingPointError]":
        """For each job its record, with ``time_seconds``, or the error that ended it alone."""


@dataclass(frozen=True)
class Together(Generic[Context]):
    """Jobs that are done in one go with all others of their kind, in one worker, once nothing that any of these needs is left.

    Attributes:
        kinds: of the jobs.
        work: a function of a module; it is given jobs of one kind.
        most: jobs in one go, so that a stop loses no more than these.
        lots: how many goes at once, each in a worker of its own.
    """

    kinds: frozenset[str]
    work: "WorkMany[Context]"
    most: int = 512
    lots: int = 1


@dataclass
class _Worker(Generic[Context]):
    """What a worker process holds for all its jobs."""

    work: "Work[Context]"
    many: "WorkMany[Context] | None"
    context: Context
    steps: "Steps"


@dataclass(frozen=True)
class Alive:
    """A sign of life of a worker, by its process number."""

    process: int


@dataclass(frozen=True)
class Steps:
    """Where workers report steps and signs of life to: one pipe for all, one message at a time."""

    pipe: "Connection[Step | Alive, Step | Alive]"
    lock: Lock

    def put(self, said: Step | Alive) -> None:
        """Send it; waits for other workers that send."""
        with self.lock:
            self.pipe.send(said)


_worker: "_Worker[Any] | None" = None


def start_worker(
    work: "Work[Context]",
    many: "WorkMany[Context] | None",
    shared: Shared,
    steps: Steps,
    beat: float,
    environment: dict[str, str],
) -> None:
    """Make this process a worker.

    Args:
        work: does one job.
        many: does several in one go.
        shared: the context.
        steps: where to report to.
        beat: seconds between two signs of life.
        environment: variables as they are now where the study runs; a fork server knows those of its own start.
    """
    global _worker
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent ends the workers
    _worker = _Worker(work, many, received(shared), steps)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    steps.put(Alive(os.getpid()))  # before any work: who hangs in its first moment has given one sign, too
    threading.Thread(target=_give_signs, args=(steps, beat), daemon=True).start()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc.

    Training frees and takes the same few blocks at every step. Handing them back to the system each time costs
    a page fault per 4 KiB of every block; benchmarks/keras has what that comes to. Results don't change.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # glibc's malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def _die_with_parent() -> None:
    """End this worker as soon as its parent is gone, so that none writes into a run that was resumed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _give_signs(steps: Steps, beat: float) -> None:
    """Say every few seconds that this process runs; a job that computes in C does not hold that up."""
    while True:
        time.sleep(beat)
        steps.put(Alive(os.getpid()))


def do_jobs(jobs: list[Job], joined: bool) -> list[Result | FloatingPointError]:
    """Do one job, or several in one go, in this worker."""
    assert _worker is not None
    return do(_worker.work, _worker.many if joined else None, _worker.context, jobs, _worker.steps.put)


def do(
    work: "Work[Context]",
    many: "WorkMany[Context] | None",
    context: Context,
    jobs: list[Job],
    report: Report,
) -> list[Result | FloatingPointError]:
    """Do one job, or with ``many`` several in one go, and complete the records by key, kind and times."""
    started, clock = (
        time.time(),
        time.monotonic(),
    )  # the one says when, the other, which nobody sets, how long
    if many is None:
        (job,) = jobs
        record = work(context, job, report)
        results: list[Result | FloatingPointError] = [record | {"time_seconds": time.monotonic() - clock}]
    else:
        results = many(context, jobs, report)
    return [
        result
        if isinstance(result, FloatingPointError)
        else result | {"key": job.key, "kind": job.kind, "time_started": started}
        for job, result in zip(jobs, results, strict=True)
    ]
