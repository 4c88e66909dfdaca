import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.images import SPLITS
from healthgan.sources.phantom import CLASSES, Counts, phantom, phantom_images
from healthgan.sources.phantom_patients import RATIO_LIMIT, make_patients, patient_draws
from healthgan.sources.thorax import Pose, attenuation

FEW = {"train": Counts(30, 10), "val": Counts(8, 4), "test": Counts(20, 20)}


def ratios(images):
    return images.columns["ctr"].astype(float)


def of_label(images, label):
    return images.take(np.flatnonzero(images.labels == label))


def chests(count, *, seed=0, label=1, label_noise=0.5):
    rng = np.random.default_rng(seed)
    return make_patients([patient_draws(rng) for _ in range(count)], label, label_noise)


def test_default_counts_are_exact():
    collection = phantom(size=16)
    found = {split: np.bincount(collection[split].labels).tolist() for split in collection}
    assert found == {"train": [1000, 200], "val": [200, 40], "test": [1600, 400]}
    assert collection.name == "phantom"
    assert collection.class_names == ("normal", "cardiomegaly") == CLASSES


def test_only_the_splits_that_are_asked_for():
    assert list(phantom(counts={"train": Counts(3, 2)})) == ["train"]


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(16, 224), normal=st.integers(0, 3), cardiomegaly=st.integers(0, 3), seed=st.integers(0)
)
def test_any_size_and_count(size, normal, cardiomegaly, seed):
    if normal + cardiomegaly == 0:
        normal = 1
    images = phantom_images(Counts(normal, cardiomegaly), size=size, seed=seed)
    assert images.pixels.shape == (normal + cardiomegaly, size, size, 1)
    assert images.pixels.dtype == np.uint8
    assert images.labels.dtype == images.patients.dtype == np.int64
    assert np.bincount(images.labels, minlength=2).tolist() == [normal, cardiomegaly]
    assert images.pixels.reshape(len(images), -1).std(axis=1).min() > 5  # a picture, not one grey


def test_the_label_of_an_image_is_its_patients():
    images = phantom_images(Counts(300, 300), size=16, label_noise=0)
    assert np.array_equal(images.labels == 1, ratios(images) > RATIO_LIMIT)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("rate", [0, 0.05, 0.3, 1])
def test_label_noise_has_the_rate_that_is_asked_for(label, rate):
    people = 20_000
    ill = ratios(chests(people, label=label, label_noise=rate)) > RATIO_LIMIT
    wrong = (ill != bool(label)).mean()
    assert abs(wrong - rate) <= 4.5 * np.sqrt(rate * (1 - rate) / people)  # 1 in 150,000 by chance


def test_images_a_patient():
    images = phantom_images(Counts(3000, 0), size=16, images_per_patient=1.7)
    patients = len(np.unique(images.patients))
    # geometric with mean m has variance m (m − 1); by the delta method the mean of n patients varies by this
    assert abs(len(images) / patients - 1.7) < 4.5 * np.sqrt(1.7 * 0.7 / patients)
    single = phantom_images(Counts(50, 50), size=16, images_per_patient=1)
    assert len(np.unique(single.patients)) == 100


def test_no_patient_stands_in_two_splits_or_has_two_labels():
    collection = phantom(size=16, counts=FEW)
    patients = [set(collection[split].patients) for split in SPLITS]
    assert sum(map(len, patients)) == len(set.union(*patients))
    train = collection["train"]
    assert not set(train.patients[train.labels == 0]) & set(train.patients[train.labels == 1])


def test_images_of_a_patient_differ_but_share_what_is_true_of_the_patient():
    images = phantom_images(Counts(60, 60), size=28)
    several = [p for p in np.unique(images.patients) if np.sum(images.patients == p) > 1]
    assert len(several) > 10
    for patient in several:
        own = images.take(np.flatnonzero(images.patients == patient))
        assert len(np.unique(own.pixels, axis=0)) == len(own)
        assert all(len(set(values)) == 1 for values in own.columns.values())


