"""Scores against scikit-learn, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from healthgan.scores import accuracy, auroc, bootstrap_auroc, wilson_interval


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40))
def test_auroc_is_scikit_learns_also_with_ties(pairs) -> None:
    labels, scores = np.array([pair[0] for pair in pairs]), np.array([float(pair[1]) for pair in pairs])
    if len(set(labels.tolist())) == 2:
        assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_accuracy_judges_half_as_zero_as_keras_does() -> None:
    assert accuracy(np.array([0, 1, 1, 0]), np.array([0.5, 0.5, 0.6, 0.7], np.float32)) == 0.5


def test_wilson_interval_is_the_closed_form() -> None:
    z, n, p = 1.959963984540054, 132, 99 / 132
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson_interval(99, 132) == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_bootstrap_interval_holds_the_mean_and_widens_with_clusters() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    scores = labels + rng.normal(0, 1, (3, 120))
    alone = bootstrap_auroc(labels, scores, np.arange(120), np.random.default_rng(1), resamples=400)
    mean = np.mean([auroc(labels, row) for row in scores])
    assert alone[0] < mean < alone[1]
    copies = np.repeat(scores[:, ::4], 4, axis=1)  # four equal images a patient: a quarter of the information
    apart = bootstrap_auroc(labels, copies, np.arange(120), np.random.default_rng(1), resamples=400)
    together = bootstrap_auroc(labels, copies, np.arange(120) // 4, np.random.default_rng(1), resamples=400)
    assert together[1] - together[0] > apart[1] - apart[0]
