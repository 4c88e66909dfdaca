"""The ladder of benchmarks/mended.py: what its rungs train on, that rung 0 is the program's own, and its intervals."""

import itertools
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from healthgan.classifiers.fit import Recipe, new_classifier
from healthgan.executors import Job
from healthgan.jobs import CANDIDATES, Context, do_job, save_npz
from healthgan.run import RunFolder
from healthgan.sources import load
from healthgan.splits import keep_apart
from healthgan.statistics import Arm, resample_patients
from healthgan.statistics.comparison import compare_pairs, design_of
from healthgan.task import Task, make_task
from tiny import tiny_protocol, write_blobs

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import mended
from mended_arms import CLASSES, Images, Made, Study, fit_steps, gather, shrunk
from mended_figures import CONTROLS, RUNGS, Measured, Results, Units, stacked, training_key
from mended_report import report, truth

FLOOR = 0.8


def task_of(path: Path) -> Task:
    collection, _ = keep_apart(load(str(path)))
    return make_task(collection, rare="wide", reference=None, rare_count=None, order="first", seed=0)


@pytest.fixture(scope="module")
def study(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    other = write_blobs(
        tmp_path_factory.mktemp("control") / "other.npz",
        seed=1,
        counts={"train": (40, 50), "val": (9, 17), "test": (12, 12)},
    )
    task = task_of(blobs)
    protocol = tiny_protocol(classifier={"batch": 8})  # so that more images are more steps
    return Study(protocol, task, task, mended.as_strangers(task_of(other)), {}, "digest", 0)


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    """Eleven rare and thirteen reference images reach the floor."""
    rng = np.random.default_rng(0)
    return {
        name: Made(
            rng.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8),
            np.repeat(np.float32([0.9, 0.5]), (reached, 20 - reached)),
            -1 - (2 * np.arange(20) + CLASSES.index(name)),
        )
        for name, reached in zip(CLASSES, (11, 13), strict=True)
    }


@pytest.fixture(scope="module")
def records(study: Study, made: dict[str, Made]) -> dict[str, mended.Record]:
    """Two seeds of everything."""
    trainings = [*mended.real_trainings(study, 2), *mended.generated_trainings(study, made, [FLOOR], 2)]
    return {key: train() for key, train in trainings}


def test_each_rung_mends_one_more_fault_and_none_comes_back() -> None:
    faults = [{name: value for name, value in asdict(rung).items() if name != "title"} for rung in RUNGS]
    assert not any(faults[0].values())
    assert all(faults[-1].values())
    for before, after in itertools.pairwise(faults):
        changed = [name for name in before if before[name] != after[name]]
        assert len(changed) == 1
        assert after[changed[0]]


def test_rung_0_is_what_the_program_does(
    study: Study, made: dict[str, Made], records: dict[str, mended.Record], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    rare = made["rare"]
    save_npz(folder.artifact(CANDIDATES), images=rare.pixels, likeness=rare.likeness)
    context = Context(study.protocol, folder, study.published, None, None, False, 0, "cpu", 1, 60.0)
    for key, arm, floor in (
        (training_key("real", 0.0, 0, 0), "real", 0.0),
        (training_key("generated", FLOOR, 0, 0), "generated", FLOOR),
    ):
        name, at, _, number = key.split("/")  # a seed is derived from the key; the ladder's has no rung
        job = Job(f"classifier/{name}/{at}/{number}", "classifier", {"arm": arm, "floor": floor})
        theirs, ours = do_job(context, job, lambda _: None), records[key]
        stored = folder.artifact(next(iter(theirs["artifacts"])))
        np.testing.assert_array_equal(np.load(stored)["score"], np.float32(ours["test_score"]))
        assert ours["train_accuracy"] == theirs["train_accuracy"]
        result = Results(records, [FLOOR], {"main": truth(study.apart), "control": truth(study.control)}, 2)
        figures = result.figures(arm, floor, 0, [0])
        assert figures.validation.values[0] == pytest.approx(theirs["val_accuracy"], abs=1e-12)
        assert figures.accuracy.values[0] == pytest.approx(theirs["test_accuracy"], abs=1e-12)
        assert figures.auroc.values[0] == pytest.approx(theirs["test_auroc"], abs=1e-12)


def test_what_the_rungs_train_on_and_validate_with(records: dict[str, mended.Record]) -> None:
    for rung, asked in enumerate(RUNGS):
        record = records[training_key("generated", FLOOR, rung, 0)]
        assert record["synthetic"] == (22 if asked.both else 11)
        assert record["images"] == 2 * (24 + 11) + 2 * 8
        unit = np.array(record["val_unit"])
        assert (unit < 0).any() != asked.real_validation
        steps = records[training_key("real", 0.0, rung, 0)]["steps"]
        assert (len({*record["steps"], *steps}) == 1) == asked.equal_steps
        if asked.patients:
            folds = np.array(record["val_fold"])
            assert all(len(set(folds[unit == patient])) == 1 for patient in set(unit))


def test_synthetic_references_take_the_place_of_real_ones(study: Study, made: dict[str, Made]) -> None:
    kept = {name: (one.pixels[:5], one.units[:5]) for name, one in made.items()}
    parts = gather(study.published, kept["rare"], kept["reference"]).parts
    assert [(len(pixels), label) for pixels, _, label in parts[:4]] == [(24, 1), (5, 1), (24, 0), (5, 0)]
    one_sided = gather(study.published, kept["rare"], study.nothing).parts
    assert [(len(pixels), label) for pixels, _, label in one_sided[:4]] == [(24, 1), (5, 1), (29, 0), (0, 0)]


def test_trainings_that_a_rung_cannot_change_are_done_once() -> None:
    keys = [training_key("real", 0.0, rung, 3) for rung in range(len(RUNGS))]
    assert keys == [f"real/0.00/{rung}/3" for rung in (0, 1, 1, 1, 4, 5)]
    made = {training_key("generated", 0.8, rung, seed) for rung in range(len(RUNGS)) for seed in range(2)}
    assert len(made) == 2 * len(RUNGS)


@pytest.mark.parametrize("steps", [1, 3, 4, 11])
def test_a_training_takes_the_steps_it_is_told(steps: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 16, 16, 1), dtype=np.uint8)
    classifier = new_classifier((16, 16), 1, Recipe(False, 1e-3, 16), 0, torch.device("cpu"))
    accuracy = fit_steps(classifier, pixels, np.arange(50) % 2, steps)
    assert classifier.adam.steps == steps
    assert 0 <= accuracy <= 1


