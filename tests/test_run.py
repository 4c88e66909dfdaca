"""The run folder: whole records, verified artefacts, one user at a time."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.files import write_atomically, write_text
from healthgan.records import sealed
from healthgan.run import RunFolder, open_run, without_times

SETTINGS = "seed = 0\n"


@pytest.fixture
def folder(tmp_path):
    with open_run(tmp_path / "run", SETTINGS, {"start": 1}) as folder:
        yield folder


def test_records_survive(folder) -> None:
    folder.append({"key": "a", "value": 1.5})
    folder.append({"key": "b", "name": "Röntgen\n"})
    assert folder.records() == [{"key": "a", "value": 1.5}, {"key": "b", "name": "Röntgen\n"}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(record=st.dictionaries(st.text(min_size=1), json_values))
def test_any_record_survives_a_round_trip(record, tmp_path_factory) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.append({**record, "key": "a"})
    assert folder.records() == [{**record, "key": "a"}]


LINES = [sealed({"key": "a", "value": 1.5}), sealed({"key": "b", "name": "Röntgen\n"})]


@pytest.mark.parametrize("cut", range(1, len(LINES[1])))
def test_a_torn_last_line_is_dropped(tmp_path, cut) -> None:
    folder = RunFolder(tmp_path)
    folder.records_file.write_bytes(b"".join(LINES)[:-cut])
    assert folder.mend() is None
    assert folder.records_file.read_bytes() == LINES[0]
    folder.append({"key": "c"})
    assert [record["key"] for record in folder.records()] == ["a", "c"]


def test_no_damage_to_a_line_goes_unseen(tmp_path) -> None:
    """Whatever bit flips, the line is dropped and told of, and the others stay; a new line end makes two lines of one."""
    folder, whole = RunFolder(tmp_path), b"".join([*LINES, *LINES])
    for place in range(len(LINES[0]), len(LINES[0] + LINES[1]) - 1):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            folder.records_file.write_bytes(damaged)
            found = folder.lines()
            assert [record["key"] for record in found.records] == ["a", "a", "b"]
            assert list(found.damaged) in ([2], [2, 3])


def test_a_damaged_line_is_kept_aside_and_its_job_runs_again(tmp_path, caplog) -> None:
    path = tmp_path / "run"
    with open_run(path, SETTINGS, {}) as folder:
        for key in "abc":
            folder.append({"key": key})
    lines = folder.records_file.read_bytes().splitlines(keepends=True)
    damaged = lines[1].replace(b'"b"', b'"x"')
    folder.records_file.write_bytes(lines[0] + damaged + lines[2])
    with open_run(path, SETTINGS, {}) as folder:
        assert set(folder.finished()) == {"a", "c"}
        folder.append({"key": "b"})
    assert "was damaged in line 2" in caplog.text
    assert "run again" in caplog.text
    assert (path / "records.damaged").read_bytes() == damaged
    assert "line 2" in json.loads((path / "manifest.json").read_text())["starts"][1]["damaged"]
    assert [record["key"] for record in folder.records()] == ["a", "c", "b"]
    caplog.clear()
    with open_run(path, SETTINGS, {}) as folder:
        assert set(folder.finished()) == {"a", "b", "c"}
    assert caplog.text == ""


@pytest.mark.parametrize(
    "line",
    [
        b"3",
        b"[]",
        b"{}",
        b'{"key": 1}',
        b'{"key": "a", "artifacts": []}',
        b'{"key": "a", "artifacts": {"../../x.npz": "0"}}',
        b'{"key": "a", "artifacts": {"/etc/passwd": "0"}}',
        b'{"key": "a", "artifacts": {"x.npz": 0}}',
        b'{"a":' * 5000,
        b"[" * 5000,
        b"\xff",
        b"",
        b"9" * 9999,
    ],
)
def test_what_is_no_record_counts_as_damaged(tmp_path, line) -> None:
    folder = RunFolder(tmp_path)
    folder.records_file.write_bytes(line + b"\n")
    found = folder.lines()
    assert (found.records, list(found.damaged)) == ([], [1])


def test_records_of_a_version_without_checksums_are_read_and_get_them(tmp_path) -> None:
    old = [{"key": "a", "value": 1.5}, {"key": "b", "artifacts": {}}]
    folder = RunFolder(tmp_path)
    folder.records_file.write_text("".join(json.dumps(record) + "\n" for record in old) + '{"key": "to')
    assert folder.records() == old
    assert folder.mend() is None
    assert folder.records() == old
    assert folder.records_file.read_bytes() == b"".join(map(sealed, old))
    folder.append({"key": "c"})
    assert len(folder.records()) == 3


def test_a_line_without_checksum_among_others_is_damaged(tmp_path) -> None:
    folder = RunFolder(tmp_path)
    folder.records_file.write_bytes(LINES[0] + b'{"key": "b"}\n')
    assert list(folder.lines().damaged) == [2]


def test_a_record_counts_only_with_its_artefacts(folder) -> None:
    write_text(folder.artifact("x/one.txt"), "one")
    folder.append({"key": "a", "artifacts": folder.hashes(["x/one.txt"])})
    assert set(folder.finished()) == {"a"}
    folder.artifact("x/one.txt").write_text("two")
    assert folder.finished() == {}
    folder.artifact("x/one.txt").unlink()
    assert folder.finished() == {}


def test_settings_must_stay(tmp_path) -> None:
    with open_run(tmp_path / "run", SETTINGS, {}):
        pass
    with (
        pytest.raises(InputError, match="'seed = 0' is now 'seed = 1'"),
        open_run(tmp_path / "run", "seed = 1\n", {}),
    ):
        pass


def test_every_start_is_in_the_manifest(tmp_path) -> None:
    for number in range(2):
        with open_run(tmp_path / "run", SETTINGS, {"number": number}):
            pass
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest == {"starts": [{"number": 0}, {"number": 1}]}


def test_a_foreign_folder_is_refused_and_untouched(tmp_path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="holds no study"), open_run(tmp_path, SETTINGS, {}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_in_the_way(tmp_path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match="cannot be used"), open_run(tmp_path / "run", SETTINGS, {}):
        pass


KILLED_AT = """
import itertools, os, signal, sys
from pathlib import Path
from healthgan.run import open_run

