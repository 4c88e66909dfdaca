"""Arms against each other: laws, closed forms of balanced designs, and simulated truths."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from healthgan.errors import InputError
from healthgan.statistics import (
    Arm,
    Comparison,
    Headline,
    Pair,
    Verdict,
    compare,
)
from healthgan.statistics.cases import auc_influence, case_covariance
from healthgan.statistics.comparison import Design, compare_pairs, design_of, mean_aurocs
from healthgan.statistics.simulation import Layout, Study, World, simulate

LITTLE = World(positives=40, positive_patients=25, negatives=120, patients=80, fit=0.1, seed_sd=0.01)
LAYOUT = Layout(references=3, synthetic=3)


def study(seed: int = 0, layout: Layout = LAYOUT, world: World = LITTLE, gain: float = 0.0) -> Study:
    return simulate(world, layout, [gain] * layout.synthetic, np.random.default_rng(seed))


def design(made: Study) -> Design:
    return design_of(made.arms, made.labels, made.patients)


def by_name(pairs: list[Pair]) -> dict[tuple[str, str], Pair]:
    return {(pair.arm, pair.reference): pair for pair in pairs}


def test_two_arms_of_seeds_are_hand_calculable() -> None:
    """Obuchowski and Rockette's variance of a difference, by averages over the case covariance of all classifiers."""
    made = study(layout=Layout(references=2, synthetic=0, reference_seeds=3))
    first, second = (auc_influence(made.labels, arm.scores, made.patients) for arm in made.arms)
    both = np.concatenate([made.arms[0].scores, made.arms[1].scores])
    covariance = case_covariance(auc_influence(made.labels, both, made.patients)).total
    blocks = covariance.reshape(2, 3, 2, 3)
    different = ~np.eye(3, dtype=bool)
    cases = blocks[0, :, 0][different].mean() + blocks[1, :, 1][different].mean() - 2 * blocks[0, :, 1].mean()
    squares = [influence.auroc.var(ddof=1) for influence in (first, second)]
    pooled = np.mean(squares)
    trained = [(pooled + max(own - pooled, 0) / 2) / 3 for own in squares]
    (pair,) = compare_pairs(design(made))
    assert pair.difference == pytest.approx(second.auroc.mean() - first.auroc.mean(), abs=1e-15)
    assert pair.variance.cases == pytest.approx(max(cases, 0), abs=1e-15)
    assert pair.se**2 == pytest.approx(max(cases, 0) + sum(trained), abs=1e-15)


def test_generators_are_the_units_of_an_arm_that_has_them() -> None:
    """With equal unit means per generator, adding seeds to a generator adds no unit."""
    made = study(layout=Layout(references=1, synthetic=1, generators=3, seeds=4))
    found = design(made).units[1]
    single = auc_influence(made.labels, made.arms[1].scores, made.patients).auroc.reshape(3, 4)
    assert found.count == 3
    assert found.auroc == pytest.approx(single.mean(), abs=1e-15)
    assert found.variance == pytest.approx(single.mean(axis=1).var(ddof=1), abs=1e-15)
    assert found.seed_variance == pytest.approx(single.var(axis=1, ddof=1).mean(), abs=1e-15)
    assert found.seed_df == 9


def test_generators_that_do_the_same_in_all_arms_count_once() -> None:
    """An effect that all arms share has G − 1 degrees of freedom however many arms there are."""
    made = study(
        layout=Layout(references=1, synthetic=1, generators=3, seeds=1),
        world=replace(LITTLE, generator_sd=0.1),
    )
    arms = [made.arms[0], *(replace(made.arms[1], name=f"synthetic-{number}") for number in range(4))]
    found = design_of(arms, made.labels, made.patients)
    assert found.units[1].variance > found.units[0].seed_variance  # generators, not seeds, decide
    for trained in found.trainings[1:]:
        assert trained.df == pytest.approx(2)
        assert trained.variance == pytest.approx(found.units[1].variance / 3)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_swapping_two_reference_arms_negates_the_difference(seed) -> None:
    made = study(seed, layout=Layout(references=2, synthetic=0))
    (one,) = compare_pairs(design(made), real="real")
    (other,) = compare_pairs(design(made), real="reference-1")
    assert (other.difference, other.low, other.high) == pytest.approx(
        (-one.difference, -one.high, -one.low), abs=1e-12
    )
    assert other.se == pytest.approx(one.se, abs=1e-15)


