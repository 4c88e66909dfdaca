"""Critical values against closed forms and SciPy's multivariate t."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from healthgan.statistics.simultaneous import DRAWS, critical_values, t_quantile

FOUR_ERRORS = 4 * np.sqrt(0.05 * 0.95 / DRAWS)
"""Of the level that a simulated critical value really has."""


def equal(count: int, correlation: float) -> np.ndarray:
    matrix = np.full((count, count), correlation)
    np.fill_diagonal(matrix, 1)
    return matrix


@pytest.mark.parametrize("count", [2, 6, 12])
def test_independent_normal_differences_have_sidaks_value(count) -> None:
    found = critical_values(equal(count, 0), np.full(count, np.inf))
    assert (1 - 2 * stats.norm.sf(found[0])) ** count == pytest.approx(0.95, abs=FOUR_ERRORS)


@pytest.mark.parametrize(("correlation", "df"), [(0.0, 5), (0.5, 5), (0.5, 40), (0.9, 12)])
def test_scipys_multivariate_t_holds_the_level(correlation, df) -> None:
    """SciPy's own integration error is 1e-4 here."""
    matrix = equal(5, correlation)
    found = critical_values(matrix, np.full(5, float(df)))
    level = stats.multivariate_t(shape=matrix, df=df, seed=0).cdf(
        found, lower_limit=-found, maxpts=200_000, random_state=np.random.default_rng(0)
    )
    assert level == pytest.approx(0.95, abs=FOUR_ERRORS + 1e-4)


@pytest.mark.parametrize("df", [3.0, 20.0, np.inf])
def test_one_difference_or_equal_ones_take_students_t(df) -> None:
    """With equal ones the simulated level is that of one t, off by its Monte Carlo error."""
    assert critical_values(np.ones((1, 1)), np.array([df]))[0] == pytest.approx(stats.t.isf(0.025, df))
    together = critical_values(np.ones((4, 4)), np.full(4, df))[0]
    assert 2 * stats.t.sf(together, df) == pytest.approx(0.05, abs=FOUR_ERRORS)


@given(st.integers(2, 7), st.floats(0, 0.95), st.floats(1.5, 200), st.floats(1.5, 200))
@settings(max_examples=25, deadline=None)
def test_between_one_interval_and_bonferroni_also_with_unequal_df(count, correlation, one, other) -> None:
    df = np.array([one] + [other] * (count - 1))
    found = critical_values(equal(count, correlation), df)
    assert np.all(found >= stats.t.isf(0.025, df) - 1e-9)
    assert np.all(found <= stats.t.isf(0.025 / count, df) + 1e-9)
    tails = stats.t.sf(found, df)
    assert tails == pytest.approx(np.full(count, tails[0]), rel=1e-9)  # each is as unlikely as the others


def test_unequal_df_hold_the_level() -> None:
    """Differences that share a third of each scale's freedom: simulated apart, at least 95 % less its error."""
    df = np.array([4.0, 30.0, 200.0])
    found = critical_values(equal(3, 0.4), df)
    rng = np.random.default_rng(1)
    draws = 100_000
    normals = rng.multivariate_normal(np.zeros(3), equal(3, 0.4), draws)
    scales = np.sqrt(np.stack([rng.chisquare(one, draws) / one for one in df], axis=1))
    held = np.all(np.abs(normals / scales) <= found, axis=1).mean()
    assert held >= 0.95 - FOUR_ERRORS - 4 * np.sqrt(0.05 * 0.95 / draws)


def test_a_matrix_that_is_not_semidefinite_is_made_so() -> None:
    broken = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1.0]])
    found = critical_values(broken, np.full(3, 10.0))
    assert np.all((stats.t.isf(0.025, 10) <= found) & (found <= stats.t.isf(0.025 / 3, 10)))


def test_the_seed_is_its_own() -> None:
    found = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002 # a caller's global state
        found.append(critical_values(equal(3, 0.3), np.full(3, 9.0)))
    assert np.array_equal(*found)


@given(st.floats(0.0001, 0.4), st.floats(1, 1e7))
def test_quantiles_are_scipys(tail, df) -> None:
    assert t_quantile(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=1e-6)
    assert t_quantile(tail, np.inf) == pytest.approx(stats.norm.isf(tail), rel=1e-9)
