"""Measures of arms: their values from scores.py, their intervals against resampling written out."""

from dataclasses import replace

import numpy as np
import pytest

from healthgan.scores import average_precision, balanced_accuracy, best_threshold, sensitivity_at
from healthgan.statistics import Arm
from healthgan.statistics.calibration import brier, calibration, shift_to_prevalence
from healthgan.statistics.measures import MEASURES, RESAMPLES, measure_arm, patient_weights
from healthgan.statistics.simulation import Layout, Study, World, simulate

WORLD = World(positives=60, positive_patients=40, negatives=200, patients=120)


def study(seed: int = 0, **changes: int) -> Study:
    layout = Layout(**({"references": 1, "synthetic": 1} | changes))
    return simulate(WORLD, layout, [0.0] * layout.synthetic, np.random.default_rng(seed))


def test_values_are_means_over_classifiers() -> None:
    made, other = study(), study(1)
    arm = replace(made.arms[1], validation=other.arms[1].scores)
    weights = patient_weights(made.labels, made.patients)
    found = measure_arm(arm, made.labels, weights, 0.1, other.labels)
    assert list(found) == list(MEASURES)
    shifted = shift_to_prevalence(arm.scores, 0.1)
    thresholds = [best_threshold(other.labels, row) for row in other.arms[1].scores]
    expected = {
        "auprc": [average_precision(made.labels, row) for row in arm.scores],
        "sensitivity": [sensitivity_at(made.labels, row) for row in arm.scores],
        "balanced_accuracy": [
            balanced_accuracy(made.labels, row, threshold)
            for row, threshold in zip(arm.scores, thresholds, strict=True)
        ],
        "brier": [brier(made.labels, row) for row in shifted],
        "calibration_intercept": [calibration(made.labels, row).intercept for row in shifted],
        "calibration_slope": [calibration(made.labels, row).slope for row in shifted],
    }
    for name, values in expected.items():
        assert found[name].value == pytest.approx(np.mean(values), abs=1e-9)
        assert found[name].sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
        assert MEASURES[name].low <= found[name].low < found[name].high <= MEASURES[name].high


def test_the_interval_of_one_classifier_is_the_bootstrap_over_its_patients() -> None:
    made = study(reference_seeds=1)
    arm, labels = made.arms[0], made.labels
    weights = patient_weights(labels, made.patients)
    draws = []
    for row in weights[1:]:
        images = np.repeat(np.arange(len(labels)), row.astype(int))
        draws.append(average_precision(labels[images], arm.scores[0, images]))
    found = measure_arm(arm, labels, weights)["auprc"]
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.std(draws, ddof=1), rel=1e-5)
    assert found.sd is None


def test_equal_classifiers_of_two_generators_add_nothing() -> None:
    made = study()
    row = made.arms[0].scores[:1]
    weights = patient_weights(made.labels, made.patients)
    one = measure_arm(Arm("one", "reference", row), made.labels, weights)
    two = measure_arm(
        Arm("two", "synthetic", np.repeat(row, 4, axis=0), np.array([0, 0, 1, 1])), made.labels, weights
    )
    for name, found in one.items():
        assert (two[name].low, two[name].high) == pytest.approx((found.low, found.high), abs=1e-12)


def test_patients_stay_whole_and_both_classes_stay_present() -> None:
    made = study()
    weights = patient_weights(made.labels, made.patients)
    assert np.array_equal(weights[0], np.ones(len(made.labels)))
    assert len(weights) == 1 + RESAMPLES
    for patient in np.unique(made.patients):
        rows = weights[:, made.patients == patient]
        assert np.array_equal(rows, np.repeat(rows[:, :1], rows.shape[1], axis=1))
    rare = np.unique(made.patients[made.labels == 1])
    first = np.unique(made.patients, return_index=True)[1]
    assert np.all(weights[:, first[rare]].sum(axis=1) == len(rare))  # as many patients with positive images


def test_a_measure_that_cannot_be_had_is_left_out() -> None:
    labels = np.repeat([0, 1], 5)
    arm = Arm("apart", "reference", np.stack([np.arange(10.0), np.arange(10.0)]))
    found = measure_arm(arm, labels, patient_weights(labels, np.arange(10)), 0.2)
    assert "calibration_slope" not in found
    assert found["auprc"].value == 1
