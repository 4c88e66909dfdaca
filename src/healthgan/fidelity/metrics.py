"""Every measure between two sets of features: its direction, its range and what is asked of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from healthgan.fidelity.distances import Pair, fid, kid
from healthgan.fidelity.manifold import coverage, density, precision, recall


@dataclass(frozen=True)
class Metric:
    """One measure.

    Attributes:
        measure: from a pair of sets to the value; the first is real, the second is judged.
        better: which way is better.
        lowest: end of the range.
        highest: other end.
        goal: what a good generator reaches. ``floor``: it is no worse than 97.5 % of the real halves. A number:
            its mean over the mean of the real halves is at most (``lower``) or at least (``higher``) that.
    """

    measure: Callable[[Pair], float]
    better: Literal["lower", "higher"]
    lowest: float
    highest: float
    goal: Literal["floor"] | float | None = None


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "kid": Metric(kid, "lower", float("-inf"), float("inf"), goal="floor"),
        "fid": Metric(fid, "lower", 0, float("inf"), goal=2.0),
        "precision": Metric(precision, "higher", 0, 1),
        "recall": Metric(recall, "higher", 0, 1),
        "density": Metric(density, "higher", 0, float("inf"), goal=0.8),
        "coverage": Metric(coverage, "higher", 0, 1, goal=0.8),
    }
)
