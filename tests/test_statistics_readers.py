"""What trainings add to an arm's variance, and which arm counts by itself."""

from dataclasses import replace

import numpy as np
import pytest

from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.telling import hardest, nearest
from healthgan.report.sound.verdict import verdict_sentence
from healthgan.statistics import Arm, compare
from healthgan.statistics.cases import Influence
from healthgan.statistics.readers import Units, training_variances, units_of, unsteady
from healthgan.statistics.simulation import Layout, Study, World, simulate

WORLD = World(positives=60, positive_patients=50, negatives=200, patients=120)
LAYOUT = Layout(references=5, synthetic=3)


def failed(made: Study, name: str) -> Study:
    """The first classifier of an arm has learnt nothing: its scores are of other images."""

    def spoilt(arm: Arm) -> Arm:
        scores = arm.scores.copy()
        scores[0] = np.random.default_rng(1).permutation(scores[0])
        return replace(arm, scores=scores)

    return replace(made, arms=tuple(spoilt(arm) if arm.name == name else arm for arm in made.arms))


def study(gain: float = 0.0) -> Study:
    return simulate(WORLD, LAYOUT, [gain] * LAYOUT.synthetic, np.random.default_rng(3))


def all_units(made: Study) -> list[Units]:
    return [units_of(arm, made.labels, made.patients) for arm in made.arms]


@pytest.mark.parametrize("number", range(LAYOUT.references + LAYOUT.synthetic))
def test_one_failed_training_leaves_the_other_arms_as_they_are_without_its_arm(number: int) -> None:
    made = study()
    name = made.arms[number].name
    units = all_units(failed(made, name))
    assert unsteady(units) == {name}
    found = dict(zip((unit.name for unit in units), training_variances(units), strict=True))
    others = [unit for unit in units if unit.name != name]
    assert [found[unit.name] for unit in others] == training_variances(others)
    assert not any(found[unit.name].unsteady for unit in others)
    own = units[number]
    assert found[name].unsteady
    assert found[name].variance == pytest.approx(own.influence.auroc.var(ddof=1) / own.count)
    assert found[name].df == own.count - 1


def arm_of(name: str, aurocs: np.ndarray, generators: bool) -> Units:
    """An arm with these AUROCs (units, classifiers a unit)."""
    count, size = aurocs.shape
    single = aurocs if generators else aurocs.T
    return Units(
        name=name,
        kind="synthetic" if generators else "reference",
        generators=tuple(range(count)) if generators else None,
        sizes=np.full(count, size),
        influence=Influence(aurocs.mean(axis=1), np.zeros((count, 0)), np.zeros((count, 0)), 9, 9),
        seed_variance=float(single.var(axis=1, ddof=1).mean()),
        seed_df=len(single) * (single.shape[1] - 1),
    )


def test_equally_steady_arms_are_seldom_called_unsteady() -> None:
    """Two tests at 1 % a study: 2 %, and three standard errors of 2,000 studies."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(2000):
        arms = [arm_of(f"r{number}", rng.normal(size=(4, 1)), generators=False) for number in range(7)]
        arms += [arm_of(f"s{number}", rng.normal(size=(2, 2)), generators=True) for number in range(6)]
        found += bool(unsteady(arms))
    assert 0 < found <= 2000 * 0.02 + 3 * np.sqrt(2000 * 0.02 * 0.98)


def test_of_three_arms_none_is_the_odd_one() -> None:
    arms = [
        arm_of(f"r{number}", spread * np.arange(4.0)[:, None], generators=False)
        for number, spread in enumerate((1, 1, 1e6))
    ]
    assert unsteady(arms) == frozenset()
    assert unsteady([*arms, arm_of("r3", np.arange(4.0)[:, None], generators=False)]) == {"r2"}


def test_arms_without_any_spread_are_steady() -> None:
    same = [arm_of(f"r{number}", np.full((4, 1), 0.8), generators=False) for number in range(5)]
    assert unsteady(same) == frozenset()
    assert unsteady([*same, arm_of("r5", np.arange(4.0)[:, None], generators=False)]) == {"r5"}


def test_an_unsteady_reference_arm_is_named_and_is_not_the_hardest() -> None:
    made = failed(study(gain=0.1), "reference-4")
    found = compare(made.arms, made.labels, made.patients)
    pair = nearest(found)
    assert pair is not None
    assert found.arm("reference-4").auroc.unsteady
    assert found.pair(pair.arm, "reference-4").low < pair.low
    assert all(hardest(found, arm.name).reference != "reference-4" for arm in found.arms[LAYOUT.references :])
    assert pair.low > 0
    said = verdict_sentence(Answers(found, None, None, (), None, None, ()))
    assert f"'{pair.arm}' is better than every reference arm but reference-4, whose trainings differ" in said
