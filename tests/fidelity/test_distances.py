"""KID and FID against double loops, closed forms and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from healthgan.fidelity.distances import Pair, fid, kid

EPS = np.finfo(np.float64).eps


def exactly(rng, count, mean, root):
    """Vectors whose sample mean is ``mean`` and whose sample covariance is ``root``ᵀ·``root``."""
    raw = rng.normal(size=(count, len(mean)))
    axes, _ = np.linalg.qr(raw - raw.mean(axis=0))
    return axes * np.sqrt(count - 1) @ root + mean


def kid_by_loops(x, y):
    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    own = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    other = [kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    return np.mean(own) + np.mean(other) - 2 * np.mean([kernel(a, b) for a in x for b in y])


@given(st.integers(2, 7), st.integers(2, 7), st.integers(1, 5), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_kid_is_the_double_loop(n, m, size, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, size)), rng.normal(size=(m, size)) + 1
    # each mean is of some 50 terms of up to (|x||y|/D + 1)³, and every term is right to a few roundings
    top = (max((x**2).sum(1).max(), (y**2).sum(1).max()) / size + 1) ** 3
    assert kid(Pair(x, y)) == pytest.approx(kid_by_loops(x, y), abs=100 * EPS * top)


def test_kid_is_unbiased_where_the_truth_is_known():
    """One dimension, N(0, 1) against N(1, 1): E k = 1 + 3·E(xy) + 3·E(xy)² + E(xy)³ with independent x, y.

    Moments of N(0,1): 0, 1, 0; of N(1,1): 1, 2, 4. So E k(x,x') = 1 + 0 + 3 + 0 = 4,
    E k(y,y') = 1 + 3 + 3·4 + 16 = 32, E k(x,y) = 1 + 0 + 3·2 + 0 = 7, and MMD² = 4 + 32 − 14 = 22.
    """
    rng = np.random.default_rng(0)
    values = [kid(Pair(rng.normal(size=(20, 1)), rng.normal(size=(15, 1)) + 1)) for _ in range(4000)]
    error = np.std(values) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx(22, abs=4 * error)  # wrong by chance once in 16,000
    same = [kid(Pair(rng.normal(size=(20, 3)), rng.normal(size=(15, 3)))) for _ in range(4000)]
    assert np.mean(same) == pytest.approx(0, abs=4 * np.std(same) / np.sqrt(len(same)))


def test_fid_of_known_gaussians():
    """Diagonal covariances commute: |μ₁ − μ₂|² + Σ (σ₁ − σ₂)²."""
    rng = np.random.default_rng(1)
    first, second = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.25])
    mean = np.array([0.5, -1.0, 2.0])
    x, y = exactly(rng, 40, np.zeros(3), np.diag(first)), exactly(rng, 25, mean, np.diag(second))
    expected = (mean**2).sum() + ((first - second) ** 2).sum()
    assert fid(Pair(x, y)) == pytest.approx(expected, rel=1000 * EPS)


@pytest.mark.parametrize(("n", "m", "size"), [(40, 50, 6), (9, 40, 8), (200, 30, 16)])
def test_fid_is_the_formula_with_scipys_square_root(n, m, size):
    rng = np.random.default_rng(n)
    x, y = (rng.normal(size=(k, size)) @ rng.normal(size=(size, size)) for k in (n, m))
    one, two = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
    # sqrtm loses half the digits where an eigenvalue is near zero
    assert fid(Pair(x, y)) == pytest.approx(expected, abs=np.sqrt(EPS) * np.trace(one + two))


def test_fid_with_fewer_vectors_than_dimensions_is_exact():
    """Padding with zeros changes no distance; rank 3 in 50 dimensions, turned about."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(9, 3)) * 2 + 1
    turn, _ = np.linalg.qr(rng.normal(size=(50, 50)))
    wide = Pair(np.pad(x, ((0, 0), (0, 47))) @ turn, np.pad(y, ((0, 0), (0, 47))) @ turn)
    assert fid(wide) == pytest.approx(fid(Pair(x, y)), rel=1000 * EPS)


def test_fid_of_opposed_ranks_is_the_sum_of_the_traces():
    """Sets that vary in different dimensions: the mixed term vanishes."""
    rng = np.random.default_rng(3)
    x, y = np.zeros((10, 8)), np.zeros((10, 8))
    x[:, :4], y[:, 4:] = (
        exactly(rng, 10, np.zeros(4), np.eye(4)),
        exactly(rng, 10, np.zeros(4), 2 * np.eye(4)),
    )
    assert fid(Pair(x, y)) == pytest.approx(4 + 16, rel=1000 * EPS)


@pytest.mark.parametrize("count", [5, 60])
def test_fid_of_a_set_with_itself_is_zero(count):
    x = np.random.default_rng(4).normal(size=(count, 20))
    assert fid(Pair(x, x)) == pytest.approx(0, abs=1000 * EPS * 20)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_both_are_symmetric_and_fid_is_not_negative(n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 8)), rng.normal(size=(m, 8))
    size = 1000 * EPS * (np.abs(np.concatenate([x, y])).max() ** 2 + 1) ** 3
    for measure in (kid, fid):
        assert measure(Pair(x, y)) == pytest.approx(measure(Pair(y, x)), abs=size)
    assert fid(Pair(x, y)) > -size


def test_known_products_give_the_same():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(30, 6)), rng.normal(size=(20, 6))
    every = np.concatenate([x, y])
    products = every @ every.T
    known = Pair(x, y, (products[:30, :30], products[:30, 30:], products[30:, 30:]))
    assert kid(known) == pytest.approx(kid(Pair(x, y)), abs=1000 * EPS * (products.max() + 1) ** 3)
    assert fid(known) == fid(Pair(x, y))