@given(st.integers(0, 1000), st.floats(0.2, 5), st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_a_monotone_change_of_scores_changes_nothing(seed, slope, shift) -> None:
    made = study(seed)
    changed = [replace(arm, scores=slope * arm.scores.astype(np.float64) + shift) for arm in made.arms]
    one = compare_pairs(design(made))
    other = compare_pairs(design_of(changed, made.labels, made.patients))
    for left, right in zip(one, other, strict=True):
        assert (right.low, right.high) == pytest.approx((left.low, left.high), abs=1e-9)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_order_of_images_classifiers_and_names_of_patients_do_not_matter(seed) -> None:
    made = study(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(made.labels))
    names = rng.permutation(made.patients.max() + 1) + 500
    mixed = []
    for arm in made.arms:
        rows = rng.permutation(len(arm.scores))
        generator = None if arm.generator is None else 7 * arm.generator[rows]
        mixed.append(Arm(arm.name, arm.kind, arm.scores[rows][:, order], generator))
    one = compare_pairs(design(made))
    other = compare_pairs(design_of(mixed, made.labels[order], names[made.patients][order]))
    for left, right in zip(one, other, strict=True):
        assert (right.difference, right.se) == pytest.approx((left.difference, left.se), abs=1e-12)
        assert right.df == pytest.approx(left.df, rel=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_an_arm_against_its_own_copy_differs_by_nothing(seed) -> None:
    made = study(seed, layout=Layout(references=1, synthetic=1))
    arms = [*made.arms, replace(made.arms[0], name="again")]
    pair = by_name(compare_pairs(design_of(arms, made.labels, made.patients)))["again", "real"]
    assert pair.difference == 0
    assert pair.low <= 0 <= pair.high
    assert pair.se > 0  # the copy counts as other seeds


def test_intervals_of_all_arms_are_wider_than_of_one_and_narrower_than_bonferronis() -> None:
    for pair in compare_pairs(design(study())):
        alone, together = pair.marginal_high - pair.difference, pair.high - pair.difference
        assert alone == pytest.approx(stats.t.isf(0.025, pair.df) * pair.se)
        if pair.kind == "synthetic":
            assert alone < together < stats.t.isf(0.025 / 3, pair.df) * pair.se


def test_what_is_compared() -> None:
    made = study()
    arms = [*made.arms, replace(made.arms[-1], name="noise", kind="control")]
    found = by_name(compare_pairs(design_of(arms, made.labels, made.patients)))
    references, synthetic = ["real", "reference-1", "reference-2"], [f"synthetic-{n}" for n in range(3)]
    expected = {(arm, reference) for reference in references for arm in [*synthetic, "noise"]}
    assert set(found) == expected | {("reference-1", "real"), ("reference-2", "real")}


def test_a_control_changes_no_other_arms_interval() -> None:
    made = study()
    control = Arm("noise", "control", np.random.default_rng(0).normal(size=made.arms[-1].scores.shape))
    one = by_name(compare_pairs(design(made)))
    other = by_name(compare_pairs(design_of([*made.arms, control], made.labels, made.patients)))
    for names, pair in one.items():
        assert (other[names].low, other[names].high) == pytest.approx((pair.low, pair.high), abs=1e-12)


def test_one_training_an_arm_speaks_of_patients_only() -> None:
    """Then it is DeLong's test of two classifiers, clustered."""
    made = study(layout=Layout(references=2, synthetic=0, reference_seeds=1))
    both = np.concatenate([arm.scores for arm in made.arms])
    covariance = case_covariance(auc_influence(made.labels, both, made.patients)).total
    (pair,) = compare_pairs(design(made))
    assert pair.se**2 == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert pair.variance.trainings == 0


def test_one_generator_makes_its_classifiers_the_units() -> None:
    made = study(layout=Layout(references=1, synthetic=1, generators=1, seeds=3))
    found = design(made).units[1]
    assert (found.count, found.generators) == (3, None)


def test_unfinished_studies_are_compared_all_the_same() -> None:
    made = study(layout=Layout(references=2, synthetic=2, generators=3, seeds=2))
    arms = list(made.arms)
    arms[2] = replace(arms[2], scores=arms[2].scores[:3], generator=np.array([0, 0, 1]))
    arms[0] = replace(arms[0], scores=arms[0].scores[:1])
    pairs = compare_pairs(design_of(arms, made.labels, made.patients))
    assert all(0 < pair.se < 0.2 and pair.df > 1 for pair in pairs)


def test_perfect_arms_are_no_ground_for_a_verdict() -> None:
    labels = np.repeat([1, 0], 10)
    arms = [
        Arm("real", "reference", labels + np.zeros((2, 1))),
        Arm("synthetic-50", "synthetic", labels + np.zeros((2, 1)), np.arange(2)),
    ]
    found = compare(arms, labels, np.arange(20))
    assert found.pair("synthetic-50", "real").verdict is Verdict.UNKNOWN
    assert found.arm("real").auroc.estimate.value == 1
    assert found.headline is Headline.UNKNOWN


def test_an_arms_interval_is_the_delta_method_on_the_logit_scale() -> None:
    found = mean_aurocs(design(study()))[0]
    middle = np.log(found.estimate.value / (1 - found.estimate.value))
    half = stats.t.isf(0.025, found.df) * found.se / (found.estimate.value * (1 - found.estimate.value))
    assert found.estimate.low == pytest.approx(1 / (1 + np.exp(half - middle)))
    assert found.estimate.high == pytest.approx(1 / (1 + np.exp(-half - middle)))


@pytest.fixture(scope="module")
def whole() -> Comparison:
    made, other = study(gain=0.06), study(1)
    arms = [replace(arm, validation=one.scores) for arm, one in zip(made.arms, other.arms, strict=True)]
    return compare(arms, made.labels, made.patients, prevalence=0.1, validation_labels=other.labels)


def test_the_tree_has_everything(whole: Comparison) -> None:
    assert (whole.images, whole.rare_images, whole.patients, whole.rare_patients) == (160, 40, 80, 25)
    assert whole.prevalence == 0.25
    assert [arm.generators for arm in whole.arms] == [None] * 3 + [2] * 3
    for arm in whole.arms:
        assert list(arm.measures) == [
            "auprc",
            "balanced_accuracy",
            "sensitivity",
            "brier",
            "calibration_intercept",
            "calibration_slope",
        ]
        assert all(found.low <= found.value <= found.high for found in arm.measures.values())
        assert sum(one.images for one in arm.reliability) == 160
    against_real = whole.against("real")
    assert whole.detectable == max(pair.detectable for pair in against_real)
    assert whole.detectable_at_best == max(pair.detectable_at_best for pair in against_real)
    with pytest.raises(KeyError):
        whole.pair("real", "synthetic-0")


def test_without_prevalence_and_validation_less_is_said() -> None:
    made = study()
    found = compare(made.arms, made.labels, made.patients)
    assert list(found.arms[0].measures) == ["auprc", "sensitivity"]
    assert found.arms[0].reliability == ()


def test_too_few_patients_are_refused() -> None:
    made = study()
    whose = np.where(made.labels == 1, 0, made.patients)
    with pytest.raises(InputError, match="rare class come from 1 patients"):
        compare(made.arms, made.labels, whose)


def test_scores_that_are_no_numbers_are_refused() -> None:
    made = study()
    scores = made.arms[1].scores.copy()
    scores[0, 3] = np.nan
    with pytest.raises(InputError, match="'reference-1' gave scores that are no finite numbers"):
        compare([made.arms[0], replace(made.arms[1], scores=scores)], made.labels, made.patients)
