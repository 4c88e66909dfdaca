"""Synthetic against real beside real against real."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.fidelity import halves
from healthgan.fidelity.distances import Pair
from healthgan.fidelity.features import FeatureSpace
from healthgan.fidelity.halves import against_real
from healthgan.fidelity.metrics import METRICS

PLAIN = FeatureSpace("plain", lambda pixels: (pixels.reshape(len(pixels), -1) - 128.0) / 16)


def pictures(count, seed, mean=128, sd=16):
    """2×3 pixels, independent and normal."""
    values = np.random.default_rng(seed).normal(mean, sd, (count, 2, 3, 1))
    return values.round().clip(0, 255).astype(np.uint8)


@given(st.lists(st.integers(1, 4), min_size=9, max_size=40), st.integers(0, 10**6))
@settings(deadline=None, max_examples=50)
def test_halves_share_no_patient_and_leave_nothing_out(sizes, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    for first, second in halves.draw_halves(groups, 5, np.random.default_rng(seed)):
        assert not set(groups[first]) & set(groups[second])
        assert sorted([*first, *second]) == list(range(len(groups)))
        assert min(len(first), len(second)) >= int(halves.EVEN * len(groups))


def test_values_are_the_measures_of_the_drawn_sets():
    real, synthetic = pictures(40, 0), pictures(30, 1)
    found = against_real(PLAIN, real, None, synthetic, np.random.default_rng(7), halves=6)
    rng = np.random.default_rng(7)
    made = synthetic[rng.permutation(30)]
    values = {name: ([], []) for name in METRICS}
    for first, second in halves.draw_halves(np.arange(40), 6, rng):
        drawn = made[rng.permutation(30)[:20]]
        for name, metric in METRICS.items():
            for kept, judged in zip(values[name], (drawn, real[second]), strict=True):
                kept.append(metric.measure(Pair(PLAIN.features(real[first]), PLAIN.features(judged))))
    for name, (value, floor) in values.items():
        # the sums behind KID, the largest here, are of terms up to (6·16/6 + 1)³ < 5,000, right to 1e-15 each
        assert found[name].value == pytest.approx(np.mean(value), abs=1e-9)
        assert found[name].floor == pytest.approx(np.mean(floor), abs=1e-9)
        assert (found[name].low, found[name].high) == pytest.approx(
            tuple(np.quantile(value, [0.025, 0.975])), abs=1e-9
        )
        assert found[name].n == 20
        assert found[name].halves == 6


def test_a_perfect_generator_reaches_every_goal():
    """60 of 60 did in a simulation: so the chance of a miss is under 5 %, and of four in 20 under 2 %."""
    missed = dict.fromkeys(METRICS, 0)
    for seed in range(20):
        found = against_real(
            PLAIN, pictures(60, seed), None, pictures(60, seed + 100), np.random.default_rng(seed), halves=40
        )
        for name, metric in METRICS.items():
            value = found[name]
            missed[name] += value.reached is False
            assert (value.reached is None) == (metric.goal is None)
            assert metric.lowest <= value.low <= value.value <= value.high <= metric.highest
            assert metric.lowest <= value.floor_low <= value.floor <= value.floor_high <= metric.highest
    assert max(missed.values()) <= 3


def test_poor_generators_miss_the_goals():
    real = pictures(200, 0)
    far = against_real(PLAIN, real, None, pictures(200, 1, mean=160), np.random.default_rng(0), halves=60)
    assert {name for name, found in far.items() if found.reached is False} == {
        "kid", "fid", "density", "coverage"
    }  # fmt: skip
    narrow = against_real(PLAIN, real, None, pictures(200, 1, sd=4), np.random.default_rng(0), halves=60)
    assert narrow["density"].reached, "crowding in the middle is dense"
    assert narrow["coverage"].reached is False
    assert narrow["recall"].value < narrow["recall"].floor_low


def test_limits_follow_the_goals():
    found = against_real(PLAIN, pictures(60, 0), None, pictures(60, 1), np.random.default_rng(0), halves=20)
    assert found["kid"].limit == found["kid"].floor_high
    assert found["kid"].ratio is None
    assert found["fid"].limit == 2 * found["fid"].floor
    assert found["coverage"].limit == 0.8 * found["coverage"].floor
    assert found["fid"].ratio == found["fid"].value / found["fid"].floor
    assert found["precision"].limit is None


def test_patients_who_look_alike_raise_the_floor():
    """Four equal images a patient: halves of patients differ more than halves of images would."""
    real = np.repeat(pictures(30, 0), 4, axis=0)
    groups = np.repeat(np.arange(30), 4)
    together = against_real(PLAIN, real, groups, real, np.random.default_rng(0), halves=40)
    apart = against_real(PLAIN, real, None, real, np.random.default_rng(0), halves=40)
    assert together["kid"].floor > apart["kid"].floor_high


def test_the_same_generator_gives_the_same_and_codes_do_not_matter():
    real, synthetic = pictures(50, 0), pictures(50, 1)
    groups = np.arange(50) // 2
    first = against_real(PLAIN, real, groups, synthetic, np.random.default_rng(3), halves=5)
    assert first == against_real(PLAIN, real, groups * 17 + 5, synthetic, np.random.default_rng(3), halves=5)
    assert first != against_real(PLAIN, real, groups, synthetic, np.random.default_rng(4), halves=5)


def test_of_many_images_a_part_is_compared(monkeypatch):
    monkeypatch.setattr(halves, "MOST", 40)
    found = against_real(
        PLAIN, pictures(200, 0), np.arange(200) // 3, pictures(200, 1), np.random.default_rng(0), halves=5
    )
    assert 17 <= found["kid"].n <= 20


def test_few_synthetic_images_set_n():
    found = against_real(PLAIN, pictures(60, 0), None, pictures(12, 1), np.random.default_rng(0), halves=5)
    assert found["fid"].n == 12


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="30 real images of 11 patients cannot be halved"):
        against_real(PLAIN, pictures(30, 0), np.maximum(np.arange(30) - 19, 0), pictures(30, 1), rng)
    for real, synthetic in ((8, 30), (30, 5), (30, 0)):
        with pytest.raises(InputError, match="too few to compare"):
            against_real(PLAIN, pictures(real, 0), None, pictures(synthetic, 1), rng)
