"""Scores against scikit-learn, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score, roc_curve

from healthgan.scores import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    best_threshold,
    bootstrap_auroc,
    mid_ranks,
    precision_recall_area,
    roc_height,
    sensitivity_at,
    threshold_counts,
    wilson_interval,
)


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_ranks_are_scipys(values) -> None:
    assert mid_ranks(np.array(values, np.float64)).tolist() == stats.rankdata(values).tolist()


def test_no_rank_is_made_of_what_is_no_number() -> None:
    assert np.isnan(mid_ranks(np.array([1.0, np.nan]))).all()
    assert np.isnan(auroc(np.array([0, 1]), np.array([0.2, np.nan])))


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


labelled = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=4, max_size=60).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in pairs]), np.array([float(score) for _, score in pairs])


@given(labelled)
def test_average_precision_is_scikit_learns_also_with_ties(pairs) -> None:
    labels, scores = arrays(pairs)
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


@given(labelled, st.floats(0.01, 0.99))
def test_sensitivity_lies_on_scikit_learns_roc_curve(pairs, specificity) -> None:
    """Between two points of the curve it is on the line through them; a vertical piece counts to its top."""
    labels, scores = arrays(pairs)
    alarms, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    allowed = 1 - specificity
    before = np.flatnonzero(alarms <= allowed + 1e-12)[-1]
    after = min(before + 1, len(alarms) - 1)
    step = alarms[after] - alarms[before]
    part = (allowed - alarms[before]) / step if step > 0 else 0.0
    expected = hits[before] + part * (hits[after] - hits[before])
    assert sensitivity_at(labels, scores, specificity) == pytest.approx(expected, abs=1e-7)


def test_sensitivity_at_an_attainable_specificity_takes_the_top_of_the_step() -> None:
    labels = np.repeat([0, 1], (10, 4))
    scores = np.concatenate([np.arange(10.0), [8.5, 9.5, 3.5, 8.2]])
    assert sensitivity_at(labels, scores, 0.9) == 0.75  # one false alarm (9.0), three hits above 8
    assert sensitivity_at(labels, np.zeros(14), 0.9) == pytest.approx(0.1)  # chance, where all are tied


@given(labelled, st.integers(0, 6))
def test_balanced_accuracy_is_scikit_learns(pairs, threshold) -> None:
    labels, scores = arrays(pairs)
    expected = balanced_accuracy_score(labels, scores > threshold + 0.5)
    assert balanced_accuracy(labels, scores, threshold + 0.5) == pytest.approx(expected, abs=1e-12)


@given(labelled)
def test_no_threshold_beats_the_best_one(pairs) -> None:
    labels, scores = arrays(pairs)
    found = balanced_accuracy(labels, scores, best_threshold(labels, scores))
    every = [balanced_accuracy(labels, scores, threshold) for threshold in np.arange(-0.5, 7)]
    if max(every) > 0.5:
        assert found == pytest.approx(max(every), abs=1e-12)


@given(labelled, st.integers(0, 2**32 - 1))
def test_a_weight_is_a_repetition(pairs, seed) -> None:
    labels, scores = arrays(pairs)
    times = np.random.default_rng(seed).integers(1, 4, len(labels))
    repeated = np.repeat(np.arange(len(labels)), times)
    counts = threshold_counts(labels, scores, times[np.newaxis].astype(float))
    assert precision_recall_area(*counts)[0] == pytest.approx(
        average_precision(labels[repeated], scores[repeated]), abs=1e-12
    )
    assert roc_height(*counts, 0.9)[0] == pytest.approx(
        sensitivity_at(labels[repeated], scores[repeated]), abs=1e-7
    )


@given(labelled)
def test_order_alone_decides_the_measures_of_discrimination(pairs) -> None:
    labels, scores = arrays(pairs)
    for measure in (auroc, average_precision, sensitivity_at):
        assert measure(labels, np.exp(scores / 2) - 3) == pytest.approx(measure(labels, scores), abs=1e-12)
