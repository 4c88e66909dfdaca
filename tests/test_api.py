"""``import healthgan``: the functions of the Python interface."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import healthgan
from healthgan.errors import InputError
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.generators.interface import ImageGenerator
from healthgan.images import Collection
from healthgan.protocol import to_toml
from healthgan.run import RunFolder, without_times
from healthgan.studies import plan
from tiny import tiny_protocol

NAMES = {"GANSampler", "Study", "best_match", "compare", "fit_generator", "load", "study"}


def test_the_names_that_there_are() -> None:
    assert set(healthgan.__all__) - {"__version__"} == NAMES
    assert set(dir(healthgan)) >= NAMES
    assert all(callable(getattr(healthgan, name)) for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'studies_'"):
        healthgan.studies_  # noqa: B018 # asking for it is what fails


def test_no_module_has_the_name_of_a_function() -> None:
    """It would take the function's place in the package as soon as it is imported."""
    modules = {path.stem for path in Path(healthgan.__file__).parent.iterdir()}
    assert not modules & NAMES


@pytest.fixture(scope="module")
def arrays(blobs) -> dict[str, np.ndarray]:
    """The small source, all splits one below the other."""
    with np.load(blobs) as file:
        parts = {
            name: np.concatenate([file[f"{split}_{name}"] for split in ("train", "val", "test")])
            for name in ("images", "labels", "patients")
        }
        counts = [len(file[f"{split}_images"]) for split in ("train", "val", "test")]
    parts["labels"] = parts["labels"][:, 0]
    return parts | {"split": np.repeat(["train", "val", "test"], counts)}


def load(arrays: dict[str, np.ndarray], **changes: object) -> Collection:
    found = arrays | changes
    return healthgan.load(
        found["images"],
        found["labels"],
        patients=found["patients"],
        split=found["split"],
        class_names=found.get("class_names"),
    )


def test_arrays_are_a_source_as_the_file_they_stand_in(arrays, blobs) -> None:
    read, given = healthgan.load(blobs), load(arrays, class_names=("narrow", "wide"))
    assert given.class_names == read.class_names
    for split in ("train", "val", "test"):
        ours, theirs = given[split], read[split]
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert np.array_equal(ours.labels, theirs.labels)
        same = ours.patients[:, None] == ours.patients[None]
        assert np.array_equal(same, theirs.patients[:, None] == theirs.patients[None])
    shared = np.intersect1d(given["train"].patients, given["test"].patients)
    assert len(shared) == 0


def test_labels_may_be_names_and_patients_texts(arrays) -> None:
    words = np.where(arrays["labels"] == 1, "wide", "narrow")
    people = np.array([f"id-{code}" for code in arrays["patients"]])
    found = load(arrays, labels=words, patients=people)
    assert found.class_names == ("narrow", "wide")
    assert np.array_equal(found["test"].labels, load(arrays)["test"].labels)
    assert found["train"].patients.dtype == np.int64


def test_an_image_may_have_several_labels(arrays) -> None:
    several = np.stack([arrays["labels"], 1 - arrays["labels"] % 2], axis=1)
    assert load(arrays, labels=several, class_names=("a", "b")).multi_label


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": np.zeros(3, int)}, r"Labels are int64 \(3,\); 148 class numbers"),
        ({"labels": np.zeros(148)}, "Labels are float64"),
        ({"labels": np.full((148, 2), 3)}, "other values than 0 and 1"),
        ({"labels": np.array(["x"] * 148), "class_names": ("a", "b")}, "'x' is none of the class names"),
        ({"patients": np.zeros(148)}, "patients are float64"),
        ({"patients": np.array([None] * 148)}, "patients are object"),
        ({"split": np.array(["tests"] * 148)}, "'tests'"),
        ({"split": np.array(["train"])}, r"split is \(1,\)"),
        ({"split": np.array(["test"] * 148)}, "no training images"),
        ({"images": np.zeros((148, 8, 8), np.uint8)}, "8×8 pixels"),
        ({"images": np.zeros((148, 16, 16))}, "float64"),
    ],
)
def test_arrays_that_cannot_be_used(arrays, changes, says) -> None:
    with pytest.raises(InputError, match=says):
        load(arrays, **changes)


