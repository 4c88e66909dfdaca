"""``healthgan train`` and ``sample``, from a source to images with a card."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from healthgan import cli_generator, generate, progress
from healthgan.cli import app
from healthgan.errors import InputError
from healthgan.executors import Step
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.sources.synthetic import load_synthetic
from healthgan.stopping import Stopped

RUN = CliRunner()


@pytest.fixture(scope="module")
def trained(blobs, tmp_path_factory):
    """The file of a generator, and what the command printed."""
    file = tmp_path_factory.mktemp("generator") / "blobs.safetensors"
    arguments = ["train", str(blobs), "--preset", "edm-quick", "--no-measure", "--json", "--out", str(file)]
    with pytest.MonkeyPatch.context() as patched:
        settings = Settings(steps=200, batch=32, width=16, checks=4)
        patched.setitem(presets.DIFFUSION, "edm-quick", settings)
        result = RUN.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return file, json.loads(result.stdout)


def test_the_file_says_what_it_was_trained_on(trained, blobs) -> None:
    file, facts = trained
    assert facts["class_names"] == ["rest", "wide"]
    assert facts["trained_on"]["images"] == {"wide": 24, "rest": 60}
    assert facts["trained_on"]["patients"] == 42
    assert facts["generator"]["preset"] == "edm-quick"
    assert facts["generator"]["checkpoint"] in {check["step"] for check in facts["generator"]["checks"]}
    assert facts["file"] == str(file)
    assert list(file.parent.iterdir()) == [file], "a checkpoint was left behind"


def test_images_of_each_class_are_like_their_class(trained, blobs, tmp_path) -> None:
    file, _ = trained
    means = {}
    for name in ("wide", "rest"):
        out = tmp_path / f"{name}.npz"
        arguments = ["sample", str(file), "--count", "40", "--class", name, "--out", str(out)]
        assert RUN.invoke(app, arguments).exit_code == 0
        made = load_synthetic(str(out))
        assert len(made) == 40
        assert {made.class_names[label] for label in made.labels} == {name}
        assert made.card["generator"]["sampling_seed"] == 0
        assert made.card["trained_on"]["images"] == {"wide": 24, "rest": 60}
        means[name] = made.pixels.mean()
    with np.load(blobs) as source:
        real = [source["train_images"][source["train_labels"].ravel() == label].mean() for label in (1, 0)]
    assert real[0] > real[1]
    assert means["wide"] > np.mean(real) > means["rest"]


def test_a_folder_and_an_npz_hold_the_same_images_and_seeds_differ(trained, tmp_path) -> None:
    file, _ = trained
    sets = {}
    for name, seed in (("one.npz", 3), ("two", 3), ("three.npz", 4)):
        path = tmp_path / name
        arguments = ["sample", str(file), "--count", "12", "--seed", str(seed), "--out", str(path)]
        result = RUN.invoke(app, arguments)
        assert result.exit_code == 0
        assert "12 images of 'wide'" in result.stdout
        sets[name] = load_synthetic(str(path)).pixels
    assert np.array_equal(sets["one.npz"], sets["two"])
    assert not np.array_equal(sets["one.npz"], sets["three.npz"])


def test_a_stopped_training_goes_on_only_for_the_same_request(blobs, tmp_path) -> None:
    out = tmp_path / "g.safetensors"
    one = generate._checkpoint(out, {"md5": "a"}, generate.TrainRequest(str(blobs)))
    same = generate._checkpoint(out, {"md5": "a"}, generate.TrainRequest(str(blobs)))
    others = [
        generate._checkpoint(out, {"md5": "b"}, generate.TrainRequest(str(blobs))),
        generate._checkpoint(out, {"md5": "a"}, generate.TrainRequest(str(blobs), seed=1)),
    ]
    assert one == same
    assert one not in others


def test_a_folder_whose_pictures_changed_is_another_training(blobs) -> None:
    task, _ = generate.training_task(generate.TrainRequest(str(blobs)))
    before = generate._digest(task)
    assert generate._digest(generate.training_task(generate.TrainRequest(str(blobs)))[0]) == before
    rare = task.rares["train"]
    changed = replace(rare, pixels=rare.pixels.copy())
    changed.pixels[0, 0, 0, 0] ^= 1
    assert generate._digest(replace(task, rares={**task.rares, "train": changed})) != before


def test_a_stop_while_measuring_keeps_the_training(blobs, tmp_path, monkeypatch) -> None:
    """The second call must not train; both give the weights that a call without a stop gives."""
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=8, width=16, checks=2))
    request = generate.TrainRequest(str(blobs), preset="edm-quick")
    steps: list[Step] = []

    def stop(step: Step) -> None:
        if step.key.startswith("measuring"):
            signal.raise_signal(signal.SIGINT)

    whole, out = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    generate.train_generator(request, whole, measure=False, report=stop)
    with pytest.raises(Stopped, match=r"trained generator is kept in '.*unmeasured.*and measures it"):
        generate.train_generator(request, out, report=stop)
    assert not out.exists()
    facts = generate.train_generator(request, out, measure=False, report=steps.append)
    assert steps == []
    assert facts["generator"]["checkpoint"] in (4, 8)
    one, two = load_file(whole), load_file(out)
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
    assert sorted(tmp_path.iterdir()) == [out, whole], "the unmeasured generator was left behind"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_training_keeps_it_and_the_same_command_goes_on(
    number, blobs, tmp_path, monkeypatch
) -> None:
    """It ends long before a checkpoint is due, with 130 and a message; in the end the file is the same byte for byte."""
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=12, batch=16, width=16, checks=3))
    (tmp_path / "whole").mkdir()

    def train(folder):
        out = tmp_path / folder / "g.safetensors"
        arguments = ["train", str(blobs), "--preset", "edm-quick", "--no-measure", "--out", str(out)]
        return RUN.invoke(app, arguments), out

    whole, file = train("whole")
    assert whole.exit_code == 0
    show = progress.stages

    @contextmanager
    def stopping_stages() -> Iterator[progress.Tell]:
        with show() as tell:

            def stop(what: str, done: int, total: int) -> None:
                tell(what, done, total)
                if done == 4:
                    signal.raise_signal(number)

            yield stop

    with monkeypatch.context() as patched:
        patched.setattr(progress, "stages", stopping_stages)
        stopped, out = train("stopped")
    assert stopped.exit_code == 130
    assert stopped.stdout == ""
    (kept,) = out.parent.iterdir()
    assert "checkpoint" in kept.name
    assert load_file(kept)["step"][0] == 5, "it was asked for when the check of step 4 was shown"
    assert stopped.stderr.splitlines() == [
        "Stopping after this step; once more ends at once, without a checkpoint.",
        f"Stopped. The training so far is kept in '{kept}'. The same command goes on from there.",
    ]
    again, out = train("stopped")
    assert again.exit_code == 0
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == file.read_bytes()


KILLED = """
import itertools, os, pathlib, signal, sys

