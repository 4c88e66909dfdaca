"""Files in MedMNIST's layout: every form that is allowed. What isn't is in test_bad_input.py."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from healthgan.images import SPLITS
from healthgan.sources import load
from healthgan.sources.npz import codes
from real_data import FOLDER, needs_data


def pixels(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_grey_with_all_splits_equals_what_was_written(tmp_path):
    arrays = {}
    for split, count in zip(SPLITS, (6, 4, 5), strict=True):
        arrays[f"{split}_images"] = pixels(count, 20, 17)
        arrays[f"{split}_labels"] = np.arange(count)[:, np.newaxis] % 2
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays)
    found = load(str(path))
    assert found.name == "mine"
    assert found.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert list(found) == ["train", "val", "test"]
    assert found.class_names == ("0", "1")
    assert found.notes == ()
    for split in found:
        np.testing.assert_array_equal(found[split].pixels[..., 0], arrays[f"{split}_images"])
        np.testing.assert_array_equal(found[split].labels, arrays[f"{split}_labels"][:, 0])
        assert found[split].labels.dtype == np.int64
        assert found[split].patients is None


@pytest.mark.parametrize(
    ("shape", "channels"), [((16, 16), 1), ((224, 224, 1), 1), ((16, 30, 3), 3)], ids=["NHW", "NHW1", "NHW3"]
)
def test_shapes_of_images(tmp_path, shape, channels):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=pixels(3, *shape), train_labels=np.array([0, 1, 2], np.int8))
    found = load(str(path))["train"]
    assert found.pixels.shape == (3, *shape[:2], channels)
    assert found.class_names == ("0", "1", "2")


def test_multi_label_with_names_and_patients(tmp_path):
    path = tmp_path / "a.npz"
    labels = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1]])
    np.savez(
        path,
        train_images=pixels(4, 16, 16),
        train_labels=labels,
        train_patients=np.array(["Zoe", "Al", "Zoe", "Bo"]),
        test_images=pixels(4, 16, 16, seed=1),
        test_labels=labels,
        test_patients=np.array(["Cy", "Bo", "Cy", "Cy"]),
        class_names=np.array(["mass", "Ödem", "x y"]),
    )
    found = load(str(path))
    assert found.multi_label
    assert found.class_names == ("mass", "Ödem", "x y")
    np.testing.assert_array_equal(found["test"].labels, labels)
    assert found["test"].labels.dtype == np.uint8
    np.testing.assert_array_equal(found["train"].patients, [0, 1, 0, 2])
    np.testing.assert_array_equal(found["test"].patients, [3, 2, 3, 3])


@pytest.mark.parametrize(
    ("stem", "labels", "names"),
    [
        ("pneumoniamnist", [0, 1], ("normal", "pneumonia")),
        ("pneumoniamnist_64", [0, 1], ("normal", "pneumonia")),
        ("pneumoniamnist", [0, 2], ("0", "1", "2")),
        ("pneumoniamnist_65", [0, 1], ("0", "1")),
        ("nomnist", [0, 1], ("0", "1")),
    ],
)
def test_official_class_names_where_the_file_is_called_so_and_the_labels_fit(tmp_path, stem, labels, names):
    path = tmp_path / f"{stem}.npz"
    np.savez(path, train_images=pixels(2, 28, 28), train_labels=np.array(labels))
    assert load(str(path)).class_names == names


def test_own_class_names_go_before_official_ones(tmp_path):
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(
        path,
        train_images=pixels(2, 28, 28),
        train_labels=np.array([0, 1]),
        class_names=np.array([b"a", b"b"]),
    )
    assert load(str(path)).class_names == ("a", "b")


def test_unused_arrays_are_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path, train_images=pixels(2, 28, 28), train_labels=np.array([0, 1]), train_patient=np.array([1, 2])
    )
    assert load(str(path)).notes == ("not used: train_patient",)


def test_size_resamples_every_split_and_is_noted(tmp_path):
    path = tmp_path / "a.npz"
    images = pixels(3, 300, 300)
    np.savez(path, train_images=images, train_labels=np.arange(3), val_images=images, val_labels=np.arange(3))
    found = load(str(path), size=100)
    means = images.reshape(3, 100, 3, 100, 3).mean((2, 4))
    for split in found:
        # Pillow rounds after each of its two passes: at most half a grey level each
        assert np.abs(found[split].pixels[..., 0] - means).max() <= 1.0 + 1e-9
    assert found.notes == ("300×300 pixels averaged by area to 100×100",)


def test_images_are_not_copied(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=pixels(2, 28, 28), train_labels=np.array([0, 1]))
    base = load(str(path))["train"].pixels.base
    assert base is not None
    assert base.size == 2 * 28 * 28


@given(hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(-3, 3)))
def test_codes_tell_the_same_apart_and_count_from_zero_by_first_appearance(identifiers):
    found = codes(identifiers)
    for i in range(len(found)):
        for j in range(i):
            assert (found[i] == found[j]) == (identifiers[i] == identifiers[j])
    first_seen = list(dict.fromkeys(found.tolist()))
    assert first_seen == list(range(len(first_seen)))


@needs_data("nihchest_28.npz")
def test_real_multi_label_file():
    found = load(str(FOLDER / "nihchest_28.npz"))
    counts = {
        s: (len(found[s]), int(found[s].members("cardiomegaly").sum()), int(found[s].members("normal").sum()))
        for s in found
    }
    assert counts == {"train": (7885, 208, 4569), "val": (1203, 21, 720), "test": (2881, 66, 1692)}
    assert [len(np.unique(found[s].patients)) for s in found] == [2049, 315, 790]
