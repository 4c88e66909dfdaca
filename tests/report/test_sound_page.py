"""The page, tables and figures of a sound study: whole, safe, small, the same every time, and true to its records."""

import csv
import hashlib
import re
import subprocess
import sys
from html import escape, unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from explored_runs import explored_sound_run
from fake_sound import CURVE, GAINS, ONWARD, VERDICTS, FakeStudy, sound
from test_page import BLOCKED, follows_the_theme, read, stands_alone, well_formed

from healthgan.likeness import Verdict
from healthgan.report import build
from healthgan.report.brought import warnings
from healthgan.report.reading import read_run
from healthgan.report.sound.build import every_table
from healthgan.report.sound.closest import SHOWN
from healthgan.report.sound.comparison import examine
from healthgan.report.sound.elsewhere import LEAST
from healthgan.report.sound.examples import LABELS
from healthgan.report.sound.page import render
from healthgan.report.tables import planned_sets, printable, sets_table
from healthgan.run import RunFolder
from healthgan.terminal import as_text

CHARTS = ("forest", "forest-real", "hardest", "roc", "calibration", "curve", "external")
TABLES = (
    "arms",
    "differences",
    "pools",
    "curve",
    "exchange",
    "roc",
    "calibration",
    "external-arms",
    "external-differences",
    "external-subgroups",
    "onward-arms",
    "onward-differences",
    "checks",
    "fidelity",
    "privacy",
)
COLUMNS = {
    "sex": ["f", "m"] * 160,
    "site": ["A"] * 40 + ["B"] * 35 + ["<i>C"] * 5 + ["A"] * 100 + ["B"] * 135 + ["<i>C"] * 5,
}
"""The third site has 5 rare images, too few."""


def full(path: Path) -> RunFolder:
    """A study with everything a study can have."""
    protocol = sound(curve=CURVE, onward=ONWARD)
    left_out = {"copies": "made up to be left out"}
    return FakeStudy(path, protocol=protocol, columns=COLUMNS, left_out=left_out).folder


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> RunFolder:
    folder = full(tmp_path_factory.mktemp("sound") / "run")
    assert build(folder.path) == folder.path / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(built) -> str:
    return (built.path / "report.html").read_text("utf-8")


def written(study: FakeStudy) -> str:
    """The page without its figures, which take most of the time."""
    run = read_run(study.folder.path)
    answers = examine(run)
    page = render(run, answers, {}, every_table(run, answers), patient_images=True)
    read(page)
    return page


