"""Private folders that don't outlive the process that made them, however it ends."""

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"
_LEFT_SECONDS = 60.0
"""A folder may be so old before it has a lock, and no older."""


def new_name(prefix: str) -> Path:
    """A folder to be made among the system's temporary ones; those of processes that were killed are removed.

    Args:
        prefix: of its name, for this use alone.
    """
    temporary = Path(tempfile.gettempdir())
    for left in temporary.glob(f"{prefix}*"):
        _remove_if_left(left)
    return temporary / f"{prefix}{uuid.uuid4().hex[:12]}"


@contextmanager
def private(folder: Path) -> Iterator[None]:
    """Make a folder that only this user may read, and remove it with all that it holds when the block ends."""
    folder.mkdir(mode=0o700)
    try:
        with FileLock(folder / _LOCK):  # let go by the system when the process is killed
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    try:
        if time.time() - folder.stat().st_mtime > _LEFT_SECONDS:
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
    except (OSError, Timeout):  # at work, or another user's
        return
