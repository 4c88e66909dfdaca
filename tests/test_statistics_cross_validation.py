"""Repeated cross-validation against Nadeau and Bengio's formula and a simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from healthgan.errors import InputError
from healthgan.statistics import (
    Arm,
    Needed,
    Split,
    auc_influence,
    case_covariance,
    compare_cross_validation,
    needed_sentence,
)
from healthgan.statistics.cross_validation import compare_splits, mean_aurocs
from healthgan.statistics.fold_arms import mean_aurocs_over_splits, training_parts
from healthgan.statistics.simulation import Layout, World
from healthgan.statistics.simulation_splits import Folding, simulate_splits
from healthgan.statistics.words import few_splits_sentence

LITTLE = World(positives=40, positive_patients=30, negatives=120, patients=90)
LAYOUT = Layout(references=2, synthetic=2, generators=2, seeds=2, reference_seeds=2)


def splits(seed: int = 0, folding: Folding | None = None) -> list[Split]:
    folding = folding or Folding(folds=4, repeats=2)
    return simulate_splits(LITTLE, LAYOUT, folding, [0.0, 0.0], np.random.default_rng(seed))[0]


def test_splits_are_folds_of_patients() -> None:
    made = splits()
    assert len(made) == 8
    for repeat in (made[:4], made[4:]):
        patients = [set(split.patients.tolist()) for split in repeat]
        assert sum(len(one) for one in patients) == len(set.union(*patients)) == 90
        assert sum(len(split.labels) for split in repeat) == 160
    assert all(split.training_images + len(split.labels) == 160 for split in made)


def test_the_interval_is_nadeau_and_bengios() -> None:
    made = splits()
    found = compare_cross_validation(made)
    means = np.array(
        [
            [np.mean([roc_auc_score(split.labels, row) for row in arm.scores]) for arm in split.arms]
            for split in made
        ]
    )
    assert mean_aurocs(made) == pytest.approx(means, abs=1e-12)
    differences = means[:, 2] - means[:, 0]
    share = np.mean([len(split.labels) / split.training_images for split in made])
    se = np.sqrt(differences.var(ddof=1) * (1 / 8 + share))
    pair = found.pair("synthetic-0", "real")
    assert pair.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert (pair.se, pair.df) == (pytest.approx(se, abs=1e-12), 7)
    half = stats.t.isf(0.025, 7) * se
    assert (pair.marginal_low, pair.marginal_high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=1e-9
    )
    assert pair.high - pair.low > 2 * half


def test_the_tree_counts_what_one_repeat_tests() -> None:
    found = compare_cross_validation([replace(split, prevalence=0.25) for split in splits()])
    assert (found.design, found.splits) == ("cross-validation", 8)
    assert (found.images, found.rare_images, found.patients, found.rare_patients) == (160, 40, 90, 30)
    assert [(arm.fits, arm.generators) for arm in found.arms] == [(16, None)] * 2 + [(32, 16)] * 2
    assert set(found.arms[0].measures) >= {"auprc", "sensitivity", "brier"}
    assert found.arm("real").auroc.df > 20, "patients are many, though splits are few"


def test_an_arms_variance_is_delongs_over_folds_and_what_sets_it_apart() -> None:
    """One repeat, an image a patient: independent folds, each with DeLong's variance."""
    rng = np.random.default_rng(3)
    labels = np.tile([1, 0, 0], 30)
    made = []
    for fold in range(3):
        arms = tuple(
            Arm(name, "reference", rng.normal(labels, 1, (2, 90))) for name in ("real", "smote", "mixup")
        )
        made.append(Split(arms, labels, np.arange(90) + 1000 * fold, 180))
    values = mean_aurocs(made)
    training, df = training_parts(values, ["reference"] * 3, 0.5)
    apart = values - values.mean(axis=1, keepdims=True)
    own = apart.var(axis=0, ddof=1) * 3 / 2
    expected = (own.mean() + np.maximum(own - own.mean(), 0) / 2) * (1 / 3 + 0.5)
    assert training == pytest.approx(expected, abs=1e-15)
    assert df == 4
    for number, found in enumerate(mean_aurocs_over_splits(made, values, 0.5)):
        cases = 0.0
        for split in made:
            one = auc_influence(split.labels, split.arms[number].scores, split.patients)
            cases += case_covariance(one.combine(np.full((1, 2), 0.5))).total[0, 0] / 9
        assert found.se**2 == pytest.approx(cases + training[number], rel=1e-9)


