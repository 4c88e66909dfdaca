"""What a sound study's report says, checked against the records and against the statistics themselves."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from fake_sound import CURVE, GAINS, ONWARD, FakeStudy, sound

from healthgan.report import build
from healthgan.report.reading import read_run
from healthgan.report.sound import sections
from healthgan.report.sound.cautions import cautions
from healthgan.report.sound.comparison import examine
from healthgan.report.sound.plan import planned
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.verdict import verdict_sentence
from healthgan.report.tables import printable, summary
from healthgan.scores import auroc
from healthgan.sound.cells import Cell
from healthgan.sound.plan import plan_jobs


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SoundRun:
    return read_run(FakeStudy(tmp_path_factory.mktemp("sound") / "run").folder.path)


@pytest.mark.parametrize("brought", [False, True])
@pytest.mark.parametrize("design", ["own-test", "cross-validation"])
def test_the_plan_is_the_studys(design, brought, tmp_path) -> None:
    extra = {"curve": CURVE, "onward": ONWARD} if design == "own-test" else {}
    protocol = sound(**extra)
    found = read_run(FakeStudy(tmp_path / "run", protocol=protocol, design=design).folder.path)
    cells = [Cell(**cell) for cell in found.cells]
    jobs = plan_jobs(protocol, cells, found.arms, brought)
    assert sorted(planned(protocol, found.cells, found.arms, brought)) == sorted(job.key for job in jobs)
    assert found.missing == []


def test_aurocs_are_means_over_generators_of_means_over_seeds(run) -> None:
    main = examine(run).main
    cell = run.main_cells[0]
    truth = run.tested(cell)
    for name in run.arms:
        arm = run.arm(cell, name)
        single = np.array([auroc(truth.label, scores) for scores in arm.scores])
        assert main.arm(name).auroc.estimate.value == pytest.approx(single.mean(), abs=1e-12)
        assert len(single) == (4 if name in run.protocol.arms.synthetic else 3)


def test_helping_and_hurting_arms_come_out_as_they_were_made(run) -> None:
    found = summary(run.folder.path)
    assert found["headline"] == "synthetic images help"
    assert found["because"] == ["both-25"]
    verdicts = {(row["arm"], row["reference"]): row["verdict"] for row in found["tables"]["differences"]}
    for reference in ("real", "real-again", "classical"):
        assert verdicts["both-25", reference] == "helps"
        assert verdicts["synthetic-100", reference] == "hurts"
    assert found["answer"][0].startswith("Synthetic images help here: 'both-25'")


@pytest.mark.parametrize(
    ("gains", "start"),
    [
        (
            {"both-25": -1.2, "synthetic-100": -1.2},
            "Synthetic images hurt here: each of the 2 synthetic arms",
        ),
        ({"classical": 1.2}, "Synthetic images do not help here: each of the 2 synthetic arms"),
        ({}, "That synthetic images help here is not shown: none of 2 synthetic arms"),
    ],
)
def test_the_verdict_in_words(gains, start, tmp_path) -> None:
    found = FakeStudy(tmp_path / "run", gains=gains)
    assert verdict_sentence(examine(read_run(found.folder.path))).startswith(start)
    assert start.split(":")[0] in printable(found.folder.path).replace("\n", " ")


def test_every_pair_stands_in_the_table(run, tmp_path) -> None:
    again = FakeStudy(tmp_path / "run")
    build(again.folder.path)
    with (again.folder.path / "tables/differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    kinds = {"reference": 3, "synthetic": 2, "control": 2}
    assert len(rows) == kinds["reference"] * (kinds["synthetic"] + kinds["control"]) + kinds["reference"] - 1
    for row in rows:
        low, high = float(row["low"]), float(row["high"])
        assert low <= float(row["alone_low"]) <= float(row["difference"]) <= float(row["alone_high"]) <= high


def test_an_unfinished_study_tells_no_test_figure(tmp_path) -> None:
    last = "fit/main/both-25/1-1"
    folder = FakeStudy(tmp_path / "run", keep=lambda key: key != last).folder
    found = summary(folder.path)
    assert found["missing"] == [last]
    assert found["headline"] is None
    assert set(found["tables"]) == {"pools"}
    assert "0.7" not in printable(folder.path)


def test_a_changed_file_counts_as_missing(tmp_path) -> None:
    folder = FakeStudy(tmp_path / "run").folder
    file = folder.artifact("predictions/fit-main-real-0.npz")
    file.write_bytes(file.read_bytes() + b" ")
    found = summary(folder.path)
    assert found["lost"] == ["predictions/fit-main-real-0.npz"]
    assert found["missing"] == ["fit/main/real/0"]
    assert found["headline"] is None


def test_an_arm_that_one_generator_cannot_feed_is_left_out_and_named(tmp_path) -> None:
    study = FakeStudy(tmp_path / "run", skip=lambda key: key.startswith("fit/main/both-25/1"))
    found = summary(study.folder.path)
    assert found["missing"] == []
    assert "both-25" not in {row["arm"] for row in found["tables"]["arms"]}
    assert found["left_out"] == {"both-25": "3 synthetic rare images passed the filter; 10 are needed."}
    assert found["headline"] == "synthetic images hurt"
    assert "both-25 was left out: 3 synthetic" in printable(study.folder.path)


def test_an_arm_that_one_fold_cannot_feed_is_left_out_of_all(tmp_path) -> None:
    study = FakeStudy(
        tmp_path / "run", design="cross-validation", skip=lambda key: key.startswith("fit/cv-1-2/both-25")
    )
    found = summary(study.folder.path)
    assert {row["arm"] for row in found["tables"]["arms"]} == set(GAINS) - {"both-25"} | {"noise", "copies"}


def test_a_draw_without_images_leaves_the_curve_only(tmp_path) -> None:
    protocol = sound(curve=CURVE)
    study = FakeStudy(
        tmp_path / "run", protocol=protocol, skip=lambda key: key.startswith("fit/n0025-1/both-25")
    )
    run = read_run(study.folder.path)
    answers = examine(run)
    assert {arm.name for arm in answers.main.arms} >= {"both-25"}
    assert [len(draws) for draws in answers.curve.draws["both-25"]] == [2, 3, 2]
    assert [len(draws) for draws in answers.curve.draws["real"]] == [2, 3, 3]
    assert [caution.place for caution in cautions(run, answers) if "draws" in caution.title] == ["curve"]


@pytest.mark.parametrize(("design", "said"), [("own-test", 0), ("cross-validation", 1)])
def test_a_cross_validation_says_that_its_intervals_may_be_narrow(tmp_path, design, said) -> None:
    run = read_run(FakeStudy(tmp_path / "run", design=design).folder.path)
    found = [caution.title for caution in cautions(run, examine(run))]
    assert found.count("The folds share their training patients") == said


def test_the_second_question_without_its_arm(tmp_path) -> None:
    study = FakeStudy(
        tmp_path / "run", protocol=sound(onward=ONWARD), skip=lambda key: key.startswith("fit/onward/both-25")
    )
    run = read_run(study.folder.path)
    assert sections.onward(run, examine(run))["answer"].startswith("Not known: too few images")


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ({"both-25": 0.6, "scratch": -0.6}, "Yes: "),
        ({"both-25": 0.6, "scratch": 2.0}, "Better than real images first, but worse than nothing first: "),
        (
            {"both-25": 0.6, "scratch": 0.6},
            "Better than real images first, not shown to be better than nothing",
        ),
        ({"both-25": -0.6, "scratch": -2.0}, "No, it makes it worse: "),
    ],
)
def test_the_second_question_counts_new_classifiers_too(tmp_path, gains, said) -> None:
    run = read_run(FakeStudy(tmp_path / "run", protocol=sound(onward=ONWARD), gains=gains).folder.path)
    answer = sections.onward(run, examine(run))["answer"]
    assert answer.startswith(said), answer


def test_answers_are_kept_for_equal_runs_only(tmp_path) -> None:
    folder = FakeStudy(tmp_path / "run").folder
    first = read_run(folder.path)
    assert first == read_run(folder.path)
    assert examine(read_run(folder.path)) is examine(first)
    folder.artifact("predictions/fit-main-real-0.npz").unlink()
    changed = read_run(folder.path)
    assert changed != first
    assert examine(changed).main is None


def test_the_summary_is_json(run) -> None:
    assert json.loads(json.dumps(summary(run.folder.path), allow_nan=False))["protocol"] == "sound"


def test_an_arm_with_unsteady_trainings_is_named(run) -> None:
    answers = examine(run)
    assert not any("differ far more" in caution.title for caution in cautions(run, answers))
    arms = [
        replace(arm, auroc=replace(arm.auroc, unsteady=arm.name == "classical")) for arm in answers.main.arms
    ]
    found = cautions(run, replace(answers, main=replace(answers.main, arms=tuple(arms))))
    titles = [caution.title for caution in found if "differ far more" in caution.title]
    assert titles == ["The trainings of classical differ far more than those of other arms"]
