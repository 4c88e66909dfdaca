"""What is exported is read back equal, whole or not at all, whatever the names; the card is plain to people and programs."""

import csv
import json
import zipfile

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from healthgan import exports
from healthgan.errors import InputError
from healthgan.exports import card_text, export, make_card
from healthgan.sources import load
from healthgan.sources.synthetic import SyntheticSet, load_synthetic

HOSTILE = (
    "../../etc/x",
    "=1+1",
    'a,"b"\n',
    "--- {yaml: [",
    "<script>`*_|",
    " lead",
    "a\r",
    "\u202elro",
    "Ödem 心",
)


def synthetic(names=("fine", "ill"), count=5, channels=1, seed=0, **facts):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 16, 18, channels), np.uint8)
    labels = rng.integers(0, len(names), count) if names else None
    told = {"trained_on": {"source": "x"}, "generator": {"preset": "y", "seed": 3}} | facts
    card = make_card(pixels, labels, names, name="made", **told)
    return SyntheticSet(pixels, labels, tuple(names), "made", card)


def assert_equal(found, made):
    np.testing.assert_array_equal(found.pixels, made.pixels)
    np.testing.assert_array_equal(found.labels, made.labels)
    assert (found.class_names, found.name, found.card) == (made.class_names, made.name, made.card)


