"""Repeated cross-validation against Nadeau and Bengio's formula and a simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from healthgan.errors import InputError
from healthgan.statistics import Split, compare_cross_validation
from healthgan.statistics.cross_validation import compare_splits, mean_aurocs
from healthgan.statistics.simulation import Layout, World
from healthgan.statistics.simulation_splits import Folding, simulate_splits

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
    assert found.arm("real").auroc.df == 7


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
