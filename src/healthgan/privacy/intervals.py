"""Shares with their intervals, and draws of patients."""

from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % interval (Clopper and Pearson, Biometrika 1934: never too narrow)."""

    count: int
    total: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> Self:
        """``count`` of ``total`` independent images, total ≥ 1."""
        return cls(count, total, count / total, *_clopper_pearson(count, total))

    @classmethod
    def among_patients(cls, hits: NDArray[np.bool_], patients: NDArray[np.int64]) -> Self:
        """The share of images that are hit, where images of one patient may go together.

        The interval is for as many independent images as would vary as much (Korn and Graubard, Survey
        Methodology 24:193, 1998): between the number of patients, taken where all images agree or there is one
        patient, and that of images.

        Args:
            hits: (N,) N ≥ 1.
            patients: (N,) whose they are.
        """
        total, share = len(hits), float(hits.mean())
        _, member = np.unique(patients, return_inverse=True)
        groups = int(member.max()) + 1
        effective = float(groups)
        if 0 < share < 1 and groups > 1:
            residual = np.bincount(member, hits - share)
            variance = groups / (groups - 1) * float((residual**2).sum()) / total**2
            alone = share * (1 - share) / (total - 1)  # of independent images
            effective = float(np.clip(total * alone / max(variance, 1e-300), groups, total))
        return cls(int(hits.sum()), total, share, *_clopper_pearson(share * effective, effective))


def _clopper_pearson(count: float, total: float) -> tuple[float, float]:
    """By quantiles of the beta distribution, which count and total need not be whole for."""
    low = float(betaincinv(count, total - count + 1, 0.025)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, total - count, 0.975)) if count < total else 1.0
    return low, high


class OneAPatient:
    """Draws one random image of each of some random patients: independent images.

    Args:
        patients: (N,) whose the images are.
    """

    def __init__(self, patients: NDArray[np.int64]) -> None:
        self._order = np.argsort(patients, kind="stable")
        _, self._first, self._images = np.unique(patients[self._order], return_index=True, return_counts=True)

    @property
    def patients(self) -> int:
        """How many there are."""
        return len(self._first)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(count,) positions of images of ``count`` different patients."""
        chosen = rng.choice(self.patients, count, replace=False)
        places: NDArray[np.int64] = self._order[self._first[chosen] + rng.integers(self._images[chosen])]
        return places

    def half(self, rng: np.random.Generator) -> "OneAPatient":
        """The same for a random half of the patients, rounded up."""
        chosen = rng.choice(self.patients, -(-self.patients // 2), replace=False)
        part = copy(self)
        part._first, part._images = self._first[chosen], self._images[chosen]
        return part