@pytest.mark.parametrize("target", ["made.npz", "made"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("names", [("b", "a", "never used"), HOSTILE, ()], ids=["plain", "hostile", "none"])
def test_what_is_exported_is_read_back_equal(tmp_path, target, channels, names):
    made = synthetic(names, 12, channels)
    export(made, tmp_path / target)
    assert_equal(load_synthetic(tmp_path / target), made)
    assert {path.name for path in tmp_path.iterdir()} <= {"made.npz", "made.card.md", "made"}


@pytest.mark.parametrize("target", ["made.npz", "made"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_any_class_name_survives_or_is_refused(tmp_path_factory, target, data):
    text = st.text(st.characters(codec=None), min_size=1, max_size=6).filter(str.strip)
    names = tuple(data.draw(st.lists(text, min_size=1, max_size=4, unique=True)))
    path = tmp_path_factory.mktemp("any") / target
    broken = [name for name in names if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name)]
    try:
        made = synthetic(names)
        export(made, path)
    except InputError:
        assert broken
        assert not path.exists()
        return
    assert not broken
    assert_equal(load_synthetic(path), made)
    assert yaml.safe_load(card_text(made.card).split("---\n")[1])["pretty_name"] == "made"


def test_colour_pictures_without_colour_stay_colour(tmp_path):
    grey = synthetic()
    pixels = np.repeat(grey.pixels, 3, axis=3)
    card = make_card(pixels, grey.labels, grey.class_names, name="made", trained_on={}, generator={})
    made = SyntheticSet(pixels, grey.labels, grey.class_names, "made", card)
    export(made, tmp_path / "made")
    assert_equal(load_synthetic(tmp_path / "made"), made)


def test_the_npz_is_medmnists_layout_and_any_reader_of_it_reads_it(tmp_path):
    made = synthetic()
    export(made, tmp_path / "made.npz")
    with np.load(tmp_path / "made.npz", allow_pickle=False) as file:
        assert {key: (file[key].shape, str(file[key].dtype)) for key in ("train_images", "train_labels")} == {
            "train_images": ((5, 16, 18), "uint8"),
            "train_labels": ((5, 1), "uint8"),
        }
        assert json.loads(str(file["card"])) == made.card
    found = load(str(tmp_path / "made.npz"))
    np.testing.assert_array_equal(found["train"].pixels, made.pixels)
    assert found.class_names == ("fine", "ill")
    assert (tmp_path / "made.card.md").read_text("utf-8") == card_text(made.card)


def test_the_folder_is_hugging_faces_layout(tmp_path):
    made = synthetic(HOSTILE, 12)
    export(made, tmp_path / "made", verdicts=["accepted"] * 11 + ["copy suspect"])
    with (tmp_path / "made" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [HOSTILE[label] for label in made.labels]
    assert rows[-1]["verdict"] == "copy suspect"
    assert [row["file_name"] for row in rows] == [f"{number:05d}.png" for number in range(12)]
    for row, image in zip(rows, made.pixels, strict=True):
        with Image.open(tmp_path / "made" / row["file_name"]) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])
    others = {"metadata.csv", "card.json", "README.md"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == others | {r["file_name"] for r in rows}
    assert json.loads((tmp_path / "made" / "card.json").read_text("utf-8")) == made.card
    assert (tmp_path / "made" / "README.md").read_text("utf-8") == card_text(made.card)


def test_the_same_set_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        export(synthetic(), tmp_path / name / "made.npz")
        export(synthetic(), tmp_path / name / "made")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 2 + 5 + 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


FACTS = {
    "trained_on": {
        "source": "chestmnist",
        "split": "train",
        "md5": "02c8",
        "counts": {"cardiomegaly": 208, "normal": 4569},
        "patients": 2049,
    },
    "generator": {"preset": "modern", "seed": 7, "settings": {"steps": 4000, "ema": 0.999, "mirror": False}},
    "selection": {"rule": "band", "verdicts": {"accepted": 5, "unlike": 1}},
    "fidelity": {"kid": {"value": 0.00123456, "interval": [0.001, 0.0015], "n": 208}},
}


def test_the_card_says_what_it_must(tmp_path):
    made = synthetic(**FACTS)
    text = card_text(made.card)
    for said in (
        "Synthetic images: no camera took them.",
        "5 of 16×18 pixels, grey",
        "- `source`: `chestmnist`",
        "- `patients`: 2049",
        "  - `cardiomegaly`: 208",
        "  - `mirror`: no",
        "- `seed`: 7",
        "  - `value`: 0.001235",
        "    - 0.0015",
        "**Not audited.**",
        "## Intended use",
        "keep them out of validation and test sets",
        "## Limits",
        "- They are not for diagnosis",
    ):
        assert said in text, said
    assert "Not audited" not in card_text(synthetic(privacy={"share": 0.5}).card)
    unknown = card_text(synthetic(trained_on={"images": {"ill": 20}, "patients": None, "md5": None}).card)
    assert "- `patients`: `not known: every image counts as one of its own`\n- `md5`: –" in unknown
    assert "The images have no labels." in card_text(synthetic(()).card)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front == {
        "pretty_name": "made",
        "annotations_creators": ["machine-generated"],
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "medical", "healthgan"],
        "size_categories": ["n<1K"],
    }


@settings(deadline=None)
@given(st.text(min_size=1))
def test_no_text_in_the_card_becomes_markup(text):
    made = synthetic(
        (), trained_on={"source": text}, generator={text: [text]}, intended_use=text, limits=[text]
    )
    made.card["name"] = text
    _, front, body = card_text(made.card).split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == text
    tokens = MarkdownIt("commonmark").parse(body)
    inner = [child.type for token in tokens for child in token.children or []]
    assert set(inner) <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == 9
    assert not {"html_block", "fence", "code_block", "blockquote_open", "hr", "ordered_list_open"} & set(
        kinds
    )


def test_nothing_is_overwritten(tmp_path):
    made = synthetic()
    (tmp_path / "made.npz").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"made\.npz' is there already"):
        export(made, tmp_path / "made.npz")
    assert (tmp_path / "made.npz").read_bytes() == b"mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(InputError, match="is a folder that is not empty"):
        export(made, tmp_path / "full")
    with pytest.raises(InputError, match="is a file"):
        export(made, tmp_path / "full" / "x")
    (tmp_path / "empty").mkdir()
    export(made, tmp_path / "empty")
    assert len(load_synthetic(tmp_path / "empty")) == 5


@pytest.mark.parametrize("target", ["made.npz", "made"])
def test_an_export_that_fails_midway_leaves_nothing_that_passes_for_whole(tmp_path, monkeypatch, target):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    monkeypatch.setattr(zipfile.ZipFile, "open", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export(synthetic(), tmp_path / target)
    assert not list(tmp_path.iterdir())


def test_the_card_beside_a_set_is_written_last(tmp_path, monkeypatch):
    """Also where an older card lies there; and a set whose card can't be written goes."""
    made = synthetic()
    (tmp_path / "made.card.md").write_text("of another set")
    seen = []

    def full_disk(path, text):
        seen.append((sorted(p.name for p in tmp_path.iterdir()), path.name, text))
        assert_equal(load_synthetic(tmp_path / "made.npz"), made)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(exports, "write_text", full_disk)
        with pytest.raises(OSError, match="No space left"):
            export(made, tmp_path / "made.npz")
    assert seen == [(["made.npz"], "made.card.md", card_text(made.card))]
    assert not list(tmp_path.iterdir())
    export(made, tmp_path / "made.npz")
    assert (tmp_path / "made.card.md").read_text("utf-8") == card_text(made.card)


def test_a_card_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    made = synthetic()
    bare = SyntheticSet(made.pixels, made.labels, made.class_names, "made")
    with pytest.raises(InputError, match="has no card"):
        export(bare, tmp_path / "made")
    other = SyntheticSet(made.pixels[:3], made.labels[:3], made.class_names, "made", made.card)
    with pytest.raises(InputError, match=r"The card is of another set: it says \{'images': 5"):
        export(other, tmp_path / "made")
    with pytest.raises(InputError, match="can't be written as JSON"):
        synthetic(fidelity={"kid": float("nan")})
    with pytest.raises(InputError, match="can't be written as JSON"):
        synthetic(fidelity={"kid": np.float32(1)})
    with pytest.raises(InputError, match="can't be written as JSON"):
        synthetic(generator={"preset": "\ud800"})
    with pytest.raises(InputError, match=r"class name 'a\\x00' can't be written"):
        export(synthetic(("a\0",)), tmp_path / "made")
    monkeypatch.setattr(exports, "MAX_CARD_BYTES", 500)
    with pytest.raises(InputError, match="bytes; 500 are allowed"):
        synthetic()
    assert not list(tmp_path.iterdir())
