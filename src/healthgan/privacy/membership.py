"""Can somebody who has the generated images tell who was in the training set?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.scores import auroc, bootstrap_auroc

NEEDED = 500
"""Non-members from which a rate of 1 % false positives can be set."""
FALSE_POSITIVES = 0.01

_RESAMPLES = 1000


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Membership:
    """A test of membership by distance: members should be no nearer to the generated images than others.

    Attributes:
        auroc: of 'is a training image' from the nearness to the nearest generated image; 0.5 tells nothing.
        low: lower end of its 95 % interval, drawing patients anew.
        high: upper end.
        members: training images.
        nonmembers: held-out images.
        member_patients: whose they are.
        nonmember_patients: whose they are.
        tpr_at_1_percent: members found where 1 % of the non-members are taken for members; 1 % tells nothing.
        not_computable: why there is no such rate; empty where there is.
    """

    auroc: float
    low: float
    high: float
    members: int
    nonmembers: int
    member_patients: int
    nonmember_patients: int
    tpr_at_1_percent: Rate | None
    not_computable: str


def membership(
    members: NDArray[np.float32],
    member_patients: NDArray[np.int64],
    nonmembers: NDArray[np.float32],
    nonmember_patients: NDArray[np.int64],
    rng: np.random.Generator,
) -> Membership:
    """Tell members by their distance to the nearest generated image.

    An attack that needs no model, as Chen, Yu, Zhang and Fritz, "GAN-Leaks", CCS 2020, section 5.1, with the
    rate at few false positives that Carlini et al., "Membership inference attacks from first principles",
    IEEE S&P 2022, ask for. Intervals are percentiles of 1,000 draws of whole patients with replacement.

    Args:
        members: (M,) distances of training images to their nearest generated image.
        member_patients: (M,) whose they are.
        nonmembers: (P,) distances of held-out images of other patients.
        nonmember_patients: (P,) whose they are; none of them is a member's.
        rng: source of randomness.
    """
    labels = np.repeat([1, 0], (len(members), len(nonmembers)))
    scores = -np.concatenate([members, nonmembers])
    clusters = np.concatenate([member_patients, nonmember_patients])
    low, high = bootstrap_auroc(labels, scores[np.newaxis], clusters, rng, _RESAMPLES)
    rate, reason = None, ""
    if len(nonmembers) >= NEEDED:
        rate = _rate(-members, member_patients, -nonmembers, nonmember_patients, rng)
    else:
        reason = (
            f"not computable: 1 % false positives of {len(nonmembers)} held-out images is "
            f"{'less than one image' if len(nonmembers) < 100 else 'a handful of images'}; "
            f"at least {NEEDED} are needed"
        )
    return Membership(
        auroc=auroc(labels, scores),
        low=low,
        high=high,
        members=len(members),
        nonmembers=len(nonmembers),
        member_patients=len(np.unique(member_patients)),
        nonmember_patients=len(np.unique(nonmember_patients)),
        tpr_at_1_percent=rate,
        not_computable=reason,
    )


def true_positives(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float:
    """The share of positives above all but 1 % of the negatives (at most 1 % are above)."""
    allowed = int(len(negatives) * FALSE_POSITIVES)
    threshold = np.sort(negatives)[len(negatives) - 1 - allowed]
    return float((positives > threshold).mean())


def _rate(
    positives: NDArray[np.float32],
    positive_patients: NDArray[np.int64],
    negatives: NDArray[np.float32],
    negative_patients: NDArray[np.int64],
    rng: np.random.Generator,
) -> Rate:
    groups = [_by_patient(positives, positive_patients), _by_patient(negatives, negative_patients)]
    drawn = [
        true_positives(
            *(
                np.concatenate([side[pick] for pick in rng.integers(len(side), size=len(side))])
                for side in groups
            )
        )
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Rate(true_positives(positives, negatives), float(low), float(high))


def _by_patient(values: NDArray[np.float32], patients: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    order = np.argsort(patients, kind="stable")
    _, first = np.unique(patients[order], return_index=True)
    return np.split(values[order], first[1:])