def test_an_arm_by_itself_has_no_other_to_stand_apart_from() -> None:
    variance, df = training_parts(np.random.default_rng(0).random((3, 2)), ["reference", "control"], 0.5)
    assert variance.tolist() == [0, 0]
    assert df == np.inf


def test_three_folds_give_an_arm_a_sensible_interval() -> None:
    """Where Student's t with two degrees of freedom would span most of the scale, patients say more; and they hold the
    truth in 95 % of 100 studies within four standard errors, as if a study's four arms were one."""
    layout = Layout(references=1, synthetic=3, generators=1, seeds=2, reference_seeds=2)
    held, widths, by_t = [], [], []
    for seed in range(100):
        rng = np.random.default_rng([12, seed])
        made, truth = simulate_splits(LITTLE, layout, Folding(folds=3, repeats=1), [0.0] * 3, rng)
        values = mean_aurocs(made)
        found = [one.estimate for one in mean_aurocs_over_splits(made, values, 0.5)]
        held.append(np.mean([one.low <= truth["real"] <= one.high for one in found]))
        widths.append(found[0].high - found[0].low)
        by_t.append(2 * stats.t.isf(0.025, 2) * values[:, 0].std(ddof=1) * np.sqrt(1 / 3 + 0.5))
    assert np.mean(held) == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 100))
    assert np.mean(widths) < 0.5 * np.mean(by_t)
    assert np.max(widths) < 0.35


def test_few_splits_are_named_as_the_cause() -> None:
    found = compare_cross_validation(splits(folding=Folding(folds=3, repeats=1)))
    assert found.few_splits
    assert found.detectable_at_best < found.detectable_with_enough < found.detectable
    settling = {pair.needed for pair in found.pairs if pair.needed is not None}
    assert settling == {Needed(None, None, None, splits=15, repeats=True)}
    assert "folds × repeats of 15" in needed_sentence(settling.pop())
    assert "2 degrees of freedom, which alone makes them 2.2 times as wide" in few_splits_sentence(3)


def test_enough_splits_name_patients_and_repeats() -> None:
    found = compare_cross_validation(splits(folding=Folding(folds=5, repeats=2)))
    assert not found.few_splits
    assert found.detectable_with_enough is None
    unknown = [pair for pair in found.pairs if pair.needed is not None]
    assert unknown
    for pair in unknown:
        assert pair.needed.both is not None
        assert "trainings" not in needed_sentence(pair.needed)


def test_more_repeats_remove_only_a_part_of_the_variance() -> None:
    pair = compare_cross_validation(splits()).pair("synthetic-0", "real")
    assert pair.variance.total == pytest.approx(pair.se**2)
    assert pair.variance.crossed / pair.variance.cases == pytest.approx((1 / 8) / (1 / 3), rel=0.05)
    assert pair.detectable_at_best < pair.detectable


def test_swapping_the_arms_negates_the_difference() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.05, (6, 2))
    kinds = [("real", "reference"), ("other", "reference")]
    (one,) = compare_splits(kinds, values, 0.25)
    (other,) = compare_splits(kinds[::-1], values[:, ::-1], 0.25, real="other")
    assert (other.difference, other.low) == pytest.approx((-one.difference, -one.high), abs=1e-12)


def test_a_single_split_is_refused() -> None:
    with pytest.raises(InputError, match="two splits or more, not 1"):
        compare_cross_validation(splits()[:1])


def test_intervals_hold_the_truth_where_splits_overlap() -> None:
    """Single intervals should hold in 95 % of 150 studies of 15 splits. Three arms a study are correlated, so the
    error is at most that of 150 independent intervals, of which four are allowed."""
    layout = Layout(references=1, synthetic=3, generators=1, seeds=2, reference_seeds=2)
    held = []
    for seed in range(150):
        rng = np.random.default_rng([11, seed])
        made, truth = simulate_splits(LITTLE, layout, Folding(), [0.0] * 3, rng)
        names = [(arm.name, arm.kind) for arm in made[0].arms]
        for pair in compare_splits(names, mean_aurocs(made), 0.25):
            true = truth[pair.arm] - truth[pair.reference]
            held.append(pair.marginal_low <= true <= pair.marginal_high)
    assert np.mean(held) == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 150))
