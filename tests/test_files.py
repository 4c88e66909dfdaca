"""Where a file or folder can't be written is said before any work, and nothing is left behind."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from healthgan.errors import InputError
from healthgan.files import check_new_file, check_new_folder, write_text

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
