"""The same jobs in this process or in several; what a job gives does not depend on which."""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running as track_resources
from pathlib import Path
from typing import Any

from healthgan.sharing import share
from healthgan.worker import Alive, Context, Steps, do_jobs, start_worker
from healthgan.worker import Job as Job
from healthgan.worker import Report as Report
from healthgan.worker import Result as Result
from healthgan.worker import Step as Step
from healthgan.worker import Together as Together
from healthgan.worker import Work as Work
from healthgan.worker import WorkMany as WorkMany
from healthgan.worker import do as do
from healthgan.worker import keep_freed_memory as keep_freed_memory

LOSSES = 3
"""Times that workers may be killed one after the other before a job ends."""
SILENT = 600.0
"""Seconds without a sign of life after which a worker counts as hanging; each gives a sign twenty times as often."""
_LOADED = ["healthgan.jobs", "healthgan.sound.jobs", "sklearn.model_selection"]
"""None of these starts a thread or a device on its own."""
_log = logging.getLogger(__name__)


def run_jobs(
    jobs: list[Job],
    done: set[str],
    work: "Work[Context]",
    context: Context,
    workers: int,
    report: Report,
    together: "Together[Context] | None" = None,
    scratch: Path | None = None,
    silent: float = SILENT,
) -> Iterator[Result]:
    """Run the jobs that are not done, each once all that it rests on is finished, in worker processes.

    Workers know nothing of this process but what is handed to them, use one thread each, and end themselves when it
    dies. On Linux they are forked from a process that has loaded libraries and does nothing else (Python's fork server; it
    lasts as long as this process), so that loading is paid for once; docs/performance.md has what that saves. Elsewhere each
    starts afresh.
    Jobs start in the order of the list. Records come as jobs end. A job that fails ends the whole:
    its exception is raised here and the jobs not yet started are dropped. Of jobs that were done together, the
    records of those that did not fail come before it.

    Where a worker is killed, all are started again and what was running runs again; one that gives no sign of life, since
    it hangs in the system or was stopped, is killed. What has ended is kept.

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
        silent: seconds without a sign of life after which a worker counts as hanging.

    Raises:
        BrokenProcessPool: workers were killed ``LOSSES`` times without a job that ended in between.
    """
    finished, losses = set(done), 0
    jobs = with_far_needs(jobs)
    while True:
        before = len(finished)
        try:
            yield from _run_jobs(jobs, finished, work, context, workers, report, together, scratch, silent)
            return
        except BrokenProcessPool:
            losses = 1 if len(finished) > before else losses + 1
            if losses == LOSSES:
                raise
            _log.warning("A worker process was killed; what was running runs again.")


def _run_jobs(
    jobs: list[Job],
    finished: set[str],
    work: "Work[Context]",
    context: Context,
    workers: int,
    report: Report,
    together: "Together[Context] | None",
    scratch: Path | None,
    silent: float,
) -> Iterator[Result]:
    """As ``run_jobs``, until a worker is killed; jobs that end are added to ``finished``."""
    waiting = [job for job in jobs if job.key not in finished]
    if not waiting:
        return
    process = load_ahead()
    file = (scratch or Path(tempfile.gettempdir())) / f".context.{uuid.uuid4().hex}.part"
    shared = share(context, file)
    heard, told = process.Pipe(duplex=False)
    ending, end = process.Pipe(duplex=False)
    signs: dict[int, float] = {}
    listener = threading.Thread(target=_listen, args=(heard, ending, report, signs), daemon=True)
    listener.start()
    steps = Steps(told, process.Lock())
    many = None if together is None else together.work
    given = (work, many, shared, steps, silent / 20, dict(os.environ))
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(workers, len(waiting)), process, start_worker, given)
    running: dict[Future[list[Result | FloatingPointError]], list[Job]] = {}
    try:
        while waiting or running:
            for some in ready(waiting, finished, list(running.values()), together)[: workers - len(running)]:
                waiting = [job for job in waiting if job not in some]
                joined = together is not None and some[0].kind in together.kinds
                with _starting():  # a worker that is started now would end with a traceback
                    running[pool.submit(do_jobs, some, joined)] = some
            ended, _ = wait(running, silent / 20, FIRST_COMPLETED)
            for future in ended:
                results = future.result()
                finished |= {job.key for job in running.pop(future)}
                yield from whole(results)
            _kill_silent(set(multiprocessing.active_children()) - others, signs, silent)
    except BaseException:  # Ctrl-C and a reader that goes away too: no worker outlives this
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


