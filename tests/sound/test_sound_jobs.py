"""Small sound studies from their images to their records, in this process."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from healthgan import studies
from healthgan.errors import InputError
from healthgan.executors import Job
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.images import Collection, ImageSet, Split
from healthgan.protocol import load_protocol, parse_protocol, to_toml
from healthgan.protocol_sound import ARMS, Onward, Sound
from healthgan.run import RunFolder
from healthgan.scores import auroc
from healthgan.sound import external, generators
from healthgan.sound import jobs as sound_jobs
from healthgan.sound import prepare as preparing
from healthgan.sound.context import SoundContext, kept_by, pool_file
from healthgan.sound.jobs import do_sound_job
from healthgan.sound.prepare import SoundStudy
from healthgan.sources.phantom import Counts, phantom

COUNTS: dict[Split, Counts] = {"train": Counts(120, 60), "val": Counts(30, 12), "test": Counts(60, 30)}


def small(**arms: tuple[str, ...]) -> Sound:
    """The default protocol cut down to seconds."""
    sound = load_protocol("sound")
    assert isinstance(sound, Sound)
    named = {"reference": ("real",), "synthetic": (), "control": ()} | arms
    return sound.model_copy(
        update={
            "design": sound.design.model_copy(update={"reference_seeds": 2, "folds": 3}),
            "training": sound.training.model_copy(update={"steps": 30}),
            "generator": sound.generator.model_copy(
                update={"preset": "edm-quick", "candidates": 40, "measure": False}
            ),
            "arms": sound.arms.model_copy(update=named),
        }
    )


@pytest.fixture(autouse=True)
def tiny_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Settings(steps=8, batch=8, width=16, checks=2)
    monkeypatch.setattr(generators, "DIFFUSION", {**presets.DIFFUSION, "edm-quick": tiny})


@pytest.fixture
def everything_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of eight steps makes nothing that a filter would keep."""

    def keep(verdict: Any, likeness: Any, faithful: Any, floor: float) -> dict[str, Any]:
        return dict.fromkeys(("band", "floor", "faithful", "none"), np.ones(len(verdict), bool))

    monkeypatch.setattr("healthgan.sound.context.kept_by", keep)
    monkeypatch.setattr(sound_jobs, "kept_by", keep)


def give(monkeypatch: pytest.MonkeyPatch, own: Collection, other: Collection) -> None:
    """The source 'here' is ``own``, any other is ``other``."""
    for module in (preparing, external):
        monkeypatch.setattr(module, "load", lambda name, **_: own if name == "here" else other)


def prepare(
    monkeypatch: pytest.MonkeyPatch, protocol: Sound, collection: Collection | None = None, **asked: Any
) -> SoundStudy:
    found = phantom(size=16, seed=2, counts=COUNTS) if collection is None else collection
    give(monkeypatch, found, phantom(size=16, seed=9))
    study = studies.prepare(studies.Request("here", protocol, **asked))
    assert isinstance(study, SoundStudy)
    return study


def do_all(study: SoundStudy, out: Path) -> dict[str, dict[str, Any]]:
    """The records by key, of all jobs in an order in which they can be done."""
    context = SoundContext(study, RunFolder(out), "cpu", 60.0)
    records: dict[str, dict[str, Any]] = {}
    for job in study.jobs:
        assert set(job.needs) <= set(records), f"{job.key} comes before what it needs"
        records[job.key] = do_sound_job(context, job, lambda _: None)
    json.dumps(list(records.values()), allow_nan=False)
    return records


def fits(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: record for key, record in records.items() if key.startswith("fit/")}


