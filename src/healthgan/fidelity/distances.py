"""Distances between two sets of features: KID and FID."""

from functools import cached_property

import numpy as np

from healthgan.fidelity.features import Features


class Pair:
    """Two sets of features, and what several measures need of them, worked out once.

    Attributes:
        real: (N, D), the set compared with.
        synthetic: (M, D), the set that is judged.
    """

    def __init__(
        self,
        real: Features,
        synthetic: Features,
        products: tuple[Features, Features, Features] | None = None,
    ) -> None:
        """Pair two sets.

        Args:
            real: (N, D) float64.
            synthetic: (M, D) float64.
            products: inner products real·real (N, N), real·synthetic (N, M) and synthetic·synthetic (M, M),
                where they are known already.
        """
        self.real, self.synthetic = real, synthetic
        self._products = products
        self._radii: dict[int, tuple[Features, Features]] = {}

    @cached_property
    def products(self) -> tuple[Features, Features, Features]:
        """Inner products real·real (N, N), real·synthetic (N, M), synthetic·synthetic (M, M)."""
        if self._products is not None:
            return self._products
        return self.real @ self.real.T, self.real @ self.synthetic.T, self.synthetic @ self.synthetic.T

    @cached_property
    def across(self) -> Features:
        """(N, M) squared distance of each real to each synthetic feature vector."""
        own, across, other = self.products
        return _squared_distances(np.diagonal(own), np.diagonal(other), across)

    def radii(self, k: int) -> tuple[Features, Features]:
        """Squared distance of each vector to the k-th nearest other one of its own set: (N,) and (M,)."""
        if k not in self._radii:
            self._radii[k] = _radii(self.products[0], k), _radii(self.products[2], k)
        return self._radii[k]


def kid(pair: Pair) -> float:
    """Kernel distance: the unbiased squared maximum mean discrepancy under the kernel (x·y/D + 1)³.

    Bińkowski, Sutherland, Arbel and Gretton, Demystifying MMD GANs, ICLR 2018, section 4; the estimator is
    eq. 3 of Gretton et al., JMLR 2012. Zero in expectation for two samples of one distribution, whatever
    their size, so that single values may be below zero. Both sets need two vectors or more.
    """
    size = pair.real.shape[1]
    own, across, other = (_cubed(product / size + 1) for product in pair.products)
    return float(_mean_of_pairs(own) + _mean_of_pairs(other) - 2 * across.mean())


def fid(pair: Pair) -> float:
    """Fréchet distance of the Gaussians with the two sets' means and sample covariances.

    Heusel et al., NeurIPS 2017, eq. 6: |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½). With Σ = FᵀF the last trace is
    the sum of the singular values of F₁F₂ᵀ (its Gram matrix F₁Σ₂F₁ᵀ has the eigenvalues of Σ₁Σ₂). F is the
    centred set itself, or its triangular factor where there are more vectors than dimensions; so no square
    root of a singular or, by rounding, indefinite matrix is taken, and nothing is added to a diagonal: fewer
    vectors than dimensions are exact as well. The value is biased upwards by the sampling error of the
    covariances (Chong and Forsyth, CVPR 2020): compare at equal n only.
    """
    first, second = _factor(pair.real), _factor(pair.synthetic)
    shift = pair.real.mean(axis=0) - pair.synthetic.mean(axis=0)
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(shift @ shift + (first**2).sum() + (second**2).sum() - 2 * overlap)


def _cubed(values: Features) -> Features:
    return values * values * values


def _mean_of_pairs(kernel: Features) -> float:
    """Mean of a kernel matrix without its diagonal."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _factor(features: Features) -> Features:
    """F with FᵀF = the sample covariance, of min(N, D) rows."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    if len(centred) <= centred.shape[1]:
        return np.asarray(centred, np.float64)
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64)


def _squared_distances(own: Features, other: Features, across: Features) -> Features:
    """|x − y|² = |x|² + |y|² − 2 x·y; rounding may not take it below zero."""
    return np.asarray(np.maximum(own[:, np.newaxis] + other - 2 * across, 0), np.float64)


def _radii(products: Features, k: int) -> Features:
    norms = np.diagonal(products)
    distances = _squared_distances(norms, norms, products)
    np.fill_diagonal(distances, np.inf)
    return np.asarray(np.partition(distances, k - 1, axis=1)[:, k - 1], np.float64)
