"""Folds: with and without a fresh network, with and without synthetic images in validation."""

import numpy as np
import pytest
import torch

from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict
from healthgan.classifiers.folds import Examples, run_folds
from healthgan.scores import accuracy

CPU = torch.device("cpu")
RECIPE = Recipe(scale_pixels=True, learning_rate=1e-3, batch=16)
EPOCHS, SEED = 2, 7


pytestmark = pytest.mark.usefixtures("one_thread")


def examples(count=48):
    """Three folds of 16; every fourth image is synthetic."""
    rng = np.random.default_rng(0)
    return Examples(
        pixels=rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8),
        labels=rng.integers(0, 2, count),
        synthetic=np.arange(count) % 4 == 0,
        folds=np.arange(count, dtype=np.int64) // 16,
    )


TEST = np.random.default_rng(1).integers(0, 256, (10, 16, 16, 1), dtype=np.uint8)


def run(*, reset, synthetic=True, seed=SEED, progress=lambda _: None, which=None):
    return run_folds(
        which or examples(), TEST, recipe=RECIPE, epochs=EPOCHS, reset_between_folds=reset,
        synthetic_in_validation=synthetic, seed=seed, device=CPU, progress=progress,
    )  # fmt: skip


def by_hand(*, reset):
    """Fold after fold, spelled out; accuracies in validation and the test images' probabilities."""
    data, found = examples(), []
    seeds = [
        int(child.generate_state(1, np.uint64)[0] >> 1) for child in np.random.SeedSequence(SEED).spawn(3)
    ]
    classifier = new_classifier((16, 16), 1, RECIPE, seeds[0], CPU)
    for fold in range(3):
        if reset and fold:
            classifier = new_classifier((16, 16), 1, RECIPE, seeds[fold], CPU)
        out = data.folds == fold
        fit(classifier, data.pixels[~out], data.labels[~out], EPOCHS, lambda _: None)
        found.append(accuracy(data.labels[out], predict(classifier, data.pixels[out])))
    return found, predict(classifier, TEST)


@pytest.mark.parametrize("reset", [True, False])
def test_a_network_goes_on_from_fold_to_fold_or_starts_afresh(reset):
    scores, probabilities = run(reset=reset)
    expected, expected_probabilities = by_hand(reset=reset)
    assert [score.val_accuracy for score in scores] == expected
    assert np.array_equal(probabilities, expected_probabilities)


def test_the_two_ways_differ_from_the_second_fold_on():
    kept, kept_probabilities = run(reset=False)
    fresh, fresh_probabilities = run(reset=True)
    assert kept[0] == fresh[0]
    assert not np.array_equal(kept_probabilities, fresh_probabilities)


def test_without_reset_validation_is_of_images_already_trained_on():
    """Labels are noise here, so a clean validation stays near one half and a leaking one does not."""
    rng = np.random.default_rng(3)
    data = Examples(
        pixels=rng.integers(0, 256, (60, 16, 16, 1), dtype=np.uint8),
        labels=np.arange(60, dtype=np.int64) % 2,
        synthetic=np.zeros(60, np.bool_),
        folds=np.arange(60, dtype=np.int64) // 20,
    )

    def last_fold(reset):
        scores, _ = run_folds(
            data, TEST, recipe=Recipe(True, 3e-3, 16), epochs=60, reset_between_folds=reset,
            synthetic_in_validation=True, seed=0, device=CPU, progress=lambda _: None,
        )  # fmt: skip
        return scores[-1].val_accuracy

    assert last_fold(reset=False) > 0.5 + 3 * 0.112  # 0.112 = sqrt(0.25 / 20), one half's standard error
    assert last_fold(reset=True) < 0.5 + 3 * 0.112


def test_synthetic_images_are_left_out_of_validation_if_asked():
    everything, with_probabilities = run(reset=True)
    real_only, without_probabilities = run(reset=True, synthetic=False)
    assert [score.val_images for score in everything] == [16] * 3
    assert [score.val_images for score in real_only] == [12] * 3
    assert [score.train_images for score in real_only] == [32] * 3
    assert [a.train_accuracy for a in everything] == [b.train_accuracy for b in real_only]
    assert np.array_equal(with_probabilities, without_probabilities)  # training is the same


def test_the_seed_decides_everything():
    first, again, other = (run(reset=True, seed=seed) for seed in (1, 1, 2))
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_progress_counts_epochs_over_all_folds():
    told = []
    run(reset=False, progress=told.append)
    assert told == [1, 2, 3, 4, 5, 6]
