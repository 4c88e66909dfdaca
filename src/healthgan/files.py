"""Files that are whole or not there: temporary file, fsync, rename; and whether they can be written at all."""

import errno
import glob
import hashlib
import os
import re
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from healthgan.errors import InputError

_asking = threading.Lock()
"""Held while the umask is looked at, which belongs to the whole process."""


def check_new_file(path: Path, *, replace: bool = False) -> None:
    """Make sure that a file can be written, before the work that fills it: nothing is left behind.

    What a killed process left of it half written is removed. Folders that are missing above it are no fault;
    :func:`write_atomically` makes them.

    Args:
        path: the file to be.
        replace: whether an older file may lie there.

    Raises:
        InputError: something lies there already, or nothing can be written there.
    """
    try:
        if path.is_dir():
            raise InputError(f"'{path}' is a folder; the name of a new file is needed. Put a name behind it.")
        if os.path.lexists(path) and not (replace and path.is_file()):
            raise InputError(f"'{path}' is there already. Choose another name or remove it.")
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error
    _try_to_write(path)


def check_new_folder(path: Path) -> None:
    """Make sure that a folder can be made and filled, before the work that fills it: nothing is left behind.

    What a killed process left of it half written is removed.

    Args:
        path: the folder to be; it may be there if it is empty.

    Raises:
        InputError: something lies there already, or nothing can be written there.
    """
    try:
        if path.is_dir():
            if any(path.iterdir()):
                raise InputError(f"'{path}' is a folder that is not empty. Choose a new name or empty it.")
        elif os.path.lexists(path):
            raise InputError(f"'{path}' is a file; the name of a new folder is needed. Choose another name.")
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error
    _try_to_write(path)


def part_name(path: Path) -> Path:
    """A new name beside ``path`` for what is half written."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def _try_to_write(path: Path) -> None:
    """Write beside it, or where the first missing folder above it would be: permissions alone tell too little."""
    try:
        above = next(folder for folder in path.parents if folder.exists())
        trial = above / part_name(path).name
        trial.touch(mode=0o600, exist_ok=False)
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(_not_writable(path, error)) from error
    _remove_left(path)


def _remove_left(path: Path) -> None:
    """Remove what dead processes left half written of a file or folder; nothing while another one writes beside it."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}\.part")
    parts = [
        part for part in path.parent.glob(f".{glob.escape(path.name)}.*.part") if name.fullmatch(part.name)
    ]
    if parts:  # those that are begun from here on are not among them
        with _locked(path.parent, alone=True) as alone:
            for part in parts if alone else ():
                with suppress(OSError):  # another user's
                    _remove(part)


@contextmanager
def _locked(folder: Path, *, alone: bool) -> Iterator[bool]:
    """Hold the system's lock on a folder for a block, with others or alone; whether it was to be had, at once.

    It ends with the process, however that ends, and leaves no file. Where the system or its disk knows no such lock,
    it is not to be had.
    """
    if sys.platform == "win32":
        yield False
        return
    import fcntl

    try:
        opened = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to and not be looked into
        yield False
        return
    try:
        try:
            fcntl.flock(opened, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            had = True
        except OSError:
            had = False
        yield had
    finally:
        os.close(opened)


def _not_writable(path: Path, error: OSError) -> str:
    files = [above for above in path.parents if above.is_file()] if error.errno == errno.ENOTDIR else []
    reason = f"'{files[0]}' is a file, not a folder" if files else error.strerror or str(error)
    return f"'{path}' can't be written: {reason}. Choose another path."


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in its place in one step.

    A process that dies on the way leaves the old file, or none, and a ``.part`` file that only this user may read.
    :func:`remove_parts` clears it from a run folder, :func:`check_new_file` where the same file is to be made again.

    Args:
        path: the file to make; its folder is made if need be.
        write: fills the file it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    with _locked(path.parent, alone=False):
        part.touch(mode=0o600, exist_ok=False)
        try:
            write(part)
            part.chmod(0o666 & ~_umask())
            _sync_file(part)
            part.replace(path)
            sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


def write_folder_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary folder beside ``path``, then put it in its place in one step.

    A process that dies on the way leaves none, and a ``.part`` folder that only this user may read and that
    :func:`check_new_folder` removes where the same folder is to be made again.

    Args:
        path: the folder to make, new or empty; the one above it is made if need be.
        write: puts files into the folder it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    with _locked(path.parent, alone=False):
        part.mkdir(mode=0o700)
        try:
            write(part)
            for file in part.iterdir():
                _sync_file(file)
            sync_folder(part)
            part.chmod(0o777 & ~_umask())
            if path.is_dir():
                path.rmdir()
            part.rename(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """See a folder's list of files onto the disk, where the system can: a new name is not safe before that."""
    if os.name == "nt":  # a folder can't be opened there
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _umask() -> int:
    """The permissions that new files of this process do without; they can't be read but by setting them."""
    with _asking:
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8", newline="\n")

    write_atomically(path, write)


def remove_parts(folder: Path) -> None:
    """Remove what dead processes left half written below the folder."""
    for part in list(folder.rglob(".*.part")):
        _remove(part)


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def check_kind(path: Path) -> None:
    """Refuse a pipe, a socket or a device before it is opened: reading one may wait for ever, or never end.

    Raises:
        InputError: it is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"'{path}' is a pipe, a socket or a device. Give a regular file.")


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
