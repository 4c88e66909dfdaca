"""A small sound study by the command line: workers, records, report, resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from healthgan.cli import app
from healthgan.errors import InputError
from healthgan.images import Split
from healthgan.protocol import load_protocol, to_toml
from healthgan.protocol_sound import Sound
from healthgan.sources.phantom import Counts, phantom

COUNTS: dict[Split, Counts] = {"train": Counts(80, 40), "val": Counts(30, 12), "test": Counts(60, 30)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, another hospital's, and a protocol that needs no generator."""
    folder = tmp_path_factory.mktemp("sound")
    for name, seed in (("here", 1), ("there", 2)):
        collection = phantom(size=16, seed=seed, counts=COUNTS)
        arrays = {"class_names": np.array(collection.class_names)}
        for split in collection:
            images = collection[split]
            arrays |= {f"{split}_images": images.pixels, f"{split}_labels": images.labels}
            arrays[f"{split}_patients"] = np.asarray(images.patients)
        np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **arrays)
    sound = load_protocol("sound")
    assert isinstance(sound, Sound)
    values = sound.model_dump()
    values["name"] = "small"
    values["design"] |= {"reference_seeds": 2}
    values["training"] |= {"steps": 40}
    values["arms"] = {"reference": ["real", "classical"], "synthetic": [], "control": ["noise", "oracle"]}
    (folder / "small.toml").write_text(to_toml(Sound.model_validate(values)), "utf-8")
    return folder


def study(files: Path, out: Path, *more: str) -> tuple[int, str, str]:
    arguments = [
        "study",
        str(files / "here.npz"),
        "--rare",
        "cardiomegaly",
        "--protocol",
        str(files / "small.toml"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out), "--jobs", "2", *more])
    return result.exit_code, result.stdout, result.stderr


def test_a_study_ends_in_a_verdict_and_goes_on_where_it_stopped(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, said, _ = study(files, out, "--rare-count", "20", "--test", str(files / "there.npz"), "--json")
    assert code == 0
    found = json.loads(said)
    assert found["missing"] == []
    assert "synthetic" in found["answer"][0].lower()
    assert {row["arm"] for row in found["tables"]["arms"]} == {"real", "classical", "noise", "oracle"}
    assert (out / "report.html").is_file()
    lines = (out / "records.jsonl").read_text("utf-8").splitlines()
    records = {json.loads(line)["key"]: json.loads(line) for line in lines}
    assert len(records) == 1 + 1 + 4 * 2
    assert records["truth/main"]["external"] == {
        "rare": 30,
        "reference": 60,
        "patients": records["truth/main"]["external"]["patients"],
    }
    (out / "records.jsonl").write_text("\n".join(lines[:-2]) + "\n", "utf-8")
    code, _, _ = study(files, out, "--rare-count", "20", "--test", str(files / "there.npz"))
    again = [json.loads(line) for line in (out / "records.jsonl").read_text("utf-8").splitlines()]
    assert code == 0
    assert len(again) == len(lines)
    for record in again:
        same = {key: value for key, value in record.items() if not key.startswith("time_")}
        assert same == {
            key: value for key, value in records[record["key"]].items() if not key.startswith("time_")
        }


def test_a_cross_validation_is_judged_on_images_from_elsewhere_as_well(files: Path, tmp_path: Path) -> None:
    with np.load(files / "here.npz", allow_pickle=False) as arrays:
        whole = {name: arrays[name] for name in arrays.files if name.startswith(("train", "class"))}
    np.savez_compressed(tmp_path / "whole.npz", allow_pickle=False, **whole)
    sound = load_protocol(str(files / "small.toml"))
    assert isinstance(sound, Sound)
    values = sound.model_dump()
    values["design"] |= {"folds": 3}
    values["arms"] |= {"control": []}
    (tmp_path / "folds.toml").write_text(to_toml(Sound.model_validate(values)), "utf-8")
    asked = [
        "study",
        str(tmp_path / "whole.npz"),
        "--rare",
        "cardiomegaly",
        "--protocol",
        str(tmp_path / "folds.toml"),
    ]
    asked += ["--test", str(files / "there.npz"), "--out", str(tmp_path / "run"), "--jobs", "2", "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["design"] == "cross-validation"
    assert (found["splits"], found["external"]["rare"]) == (3, 30)
    assert any(
        text.startswith("On 90 images") and "from elsewhere ('there')" in text for text in found["answer"]
    )
    rows = {row["arm"]: row for row in found["tables"]["external-arms"]}
    assert (rows["real"]["classifiers"], rows["real"]["images"]) == (6, 90)
    assert "3 splits" in result.stderr


def test_the_oracle_needs_images_that_were_held_back(files: Path, tmp_path: Path) -> None:
    code, said, _ = study(files, tmp_path / "run", "--dry-run", "--json")
    assert code == 0
    planned = json.loads(said)
    assert "oracle" not in planned["arms"]
    assert "--rare-count" in planned["left_out"]["oracle"]
    assert not (tmp_path / "run").exists()


def test_another_test_set_of_another_size_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="must be equal"):
        CliRunner().invoke(
            app,
            [
                "study",
                str(files / "here.npz"),
                "--protocol",
                str(files / "small.toml"),
                "--test",
                "phantom",
                "--dry-run",
            ],
            catch_exceptions=False,
        )


def changed(files: Path, tmp_path: Path, **training: object) -> Path:
    """The small protocol with other training settings."""
    sound = load_protocol(str(files / "small.toml"))
    assert isinstance(sound, Sound)
    values = sound.model_dump()
    values["training"] |= training
    path = tmp_path / "changed.toml"
    path.write_text(to_toml(Sound.model_validate(values)), "utf-8")
    return path


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"network": "resnet"}, "There is no network 'resnet'"),
        ({"network": "not_there_at_all:net"}, "can't be imported"),
        ({"weights": "nowhere.safetensors"}, "can't be read"),
    ],
)
def test_a_network_that_fails_is_refused_before_anything_is_trained(
    files: Path, tmp_path: Path, training: dict[str, object], message: str
) -> None:
    protocol, out = changed(files, tmp_path, **training), tmp_path / "run"
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(
            app,
            ["study", str(files / "here.npz"), "--protocol", str(protocol), "--out", str(out)],
            catch_exceptions=False,
        )
    assert not out.exists()


def test_a_network_of_ones_own_is_trained_in_the_workers(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_linear_nets.py").write_text(
        "from torch import nn\n\n"
        "def linear(channels, size, outputs):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], outputs))\n",
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    protocol, out = changed(files, tmp_path, network="my_linear_nets:linear"), tmp_path / "run"
    arguments = ["study", str(files / "here.npz"), "--protocol", str(protocol), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--jobs", "2", "--json"])
    assert result.exit_code == 0, result.output
    fits = [
        record
        for record in map(json.loads, (out / "records.jsonl").read_text("utf-8").splitlines())
        if record["kind"] == "fit"
    ]
    assert len(fits) == 3 * 2
    assert json.loads(result.stdout)["missing"] == []