def test_the_control_is_shrunk_to_the_rare_class(study: Study) -> None:
    small = shrunk(study.control, study.apart, np.random.default_rng(0))
    for split in ("train", "val"):
        assert len(small.rares[split]) == len(small.references[split]) == len(study.apart.rares[split])
    assert small.rares["test"] is study.control.rares["test"]
    with pytest.raises(mended.InputError, match="fewer images"):
        shrunk(study.apart, study.control, np.random.default_rng(0))


def test_a_floor_needs_enough_images_of_either_class(made: dict[str, Made]) -> None:
    assert mended.common_floors(made, [0.4, FLOOR, 0.95]) == [0.4, FLOOR]
    fewer = {**made, "reference": Made(*(array[:9] for array in vars(made["reference"]).values()))}
    assert mended.common_floors(fewer, [0.4, FLOOR]) == []


def test_finished_trainings_are_not_repeated(tmp_path: Path) -> None:
    folder, done = RunFolder(tmp_path), []

    def training(key: str) -> mended.Training:
        return key, lambda: done.append(key) or {"key": key}

    mended.work(folder, iter([training("a")]), {})
    mended.work(folder, iter([training("a"), training("b")]), folder.finished())
    assert done == ["a", "b"]
    assert [record["key"] for record in folder.records()] == ["a", "b"]


def test_the_report_has_every_rung_and_waits_for_whole_seeds(
    study: Study, records: dict[str, mended.Record]
) -> None:
    tests = {"main": truth(study.apart), "control": truth(study.control)}
    facts = {"words": "Words.", "floors": [FLOOR], "accepted": {"rare": [11], "reference": [13]}}
    text = report(Results(records, [FLOOR], tests, 2), facts)
    assert all(text.count(rung.title) >= 2 for rung in RUNGS)
    assert all(words in text for words in CONTROLS.values())
    assert "| 0.80 | 11 | 13 | 11 |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") >= 4 for line in lines)
    missing = training_key("generated", FLOOR, 5, 1)
    partly = Results({key: value for key, value in records.items() if key != missing}, [FLOOR], tests, 2)
    assert partly.seeds == [0]
    assert partly.control_seeds == [0, 1]
    alone = {key: value for key, value in records.items() if key.startswith("real")}
    assert "**Real images alone** (2 seeds" in report(Results(alone, [FLOOR], tests, 2), facts)
    assert "No GAN is trained" in report(Results({}, [], tests, 2), {**facts, "accepted": {}})


def clustered(rng: np.random.Generator, patients: int) -> np.ndarray:
    """One to three images a patient."""
    return np.repeat(np.arange(patients), rng.integers(1, 4, patients))