from healthgan import cli
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings

presets.DIFFUSION["edm-quick"] = Settings(steps=8, batch=16, width=16, checks=2)
put, moves, at = pathlib.Path.replace, itertools.count(1), int(sys.argv.pop(1))


def replace(self, target):
    if next(moves) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, target)


pathlib.Path.replace = replace
cli.main()
"""
"""A command that is killed when it puts a file in its place for that time; each of tensors moves twice."""


@pytest.mark.slow
@pytest.mark.parametrize("move", [1, 4], ids=["the trained generator", "the finished file"])
def test_what_a_kill_left_half_written_is_gone_when_the_same_command_goes_on(
    move, blobs, tmp_path, monkeypatch
) -> None:
    out = tmp_path / "out" / "g.safetensors"
    arguments = ["train", str(blobs), "--preset", "edm-quick", "--no-measure", "--out", str(out)]
    ended = subprocess.run([sys.executable, "-c", KILLED, str(move), *arguments], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert any(path.name.endswith(".part") for path in out.parent.iterdir())
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=8, batch=16, width=16, checks=2))
    assert RUN.invoke(app, arguments).exit_code == 0
    assert list(out.parent.iterdir()) == [out]


def test_a_stop_before_training_keeps_nothing_and_says_so(blobs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(generate, "keep_freed_memory", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Stopped, match="nothing is kept"):
        generate.train_generator(
            generate.TrainRequest(str(blobs)), tmp_path / "g.safetensors", report=lambda _: None
        )
    assert not list(tmp_path.iterdir())


def test_divergence_is_one_message(blobs, tmp_path, monkeypatch) -> None:
    settings = Settings(steps=8, width=16, checks=1, learning_rate=1e30)
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", settings)
    with pytest.raises(InputError, match=r"diverged at step .* another --seed"):
        generate.train_generator(
            generate.TrainRequest(str(blobs), preset="edm-quick"),
            tmp_path / "g.safetensors",
            measure=False,
            report=lambda _: None,
        )


def test_training_does_not_depend_on_test_images(blobs, tmp_path, monkeypatch) -> None:
    """Other test and validation images and labels give the same weights, byte for byte."""
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=40, width=16, checks=4))
    with np.load(blobs) as source:
        arrays = dict(source)
    rng = np.random.default_rng(5)
    for split in ("val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, arrays[f"{split}_images"].shape, np.uint8)
        arrays[f"{split}_labels"] = rng.permutation(arrays[f"{split}_labels"])
    np.savez(tmp_path / "other.npz", **arrays)
    weights = []
    for source in (blobs, tmp_path / "other.npz"):
        out = tmp_path / f"{source.stem}.safetensors"
        request = generate.TrainRequest(str(source), preset="edm-quick")
        generate.train_generator(request, out, measure=False, report=lambda _: None)
        weights.append(load_file(out))
    before, after = weights
    assert before.keys() == after.keys()
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


@pytest.mark.slow
def test_measured_on_validation_images(blobs, tmp_path, monkeypatch, capsys) -> None:
    """Of a source that does not tell its patients: the card gives no number of images as one of patients."""
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=20, width=16, checks=2))
    with np.load(blobs) as source:
        np.savez(tmp_path / "blobs.npz", **{k: v for k, v in source.items() if "patients" not in k})
    steps: list[Step] = []
    facts = generate.train_generator(
        generate.TrainRequest(str(tmp_path / "blobs.npz"), preset="edm-quick"),
        tmp_path / "g.safetensors",
        classifier_steps=10,
        report=steps.append,
    )
    assert facts["fidelity"]["classes"]["rare"]["heldout_images"] == 8
    assert facts["fidelity"]["classes"]["reference"]["heldout_images"] == 16
    assert facts["fidelity"]["steps"] == 10
    assert {row["measure"] for row in facts["privacy"]["audit"]} >= {"copy suspects", "authenticity"}
    measuring = [step for step in steps if step.key.startswith("measuring: ")]
    assert [step.done for step in measuring] == list(range(measuring[0].total)), "each part counts once"
    assert measuring[-1].key == "measuring: privacy audit"
    cli_generator._print_facts(facts, tmp_path / "g.safetensors")
    printed = capsys.readouterr().out
    result = RUN.invoke(
        app, ["sample", str(tmp_path / "g.safetensors"), "--count", "5", "--out", str(tmp_path / "made")]
    )
    assert result.exit_code == 0
    card = (tmp_path / "made" / "README.md").read_text("utf-8")
    assert "Not audited" not in card
    assert (
        "**How good.** They can be told from real ones: " in card or "It is not shown that they can" in card
    )
    assert "| copy suspects |" in card
    assert facts["privacy"]["conclusion"].split(":")[0] in card
    assert "Whose images they are is not known" in card
    assert len(card.splitlines()) < 80
    told = [line for line in printed.splitlines() if line.startswith("Images of '")]
    assert [line.split("'")[1] for line in told] == ["wide", "rest"]
    assert f"Privacy: {facts['privacy']['conclusion']}" in printed
    for row in facts["privacy"]["audit"]:
        assert all(row.values()), "a cell without a word"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{blobs}", "--out", "{tmp}/g.npz"], "ends in .safetensors"),
        (["train", "{blobs}", "--out", "{file}"], "is there already"),
        (
            ["train", "{blobs}", "--preset", "stylegan", "--out", "{tmp}/g.safetensors"],
            "no preset 'stylegan'",
        ),
        (["train", "{blobs}", "--rare", "round", "--out", "{tmp}/g.safetensors"], "round"),
        (["sample", "{tmp}/none.safetensors", "--count", "3", "--out", "{tmp}/a"], "There is no file"),
        (
            ["sample", "{blobs}", "--count", "3", "--out", "{tmp}/a"],
            "is no generator, but a file of another kind",
        ),
        (["sample", "{file}", "--count", "3", "--out", "{tmp}/q.jpg"], "looks like a .jpg file"),
        (["sample", "{file}", "--count", "3", "--class", "x", "--out", "{tmp}/a"], "knows no class 'x'"),
        (["sample", "{file}", "--count", "3", "--out", "{file}"], "is a file"),
    ],
)
def test_bad_input_is_one_message(arguments, message, main, blobs, trained, tmp_path) -> None:
    places = {"blobs": str(blobs), "tmp": str(tmp_path), "file": str(trained[0])}
    result = main(*(part.format(**places) for part in arguments))
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()), "something was written"
