"""The run folder: settings, manifest, one record a finished job, artefacts with their hashes, one user at a time."""

import errno
import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from healthgan.errors import InputError, out_of_memory
from healthgan.files import remove_parts, sha256, sync_folder, write_atomically, write_text
from healthgan.lock import Held, hold
from healthgan.records import Lines, read_lines, sealed
from healthgan.records import Record as Record

TIME = "time_"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_MOST_STARTS = 2**24
"""Bytes of ``manifest.json``: ten thousand starts."""
_AGAIN = "what is finished is kept, and the same command goes on"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one study.

    Attributes:
        path: where it lies.
        held: the hold on it, while this process works in it.
    """

    path: Path
    held: Held | None = None

    @property
    def records_file(self) -> Path:
        """One JSON line a finished job, append-only."""
        return self.path / "records.jsonl"

    def artifact(self, name: str) -> Path:
        """The place of an artefact, such as ``generator/round-0.safetensors``."""
        return self.path / "artifacts" / name

    def outside(self, path: Path) -> Path:
        """Where a file of the user's lies for a job: where the user said."""
        return path

    def lines(self) -> Lines:
        """What the records' file holds.

        Raises:
            InputError: it cannot be read or is far too large.
        """
        return read_lines(self.records_file)

    def records(self) -> list[Record]:
        """The records of finished jobs, in the order in which they ended; torn or damaged lines are left out."""
        return self.lines().records

    def append(self, record: Record) -> None:
        """Add the record of a finished job and see it onto the disk.

        Raises:
            InputError: another process works in the folder.
        """
        self.check_held()
        new = not self.records_file.exists()
        with self.records_file.open("ab") as file:
            file.write(sealed(record))
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path)

    def check_held(self) -> None:
        """Make sure that no other process took the folder over.

        Raises:
            InputError: one did.
        """
        if self.held is not None:
            self.held.check()

    def mend(self) -> str | None:
        """Take out what is no whole record, so that the next one starts a line; what was lost, in words.

        A torn last line is cut off: a process that died wrote it, and its job runs again. Damaged lines are kept in
        ``records.damaged``. The records of a version without checksums get them.
        """
        found, aside = self.lines(), self.path / "records.damaged"
        if found.torn:
            with self.records_file.open("rb+") as file:
                file.truncate(found.whole)
        if found.damaged:
            with aside.open("ab") as file:
                file.writelines(found.damaged.values())
                file.flush()
                os.fsync(file.fileno())
        if found.damaged or not found.sealed:
            content = b"".join(map(sealed, found.records))
            write_atomically(self.records_file, lambda part: _fill(part, content))
        if not found.damaged:
            return None
        numbers = ", ".join(map(str, found.damaged))
        return (
            f"'{self.records_file}' was damaged in line {numbers}. What stood there is kept in '{aside}'; the jobs whose records "
            "were lost run again."
        )

    def finished(self) -> dict[str, Record]:
        """The records by key whose artefacts are all there and unchanged."""
        return {record["key"]: record for record in self.records() if self._intact(record)}

    def hashes(self, names: list[str]) -> dict[str, str]:
        """The artefacts' SHA-256 by their names, for a record."""
        return {name: sha256(self.artifact(name)) for name in names}

    def _intact(self, record: Record) -> bool:
        artifacts: Mapping[str, str] = record.get("artifacts", {})
        return all(
            self.artifact(name).is_file() and sha256(self.artifact(name)) == digest
            for name, digest in artifacts.items()
        )


def without_times(records: list[Record]) -> list[Record]:
    """The records sorted by key and without what varies between runs: two runs are equal if these are.

    Where a job ran again, because its artefacts were lost, the last record counts.
    """
    last = {record["key"]: record for record in records}
    return [
        {name: value for name, value in last[key].items() if not name.startswith(TIME)}
        for key in sorted(last)
    ]


