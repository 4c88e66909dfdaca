"""Objects whose arrays several processes read in one place."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from healthgan.executors import Job, Report, Result, run_jobs
from healthgan.sharing import LEAST, received, share


@dataclass(frozen=True)
class Context:
    images: NDArray[np.uint8]
    again: NDArray[np.uint8]
    few: NDArray[np.float64]
    name: str
    folder: Path


def context(folder: Path) -> Context:
    images = np.random.default_rng(0).integers(0, 256, (500, 28, 28, 1), dtype=np.uint8)
    return Context(images, images, np.arange(3.0), "häart", folder)


def test_an_object_comes_back_as_it_was(tmp_path) -> None:
    given_, file = context(tmp_path), tmp_path / "arrays"
    shared = share(given_, file)
    assert len(shared.places) == 1, "an array that stands there twice is written once"
    assert len(shared.rest) < LEAST
    assert file.stat().st_mode & 0o777 == 0o600
    found = received(shared)
    assert np.array_equal(found.images, given_.images)
    assert found.again is found.images
    assert np.array_equal(found.few, given_.few)
    assert (found.name, found.folder) == (given_.name, given_.folder)


@given(
    st.lists(
        arrays.arrays(
            st.sampled_from([np.dtype("u1"), np.dtype("i8"), np.dtype("f4")]),
            arrays.array_shapes(max_dims=3, max_side=60),
        ),
        max_size=4,
    )
)
def test_arrays_of_any_size_and_layout_come_back(tmp_path_factory, values) -> None:
    values = [*values, *(value[::2].T for value in values)]
    found = received(share(values, tmp_path_factory.mktemp("shared") / "arrays"))
    for one, other in zip(found, values, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=other.dtype.kind == "f")


def test_who_writes_to_an_array_writes_to_a_copy(tmp_path) -> None:
    file = tmp_path / "arrays"
    shared = share(context(tmp_path), file)
    one, other = received(shared), received(shared)
    file.unlink()
    before = other.images.copy()
    one.images[:] = 7
    assert np.array_equal(other.images, before)


def test_a_file_that_could_not_be_finished_does_not_stay(tmp_path, monkeypatch) -> None:
    def full(self: Path, mode: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        share(context(tmp_path), tmp_path / "arrays")
    assert list(tmp_path.iterdir()) == []


def test_without_large_arrays_there_is_no_file(tmp_path) -> None:
    shared = share({"few": np.arange(4), "text": "x"}, tmp_path / "arrays")
    assert shared.file is None
    assert received(shared)["few"].tolist() == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def private_bytes(given_: Context, job: Job, report: Report) -> Result:
    """How many bytes of what holds the images are copies of this process's own, and which images they are."""
    place = given_.images.__array_interface__["data"][0]
    total = int(given_.images.sum(dtype=np.int64))  # every page is read
    own, inside = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(end, 16) for end in head.split("-"))
            inside = low <= place < high
        elif inside and head == "Anonymous:":
            own += 1024 * int(line.split()[1])
    seen = sorted(path.name for path in given_.folder.glob(".context.*.part"))
    return {"total": total, "own": own, "files": len(seen)}


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc/self/smaps")
def test_workers_hold_no_copy_of_the_images_and_the_file_goes(tmp_path) -> None:
    made = context(tmp_path)
    jobs = [Job(f"job-{number}", "work", {}) for number in range(2)]
    records = list(run_jobs(jobs, set(), private_bytes, made, 2, lambda _: None, scratch=tmp_path))
    assert [record["total"] for record in records] == [int(made.images.sum(dtype=np.int64))] * 2
    assert [record["own"] for record in records] == [0, 0]
    assert [record["files"] for record in records] == [1, 1]
    assert list(tmp_path.iterdir()) == []