def test_columns():
    images = phantom_images(Counts(500, 500), size=16)
    assert set(images.columns) == {"ctr", "sex", "age_band"}
    assert set(images.columns["sex"]) == {"F", "M"}
    assert set(images.columns["age_band"]) == {"18-44", "45-64", "65-90"}
    assert all(len(ctr) == 5 and 0.2 < float(ctr) < 0.8 for ctr in images.columns["ctr"])


@settings(max_examples=15, deadline=None)
@given(
    small=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    more=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    split=st.sampled_from(SPLITS),
    seed=st.integers(0, 2**32),
)
def test_the_first_images_do_not_depend_on_how_many_follow(small, more, split, seed):
    few = phantom_images(Counts(*small), split=split, seed=seed)
    many = phantom_images(Counts(small[0] + more[0], small[1] + more[1]), split=split, seed=seed)
    for label in (0, 1):
        first, all_of_label = of_label(few, label), of_label(many, label)
        same = all_of_label.take(np.arange(len(first)))
        assert np.array_equal(first.pixels, same.pixels)
        assert np.array_equal(first.patients, same.patients)
        assert all(np.array_equal(first.columns[name], same.columns[name]) for name in first.columns)


def test_a_seed_gives_the_same_images_and_another_seed_and_split_others():
    one, again = phantom(counts=FEW, seed=5), phantom(counts=FEW, seed=5)
    other = phantom(counts=FEW, seed=6)
    for split in SPLITS:
        assert np.array_equal(one[split].pixels, again[split].pixels)
        assert np.array_equal(one[split].patients, again[split].patients)
        assert not np.any(np.all(one[split].pixels == other[split].pixels, axis=(1, 2, 3)))
    everything = np.concatenate([one[split].pixels for split in SPLITS])
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_labels_are_spread_over_the_set():
    labels = phantom_images(Counts(100, 20), size=16).labels
    assert labels.reshape(10, 12).sum(axis=1).tolist() == [2] * 10


@pytest.mark.parametrize("finer", [2, 4])
def test_the_same_chest_at_another_size(finer):
    counts = Counts(40, 40)
    small = phantom_images(counts, size=28).pixels[..., 0].astype(float)
    large = phantom_images(counts, size=28 * finer).pixels[..., 0].astype(float)
    shrunk = large.reshape(80, 28, finer, 28, finer).mean(axis=(2, 4))
    assert (
        np.abs(shrunk - small).mean() < 4
    )  # of 255: noise of both, and the order of averaging and film curve
    others = np.abs(np.roll(shrunk, 7, axis=0) - small).mean()
    assert others > 20


def straight(count):
    zero = np.zeros(count, np.float32)
    return Pose(zero, zero, zero, zero + 1)


def test_the_heart_is_as_wide_on_the_film_as_the_column_says():
    patients = chests(40)
    chest = replace(
        patients.chest,
        **{
            name: np.zeros(40, np.float32) for name in ("texture", "bone", "haze", "breast", "stomach", "gas")
        },
        mediastinum=np.full(40, 0.03, np.float32),
    )
    size = 224
    film = attenuation(chest, straight(40), size)
    without = attenuation(replace(chest, lung_air=np.zeros(40, np.float32)), straight(40), size)
    air = (without - film) / chest.lung_air[:, None, None]  # 1 in the lungs, 0 elsewhere
    grid = (np.arange(size) + 0.5) * (2 / size) - 1
    found = []
    for i in range(40):
        inside = air[i] > 0.5
        lungs = inside.any(axis=0)
        thorax = np.ptp(grid[lungs])
        # as on a real film: from the midline to the heart's outermost points, not always at one height
        left, right = [], []
        for row in np.flatnonzero(grid < chest.diaphragm[i] - 0.03):
            if (inside[row] & (grid > 0)).any() and (inside[row] & (grid < 0)).any():
                left.append(grid[inside[row] & (grid > 0)].min())
                right.append(-grid[inside[row] & (grid < 0)].max())
        found.append((max(left) + max(right)) / thorax)
    error = np.array(found) - patients.columns["ctr"].astype(float)
    assert np.abs(error).max() < 0.03  # a pixel of the film is 0.007 of a thorax; edges are soft over several


