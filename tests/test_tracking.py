"""TensorBoard's event files, read back."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from healthgan.errors import InputError
from healthgan.executors import Step
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.generators.store import load_generator
from healthgan.likeness import Verdict
from healthgan.protocol import to_toml
from healthgan.run import RunFolder
from healthgan.sampling import sample_generator
from healthgan.tracking import ACCEPTED, GRID, Tracker, each, grid, tracking
from tiny import tiny_protocol

FIDELITY = {
    "classes": {
        "rare": {
            "real_or_synthetic": {"auroc": 0.62},
            "spaces": {
                "pixels": {"kid": {"value": 0.004, "floor": 0.001}, "fid": {"value": 3.0, "floor": None}}
            },
        }
    }
}


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(tag)]


def picture(folder: Path, tag: str, number: int = 0) -> np.ndarray:
    event = events(folder).Images(tag)[number]
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


def losses(step: int, value: float, key: str = "generator/main/0") -> Step:
    return Step(key, step, 400, {"training_loss": value, "held_out_loss": float("nan")})


def generator(folder: RunFolder, number: int = 0) -> dict:
    checks = [{"step": step, "training": 1 / step, "heldout": None, "diversity": 1.0} for step in (100, 200)]
    return {
        "key": f"generator/main/{number}",
        "kind": "generator",
        "cell": "main",
        "generator": number,
        "checks": checks,
        "artifacts": {},
    }


def pool(folder: RunFolder, number: int = 0) -> dict:
    """Candidates whose grey says their verdict: only those that were accepted may be shown."""
    verdict = np.array(list(Verdict) * 3, np.int8)
    images = np.broadcast_to(10 + 20 * verdict[:, None, None, None], (len(verdict), 16, 16, 1)).astype(
        np.uint8
    )
    file = folder.artifact(f"synthetic/main-{number}.npz")
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, rare_images=images, rare_verdict=verdict)
    reals = folder.artifact("reals/main.npz")  # what a pool is most like lies beside it
    reals.parent.mkdir(exist_ok=True)
    np.savez(reals, rare_images=np.full_like(images, 255), rare_verdict=np.zeros_like(verdict))
    artifacts = {"reals/main.npz": "", f"synthetic/main-{number}.npz": ""}
    return {
        "key": f"pool/main/{number}",
        "kind": "pool",
        "cell": "main",
        "generator": number,
        "artifacts": artifacts,
    }


def test_losses_as_a_training_goes_on(tmp_path) -> None:
    with tracking(tmp_path / "track") as tracker:
        assert not (tmp_path / "track").exists()  # a run folder must be empty when a study begins
        for step, value in ((100, 0.5), (200, 0.25)):
            tracker.step(losses(step, value))
        tracker.step(Step("band/main", 1, 2, {}))
    folder = tmp_path / "track" / "generator-main-0"
    assert scalars(folder, "training_loss") == [(100, 0.5), (200, 0.25)]
    assert events(folder).Tags()["scalars"] == ["training_loss"]  # NaN is no loss
    assert [entry.name for entry in (tmp_path / "track").iterdir()] == ["generator-main-0"]


def test_a_training_that_goes_on_replaces_what_was_told_beyond_its_checkpoint(tmp_path) -> None:
    for steps in ([(100, 0.5), (200, 0.25), (300, 0.125)], [(200, 0.75), (300, 0.625), (400, 0.5)]):
        with tracking(tmp_path) as tracker:
            for step, value in steps:
                tracker.step(losses(step, value))
    found = scalars(tmp_path / "generator-main-0", "training_loss")
    assert found == [(100, 0.5), (200, 0.75), (300, 0.625), (400, 0.5)]


def test_a_study_that_is_told_twice_is_written_once(tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    records = [generator(folder), pool(folder)]
    records.append({"key": "quality/main", "kind": "quality", "cell": "main", "fidelity": FIDELITY})
    log = tmp_path / "track" / "generator-main-0"
    for _ in range(2):
        with tracking(tmp_path / "track", folder.path) as tracker:
            for record in records:
                tracker.finished(record)
    assert scalars(log, "training_loss") == [(100, pytest.approx(0.01)), (200, pytest.approx(0.005))]
    assert scalars(log, "fidelity/rare/real_or_synthetic_auroc") == [(200, pytest.approx(0.62))]
    assert scalars(log, "fidelity/rare/pixels/kid/floor") == [(200, pytest.approx(0.001))]
    tags = events(log).Tags()
    assert "fidelity/rare/pixels/fid/floor" not in tags["scalars"]
    assert tags["images"] == ["images/rare"]
    assert len(events(log).Images("images/rare")) == 1


def test_losses_that_were_tracked_are_not_taken_from_the_record_again(tmp_path) -> None:
    with tracking(tmp_path) as tracker:
        tracker.step(losses(100, 0.5))
        tracker.finished(generator(RunFolder(tmp_path)))
    assert scalars(tmp_path / "generator-main-0", "training_loss") == [(100, 0.5)]


def test_only_accepted_images_are_shown(tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    with tracking(tmp_path / "track", folder.path) as tracker:
        tracker.finished(generator(folder))
        tracker.finished(pool(folder))
    assert ACCEPTED == Verdict.ACCEPTED
    shown = picture(tmp_path / "track" / "generator-main-0", "images/rare")
    assert shown.shape[:2] == (16, 3 * 17 - 1)
    assert set(np.unique(shown)) == {0, 10}  # lines, and the grey of accepted images


def test_images_that_were_brought_are_not_shown(tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    with tracking(tmp_path / "track", folder.path) as tracker:
        tracker.finished(pool(folder))  # without a generator of ours
    assert not (tmp_path / "track").exists()


def test_a_published_gan_is_shown_over_its_epochs(tmp_path) -> None:
    folder = RunFolder(tmp_path / "run")
    file = folder.artifact("synthetic/round-1.npz")
    file.parent.mkdir(parents=True)
    history = np.arange(5, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 16, 16, 16, 1), np.uint8)
    np.savez(file, history=history, losses=np.array([[0.5, 1.0], [0.25, 2.0]], np.float32))
    record = {"key": "generator/1", "kind": "generator", "round": 1}
    record["artifacts"] = {"generator/round-1.safetensors": "", "synthetic/round-1.npz": ""}
    with tracking(tmp_path / "track", folder.path) as tracker:
        tracker.finished(record)
    log = tmp_path / "track" / "generator-1"
    assert scalars(log, "generator_loss") == [(1, 0.5), (2, 0.25)]
    assert scalars(log, "discriminator_loss") == [(1, 1.0), (2, 2.0)]
    assert [event.step for event in events(log).Images("images/rare")] == [0, 1, 2, 3, 4]
    assert picture(log, "images/rare", 3).max() == 3


def test_a_grid() -> None:
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    found = grid(images)
    assert found.shape == (5, 15, 3)
    assert found[0, [0, 4, 8, 12], 0].tolist() == [1, 2, 3, 4]
    assert found[3, [0, 3, 4], 0].tolist() == [5, 0, 0]


def test_without_tensorboard_one_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install 'healthgan\[track\]'"), tracking(tmp_path / "track"):
        pytest.fail("nothing can be tracked")
    with tracking(None) as tracker:
        assert tracker is None


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        Tracker(tmp_path / "file").step(losses(1, 0.5))


def test_each_tells_all() -> None:
    heard: list[int] = []
    each(heard.append, None, heard.append)(3)
    assert heard == [3, 3]


def test_train_with_track(main, blobs, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=20, batch=8, width=16, checks=2))
    out, logs = tmp_path / "small.safetensors", tmp_path / "logs"
    ended = main("train", blobs, "--preset", "edm-quick", "--no-measure", "--out", out, "--track", logs)
    assert ended.returncode == 0, ended.stderr
    checks = load_generator(out).facts["generator"]["checks"]
    assert scalars(logs / "small" / "training", "training_loss") == [
        (check["step"], pytest.approx(check["training"])) for check in checks
    ]
    tags = events(logs / "small" / "training").Tags()
    assert tags["images"] == ["images/rest", "images/wide"]
    made = sample_generator(out, GRID, "wide", 0).pixels
    assert np.array_equal(picture(logs / "small" / "training", "images/wide")[..., 0], grid(made)[..., 0])


def test_study_with_track_but_without_tensorboard_does_nothing(main, blobs, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(to_toml(tiny_protocol()))
    ended = main("study", blobs, "--protocol", protocol, "--out", tmp_path / "run", "--track")
    assert ended.returncode == 2
    assert "pip install 'healthgan[track]'" in ended.stderr
    assert not (tmp_path / "run").exists()
