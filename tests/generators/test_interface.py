"""Any object with fit and sample is a generator, and what it gives is checked before it is used."""

import numpy as np
import pytest

from healthgan.errors import InputError
from healthgan.generators.interface import (
    check_generated,
    check_generator,
    declared_checks,
    heldout_suspects,
)
from healthgan.sources.phantom import Counts, phantom_images

GOOD = np.zeros((3, 16, 18, 1), np.uint8)


class Foreign:
    def fit(self, images, labels):
        self.means = {label: images[labels == label].mean(axis=0) for label in np.unique(labels)}
        return self

    def sample(self, n, label, seed):
        noise = np.random.default_rng(seed).normal(0, 9, (n, *self.means[label].shape))
        return (self.means[label] + noise).clip(0, 255).astype(np.uint8)


class NoSample:
    fit = Foreign.fit


def test_an_object_with_both_methods_is_a_generator():
    foreign = Foreign()
    assert check_generator(foreign) is foreign


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (NoSample(), r"NoSample without sample; an object with fit\(images, labels\)"),
        (None, r"NoneType without fit and sample"),
        (Foreign, r"the class Foreign; an object"),
        (NoSample, r"the class NoSample without sample"),
    ],
)
def test_what_is_no_generator(given, message):
    with pytest.raises(InputError, match=message):
        check_generator(given)


def test_good_images_come_back_as_they_are():
    assert check_generated(GOOD, n=3, shape=(16, 18, 1)) is GOOD


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            GOOD.tolist(),
            r"gave list; sample\(3, label, seed\) must return an array \(3, 16, 18, 1\) of uint8",
        ),
        (GOOD / 255, r"images of float64; .*scaled to 0…255"),
        (GOOD[:2], r"shape \(2, 16, 18, 1\)"),
        (GOOD[..., 0], r"shape \(3, 16, 18\)"),
        (np.repeat(GOOD, 3, 3), r"shape \(3, 16, 18, 3\)"),
    ],
)
def test_other_things_are_refused(images, message):
    with pytest.raises(InputError, match=message):
        check_generated(images, n=3, shape=(16, 18, 1))


def test_a_users_own_generator_goes_through_both_checks():
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 18, 1), np.uint8)
    made = check_generator(Foreign()).fit(images, np.array([0, 0, 0, 1, 1, 1])).sample(4, 1, seed=2)
    assert check_generated(made, n=4, shape=images.shape[1:]) is made


def test_held_out_images_among_the_synthetic_ones_are_counted():
    rng = np.random.default_rng(0)
    made, heldout = (rng.integers(0, 256, (n, 16, 18, 1), np.uint8) for n in (30, 20))
    counts = {"synthetic": 30, "heldout": 20, "heldout_found": 0, "heldout_found_mirrored": 0}
    assert declared_checks(made, heldout) == counts
    leaked = np.concatenate([made, heldout[:3], heldout[2:3], heldout[5:7, :, ::-1]])
    found = {"synthetic": 36, "heldout_found": 3, "heldout_found_mirrored": 2}
    assert declared_checks(leaked, heldout) == counts | found


def test_altered_copies_of_held_out_images_are_found():
    train = phantom_images(Counts(150, 150))
    heldout = phantom_images(Counts(20, 20), split="test")
    new = phantom_images(Counts(0, 100), split="val").pixels
    rng = np.random.default_rng(0)
    copies = np.rint(heldout.pixels[:10] + rng.normal(0, 5, heldout.pixels[:10].shape)).clip(0, 255)
    given = (heldout.pixels, heldout.patients, train.pixels, train.patients, 0)
    clean = heldout_suspects(new, *given)
    assert (clean["images"], clean["expected"]) == (100, 1.0)
    # of 100 images at 1 %, more than 5 are suspects with probability 5e-4 (binomial)
    assert clean["suspects"] <= 5
    leaked = heldout_suspects(np.concatenate([new, copies.astype(np.uint8)]), *given)
    assert leaked["suspects"] == clean["suspects"] + 10


def test_pictures_stored_twice_do_not_set_the_thresholds():
    """Training images that show held-out pictures in other contrast hid copies while they counted as negatives."""
    train = phantom_images(Counts(75, 75))
    heldout = phantom_images(Counts(20, 20), split="test")
    rng = np.random.default_rng(0)
    again = np.rint(20 + 0.8 * heldout.pixels).astype(np.uint8)
    stored_twice = (
        np.concatenate([train.pixels, again]),
        np.concatenate([train.patients, 10**6 + np.arange(40)]),
    )
    copies = np.rint(heldout.pixels + rng.normal(0, 5, heldout.pixels.shape)).clip(0, 255).astype(np.uint8)
    given = (copies, heldout.pixels, heldout.patients)
    found = heldout_suspects(*given, *stored_twice, 0)
    assert found == heldout_suspects(*given, train.pixels, train.patients, 0)
    assert (found["suspects"], found["calibrated_on"]) == (40, 150)
    with pytest.raises(InputError, match="at least two are needed"):
        heldout_suspects(*given, again, np.arange(40), 0)