def digests(records: dict[str, dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What decides and what results: training sets, weights, kept images."""
    found = {
        key: (record["training_digest"], record["weights_digest"]) for key, record in fits(records).items()
    }
    pools = {key: tuple(record["artifacts"].values()) for key, record in records.items() if "pool/" in key}
    return found | pools


def with_test(collection: Collection, test: ImageSet) -> Collection:
    return replace(collection, splits={**collection.splits, "test": test})


def test_a_study_of_all_kinds_of_arms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything_kept: None
) -> None:
    arms = {
        "reference": ("real", "smote"),
        "synthetic": ("both-25", "faithful-50"),
        "control": ("noise", "oracle"),
    }
    study = prepare(monkeypatch, small(**arms), rare_count=30)
    records = do_all(study, tmp_path)
    assert study.facts["left_out"] == {}
    keys = set(fits(records))
    assert {"fit/main/real/0", "fit/main/both-25/1-0", "fit/main/oracle/1"} <= keys
    assert len(keys) == 2 * 4 + 4 * 2
    assert {record["steps"] for record in fits(records).values()} == {30}
    assert len({record["training_digest"] for record in fits(records).values()}) == len(keys)
    pool = records["pool/main/0"]
    assert pool["rare"]["candidates"] == sum(pool["rare"]["verdicts"].values()) == 40
    with np.load(tmp_path / "artifacts" / pool_file("main", 0)) as file:
        judged = file["rare_faithful"]
    assert ((judged >= 0) & (judged <= 1)).all()
    with np.load(tmp_path / "artifacts" / "reals" / "main.npz") as beside:
        for name in ("rare", "reference"):
            nearest = np.load(tmp_path / "artifacts" / pool_file("main", 0))[f"{name}_nearest"]
            assert beside[f"{name}_image"].tolist() == sorted(set(nearest[nearest >= 0].tolist()))
            assert len(beside[f"{name}_pixels"]) == len(beside[f"{name}_image"])
    assert len(records["pool/main/1"]["artifacts"]) == 1, "real images are kept beside the first pool only"
    truth = np.load(tmp_path / "artifacts" / "truth" / "main.npz")
    assert len(truth["rare_heldout_likeness"]) == 12 + 30
    assert len(truth["reference_heldout_likeness"]) == 30 + 60
    assert truth["prevalence"] == pytest.approx(30 / 150)
    for key in keys:
        with np.load(tmp_path / "artifacts" / "predictions" / f"{key.replace('/', '-')}.npz") as logits:
            assert {name: logits[name].shape for name in logits} == {"val": (42,), "test": (90,)}
    assert truth["test_label"].sum() == 30


def test_test_labels_and_test_images_reach_no_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything_kept: None
) -> None:
    """Permuted test labels, then other test images: the same training sets, models and kept images."""
    protocol = small(reference=("real", "classical"), synthetic=("both-25",), control=("copies",))
    protocol = protocol.model_copy(update={"design": protocol.design.model_copy(update={"generators": 1})})
    honest = phantom(size=16, seed=2, counts=COUNTS)
    labels = np.random.default_rng(0).permutation(honest["test"].labels)
    strangers = phantom(size=16, seed=77, counts=COUNTS)["test"]
    other_people = replace(strangers, patients=np.asarray(strangers.patients) + 10**6)
    found = {}
    for name, collection in {
        "honest": honest,
        "permuted": with_test(honest, replace(honest["test"], labels=labels)),
        "replaced": with_test(honest, other_people),
    }.items():
        found[name] = digests(do_all(prepare(monkeypatch, protocol, collection), tmp_path / name))
    assert found["honest"] == found["permuted"] == found["replaced"]
    moved = with_test(honest, honest["test"])
    fewer = replace(moved, splits={**moved.splits, "train": moved["train"].take(np.arange(100))})
    changed = digests(do_all(prepare(monkeypatch, protocol, fewer), tmp_path / "fewer"))
    assert not set(changed.values()) & set(found["honest"].values()), "the alarm can ring"


def test_a_patient_in_two_splits_is_moved_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = phantom(size=16, seed=2, counts=COUNTS)
    train, test = honest["train"], honest["test"]
    assert train.patients is not None
    assert test.patients is not None
    people = test.patients.copy()
    people[:3] = train.patients[0]
    pixels = test.pixels.copy()
    pixels[5] = train.pixels[7]
    leaky = with_test(honest, replace(test, patients=people, pixels=pixels))
    study = prepare(monkeypatch, small(), leaky)
    assert study.facts["removed"]["test"] == {"patient": 3, "duplicate": 1}
    kept = study.task.rares["test"], study.task.references["test"]
    assert sum(len(members) for members in kept) == len(test) - 4


def test_labels_shuffled_before_training_teach_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AUROC 0.5 within four standard errors of the test set (Hanley and McNeil 1982: 30 and 60 images, 0.065)."""
    honest = phantom(size=16, seed=2, counts=COUNTS)
    train = honest["train"]
    people, member = np.unique(np.asarray(train.patients), return_inverse=True)
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.arange(len(people)) % 3 == 0)[member].astype(np.int64)
    shuffled = replace(honest, splits={**honest.splits, "train": replace(train, labels=labels)})
    protocol = small().model_copy(update={"training": small().training.model_copy(update={"steps": 300})})
    study = prepare(monkeypatch, protocol, shuffled)
    do_all(study, tmp_path)
    truth = np.load(tmp_path / "artifacts" / "truth" / "main.npz")["test_label"]
    logits = [
        np.load(tmp_path / "artifacts" / "predictions" / f"fit-main-real-{seed}.npz")["test"]
        for seed in (0, 1)
    ]
    found = auroc(truth, np.mean(logits, axis=0))
    assert abs(found - 0.5) < 4 * 0.065


def test_a_cross_validation_tests_in_folds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = phantom(size=16, seed=2, counts=COUNTS)
    study = prepare(monkeypatch, small(), replace(whole, splits={"train": whole["train"]}))
    records = do_all(study, tmp_path)
    assert study.design == "cross-validation"
    assert [cell["name"] for cell in study.facts["cells"]] == ["cv-0-0", "cv-0-1", "cv-0-2"]
    assert sum(records[f"truth/cv-0-{fold}"]["test"]["rare"] for fold in range(3)) == 60


def test_tuning_never_reads_the_test_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    honest = phantom(size=16, seed=2, counts=COUNTS)
    tuning = small().model_copy(update={"design": small().design.model_copy(update={"kind": "tuning"})})
    study = prepare(monkeypatch, tuning, honest)
    hidden = {image.tobytes() for image in honest["test"].pixels}
    assert not hidden & {
        image.tobytes() for split in study.collection for image in study.collection[split].pixels
    }
    assert study.design == "tuning"


def test_what_a_fold_holds_out_reaches_no_training_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything_kept: None
) -> None:
    """Other pictures in a fold's validation and test part: the same generator, band, kept images and classifiers there."""
    protocol = small(reference=("real", "smote"), synthetic=("both-25",), control=("copies",))
    protocol = protocol.model_copy(update={"design": protocol.design.model_copy(update={"generators": 1})})
    whole = phantom(size=16, seed=2, counts=COUNTS)["train"]
    source = replace(phantom(size=16, seed=2, counts=COUNTS), splits={"train": whole})
    fold = prepare(monkeypatch, protocol, source).task  # of the first fold
    held_out = {
        image.tobytes()
        for members in (fold.rares, fold.references)
        for split in ("val", "test")
        for image in members[split].pixels
    }
    chosen = np.array([image.tobytes() in held_out for image in whole.pixels])
    pixels = whole.pixels.copy()
    pixels[chosen] = 255 - pixels[chosen]
    found = {}
    for name, images in {"honest": whole, "replaced": replace(whole, pixels=pixels)}.items():
        study = prepare(monkeypatch, protocol, replace(source, splits={"train": images}))
        mine = tuple(job for job in study.jobs if job.parameters["cell"] == "cv-0-0")
        records = do_all(replace(study, jobs=mine), tmp_path / name)
        bands = {
            key: tuple(record["artifacts"].values()) for key, record in records.items() if "band/" in key
        }
        weights = {
            key: tuple(record["artifacts"].values()) for key, record in records.items() if "generator/" in key
        }
        found[name] = digests(records) | bands | weights
        assert len(found[name]) == 4 * 2 + 3
    assert found["honest"] == found["replaced"]


