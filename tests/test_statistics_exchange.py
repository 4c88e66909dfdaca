"""Learning curves and exchange rates: SciPy's isotonic regression, known curves, laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from healthgan.scores import auroc
from healthgan.statistics import Arm, Cell, Exchange, Point, exchange_rates, points_of
from healthgan.statistics.exchange import _monotone
from healthgan.statistics.simulation_curve import Pool, simulate_curve

COUNTS = (25, 50, 100, 200, 400)


def curve(images: float) -> float:
    return 0.93 - 0.5 * images**-0.45


def on_lines(images: float) -> float:
    """The curve as straight lines over the logarithm between the counts, which is what is looked up."""
    return float(np.interp(np.log(images), np.log(COUNTS), [curve(count) for count in COUNTS]))


def exact(worth: float, spread: float = 0.0, seed: int = 0) -> list[Point]:
    """Three draws a number, with deviations that sum to zero."""
    rng = np.random.default_rng(seed)
    points = []
    for count in COUNTS:
        deviations = rng.normal(0, spread, (2, 3)) if spread else np.zeros((2, 3))
        deviations -= deviations.mean(axis=1, keepdims=True)
        points.append(Point(count, curve(count) + deviations[0], on_lines(count + worth) + deviations[1]))
    return points


@given(st.lists(st.floats(0.4, 1), min_size=2, max_size=8), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_monotone_fit_is_scipys(values, seed) -> None:
    weights = np.random.default_rng(seed).integers(1, 6, len(values)).astype(float)
    expected = isotonic_regression(values, weights=weights).x
    assert _monotone(np.array([values, values[::-1]]), weights)[0] == pytest.approx(expected, abs=1e-12)


@given(st.floats(1, 170))
@settings(max_examples=25, deadline=None)
def test_a_known_worth_is_found_exactly(worth) -> None:
    found = exchange_rates(exact(worth))
    for rate in found[:-1]:
        assert rate.more == pytest.approx(worth, rel=1e-6)
        assert (rate.low, rate.high) == pytest.approx((worth, worth), rel=1e-6)  # no draw differs
    assert found[-1].more == pytest.approx(0, abs=1e-9)  # the lines end there, and so does the level


def test_beyond_the_curve_and_none() -> None:
    points = [
        Point(point.count, point.reference, point.reference + gain)
        for point, gain in zip(exact(0), (0.5, 0.0, -0.1, 0.001, 0.001), strict=True)
    ]
    found = exchange_rates(points)
    assert found[0].words(found[0].more) == "> 375"
    assert [rate.words(rate.more) for rate in found[1:3]] == ["none", "none"]
    assert 0 < found[3].more < 200
    assert found[3].words(37.4) == "37"
    assert found[4].words(found[4].more) == "some", "at its end the curve knows no number"


def test_a_dip_of_the_reference_curve_is_levelled() -> None:
    """At the second number the reference arm did worse than at the first: both are put at their mean."""
    points = [
        Point(25, np.full(2, 0.72), np.full(2, 0.71)),
        Point(50, np.full(2, 0.70), np.full(2, 0.705)),
        Point(100, np.full(2, 0.80), np.full(2, 0.79)),
    ]
    found = exchange_rates(points)
    assert [rate.fitted for rate in found] == pytest.approx([0.71, 0.71, 0.80])
    assert [rate.reference for rate in found] == pytest.approx([0.72, 0.70, 0.80])
    assert [rate.more for rate in found] == [0, 0, 0]


@given(st.floats(0, 0.05), st.floats(0, 0.05), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_a_better_synthetic_arm_is_worth_no_less(gain, more, seed) -> None:
    points = exact(0, 0.01, seed)
    rates = [
        exchange_rates([Point(point.count, point.reference, point.reference + extra) for point in points])
        for extra in (gain, gain + more)
    ]
    for less, greater in zip(*rates, strict=True):
        assert greater.more >= less.more
        assert greater.low >= less.low
        assert greater.high >= less.high


def test_adding_the_same_to_both_arms_changes_nothing() -> None:
    points = exact(40, 0.01)
    moved = [Point(point.count, point.reference + 0.02, point.synthetic + 0.02) for point in points]
    for one, other in zip(exchange_rates(points), exchange_rates(moved), strict=True):
        assert (other.more, other.low, other.high) == pytest.approx((one.more, one.low, one.high))


def noisy(worth: float, draws: int, rng: np.random.Generator) -> list[Point]:
    """Draws that spread less where there are more images, and move both arms together in half of it."""
    points = []
    for count in COUNTS:
        together, one, other = 0.01 * np.sqrt(25 / count) * rng.standard_normal((3, draws))
        points.append(Point(count, curve(count) + together + one, curve(count + worth) + together + other))
    return points


def test_intervals_hold_the_known_worth() -> None:
    """400 curves of three draws: at each of four numbers in 95 %, within four standard errors of that, less what
    straight lines between the numbers miss (the truth is on the curve itself)."""
    held = np.array(
        [
            [
                rate.low <= 30 <= rate.high
                for rate in exchange_rates(noisy(30, 3, np.random.default_rng(seed)))
            ][:4]
            for seed in range(400)
        ]
    )
    assert held.mean(axis=0) == pytest.approx(np.full(4, 0.95), abs=4 * np.sqrt(0.05 * 0.95 / 400))


def test_intervals_hold_the_worth_in_one_training_set() -> None:
    """400 training sets: at each of four numbers in at least 95 %, less four standard errors."""
    held = []
    for seed in range(400):
        points, truth = simulate_curve(Pool(), np.random.default_rng([9, seed]))
        found = exchange_rates(points)
        held.append([rate.low <= worth <= rate.high for rate, worth in zip(found, truth, strict=True)])
    assert np.all(np.mean(held, axis=0)[:4] >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 400))


def test_the_whole_set_s_trainings_decide_at_its_own_place_only() -> None:
    found = []
    for apart in (0.0, 0.01):
        reference, synthetic = (np.linspace(-apart, apart, units) for units in (10, 4))
        last = Point(400, curve(400) + reference, curve(400) - 0.002 + synthetic, whole=True)
        found.append(exchange_rates([*exact(20, 0.001)[:-1], last]))
    steady, wild = found
    assert steady[0] == wild[0], "25 images and 20 more are far from the end"
    assert steady[-1].high == 0
    assert wild[-1].high == np.inf, "where trainings differ so much it may be better"


def test_test_patients_widen_the_interval() -> None:
    points = exact(40, 0.004)
    covariance = 0.0001 * np.eye(10)
    alone, widened = exchange_rates(points)[1], exchange_rates(points, covariance)[1]
    assert widened.high > alone.high
    assert widened.low < alone.low
    common = exchange_rates(points, np.full((10, 10), 0.001))[1]  # moves both arms and all numbers alike
    assert (common.low, common.high) == pytest.approx((alone.low, alone.high), rel=1e-6)


def test_points_from_predictions() -> None:
    rng = np.random.default_rng(0)
    labels, patients = np.repeat([0, 1], 40), np.arange(80) // 2
    cells = [
        Cell(
            count,
            draw,
            Arm("real", "reference", rng.normal(size=(2, 80)) + labels),
            Arm("synthetic-50", "synthetic", rng.normal(size=(3, 80)) + labels, np.zeros(3, np.int64)),
        )
        for count in (100, 50)
        for draw in (0, 1, 2)
    ]
    points, covariance = points_of(cells, labels, patients)
    assert [point.count for point in points] == [50, 100]
    assert covariance.shape == (4, 4)
    chosen = [cell for cell in cells if cell.count == 100]
    expected = [np.mean([auroc(labels, row) for row in cell.synthetic.scores]) for cell in chosen]
    assert points[1].synthetic == pytest.approx(np.array(expected), abs=1e-12)
    assert len(exchange_rates(points, covariance)) == 2


def test_words_of_an_exchange() -> None:
    rate = Exchange(50, 0.8, 0.8, 0.82, 37.2, 0.0, np.inf, 158)
    assert [rate.words(value) for value in (rate.more, rate.low, rate.high)] == ["37", "none", "> 158"]
