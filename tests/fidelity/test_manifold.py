"""Precision, recall, density and coverage against cases counted by hand, loops and expectations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthgan.fidelity.distances import Pair
from healthgan.fidelity.manifold import coverage, density, precision, recall


def line(*places):
    return np.array(places, np.float64)[:, np.newaxis]


def by_loops(real, synthetic, k):
    """The four definitions, word for word."""

    def radius(own, i):
        return sorted(np.linalg.norm(own[i] - other) for j, other in enumerate(own) if j != i)[k - 1]

    inside_real = [[np.linalg.norm(r - s) <= radius(real, i) for s in synthetic] for i, r in enumerate(real)]
    inside_made = [
        [np.linalg.norm(r - s) <= radius(synthetic, j) for j, s in enumerate(synthetic)] for r in real
    ]
    return (
        np.mean(np.any(inside_real, axis=0)),
        np.mean(np.any(inside_made, axis=1)),
        np.sum(inside_real) / (k * len(synthetic)),
        np.mean(np.any(inside_real, axis=1)),
    )


def all_four(pair, k):
    return precision(pair, k), recall(pair, k), density(pair, k), coverage(pair, k)


def test_by_hand():
    """On a line, k = 1. Real 0, 1, 3, 10 with balls [−1, 1], [0, 2], [1, 5], [3, 17].

    Synthetic 0.5, 0.75, 4, 30 with radii 0.25, 0.25, 3.25, 26: balls [0.25, 0.75], [0.5, 1], [0.75, 7.25], [4, 56].
    In real balls lie: 0.5 (2), 0.75 (2), 4 (2), 30 (0). In synthetic balls lie: 1, 3 and 10 but not 0.
    Real balls with a synthetic vector: all four.
    """
    pair = Pair(line(0, 1, 3, 10), line(0.5, 0.75, 4, 30))
    assert all_four(pair, 1) == (3 / 4, 3 / 4, 6 / 4, 1)


def test_one_mode_of_two():
    """Real in two places, synthetic in one of them: lifelike, but half is missing."""
    real = line(0, 0.1, 0.2, 100, 100.1, 100.2)
    pair = Pair(real, line(0.05, 0.06, 0.15))
    assert precision(pair, 2) == 1
    assert recall(pair, 2) <= 0.5
    assert coverage(pair, 2) == 0.5


def test_far_away_nothing_is_right():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    assert all_four(Pair(x, x + 1000), 5) == (0, 0, 0, 0)


@given(st.integers(7, 14), st.integers(7, 14), st.integers(1, 5), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_the_definitions_in_loops(n, m, k, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) + 0.5
    assert all_four(Pair(real, synthetic), k) == pytest.approx(by_loops(real, synthetic, k), abs=1e-12)


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=20)
def test_swapping_the_sets_swaps_precision_and_recall(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(15, 4)) + 1
    assert precision(Pair(x, y)) == recall(Pair(y, x))


def test_expectations_for_two_samples_of_one_distribution():
    """Naeem et al., eq. 8 and 9: density 1; coverage 1 − ∏ (N − i)/(2N − i), i = 1…k, for N against N."""
    rng = np.random.default_rng(1)
    n, k, repeats = 40, 5, 600
    pairs = [Pair(rng.normal(size=(n, 4)), rng.normal(size=(n, 4))) for _ in range(repeats)]
    dense, covered = (np.array([measure(pair) for pair in pairs]) for measure in (density, coverage))
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    assert dense.mean() == pytest.approx(1, abs=4 * dense.std() / np.sqrt(repeats))
    assert covered.mean() == pytest.approx(expected, abs=4 * covered.std() / np.sqrt(repeats))