syncs = itertools.count(1)

def fsync(_):
    if next(syncs) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

os.fsync = fsync
with open_run(Path(sys.argv[1]), "a = 1", {}) as folder:
    folder.append({"key": "a"})
    folder.append({"key": "b"})
"""
"""A start that is killed when it sees something onto the disk for that time."""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_start_that_is_killed_at_any_write_leaves_a_folder_to_go_on_with(tmp_path) -> None:
    ends = []
    while not ends or ends[-1] != 0:
        path = tmp_path / str(len(ends))
        command = [sys.executable, "-c", KILLED_AT, str(path), str(len(ends) + 1)]
        ends.append(subprocess.run(command, check=False).returncode)
        with open_run(path, "a = 1", {}) as folder:
            assert [record["key"] for record in folder.records()] in ([], ["a"], ["a", "b"])
        assert not list(path.rglob("*.part"))
        assert not (path / ".lock-holder").exists()
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert len(ends) > 8, "the sign of the holder, settings, manifest and records are seen onto the disk"


def test_half_written_files_are_removed(tmp_path) -> None:
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        folder.artifact("x").mkdir(parents=True)
        (folder.artifact("x") / ".one.txt.123.part").write_text("half")
        (folder.artifact("x") / ".123.part").mkdir()
        (folder.artifact("x") / ".123.part" / "whole").write_text("half")
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        assert list(folder.artifact("x").iterdir()) == []


@pytest.mark.parametrize("error", [None, InputError("x"), KeyboardInterrupt()])
def test_what_a_killed_worker_left_half_written_is_removed_at_the_end(tmp_path, error) -> None:
    part = tmp_path / "run" / "artifacts" / ".one.npz.123.part"
    ends = suppress(InputError, KeyboardInterrupt)  # the test's own
    with ends, open_run(tmp_path / "run", SETTINGS, {}) as folder:
        folder.artifact("x").mkdir(parents=True)
        part.write_text("half")
        if error is not None:
            raise error
    assert not part.exists()


def test_what_another_process_writes_after_it_took_over_is_left_alone(tmp_path) -> None:
    part = tmp_path / "run" / ".one.npz.123.part"
    with open_run(tmp_path / "run", SETTINGS, {}):
        (tmp_path / "run" / ".lock-holder").write_text('{"process": 1, "host": "other"}')
        part.write_text("half")
    assert part.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail(part) -> None:
        part.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.txt", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_temporary_files_are_private_and_results_are_not(tmp_path) -> None:
    modes = []

    def write(part) -> None:
        modes.append(part.stat().st_mode & 0o777)
        part.write_text("x")

    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a.txt", write)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_ends_in_one_message(tmp_path, number) -> None:
    with (
        pytest.raises(InputError, match=r"can't be written any more: .*Make room; what is finished is kept"),
        open_run(tmp_path / "run", SETTINGS, {}),
    ):
        raise OSError(number, os.strerror(number))


def test_a_disk_that_is_full_at_the_start_is_told_as_one(tmp_path) -> None:
    """Here a file of this process may hold ten bytes."""
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        folder.append({"key": "a"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with (
            pytest.raises(
                InputError, match=r"can't be written any more: .*Make room; what is finished is kept"
            ),
            open_run(tmp_path / "run", SETTINGS, {}),
        ):
            pytest.fail("it started")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        assert [record["key"] for record in folder.records()] == ["a"]


def test_records_on_a_full_disk(tmp_path) -> None:
    """Linux's /dev/full takes the place of the file: the write itself fails, as the system has it."""
    RunFolder(tmp_path).records_file.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        RunFolder(tmp_path).append({"key": "a"})


