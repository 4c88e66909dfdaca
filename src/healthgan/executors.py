"""The same jobs in this process or in several; what a job gives does not depend on which."""

import ctypes
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from healthgan.sharing import Shared, received, share

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
    """Jobs of one kind that are done in one go, in one worker, once nothing that any of them needs is left to do.

    Attributes:
        kind: of the jobs.
        work: a function of a module.
        most: jobs in one go, so that a stop loses no more than these.
        lots: how many goes at once, each in a worker of its own.
    """

    kind: str
    work: "WorkMany[Context]"
    most: int = 512
    lots: int = 1


@dataclass
class _Worker(Generic[Context]):
    """What a worker process holds for all its jobs."""

    work: "Work[Context]"
    many: "WorkMany[Context] | None"
    context: Context
    steps: "_Steps"


@dataclass(frozen=True)
class _Steps:
    """Where workers report steps to: one pipe for all, one message at a time."""

    pipe: "Connection[Step, Step]"
    lock: Lock

    def put(self, step: Step) -> None:
        with self.lock:
            self.pipe.send(step)


_worker: "_Worker[Any] | None" = None


def run_jobs(
    jobs: list[Job],
    done: set[str],
    work: "Work[Context]",
    context: Context,
    workers: int,
    report: Report,
    together: "Together[Context] | None" = None,
    scratch: Path | None = None,
) -> Iterator[Result]:
    """Run the jobs that are not done, each once what it needs is finished, in worker processes.

    Workers are started afresh (no fork), use one thread each, and end themselves when this process dies.
    Jobs start in the order of the list. Records come as jobs end. A job that fails ends the whole:
    its exception is raised here and the jobs not yet started are dropped. Of jobs that were done together, the
    records of those that did not fail come before it.

    Args:
        jobs: all of them; a job comes after the ones it needs.
        done: keys of jobs that are finished already.
        work: a function of a module, so that a worker can import it.
        context: handed to every worker; must pickle.
        workers: number of processes.
        report: called in this process as running jobs report steps.
        together: which jobs are done in one go, and by what.
        scratch: a folder for a file with the context's arrays, which all workers read in one place in memory; None: the
            system's folder for temporary files. The file is removed at the end.
    """
    finished = set(done)
    waiting = [job for job in jobs if job.key not in finished]
    if not waiting:
        return
    process = multiprocessing.get_context("spawn")
    file = (scratch or Path(tempfile.gettempdir())) / f".context.{uuid.uuid4().hex}.part"
    shared = share(context, file)
    heard, told = process.Pipe(duplex=False)
    ending, end = process.Pipe(duplex=False)
    listener = threading.Thread(target=_listen, args=(heard, ending, report), daemon=True)
    listener.start()
    given = (work, None if together is None else together.work, shared, _Steps(told, process.Lock()))
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(waiting)), process, _start_worker, given)
    running: dict[Future[list[Result | FloatingPointError]], list[Job]] = {}
    try:
        while waiting or running:
            for some in ready(waiting, finished, list(running.values()), together)[: workers - len(running)]:
                waiting = [job for job in waiting if job not in some]
                joined = together is not None and some[0].kind == together.kind
                with _starting():  # a worker that is started now would end with a traceback
                    running[pool.submit(_do, some, joined)] = some
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                finished |= {job.key for job in running.pop(future)}
                yield from whole(future.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()  # one that dies while it reports keeps the lock: nothing waits for that from here on
        raise
    finally:
        pool.shutdown()
        file.unlink(missing_ok=True)
        told.close()
        end.close()
        listener.join()
        heard.close()
        ending.close()


def ready(
    waiting: list[Job], finished: set[str], running: list[list[Job]], together: "Together[Any] | None"
) -> list[list[Job]]:
    """What can start now, in order: each job alone, but those that are done together."""
    kind = None if together is None else together.kind
    found = [[job] for job in waiting if job.kind != kind and finished.issuperset(job.needs)]
    joined = [job for job in waiting if job.kind == kind]
    if together is None or not joined or not all(finished.issuperset(job.needs) for job in joined):
        return found
    free = together.lots - sum(some[0].kind == kind for some in running)
    most = min(together.most, -(-len(joined) // max(free, 1)))
    starts = range(0, min(free * most, len(joined)), most)
    return found + [joined[start : start + most] for start in starts]


def whole(results: list[Result | FloatingPointError]) -> Iterator[Result]:
    """The records; then the first error is raised."""
    yield from (result for result in results if not isinstance(result, FloatingPointError))
    for result in results:
        if isinstance(result, FloatingPointError):
            raise result


def _listen(steps: "Connection[Step, Step]", ending: "Connection[None, None]", report: Report) -> None:
    """Pass on steps until the other end of ``ending`` is closed and no step is left, or no worker."""
    while True:
        if steps not in wait_for([steps, ending]):
            return
        try:
            step = steps.recv()
        except (EOFError, OSError):  # cut off in the middle of a message
            return
        report(step)


@contextmanager
def _starting() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM for the block; processes that are started in it never hear Ctrl-C.

    A terminal sends Ctrl-C to workers too, also to those that are still loading and can't ignore it yet.
    """
    caught: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # others are never interrupted
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM) if main}
    for one in handlers:
        signal.signal(one, lambda number, _: caught.append(number))
    masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for one, handler in handlers.items():
            signal.signal(one, handler)
    for number in caught:
        signal.raise_signal(number)


def _start_worker(
    work: "Work[Context]",
    many: "WorkMany[Context] | None",
    shared: Shared,
    steps: _Steps,
) -> None:
    global _worker
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent ends the workers
    _worker = _Worker(work, many, received(shared), steps)
    threading.Thread(target=_die_with_parent, daemon=True).start()
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


def _do(jobs: list[Job], joined: bool) -> list[Result | FloatingPointError]:
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
    started = time.time()
    if many is None:
        (job,) = jobs
        record = work(context, job, report)
        results: list[Result | FloatingPointError] = [record | {"time_seconds": time.time() - started}]
    else:
        results = many(context, jobs, report)
    return [
        result
        if isinstance(result, FloatingPointError)
        else result | {"key": job.key, "kind": job.kind, "time_started": started}
        for job, result in zip(jobs, results, strict=True)
    ]
