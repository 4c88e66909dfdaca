"""Influence values of AUROCs against formulas written out, and against resampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from healthgan.statistics.cases import auc_influence, case_covariance, case_variance, placements


def made_up(
    fits: int, seed: int, patients: int = 30, images: int = 80, ties: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores (F, N) and patients; patients may have images of both classes."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[1, 1, 0, 0], rng.integers(0, 2, images - 4)])
    whose = np.concatenate([[0, 1, 0, 1], rng.integers(0, patients, images - 4)])
    scores = rng.normal(0, 1, (fits, images)) + labels + rng.normal(0, 1, patients)[whose]
    return labels, np.round(2 * scores) if ties else scores, whose


def kernel(labels: np.ndarray, row: np.ndarray) -> np.ndarray:
    """(positives, negatives) 1 where a positive scores above a negative, ½ where they tie."""
    gap = row[labels == 1][:, None] - row[labels == 0]
    return (gap > 0) + 0.5 * (gap == 0)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30)
def test_placements_are_the_means_of_the_kernel(seed, ties) -> None:
    labels, scores, _ = made_up(3, seed, ties=ties)
    positive, negative = placements(labels, scores)
    for row, one, other in zip(scores, positive, negative, strict=True):
        assert one == pytest.approx(kernel(labels, row).mean(axis=1), abs=1e-12)
        assert other == pytest.approx(kernel(labels, row).mean(axis=0), abs=1e-12)


def test_the_auroc_is_scikit_learns() -> None:
    labels, scores, patients = made_up(4, 0)
    expected = [roc_auc_score(labels, row) for row in scores]
    assert auc_influence(labels, scores, patients).auroc == pytest.approx(expected, abs=1e-12)


def test_one_image_a_patient_gives_delongs_covariance() -> None:
    labels, scores, _ = made_up(4, 1)
    components = [kernel(labels, row) for row in scores]
    positives, negatives = components[0].shape
    delong = np.cov([one.mean(axis=1) for one in components]) / positives
    delong += np.cov([one.mean(axis=0) for one in components]) / negatives
    found = case_covariance(auc_influence(labels, scores, np.arange(len(labels)))).total
    assert found == pytest.approx(delong, abs=1e-14)


def obuchowski(labels: np.ndarray, one: np.ndarray, other: np.ndarray, patients: np.ndarray) -> float:
    """Equations 3 to 6 of the paper for two classifiers, patient by patient."""
    whose = {label: patients[labels == label] for label in (1, 0)}
    m, n = len(whose[1]), len(whose[0])
    everyone = np.unique(patients)
    sums = []
    for row in (one, other):
        area = kernel(labels, row).mean()
        v10, v01 = kernel(labels, row).mean(axis=1), kernel(labels, row).mean(axis=0)
        x = np.array([np.sum(v10[whose[1] == p] - area) for p in everyone])
        y = np.array([np.sum(v01[whose[0] == p] - area) for p in everyone])
        sums.append((x, y))
    (x1, y1), (x2, y2) = sums
    i10, i01, every = len(np.unique(whose[1])), len(np.unique(whose[0])), len(everyone)
    s10 = i10 / ((i10 - 1) * m) * np.sum(x1 * x2)
    s01 = i01 / ((i01 - 1) * n) * np.sum(y1 * y2)
    s11 = every / (every - 1) * np.sum(x1 * y2)
    s11_other = every / (every - 1) * np.sum(x2 * y1)
    return float(s10 / m + s01 / n + (s11 + s11_other) / (m * n))


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_several_images_a_patient_give_obuchowskis(seed) -> None:
    labels, scores, patients = made_up(3, seed)
    influence = auc_influence(labels, scores, patients)
    found = case_covariance(influence).total
    expected = [[obuchowski(labels, one, other, patients) for other in scores] for one in scores]
    assert found == pytest.approx(np.array(expected), abs=1e-13)
    assert case_variance(influence).total == pytest.approx(np.diag(found), abs=1e-15)


def test_the_bootstrap_over_patients_agrees() -> None:
    """Both estimate the same standard error: the bootstrap's own error is 1/√(2·2000), 1.6 %; what the expansion
    leaves out is of order 1/patients, here 1/150. Together at most four times 1.6 % and 1/150."""
    labels, scores, patients = made_up(2, 3, patients=150, images=500)
    found = case_covariance(auc_influence(labels, scores, patients)).total
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(patients == one) for one in np.unique(patients)]
    draws = []
    for _ in range(2000):
        images = np.concatenate([groups[pick] for pick in rng.integers(len(groups), size=len(groups))])
        draws.append([kernel(labels[images], row[images]).mean() for row in scores])
    deviations = np.array(draws)
    bootstrap = [*deviations.std(axis=0, ddof=1), (deviations[:, 0] - deviations[:, 1]).std(ddof=1)]
    expected = [*np.sqrt(np.diag(found)), np.sqrt(found[0, 0] + found[1, 1] - 2 * found[0, 1])]
    assert bootstrap == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000) + 1 / 150)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_names_and_order_of_patients_do_not_matter(seed, random) -> None:
    labels, scores, patients = made_up(2, seed)
    names = list(range(1000, 1030))
    random.shuffle(names)
    order = list(range(len(labels)))
    random.shuffle(order)
    one = case_covariance(auc_influence(labels, scores, patients)).total
    renamed = np.array(names)[patients]
    other = case_covariance(auc_influence(labels[order], scores[:, order], renamed[order])).total
    assert other == pytest.approx(one, abs=1e-14)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_order_of_scores_alone_matters(seed) -> None:
    labels, scores, patients = made_up(2, seed)
    one = auc_influence(labels, scores, patients)
    other = auc_influence(labels, np.exp(scores / 3) - 7, patients)
    assert other.auroc == pytest.approx(one.auroc, abs=1e-15)
    assert other.positive == pytest.approx(one.positive, abs=1e-15)
    assert other.negative == pytest.approx(one.negative, abs=1e-15)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_calling_the_other_class_rare_and_turning_the_scores_changes_nothing(seed) -> None:
    labels, scores, patients = made_up(3, seed)
    one = case_covariance(auc_influence(labels, scores, patients)).total
    other = case_covariance(auc_influence(1 - labels, -scores, patients)).total
    assert other == pytest.approx(one, abs=1e-14)
