"""The membership test against scikit-learn, and when it may speak of 1 % false positives."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from healthgan.privacy.membership import membership, true_positives


def distances(rng, count, mean):
    return rng.normal(mean, 1, count).astype(np.float32)


def test_auroc_is_scikit_learns_and_nearer_means_member():
    rng = np.random.default_rng(0)
    inside, outside = distances(rng, 80, 4), distances(rng, 60, 5)
    found = membership(inside, np.arange(80) // 2, outside, 100 + np.arange(60) // 3, rng)
    labels = np.repeat([1, 0], (80, 60))
    assert found.auroc == pytest.approx(roc_auc_score(labels, -np.concatenate([inside, outside])))
    assert found.low < found.auroc < found.high
    assert found.low > 0.6
    assert (found.members, found.nonmembers) == (80, 60)
    assert (found.member_patients, found.nonmember_patients) == (40, 20)


def test_one_percent_needs_500_others():
    rng = np.random.default_rng(0)
    inside = distances(rng, 50, 5)
    few = membership(inside, np.arange(50), distances(rng, 499, 5), 100 + np.arange(499), rng)
    assert few.tpr_at_1_percent is None
    assert few.not_computable.startswith("not computable: 1 % false positives of 499")
    many = membership(inside, np.arange(50), distances(rng, 500, 5), 100 + np.arange(500), rng)
    assert many.not_computable == ""
    assert many.tpr_at_1_percent.low <= 0.01 <= many.tpr_at_1_percent.high


def test_true_positives_are_a_point_of_the_roc_curve():
    rng = np.random.default_rng(2)
    positives, negatives = rng.normal(1, 1, 300), rng.normal(0, 1, 1000)
    false, true, _ = roc_curve(
        np.repeat([1, 0], (300, 1000)), np.concatenate([positives, negatives]), drop_intermediate=False
    )
    assert true_positives(positives, negatives) == pytest.approx(true[false <= 0.01].max())


def test_twins_of_one_patient_widen_the_interval():
    """Each patient's images twice: AUROC stays, but a patient still counts once."""
    rng = np.random.default_rng(0)
    inside, outside = distances(rng, 60, 4.7), distances(rng, 60, 5)
    one = membership(inside, np.arange(60), outside, 60 + np.arange(60), rng)
    two = membership(
        np.repeat(inside, 2), np.arange(120) // 2, np.repeat(outside, 2), 60 + np.arange(120) // 2, rng
    )
    assert two.auroc == pytest.approx(one.auroc)
    # a percentile of 1,000 draws has a standard error of about 0.002 where the interval's half is 0.1
    assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.15)


def test_a_copier_gives_its_members_away():
    rng = np.random.default_rng(0)
    found = membership(
        np.full(30, 0.01, np.float32), np.arange(30), distances(rng, 40, 5), 30 + np.arange(40), rng
    )
    assert found.auroc == found.low == found.high == 1
