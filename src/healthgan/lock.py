"""One process at a time in a folder: who holds it is named, and it outlives neither a crash nor a lost machine.

Two things must agree. The system's lock on ``.lock`` (flock) ends with the process that holds it, however that ends, and
also holds between machines on file systems that pass it on. ``.lock-holder`` names the process and its machine and
is touched every few seconds: it tells of a holder where the system's lock does not reach, or where somebody removed
``.lock`` by hand.
"""

import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from healthgan.errors import InputError
from healthgan.files import write_text

BEAT, SILENT = 15.0, 120.0
"""Seconds between two signs of life, and without one after which a holder on another machine counts as gone."""


@dataclass(frozen=True)
class Held:
    """A folder that this process holds.

    Attributes:
        folder: the folder.
        holder: what its ``.lock-holder`` must say.
    """

    folder: Path
    holder: str

    def check(self) -> None:
        """Make sure that it is still held, before something is written that another process would write as well.

        Raises:
            InputError: another process took it over, which thought that this one was gone, or the sign was removed.
        """
        found = _read(_sign(self.folder))
        if found != self.holder:
            by = f" by {_named(_parsed(found))}" if _parsed(found) else ""
            raise InputError(
                f"The folder '{self.folder}' was taken over{by} while this process worked in it; nothing more is written. "
                "Use one process a folder, and leave its '.lock-holder' alone."
            )


@contextmanager
def hold(folder: Path) -> Iterator[Held]:
    """Hold a folder, which is there, for a block.

    Raises:
        InputError: another process holds it; the message names that process.
        OSError: the folder cannot be written to.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(_busy(folder, _parsed(_read(_sign(folder))))) from None
    try:
        before = _parsed(_read(_sign(folder)))
        if before and _lives(before, _sign(folder)):
            raise InputError(_busy(folder, before))
        held = Held(folder, json.dumps(_own()))
        write_text(_sign(folder), held.holder)
        stop = threading.Event()
        beating = threading.Thread(target=_beat, args=(held, stop), daemon=True)
        beating.start()
        try:
            yield held
        finally:
            stop.set()
            beating.join()
            if _read(_sign(folder)) == held.holder:
                _sign(folder).unlink(missing_ok=True)
    finally:
        lock.release()


def _sign(folder: Path) -> Path:
    return folder / ".lock-holder"


def _own() -> dict[str, Any]:
    return {"host": platform.node(), "process": os.getpid(), "started": _started(os.getpid())}


def _started(process: int) -> str | None:
    """When a process of this machine started, as the system counts; None where it does not run or that is not told."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return None
    return f"{boot}/{status.rpartition(')')[2].split()[19]}"


def _lives(holder: dict[str, Any], sign: Path) -> bool:
    """Whether the process that a sign names may still be at work."""
    if holder.get("host") == platform.node():
        process = holder.get("process")
        started = _started(process) if isinstance(process, int) else None
        return started is not None and started == holder.get("started") and process != os.getpid()
    return _silence(sign) < SILENT


def _silence(sign: Path) -> float:
    """Seconds since the sign was touched, both times by the clock of the file system."""
    probe = sign.with_name(f"{sign.name}.{os.getpid()}.part")
    try:
        probe.touch()
        return probe.stat().st_mtime - sign.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _beat(held: Held, stop: threading.Event) -> None:
    """Touch the sign until told to stop, as long as it is ours."""
    while not stop.wait(BEAT):
        sign = _sign(held.folder)
        if _read(sign) == held.holder:
            try:
                os.utime(sign)
            except OSError:  # a full or lost disk: what writes next will say so
                continue


def _read(sign: Path) -> str:
    try:
        return sign.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('process')} on {holder.get('host')}" if holder else ""


def _busy(folder: Path, holder: dict[str, Any]) -> str:
    who = f" ({_named(holder)})" if holder else ""
    gone = ""
    if holder and holder.get("host") != platform.node():
        gone = f" If that one is gone, wait {SILENT:.0f} seconds after its end and repeat the command."
    return f"Another process works in '{folder}'{who}. Wait for it, or take another --out.{gone}"