def test_the_patients_left_is_on_the_right_of_the_film():
    pixels = phantom_images(Counts(500, 500)).pixels.astype(float).mean(axis=(0, 3))
    assert pixels[12:17, 15:20].mean() > pixels[12:17, 8:13].mean() + 10  # the heart
    assert pixels[6:14, 8:11].mean() < 0.75 * pixels[6:14, 13:15].mean()  # dark lungs, bright middle
    chest = chests(200).chest
    small = np.full(200, 0.1, np.float32)
    film = attenuation(replace(chest, heart_width=small, heart_height=small), straight(200), 64)
    domes = film[:, 32:56].mean(axis=1)
    assert np.all(domes[:, 14:24].mean(axis=1) > domes[:, 40:50].mean(axis=1) - 0.05)
    assert domes[:, 14:24].mean() > domes[:, 40:50].mean() + 0.01  # the dome above the liver stands higher


def test_no_chest_of_many_is_broken():
    film = attenuation(chests(3000, seed=1).chest, straight(3000), 16)
    assert np.isfinite(film).all()
    assert film.dtype == np.float32
    assert film.min() > -0.2
    assert film.max() < 2


def test_a_shift_moves_the_picture():
    chest = chests(5).chest
    still = attenuation(chest, straight(5), 64)
    moved = attenuation(chest, replace(straight(5), right=np.full(5, 2 * 6 / 64, np.float32)), 64)
    assert np.allclose(moved[:, :, 6:], still[:, :, :-6], atol=1e-3)


def test_speed():
    """10,000 images in 10 s are the aim; noisy machines get 2.5 times that, and slow ones as much more as they need for NumPy.

    Twenty times the yardstick are as long on the machine that the aim was set on, where 2,000 images take nine of them.
    """
    phantom_images(Counts(50, 50))
    values = np.random.default_rng(0).normal(size=(2000, 784)).astype(np.float32)
    taken = yardstick = np.inf
    for _ in range(5):  # the best of several, as other processes disturb one or another
        yardstick = min(yardstick, processor_seconds(lambda: [np.exp(-values * values) for _ in range(50)]))
        taken = min(taken, processor_seconds(lambda: phantom_images(Counts(1000, 1000))))
        allowed = max(2 * 2.5, 20 * yardstick)
        if taken < allowed:
            break
    assert taken < allowed


def processor_seconds(act):
    start = time.process_time()
    act()
    return time.process_time() - start


@pytest.mark.parametrize(
    ("counts", "settings", "says"),
    [
        (Counts(-1, 5), {}, "-1 normal phantom images"),
        (Counts(5, -2), {}, "-2 cardiomegaly phantom images"),
        (Counts(0, 0), {}, "No phantom images"),
        (Counts(5, 5), {"size": 15}, "16 to 224"),
        (Counts(5, 5), {"size": 225}, "16 to 224"),
        (Counts(5, 5), {"seed": -1}, "The seed is -1"),
        (Counts(5, 5), {"label_noise": -0.1}, "from 0 to 1"),
        (Counts(5, 5), {"label_noise": 1.1}, "from 0 to 1"),
        (Counts(5, 5), {"label_noise": float("nan")}, "from 0 to 1"),
        (Counts(5, 5), {"images_per_patient": 0.9}, "1 or more"),
        (Counts(5, 5), {"images_per_patient": float("inf")}, "1 or more"),
    ],
)
def test_what_cannot_be_simulated(counts, settings, says):
    with pytest.raises(InputError, match=says):
        phantom_images(counts, **settings)
    with pytest.raises(InputError, match=says):
        phantom(counts={"train": counts}, **settings)
