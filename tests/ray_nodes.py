"""Nodes of a real Ray cluster as processes of this machine, to be killed one by one or whole, and jobs for them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.executors import Job, Report, Result, Step
from healthgan.run import RunFolder

STORE_BYTES = 100 * 2**20
SECONDS = 240
"""Within which a node is there, or gone; an idle machine takes 5."""


@dataclass
class Node:
    """One ``ray start``; all its processes are in one session."""

    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """All its processes at once, as when a machine loses power."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:  # one may just have started another
            alive = [pid for pid, session, _ in processes() if session == self.process.pid]
            if not alive:
                break
            for pid in alive:
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self.process.wait()

    def works_on(self, key: str) -> int | None:
        """The process of this node that does a job; Ray names it after the job."""
        found = [
            pid for pid, session, name in processes() if session == self.process.pid and name == f"ray::{key}"
        ]
        return found[0] if found else None


def processes() -> Iterator[tuple[int, int, str]]:
    """Process, session and command line of all processes that are alive."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
                name = (entry / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
            except OSError:
                continue
            if state not in ("Z", "X"):
                yield int(entry.name), int(session), name


@dataclass(frozen=True)
class Place:
    """Where a node runs.

    Attributes:
        address: of the node.
        enter: a command that runs another one there.
        cpus: that it has to give.
        gpus: that it claims to have.
    """

    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()
    cpus: int = 1
    gpus: int = 0


@contextmanager
def nodes(folder: Path, head: Place = Place(), second: Place = Place()) -> Iterator[tuple[str, Node, Node]]:
    """A head and a second node, apart from any other Ray cluster: the head's address, and both.

    Args:
        folder: for Ray's files; a short name, as sockets lie below it.
        head: where the head runs; this process must be there too.
        second: where the other node runs.
    """
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    address = f"{head.address}:{port}"
    alone = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
    started = [_started(folder / "head.log", head, *alone)]
    try:
        started.append(_started(folder / "second.log", second, f"--address={address}"))
        yield address, started[0], started[1]
    finally:
        for node in reversed(started):
            node.kill()


def _started(log: Path, place: Place, *arguments: str) -> Node:
    """A node that is ready; Ray gives up now and then where a machine is very busy, and is started again."""
    for _ in range(3):
        node = _start(log, place, *arguments)
        deadline = time.monotonic() + SECONDS
        while node.process.poll() is None and time.monotonic() < deadline:
            if "Ray runtime started" in log.read_text():
                return node
            time.sleep(0.1)
        node.kill()
    raise AssertionError(log.read_text())


def _start(log: Path, place: Place, *arguments: str) -> Node:
    command = [*place.enter, sys.executable, "-m", "ray.scripts.scripts", "start", *arguments]
    if place.enter:
        command.append(f"--node-ip-address={place.address}")
    command += [f"--num-cpus={place.cpus}", f"--num-gpus={place.gpus}"]
    command += [f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats", "--block"]
    # Nodes find the jobs of tests, and the program where this process does.
    places = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(places),
        "RAY_worker_niceness": "0",  # not behind all other work of this machine
    }
    with log.open("wb") as out:
        return Node(
            subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=environment,
                preexec_fn=_end_with_parent,
            )
        )


def _end_with_parent() -> None:
    """Ask for SIGTERM, on which ``ray start --block`` ends its node, when the tests are killed."""
    set_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)


@dataclass(frozen=True, eq=False)
class Context:
    folder: RunFolder
    images: NDArray[np.uint8]
    outside: Path


def work(context: Context, job: Job, report: Report) -> Result:
    """Write what the job is told into an artefact, after those of the jobs that it needs.

    A job may be told to take so many steps, each of so many seconds; to keep how far it is; and to wait before the last step
    until there is a file, telling how far it is all the while.
    """
    told = job.parameters
    before = b"".join(context.folder.artifact(f"out/{key}").read_bytes() for key in told.get("reads", ()))
    if told.get("outside"):
        before += context.folder.outside(context.outside).read_bytes()
    state = context.folder.artifact(f"out/{job.key}.checkpoint.bin")
    start = int(state.read_text()) if state.exists() else 0
    state.parent.mkdir(parents=True, exist_ok=True)
    started, steps = time.time(), told.get("steps", 1)
    for number in range(start, steps):
        while number + 1 == steps and not Path(told.get("until", "/")).exists():
            report(Step(job.key, number, steps, {}))
            time.sleep(0.1)
        time.sleep(told.get("seconds", 0.0))
        report(Step(job.key, number + 1, steps, {}))
        if told.get("keeps"):
            state.write_text(str(number + 1))
    if job.kind == "fail":
        raise InputError("this job fails")
    if job.kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    state.unlink(missing_ok=True)
    context.folder.artifact(f"out/{job.key}").write_bytes(before + job.key.encode())
    return {
        "went_on_from": start,
        "images": int(context.images.sum()),
        "time_span": [started, time.time()],
        "time_writeable": context.images.flags.writeable,
        "artifacts": context.folder.hashes([f"out/{job.key}"]),
    }


def job(key: str, *needs: str, kind: str = "work", **parameters: object) -> Job:
    return Job(key, kind, parameters, needs)
