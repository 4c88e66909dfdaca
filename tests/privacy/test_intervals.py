"""Intervals of shares, also where patients have several images, and draws of patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from healthgan.privacy.intervals import OneAPatient, Share


@pytest.mark.parametrize(("count", "total"), [(0, 300), (3, 1000), (50, 100), (7, 7)])
def test_clopper_pearson_is_scipys(count, total):
    found = Share.of(count, total)
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.count, found.total, found.share) == (count, total, count / total)


def test_no_hit_has_a_closed_form():
    assert Share.of(0, 300).high == pytest.approx(1 - 0.025 ** (1 / 300))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_patients_with_one_image_each_are_independent(hits):
    values = np.array(hits)
    found = Share.among_patients(values, np.arange(len(values))[::-1])
    assert (found.low, found.high) == pytest.approx(
        (Share.of(sum(hits), len(hits)).low, Share.of(sum(hits), len(hits)).high)
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=3, max_size=60), st.integers(2, 4))
def test_images_that_agree_count_once(hits, copies):
    """Every image repeated: the interval is that of the patients, up to the n − 1 of the two variances."""
    values = np.repeat(np.array(hits), copies)
    found = Share.among_patients(values, np.arange(len(values)) // copies)
    one = Share.of(sum(hits), len(hits))
    assert found.total == copies * len(hits)
    assert found.share == pytest.approx(one.share)
    assert (found.low, found.high) == pytest.approx((one.low, one.high), abs=1e-9)


def test_coverage_with_patients_of_several_images():
    """600 samples of 80 patients whose images go together: 95 % or more, less 3 standard errors of 0.9 points."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(600):
        patients = np.repeat(np.arange(80), rng.integers(1, 8, 80))
        rate = rng.beta(0.3, 2.7, 80)  # mean 0.1
        found = Share.among_patients(rng.random(len(patients)) < rate[patients], patients)
        covered += found.low <= 0.1 <= found.high
    assert covered / 600 >= 0.95 - 3 * 0.009


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 2**31))
def test_draws_are_of_different_patients(patients, seed):
    owners = np.array(patients)
    drawing = OneAPatient(owners)
    rng = np.random.default_rng(seed)
    assert drawing.patients == len(set(patients))
    drawn = drawing.draw(drawing.patients, rng)
    assert sorted(owners[drawn]) == sorted(set(patients))
    half = drawing.half(rng)
    assert half.patients == (drawing.patients + 1) // 2
    assert len(set(owners[half.draw(half.patients, rng)])) == half.patients


def test_every_image_of_a_patient_is_drawn_as_often():
    """Chi-squared over 3,000 draws of three images: p below 1e-4 would be a fault."""
    drawing = OneAPatient(np.array([5, 5, 5, 2]))
    rng = np.random.default_rng(0)
    drawn = np.concatenate([drawing.draw(2, rng) for _ in range(3000)])
    assert stats.chisquare(np.bincount(drawn, minlength=4)[:3]).pvalue > 1e-4
    assert np.sum(drawn == 3) == 3000
