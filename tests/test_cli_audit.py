"""healthgan audit: which images it uses, what it prints, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from healthgan.cli_audit import app
from healthgan.errors import InputError
from healthgan.privacy.audit import audit
from healthgan.privacy.summary import conclusion
from healthgan.sources import load
from healthgan.sources.phantom import Counts, phantom

COUNTS = {"train": Counts(60, 60), "val": Counts(15, 15), "test": Counts(30, 30)}


def run(*arguments):
    """The output of a command that must succeed; user mistakes come through as InputError."""
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def write(path, collection, patients=True, **changes):
    path.parent.mkdir(exist_ok=True)
    arrays = {"class_names": np.array(collection.class_names)}
    for split in collection:
        images = collection[split]
        arrays |= {f"{split}_images": images.pixels, f"{split}_labels": images.labels}
        arrays |= {f"{split}_patients": images.patients} if patients else {}
    np.savez(path, **(arrays | changes))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def real(place):
    return write(place / "real.npz", phantom(counts=COUNTS))


@pytest.fixture(scope="module")
def made(place, real):
    """Ten normals, then a copy of training image 3 of the rare class among ten rare ones."""
    new = phantom(counts={"train": Counts(10, 9)}, seed=5)["train"]
    normal, sick = (new.pixels[new.labels == label] for label in (0, 1))
    train = load(str(real))["train"]
    copy = train.pixels[np.flatnonzero(train.members("cardiomegaly"))[3]]
    path = place / "made.npz"
    np.savez(
        path,
        images=np.concatenate([normal, sick, copy[np.newaxis]]),
        labels=np.repeat([0, 1], (10, 10)),
        class_names=np.array(["normal", "cardiomegaly"]),
    )
    return path


def test_json_is_the_audit_of_the_images_it_names(real, made):
    facts = json.loads(run(made, "--train", real, "--heldout", real, "--rare", "cardiomegaly", "--json"))
    assert facts["training_images"] == "real, train, cardiomegaly"
    assert facts["heldout_images"] == "real, val and test, cardiomegaly"
    assert facts["also_calibrates"] == "real, val and test, not cardiomegaly"
    assert facts["heldout_left_out"] == {"patient": 0, "duplicate": 0}
    collection = load(str(real))
    train = collection["train"]
    unseen = [collection[split] for split in ("val", "test")]
    with np.load(made) as file:
        images = file["images"][10:]
    held = {
        label: [
            np.concatenate([getattr(s, name)[s.labels == label] for s in unseen])
            for name in ("pixels", "patients")
        ]
        for label in (0, 1)
    }
    rare = train.labels == 1
    expected = audit(
        images,
        train.pixels[rare],
        train.patients[rare],
        *held[1],
        0,
        others=held[0][0],
        other_patients=held[0][1],
    )
    same = json.loads(json.dumps(expected.as_dict()))
    assert {key: facts[key] for key in same if key != "pairs"} == {
        k: v for k, v in same.items() if k != "pairs"
    }
    assert facts["notes"] == list(expected.notes())
    assert facts["conclusion"] == conclusion(expected)
    assert facts["pairs"][0] == {
        "image": 19,
        "training_image": int(np.flatnonzero(rare)[3]),
        "strength": pytest.approx(same["pairs"][0]["strength"]),
        "copy": True,
    }


def test_table_and_gallery_for_people(real, made, tmp_path):
    text = run(made, "--train", real, "--heldout", real, "--gallery", tmp_path / "pairs.png")
    assert "Synthetic: made: 20 images" in text
    assert "Training: real, train: 120 images" in text
    assert "Held out: real, val and test: 90 images" in text
    for measure in ("copy suspects", "authenticity", "C_T", "membership AUROC", "not computable"):
        assert measure in text
    assert "Copy suspects, synthetic of training image: 19 of " in text
    assert "1 % false alarms can't be certified below 1,000" in text
    assert max(map(len, text.split("Copy suspects,")[0].splitlines())) <= 110
    last = text.splitlines()[-1]
    assert last.startswith(
        "Conclusion: No sign of memory, but single images that look like copies: 1 of 20 images"
    )
    assert "This can't rule out: " in last
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.format == "PNG"


def test_duplicates_and_patients_of_training_are_left_out_and_counted(place, made):
    collection = phantom(counts=COUNTS)
    pixels = collection["test"].pixels.copy()
    pixels[:4] = collection["train"].pixels[:4]
    patients = collection["val"].patients.copy()
    patients[0] = collection["train"].patients[0]
    shared = int((collection["val"].patients == patients[0]).sum()) + 1
    path = write(place / "overlap.npz", collection, test_images=pixels, val_patients=patients)
    facts = json.loads(run(made, "--train", path, "--heldout", path, "--json"))
    assert facts["heldout_left_out"] == {"patient": shared, "duplicate": 4}
    assert facts["heldout"] == 90 - 4 - shared


def test_another_source_is_held_out_as_a_whole(real, made, place):
    """Its patients have numbers of their own, which don't mean those of the training source."""
    other = write(
        place / "other.npz", phantom(counts={"train": Counts(20, 25), "test": Counts(5, 5)}, seed=8)
    )
    facts = json.loads(run(made, "--train", real, "--heldout", other, "--json"))
    assert facts["heldout_images"] == "other, train and test"
    assert facts["heldout"] == 55
    again = write(place / "again.npz", phantom(counts=COUNTS), patients=False)
    facts = json.loads(run(made, "--train", real, "--heldout", again, "--json"))
    assert facts["heldout_left_out"] == {"patient": 0, "duplicate": 120}
    assert facts["heldout"] == 90
    assert facts["heldout_patients"] is None


