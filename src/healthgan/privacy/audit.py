"""One audit of a set of generated images: new, or copies?"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.privacy.copies import Detector, Evidence, calibrate, gather_evidence
from healthgan.privacy.distances import (
    Closer,
    DataCopying,
    authenticity,
    closer_to_training,
    data_copying,
    nearest,
    standardised,
)
from healthgan.privacy.intervals import Share
from healthgan.privacy.membership import Membership, membership
from healthgan.privacy.planted import WITHIN

Pixels = NDArray[np.uint8]
Codes = NDArray[np.int64]
Tell = Callable[[str, int, int], None]
"""Told what is compared with the training images, how much of it is done, and of how much."""

POWER = ("exact", "blur 1", "noise 10", "shift 2")
"""Planted copies by which every audit shows what its search for copies can find."""

_PLANTED = 100
_SHOWN = 24  # pairs listed at least


@dataclass(frozen=True)
class Pair:
    """A generated image and the training image that it is most likely a copy of.

    Attributes:
        image: position of the generated image.
        training_image: position of the training image.
        strength: Fisher's z by which the nearer threshold is passed; above 0 it is taken for a copy.
    """

    image: int
    training_image: int
    strength: float


@dataclass(frozen=True)
class Audit:
    """What an audit found; every figure with its counts and a 95 % interval.

    Attributes:
        generated: images audited.
        training: real images they may be copies of.
        training_patients: whose they are; None where patients are not known.
        heldout: real images that no generator saw.
        heldout_twins: further held-out images, left out: training pictures stored or cropped otherwise.
        heldout_patients: whose they are; None where patients are not known.
        closer: generated images nearer to a training image than to a held-out one; 0.5 is best.
        authenticity: share of generated images that are no noisy copies by Alaa et al. (2022) …
        heldout_authenticity: … and of held-out real images, which are new for certain.
        c_t: data-copying by Meehan et al. (2020); inside its interval is best.
        membership: test by distance; AUROC 0.5 is best.
        copies: generated images taken for copies; 1 % is what real images of other patients give.
        detector: how that is decided, and its false alarms.
        power: planted copies found by it, by kind.
        pairs: the copies and the ones nearest to be, at least 24 of the generated images, the clearest first.
    """

    generated: int
    training: int
    training_patients: int | None
    heldout: int
    heldout_twins: int
    heldout_patients: int | None
    closer: Closer
    authenticity: Share
    heldout_authenticity: Share
    c_t: DataCopying
    membership: Membership
    copies: Share
    detector: Detector
    power: dict[str, Share]
    pairs: tuple[Pair, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON. Positions of images are in it, but no patient."""
        return asdict(self)

    def notes(self) -> Iterator[str]:
        """What to keep in mind when reading the figures."""
        alarms = self.detector.false_alarms
        if self.heldout_twins:
            yield (
                f"{self.heldout_twins} held-out images show the same pictures as training images, stored or cropped "
                "otherwise, and were left out."
            )
        if not self.detector.certified:
            yield (
                f"The search for copies was calibrated on {self.detector.images} held-out images; 1 % false alarms can't be "
                f"certified below 1,000. Counted apart they are {100 * alarms.share:.1f} % "
                f"({100 * alarms.low:.1f}–{100 * alarms.high:.1f})."
            )
        missed = [kind for kind, found in self.power.items() if found.share < 0.9]
        if missed:
            yield (
                f"The search misses more than 10 % of planted copies of these kinds: {', '.join(missed)}. Held-out "
                "images are that much like training images, or have little detail."
            )
        if self.membership.not_computable:
            yield f"Membership: true positives at 1 % false positives are {self.membership.not_computable}."
        if self.c_t.not_computable:
            yield f"C_T is {self.c_t.not_computable}."
        if self.training_patients is None:
            yield "Patients of the training images are not known: every image counts as a patient of its own."
        if self.heldout_patients is None:
            yield "Patients of the held-out images are not known: every image counts as a patient of its own."


