"""Every arm as a recipe: equal steps, balanced batches, and only the images it may have."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthgan.arms import Findings, Materials, NothingKeptError, Settings, Training, make_training, onward
from healthgan.arms.available import why_not
from healthgan.arms.smote import smote
from healthgan.arms.table import MAKERS
from healthgan.classifiers.recipes import Augmentation, Part
from healthgan.errors import InputError
from healthgan.protocol_sound import ARMS, BOTH_CLASSES, OTHER_FINDINGS, OTHER_SOURCE

SETTINGS = Settings(
    steps=101,
    batch=32,
    learning_rate=1e-3,
    first_phase=0.4,
    mixup=0.3,
    augmentation=Augmentation(rotate=10, contrast=0.2),
)


def grey(value: int, count: int) -> np.ndarray:
    """Images that tell by their grey where they come from."""
    return np.full((count, 16, 16, 1), value, np.uint8)


RARE, REFERENCE, MADE, MADE_REFERENCE, FRESH, FINDING, OTHER_RARE, OTHER_REFERENCE = range(10, 90, 10)

MATERIALS = Materials(
    rare=grey(RARE, 12),
    reference=grey(REFERENCE, 50),
    synthetic={rule: grey(MADE, 20) for rule in ("band", "floor", "faithful", "none")},
    synthetic_reference=grey(MADE_REFERENCE, 15),
    fresh=grey(FRESH, 24),
    findings=Findings(
        grey(FINDING, 30), np.tile(np.eye(3, dtype=np.float32), (10, 1)), np.zeros((50, 3), np.float32)
    ),
    other=(grey(OTHER_RARE, 11), grey(OTHER_REFERENCE, 13)),
)


def shown(training: Training, part: Part) -> dict[int, float]:
    """Grey level → probability in a part of a batch."""
    weight = np.full(len(part.index), 1 / len(part.index)) if part.weight is None else part.weight
    level = training.pool[part.index, 0, 0, 0]
    return {int(value): round(float(weight[level == value].sum()), 12) for value in np.unique(level)}


def test_every_arm_has_a_maker_and_every_maker_a_name() -> None:
    assert set(MAKERS) == set(ARMS)


@pytest.mark.parametrize("arm", ARMS)
def test_all_arms_take_equal_steps_in_equal_batches(arm: str) -> None:
    recipe = make_training(arm, MATERIALS, SETTINGS, seed=3).recipe
    assert recipe.steps == SETTINGS.steps
    assert all(phase.labelled == SETTINGS.batch for phase in recipe.phases)
    assert all(phase.learning_rate == SETTINGS.learning_rate for phase in recipe.phases)


@pytest.mark.parametrize("arm", sorted(set(ARMS) - {"weighted"}))
def test_the_last_phase_is_half_rare(arm: str) -> None:
    training = make_training(arm, MATERIALS, SETTINGS, seed=3)
    last = training.recipe.phases[-1]
    assert [part.images for part in last.parts] == [16, 16]
    assert [set(last.targets[part.index].ravel()) for part in last.parts] == [{1.0}, {0.0}]


@pytest.mark.parametrize("arm", [arm for arm, (kind, _) in ARMS.items() if kind == "reference"])
def test_reference_arms_never_see_synthetic_images(arm: str) -> None:
    training = make_training(arm, MATERIALS, SETTINGS, seed=3)
    levels = {
        level for phase in training.recipe.phases for part in phase.parts for level in shown(training, part)
    }
    allowed = {RARE, REFERENCE}
    allowed |= {FINDING} if arm in OTHER_FINDINGS else set()
    allowed |= {OTHER_RARE, OTHER_REFERENCE} if arm in OTHER_SOURCE else set()
    assert levels <= allowed
    assert {RARE, REFERENCE} <= levels


@pytest.mark.parametrize("share", [25, 50, 75, 100])
@pytest.mark.parametrize("form", ["synthetic", "both"])
def test_a_share_of_the_half_is_synthetic(form: str, share: int) -> None:
    training = make_training(f"{form}-{share}", MATERIALS, SETTINGS, seed=3)
    rare, reference = (shown(training, part) for part in training.recipe.phases[0].parts)
    assert rare.get(MADE, 0) == pytest.approx(share / 100)
    assert rare.get(RARE, 0) == pytest.approx(1 - share / 100)
    expected = share / 100 if form == "both" else 0
    assert reference.get(MADE_REFERENCE, 0) == pytest.approx(expected)
    assert reference.get(REFERENCE, 0) == pytest.approx(1 - expected)


def test_filters_name_the_images_that_they_keep() -> None:
    kinds = {"floor-50": "floor", "faithful-50": "faithful", "unfiltered-50": "none", "synthetic-50": "band"}
    for arm, rule in kinds.items():
        only = replace(MATERIALS, synthetic={rule: grey(99, 20)})
        training = make_training(arm, only, SETTINGS, seed=3)
        assert shown(training, training.recipe.phases[0].parts[0])[99] == pytest.approx(0.5)


def test_weighted_draws_at_natural_frequencies_with_equal_weight_of_the_classes() -> None:
    training = make_training("weighted", MATERIALS, SETTINGS, seed=3)
    (phase,) = training.recipe.phases
    (part,) = phase.parts
    assert shown(training, part) == pytest.approx({RARE: 12 / 62, REFERENCE: 50 / 62})
    against, towards = phase.class_weights
    assert against * 50 == pytest.approx(towards * 12)
    assert against * 50 + towards * 12 == pytest.approx(62)


def test_transfer_learns_the_other_findings_first_and_never_the_rare_class() -> None:
    training = make_training("transfer", MATERIALS, SETTINGS, seed=3)
    first, last = training.recipe.phases
    assert first.steps == round(0.4 * 101)
    assert first.targets.shape[1] == 3
    assert [shown(training, part) for part in first.parts] == [{FINDING: 1.0}, {REFERENCE: 1.0}]
    assert np.isnan(first.targets[last.parts[0].index]).all()
    assert last.new_head


def test_a_reference_image_with_another_finding_is_taught_as_having_it() -> None:
    assert MATERIALS.findings is not None
    having = np.zeros((50, 3), np.float32)
    having[7, 1] = 1
    training = make_training(
        "transfer",
        replace(MATERIALS, findings=replace(MATERIALS.findings, reference=having)),
        SETTINGS,
        seed=3,
    )
    first = training.recipe.phases[0]
    assert np.array_equal(first.targets[first.parts[1].index], having)


def test_coral_draws_features_of_both_sources_together() -> None:
    training = make_training("coral", MATERIALS, SETTINGS, seed=3)
    first, last = training.recipe.phases
    assert first.align is not None
    assert set(shown(training, first.align)) == {RARE, REFERENCE}
    assert [set(shown(training, part)) for part in first.parts] == [{OTHER_RARE}, {OTHER_REFERENCE}]
    assert last.align is None


def test_pretraining_sees_synthetic_images_first_and_real_ones_last() -> None:
    training = make_training("pretrain", MATERIALS, SETTINGS, seed=3)
    first, last = ([shown(training, part) for part in phase.parts] for phase in training.recipe.phases)
    assert first == [{MADE: 1.0}, {MADE_REFERENCE: 1.0}]
    assert last == [{RARE: 1.0}, {REFERENCE: 1.0}]


def test_the_oracle_shows_each_rare_patient_as_often_as_another() -> None:
    training = make_training("oracle", MATERIALS, SETTINGS, seed=3)
    rare = shown(training, training.recipe.phases[0].parts[0])
    assert rare == pytest.approx({RARE: 12 / 36, FRESH: 24 / 36})


def test_copies_are_altered_training_images() -> None:
    rng = np.random.default_rng(0)
    rare = rng.integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)
    training = make_training("copies", replace(MATERIALS, rare=rare), SETTINGS, seed=3)
    made = training.pool[-40:].astype(float).reshape(40, -1)
    correlation = np.corrcoef(made, rare.reshape(40, -1).astype(float))[:40, 40:]
    # Mirrored and shifted ones do not correlate pixel by pixel: six of the ten kinds do.
    assert (correlation.diagonal() > 0.5).mean() > 0.4
    assert (np.abs(correlation[~np.eye(40, dtype=bool)]) < 0.5).all()


def test_noise_is_as_many_images_as_the_rare_class_has() -> None:
    training = make_training("noise", MATERIALS, SETTINGS, seed=3)
    made = training.pool[-12:]
    assert training.synthetic == 12
    assert abs(made.mean() - 127.5) < 5 * 256 / np.sqrt(12 * made.size)


def test_what_an_arm_draws_depends_on_its_seed() -> None:
    pools = [make_training("noise", MATERIALS, SETTINGS, seed=seed).pool for seed in (3, 3, 4)]
    assert np.array_equal(pools[0], pools[1])
    assert not np.array_equal(pools[0], pools[2])


@pytest.mark.parametrize("arm", sorted(BOTH_CLASSES | {"synthetic-25", "faithful-50"}))
def test_too_few_kept_images_are_no_arm(arm: str) -> None:
    few = replace(MATERIALS, synthetic={}, synthetic_reference=grey(1, 9))
    with pytest.raises(NothingKeptError, match="0 synthetic rare images"):
        make_training(arm, few, SETTINGS, seed=3)


@pytest.mark.parametrize("arm", ["transfer", "transfer-other", "oracle"])
def test_what_is_missing_is_named(arm: str) -> None:
    bare = Materials(grey(RARE, 12), grey(REFERENCE, 50))
    with pytest.raises(InputError, match=r"oracle|source|findings"):
        make_training(arm, bare, SETTINGS, seed=3)


def test_why_an_arm_is_left_out() -> None:
    assert "--rare-count" in why_not("oracle", fresh=False, findings=True, other=True)
    assert "finding" in why_not("transfer", fresh=True, findings=False, other=True)
    assert "source" in why_not("coral", fresh=True, findings=True, other=False)
    assert [why_not(arm, fresh=True, findings=True, other=True) for arm in ARMS] == [""] * len(ARMS)


@pytest.mark.parametrize("arm", [None, "real", "both-25", "pretrain"])
def test_the_second_task_is_learnt_last_in_equal_steps(arm: str | None) -> None:
    second = Materials(grey(101, 14), grey(102, 16))
    training = onward(arm, MATERIALS, second, SETTINGS, seed=3)
    last = training.recipe.phases[-1]
    assert training.recipe.steps == SETTINGS.steps
    assert [shown(training, part) for part in last.parts] == [{101: 1.0}, {102: 1.0}]
    assert last.new_head == (arm is not None)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 30), st.integers(0, 2**31))
def test_smote_lies_between_two_rare_images(images: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rare = rng.integers(0, 256, (images, 16, 16, 1), dtype=np.uint8)
    made = smote(rare, count, rng)
    assert made.shape == (count, 16, 16, 1)
    assert made.dtype == np.uint8
    flat, ends = made.reshape(count, 256).astype(float), rare.reshape(images, 256).astype(float)
    for image in flat:
        gaps = []
        for start in range(images):
            for end in range(images):
                way = ends[end] - ends[start]
                step = 0.0 if start == end else np.clip((image - ends[start]) @ way / (way @ way), 0, 1)
                gaps.append(np.abs(image - ends[start] - step * way).max())
        assert (
            min(gaps) <= 1
        )  # half a grey level of rounding, and the place on the line is found from rounded values
