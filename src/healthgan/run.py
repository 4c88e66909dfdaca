"""The run folder: settings, manifest, one record a finished job, artefacts with their hashes, one lock."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from healthgan.errors import InputError
from healthgan.files import remove_parts, sha256, write_text

Record = dict[str, Any]
"""One finished job: ``key``, its results, ``artifacts`` (path below the folder → SHA-256), ``time_*``."""

TIME = "time_"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one study."""

    path: Path

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

    def records(self) -> list[Record]:
        """The records of finished jobs, in the order in which they ended; a torn last line is left out."""
        if not self.records_file.exists():
            return []
        lines = self.records_file.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1]]

    def append(self, record: Record) -> None:
        """Add the record of a finished job and see it onto the disk."""
        line = json.dumps(record, ensure_ascii=False, sort_keys=True, allow_nan=False).encode() + b"\n"
        with self.records_file.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def drop_torn_line(self) -> None:
        """Cut off what a dying process left of a last line, so that the next record starts a line."""
        if not self.records_file.exists():
            return
        content = self.records_file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with self.records_file.open("rb+") as file:
                file.truncate(len(whole))

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
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "study.toml").exists() and any(entry.name != ".lock" for entry in path.iterdir()):
            raise InputError(f"'{path}' is not empty and holds no study. Give --out an empty or new folder.")
        lock = FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"Another process works on the study in '{path}'{_holder(path)}. Wait for it, or take another --out."
        ) from None
    except OSError as error:
        raise InputError(
            f"The folder '{path}' cannot be used: {error.strerror}. Give --out a folder you can write to."
        ) from None
    try:
        write_text(path / ".lock-holder", f"{platform.node()} {os.getpid()}\n")
        folder = RunFolder(path)
        _check_settings(folder, settings)
        remove_parts(path)
        folder.drop_torn_line()
        _add_start(path / "manifest.json", manifest)
        yield folder
    finally:
        (path / ".lock-holder").unlink(missing_ok=True)
        lock.release()


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


def _holder(path: Path) -> str:
    try:
        host, process = (path / ".lock-holder").read_text("utf-8").split()
    except (OSError, ValueError):
        return ""
    return f" (process {process} on {host})"


def _check_settings(folder: RunFolder, settings: str) -> None:
    file = folder.path / "study.toml"
    if not file.exists():
        write_text(file, settings)
        return
    before, now = file.read_text("utf-8").splitlines(), settings.splitlines()
    if before != now:
        changed = [f"'{old}' is now '{new}'" for old, new in zip(before, now, strict=False) if old != new]
        detail = changed[0] if changed else "a table was added or left out"
        raise InputError(
            f"'{folder.path}' holds a study with other settings: {detail}. "
            "Repeat its own command to go on with it, or take another --out."
        )


def _add_start(file: Path, facts: dict[str, Any]) -> None:
    starts = json.loads(file.read_text("utf-8"))["starts"] if file.exists() else []
    write_text(file, json.dumps({"starts": [*starts, facts]}, indent=1, ensure_ascii=False) + "\n")
