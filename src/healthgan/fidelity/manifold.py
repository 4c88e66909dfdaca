"""Precision, recall, density and coverage: do two sets of features lie in the same places?

Each vector owns a ball that reaches its k-th nearest neighbour in its own set; a vector on the edge counts
as inside. Squared distances throughout, as only their order matters.
"""

import numpy as np
from numpy.typing import NDArray

from healthgan.fidelity.distances import Pair

NEIGHBOURS = 5
"""k. Naeem et al. 2020, section 3.3, use 5 for density and coverage; here it is the same for all four."""


def precision(pair: Pair, k: int = NEIGHBOURS) -> float:
    """Share of synthetic vectors inside the ball of a real one: is what is made lifelike?

    Kynkäänniemi et al., NeurIPS 2019, eq. 1 and 2. One outlier among the real ones owns a large ball.
    """
    return float(_in_real_balls(pair, k).any(axis=0).mean())


def recall(pair: Pair, k: int = NEIGHBOURS) -> float:
    """Share of real vectors inside the ball of a synthetic one: is what exists made?

    Kynkäänniemi et al., NeurIPS 2019, eq. 1 and 2.
    """
    _, radii = pair.radii(k)
    return float((pair.across <= radii).any(axis=1).mean())


def density(pair: Pair, k: int = NEIGHBOURS) -> float:
    """In how many real balls a synthetic vector lies, over k; about 1 for two samples of one distribution.

    Naeem et al., Reliable fidelity and diversity metrics, ICML 2020, eq. 3. It may exceed 1, and does where the
    synthetic vectors crowd in the middle of the real ones.
    """
    return float(_in_real_balls(pair, k).sum(axis=0).mean() / k)


def coverage(pair: Pair, k: int = NEIGHBOURS) -> float:
    """Share of real vectors with a synthetic one in their ball: 1 − 2⁻ᵏ, or so, for two samples of one kind.

    Naeem et al., ICML 2020, eq. 4; the expectation is their eq. 9, for equally large sets.
    """
    return float(_in_real_balls(pair, k).any(axis=1).mean())


def _in_real_balls(pair: Pair, k: int) -> NDArray[np.bool_]:
    """(N, M): real vector i's ball holds synthetic vector j."""
    radii, _ = pair.radii(k)
    inside: NDArray[np.bool_] = pair.across <= radii[:, np.newaxis]
    return inside