def load_ahead() -> BaseContext:
    """Begin to load what workers need, where they are forked; to call it as soon as it is known that there will be some saves time.

    Returns:
        How worker processes are started.
    """
    if sys.platform != "linux":  # macOS's own libraries do not survive a fork
        return multiprocessing.get_context("spawn")
    process = multiprocessing.get_context("forkserver")
    process.set_forkserver_preload(_LOADED)
    track_resources()  # by itself: it lets Ctrl-C through again for what is started after it
    with _starting():
        ensure_running()
    return process


def with_far_needs(jobs: list[Job]) -> list[Job]:
    """The jobs, each with all that it rests on, near and far, as its needs.

    A job that is done runs again where its artefact was lost. What rests on it then waits for it, even if all that lies
    between the two is done: it may read that artefact itself.
    """
    near = {job.key: job.needs for job in jobs}
    found: dict[str, dict[str, None]] = {}

    def of(key: str) -> dict[str, None]:
        if key not in found:
            found[key] = {far: None for need in near.get(key, ()) for far in (*of(need), need)}
        return found[key]

    return [replace(job, needs=tuple(of(job.key))) for job in jobs]


def ready(
    waiting: list[Job], finished: set[str], running: list[list[Job]], together: "Together[Any] | None"
) -> list[list[Job]]:
    """What can start now, in order: each job alone, but those that are done together."""
    kinds = frozenset() if together is None else together.kinds
    found = [[job] for job in waiting if job.kind not in kinds and finished.issuperset(job.needs)]
    if together is None:
        return found
    for kind in dict.fromkeys(job.kind for job in waiting if job.kind in kinds):
        joined = [job for job in waiting if job.kind == kind]
        if not all(finished.issuperset(job.needs) for job in joined):
            continue
        free = together.lots - sum(some[0].kind == kind for some in running)
        most = min(together.most, -(-len(joined) // max(free, 1)))
        starts = range(0, min(free * most, len(joined)), most)
        found += [joined[start : start + most] for start in starts]
    return found


def whole(results: list[Result | FloatingPointError]) -> Iterator[Result]:
    """The records; then the first error is raised."""
    yield from (result for result in results if not isinstance(result, FloatingPointError))
    for result in results:
        if isinstance(result, FloatingPointError):
            raise result


def _kill_silent(workers: "set[BaseProcess]", signs: dict[int, float], silent: float) -> None:
    """Kill workers that have given signs of life, and none for too long by a clock that nobody sets."""
    for worker in workers:
        last = signs.get(worker.pid or 0)
        if last is not None and time.monotonic() - last > silent:
            worker.kill()


def _listen(
    steps: "Connection[Step | Alive, Step | Alive]",
    ending: "Connection[None, None]",
    report: Report,
    signs: dict[int, float],
) -> None:
    """Pass on steps, and note signs of life, until the other end of ``ending`` is closed and nothing is left, or no worker."""
    while True:
        if steps not in wait_for([steps, ending]):
            return
        try:
            said = steps.recv()
        except (EOFError, OSError):  # cut off in the middle of a message
            return
        if isinstance(said, Alive):
            signs[said.process] = time.monotonic()
        else:
            report(said)


@contextmanager
def _starting() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and alarms for the block; processes that are started in it never hear Ctrl-C.

    A terminal sends Ctrl-C to workers too, also to those that are still loading and can't ignore it yet. What comes in the
    middle of a start would leave half a worker.
    """
    caught: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # others are never interrupted
    held = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)]
    handlers = {one: signal.getsignal(one) for one in held if main}
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
