"""Where a file or folder can't be written is said before any work; nothing is left behind that the next run leaves there."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from healthgan import files
from healthgan.errors import InputError
from healthgan.files import (
    check_kind,
    check_new_file,
    check_new_folder,
    write_atomically,
    write_folder_atomically,
    write_text,
)

BOTH = pytest.mark.parametrize("check", [check_new_file, check_new_folder])


@BOTH
@pytest.mark.parametrize("place", ["new", "a/b/new", "run.5/new"])
def test_a_new_place_is_allowed_and_left_as_it_was(check, place, tmp_path) -> None:
    check(tmp_path / place)
    assert not list(tmp_path.iterdir())


def test_a_relative_name_is_looked_for_here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_new_file(Path("new.csv"))
    write_text(Path("new.csv"), "x")
    with pytest.raises(InputError, match=r"'new\.csv' is there already"):
        check_new_file(Path("new.csv"))
    check_new_file(Path("new.csv"), replace=True)


@pytest.fixture
def taken(tmp_path) -> Path:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full" / "x").mkdir(parents=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "file", "folder"),
    [
        ("file", "is there already. Choose another name or remove it", "is a file; the name of a new folder"),
        ("full", "is a folder; the name of a new file is needed", "is a folder that is not empty"),
        ("nowhere", "is there already", "is a file; the name of a new folder"),
        ("file/new", "can't be written: '{tmp}/file' is a file, not a folder. Choose another path.", None),
        ("file/a/new", "can't be written: '{tmp}/file' is a file, not a folder. Choose another path.", None),
        ("x" * 250, "can't be written: File name too long", None),
        ("a/" + "x" * 300, "can't be written: File name too long", None),
    ],
)
def test_what_can_not_be_written_is_one_message(place, file, folder, taken) -> None:
    before = sorted(taken.rglob("*"))
    for check, said in ((check_new_file, file), (check_new_folder, folder or file)):
        with pytest.raises(InputError) as caught:
            check(taken / place)
        message = str(caught.value)
        assert message.startswith(f"'{taken / place}' ")
        assert said.format(tmp=taken) in message
    assert sorted(taken.rglob("*")) == before


@pytest.fixture
def read_only():
    """A folder in which this process may not write; root must become another user for that."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # nobody
    yield place
    if root:
        os.seteuid(0)
    place.chmod(0o755)
    shutil.rmtree(place)


@BOTH
@pytest.mark.parametrize("name", ["new", "a/new"])
def test_a_folder_that_may_not_be_written_is_said(check, name, read_only) -> None:
    with pytest.raises(
        InputError, match=r"can't be written: Permission denied\. Choose another path"
    ) as caught:
        check(read_only / name)
    assert str(read_only / name) in str(caught.value)


KILLED = """
import os, pathlib, signal, sys
from healthgan import files

def half(part):
    (part / "a" if part.is_dir() else part).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

getattr(files, sys.argv[1])(pathlib.Path(sys.argv[2]), half)
"""


@pytest.mark.parametrize(
    ("write", "check"),
    [("write_atomically", check_new_file), ("write_folder_atomically", check_new_folder)],
)
def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(write, check, tmp_path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, write, str(tmp_path / "a[1]")], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.stat().st_mode & 0o077 == 0, "it is private"
    others = [".a[1].part", ".a[1].0123.part", f".b.{'0' * 32}.part", f".a1.{'0' * 32}.part", "a"]
    for name in others:
        (tmp_path / name).touch()
    check(tmp_path / "a[1]")
    assert {path.name for path in tmp_path.iterdir()} == {*others}


@pytest.mark.parametrize(
    ("write", "check"),
    [(write_atomically, check_new_file), (write_folder_atomically, check_new_folder)],
)
def test_what_is_being_written_is_not_removed(write, check, tmp_path) -> None:
    """The system's lock is between two openings of the folder: whose they are plays no part."""

    def fill(part: Path) -> None:
        (part / "a" if part.is_dir() else part).write_text("whole")
        check(tmp_path / "x")
        assert part.exists()

    write(tmp_path / "x", fill)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_private_until_it_is_whole_and_on_the_disk(tmp_path, monkeypatch) -> None:
    synced: set[int] = set()
    sync, rename = os.fsync, Path.rename

    def renamed(part: Path, to: Path) -> Path:
        assert {path.stat().st_ino for path in (part, *part.iterdir())} <= synced
        return rename(part, to)

    def fill(part: Path) -> None:
        assert part.stat().st_mode & 0o777 == 0o700
        for name in "ab":
            (part / name).write_text(name)

    monkeypatch.setattr(os, "fsync", lambda opened: (synced.add(os.fstat(opened).st_ino), sync(opened)))
    monkeypatch.setattr(Path, "rename", renamed)
    write_folder_atomically(tmp_path / "new" / "x", fill)
    (tmp_path / "own").mkdir()
    assert (tmp_path / "new" / "x").stat().st_mode == (tmp_path / "own").stat().st_mode
    assert {path.name: path.read_text() for path in (tmp_path / "new" / "x").iterdir()} == {
        "a": "a",
        "b": "b",
    }
    assert (tmp_path / "new").stat().st_ino in synced


def test_a_folder_that_fails_leaves_nothing(tmp_path) -> None:
    def fail(part: Path) -> None:
        (part / "a").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder_atomically(tmp_path / "x", fail)
    assert list(tmp_path.iterdir()) == []


def test_threads_that_write_at_once_leave_the_umask_alone() -> None:
    before, switch = files._umask(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [files._umask() for _ in range(5000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    after = os.umask(before)
    assert after == before


def test_pipes_and_devices_are_refused_and_nothing_else(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "file").touch()
    for name in ("file", "", "missing"):
        check_kind(tmp_path / name)
    for name in ("pipe", "device"):
        with pytest.raises(InputError, match="is a pipe, a socket or a device"):
            check_kind(tmp_path / name)
