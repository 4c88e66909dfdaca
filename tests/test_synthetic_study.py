"""A study with synthetic images that the user brings: what it does with them, and what it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from healthgan import studies
from healthgan.errors import InputError
from healthgan.exports import export, make_card
from healthgan.generate import TrainRequest, training_task
from healthgan.generators.brought import MIN_HALF, Brought, altered_copies, card_facts, halves
from healthgan.protocol import to_toml
from healthgan.report import build
from healthgan.report.tables import sets_table, summary
from healthgan.run import RunFolder, without_times
from healthgan.sources.synthetic import SyntheticSet
from healthgan.terminal import as_text
from killed_study import killed
from tiny import tiny_protocol, write_blobs

MADE = 60
PROTOCOL = tiny_protocol(likeness={"floors": (0.0, 0.999)}, classifier={"epochs": 1}, folds={"count": 2})


def wide(count: int, *, seed: int = 9, size: int = 16) -> np.ndarray:
    """(count, size, size) blobs of the rare class that stand in no split of ``blobs``."""
    rng = np.random.default_rng(seed)
    grid = np.indices((size, size)) - (size - 1) / 2
    shifts = rng.normal(0, 0.7, (count, 2, 1, 1))
    squares = ((grid - shifts) ** 2).sum(axis=1)
    widths = rng.normal(5.0, 0.5, count)[:, None, None]
    noisy = 200 * np.exp(-squares / (2 * widths**2)) + rng.normal(0, 4, (count, size, size))
    return noisy.clip(0, 255).astype(np.uint8)


def held_out(blobs: Path, split: str = "test") -> np.ndarray:
    with np.load(blobs) as file:
        return file[f"{split}_images"][file[f"{split}_labels"].ravel() == 1]


def write(path: Path, images: np.ndarray, labels: np.ndarray | None = None, **more: object) -> Path:
    arrays = {} if labels is None else {"labels": labels, "class_names": np.array(["narrow", "wide"])}
    np.savez(path, images=images, **arrays, **more)
    return path


def prepared(source: Path, synthetic: Path, **options: object) -> studies.Study:
    return studies.prepare(studies.Request(str(source), PROTOCOL, synthetic=str(synthetic), **options))


def run(study: studies.Study, out: Path, workers: int = 1) -> RunFolder:
    studies.run(study, out, device="cpu", workers=workers)
    return RunFolder(out)


@pytest.fixture(scope="module")
def planted(blobs, tmp_path_factory) -> Path:
    """Sixty images, one of them twice, and between them two held-out ones, one mirrored."""
    images = np.concatenate(
        [wide(MADE), wide(MADE)[:1], held_out(blobs)[:1], held_out(blobs, "val")[1:2, :, ::-1]]
    )
    return write(tmp_path_factory.mktemp("synthetic") / "planted.npz", images)


@pytest.fixture(scope="module")
def finished(blobs, planted, tmp_path_factory) -> RunFolder:
    return run(prepared(blobs, planted), tmp_path_factory.mktemp("brought") / "run")


@pytest.fixture(scope="module")
def records(finished) -> dict[str, dict]:
    return {record["key"]: record for record in finished.records()}


def test_no_generator_is_trained(records) -> None:
    floors = PROTOCOL.likeness.floors
    classifiers = {f"classifier/{arm}/{floor:.2f}" for arm in ("real", "generated") for floor in floors}
    assert records.keys() == {"task", "likeness", "real-or-synthetic"} | classifiers


def test_held_out_images_are_told_and_left_out(blobs, finished, records) -> None:
    facts = records["task"]["synthetic"]
    assert (facts["images"], facts["left_out"], facts["used"]) == (MADE + 3, 2, MADE + 1)
    assert facts["heldout"]["heldout_found"] == facts["heldout"]["heldout_found_mirrored"] == 1
    assert facts["warnings"] == [
        "2 held-out images stand among the synthetic ones: the comparison is not valid."
    ]
    with np.load(finished.artifact("synthetic/candidates.npz")) as file:
        stored = dict(file)
    assert np.array_equal(stored["images"][..., 0], wide(MADE)), (
        "in their order, each once, no held-out image"
    )
    assert np.array_equal(stored["vector"], np.arange(MADE))
    assert set(stored["round"]) == set(stored["epoch"]) == {-1}
    likeness = records["likeness"]
    assert (likeness["harvested"], likeness["duplicates"], likeness["candidates"]) == (MADE + 1, 1, MADE)


def test_the_record_holds_no_path(finished, planted) -> None:
    for file in ("records.jsonl", "study.toml"):
        assert str(planted.parent) not in (finished.path / file).read_text().replace(str(finished.path), "")


def test_classifiers_learn_from_them(records) -> None:
    record = records["classifier/generated/0.00"]
    assert record["accepted"] == records["likeness"]["accepted"]["0.00"] == MADE
    assert record["generated"] == 60 - 24, "as many as there are references to balance them"
    assert records["classifier/generated/1.00"]["generated"] == 0


def test_real_or_synthetic_divides_them(records) -> None:
    record = records["real-or-synthetic"]
    assert (record["real_images"], record["generated_images"]) == (24, 24), (
        "of 30 as many as there are real ones"
    )
    assert record["fresh_images"] == 8 + 16, "of the other 30 as many as there are held-out rare ones"


def test_two_workers_give_the_same(blobs, planted, finished, tmp_path) -> None:
    again = run(prepared(blobs, planted), tmp_path / "run", workers=2)
    assert without_times(again.records()) == without_times(finished.records())


@pytest.mark.slow
def test_a_killed_study_goes_on_to_the_same_result(blobs, planted, finished, tmp_path) -> None:
    folder = killed(tmp_path, blobs, PROTOCOL, "real-or-synthetic at 1", workers=1, synthetic=planted)
    assert {record["key"] for record in folder.records()} == {"task", "likeness"}
    run(prepared(blobs, planted), folder.path)
    assert without_times(folder.records()) == without_times(finished.records())


def test_other_images_are_another_study(blobs, finished, tmp_path) -> None:
    other = prepared(blobs, write(tmp_path / "planted.npz", wide(MADE, seed=10)))
    without = studies.prepare(studies.Request(str(blobs), PROTOCOL))
    for study in (other, without):
        with pytest.raises(InputError, match="other settings"):
            run(study, finished.path)


def test_the_same_images_under_another_name_are_the_same_study(blobs, planted, finished, tmp_path) -> None:
    before = finished.records_file.read_bytes()
    with np.load(planted) as file:
        run(prepared(blobs, write(tmp_path / "renamed.npz", file["images"])), finished.path)
    assert finished.records_file.read_bytes() == before


def test_only_images_of_the_rare_class_are_taken(blobs, tmp_path) -> None:
    labels = np.arange(MADE) % 2
    study = prepared(blobs, write(tmp_path / "both.npz", wide(MADE), labels))
    assert np.array_equal(study.brought.position, np.flatnonzero(labels == 1))
    assert np.array_equal(study.brought.pixels[..., 0], wide(MADE)[1::2])
    assert study.facts["synthetic"]["images_of_other_classes"] == MADE // 2
    assert study.warnings == []


def test_a_folder_is_resampled_with_the_source(blobs, tmp_path) -> None:
    card = make_card(wide(5, size=20)[..., None], None, (), name="made", trained_on={}, generator={})
    export(SyntheticSet(wide(5, size=20)[..., None], None, (), "made", card), tmp_path / "made")
    with pytest.raises(InputError, match=r"\(20, 20, 1\).*\(16, 16, 1\).*--size N"):
        prepared(blobs, tmp_path / "made")
    assert prepared(blobs, tmp_path / "made", size=16).brought.pixels.shape == (5, 16, 16, 1)


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (wide(5, size=20), None, r"\(20, 20, 1\).*\(16, 16, 1\).*--size N"),
        (np.repeat(wide(5)[..., None], 3, axis=3), None, r"\(16, 16, 3\).*\(16, 16, 1\)"),
        (wide(2), None, "2 images of 'wide'; at least 3"),
        (wide(5), np.zeros(5, int), "0 images of 'wide'; at least 3"),
        (np.zeros((0, 16, 16), np.uint8), None, "holds no image"),
    ],
    ids=["size", "channels", "few", "none of the class", "empty"],
)
def test_what_does_not_fit_is_refused(images, labels, says, blobs, tmp_path) -> None:
    with pytest.raises(InputError, match=says):
        prepared(blobs, write(tmp_path / "made.npz", images, labels))


def test_other_class_names_are_refused_by_name(blobs, tmp_path) -> None:
    np.savez(tmp_path / "made.npz", images=wide(5), labels=np.zeros(5, int), class_names=np.array(["broad"]))
    with pytest.raises(InputError, match="no class 'wide'; its classes are: broad"):
        prepared(blobs, tmp_path / "made.npz")


def test_nothing_but_held_out_images_is_refused(blobs, tmp_path) -> None:
    with pytest.raises(InputError, match="16 of them are validation or test images"):
        prepared(blobs, write(tmp_path / "made.npz", held_out(blobs)))


def test_few_accepted_images_are_not_told_from_real_ones(blobs, tmp_path) -> None:
    study = prepared(blobs, write(tmp_path / "made.npz", wide(2 * MIN_HALF - 1)))
    until = tuple(job for job in study.jobs if job.kind in ("likeness", "real-or-synthetic"))
    folder = run(replace(study, jobs=until), tmp_path / "run")
    record = folder.records()[-1]
    assert record["key"] == "real-or-synthetic"
    assert record["generated_images"] == 0
    assert "auroc" not in record
    assert "Too few synthetic images" in build(folder.path).read_text("utf-8")


def carded(path: Path, blobs: Path, **changes: object) -> Path:
    trained_on = {
        "source": "blobs",
        "md5": None,
        "split": "train",
        "images": {"wide": 24, "narrow": 60},
        **changes,
    }
    card = {"trained_on": trained_on, "generator": {"preset": "edm", "seed": trained_on.pop("seed", 3)}}
    return write(path, wide(5), card=np.array(json.dumps(card)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"seed": 4}, None),
        ({"md5": "0" * 32}, "another file"),
        ({"split": "test"}, "from the split 'test', not from 'train'"),
        ({"images": {"wide": 100}}, "counts 100 real training images of 'wide', this study 24"),
    ],
)
def test_a_card_is_held_against_the_study(changes, says, blobs, tmp_path) -> None:
    study = prepared(blobs, carded(tmp_path / "made.npz", blobs, **changes))
    assert study.facts["synthetic"]["card"]["preset"] == "edm"
    assert len(study.warnings) == (says is not None)
    assert says is None or says in study.warnings[0]


def test_a_set_of_our_own_fits(blobs, tmp_path) -> None:
    """What ``train`` writes of its training images is what a study of the same source trains on."""
    _, trained_on = training_task(TrainRequest(str(blobs)))
    generator = {"preset": "edm", "seed": 7, "sampling_seed": 1}
    pixels, labels, names = wide(5)[..., None], np.ones(5, int), ("narrow", "wide")
    card = make_card(pixels, labels, names, name="made", trained_on=trained_on, generator=generator)
    export(SyntheticSet(pixels, labels, names, "made", card), tmp_path / "made.npz")
    study = prepared(blobs, tmp_path / "made.npz")
    assert study.warnings == []
    told = study.facts["synthetic"]["card"]
    assert told["md5"] == study.facts["main"]["md5"] is not None
    assert (told["rare_images"], told["seed"], told["sampling_seed"]) == (24, 7, 1)


def test_a_seed_matters_where_it_divides_the_source(tmp_path) -> None:
    whole = write_blobs(tmp_path / "whole.npz", counts={"train": (40, 90)})
    made = carded(tmp_path / "made.npz", whole, images={})
    assert prepared(whole, made, seed=3).warnings == []
    (warning,) = prepared(whole, made, seed=4).warnings
    assert "3 where the synthetic images were made (says their card), 4 here" in warning


@pytest.mark.parametrize("value", [None, 7, [1], "text", {"a": {}}, True, 1 << 80, "x/y", "\x1b"])
def test_a_card_may_hold_anything(value) -> None:
    keys = ("made_by", "trained_on", "generator")
    inner = dict.fromkeys(("source", "md5", "split", "images", "preset", "seed", "sampling_seed"), value)
    for card in (dict.fromkeys(keys, value), {"trained_on": inner, "generator": inner}):
        facts = card_facts(card, "wide")
        json.dumps(facts, allow_nan=False)
        assert not any("/" in told or "\x1b" in told for told in facts.values() if isinstance(told, str))
    assert card_facts({"trained_on": {"images": {"wide": 3}}}, "wide")["rare_images"] == 3


@given(st.integers(0, 60), st.integers(0, 2**32))
def test_halves_share_nothing_and_lose_nothing(count, seed) -> None:
    index = np.arange(count) * 3
    one, two = halves(index, seed)
    assert np.array_equal(np.sort(np.concatenate([one, two])), index)
    assert len(two) - len(one) == count % 2
    assert all(
        np.array_equal(again, first) for again, first in zip(halves(index, seed), (one, two), strict=True)
    )


def test_altered_copies_are_counted(blobs) -> None:
    task = studies.prepare(studies.Request(str(blobs), PROTOCOL)).task
    copies = np.clip(held_out(blobs).astype(int) + 9, 0, 255).astype(np.uint8)[..., None]
    learned = [task.rares["train"], task.references["train"]]
    scored = [*task.balanced("val"), *task.balanced("test")]
    found = altered_copies(Brought(copies, np.arange(len(copies)), True), learned, scored, seed=0)
    assert found["suspects"] == len(copies) == 16
    assert found["beyond_chance"]
    assert found["calibrated_on"] == 24 + 60
    clean = altered_copies(Brought(wide(MADE)[..., None], np.arange(MADE), True), learned, scored, seed=0)
    assert clean["suspects"] < 16
    assert clean["beyond_chance"] == (betabinom.sf(clean["suspects"] - 1, MADE, 1, 84) < 0.01)


def test_the_report_tells_it(finished) -> None:
    page = build(finished.path).read_text("utf-8")
    answers = summary(finished.path)
    assert answers["jobs"] == len(finished.records()) - 1
    assert answers["missing"] == []
    assert answers["answer"][0].startswith("2 held-out images stand among the synthetic ones")
    assert "63 synthetic images were brought as 'planted' (2 that equal a" in answers["answer"][-1]
    assert answers["answer"][-1].endswith("which cannot be proved.")
    assert {"origin_declared", "synthetic_doubtful"} <= {fault["key"] for fault in answers["faults"]}
    for told in (
        "brought as",
        "in doubt",
        "divided into two halves",
        "1 mirrored",
        "no card",
        "equal no held-out image",
    ):
        assert told in page, told
    places = [int(place) for place in re.findall(r"<br>no\. (\d+)", page)]
    assert len(set(places)) == 8
    assert max(places) < MADE
    for untold in ("Losses of the GAN", "noise vector", "Noise", "freshly generated", "epoch -1", "the GAN "):
        assert untold not in page, untold
    names = {file.name for file in (finished.path / "figures").iterdir()}
    assert {"figure-3.svg", "likeness.svg"} <= names
    assert not names & {"losses.svg", "figure-3.gif", "figure-3-epochs.svg"}


def test_an_unfinished_study_with_brought_images(finished, tmp_path) -> None:
    (tmp_path / "study.toml").write_bytes((finished.path / "study.toml").read_bytes())
    page = build(tmp_path).read_text("utf-8")
    assert "Unfinished: 0 of 6 jobs" in page
    assert "The synthetic images were brought, not made here." in page


def test_dry_run_shows_and_warns(blobs, planted, main, tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text(to_toml(PROTOCOL))
    command = ["study", blobs, "--protocol", tmp_path / "tiny.toml", "--synthetic", planted, "--dry-run"]
    shown = main(*command, "--json")
    assert shown.returncode == 0
    assert shown.stderr == (
        "Warning: 2 held-out images stand among the synthetic ones: the comparison is not valid.\n"
    )
    plan = json.loads(shown.stdout)
    assert plan["synthetic"]["used"] == MADE + 1
    assert not any(job.startswith("generator") for job in plan["jobs"])
    table = as_text(sets_table(plan))
    assert "Synthetic images that were brought" in table
    assert re.search(r"planted +│? *63 *│? *2 *│? *61", table)