def test_an_accuracy_of_one_training_varies_as_the_patient_bootstrap_says() -> None:
    rng = np.random.default_rng(3)
    units = clustered(rng, 150)
    right = rng.random(len(units)) < rng.beta(4, 1, 150)[units]
    measured = Units([units]).fold_accuracy(right, np.zeros(len(units), np.int64), units)
    draws = resample_patients(right[np.newaxis].astype(float), units, rng, 4000)[:, 0]
    found = measured.estimate()
    se = (found.high - found.low) / 2 / stats.t.ppf(0.975, 149)
    # the bootstrap's own error is 1/√8000; linearising and n/(n − 1) each matter by the order of 1/150
    assert se == pytest.approx(draws.std(), rel=3 / np.sqrt(8000) + 2 / 150)
    assert found.value == right.mean()


def test_the_mean_over_folds_weighs_folds_alike() -> None:
    right, folds = np.array([1, 0, 1, 1], bool), np.array([0, 0, 0, 2])
    measured = Units([np.arange(4)]).fold_accuracy(right, folds, np.arange(4))
    assert measured.values[0] == pytest.approx((2 / 3 + 1) / 2)
    assert measured.influence.sum() == pytest.approx(0, abs=1e-15)
    assert measured.influence[0, 3] == 0  # alone in its fold, and right as its fold is


def test_auroc_differences_are_those_of_the_sound_comparison() -> None:
    rng = np.random.default_rng(4)
    units = clustered(rng, 80)
    labels = (np.arange(len(units)) % 2).astype(np.int64)
    scores = rng.normal(size=(2, len(units))) + labels
    columns = Units([units, units + 500])
    difference = columns.auroc(labels, scores[1:], units) - columns.auroc(labels, scores[:1], units)
    arms = [Arm("real", "reference", scores[:1]), Arm("made", "synthetic", scores[1:])]
    (pair,) = compare_pairs(design_of(arms, labels, units))
    found = difference.estimate()
    assert found.value == pytest.approx(pair.difference, abs=1e-12)
    half = (found.high - found.low) / 2 / stats.t.ppf(0.975, len(np.unique(units)) - 1)
    few = min(len(np.unique(units[labels == label])) for label in (0, 1))
    assert half == pytest.approx(pair.se, rel=1 / few)  # n/(n − 1) over all patients, not each class's


def test_without_test_patients_that_matter_it_is_a_t_interval_over_seeds() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.6])
    found = Measured(values, np.zeros((4, 7))).estimate()
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_intervals_over_seeds_and_patients_cover() -> None:
    """A difference of two arms: five seeds with effects of their own, patients who are harder in one arm."""
    rng, studies, patients, hits = np.random.default_rng(5), 1000, 60, 0
    units = np.repeat(np.arange(patients), 2)
    columns, fold = Units([units]), np.zeros(2 * patients, np.int64)
    truth = stats.norm.cdf(1 / np.sqrt(1 + 0.5**2 + 0.3**2)) - stats.norm.cdf(0.8 / np.sqrt(1 + 0.5**2))
    for _ in range(studies):
        shared = rng.normal(0, 0.5, patients)[units]
        seeds = rng.normal(0, 0.3, 5)
        first, second = rng.normal(size=(2, 5, 2 * patients))
        better = shared + second + 1 + seeds[:, np.newaxis] > 0
        worse = shared + first + 0.8 > 0
        arms = [stacked([columns.fold_accuracy(row, fold, units) for row in arm]) for arm in (worse, better)]
        found = (arms[1] - arms[0]).estimate()
        hits += found.low <= truth <= found.high
    assert hits / studies >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / studies)
    assert (
        hits / studies <= 0.99
    )  # the covariance between trainings can't be negative here, which widens a little


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    st.floats(-3, 3).filter(lambda factor: abs(factor) > 1e-3),
)
def test_a_multiple_of_a_figure_has_a_multiple_of_its_interval(values: list[float], factor: float) -> None:
    rng = np.random.default_rng(len(values))
    influence = rng.normal(size=(len(values), 9)) * 0.1
    measured = Measured(np.array(values), influence)
    found, other = measured.estimate(), measured.times(factor).estimate()
    ends = sorted([factor * found.low, factor * found.high])
    assert (other.low, other.high) == pytest.approx(tuple(ends), abs=1e-9)
    difference = measured - measured.times(1)
    assert difference.estimate().low == difference.estimate().high == 0


def test_folds_of_a_set_are_the_published_ones(study: Study) -> None:
    parts = gather(study.published, study.nothing, study.nothing).parts
    examples, units = Images(parts).examples(RUNGS[0], study.protocol)
    assert len(examples.labels) == len(units) == 2 * (24 + 8)
    assert not examples.synthetic.any()
    assert sorted(np.unique(examples.folds)) == [0, 1, 2]
