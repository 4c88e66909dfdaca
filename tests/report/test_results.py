"""Figures 1, 2 and 4 and the answers: what the records say, checked against the records themselves."""

import csv
import json
import statistics
from dataclasses import replace

import numpy as np
import pytest
from fake_run import ACCEPTED, FLOORS, REAL, ROOM, TEST, paper, write_run

from healthgan import studies
from healthgan.errors import InputError
from healthgan.report import build
from healthgan.report.comparison import compare
from healthgan.report.published import NOTHING, published_for
from healthgan.report.reading import Run, read_run
from healthgan.report.results import figure_1, figure_2, figure_4, repeats, topped_up
from healthgan.report.tables import planned_sets, printable, sets_table, summary
from healthgan.report.words import answer
from healthgan.scores import wilson_interval
from healthgan.statistics import Estimate
from healthgan.terminal import as_text, shown


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return read_run(write_run(tmp_path_factory.mktemp("results") / "run").path)


def test_the_plan_is_the_studys(run) -> None:
    assert sorted(run.planned) == sorted(job.key for job in studies.plan(run.protocol))
    assert run.missing == []
    alone = paper(control=None)
    assert sorted(job.key for job in studies.plan(alone)) == sorted(replace(run, protocol=alone).planned)


def test_figure_1_counts_add_up(run) -> None:
    rows = figure_1(run, NOTHING)
    assert [row["floor"] for row in rows] == list(FLOORS)
    assert [row["accepted"] for row in rows] == list(ACCEPTED.values())
    for row in rows:
        assert row["generated"] == min(row["accepted"], ROOM)
        assert row["positives"] == REAL + row["generated"]
        assert row["balanced"] == 2 * row["positives"]
        assert (row["test"], row["validation"]) == (TEST, 20)


def test_figure_2_tells_what_came_from_the_main_source(run) -> None:
    rows = figure_2(run, NOTHING)
    assert [(row["split"], row["rare"], row["balanced"], row["reference_from_main"]) for row in rows] == [
        ("training", 100, 200, 50),
        ("validation", 16, 32, 8),
        ("testing", 20, 40, 10),
    ]
    assert list(topped_up(run)) == ["train", "val", "test"]


def test_figure_4_is_the_records_in_per_cent(run) -> None:
    rows = figure_4(run, NOTHING)
    for row in rows:
        for arm in ("real", "generated", "control"):
            record = run.classifier(arm, row["floor"])
            if "test_accuracy" not in record:
                assert row["floor"] == 0.88
                assert row[f"test_{arm}"] is row[f"test_{arm}_low"] is row[f"training_{arm}"] is None
                continue
            total = record["test_images"]
            right = round(record["test_accuracy"] * total)
            assert row[f"test_{arm}"] == round(100 * right / total, 3)
            interval = (row[f"test_{arm}_low"], row[f"test_{arm}_high"])
            assert interval == pytest.approx([100 * end for end in wilson_interval(right, total)], abs=6e-4)
            assert row[f"n_test_{arm}"] == total
            assert row[f"training_{arm}"] == 97
            assert row[f"validation_{arm}"] == 95


def test_repeats_are_over_the_rows(run) -> None:
    values = [row["test_real"] for row in figure_4(run, NOTHING)]
    found = repeats(run, "real")
    assert (found["runs"], found["n"]) == (5, TEST)
    assert found["test_mean"] == pytest.approx(statistics.mean(values), abs=1e-3)
    assert found["test_sd"] == pytest.approx(statistics.stdev(values), abs=1e-3)
    assert found["test_range"] == pytest.approx(max(values) - min(values), abs=2e-3)


def test_differences_are_those_of_figure_4(run) -> None:
    comparison = compare(run)
    rows = {row["floor"]: row for row in figure_4(run, NOTHING)}
    assert list(comparison.differences) == [0.80, 0.82, 0.84, 0.86]
    for floor, found in comparison.differences.items():
        row = rows[floor]
        assert found.value == pytest.approx(row["test_generated"] - row["test_real"], abs=2e-3)
        assert found.low <= found.value <= found.high
    assert comparison.mean_difference.high - comparison.mean_difference.low > max(
        0.5 * (found.high - found.low) for found in comparison.differences.values()
    ), "the interval of the mean covers the spread between floors"
    mean = statistics.mean(found.value for found in comparison.differences.values())
    assert comparison.mean_difference.value == pytest.approx(mean)
    assert comparison.patients == TEST // 2
    assert comparison.differences[0.80].high < 0, "55 against 75 % right is beyond chance in this fixture"