@pytest.mark.parametrize(
    ("take", "what"),
    [
        (lambda: np.empty(2**60, np.uint8), "memory"),
        (lambda: torch.empty(2**60, dtype=torch.uint8), "memory"),
        (lambda: failing(torch.OutOfMemoryError("CUDA out of memory.")), "memory on the GPU"),
        (lambda: failing(OSError(errno.ENOMEM, "Cannot allocate memory")), "memory"),
    ],
    ids=["NumPy", "PyTorch", "GPU", "system"],
)
def test_too_little_memory_ends_in_one_message(take, what, tmp_path) -> None:
    said = rf"too little {what}\. Take fewer --jobs; what is finished is kept"
    with pytest.raises(InputError, match=said), open_run(tmp_path / "run", SETTINGS, {}):
        take()


def failing(error: Exception) -> None:
    raise error


def test_other_errors_are_ours(tmp_path) -> None:
    with pytest.raises(FileNotFoundError), open_run(tmp_path / "run", SETTINGS, {}):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    with pytest.raises(RuntimeError, match="shapes"), open_run(tmp_path / "run", SETTINGS, {}):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("content", ["{", "[]", '{"starts": 3}', '{"a":' * 5000])
def test_a_damaged_manifest_is_named(tmp_path, content) -> None:
    with open_run(tmp_path / "run", SETTINGS, {}):
        pass
    (tmp_path / "run" / "manifest.json").write_text(content)
    with (
        pytest.raises(InputError, match=r"manifest\.json' is damaged\. Restore it, or remove it"),
        open_run(tmp_path / "run", SETTINGS, {}),
    ):
        pass


def test_equal_runs() -> None:
    one = [{"key": "b", "x": 1, "time_seconds": 3}, {"key": "a", "x": 2}]
    two = [{"key": "a", "x": 9}, {"key": "a", "x": 2, "time_seconds": 1}, {"key": "b", "x": 1}]
    assert without_times(one) == without_times(two) == [{"key": "a", "x": 2}, {"key": "b", "x": 1}]
