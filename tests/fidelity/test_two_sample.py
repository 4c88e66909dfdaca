"""Real or synthetic, as the study tested it and in balanced steps, and the floor of the test."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from healthgan.errors import InputError
from healthgan.fidelity import real_or_synthetic, two_sample
from healthgan.fidelity.features import SCALED
from healthgan.fidelity.two_sample import real_or_real, real_or_synthetic_balanced

CPU = torch.device("cpu")


def texture(count, seed, coarse=False):
    """Noise; coarse: of 2×2 pixels, with the same histogram."""
    rng = np.random.default_rng(seed)
    if not coarse:
        return rng.integers(60, 190, (count, 16, 16, 1), dtype=np.uint8)
    return np.kron(rng.integers(60, 190, (count, 8, 8)), np.ones((2, 2)))[..., None].astype(np.uint8)


def balanced(synthetic, fresh, seed=0, steps=60):
    return real_or_synthetic_balanced(
        texture(40, 0), synthetic, heldout_real=texture(30, 1), heldout_patients=np.arange(30) // 2, fresh=fresh,
        seed=seed, device=CPU, steps=steps, classifiers=2,
    )  # fmt: skip


def test_what_looks_different_is_found_out():
    found = balanced(texture(60, 2, coarse=True), texture(50, 3, coarse=True))
    assert found.auroc > 0.9
    assert found.auroc_low > 0.8
    assert found.real_images == found.generated_images == 40
    assert (found.heldout_images, found.heldout_patients, found.fresh_images) == (30, 15, 50)


def test_what_is_alike_is_not():
    """Noise against noise: the interval holds 0.5, and equal sets are compared."""
    found = balanced(texture(25, 2), texture(50, 3))
    assert found.auroc_low < 0.5 < found.auroc_high
    assert found.real_images == found.generated_images == 25
    assert found.auroc == np.mean(found.aurocs)


def test_the_seed_decides():
    synthetic, fresh = texture(60, 2, coarse=True), texture(50, 3, coarse=True)
    first = balanced(synthetic, fresh, steps=3)
    assert asdict(first) == asdict(balanced(synthetic, fresh, steps=3))
    assert first.aurocs != balanced(synthetic, fresh, seed=1, steps=3).aurocs
    assert first.aurocs[0] != first.aurocs[1]


def floor(real, patients, heldout, heldout_patients, **changes):
    settings = {"seed": 0, "device": CPU, "steps": 60, "classifiers": 2} | changes
    return real_or_real(
        real,
        np.array(patients),
        heldout_real=heldout,
        heldout_patients=np.array(heldout_patients),
        **settings,
    )


def test_patients_stay_whole_in_the_floor(monkeypatch):
    """Every image is its patient's grey level, so the images say whose they are."""
    pools = []

    def remember(classifier, trained_on, steps):
        pools.extend({int(image[0, 0, 0]) for image in pool} for pool in trained_on)
        assert len(trained_on[0]) == len(trained_on[1])

    monkeypatch.setattr(two_sample, "fit_balanced", remember)
    patients = np.repeat(np.arange(20), 3)
    real = np.ones((60, 16, 16, 1), np.uint8) * patients[:, None, None, None].astype(np.uint8)
    found = floor(real, patients, real[:30] + 100, patients[:30])
    assert len(pools) == 4
    assert not pools[0] & pools[1]
    assert pools[:2] == pools[2:], "all classifiers see one division"
    assert (found.heldout_images, found.fresh_images, found.heldout_patients) == (15, 15, 5)


def test_the_floor_is_a_toss_up():
    """Mean over divisions in which an image is as often of the one half as of the other: 0.5."""
    found = floor(texture(60, 0), np.arange(60) // 2, texture(60, 1), np.arange(60) // 2)
    error = (found.auroc_high - found.auroc_low) / (2 * 1.96) / np.sqrt(two_sample.DIVISIONS)
    assert found.auroc == pytest.approx(0.5, abs=4 * error)
    # a rank sum of 30 against 30 has the standard error sqrt(61 / (12 · 30 · 30)) = 0.075, and the mean of
    # two classifiers between 0.053 (unrelated) and that; patients of two images may add up to a factor of 1.41
    assert 2 * 1.96 * 0.053 * 0.85 < found.auroc_high - found.auroc_low < 2 * 1.96 * 0.075 * 1.41 * 1.15


def test_few_patients_widen_the_floor():
    """A patient's images are equal, so 60 of 6 patients tell no more than six."""
    images = np.repeat(texture(6, 1), 10, axis=0)
    few = floor(texture(60, 0), np.arange(60), images, np.arange(60) // 10, steps=10)
    many = floor(texture(60, 0), np.arange(60), texture(60, 1), np.arange(60), steps=10)
    assert few.auroc_high - few.auroc_low > 1.5 * (many.auroc_high - many.auroc_low)


def test_one_patient_makes_no_floor():
    with pytest.raises(InputError, match="60 real images of 1 patients cannot be halved"):
        floor(texture(60, 0), np.zeros(60, np.int64), texture(9, 1), np.arange(9))


def test_the_studys_test_still_passes_over_all_images():
    """20 epochs of 100 images in batches of 32: 80 steps; what looks different is found out here too."""
    told = []
    found = real_or_synthetic(
        texture(50, 0), texture(50, 2, coarse=True), heldout_real=texture(30, 1), heldout_patients=np.arange(30),
        fresh=texture(40, 3, coarse=True), recipe=SCALED, epochs=20, classifiers=2, seed=0, device=CPU,
        progress=told.append,
    )  # fmt: skip
    assert found.auroc > 0.9
    assert told == [1, 2]
    assert found.heldout_patients == 30
