"""The run folder: whole records, verified artefacts, one user at a time."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.files import write_atomically, write_text
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


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_torn_last_line_is_dropped(tmp_path, cut) -> None:
    folder = RunFolder(tmp_path)
    folder.append({"key": "a"})
    folder.append({"key": "b"})
    content = folder.records_file.read_bytes()
    folder.records_file.write_bytes(content[:-cut])
    folder.drop_torn_line()
    assert folder.records() == [{"key": "a"}]
    folder.append({"key": "c"})
    assert folder.records()[-1] == {"key": "c"}


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


def test_one_process_at_a_time(folder) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom healthgan.run import open_run\n"
        "with open_run(Path(sys.argv[1]), 'seed = 0\\n', {}): pass"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True, check=False
    )
    assert "InputError: Another process works on the study" in result.stderr
    assert "process " in result.stderr.splitlines()[-1]


def test_a_file_in_the_way(tmp_path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match="cannot be used"), open_run(tmp_path / "run", SETTINGS, {}):
        pass


def test_half_written_files_are_removed(tmp_path) -> None:
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        folder.artifact("x").mkdir(parents=True)
        (folder.artifact("x") / ".one.txt.123.part").write_text("half")
    with open_run(tmp_path / "run", SETTINGS, {}) as folder:
        assert list(folder.artifact("x").iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fail(part) -> None:
        part.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.txt", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_equal_runs() -> None:
    one = [{"key": "b", "x": 1, "time_seconds": 3}, {"key": "a", "x": 2}]
    two = [{"key": "a", "x": 9}, {"key": "a", "x": 2, "time_seconds": 1}, {"key": "b", "x": 1}]
    assert without_times(one) == without_times(two) == [{"key": "a", "x": 2}, {"key": "b", "x": 1}]