def test_what_goes_with_what(blobs, arrays) -> None:
    with pytest.raises(InputError, match="labels and patients go with arrays"):
        healthgan.load(blobs, arrays["labels"], patients=arrays["patients"])
    with pytest.raises(InputError, match="need labels"):
        healthgan.load(arrays["images"])
    with pytest.raises(InputError, match="resample arrays"):
        healthgan.load(arrays["images"], arrays["labels"], size=32)
    with pytest.raises(InputError, match="give it to load"):
        healthgan.study(load(arrays), size=32)


SCRIPT = """
import sys
import numpy as np
import healthgan

source, protocol, out = sys.argv[1:]
file = np.load(source)
splits = ("train", "val", "test")
whole = {name: np.concatenate([file[f"{split}_{name}"] for split in splits]) for name in ("images", "labels", "patients")}
images = healthgan.load(
    whole["images"], whole["labels"][:, 0], patients=whole["patients"], class_names=("narrow", "wide"),
    split=np.repeat(splits, [len(file[f"{split}_images"]) for split in splits]),
)
study = healthgan.study(images, protocol=protocol, out=out, jobs=2, progress=False, track=True)
print("the script ran:", study.verdict)
"""


@pytest.mark.slow
def test_a_study_of_arrays_from_a_plain_script(blobs, tmp_path, main) -> None:
    """Its workers do not run the script again, and its records are those of the same study from the file."""
    protocol, script = tmp_path / "tiny.toml", tmp_path / "script.py"
    protocol.write_text(to_toml(tiny_protocol()))
    script.write_text(SCRIPT)
    out, again = tmp_path / "run", tmp_path / "again"
    command = [sys.executable, script, blobs, protocol, out]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("the script ran:") == 1
    told = main("study", blobs, "--protocol", protocol, "--out", again, "--jobs", 2)
    assert told.returncode == 0, told.stderr

    def records(folder: Path) -> list[dict]:
        return [found for found in without_times(RunFolder(folder).records()) if found["key"] != "task"]

    assert records(out) == records(again)
    assert len(records(out)) == len(plan(tiny_protocol()))
    study = healthgan.Study(out)
    assert study.verdict in ended.stdout
    assert len(study.arms)
    assert len(study.predictions)
    assert study.report().path == out / "report.html"
    assert {entry.name for entry in (out / "track").iterdir()} == {"generator-0", "generator-1"}
    before = (out / "records.jsonl").read_bytes()
    repeated = healthgan.study(healthgan.load(blobs), protocol=protocol, out=again, jobs=1, progress=True)
    assert repeated.verdict == study.verdict
    assert (out / "records.jsonl").read_bytes() == before
    assert json.loads((again / "manifest.json").read_text())["starts"][1]["workers"] == 1
    with pytest.raises(InputError, match="other settings"):
        healthgan.study(blobs, protocol=protocol, out=again, seed=1, progress=False)


@pytest.fixture
def quickly(monkeypatch) -> None:
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", Settings(steps=20, batch=8, width=16, checks=2))


def test_fit_generator(quickly, arrays) -> None:
    train = arrays["split"] == "train"
    images, labels, patients = (arrays[name][train] for name in ("images", "labels", "patients"))
    options = {"preset": "edm-quick", "seed": 3, "device": "cpu"}
    generator = healthgan.fit_generator(images, labels, patients, progress=True, **options)
    assert isinstance(generator, ImageGenerator)
    made = generator.sample(5, 1, seed=2)
    assert made.shape == (5, 16, 16, 1)
    assert made.dtype == np.uint8
    assert np.array_equal(made[:2], generator.sample(2, 1, seed=2))
    assert not np.array_equal(made, generator.sample(5, 1, seed=3))
    same = healthgan.fit_generator(
        images[..., None], labels.astype(np.uint8), patients, progress=False, **options
    )
    assert np.array_equal(same.sample(5, 1, seed=2), made)


def test_a_generator_that_cannot_be_fitted(quickly, arrays) -> None:
    images, labels = arrays["images"], arrays["labels"]
    with pytest.raises(InputError, match="no preset 'edn'"):
        healthgan.fit_generator(images, labels, preset="edn", progress=False)
    with pytest.raises(InputError, match="class numbers from 0"):
        healthgan.fit_generator(images, labels.astype(str), preset="edm-quick", progress=False)
    with pytest.raises(InputError, match="Every class number"):
        healthgan.fit_generator(images, labels * 2, preset="edm-quick", progress=False)
