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


@pytest.fixture(autouse=True)
def _one_thread():
    """The same bits are promised on one thread only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def test_patients_stay_whole_in_the_floor(monkeypatch):
    """Every image is its patient's grey level, so the images say whose they are."""
    seen = {}

    def remember(sides, **settings):
        seen.update(vars(sides))

    monkeypatch.setattr(two_sample, "_compare", remember)
    patients = np.repeat(np.arange(20), 3)
    real = np.full((60, 16, 16, 1), 1, np.uint8) * patients[:, None, None, None].astype(np.uint8)
    heldout = real[:30] + 100
    real_or_real(
        real, patients, heldout_real=heldout, heldout_patients=patients[:30] + 100, seed=0, device=CPU
    )
    sides = {name: set(seen[name][:, 0, 0, 0].tolist()) for name in ("real", "synthetic", "heldout", "fresh")}
    assert not sides["real"] & sides["synthetic"]
    assert not sides["heldout"] & sides["fresh"]
    assert sides["heldout"] | sides["fresh"] == set(range(100, 110))
    assert len(seen["real"]) == len(seen["synthetic"])
    assert sides["heldout"] == set(seen["heldout_groups"].tolist())
    assert sides["fresh"] == set(seen["fresh_groups"].tolist())


def test_the_floor_is_a_toss_up():
    found = real_or_real(
        texture(60, 0), np.arange(60) // 2, heldout_real=texture(60, 1), heldout_patients=np.arange(60) // 2,
        seed=0, device=CPU, steps=60, classifiers=2,
    )  # fmt: skip
    assert found.auroc_low < 0.5 < found.auroc_high
    assert found.heldout_images + found.fresh_images == 60


def test_one_patient_makes_no_floor():
    with pytest.raises(InputError, match="60 real images of 1 patients cannot be halved"):
        real_or_real(
            texture(60, 0), np.zeros(60, np.int64), heldout_real=texture(9, 1), heldout_patients=np.arange(9),
            seed=0, device=CPU,
        )  # fmt: skip


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
