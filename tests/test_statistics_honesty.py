"""A small version of benchmarks/honesty.py: made-up studies with known truths, with bounds from the binomial."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from healthgan.statistics import Headline, Verdict
from healthgan.statistics.comparison import compare_pairs, design_of
from healthgan.statistics.conclusion import compare
from healthgan.statistics.pairs import Pair, answers_of
from healthgan.statistics.simulation import Layout, Study, World, simulate
from healthgan.statistics.verdicts import headline

STUDIES = 120
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "honesty.py"


def pairs_of(study: Study) -> list[Pair]:
    return compare_pairs(design_of(study.arms, study.labels, study.patients))


@pytest.fixture(scope="module")
def null() -> list[tuple[Study, list[Pair]]]:
    layout = Layout()
    studies = (
        simulate(World(), layout, [0.0] * layout.synthetic, np.random.default_rng([4, number]))
        for number in range(STUDIES)
    )
    return [(study, pairs_of(study)) for study in studies]


def test_no_arm_is_said_to_help_or_hurt_more_often_than_promised(null) -> None:
    """At most 5 % of studies; so many that as few or fewer come up in 99.99 % of repetitions are let pass."""
    wrong = sum(
        any(
            pair.verdict in (Verdict.HELPS, Verdict.HURTS)
            for pair in pairs
            if pair.reference == "real" and pair.kind == "synthetic"
        )
        for _, pairs in null
    )
    assert wrong <= stats.binom.ppf(0.9999, STUDIES, 0.05)


def test_help_is_hardly_ever_said_where_there_is_none(null) -> None:
    """An arm would have to be better than seven references at once; one study in a hundred is let pass."""
    answers = [headline(answers_of(pairs), "real")[0] for _, pairs in null]
    assert answers.count(Headline.HELPS) <= 1
    assert answers.count(Headline.HURTS) <= 1


def test_a_lone_synthetic_arm_is_not_judged_by_whichever_reference_was_lucky() -> None:
    """One of seven equal reference arms is often better in an interval of its own; the headline allows for that."""
    layout, lucky, said = Layout(synthetic=1), 0, []
    for number in range(STUDIES):
        pairs = pairs_of(simulate(World(), layout, [0.0], np.random.default_rng([5, number])))
        lucky += any(pair.kind == "synthetic" and pair.verdict is Verdict.HURTS for pair in pairs)
        said.append(headline(answers_of(pairs), "real")[0])
    wrong = sum(answer in (Headline.HELPS, Headline.HURTS, Headline.NOT_NEEDED) for answer in said)
    most = stats.binom.ppf(0.9999, STUDIES, 0.05)
    assert wrong <= most, (wrong, lucky)
    assert lucky > wrong


def test_single_intervals_hold_the_truth_in_93_to_97_per_cent(null) -> None:
    """Within four standard errors over studies."""
    held = []
    for study, pairs in null:
        true = [study.truth[pair.arm] - study.truth[pair.reference] for pair in pairs]
        held.append(
            np.mean(
                [
                    pair.marginal_low <= value <= pair.marginal_high
                    for pair, value in zip(pairs, true, strict=True)
                ]
            )
        )
    error = 4 * np.std(held, ddof=1) / np.sqrt(STUDIES)
    assert 0.93 - error <= np.mean(held) <= 0.97 + error


def test_a_difference_of_the_detectable_size_is_found_as_often_as_promised() -> None:
    """A study's own ``detectable`` is where 80 % are found; from it follows the chance at the true gain. Within four
    standard errors of 60 studies, as if a study's six arms were one."""
    layout = Layout(references=1)
    gain = 0.03
    promised, found = [], []
    for number in range(60):
        study = simulate(World(), layout, [gain] * 6, np.random.default_rng([5, number]))
        for pair in pairs_of(study):
            true = study.truth[pair.arm] - study.truth["real"]
            power = stats.norm.cdf((true - pair.detectable) / pair.se + stats.norm.ppf(0.8))
            promised.append(power)
            found.append(pair.low > 0)
    assert np.mean(found) == pytest.approx(np.mean(promised), abs=4 * np.sqrt(0.8 * 0.2 / 60))


def test_a_great_gain_makes_the_headline() -> None:
    layout = Layout(references=3, synthetic=2)
    study = simulate(World().times(2), layout, [0.08, 0.0], np.random.default_rng(0))
    found = compare(study.arms, study.labels, study.patients)
    assert (found.headline, found.because) == (Headline.HELPS, ("synthetic-0",))


def test_a_great_loss_makes_the_headline() -> None:
    layout = Layout(references=3, synthetic=2)
    study = simulate(World().times(2), layout, [-0.08, -0.1], np.random.default_rng(0))
    assert compare(study.arms, study.labels, study.patients).headline is Headline.HURTS


def test_the_world_is_as_described() -> None:
    """300 studies: the mean AUROC is the truth, and two classifiers of an arm differ by the variance of seeds and by
    what they err on different patients; each within four standard errors."""
    layout = Layout(references=1, synthetic=0, reference_seeds=2)
    world, aurocs, interactions = World(seed_sd=0.02), [], []
    truth = 0.0
    for number in range(300):
        study = simulate(world, layout, [], np.random.default_rng([6, number]))
        design = design_of(study.arms, study.labels, study.patients)
        aurocs.append(design.units[0].influence.auroc)
        interactions.append(design.interaction[0])
        truth = study.truth["real"]
    single = np.array(aurocs)
    spread = single.mean(axis=1).std(ddof=1)
    assert 0.02 < spread < 0.035
    assert single.mean() == pytest.approx(truth, abs=4 * spread / np.sqrt(300))
    apart = np.mean((single[:, 0] - single[:, 1]) ** 2) / 2
    assert apart == pytest.approx(0.02**2 + np.mean(interactions), rel=4 * np.sqrt(2 / 300))


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", [str(BENCHMARK), "--studies", "4", "--json", str(out)])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    found = json.loads(out.read_text())["found"]
    assert len(found) == 16
    assert "processor seconds" in capsys.readouterr().out
    left = dict(list(found.items())[:-1])
    out.write_text(json.dumps(json.loads(out.read_text()) | {"found": left}))
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    again = json.loads(out.read_text())["found"]
    assert {title: again[title] for title in left} == left, "parts that were done are not done again"
    assert again.keys() == found.keys()
    monkeypatch.setattr(sys, "argv", [str(BENCHMARK), "--studies", "5", "--json", str(out)])
    with pytest.raises(SystemExit, match="Name another file"):
        runpy.run_path(str(BENCHMARK), run_name="__main__")
