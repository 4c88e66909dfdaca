"""healthgan likeness: the figures it prints, the line an image, and which real images it uses."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from healthgan.cli_likeness import app, conclusion
from healthgan.errors import InputError
from healthgan.likeness import calibrate, judge
from healthgan.scores import wilson_interval
from healthgan.sources import load
from healthgan.sources.phantom import Counts, phantom
from healthgan.ssim import best_match

COUNTS = {"train": Counts(60, 60), "val": Counts(10, 12), "test": Counts(10, 25)}


def run(*arguments):
    """The output of a command that must succeed; user mistakes come through as InputError."""
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def write(path, collection, **changes):
    arrays = {"class_names": np.array(collection.class_names)}
    for split in collection:
        images = collection[split]
        arrays |= {f"{split}_images": images.pixels, f"{split}_labels": images.labels}
        arrays |= {f"{split}_patients": images.patients}
    arrays |= changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("likeness")


@pytest.fixture(scope="module")
def real(place):
    return write(place / "real.npz", phantom(counts=COUNTS))


@pytest.fixture(scope="module")
def sick(real):
    train = load(str(real))["train"]
    return train.take(np.flatnonzero(train.members("cardiomegaly")))


@pytest.fixture(scope="module")
def images(sick):
    """New patients, a copy and a constant image."""
    new = phantom(counts={"train": Counts(0, 30)}, seed=5)["train"].pixels
    return np.concatenate([new, sick.pixels[7:8], np.full_like(new[:1], 200)])


@pytest.fixture(scope="module")
def made(place, images):
    np.savez(place / "made.npz", images=images)
    return place / "made.npz"


def test_json_has_the_figures_of_the_functions(made, real, sick, images):
    facts = json.loads(run(made, real, "--rare", "cardiomegaly", "--heldout", real, "--json"))
    band = calibrate(sick.pixels, sick.patients)
    judged = judge(images, sick.pixels, band)
    value = judged.likeness[:-1].astype(float)
    inside = int(((value >= band.low) & (value <= band.high)).sum())
    low, high = wilson_interval(inside, 32)
    assert facts["sets"]["synthetic"] == {
        "images": 32,
        "percentiles": {str(p): round(float(np.percentile(value, p)), 6) for p in (5, 50, 95, 99)},
        "inside_band": {"count": inside, "share": inside / 32, "low": low, "high": high},
        "above_copy": facts["sets"]["synthetic"]["above_copy"],
        "verdicts": judged.counts(),
    }
    assert facts["sets"]["synthetic"]["above_copy"]["count"] == (value > band.copy).sum() >= 1
    assert facts["band"] == {
        "low": band.low,
        "high": band.high,
        "copy": band.copy,
        "images": 60,
        "patients": len(np.unique(sick.patients)),
        "patients_known": True,
    }
    assert facts["real"] == "real, train"
    assert (facts["real_images"], facts["class"], facts["synthetic"]) == (60, "cardiomegaly", "made")
    assert facts["heldout"] == "real, val and test"
    assert facts["sets"]["heldout"]["images"] == 37
    heldout = np.concatenate(
        [s.pixels[s.members("cardiomegaly")] for s in map(load(str(real)).__getitem__, ("val", "test"))]
    )
    best, _ = best_match(heldout, sick.pixels)
    assert facts["sets"]["heldout"]["percentiles"]["50"] == pytest.approx(np.median(best), abs=1e-6)


def test_the_table_says_the_same(made, real):
    arguments = (made, real, "--rare", "cardiomegaly", "--heldout", real)
    facts, text = json.loads(run(*arguments, "--json")), run(*arguments)
    assert "made against real, train, only 'cardiomegaly': 60 images" in text
    assert f"Band {facts['band']['low']:.3f} to {facts['band']['high']:.3f}" in text
    for name, found in facts["sets"].items():
        assert f"{100 * found['inside_band']['share']:.1f} %" in text, name
        for value in found["percentiles"].values():
            assert f"{value:.3f}" in text
    rows = {line.split("│")[1].strip(): line.split("│") for line in text.splitlines() if line.count("│") == 5}
    for verdict, count in facts["sets"]["synthetic"]["verdicts"].items():
        assert rows[verdict][2].strip() == str(count)
    assert text.splitlines()[-1] == f"Conclusion: {facts['conclusion']}"


def share(count, total):
    low, high = wilson_interval(count, total)
    return {"count": count, "share": count / total, "low": low, "high": high}


def told(inside, above, total, **verdicts):
    names = ("accepted", "constant", "unlike", "too alike", "copy suspect", "duplicate")
    counts = dict.fromkeys(names, 0) | {name.replace("_", " "): count for name, count in verdicts.items()}
    shares = {"inside_band": share(inside, total), "above_copy": share(above, total)}
    return {"images": total, **shares, "verdicts": counts}


def test_the_conclusion_says_how_many_are_fit_and_compares_with_real_images():
    good = told(450, 5, 500, accepted=445, too_alike=50, copy_suspect=5)
    bad = told(100, 90, 500, accepted=100, unlike=310, copy_suspect=90)
    alone = conclusion({"synthetic": good})
    assert alone.startswith("445 of 500 images are fit to train on (left out: 50 too alike, 5 copy suspect).")
    assert "of real images on average 90 %: no clear difference." in alone
    assert "of real images on average 1 %: no clear difference." in alone
    assert "Look at the copy suspects" in alone
    assert alone.endswith("'healthgan audit' looks for these.")
    beside = conclusion({"synthetic": bad, "heldout": good})
    assert "20.0 % (16.7–23.7) are as like the real images" in beside
    assert "of held-out real images 90.0 % (87.1–92.3): clearly fewer." in beside
    assert "of held-out real images 1.0 % (0.4–2.3): clearly more." in beside
    assert "Look at" not in conclusion({"synthetic": told(450, 0, 500, accepted=500)})


def test_the_csv_has_a_line_for_each_image_by_its_own_position(place, real, sick, images):
    labels = np.arange(32) % 2
    np.savez(
        place / "both.npz", images=images, labels=labels, class_names=np.array(["normal", "cardiomegaly"])
    )
    run(place / "both.npz", real, "--rare", "cardiomegaly", "--out", place / "new" / "scores.csv")
    rows = list(csv.DictReader((place / "new" / "scores.csv").read_text("utf-8").splitlines()))
    assert [int(row["image"]) for row in rows] == np.flatnonzero(labels).tolist()
    train = load(str(real))["train"]
    for row in rows[:-1]:
        nearest = train.take(np.array([int(row["nearest_training_image"])]))
        assert nearest.members("cardiomegaly").all()
        score, _ = best_match(images[[int(row["image"])]], nearest.pixels)
        assert float(row["likeness"]) == pytest.approx(float(score[0]), abs=1e-6)
    assert rows[-1] == {"image": "31", "likeness": "", "nearest_training_image": "", "verdict": "constant"}


def test_without_a_class_all_training_images_count(made, real):
    facts = json.loads(run(made, real, "--json"))
    assert (facts["real_images"], facts["class"]) == (120, None)
    assert set(facts["sets"]) == {"synthetic"}


def test_held_out_images_that_are_training_images_are_left_out_and_counted(place, real, made, sick):
    collection = load(str(real))
    test = collection["test"]
    mixed = test.pixels.copy()
    mixed[np.flatnonzero(test.members("cardiomegaly"))[:2]] = sick.pixels[:2]
    leaky = write(place / "leaky.npz", collection, test_images=mixed)
    facts = json.loads(run(made, leaky, "--rare", "cardiomegaly", "--heldout", leaky, "--json"))
    assert facts["sets"]["heldout"]["images"] == 35
    assert facts["heldout_left_out"].startswith("2 images of patients, or equal to images")
    assert "Left out of the held-out images: 2 images" in run(made, leaky, "--heldout", leaky)
    facts = json.loads(run(made, real, "--rare", "cardiomegaly", "--heldout", leaky, "--json"))
    assert facts["heldout"] == "leaky, train and val and test"
    assert facts["heldout_left_out"] == "62 images that are training images"
    assert facts["sets"]["heldout"]["images"] == 35


def test_a_class_may_be_missing_in_a_held_out_split(place, made):
    counts = COUNTS | {"val": Counts(10, 0)}
    some = write(place / "some.npz", phantom(counts=counts))
    facts = json.loads(run(made, some, "--rare", "cardiomegaly", "--heldout", some, "--json"))
    assert facts["sets"]["heldout"]["images"] == 25


def test_unknown_patients_are_said_to_be_presumed(place, made, real):
    unknown = {f"{split}_patients": None for split in COUNTS}
    text = run(made, write(place / "unknown.npz", load(str(real)), **unknown))
    assert "presumed: the source does not tell" in text


def test_user_mistakes_are_input_errors(place, made, real):
    with pytest.raises(InputError, match="There is no class 'lung'"):
        run(made, real, "--rare", "lung")
    np.savez(place / "rgb.npz", images=np.zeros((2, 28, 28, 3), np.uint8))
    with pytest.raises(InputError, match=r"'rgb' are \(28, 28, 3\).*'real, train' \(28, 28, 1\)"):
        run(place / "rgb.npz", real)
    only = write(place / "only.npz", phantom(counts={"train": COUNTS["train"]}))
    with pytest.raises(InputError, match="'only' is not split, so it has no held-out images"):
        run(made, only, "--heldout", only)
    copy = write(place / "copy.npz", phantom(counts={"train": COUNTS["train"]}))
    with pytest.raises(InputError, match="Every image of 'copy, train' is a training image"):
        run(made, real, "--heldout", copy)
    large = write(place / "large.npz", phantom(counts={"train": Counts(5, 5)}, size=32))
    with pytest.raises(InputError, match=r"'large, train' are \(32, 32, 1\)"):
        run(made, real, "--heldout", large)
    small = write(place / "small.npz", phantom(counts={"train": Counts(5, 5)}))
    with pytest.raises(InputError, match="too few for a likeness band"):
        run(made, small)
    labels = np.zeros(2, int)
    np.savez(place / "named.npz", images=np.zeros((2, 28, 28), np.uint8), labels=labels)
    with pytest.raises(InputError, match="'named' has no class 'cardiomegaly'; its classes are: 0"):
        run(place / "named.npz", real, "--rare", "cardiomegaly")
    no_sick = write(place / "healthy.npz", phantom(counts={"train": Counts(5, 0)}))
    with pytest.raises(InputError, match="no image of 'cardiomegaly' in healthy, train"):
        run(made, no_sick, "--rare", "cardiomegaly")


def test_importing_the_command_is_light():
    code = "import sys, healthgan.cli_likeness; print([m for m in ('torch', 'numpy', 'numba') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