def audit(
    generated: Pixels,
    training: Pixels,
    training_patients: Codes | None,
    heldout: Pixels,
    heldout_patients: Codes | None,
    seed: int,
    *,
    others: Pixels | None = None,
    other_patients: Codes | None = None,
    progress: Tell = lambda _what, _done, _total: None,
) -> Audit:
    """Audit generated images against the images that their generator learned from.

    Training and held-out images must come from one population and have the same mix of classes, as the
    generated ones: else a difference between classes passes for memory, or hides it.

    Args:
        generated: (N, H, W, C) uint8.
        training: (M, H, W, C) uint8, real images that the generator saw; those of one class, or of all.
        training_patients: (M,) whose they are; None where that is not known.
        heldout: (P, H, W, C) uint8, real images of other patients that it never saw, of the same classes.
        heldout_patients: (P,) whose they are, numbered as in ``training_patients``; None likewise.
        seed: of every draw.
        others: (Q, H, W, C) uint8, held-out real images of other classes, which calibrate the search for copies
            together with ``heldout``; 1,000 or more are needed to state its false alarms.
        other_patients: (Q,) whose they are, numbered likewise; None likewise.
        progress: told how far each stage is.

    Raises:
        InputError: shapes or counts do not fit, or a held-out image or patient is in training too.
    """
    codes, unknown = _codes(training, training_patients, heldout, heldout_patients)
    unseen, unknown, seen = _unseen(heldout, unknown, training, codes, partial(progress, "held-out images"))
    twins = len(heldout) - len(unseen)
    owners, classes = unknown, np.zeros(len(unseen), np.int64)
    if others is not None and len(others):
        _, more = _codes(training, training_patients, others, other_patients)
        more = more if other_patients is not None else more + int(unknown.max()) + 1
        tell = partial(progress, "other held-out images")
        _, more, seen_too = _unseen(others, more, training, codes, tell)
        seen, owners = seen.and_of(seen_too), np.concatenate([owners, more])
        classes = np.repeat([0, 1], (len(unseen), len(more)))
    detector = calibrate(seen, owners, np.random.default_rng([seed, 0]), classes=classes)
    evidence = gather_evidence(generated, training, codes, progress=partial(progress, "synthetic images"))
    progress("distances", 0, 0)
    points, real, fresh = (standardised(images) for images in (generated, training, unseen))
    member, _ = nearest(real, points)
    nonmember, _ = nearest(fresh, points)
    return Audit(
        generated=len(generated),
        training=len(training),
        training_patients=None if training_patients is None else len(np.unique(codes)),
        heldout=len(unseen),
        heldout_twins=twins,
        heldout_patients=None if heldout_patients is None else len(np.unique(unknown)),
        closer=closer_to_training(points, real, codes, fresh, unknown, seed),
        authenticity=Share.of(int(authenticity(points, real).sum()), len(points)),
        heldout_authenticity=Share.among_patients(authenticity(fresh, real), unknown),
        c_t=data_copying(points, real, fresh, unknown, np.random.default_rng([seed, 1])),
        membership=membership(member, codes, nonmember, unknown, np.random.default_rng([seed, 2])),
        copies=Share.of(int(detector.copies(evidence).sum()), len(generated)),
        detector=detector,
        power=_power(
            training,
            codes,
            detector,
            np.random.default_rng([seed, 3]),
            partial(progress, "planted copies"),
        ),
        pairs=_pairs(evidence, detector),
    )


def _unseen(
    heldout: Pixels,
    patients: Codes,
    training: Pixels,
    codes: Codes,
    progress: Callable[[int, int], None],
) -> tuple[Pixels, Codes, Evidence]:
    """The held-out images that are no training pictures stored otherwise, whose they are, and their evidence."""
    evidence = gather_evidence(heldout, training, codes, progress=progress)
    kept = np.flatnonzero(~evidence.same_picture())
    if len(kept) < 2:
        raise InputError(
            f"{len(heldout) - len(kept)} of {len(heldout)} held-out images show the same pictures as training images, "
            "stored or cropped otherwise. At least two other ones are needed."
        )
    return heldout[kept], patients[kept], evidence.take(kept)


def _codes(
    training: Pixels, training_patients: Codes | None, heldout: Pixels, heldout_patients: Codes | None
) -> tuple[Codes, Codes]:
    """Patients of both sides, every image one of its own where they are not known.

    Raises:
        InputError: the sides share an image or a patient, or do not fit.
    """
    if min(len(training), len(heldout)) < 2 or training.shape[1:] != heldout.shape[1:]:
        raise InputError(
            f"Training images have shape {training.shape}, held-out images {heldout.shape}; at least two of each, "
            "of equal height, width and channels, are needed."
        )
    known = {image.tobytes() for image in training}
    same = sum(image.tobytes() in known for image in heldout)
    shared = 0
    if training_patients is not None and heldout_patients is not None:
        shared = len(np.intersect1d(training_patients, heldout_patients))
    if same or shared:
        raise InputError(
            f"{same} held-out images are training images too, and {shared} patients have images in both. Leave "
            "them out (healthgan.splits.keep_apart does): a held-out image that was learned from hides copying."
        )
    if training_patients is None:
        above = 0 if heldout_patients is None else int(heldout_patients.max()) + 1
        codes = np.arange(len(training)) + above  # meets no held-out patient
    else:
        codes = training_patients
    own = np.arange(len(heldout)) + int(codes.max()) + 1  # meets no training patient
    return codes, own if heldout_patients is None else heldout_patients


def _pairs(evidence: Evidence, detector: Detector) -> tuple[Pair, ...]:
    strength, match = detector.strength(evidence), detector.match(evidence)
    shown = max(int(detector.copies(evidence).sum()), _SHOWN)
    order = np.argsort(-strength, kind="stable")[:shown]
    return tuple(Pair(int(i), int(match[i]), round(float(strength[i]), 4)) for i in order)


def _power(
    training: Pixels,
    patients: Codes,
    detector: Detector,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> dict[str, Share]:
    """Planted copies found, by kind."""
    chosen = training[rng.choice(len(training), min(_PLANTED, len(training)), replace=False)]
    copies = np.concatenate([WITHIN[kind](chosen, rng) for kind in POWER])
    evidence = gather_evidence(copies, training, patients, progress=progress)
    found = detector.copies(evidence).reshape(len(POWER), -1).sum(axis=1)
    return {kind: Share.of(int(count), len(chosen)) for kind, count in zip(POWER, found, strict=True)}