def test_inflation_is_validation_minus_test(run) -> None:
    comparison = compare(run)
    for arm in ("real", "generated", "control"):
        for floor, gap in comparison.inflation[arm].items():
            test = 100 * run.classifier(arm, floor)["test_accuracy"]
            images = sum(fold["val_images"] for fold in run.classifier(arm, floor)["folds"])
            assert gap.value == pytest.approx(95 - test, abs=50 / images), "rounding to whole images"
    assert 0.88 not in comparison.inflation["generated"]


def test_trend_is_over_trained_floors(run) -> None:
    trend = compare(run).trends["generated"]
    assert trend.rank.pairs == 4
    accuracies = [run.classifier("generated", floor)["test_accuracy"] for floor in FLOORS[:4]]
    assert trend.slope.value == pytest.approx(np.polyfit(FLOORS[:4], accuracies, 1)[0], rel=1e-6)


def test_the_same_run_gives_the_same_answer(run) -> None:
    assert compare(run) == compare(read_run(run.folder.path))


def test_lost_predictions_leave_their_floor_out(tmp_path) -> None:
    folder = write_run(tmp_path / "run")
    folder.artifact("predictions/classifier-real-0.82.npz").unlink()
    folder.artifact("predictions/classifier-generated-0.84.npz").write_bytes(b"changed")
    run = read_run(folder.path)
    assert sorted(run.lost) == [
        "predictions/classifier-generated-0.84.npz",
        "predictions/classifier-real-0.82.npz",
    ]
    assert list(compare(run).differences) == [0.80, 0.86]
    assert figure_4(run, NOTHING)[1]["test_real"] is not None, "the record itself still stands"


def test_an_unfinished_run_invents_nothing(tmp_path) -> None:
    run = read_run(write_run(tmp_path / "run", keep=lambda key: key in ("task", "classifier/real/0.80")).path)
    assert len(run.missing) == len(run.planned) - 1
    row = figure_1(run, NOTHING)[0]
    assert all(value is None for name, value in row.items() if name != "floor")
    row = figure_4(run, NOTHING)[0]
    known = {name for name, value in row.items() if value is not None}
    assert known == {
        *("floor", "training_real", "validation_real", "test_real"),
        *("test_real_low", "test_real_high", "n_test_real"),
    }
    assert repeats(run, "real")["test_sd"] is None
    comparison = compare(run)
    assert comparison.differences == {}
    assert comparison.mean_difference is None
    assert answer(run, comparison)[0] == "Not known yet."


@pytest.mark.parametrize(
    ("estimate", "word"),
    [
        (Estimate(5, 1, 9), "higher"),
        (Estimate(-5, -9, -1), "lower"),
        (Estimate(5, -1, 9), "no effect"),
    ],
    ids=["higher", "lower", "open"],
)
def test_nothing_is_claimed_where_the_interval_holds_zero(run, estimate, word) -> None:
    comparison = compare(run)
    changed = type(comparison)({0.8: estimate, 0.82: estimate}, estimate, 3, comparison.trends, {})
    verdict, first = answer(run, changed)[:2]
    assert word in verdict
    assert ("leave zero out" in first) == (word == "no effect")
    assert ("includes zero" in first) == (word == "no effect")
    others = {"higher", "lower"} - {word}
    assert not any(f"it is {other}" in first for other in others)


def test_no_floor_reached(tmp_path) -> None:
    protocol = paper(likeness={"floors": (0.88, 0.89)}, control=None)
    run = read_run(write_run(tmp_path / "run", protocol=protocol).path)
    verdict = answer(run, compare(run))[0]
    assert "No generated image reached the lowest likeness floor, 0.88" in verdict


def test_floors_that_differ_stand_beside_a_mean_that_does_not(run) -> None:
    comparison = compare(run)
    gains = {0.8: Estimate(-50, -60, -40), 0.82: Estimate(4, 1, 9), 0.84: Estimate(1, -2, 3)}
    mixed = type(comparison)(gains, Estimate(-5, -30, 20), 3, comparison.trends, {})
    verdict, first = answer(run, mixed)[:2]
    assert (
        "lower at floor 0.80 and higher at floor 0.82; over all floors together no effect is shown" in verdict
    )
    spread = repeats(run, "real")["test_range"]
    assert 4 < spread < 50
    assert f"Of these 2 differences 1 exceeds the {spread:.1f} points" in first
    assert "at 1 of 3 floors the 95 % interval includes zero" in first


