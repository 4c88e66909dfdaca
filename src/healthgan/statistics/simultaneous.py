"""Several intervals that all hold together: the maximum of correlated t statistics."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

DRAWS = 20_000
"""The critical value's own Monte Carlo error is then about 0.5 %."""

SEED = 1908


def critical_values(
    correlation: NDArray[np.float64], df: NDArray[np.float64], level: float = 0.95
) -> NDArray[np.float64]:
    """How many standard errors wide each of K intervals must be for all to hold with chance ``level``.

    The quantile of max-|t| (Dunnett 1955; Hothorn, Bretz and Westfall, Biometrical Journal 50:346, 2008) of a
    multivariate t with the largest of the degrees of freedom, by simulation with a seed of its own, gives the
    level that a single comparison may use; every comparison uses it with its own degrees of freedom. Fewer
    degrees of freedom that are shared make large values coincide more, so the largest are on the safe side.

    Args:
        correlation: (K, K) of the differences; made positive semidefinite where estimation left it short.
        df: (K,) degrees of freedom.
        level: of all together.

    Returns:
        (K,) at least the t quantile of a single interval, at most Bonferroni's.
    """
    single = (1 - level) / 2
    if len(df) == 1:
        tail = single
    else:
        most = float(min(df.max(), 1e6))
        largest = np.abs(_root(correlation) @ _normals(len(df))).max(axis=0) / _scales(most)
        tail = float(np.clip(special.stdtr(most, -np.quantile(largest, level)), single / len(df), single))
    return np.array([t_quantile(tail, float(one)) for one in df])


def t_quantile(tail: float, df: float) -> float:
    """Where Student's t leaves ``tail`` above it; of the normal distribution with infinite degrees of freedom."""
    return float(-special.stdtrit(df, tail) if np.isfinite(df) else -special.ndtri(tail))


def _root(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """A square root (K, K) whose rows have length 1."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    rows: NDArray[np.float64] = root / np.linalg.norm(root, axis=1, keepdims=True)
    return rows


@lru_cache(maxsize=8)
def _normals(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(SEED).standard_normal((count, DRAWS))


def _scales(df: float) -> NDArray[np.float64]:
    """(DRAWS,) √(χ²/df)."""
    drawn: NDArray[np.float64] = np.sqrt(np.random.default_rng([SEED, 1]).chisquare(df, DRAWS) / df)
    return drawn