def test_an_external_test_set_is_judged_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study = prepare(monkeypatch, small(), test="elsewhere")
    records = do_all(study, tmp_path)
    alone = do_all(prepare(monkeypatch, small()), tmp_path / "alone")
    assert digests(records) == digests(alone), "and does nothing else"
    assert study.external is not None
    count = len(study.external.rares) + len(study.external.references)
    assert records["truth/main"]["external"]["rare"] == len(study.external.rares)
    with np.load(tmp_path / "artifacts" / "predictions" / "fit-main-real-0.npz") as logits:
        assert logits["external"].shape == (count,)
    with np.load(tmp_path / "artifacts" / "truth" / "main.npz") as truth:
        columns = [name for name in truth if name.startswith("external_column_")]
        assert columns
        assert all(len(truth[name]) == count for name in columns)


def test_training_images_in_an_external_set_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = phantom(size=16, seed=2, counts=COUNTS)
    leaky = with_test(phantom(size=16, seed=9, counts=COUNTS), honest["train"])
    give(monkeypatch, honest, leaky)
    with pytest.raises(InputError, match="stand in"):
        studies.prepare(studies.Request("here", small(), test="elsewhere"))


def test_too_few_kept_images_end_no_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    records = do_all(prepare(monkeypatch, small(synthetic=("both-25",))), tmp_path)
    skipped = [record for record in fits(records).values() if "skipped" in record]
    assert len(skipped) == 4
    assert all("passed the filter" in record["skipped"] for record in skipped)


def test_the_second_question(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything_kept: None) -> None:
    protocol = small(synthetic=("both-25",))
    protocol = protocol.model_copy(update={"onward": Onward(source="there", synthetic="both-25")})
    records = do_all(prepare(monkeypatch, protocol), tmp_path)
    onward = {key: record for key, record in fits(records).items() if "/onward/" in key}
    assert {record["arm"] for record in onward.values()} == {"scratch", "real", "both-25"}
    assert {record["steps"] for record in onward.values()} == {30}
    assert records["truth/onward"]["test"]["rare"] == 400


@pytest.mark.parametrize("name", ["sound", "sound-full", "sound-quick"])
def test_protocols_that_come_along(name: str) -> None:
    protocol = load_protocol(name)
    assert isinstance(protocol, Sound)
    assert protocol.name == name
    assert parse_protocol(to_toml(protocol), "again") == protocol


