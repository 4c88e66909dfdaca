"""What runs on a node of a cluster: jobs in a private folder there, whose files travel as bytes."""

import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from healthgan.cluster.scratch import new_name, private
from healthgan.errors import InputError
from healthgan.executors import Job, Result, Step, Work, WorkMany, do, keep_freed_memory
from healthgan.files import write_atomically
from healthgan.run import RunFolder, code_digest, environment

Bytes = NDArray[np.uint8]
"""A file's bytes, (length,)."""

SPEAK_SECONDS = 0.5
"""At most so often a running job tells how far it is."""
PREFIX = "healthgan-node-"
"""Of the folders in which jobs read and write on a node."""


class HasFolder(Protocol):
    """What jobs read: any dataclass with the run folder among its fields."""

    @property
    def folder(self) -> RunFolder:
        """Where jobs read and write artefacts."""


@dataclass(frozen=True)
class Given:
    """What all jobs of a study have in common; it lies once in the memory of each node.

    Attributes:
        work: does a job.
        many: does several in one go.
        context: for the jobs; its arrays are read in place and can't be written.
        versions: of the driver, as ``versions`` gives them.
    """

    work: "Work[Any]"
    many: "WorkMany[Any] | None"
    context: Any
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """Checkpoints that a running job has written since it last said so."""

    files: dict[str, Bytes]


@dataclass(frozen=True)
class Alive:
    """A sign that a job is at work."""


@dataclass(frozen=True)
class Ended:
    """The end of one job, or of several that were done in one go.

    Attributes:
        results: as ``executors.do`` gives them.
        files: the artefacts that the records name.
        fetched: names of the driver's files that it read.
        node: the address of the node it was done on.
    """

    results: list[Result | FloatingPointError]
    files: dict[str, Bytes]
    fetched: frozenset[str]
    node: str


Message = Alive | Step | Kept | Ended


@dataclass(frozen=True, eq=False)
class NodeFolder(RunFolder):
    """A run folder on a node: what a job asks for is fetched from the driver's when it is asked for.

    Attributes:
        offered: a function for each file that the driver holds ready, by its name; it gives the bytes.
        fetched: names of those that were asked for, with the time in ns at which they were written here.
    """

    offered: dict[str, Callable[[], Bytes]] = field(default_factory=dict)
    fetched: dict[str, int] = field(default_factory=dict)

    def artifact(self, name: str) -> Path:
        """The place of an artefact, which is there if the driver has it."""
        return self._here(name, super().artifact(name))

    def outside(self, path: Path) -> Path:
        """A copy of the user's file."""
        return self._here(str(path), self.path / "outside" / path.name)

    def checkpoints(self, since: Mapping[str, int]) -> dict[str, tuple[int, Bytes]]:
        """The checkpoints that were written here, and are not as old as was said: their times in ns and their bytes."""
        root, found = self.path / "artifacts", {}
        for path in checkpoints_in(root):
            name = path.relative_to(root).as_posix()
            with suppress(FileNotFoundError):  # the training has just ended
                when = path.stat().st_mtime_ns
                if when not in (since.get(name), self.fetched.get(name)):
                    found[name] = (when, get_bytes(path))
        return found

    @contextmanager
    def open(self, offered: Mapping[str, Callable[[], Bytes]]) -> Iterator[None]:
        """A private folder for as long as a job runs; nothing of a study stays longer.

        Args:
            offered: the driver's files for the job.
        """
        self.offered.update(offered)
        try:
            with private(self.path):
                yield
        finally:
            self.offered.clear()
            self.fetched.clear()

    def _here(self, name: str, path: Path) -> Path:
        if name in self.offered and name not in self.fetched:
            put_bytes(path, self.offered[name]())
            self.fetched[name] = path.stat().st_mtime_ns
        return path


def checkpoints_in(root: Path) -> Iterator[Path]:
    """What unfinished jobs go on from, and no record names: all whole checkpoints below a folder in which others write.

    What is half written is hidden there, and may go at any moment.
    """
    for folder, folders, files in os.walk(root):  # passes over a folder that has gone
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            Path(folder, name) for name in files if ".checkpoint." in name and not name.startswith(".")
        )