def test_published_figures_stand_only_beside_the_studys_own_images(tmp_path) -> None:
    ours = read_run(write_run(tmp_path / "ours", source="chestmnist").path)
    theirs = published_for(ours)
    assert theirs
    assert figure_1(ours, theirs)[0]["published_generated"] == 11415
    assert figure_2(ours, theirs)[0]["published_balanced"] == 6988
    row = figure_4(ours, theirs)[0]
    assert (row["published_test_generated"], row["published_validation_control"]) == (67.955, 97.798)
    assert not published_for(read_run(write_run(tmp_path / "source").path))
    other = write_run(tmp_path / "class", source="chestmnist", rare="edema")
    assert not published_for(read_run(other.path))


def test_published_figures_agree_with_each_other(tmp_path) -> None:
    """The paper's own sums: a typing error in published.toml breaks one of them."""
    run = read_run(write_run(tmp_path / "run", source="chestmnist").path)
    published = published_for(run)
    assert len(published.figure_1) == 10
    for row in published.figure_1.values():
        assert row["positives"] == row["generated"] + row["real"]
        assert row["balanced"] == 2 * row["positives"]
    assert [row["balanced"] for row in published.figure_2.values()] == [6988, 778, 780]
    real = [row["test"]["real"] for row in published.figure_4.values()]
    assert (round(statistics.mean(real), 1), round(statistics.stdev(real), 1)) == (76.9, 0.8)
    for row in published.figure_4.values():
        for arm in ("real", "generated"):
            right = row["test"][arm] * 1164 / 100
            assert right == pytest.approx(round(right), abs=0.006), "a whole number of 1,164 images"
        right = row["test"]["control"] * 780 / 100
        assert right == pytest.approx(round(right), abs=0.004)


def test_summary_is_json_with_every_figure(run) -> None:
    found = json.loads(json.dumps(summary(run.folder.path), allow_nan=False))
    assert found["jobs"] == len(run.planned)
    assert len(found["figure_1"]) == len(found["figure_4"]) == 5
    assert len(found["figure_2"]) == 3
    assert found["real_or_synthetic"]["auroc"] == 0.93
    assert not [
        key for part in ("likeness", "real_or_synthetic") for key in found[part] if key.startswith("time_")
    ]
    assert {fault["key"] for fault in found["faults"]} >= {"folds_leak", "one_training"}


def test_printed_tables(run) -> None:
    text = printable(run.folder.path)
    for figure in ("Figure 1", "Figure 2", "Figure 4"):
        assert figure in text
    assert max(len(line) for line in text.splitlines()) <= 110
    row = figure_4(run, NOTHING)[0]
    assert f"{row['test_generated']:.1f}" in text
    assert "published" not in text.lower()


def test_csv_files_hold_the_rows(run) -> None:
    build(run.folder.path)
    with (run.folder.path / "tables/figure-4.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, figure_4(run, NOTHING), strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in expected.items()}


def test_planned_sets() -> None:
    counts = {"images": 4708, "rare": 3494, "reference": 3494, "rare_patients": 3494, "balanced": 6988}
    facts = {"main": {"counts": dict.fromkeys(("train", "val", "test"), counts)}}
    facts["control"] = {"rare": "[b]pneumonia", **facts["main"]}
    sets = planned_sets(facts)
    assert sets["figure_1"]["real"]["validation"]["balanced"] == 6988
    assert sets["figure_2"]["training"] == {"[b]pneumonia": 3494, "balanced": 6988}
    text = as_text(sets_table(sets))
    assert "[b]pneumonia" in text
    assert "6,988" in text
    assert list(planned_sets({"main": facts["main"]})) == ["figure_1"]


def test_text_of_the_users_is_made_safe() -> None:
    assert shown("a\x1b[31mb[red]") == "a\\x1b[31mb\\[red]"


def test_no_such_folder(tmp_path) -> None:
    with pytest.raises(InputError, match="no folder"):
        build(tmp_path / "nothing")


def test_a_folder_without_a_study(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no study\.toml"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("study.toml", "name = "),
        ("study.toml", "name = 'x'"),
        ("study.toml", "\xff"),
        ("records.jsonl", "{\n"),
        ("manifest.json", "{}"),
    ],
)
def test_a_damaged_folder_is_told(file, content, tmp_path) -> None:
    folder = write_run(tmp_path / "run")
    (folder.path / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="damaged"):
        build(folder.path)


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    folder = write_run(tmp_path / "run", keep=lambda key: key == "task")
    (folder.path / "tables").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        build(folder.path)