def test_the_default_protocol_keeps_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 65 classifiers, with two generators, even where every arm can run."""
    protocol = load_protocol("sound")
    assert isinstance(protocol, Sound)
    assert protocol.design.generators == 2
    study = prepare(monkeypatch, protocol)
    left = sum(
        protocol.design.reference_seeds for arm in study.facts["left_out"] if ARMS[arm][0] != "synthetic"
    )
    assert sum(job.kind == "fit" for job in study.jobs) + left <= 65


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"real", ', "", "the reference arm 'real' is needed"),
        ('"noise"', '"nois"', "'nois' is no control arm"),
        ('"smote"', '"noise"', "'noise' is no reference arm"),
        ('"noise"', '"copies"', "an arm is named twice"),
        ("generators = 2", "generator = 2", "The nearest valid one is 'generators'"),
        ('"transfer"', '"coral"', "needs the table \\[other\\]"),
        ('kind = "auto"', 'kind = "test"', "design.kind"),
        ("equivalence = 0.01", "equivalence = 0", "design.equivalence"),
        ("batch = 32", "batch = 31", "training.batch"),
    ],
)
def test_wrong_settings_are_named(old: str, new: str, message: str) -> None:
    text = to_toml(load_protocol("sound"))
    assert text.count(old) == 1
    with pytest.raises(InputError, match=message):
        parse_protocol(text.replace(old, new), "mine.toml")


def test_what_each_rule_keeps() -> None:
    verdict = np.array([0, 0, 2, 3], np.int8)
    likeness = np.array([0.85, 0.7, 0.9, np.nan], np.float32)
    faithful = np.array([0.4, 0.6, 0.9, 0.9], np.float32)
    kept = kept_by(verdict, likeness, faithful, 0.8)
    assert {rule: found.tolist() for rule, found in kept.items()} == {
        "band": [True, True, False, False],
        "floor": [True, False, True, False],
        "faithful": [False, True, False, False],
        "none": [True] * 4,
    }


def test_a_published_study_takes_no_external_test() -> None:
    with pytest.raises(InputError, match="needs a sound protocol"):
        studies.prepare(studies.Request("phantom", load_protocol("quick"), test="phantom"))


def test_brought_images_need_a_test_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = phantom(size=16, seed=2, counts=COUNTS)
    with pytest.raises(InputError, match="test split of its own"):
        prepare(
            monkeypatch,
            small(synthetic=("synthetic-25",)),
            replace(whole, splits={"train": whole["train"]}),
            synthetic=str(tmp_path),
        )


@pytest.mark.parametrize("leaked", ["test", "external", None])
def test_altered_copies_of_what_is_scored_are_found_among_brought_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, everything_kept: None, leaked: str | None
) -> None:
    """Test images a pixel to the side, brighter and noisy: no picture is equal, and a gain would be a leak."""
    own, there = phantom(size=16, seed=2, counts=COUNTS), phantom(size=16, seed=9)
    source = {"test": own["test"], "external": there["test"], None: phantom(size=16, seed=77)["train"]}[
        leaked
    ]
    pixels = source.pixels[source.members("cardiomegaly")][:20].astype(int)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    altered = np.rint(np.roll(pixels, 1, axis=2) + 6 + noise).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "made.npz", images=altered)
    protocol = small(synthetic=("synthetic-25",))
    study = prepare(monkeypatch, protocol, own, synthetic=str(tmp_path / "made.npz"), test="elsewhere")
    assert study.facts["synthetic"]["left_out"] == 0
    records = do_all(study, tmp_path / "run")
    found = records["pool/main/0"]["heldout_suspects"]
    assert found["images"] == 20
    assert (found["suspects"] >= 15) == found["beyond_chance"] == (leaked is not None), found
    assert sum("heldout_suspects" in record for record in records.values()) == 1


def test_jobs_wait_for_what_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = small(reference=("real", "classical"), synthetic=("both-25",))
    curve = {"counts": [20, 30], "draws": 3, "reference": "classical", "synthetic": "both-25", "seeds": 1}
    protocol = Sound.model_validate({**protocol.model_dump(), "curve": curve})
    jobs = {job.key: job for job in prepare(monkeypatch, protocol).jobs}
    assert jobs["fit/n0020-1/both-25/0-0"].needs == ("pool/n0020-1/0",)
    assert jobs["pool/n0020-1/0"].needs == ("band/n0020-1", "generator/n0020-1/0")
    assert jobs["fit/n0030-2/real/0"] == Job(
        "fit/n0030-2/real/0", "fit", {"cell": "n0030-2", "arm": "real", "generator": None, "seed": 0}
    )
    assert set(jobs["fit/main/both-25/1-1"].needs) == {"pool/main/1"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
