"""A whole small study: its records, its resumption, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from healthgan import studies
from healthgan.errors import InputError
from healthgan.protocol import load_protocol
from healthgan.run import RunFolder, without_times
from healthgan.ssim import best_match
from healthgan.study_names import settings_toml
from killed_study import killed
from tiny import tiny_protocol, write_blobs


def run(source: Path, out: Path, workers: int = 2, **changes: dict[str, object]) -> RunFolder:
    prepared = studies.prepare(studies.Request(str(source), tiny_protocol(**changes)))
    studies.run(prepared, out, device="cpu", workers=workers)
    return RunFolder(out)


@pytest.fixture(scope="session")
def finished(blobs, tmp_path_factory) -> RunFolder:
    """A study that ran through."""
    return run(blobs, tmp_path_factory.mktemp("study") / "run")


@pytest.fixture(scope="session")
def records(finished) -> dict[str, dict]:
    return {record["key"]: record for record in finished.records()}


def test_every_job_has_one_record(finished, records) -> None:
    keys = [record["key"] for record in finished.records()]
    assert sorted(keys) == sorted({"task", *(job.key for job in studies.plan(tiny_protocol()))})


def test_counts(records) -> None:
    real, generated = records["classifier/real/0.00"], records["classifier/generated/0.00"]
    assert (real["real"], real["generated"], real["train_images"], real["test_images"]) == (24, 0, 48, 32)
    accepted = records["likeness"]["accepted"]["0.00"]
    assert generated["accepted"] == accepted > 0
    assert generated["generated"] == min(accepted, 60 - 24)
    assert generated["train_images"] == 2 * (24 + generated["generated"])
    assert records["likeness"]["harvested"] == 2 * 2 * 16


def test_a_floor_that_nothing_reaches_has_a_row_and_no_model(records) -> None:
    empty = records["classifier/generated/0.99"]
    assert (empty["accepted"], empty["generated"]) == (0, 0)
    assert "test_accuracy" not in empty
    assert empty["artifacts"] == {}


def test_scores_follow_from_the_predictions(finished, records) -> None:
    record = records["classifier/generated/0.00"]
    with np.load(finished.artifact("predictions/classifier-generated-0.00.npz")) as file:
        right = (file["score"] > 0.5) == (file["label"] == 1)
    assert record["test_accuracy"] == right.mean()
    folds = record["folds"]
    assert record["val_accuracy"] == pytest.approx(np.mean([fold["val_accuracy"] for fold in folds]))
    assert sum(fold["val_images"] for fold in folds) == record["train_images"] + record["val_images"]


def test_the_real_arm_repeats_one_condition_with_other_seeds(records) -> None:
    one, two = records["classifier/real/0.00"], records["classifier/real/0.02"]
    assert one["train_images"] == two["train_images"]
    assert one["artifacts"].keys() != two["artifacts"].keys()
    assert list(one["artifacts"].values()) != list(two["artifacts"].values())


def test_the_candidates_are_what_the_records_say(finished, records) -> None:
    with np.load(finished.artifact("synthetic/candidates.npz")) as file:
        stored = dict(file)
    assert len(stored["images"]) == records["likeness"]["candidates"]
    assert len(np.unique(stored["images"], axis=0)) == len(stored["images"])
    assert set(stored["epoch"]) == {2, 3}
    with np.load(finished.artifact("synthetic/round-1.npz")) as file:
        history = file["history"]
    for number in np.flatnonzero(stored["round"] == 1):
        image = history[stored["epoch"][number], stored["vector"][number]]
        assert np.array_equal(image, stored["images"][number])


def test_the_nearest_real_images_are_kept_once_and_no_heldout_one(finished, records) -> None:
    with np.load(finished.artifact("synthetic/candidates.npz")) as file:
        nearest, heldout, likeness = (file[key] for key in ("nearest", "heldout_likeness", "likeness"))
        images = file["images"]
    with np.load(finished.artifact("reals/nearest.npz")) as file:
        positions, pixels = file["image"], file["pixels"]
    assert positions.tolist() == sorted(set(nearest[nearest >= 0].tolist()))
    assert len(heldout) == 8 + 16
    for number in np.flatnonzero(nearest >= 0)[:5]:
        real = pixels[np.searchsorted(positions, nearest[number])]
        assert best_match(images[number][None], real[None])[0][0] == likeness[number]
    with np.load(finished.artifact("synthetic/examples.npz")) as file:
        assert set(file.files) == {"generated", "likeness", "nearest"}


def test_the_same_command_again_runs_nothing(blobs, finished) -> None:
    before = finished.records_file.read_bytes()
    run(blobs, finished.path)
    assert finished.records_file.read_bytes() == before


def test_one_worker_gives_the_same(blobs, finished, tmp_path) -> None:
    assert without_times(run(blobs, tmp_path / "run", workers=1).records()) == without_times(
        finished.records()
    )


def test_another_seed_gives_another_study(blobs, finished, tmp_path) -> None:
    request = studies.Request(str(blobs), tiny_protocol(), seed=1)
    other = studies.prepare(request)
    with pytest.raises(InputError, match="other settings"):
        studies.run(other, finished.path, device="cpu", workers=1)
    seeds = {
        settings_toml(studies.prepare(studies.Request(str(blobs), tiny_protocol(), seed=s))) for s in (0, 1)
    }
    assert len(seeds) == 2


def test_a_damaged_artefact_is_made_again(blobs, finished, tmp_path) -> None:
    copy = run(blobs, tmp_path / "run")
    copy.artifact("synthetic/candidates.npz").write_bytes(b"damaged")
    run(blobs, copy.path)
    assert without_times(copy.records()) == without_times(finished.records())
    assert len(copy.records()) == len(finished.records()) + 1
    assert set(copy.finished()) == set(finished.finished())


# When the study kills itself: a job reports a step of its own, or a record was written. None of these is
# the last thing a study does, whatever the order in which its two workers end their jobs.
STAGES = {
    "start": "task found",
    "generator": "generator/1 at 1",
    "second generator": "generator/0 done",
    "likeness": "likeness done",
    "real or synthetic": "real-or-synthetic at 1",
    "generated classifier": "classifier/generated/0.00 at 1",
    "real classifier": "classifier/real/0.00 at 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_study_goes_on_to_the_same_result(stage, blobs, finished, tmp_path) -> None:
    folder = killed(tmp_path, blobs, tiny_protocol(), STAGES[stage], workers=2)
    assert len(folder.records()) < len(finished.records()), "nothing was left to do"
    run(blobs, folder.path)
    assert without_times(folder.records()) == without_times(finished.records())
    keys = [record["key"] for record in folder.records()]
    assert len(keys) == len(set(keys)), "a finished job ran twice"
    assert not list(folder.path.rglob("*.part"))
    assert not list(folder.path.rglob("*checkpoint*"))


def test_dry_run_counts_at_the_official_size(tmp_path) -> None:
    """A file of ChestMNIST's layout and counts, made of noise, gives the published sets."""
    rng = np.random.default_rng(0)
    counts = {"train": (78468, 1950), "val": (11219, 240), "test": (22433, 582)}
    arrays = {}
    for split, (images, cardiomegaly) in counts.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (images, 28, 28), np.uint8)
        labels = np.zeros((images, 14), np.uint8)
        labels[rng.permutation(images)[:cardiomegaly], 1] = 1
        labels[rng.permutation(images)[: images // 3], 2] = 1
        arrays[f"{split}_labels"] = labels
    np.savez(tmp_path / "chestmnist.npz", **arrays)
    protocol = load_protocol("paper").model_copy(update={"control": None})
    prepared = studies.prepare(
        studies.Request(str(tmp_path / "chestmnist.npz"), protocol, rare="cardiomegaly")
    )
    counted = prepared.facts["main"]["counts"]
    assert [counted[split]["balanced"] for split in counts] == [3900, 480, 1164]
    assert prepared.task.reference == "normal"


def test_normals_are_the_first_in_the_file(blobs) -> None:
    prepared = studies.prepare(studies.Request(str(blobs), tiny_protocol()))
    with np.load(blobs) as file:
        expected = np.flatnonzero(file["train_labels"].ravel() == 0)[:24]
    assert np.array_equal(prepared.task.balanced("train")[1].image, expected)


def test_control_is_topped_up_with_the_main_sources_normals(blobs, tmp_path) -> None:
    counts = {"train": (40, 10), "val": (10, 4), "test": (8, 2)}
    control = write_blobs(tmp_path / "control.npz", seed=1, counts=counts)
    settings = {"source": str(control), "rare": "wide", "reference": "narrow", "top_up": True}
    prepared = studies.prepare(studies.Request(str(blobs), tiny_protocol(control=settings)))
    balanced = {split: counts["balanced"] for split, counts in prepared.facts["control"]["counts"].items()}
    assert balanced == {"train": 80, "val": 20, "test": 16}
    own, added = (
        prepared.control.references["train"].first(10),
        prepared.control.references["train"].take(np.arange(10, 40)),
    )
    with np.load(control) as file:
        assert np.array_equal(own.pixels[..., 0], file["train_images"][40:])
    assert np.array_equal(added.pixels, prepared.task.references["train"].pixels[:30])
    assert set(own.patient).isdisjoint(added.patient)


def test_control_of_another_size_is_refused(blobs, tmp_path) -> None:
    control = write_blobs(tmp_path / "control.npz", size=20)
    settings = {"source": str(control), "rare": "wide", "reference": "narrow", "top_up": True}
    with pytest.raises(InputError, match=r"\(20, 20, 1\)"):
        studies.prepare(studies.Request(str(blobs), tiny_protocol(control=settings)))


def test_manifest_tells_versions_and_code(finished) -> None:
    start = json.loads((finished.path / "manifest.json").read_text())["starts"][0]
    assert start["packages"]["torch"]
    assert len(start["code"]) == 64
    assert start["code"] == studies.code_digest()


def test_cuda_is_refused_where_there_is_none(blobs, tmp_path) -> None:
    import torch

    assert not torch.cuda.is_available(), "this test is for machines without a GPU"
    prepared = studies.prepare(studies.Request(str(blobs), tiny_protocol()))
    with pytest.raises(InputError, match="no CUDA device"):
        studies.run(prepared, tmp_path / "run", device="cuda", workers=1)
    assert not (tmp_path / "run").exists()
