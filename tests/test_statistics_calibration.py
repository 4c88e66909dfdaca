"""Calibration against scikit-learn, Bayes' rule and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from healthgan.statistics.calibration import (
    brier,
    calibration,
    reliability,
    resampled_calibration,
    shift_to_prevalence,
)


def drawn(count: int, seed: int, slope: float = 1.0, intercept: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels that follow the logits, which are then made too extreme by 1/slope."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-1, 1.5, count)
    return (rng.random(count) < special.expit(truth)).astype(np.int64), (truth - intercept) / slope


def test_brier_is_scikit_learns() -> None:
    labels, logits = drawn(300, 0)
    assert brier(labels, logits) == pytest.approx(brier_score_loss(labels, special.expit(logits)), abs=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_slope_is_scikit_learns_logistic_regression(seed) -> None:
    labels, logits = drawn(200, seed, slope=0.6)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], labels)
    assert calibration(labels, logits).slope == pytest.approx(theirs.coef_[0, 0], rel=1e-4)


@given(st.integers(0, 10_000), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_the_intercept_makes_the_mean_probability_right(seed, shift) -> None:
    """The score equation of its likelihood; and a shift of the logits is undone exactly."""
    labels, logits = drawn(200, seed)
    found = calibration(labels, logits + shift).intercept
    assert special.expit(logits + shift + found).mean() == pytest.approx(labels.mean(), abs=1e-9)
    assert found + shift == pytest.approx(calibration(labels, logits).intercept, abs=1e-8)


def test_true_probabilities_have_intercept_0_and_slope_1() -> None:
    """Within four of their standard errors, from the information of the two coefficients at n = 20,000."""
    labels, logits = drawn(20_000, 1)
    weight = special.expit(logits) * (1 - special.expit(logits))
    centred = logits - np.average(logits, weights=weight)
    found = calibration(labels, logits)
    assert found.intercept == pytest.approx(0, abs=4 / np.sqrt(weight.sum()))
    assert found.slope == pytest.approx(1, abs=4 / np.sqrt(weight @ centred**2))


def test_too_extreme_logits_have_a_slope_below_1() -> None:
    labels, logits = drawn(5000, 2, slope=0.5)
    again = calibration(labels, 0.5 * logits)
    assert calibration(labels, logits).slope == pytest.approx(0.5 * (again.slope or 0), rel=1e-8)


def test_classes_that_a_threshold_parts_have_no_slope() -> None:
    labels = np.repeat([0, 1], 5)
    found = calibration(labels, np.arange(10.0))
    assert found.slope is None
    assert np.isfinite(found.intercept)
    assert resampled_calibration(labels, np.arange(10.0), np.ones((1, 10))) is None


def test_one_step_for_other_choices_of_images_comes_close_to_fitting_anew() -> None:
    """The first row is the fit itself; the spread is off by less than its own error, 1/√(2·200) for 200 draws."""
    labels, logits = drawn(400, 3)
    rng = np.random.default_rng(0)
    weights = np.concatenate([np.ones((1, 400)), rng.multinomial(400, np.full(400, 1 / 400), 200)])
    found = resampled_calibration(labels, logits, weights)
    assert found is not None
    anew = np.array(
        [
            (fit.intercept, fit.slope)
            for fit in (
                calibration(np.repeat(labels, row.astype(int)), np.repeat(logits, row.astype(int)))
                for row in weights
            )
        ]
    )
    assert found[0] == pytest.approx(anew[0], abs=1e-9)
    assert found.std(axis=0) == pytest.approx(anew.std(axis=0), rel=1 / np.sqrt(2 * 200))


def test_shifting_is_bayes_rule() -> None:
    """Scores of known densities: the posterior at prevalence π from the one at one half."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, 100)
    even = special.logit(1 / (1 + np.exp(-(x - 0.5))))  # densities N(1, 1) and N(0, 1): log ratio x − 1/2
    positive, negative = np.exp(-((x - 1) ** 2) / 2), np.exp(-(x**2) / 2)
    expected = 0.04 * positive / (0.04 * positive + 0.96 * negative)
    assert special.expit(shift_to_prevalence(even, 0.04)) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_shifting_there_and_back_changes_nothing(one, other) -> None:
    logits = np.linspace(-3, 3, 7)
    there = shift_to_prevalence(logits, one, other)
    assert shift_to_prevalence(there, other, one) == pytest.approx(logits, abs=1e-9)


def test_reliability_is_scikit_learns_quantile_curve() -> None:
    labels, logits = drawn(1000, 4)
    observed, predicted = calibration_curve(labels, special.expit(logits), n_bins=10, strategy="quantile")
    found = reliability(labels, logits)
    assert [one.observed for one in found] == pytest.approx(observed, abs=1e-12)
    assert [one.predicted for one in found] == pytest.approx(predicted, abs=1e-12)
    assert sum(one.images for one in found) == 1000
    assert all(one.low <= one.observed <= one.high for one in found)


def test_reliability_of_several_equal_classifiers_is_that_of_one() -> None:
    labels, logits = drawn(1000, 4)
    assert reliability(labels, np.stack([logits] * 3)) == tuple(
        type(one)(one.images, pytest.approx(one.predicted), pytest.approx(one.observed), one.low, one.high)
        for one in reliability(labels, logits)
    )
