"""Class faithfulness, and training on synthetic images, on scores and images where the truth is known."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from healthgan.fidelity.faithfulness import (
    Judged,
    faithfulness,
    judge,
    learnt_from_synthetic,
    train_classifiers,
)

CPU = torch.device("cpu")


def judged(rows, groups=None):
    scores = np.array(rows, np.float32)
    return Judged(scores, np.arange(scores.shape[1]) if groups is None else np.array(groups))


def scored(shares, count=200, seed=0):
    """One classifier a share: that share of ``count`` images at 0.9, the rest at 0.1."""
    rng = np.random.default_rng(seed)
    return judged([np.where(rng.permutation(count) < share * count, 0.9, 0.1) for share in shares])


def test_shares_by_hand():
    synthetic = {"rare": judged([[0.9, 0.6, 0.4, 0.5]]), "reference": judged([[0.2, 0.3, 0.8, 0.5]])}
    heldout = {"rare": judged([[0.9, 0.9]]), "reference": judged([[0.1, 0.9]])}
    found = faithfulness(synthetic, heldout, np.random.default_rng(0))
    assert found.by_class["rare"][0].value == 0.5  # 0.5 itself is called reference
    assert found.by_class["reference"][0].value == 0.75
    assert found.synthetic.value == 0.625
    assert found.heldout.value == 0.75
    assert found.points.value == pytest.approx(-12.5)
    assert (found.synthetic.images, found.heldout.images, found.classifiers) == (8, 4, 1)


def test_intervals_have_the_width_of_binomials():
    """Standard error sqrt(p(1 − p)/n) for one classifier, and independent images on both sides."""
    found = faithfulness({"rare": scored([0.8])}, {"rare": scored([0.6], seed=1)}, np.random.default_rng(0))
    errors = [np.sqrt(p * (1 - p) / 200) for p in (0.8, 0.6)]
    # an end of a 95 % interval from 1,000 draws has a standard error of 8 % of the standard error
    for estimate, value, error in (
        (found.synthetic, 0.8, errors[0]),
        (found.heldout, 0.6, errors[1]),
        (found.points, 20, 100 * np.hypot(*errors)),
    ):
        assert estimate.value == pytest.approx(value)
        assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, abs=4 * 0.08 * 2**0.5 * error)
    assert set(found.by_class) == {"rare"}


def test_patients_and_classifiers_widen_the_interval():
    one = scored([0.7])
    patients = (
        np.argsort(np.argsort(one.scores[0], kind="stable")) // 20
    )  # a patient's images are called alike
    apart = faithfulness({"rare": one}, {"rare": one}, np.random.default_rng(0)).heldout
    together = faithfulness(
        {"rare": one}, {"rare": Judged(one.scores, patients)}, np.random.default_rng(0)
    ).heldout
    divided = faithfulness({"rare": one}, {"rare": scored([0.7])}, np.random.default_rng(0)).heldout
    several = scored([0.5, 0.9])
    luck = faithfulness({"rare": several}, {"rare": several}, np.random.default_rng(0)).heldout
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert luck.high - luck.low > 2 * (divided.high - divided.low)


def test_equal_luck_of_classifiers_cancels_in_the_difference():
    """Classifiers that are lenient or strict on both sides alike."""
    several = scored([0.1, 0.9], count=2000)
    found = faithfulness({"rare": several}, {"rare": several}, np.random.default_rng(0))
    assert found.points.high - found.points.low < 0.2 * 100 * (found.heldout.high - found.heldout.low)


def learnt(synthetic, real):
    return learnt_from_synthetic(
        synthetic,
        real,
        rare_images=5,
        reference_images=6,
        synthetic_reference=True,
        rng=np.random.default_rng(0),
    )


def test_aurocs_are_scikit_learns_and_their_difference_is_paired():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], (80, 40))
    scores = rng.random((3, 120)) + 0.4 * truth
    better = scores + 0.2 * truth
    pairs = [
        (judged(table[:, :80], np.arange(80) // 2), judged(table[:, 80:], np.arange(40) // 2))
        for table in (scores, better)
    ]
    found = learnt(*pairs)
    expected = [
        np.mean([roc_auc_score(truth, row) for row in np.float32(table)]) for table in (scores, better)
    ]
    assert (found.synthetic.value, found.real.value) == pytest.approx(expected, abs=1e-12)
    assert found.difference.value == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert found.synthetic.low < found.synthetic.value < found.synthetic.high
    same = learnt(pairs[0], pairs[0])
    alone = np.hypot(same.real.high - same.real.low, same.synthetic.high - same.synthetic.low)
    assert same.difference.value == 0
    assert same.difference.high - same.difference.low < alone
    assert found.real.images == 120


def test_a_patient_with_images_of_both_classes_is_drawn_in_each():
    """The same codes in both classes must not mix their images."""
    side = (judged([[0.1, 0.2, 0.3]], [1, 2, 2]), judged([[0.8, 0.9]], [2, 1]))
    found = learnt(side, side)
    assert (found.real.low, found.real.high) == (1, 1)


def test_classifiers_learn_and_judge():
    rng = np.random.default_rng(0)
    dark, bright = ((level + rng.integers(-40, 41, (30, 16, 16, 1))).astype(np.uint8) for level in (100, 150))
    told = []
    taught = train_classifiers(
        dark, bright, seed=0, device=CPU, classifiers=2, steps=60, progress=told.append
    )
    found = faithfulness(
        {"rare": judge(taught, bright), "reference": judge(taught, dark)},
        {"rare": judge(taught, bright, np.arange(30)), "reference": judge(taught, bright)},
        np.random.default_rng(0),
    )
    assert told == [1, 2]
    assert found.synthetic.value > 0.9
    assert found.by_class["reference"][1].value < 0.1
    assert not np.array_equal(judge(taught, dark).scores[0], judge(taught, dark).scores[1])
