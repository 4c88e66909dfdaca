"""One start of a small study in a process of its own, and what is done to it on the way; for kills.py."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_studies import fork_workers, request

KINDS = {
    "kill": (200, "SIGKILL at a random moment"),
    "torn": (20, "a record torn in the middle of its write, then SIGKILL"),
    "damaged": (
        20,
        "SIGKILL, then a bit flipped in records or checkpoint, or an artefact cut short",
    ),
    "full": (20, "the disk full from a random moment on"),
    "worker": (20, "a worker process killed"),
}
"""What is done to a study: how often, and in words."""
KILLED, DONE, FULL = -signal.SIGKILL, 0, 2
"""How a start of the study may end: killed, ended by itself, for want of room."""
SUCCEEDS = {"kill": KILLED, "torn": KILLED, "damaged": KILLED, "full": FULL, "worker": DONE}
"""How it ends where a deed was done in time."""
WORKERS = 3
"""Workers that are killed in one start: as many without a job that ended in between would end the study."""
BALLAST = "ballast"


@dataclass(frozen=True)
class Deed:
    """What is done in one start of a study.

    Attributes:
        kind: of ``KINDS``; ``none`` to leave it alone.
        at: the number of the event at which it is done; workers are killed again after as many more, ``WORKERS`` in all.
        seconds: a kill comes so much later.
        seed: decides what else is random.
        workers: of the study.
        forked: workers are forked from the study's process, which has the libraries, and not started afresh.
    """

    kind: str
    at: int
    seconds: float
    seed: int
    workers: int
    forked: bool


@dataclass(frozen=True)
class Place:
    """Where a study runs.

    Attributes:
        root: holds what ``small_studies.write_inputs`` wrote, and the untouched studies.
        study: of ``small_studies.STUDIES``.
        name: of this one.
    """

    root: Path
    study: str
    name: str

    @property
    def disk(self) -> Path:
        """The folder that may be a small disk of its own."""
        return self.root / self.name

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.disk / "run"

    @property
    def mark(self) -> Path:
        """As JSON: how many events the last start had, and at which the deed was done."""
        return self.root / f"{self.name}.mark"

    def marked(self) -> tuple[int, list[str]]:
        """What stands in ``mark``."""
        events, stages = json.loads(self.mark.read_text()) if self.mark.exists() else (0, [])
        return events, stages


def start(place: Place, deed: Deed) -> int:
    """One start of the study in a process of its own, forked from this one, which has the libraries; how it ended."""
    place.mark.unlink(missing_ok=True)
    child = multiprocessing.get_context("fork").Process(target=_study, args=(place, deed))
    child.start()
    child.join()
    return int(child.exitcode or 0)


def _study(place: Place, deed: Deed) -> None:
    from healthgan import studies
    from healthgan.errors import InputError

    happened, stages, lock = 0, list[str](), threading.Lock()
    most = WORKERS if deed.kind == "worker" else 1

    def event(what: str) -> None:
        nonlocal happened
        with lock:
            happened += 1
            if len(stages) < most and happened >= deed.at * (len(stages) + 1) and _is_done(place, deed):
                stages.append(what)
            part = place.mark.with_suffix(".part")  # a kill leaves the mark before
            part.write_text(json.dumps([happened, stages]))
            part.replace(place.mark)

    if deed.forked:
        fork_workers()
    prepared = studies.prepare(request(place.root, place.study))
    event("started")
    try:
        studies.run(
            prepared,
            place.run,
            device="cpu",
            workers=deed.workers,
            report=lambda step: event(step.key),
            on_record=lambda record: event(record["key"]),
            checkpoint_seconds=0,
        )
    except InputError as error:
        print(error, file=sys.stderr)
        os._exit(FULL)
    os._exit(DONE)


def _is_done(place: Place, deed: Deed) -> bool:
    """Do it, now or soon; whether there was anything to do it to."""
    if deed.kind in ("kill", "damaged"):
        threading.Timer(deed.seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    elif deed.kind == "torn":
        _tear(deed)
    elif deed.kind == "full":
        _fill(place.disk)
    elif deed.kind == "worker":
        workers = multiprocessing.active_children()
        if not workers:
            return False
        os.kill(workers[deed.seed % len(workers)].pid or 0, signal.SIGKILL)
    return deed.kind != "none"


def _tear(deed: Deed) -> None:
    """From now on: the next record is written in part only, and then the process dies."""
    from healthgan import run

    def append(folder: run.RunFolder, record: dict[str, Any]) -> None:
        line = run.sealed(record)
        with folder.records_file.open("ab") as file:
            file.write(line[: 1 + deed.seed % (len(line) - 1)])
            file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    run.RunFolder.append = append  # type: ignore[method-assign]


def _fill(place: Path) -> None:
    with (place / BALLAST).open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 12)) == 1 << 12:
                pass
        except OSError:
            return


@contextmanager
def disk(place: Place, kind: str) -> Iterator[None]:
    """An empty folder for the run: a small tmpfs where the disk is to fill up."""
    shutil.rmtree(place.disk, ignore_errors=True)
    place.disk.mkdir(parents=True)
    if kind != "full":
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "healthgan-kills", place.disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place.disk], check=True)


def damage(run: Path, seed: int) -> str:
    """What a disk may do besides: a bit flipped in a record or a checkpoint, or an artefact cut short; in words."""
    rng = random.Random(seed)
    files = [path for path in sorted((run / "artifacts").rglob("*.*")) if path.suffix != ".part"]
    checkpoints = [path for path in files if ".checkpoint." in path.name]
    choices = {
        "a bit of the records flipped": [run / "records.jsonl"],
        "a bit of a checkpoint flipped": checkpoints,
        "an artefact cut short": [path for path in files if path not in checkpoints],
    }
    possible = {what: [path for path in paths if _holds(path)] for what, paths in choices.items()}
    if not any(possible.values()):
        return "nothing to damage"
    what = rng.choice([what for what, paths in possible.items() if paths])
    victim = rng.choice(possible[what])
    size = victim.stat().st_size
    if what.startswith("an artefact"):
        os.truncate(victim, rng.randrange(size))
        return what
    content = bytearray(victim.read_bytes())
    content[rng.randrange(size - 1)] ^= 1 << rng.randrange(8)
    victim.write_bytes(content)
    return what


def _holds(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 2