@contextmanager
def open_run(path: Path, settings: str, manifest: dict[str, Any]) -> Iterator[RunFolder]:
    """Make the run folder, or go on with the one there, alone until the block ends.

    Args:
        path: the folder.
        settings: the resolved settings as TOML; a folder with others is refused.
        manifest: facts about this start, added to ``manifest.json``'s list of starts.

    Raises:
        InputError: another process works in the folder, or it holds a study with other settings, or it is
            no run folder, or it cannot be written.
    """
    with ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "study.toml").exists() and not all(
                _is_of_a_start(entry) for entry in path.iterdir()
            ):
                raise InputError(
                    f"'{path}' is not empty and holds no study. Give --out an empty or new folder."
                )
            if (path / "study.toml").exists():  # nothing is written into another study's folder
                _check_settings(path, settings)
            folder = RunFolder(path, stack.enter_context(hold(path)))
            _check_settings(path, settings)
            remove_parts(path)
            lost = folder.mend()
            if lost is not None:
                _log.warning(lost)
            _add_start(path / "manifest.json", {**manifest, **({} if lost is None else {"damaged": lost})})
        except OSError as error:
            if error.errno in _FULL - {errno.EROFS}:
                raise _no_room(path, error) from error
            raise InputError(
                f"The folder '{path}' cannot be used: {error.strerror or error}. Give --out a folder you can write to."
            ) from error
        with _room(path):
            try:
                yield folder
            finally:  # what a killed worker left half written
                with suppress(OSError, InputError):  # not ours any more, or not writable: parts may stay
                    folder.check_held()
                    remove_parts(path)


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Say what can be done where a study ends for want of room, and that nothing is lost."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise _no_room(path, error) from error
        memory = out_of_memory(error)
        if memory is None:
            raise
        raise InputError(f"There is too little {memory}. Take fewer --jobs; {_AGAIN}.") from error


def _no_room(path: Path, error: OSError) -> InputError:
    return InputError(f"'{path}' can't be written any more: {error.strerror}. Make room; {_AGAIN}.")


def environment() -> dict[str, Any]:
    """Versions and hardware, for the manifest and for benchmarks."""
    from importlib.metadata import version

    packages = ("healthgan", "torch", "numpy", "numba", "scikit-learn", "scipy")
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
    }


def code_digest() -> str:
    """SHA-256 over the program's own source files: tells two versions apart even where no git is."""
    digest = hashlib.sha256()
    root = Path(str(resources.files("healthgan")))
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _is_of_a_start(entry: Path) -> bool:
    """Whether a start that was killed before it wrote the settings may have left it."""
    kept = (".lock", ".lock-holder")
    half = (".lock-holder.", "..lock-holder.", ".study.toml.")
    return entry.name in kept or (entry.name.startswith(half) and entry.suffix == ".part")


def _check_settings(path: Path, settings: str) -> None:
    file = path / "study.toml"
    if not file.exists():
        write_text(file, settings)
        return
    try:
        before, now = file.read_text("utf-8").splitlines(), settings.splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{file}' is damaged: it is no UTF-8 text. Restore it, or take another --out."
        ) from error
    if before != now:
        changed = [f"'{old}' is now '{new}'" for old, new in zip(before, now, strict=False) if old != new]
        detail = changed[0] if changed else "a table was added or left out"
        raise InputError(
            f"'{path}' holds a study with other settings: {detail}. "
            "Repeat its own command to go on with it, or take another --out."
        )


def read_starts(file: Path) -> list[dict[str, Any]]:
    """The facts about every start in a ``manifest.json``; none where it is not there.

    Raises:
        InputError: it is damaged, or far too large to be one.
    """
    damaged = InputError(f"'{file}' is damaged. Restore it, or remove it and do without its facts.")
    if not file.is_file():
        return []
    if file.stat().st_size > _MOST_STARTS:
        raise damaged
    try:
        return [*json.loads(file.read_text("utf-8"))["starts"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged from None


def _add_start(file: Path, facts: dict[str, Any]) -> None:
    starts = [*read_starts(file), facts]
    write_text(file, json.dumps({"starts": starts}, indent=1, ensure_ascii=False) + "\n")