def test_a_copy_of_the_file_is_the_same_source(real, made, place):
    twin = place / "twin.npz"
    twin.write_bytes(real.read_bytes())
    facts = json.loads(run(made, "--train", real, "--heldout", twin, "--json"))
    assert facts["heldout"] == 90
    assert facts["heldout_left_out"] == {"patient": 0, "duplicate": 0}


def test_a_class_may_be_missing_in_a_split_but_not_in_all(made, place):
    """Held-out images of the class stand in test only; of training images one is needed."""
    counts = {"train": Counts(30, 30), "val": Counts(10, 0), "test": Counts(10, 12)}
    some = write(place / "some.npz", phantom(counts=counts))
    facts = json.loads(run(made, "--train", some, "--heldout", some, "--rare", "cardiomegaly", "--json"))
    assert (facts["heldout"], facts["heldout_images"]) == (12, "some, val and test, cardiomegaly")
    none = write(place / "none.npz", phantom(counts=counts | {"test": Counts(10, 0)}))
    with pytest.raises(InputError, match="no image of 'cardiomegaly' in none, val or test"):
        run(made, "--train", none, "--heldout", none, "--rare", "cardiomegaly")


def test_user_mistakes_are_input_errors(real, made, place, tmp_path):
    alone = write(place / "alone.npz", phantom(counts={"train": Counts(20, 20)}))
    for arguments, message in (
        (("--train", alone, "--heldout", alone), "is not split, so it has no held-out images"),
        (("--train", real, "--heldout", real, "--rare", "flu"), "has no class 'flu'"),
        (("--train", real, "--heldout", real, "--gallery", tmp_path / "a.jpg"), "ends in .png"),
        (("--train", real, "--heldout", real, "--size", "32"), r"must be equal. Resample with --size"),
        (("--train", real, "--heldout", "no/such.npz"), "There is no file"),
    ):
        with pytest.raises(InputError, match=message):
            run(made, *arguments)
    with pytest.raises(InputError, match="Every image of 'alone' is a training image"):
        run(
            made,
            "--train",
            alone,
            "--heldout",
            write(place / "alone2" / "alone.npz", phantom(counts={"train": Counts(20, 20)}), patients=False),
        )


def test_importing_the_command_is_light():
    code = "import sys, healthgan.cli_audit; print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "[]\n"
