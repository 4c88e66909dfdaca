"""``healthgan.compare``: other people's scores, compared with honest intervals."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import healthgan
from healthgan.errors import InputError
from healthgan.statistics.verdicts import Verdict

RNG = np.random.default_rng(0)
LABELS = np.repeat([1, 0], (40, 90))
SHARED = RNG.normal(0, 1, len(LABELS))


def scores(readers: int, gain: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return gain * LABELS + SHARED + rng.normal(0, 0.7, (readers, len(LABELS)))


def delong(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> float:
    """Standard error of the difference of two AUROCs (DeLong et al., Biometrics 44:837, 1988), equations 3 to 6."""
    placements = []
    for score in (a, b):
        x, y = score[labels == 1][:, None], score[labels == 0][None, :]
        kernel = (x > y) + 0.5 * (x == y)
        placements.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    positive, negative = (np.cov(np.stack(part)) / len(part[0]) for part in zip(*placements, strict=True))
    contrast = np.array([-1, 1])
    return float(np.sqrt(contrast @ (positive + negative) @ contrast))


def test_a_single_classifier_each_has_delongs_standard_error() -> None:
    a, b = scores(1, 1.0, 1)[0], scores(1, 1.6, 2)[0]
    found = healthgan.compare(a, b, LABELS)
    assert found.difference == pytest.approx(roc_auc_score(LABELS, b) - roc_auc_score(LABELS, a), abs=1e-12)
    assert found.se == pytest.approx(delong(a, b, LABELS), rel=1e-10)  # rounding only
    assert found.of_patients_only
    assert "these two classifiers only" in str(found)


def test_several_classifiers() -> None:
    a, b = scores(4, 1.0, 1), scores(3, 1.6, 2)
    found = healthgan.compare(a, b, LABELS)
    aurocs = [np.mean([roc_auc_score(LABELS, row) for row in rows]) for rows in (a, b)]
    assert found.auroc_a.value == pytest.approx(aurocs[0], abs=1e-12)
    assert found.auroc_b.value == pytest.approx(aurocs[1], abs=1e-12)
    assert found.low < found.difference < found.high
    assert found.classifiers == (4, 3)
    assert (found.images, found.positive_images, found.patients) == (130, 40, 130)
    assert not found.of_patients_only
    assert found.verdict is Verdict.HELPS
    with pytest.raises(FrozenInstanceError):
        found.low = 0.0


def test_swapping_negates() -> None:
    a, b = scores(4, 1.0, 1), scores(3, 1.6, 2)
    one, other = healthgan.compare(a, b, LABELS), healthgan.compare(b, a, LABELS)
    assert other.difference == -one.difference
    assert (other.low, other.high) == (pytest.approx(-one.high), pytest.approx(-one.low))
    assert other.verdict is Verdict.HURTS


def test_only_the_order_of_scores_matters() -> None:
    a, b = scores(4, 1.0, 1), scores(3, 1.6, 2)
    logits, probabilities = (
        healthgan.compare(a, b, LABELS),
        healthgan.compare(1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b)), LABELS),
    )
    assert logits == probabilities


def test_more_images_of_the_same_patients_tell_nothing_new() -> None:
    a, b = scores(4, 1.0, 1), scores(3, 1.6, 2)
    people = np.arange(len(LABELS))
    once = healthgan.compare(a, b, LABELS, people)
    copied = (np.concatenate([rows, rows], axis=1) for rows in (a, b))
    twice = healthgan.compare(*copied, np.tile(LABELS, 2), np.tile(people, 2))
    assert twice.patients == once.patients
    assert (twice.low, twice.high) == (pytest.approx(once.low), pytest.approx(once.high))
    blind = healthgan.compare(*(np.tile(rows, 2) for rows in (a, b)), np.tile(LABELS, 2))
    assert blind.high - blind.low < twice.high - twice.low


def test_patients_may_have_names() -> None:
    a, b = scores(2, 1.0, 1), scores(2, 1.6, 2)
    codes = np.arange(len(LABELS)) // 2
    named = healthgan.compare(a, b, LABELS, np.array([f"p{code:03d}" for code in codes]))
    assert named == healthgan.compare(a, b, LABELS, codes)


def test_classifiers_of_one_generator_are_not_independent() -> None:
    """Where generators differ far more than seeds, forgetting them makes the interval too narrow."""
    rng = np.random.default_rng(5)
    a, generators = scores(6, 1.0, 1), np.repeat([0, 1, 2], 2)
    luck = rng.normal(0, 0.8, 3)[generators, None] * LABELS
    b = scores(6, 1.3, 2) + luck
    told = healthgan.compare(a, b, LABELS, generators_b=generators)
    forgotten = healthgan.compare(a, b, LABELS)
    assert told.difference == pytest.approx(forgotten.difference)
    assert told.se > forgotten.se


GOOD = {"predictions_a": scores(2, 1, 1), "predictions_b": scores(2, 1, 2), "labels": LABELS}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"predictions_b": scores(2, 1, 2)[:, :-1]}, r"predictions_b are float64 \(2, 129\).*\(130,\)"),
        ({"predictions_a": np.full(130, np.nan)}, "predictions_a hold NaN"),
        ({"predictions_a": np.empty((0, 130))}, r"predictions_a are .*\(0, 130\)"),
        ({"labels": np.full(130, 2)}, "of 0 and 1"),
        ({"labels": np.zeros(130, int)}, "two patients or more"),
        ({"patients": np.arange(3)}, "130 whole numbers or texts"),
        ({"generators_a": np.arange(3)}, "2 whole numbers"),
        ({"equivalence": 0.0}, "equivalence is 0.0"),
        ({"level": 1.0}, "level 1.0"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, says) -> None:
    with pytest.raises(InputError, match=says):
        healthgan.compare(**(GOOD | changes))