def rows_of(folder: RunFolder, name: str) -> list[dict[str, str]]:
    with (folder.path / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def sections(page: str) -> dict[str, str]:
    return dict(re.findall(r'<section id="([^"]+)"[^>]*>(.*?)</section>', page, re.DOTALL))


def test_all_files_are_there(built) -> None:
    assert sorted(file.stem for file in (built.path / "figures").glob("*.svg")) == sorted(CHARTS)
    for name in CHARTS:
        svg = (built.path / f"figures/{name}.svg").read_text("utf-8")
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "var(" not in svg, "other programs know no style sheets"
    assert sorted(file.stem for file in (built.path / "tables").iterdir()) == sorted(TABLES)
    assert not list(built.path.rglob("*.part"))


def test_the_page_stands_alone(page) -> None:
    stands_alone(page)


def test_the_page_is_well_formed(page) -> None:
    well_formed(page)


def test_the_verdict_comes_first_and_sections_in_their_order(page) -> None:
    assert re.search(r'<p class="sentence">Synthetic images help here: .*95\u00a0% interval', page)
    order = [
        "arms",
        "honesty",
        "curve",
        "measures",
        "references",
        "external",
        "onward",
        "pools",
        "explorer",
        "fidelity",
        "privacy",
        "settings",
    ]
    assert list(sections(page)) == order
    assert page.index('class="verdict') < page.index('class="tiles"') < page.index('<section id="arms">')


def test_charts_follow_the_theme(page) -> None:
    follows_the_theme(page)


def test_the_same_records_give_the_same_files(built, tmp_path) -> None:
    again = full(tmp_path / "run")
    build(again.path)
    for folder in ("figures", "tables"):
        for file in sorted((built.path / folder).iterdir()):
            one, two = (
                hashlib.sha256((run.path / folder / file.name).read_bytes()).hexdigest()
                for run in (built, again)
            )
            assert one == two, file.name
    assert (again.path / "report.html").read_bytes() == (built.path / "report.html").read_bytes()


def test_settings_seed_and_versions_are_told(built, page) -> None:
    text = "".join(read(page).text)
    assert (built.path / "study.toml").read_text("utf-8").strip() in text
    for fact in ("a" * 32, "d" * 64, "f" * 64, "c" * 64, "torch 2.13.0", "seed 7", "made up to be left out"):
        assert fact in text


def test_every_pair_has_its_cell(built, page) -> None:
    shown = sections(page)["references"]
    for row in rows_of(built, "differences"):
        if row["kind"] != "reference":
            assert f"{float(row['difference']):+.3f}".replace("-", "−") in shown
    assert shown.count("<td") == 3 * 3, "two synthetic arms and a control against three reference arms"


def test_honesty_checks_say_what_was_found(tmp_path) -> None:
    gains = {**GAINS, "noise": 1.0, "real-again": 1.0}
    page = written(FakeStudy(tmp_path / "run", gains=gains))
    shown = sections(page)["honesty"]
    found = dict(
        re.findall(r'<th scope="row" class="number">([a-z-]+)<.*?</td>.*?</td>(.*?)</tr>', shown, re.DOTALL)
    )
    assert "alarm" in found["real-again"]
    assert "alarm" in found["noise"]
    assert "alarm" not in found["copies"]


def test_an_oracle_that_gains_is_as_it_should_be(tmp_path) -> None:
    protocol = sound(arms={"control": ("oracle",)})
    page = written(FakeStudy(tmp_path / "run", protocol=protocol, gains={"oracle": 1.0}))
    assert "as it should" in sections(page)["honesty"]


def test_small_groups_are_left_out_and_named(built, page) -> None:
    rows = rows_of(built, "external-subgroups")
    small = [row for row in rows if int(row["rare"]) < LEAST]
    assert [(row["value"], row["arm"]) for row in small] == [("<i>C", "")]
    shown = sections(page)["external"]
    assert "&lt;i&gt;C (5 rare, 5 reference)" in shown
    assert {row["value"] for row in rows if row["arm"]} == {"f", "m", "A", "B"}
    assert all(
        0 <= float(row["auroc_low"]) < float(row["auroc"]) < float(row["auroc_high"]) <= 1
        for row in rows
        if row["arm"]
    )


def test_pools_add_up_and_are_shown(built, page) -> None:
    assert tuple(verdict.label for verdict in Verdict) == LABELS == tuple(VERDICTS)
    rows = [row for row in rows_of(built, "pools") if row["cell"] == "main"]
    assert len(rows) == 2 * 2
    for row in rows:
        counts = [int(row[f"verdict_{label.replace(' ', '_')}"]) for label in LABELS]
        assert sum(counts) == int(row["candidates"]) == 400
    shown = sections(page)["pools"]
    for label, count in VERDICTS.items():
        assert len(re.findall(rf'alt="Synthetic images of [a-z]+: {label},', shown)) == 2
        assert f"{2 * count:,}<small>" in shown


def test_the_learning_curve_and_its_rates(built, page) -> None:
    rows = rows_of(built, "curve")
    draws = {(int(row["rare_images"]), row["arm"]): 0 for row in rows}
    for row in rows:
        draws[int(row["rare_images"]), row["arm"]] += 1
    arms, whole = ("real", "classical", "both-25"), {"real": 3, "classical": 3, "both-25": 2}
    assert draws == {(count, arm): 3 if count < 60 else whole[arm] for count in (25, 50, 60) for arm in arms}
    rates = rows_of(built, "exchange")
    assert [(row["reference"], row["rare_images"]) for row in rates] == [
        (arm, count) for arm in ("classical", "real") for count in ("25", "50", "60")
    ]
    for row in rates[:3]:
        assert f">{escape(row['worth_words'])}</td>" in sections(page)["curve"]
    main = examine(read_run(built.path)).main
    whole = [float(row["auroc"]) for row in rows if row["rare_images"] == "60" and row["arm"] == "both-25"]
    assert sum(whole) / 2 == pytest.approx(main.arm("both-25").auroc.estimate.value, abs=1e-4)


def test_the_second_question_is_answered(page) -> None:
    shown = sections(page)["onward"]
    assert "pneumonia against normal in another" in shown
    assert re.search(r'<p class="answer">Yes: against real images first \+0\.\d{3} in AUROC', shown)
    assert shown.count("minus nothing first") >= 1


def test_fidelity_and_privacy_are_those_of_the_card(page) -> None:
    for text in (
        "KID",
        "coverage",
        "at least 0.800",
        "AUROC of: rare class 0.62 (0.55 to 0.69)",
        "1 of 2 goals",
    ):
        assert text in sections(page)["fidelity"]
    for text in ("copy suspects", "1 % (real: 1.1 %)", "60; 40 held out"):
        assert text in sections(page)["privacy"]


def test_cautions_stand_beside_what_they_are_about(page) -> None:
    found = sections(page)
    assert "Only 2 generators" in found["arms"]
    assert "3 images of patients of an earlier split, 1 duplicate." in found["arms"]
    assert "2 of them stand in the study" in found["external"]
    assert "4 pictures of 'another' ([onward]) stand in the" in unescape(found["arms"])


def test_few_kept_images_and_unknown_patients_are_told(tmp_path) -> None:
    protocol = sound(arms={"synthetic": ("both-25", "faithful-50")})
    page = build(FakeStudy(tmp_path / "run", protocol=protocol, patients_known=False).folder.path).read_text(
        "utf-8"
    )
    found = sections(page)
    assert "Few synthetic images are kept by the faithful" in found["pools"]
    assert "does not tell its patients" in found["arms"]


def test_one_generator_is_not_said_to_widen_intervals(tmp_path) -> None:
    """Its training is no part of them: there is nothing to hold it against."""
    one = sound(design={"generators": 1})
    page = written(FakeStudy(tmp_path / "run", protocol=one))
    assert "Only 1 generator" in page
    assert "speak of this one" in page
    assert "kept on the wide side" not in page


def test_a_curve_that_could_not_be_had_is_said(tmp_path) -> None:
    page = written(FakeStudy(tmp_path / "run", protocol=sound(curve=CURVE), design="cross-validation"))
    assert "There is no learning curve" in page


def test_tuning_says_that_no_test_image_was_read(tmp_path) -> None:
    study = FakeStudy(tmp_path / "run", design="tuning")
    page = written(study)
    assert "<strong>Tuning.</strong> No test image was read" in page
    assert "no claim can be made" in page
    assert "No test image was read" in printable(study.folder.path)
    assert "6 splits" in page


def test_cross_validation(tmp_path) -> None:
    folder = FakeStudy(tmp_path / "run", design="cross-validation").folder
    page = build(folder.path).read_text("utf-8")
    assert "Tuning" not in page
    assert "Nadeau and Bengio" in page
    fits = sum(record["kind"] == "fit" for record in read_run(folder.path).records.values())
    assert f'<span class="value">{fits}</span><span class="note">in 7 arms' in page
    assert list(sections(page)) == [
        "arms",
        "honesty",
        "measures",
        "references",
        "pools",
        "explorer",
        "fidelity",
        "privacy",
        "settings",
    ]


def test_an_unfinished_study_shows_what_there_is(tmp_path) -> None:
    kept = ("task", "band", "generator", "pool", "truth")
    folder = FakeStudy(tmp_path / "run", keep=lambda key: key.split("/")[0] in kept).folder
    page = build(folder.path).read_text("utf-8")
    assert "Unfinished: 6 of 30 jobs" in page
    assert list(sections(page)) == ["pools", "explorer", "privacy", "settings"]
    assert "Not known yet" in page
    assert not (folder.path / "tables/arms.csv").exists()
    read(page)


def test_no_record_at_all(tmp_path) -> None:
    page = written(FakeStudy(tmp_path / "run", keep=lambda _: False))
    assert "Unfinished: 0 of 1 jobs" in page


def test_names_of_the_users_do_no_harm(tmp_path) -> None:
    name = '<script>alert("x")</script> $\\frac$ \x1b'
    columns = {name: ["a"] * 320}
    study = FakeStudy(tmp_path / "run", rare=name, source="</style><b>", columns=columns)
    page = written(study)
    assert "<script>alert" not in page
    assert "</style><b>" not in page
    stands_alone(page)
    assert "\x1b" not in page + printable(study.folder.path)


def test_a_report_needs_neither_torch_nor_numba(built) -> None:
    result = subprocess.run([sys.executable, "-c", BLOCKED, built.path], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Synthetic images help here" in result.stdout


def test_brought_images_and_their_warnings(tmp_path) -> None:
    facts = {
        "name": "theirs.npz",
        "images": 500,
        "labelled": True,
        "images_of_other_classes": 0,
        "left_out": 2,
        "used": 498,
        "digest": "9" * 64,
        "declared": "declared to be made from the training split",
        "heldout": {"heldout": 100, "heldout_found": 2, "heldout_found_mirrored": 0},
        "card": None,
        "warnings": ["\x1b They equal held-out images."],
    }
    study = FakeStudy(tmp_path / "run", brought=facts)
    page = written(study)
    assert "Unfinished" not in page
    assert "The synthetic images that were brought are in doubt" in page
    assert warnings(read_run(study.folder.path)) == ["\\x1b They equal held-out images."]
    assert "2 that equal a validation or test image not used" in page
    assert "they speak of these images only" in page


def test_the_planned_sets_are_shown_before_anything_is_trained(tmp_path) -> None:
    protocol = sound(curve=CURVE)
    study = FakeStudy(tmp_path / "run", protocol=protocol, left_out={"copies": "no room"}, columns=COLUMNS)
    sets = planned_sets(study.records[0])
    assert sets["cells"] == {"main": 1, "curve": 6}
    text = as_text(sets_table(sets))
    for part in ("training", "elsewhere", "25 % of both halves", "no room", "draws of the learning curve"):
        assert part in text


def test_the_closest_pairs_stand_side_by_side_unless_patients_images_are_left_out(tmp_path) -> None:
    folder = explored_sound_run(tmp_path / "run")
    shown = sections(build(folder.path).read_text("utf-8"))["privacy"]
    assert shown.count('alt="The real training image') == shown.count('alt="Synthetic image ') == 4 * SHOWN
    likeness = [float(value) for value in re.findall(r"<b>([\d.]+)</b>", shown)]
    assert likeness[:SHOWN] == sorted(likeness[:SHOWN], reverse=True)
    pool = read_run(folder.path).array("synthetic/main-0.npz", "rare_likeness")
    assert likeness[0] == pytest.approx(np.nanmax(pool), abs=5e-4)
    page = build(folder.path, patient_images=False).read_text("utf-8")
    assert "This page was made without real images" in page
    assert "The real training image" not in page
    assert sections(page)["privacy"].count('alt="Synthetic image ') == 4 * SHOWN


def test_every_table_that_can_be_copied_is_a_file(built, page) -> None:
    copied = dict(
        re.findall(
            r'data-csv="([^"]*)">Copy as CSV</button><span>\d+ rows?, as in tables/([a-z-]+).csv', page
        )
    )
    assert set(copied.values()) >= {"arms", "differences", "checks", "roc", "exchange", "fidelity", "privacy"}
    for content, name in copied.items():
        assert unescape(content) == (built.path / "tables" / f"{name}.csv").read_text("utf-8")


def test_every_arm_is_held_against_the_best_without_synthetic_images(built) -> None:
    answers = examine(read_run(built.path))
    found, best = answers.main, answers.best
    assert best.reference == "classical"
    assert {pair.arm for pair in best.pairs} == {arm.name for arm in found.arms} - {"classical"}
    for pair in best.pairs:
        values = [found.arm(name).auroc.estimate.value for name in (pair.arm, "classical")]
        assert pair.difference == pytest.approx(values[0] - values[1], abs=1e-12)
    opposite = found.pair("classical", "real")
    assert best.pair("real").difference == pytest.approx(-opposite.difference, abs=1e-12)
    assert best.pair("real").se == pytest.approx(opposite.se, rel=1e-9)
    assert best.pair("both-25") == found.pair("both-25", "classical")


def test_the_best_of_a_cross_validation_is_held_against_real_images_as_these_against_it(tmp_path) -> None:
    answers = examine(read_run(FakeStudy(tmp_path / "run", design="cross-validation").folder.path))
    found, best = answers.main, answers.best
    opposite = found.pair(best.reference, "real")
    assert best.pair("real").difference == pytest.approx(-opposite.difference, abs=1e-12)
    assert best.pair("real").se == pytest.approx(opposite.se, rel=1e-9)


@pytest.mark.parametrize(
    ("gains", "word", "step"),
    [
        ({"both-25": 1.5}, "Yes, they help", "Use them: train with &#39;both-25&#39;"),
        ({"both-25": -2.0, "synthetic-100": -2.0}, "No, they hurt", "Leave the synthetic images out."),
        ({"both-25": 0.1, "synthetic-100": 0.1}, "Not shown that they help", "Don&#39;t rely on them."),
        ({"real-again": 2.0}, None, "Make nothing of this study yet: its control &#39;real-again&#39;"),
    ],
)
def test_the_next_step_follows_from_the_answer(tmp_path, gains, word, step) -> None:
    protocol = sound(arms={"control": ("noise",)})
    page = written(FakeStudy(tmp_path / "run", protocol=protocol, gains={**GAINS, **gains}))
    verdict = re.search(r'<div class="verdict.*?</div>', page, re.DOTALL)[0]
    assert f"<strong>What to do:</strong> {step}" in verdict
    assert word is None or word in verdict
