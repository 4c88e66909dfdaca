"""Statistics against SciPy, closed forms and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from healthgan.statistics import (
    EXACT_UP_TO,
    Estimate,
    independent_difference,
    paired_difference,
    percentile_estimate,
    resample_patients,
    slope,
    spearman,
)

verdicts = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.integers(0, 9), min_size=n, max_size=n),
    )
)


def judged(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(n) < 0.8, rng.random(n) < 0.7


def test_the_difference_is_that_of_the_accuracies() -> None:
    first, second = judged(200)
    found = paired_difference(first, second, np.arange(200), np.random.default_rng(0))
    assert found.value == pytest.approx(second.mean() - first.mean(), abs=1e-15)


def test_single_images_give_the_standard_error_of_the_textbook() -> None:
    """With one image a patient, the bootstrap's sd is sd(d)/√n; its own error is 1/√(2·resamples)."""
    first, second = judged(400)
    both = np.stack([first, second]).astype(float)
    draws = resample_patients(both, np.arange(400), np.random.default_rng(0), 8000)
    expected = (second.astype(float) - first).std() / np.sqrt(400)
    assert (draws[:, 1] - draws[:, 0]).std() == pytest.approx(expected, rel=4 / np.sqrt(2 * 8000))


def test_interval_agrees_with_scipy() -> None:
    """Both are percentile intervals of the same paired resampling, so they differ by Monte Carlo error.

    The sd of a bootstrap quantile at 2.5 % is √(q(1−q)/B)/f(q) = 0.0335 sd for B = 5000; the difference of
    two, at four sd: 0.19 sd.
    """
    first, second = judged(300, seed=3)
    found = paired_difference(first, second, np.arange(300), np.random.default_rng(1), 5000)
    theirs = stats.bootstrap(
        (first.astype(float), second.astype(float)),
        lambda a, b, axis: b.mean(axis=axis) - a.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    tolerance = 0.19 * (second.astype(float) - first).std() / np.sqrt(300)
    assert found.low == pytest.approx(theirs.low, abs=tolerance)
    assert found.high == pytest.approx(theirs.high, abs=tolerance)


@given(verdicts)
@settings(max_examples=50, deadline=None)
def test_swapping_the_models_negates_the_difference(case) -> None:
    first, second, patients = (np.array(part) for part in case)
    one = paired_difference(first, second, patients, np.random.default_rng(5), 200)
    other = paired_difference(second, first, patients, np.random.default_rng(5), 200)
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-12)


@given(verdicts, st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_copies_of_a_patients_images_tell_nothing_new(case, times) -> None:
    first, second, patients = (np.array(part) for part in case)
    one = paired_difference(first, second, patients, np.random.default_rng(5), 200)
    copied = paired_difference(
        np.repeat(first, times),
        np.repeat(second, times),
        np.repeat(patients, times),
        np.random.default_rng(5),
        200,
    )
    assert (copied.value, copied.low, copied.high) == pytest.approx((one.value, one.low, one.high), abs=1e-12)


def test_images_of_few_patients_give_a_wider_interval() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 10)
    first = np.repeat(rng.random(20) < 0.5, 10)
    second = np.repeat(rng.random(20) < 0.5, 10)
    clustered = paired_difference(first, second, patients, np.random.default_rng(1))
    single = paired_difference(first, second, np.arange(200), np.random.default_rng(1))
    ratio = (clustered.high - clustered.low) / (single.high - single.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_percentiles() -> None:
    found = percentile_estimate(0.5, np.arange(101) / 100, level=0.9)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.05, 0.95))


@pytest.mark.parametrize(
    ("low", "high", "clear"), [(0.1, 0.2, True), (-2, -1, True), (-1, 1, False), (0, 1, False)]
)
def test_clear_means_without_zero(low, high, clear) -> None:
    assert Estimate(0.1, low, high).clear is clear


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=12), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_rho_is_scipys(values, seed) -> None:
    x = np.random.default_rng(seed).permutation(len(values)).astype(float)
    y = np.array(values, float)
    found = spearman(x, y)
    if len(set(values)) == 1:
        assert found is None
        return
    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert 0 < found.p <= 1 or found.pairs > EXACT_UP_TO


@pytest.mark.parametrize("values", [[1, 2, 3, 5, 4, 6], [2, 2, 1, 3, 3, 0], [6, 1, 5, 2, 4, 3]])
def test_small_p_values_are_exact(values) -> None:
    x, y = np.arange(6.0), np.array(values, float)
    theirs = stats.permutation_test(
        (x,), lambda a: stats.spearmanr(a, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    found = spearman(x, y)
    assert found is not None
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)


def test_four_pairs_cannot_reach_five_per_cent() -> None:
    found = spearman(np.arange(4.0), np.arange(4.0))
    assert found is not None
    assert (found.rho, found.p) == pytest.approx((1, 2 / 24))


def test_more_pairs_take_students_t() -> None:
    x, y = np.arange(12.0), np.array([1, 3, 2, 5, 4, 6, 9, 7, 8, 12, 10, 11], float)
    found = spearman(x, y)
    assert found is not None
    assert found.p == pytest.approx(stats.spearmanr(x, y).pvalue, rel=1e-12)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2])])
def test_no_correlation_of_what_does_not_vary(x, y) -> None:
    assert spearman(np.array(x, float), np.array(y, float)) is None


def test_slope_is_linregress() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(7), rng.random((3, 7))
    expected = [stats.linregress(x, row).slope for row in y]
    assert slope(x, y) == pytest.approx(expected, abs=1e-12)
    assert slope(x, 3 * x + 1) == pytest.approx(3)


def test_newcombes_own_example() -> None:
    """56/70 − 48/80, table II of the paper, method 10: 0.0524 to 0.3339."""
    found = independent_difference(56, 70, 48, 80)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_swapping_two_shares_negates_their_difference(total, other_total, data) -> None:
    right = data.draw(st.integers(0, total))
    other = data.draw(st.integers(0, other_total))
    one = independent_difference(right, total, other, other_total)
    two = independent_difference(other, other_total, right, total)
    assert (two.value, two.low, two.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-12)
    assert -1 - 1e-12 <= one.low <= one.value <= one.high <= 1 + 1e-12
