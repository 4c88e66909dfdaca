"""No patient and no duplicate in two splits; folds equal to scikit-learn's."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from healthgan.errors import InputError
from healthgan.images import NORMAL, Collection, ImageSet
from healthgan.splits import duplicates, keep_apart, pixel_hashes, split_collection, stratified_folds


def images(values, labels=None, patients=None, names=("a", "b"), columns=None):
    """Images told apart by one grey value each: equal values are duplicates."""
    values = np.asarray(values, np.uint8)
    pixels = np.broadcast_to(values[:, np.newaxis, np.newaxis, np.newaxis], (len(values), 16, 16, 1)).copy()
    labels = np.zeros(len(values), np.int64) if labels is None else np.asarray(labels)
    patients = None if patients is None else np.asarray(patients, np.int64)
    return ImageSet(pixels, labels, names, patients, columns or {})


def many(count, seed=0):
    """Pairwise different images."""
    pixels = np.zeros((count, 16, 16, 1), np.uint8)
    pixels.reshape(count, -1)[:, :4] = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)
    return pixels


def test_counts_of_duplicates_and_shared_patients():
    found = duplicates(
        Collection(
            "x",
            {
                "train": images([1, 1, 1, 2], patients=[0, 0, 1, 2]),
                "val": images([1, 1, 3], patients=[2, 3, 3]),
                "test": images([3, 2, 4], patients=[3, 0, 2]),
            },
        )
    )
    assert found.inside == {"train": 2, "val": 1, "test": 0}
    assert found.across == {("train", "val"): 2, ("train", "test"): 1, ("val", "test"): 1}
    assert found.patients == {("train", "val"): 1, ("train", "test"): 2, ("val", "test"): 2}


def test_patients_not_known_are_not_counted():
    assert duplicates(Collection("x", {"train": images([1]), "val": images([2])})).patients is None


def test_hashes_are_equal_exactly_where_pixels_are():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2, (60, 16, 16, 3), dtype=np.uint8)
    pixels[:, 1:] = 0
    pixels[:, 0, 3:] = 0
    pixels[:, 0, :3, 1:] = 0  # 8 different pictures at most
    found = pixel_hashes(ImageSet(pixels, np.zeros(60, np.int64), ("a",)))
    for i in range(60):
        for j in range(i):
            assert (found[i] == found[j]) == np.array_equal(pixels[i], pixels[j])


def test_pixels_that_are_not_contiguous_hash_the_same():
    one = ImageSet(many(8), np.zeros(8, np.int64), ("a",))
    wide = np.zeros((8, 16, 32, 1), np.uint8)
    wide[:, :, ::2] = many(8)
    assert pixel_hashes(ImageSet(wide[:, :, ::2], one.labels, ("a",))) == pixel_hashes(one)


def test_the_earlier_split_keeps_patients_and_duplicates():
    given_ = Collection(
        "x",
        {
            "train": images([1, 1, 2], labels=[0, 1, 0], patients=[0, 0, 1]),
            "val": images([3, 2, 4, 5], labels=[0, 1, 1, 0], patients=[0, 7, 3, 3]),
            "test": images([6, 4, 3, 9], labels=[0, 0, 1, 1], patients=[3, 8, 9, 10]),
        },
        notes=("kept",),
    )
    found, removed = keep_apart(given_)
    assert found["train"] is given_["train"]
    assert found["val"].pixels[:, 0, 0, 0].tolist() == [4, 5]
    assert found["val"].labels.tolist() == [1, 0]
    # 3 stood in val only under a patient of train, and went with it: test may keep it
    assert found["test"].pixels[:, 0, 0, 0].tolist() == [3, 9]
    assert found["test"].patients.tolist() == [9, 10]
    assert removed == {
        "train": {"patient": 0, "duplicate": 0},
        "val": {"patient": 1, "duplicate": 1},
        "test": {"patient": 1, "duplicate": 1},
    }
    assert found.notes == ("kept",)


def test_a_split_that_would_be_empty_is_refused():
    with pytest.raises(InputError, match=r"'x': every image of 'val' .* earlier split.*leave it out"):
        keep_apart(Collection("x", {"train": images([1, 2]), "val": images([2, 2])}))


values = st.lists(st.integers(0, 12), min_size=1, max_size=12)


@given(values, values, values, st.booleans(), st.integers(0, 99))
def test_afterwards_nothing_is_shared_and_what_was_apart_is_untouched(train, val, test, told, seed):
    rng = np.random.default_rng(seed)
    splits = {}
    for name, found in (("train", train), ("val", [*val, 100]), ("test", [*test, 101])):
        own = {"train": 20, "val": 21, "test": 22}[name]
        patients = np.append(rng.integers(0, 6, len(found) - 1), own) if told else None
        splits[name] = images(found, patients=patients)
    collection = Collection("x", splits)
    apart, removed = keep_apart(collection)
    after = duplicates(apart)
    assert not any(after.across.values())
    assert not any((after.patients or {}).values())
    assert sum(len(apart[s]) + sum(removed[s].values()) for s in apart) == sum(
        len(collection[s]) for s in collection
    )
    assert len(apart["train"]) == len(train)
    again, nothing = keep_apart(apart)
    assert all(count == 0 for split in nothing.values() for count in split.values())
    assert all(again[split] is apart[split] for split in apart)


def part_sizes(collection, member):
    return [int(collection[split].members(member).sum()) for split in ("train", "val", "test")]


def test_single_images_are_divided_exactly():
    labels = np.repeat([0, 1], [200, 30])
    found = split_collection(Collection("x", {"train": ImageSet(many(230), labels, ("a", "b"))}), 0)
    assert part_sizes(found, "a") == [140, 20, 40]
    assert part_sizes(found, "b") == [21, 3, 6]


@given(st.integers(0, 2**32), st.integers(60, 120), st.integers(1, 3), st.booleans())
def test_division_parts_no_patient_and_loses_nothing(seed, count, a_patient, multi):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 2), dtype=np.uint8) if multi else rng.integers(0, 2, count)
    patients = rng.integers(0, max(1, count // a_patient), count)
    pixels = many(count)
    pixels[rng.integers(count)] = pixels[rng.integers(count)]
    whole = ImageSet(
        pixels,
        labels,
        (NORMAL, "b") if seed % 2 else ("a", "b"),
        patients,
        {"n": np.arange(count).astype(str)},
    )
    found = split_collection(Collection("x", {"train": whole}), seed % 1000)
    assert sorted(int(n) for split in found for n in found[split].columns["n"]) == list(range(count))
    after = duplicates(found)
    assert not any(after.across.values())
    assert not any(after.patients.values())
    for split in found:
        place = found[split].columns["n"].astype(int)
        np.testing.assert_array_equal(found[split].labels, labels[place])
        np.testing.assert_array_equal(found[split].pixels, pixels[place])


@given(st.integers(0, 2**32), st.integers(2, 4))
def test_every_class_gets_its_share_to_within_one_image(seed, classes):
    rng = np.random.default_rng(seed)
    counts = rng.integers(20, 60, classes)
    labels = np.repeat(np.arange(classes), counts)
    names = tuple("abcd"[:classes])
    found = split_collection(Collection("x", {"train": ImageSet(many(len(labels)), labels, names)}), 1)
    for name, count in zip(names, counts, strict=True):
        for got, share in zip(part_sizes(found, name), (0.7, 0.1, 0.2), strict=True):
            assert abs(got - share * count) <= 1


def test_division_follows_the_seed_alone():
    whole = Collection("x", {"train": ImageSet(many(100), np.arange(100) % 2, ("a", "b"))})
    one, same, other = (split_collection(whole, seed) for seed in (1, 1, 2))
    for split in one:
        np.testing.assert_array_equal(one[split].pixels, same[split].pixels)
    assert not np.array_equal(one["test"].pixels, other["test"].pixels)


def test_division_of_what_is_split_or_too_small_is_refused():
    with pytest.raises(InputError, match=r"split already \(train, val\)"):
        split_collection(Collection("x", {"train": images([1]), "val": images([2])}), 0)
    with pytest.raises(InputError, match=r"6 images of 2 patients or different pictures: too few"):
        split_collection(
            Collection("x", {"train": images([1, 2, 3, 4, 5, 6], patients=[0, 0, 0, 1, 1, 1])}), 0
        )


@given(st.integers(0, 99), st.integers(2, 4))
def test_folds_are_scikit_learns(seed, n_folds):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [40, 17])
    patients = np.concatenate([rng.integers(0, 20, 40), rng.integers(20, 30, 17)])
    patients[-5:] = np.arange(100, 105)
    for people, splitter in ((None, StratifiedKFold), (patients, StratifiedGroupKFold)):
        folds = stratified_folds(labels, people, n_folds, seed)
        assert folds.dtype == np.int64
        parts = splitter(n_folds, shuffle=True, random_state=seed).split(labels, labels, people)
        for number, (_, held_out) in enumerate(parts):
            np.testing.assert_array_equal(np.flatnonzero(folds == number), held_out)
    for patient in np.unique(patients):
        assert len(np.unique(folds[patients == patient])) == 1


def test_folds_need_enough_of_each_class():
    with pytest.raises(InputError, match=r"The class number 1 has 2 images; 3 folds need 3"):
        stratified_folds(np.array([0, 0, 0, 1, 1]), None, 3, 0)
    with pytest.raises(InputError, match=r"The class number 1 has 2 patients; 3 folds need 3"):
        stratified_folds(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 4, 4]), 3, 0)
    with pytest.raises(InputError, match=r"The class 'wide' has 2 images; .* fewer folds"):
        stratified_folds(np.array([0, 0, 0, 1, 1]), None, 3, 0, ("narrow", "wide"))


def test_a_set_of_chest_x_ray_14s_size_is_searched_in_two_seconds():
    pixels = np.random.default_rng(0).integers(0, 256, (112_120, 28, 28, 1), dtype=np.uint8)
    pixels[-1] = pixels[0]
    whole = Collection("x", {"train": ImageSet(pixels, np.zeros(len(pixels), np.int64), ("a",))})
    taken = []
    while not taken or (min(taken) > 2 and len(taken) < 5):  # the best of several, as machines are busy
        start = time.process_time()
        assert duplicates(whole).inside == {"train": 1}
        taken.append(time.process_time() - start)
    assert min(taken) < 2  # about 0.2 s when measured
