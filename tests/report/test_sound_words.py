"""What a sound study's report says in words, in the cases where a careless sentence would mislead."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_sound import FakeStudy, sound

from healthgan.report.reading import read_run
from healthgan.report.sound.believing import belief
from healthgan.report.sound.cautions import cautions
from healthgan.report.sound.comparison import Answers, examine
from healthgan.report.sound.elsewhere import External
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import hardest, nearest
from healthgan.report.sound.verdict import external_sentence, lede, verdict_sentence
from healthgan.report.tables import planned_sets, printable, sets_table, summary
from healthgan.scores import auroc
from healthgan.terminal import as_text

ALL_CONTROLS = {"control": ("noise", "copies", "oracle")}
LONG = {"steps": 2000}
LITTLE_APART = {"both-25": 0.05, "synthetic-100": -0.2}


def made(path: Path, **settings: object) -> tuple[SoundRun, Answers]:
    run = read_run(FakeStudy(path / "run", **settings).folder.path)
    assert isinstance(run, SoundRun)
    return run, examine(run)


def test_the_nearest_arm_is_named_with_the_rule_by_which_it_is(tmp_path: Path) -> None:
    _, answers = made(tmp_path, gains=LITTLE_APART, counts=(20, 60))
    found = answers.main
    pair = nearest(found)
    lows = {arm.name: hardest(found, arm.name).low for arm in found.arms if arm.kind == "synthetic"}
    assert lows[pair.arm] == max(lows.values())
    said = verdict_sentence(answers)
    assert f"Nearest, judged by the lower end of an interval, comes '{pair.arm}'" in said
    assert "the reference arm that it is least sure to beat" in said


def test_few_splits_are_said_to_be_the_cause(tmp_path: Path) -> None:
    protocol = sound(design={"folds": 3, "repeats": 1})
    run, answers = made(tmp_path, protocol=protocol, design="cross-validation", gains=LITTLE_APART)
    said = " ".join(lede(run, answers))
    assert "is due to the 3 splits, which are few" in said
    assert "Take more folds or repeats" in said
    assert "can't settle" not in said
    titles = [caution.title for caution in cautions(run, answers)]
    assert "The cross-validation has few splits" in titles
    assert "The test set is small" not in titles
    found = summary(run.folder.path)
    assert found["splits"] == 3
    assert found["detectable_at_best"] < found["detectable_with_enough_splits"] < found["detectable"]
    unsettled = [row for row in found["tables"]["differences"] if row["would_settle"]]
    assert unsettled
    assert {row["times_both"] for row in unsettled} == {None}
    assert all("folds × repeats of 15" in row["would_settle"] for row in unsettled)


def test_a_split_of_its_own_is_limited_by_its_patients(tmp_path: Path) -> None:
    run, answers = made(tmp_path)
    said = " ".join(lede(run, answers))
    assert "however many classifiers were trained, these test patients can't settle less than" in said
    assert "splits" not in said
    assert summary(run.folder.path)["detectable_with_enough_splits"] is None


def test_patients_that_are_not_known_are_called_images(tmp_path: Path) -> None:
    run, answers = made(tmp_path, patients_known=False, counts=(20, 60), gains=LITTLE_APART, rare="malignant")
    said = " ".join(lede(run, answers))
    assert "80 test images (20 of malignant; patients are not known)" in said
    assert "these test images can't settle" in said
    rows = summary(run.folder.path)["tables"]["arms"]
    assert {(row["images"], row["patients"]) for row in rows} == {(80, None)}
    little = replace(answers, main=replace(answers.main, detectable_at_best=0.3))
    texts = " ".join(caution.text for caution in cautions(run, little))
    assert "Its 20 images of malignant" in texts
    shown = as_text(sets_table(planned_sets(run.task)))
    assert shown.count("not known") == 3


def test_known_patients_of_an_external_set_are_counted(tmp_path: Path) -> None:
    run, _ = made(tmp_path, columns={"site": ["a", "b"] * 160})
    row = next(
        line for line in as_text(sets_table(planned_sets(run.task))).splitlines() if "elsewhere" in line
    )
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["320", "80", "40"]


@pytest.mark.parametrize("design", ["own-test", "cross-validation"])
def test_the_answer_elsewhere_is_printed_and_stands_in_the_json(tmp_path: Path, design: str) -> None:
    run, answers = made(tmp_path, design=design, columns={"site": ["a", "b"] * 160})
    said = external_sentence(run, answers)
    assert said.startswith(
        "On 320 images of 160 patients (80 of cardiomegaly, of 40 patients) from elsewhere ('elsewhere')"
    )
    assert "Synthetic images help there: 'both-25'" in said
    assert said in lede(run, answers)
    printed = " ".join(printable(run.folder.path).split())
    assert "Synthetic images help there" in printed
    found = summary(run.folder.path)["external"]
    assert (found["headline"], found["because"], found["answer"]) == (
        "synthetic images help",
        ["both-25"],
        said,
    )


def test_all_folds_judge_the_images_from_elsewhere(tmp_path: Path) -> None:
    """Three folds twice: six units an arm, of all its classifiers, and generators only where there are some."""
    run, answers = made(tmp_path, design="cross-validation", columns={"site": ["a", "b"] * 160})
    found = answers.external
    assert {(arm.name, arm.fits, arm.generators) for arm in found.arms} >= {
        ("real", 18, None),
        ("both-25", 24, 12),
    }
    assert found.images == 320
    single = [_mean(run, cell, "real") for cell in run.main_cells]
    assert found.arm("real").auroc.estimate.value == pytest.approx(sum(single) / len(single), abs=1e-12)
    assert {group.value for group in External(run, run.main_cells).subgroups()} == {"a", "b"}
    assert not any("is not judged" in caution.title for caution in cautions(run, answers))


def _mean(run: SoundRun, cell: dict[str, object], name: str) -> float:
    label = run.tested(cell, "external").label
    scores = run.arm(cell, name, "external").scores
    return float(sum(auroc(label, row) for row in scores) / len(scores))


@pytest.mark.parametrize(
    ("gains", "answer"),
    [
        ({"oracle": 1.2}, "Yes"),
        ({}, "In part"),
        ({"oracle": 1.2, "noise": 1.0}, "No"),
        ({"oracle": 1.2, "real-again": -1.0}, "No"),
    ],
)
def test_whether_a_study_can_be_believed(tmp_path: Path, gains: dict[str, float], answer: str) -> None:
    protocol = sound(arms=ALL_CONTROLS, training=LONG, design={"equivalence": 0.1})
    run, answers = made(tmp_path, protocol=protocol, gains=gains)
    found = belief(run, answers)
    assert found.answer == answer, found
    assert found.sentences[0].startswith(f"{answer}:")
    assert len(found.controls) == 4
    assert "labels" in found.sentences[-1]
    if answer == "In part":
        assert "fresh real patients gain nothing" in " ".join(found.against)
    if answer == "No":
        assert "rings an alarm" in found.against[0]
    assert summary(run.folder.path)["believe"]["answer"] == answer


def test_what_is_not_known_makes_it_in_part(tmp_path: Path) -> None:
    protocol = sound(arms={"control": ()}, training={"steps": 500})
    run, answers = made(tmp_path, protocol=protocol, patients_known=False)
    said = " ".join(belief(run, answers).against)
    for part in ("no oracle", "no control 'noise'", "does not tell patients", "500 steps only"):
        assert part in said
    assert "In part" in " ".join(belief(run, answers).sentences)


def test_short_trainings_are_a_look(tmp_path: Path) -> None:
    run, answers = made(tmp_path, protocol=sound(training={"steps": 500}))
    assert "Short trainings: a look, not an answer" in [caution.title for caution in cautions(run, answers)]
    run, answers = made(tmp_path / "long", protocol=sound(training=LONG))
    assert not any("look" in caution.title for caution in cautions(run, answers))