def get_bytes(path: Path) -> Bytes:
    """The bytes of a file, as an array, which Ray hands on without a copy."""
    return np.fromfile(path, np.uint8)


def put_bytes(path: Path, content: Bytes) -> None:
    """Write a file whole or not at all."""
    write_atomically(path, lambda part: content.tofile(part))


def versions() -> dict[str, str]:
    """What must be equal on all nodes, or records would differ: packages and the program's own code."""
    found = environment()
    packages = {name: version.partition("+")[0] for name, version in found["packages"].items()}
    return {"Python": found["python"], **packages, "code": code_digest()}


class _Working(threading.Thread):
    """A job at work, so that the thread that Ray waits for is free to tell how far it is."""

    def __init__(self, here: Given, jobs: list[Job], joined: bool) -> None:
        super().__init__(daemon=True)
        self._here, self._jobs, self._joined = here, jobs, joined
        self.latest: Step | None = None
        self.results: list[Result | FloatingPointError] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the jobs."""
        here, many = self._here, self._here.many if self._joined else None
        try:
            self.results = do(here.work, many, here.context, self._jobs, self._note)
        except BaseException as error:  # noqa: BLE001 # the thread that waits raises it
            self.error = error

    def _note(self, step: Step) -> None:
        self.latest = step


def do_on_node(
    token: str, given: list[Any], jobs: list[Job], files: dict[str, Any], joined: bool, sign_seconds: float
) -> Iterator[Message]:
    """Do one job, or several in one go, and tell how far it is, what it keeps, and what came out.

    Args:
        token: names the study.
        given: one reference to a ``Given``. In a list Ray leaves it alone, and each process resolves it once.
        jobs: one, or those that are done in one go.
        files: references to the bytes of what the driver holds ready for them, by name.
        joined: whether they are done in one go.
        sign_seconds: a sign of life is given this often.

    Raises:
        InputError: this node has other versions than the driver.
        Exception: whatever a job raises.
    """
    import ray

    here = _process(token, given)
    folder: NodeFolder = here.context.folder
    with folder.open({name: partial(ray.get, reference) for name, reference in files.items()}):
        working = _Working(here, jobs, joined)
        working.start()
        yield from _heard(working, folder, sign_seconds)
        if working.error is not None:
            raise working.error
        records = [result for result in working.results if isinstance(result, dict)]
        names = [name for record in records for name in record["artifacts"]]
        content = {name: get_bytes(folder.artifact(name)) for name in names}
        yield Ended(working.results, content, frozenset(folder.fetched), ray.util.get_node_ip_address())


def _heard(working: _Working, folder: NodeFolder, sign_seconds: float) -> Iterator[Alive | Step | Kept]:
    """The latest step and new checkpoints, now and then, until the work has ended."""
    seen: dict[str, int] = {}
    said = -sign_seconds
    while working.is_alive():
        if time.monotonic() - said >= sign_seconds:
            said = time.monotonic()
            yield Alive()
        working.join(SPEAK_SECONDS)
        step, working.latest = working.latest, None
        if step is not None:
            yield step
        if changed := folder.checkpoints(seen):
            seen |= {name: when for name, (when, _) in changed.items()}
            yield Kept({name: content for name, (_, content) in changed.items()})


def _process(token: str, given: list[Any]) -> Given:
    """What this process holds for all jobs of the study; made for its first one."""
    global _current
    if _current is not None and _current[0] == token:
        return _current[1]
    import ray

    found: Given = ray.get(given[0])
    _check_versions(found.versions)
    # Images lie in the object store, where they can only be read; PyTorch warns of it, and nothing here writes to them.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    keep_freed_memory()
    context = replace(found.context, folder=NodeFolder(new_name(PREFIX)))
    _current = token, replace(found, context=context)
    return _current[1]


def _check_versions(driver: Mapping[str, str]) -> None:
    here = versions()
    different = [name for name, version in driver.items() if here[name] != version]
    if different:
        name = different[0]
        raise InputError(
            f"The node '{platform.node()}' has {name} {here[name][:12]}, this machine has {driver[name][:12]}; records "
            "would differ. Install the same versions on every node."
        )


_current: tuple[str, Given] | None = None
