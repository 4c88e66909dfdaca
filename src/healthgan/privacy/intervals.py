"""Shares with their intervals, and draws of patients."""

from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % interval (Clopper and Pearson, Biometrika 1934: never too narrow).

    The images count as independent; those of one patient are less so, and then the interval is a little short.
    """

    count: int
    total: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> Self:
        """``count`` of ``total`` images, total ≥ 1."""
        interval = binomtest(count, total).proportion_ci(0.95, method="exact")
        return cls(count, total, count / total, float(interval.low), float(interval.high))


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
