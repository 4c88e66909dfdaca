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

from healthgan import __version__, exports
from healthgan.card_text import card_text, front_matter
from healthgan.errors import InputError
from healthgan.exports import check_export, export, make_card
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
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=60,
)
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
    assert yaml.safe_load(front_matter(made.card).split("---\n")[1])["pretty_name"] == "made"


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
    assert (tmp_path / "made.card.md").read_text("utf-8") == card_text(made.card, "'card' in made.npz")


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
    readme = (tmp_path / "made" / "README.md").read_text("utf-8")
    assert readme == front_matter(made.card) + card_text(made.card, "card.json")


def test_the_same_set_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        export(synthetic(), tmp_path / name / "made.npz")
        export(synthetic(), tmp_path / name / "made")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 2 + 5 + 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def told(auroc, low, high, **more):
    return {"auroc": auroc, "auroc_low": low, "auroc_high": high, **more}


FACTS = {
    "trained_on": {
        "source": "chestmnist",
        "split": "train",
        "md5": "02c8",
        "images": {"ill": 208, "fine": 4569},
        "patients": 2049,
        "size": [28, 28],
        "left_out_of_later_splits": {"val": 3},
    },
    "generator": {
        "kind": "a diffusion model",
        "preset": "modern",
        "seed": 7,
        "sampling_seed": 3,
        "settings": {"steps": 4000, "ema": 0.999, "mirror": False},
        "checks": [{"step": step, "heldout": 0.25} for step in range(500, 4001, 500)],
    },
    "selection": {"rule": "band", "verdicts": {"accepted": 5, "unlike": 1}},
    "fidelity": {
        "classes": {
            "rare": {
                "real_or_synthetic": told(0.756, 0.631, 0.853, heldout_images=40, fresh_images=60),
                "real_or_real": None,
                "spaces": {
                    "in-domain": {
                        "fid": {
                            "value": 9.876,
                            "low": 8,
                            "high": 11.5,
                            "floor": 4.5,
                            "floor_low": 3,
                            "floor_high": 6,
                            "n": 27,
                        }
                    }
                },
            },
            "reference": {"real_or_synthetic": told(0.5, 0.41, 0.59, heldout_images=120, fresh_images=70)},
        },
        "faithfulness": {
            "by_class": {
                "rare": [
                    {"value": 0.9, "low": 0.8, "high": 0.95, "images": 60},
                    {"value": 0.8, "low": 0.7, "high": 0.9, "images": 40},
                ]
            }
        },
    },
    "privacy": {
        "class": "ill",
        "conclusion": "No sign of copies: *none* was found.",
        "audit": [
            {
                "measure": "copy suspects",
                "value": "0.0 %",
                "interval": "0.0 to 3.0",
                "best": "1 %",
                "images": "0 of 120",
            },
            {"measure": "C_T", "value": "+5.1", "interval": "–", "best": "", "images": "120"},
        ],
    },
}


def sentences(card, whole="card.json"):
    """What a person reads: the Markdown's text without its marks, paragraph by paragraph."""
    tokens = MarkdownIt("commonmark").enable("table").parse(card_text(card, whole))
    inner = [token.children for token in tokens if token.type == "inline"]
    return ["".join(child.content for child in children) for children in inner]


def test_the_card_says_in_sentences_what_it_must():
    read = sentences(synthetic(("fine", "ill"), **FACTS).card)
    for said in (
        "Synthetic images of fine and ill",
        "Synthetic images: no camera took them. 5 grey images of 16×18 pixels: 1 of fine and 4 of ill. Made with healthgan "
        f"{__version__} by a diffusion model (preset modern), trained with seed 7, sampled with seed 3.",
        "Learnt from. 208 real images of ill and 4569 real images of fine, of 2049 patients, from chestmnist, split train "
        "(md5 02c8).",
        "Selection. Selected by the rule band, among the candidates 5 accepted and 1 unlike.",
        "How good. It is not shown that they can be told from real ones: a classifier trained for that reaches AUROC 0.50 "
        "(95 % interval 0.41 to 0.59) for fine, on 120 real images that neither it nor the generator saw and 70 synthetic "
        "ones. They can be told from real ones: a classifier trained for that reaches AUROC 0.76 (95 % interval 0.63 to "
        "0.85) for ill, on 40 real images that neither it nor the generator saw and 60 synthetic ones. Measured on other "
        "images of the same generator; 0.5 is chance, 1 is always right.",
        "How private. No sign of copies: *none* was found. (Audited: other images of the same generator, of the class ill.)",
        f"For. {exports.INTENDED_USE}",
        *exports.LIMITS,
        "All settings and figures, for programs: card.json.",
    ):
        assert said in read, said
    assert any(paragraph.startswith("Licence. Not stated here.") for paragraph in read)


def test_the_first_screen_of_a_card_is_sentences_and_the_whole_is_short():
    """No dump of settings, no cell without a word; what programs read stands in the JSON only."""
    card = synthetic(("fine", "ill"), **FACTS).card
    text = card_text(card, "card.json")
    before, _, after = text.partition("\n## ")
    assert len(before.splitlines()) <= 30
    assert len(text.splitlines()) <= 80
    assert "|" not in before
    assert "checks" not in text
    assert "ema" not in text
    rows = [line for line in after.splitlines() if line.startswith("|")]
    assert (
        len(rows) == 2 + 1 + 2 + 3 + 2 + 2
    )  # titles and rules, then what each class was measured by, then the audit
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))
    assert "| FID, in-domain | 9.88 (8.00 to 11.50) | 4.50 (3.00 to 6.00) | 27 a side |" in rows
    assert "| told from real, AUROC (0.5 is best) | 0.76 (0.63 to 0.85) | – | 40 real, 60 synthetic |" in rows
    assert (
        "| called its own class | 0.90 (0.80 to 0.95) | 0.80 (0.70 to 0.90) | 40 real, 60 synthetic |" in rows
    )


def test_what_is_not_known_is_said():
    bare = sentences(synthetic(()).card, "'card' in x.npz")
    for said in (
        "Synthetic images",
        "Learnt from. Real images, from x.",
        "How good. Not measured.",
        "How private. Not audited. Audit the set (healthgan audit) before you share it.",
        "All settings and figures, for programs: 'card' in x.npz.",
    ):
        assert said in bare, said
    assert any("the images have no labels" in paragraph for paragraph in bare)
    assert "Learnt from. Not told." in sentences(synthetic(trained_on={}).card)
    facts = {"images": {"ill": 20}, "patients": None, "md5": None}
    assert (
        "Learnt from. 20 real images of ill. Whose images they are is not known: every image counts as one of another "
        "patient." in sentences(synthetic(trained_on=facts).card)
    )


def test_front_matter_is_of_a_data_set_and_only_in_a_folder(tmp_path):
    made = synthetic()
    export(made, tmp_path / "made.npz")
    export(made, tmp_path / "made")
    assert (tmp_path / "made.card.md").read_text("utf-8").startswith("# Synthetic images")
    front = yaml.safe_load((tmp_path / "made" / "README.md").read_text("utf-8").split("---\n")[1])
    assert front == {
        "pretty_name": "made",
        "annotations_creators": ["machine-generated"],
        "task_categories": ["image-classification"],
        "tags": ["synthetic", "medical", "healthgan"],
        "size_categories": ["n<1K"],
    }


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_card_made_elsewhere_is_told_as_far_as_it_can_be(data):
    """Any value in any place that the text reads: one screen of text, and no error."""
    facts = json.loads(json.dumps(FACTS))
    for _ in range(3):
        table = facts
        while True:
            key = data.draw(st.sampled_from(sorted(table)))
            if isinstance(table[key], dict) and table[key] and data.draw(st.booleans()):
                table = table[key]
                continue
            if table is not facts:
                table[key] = data.draw(ANYTHING)
            break
    assert "Synthetic images" in card_text(synthetic(**facts).card, "card.json")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_no_text_in_the_card_becomes_markup(text):
    row = dict.fromkeys(("measure", "value", "interval", "best", "images"), text)
    made = synthetic(
        ("fine", "ill"),
        trained_on={"source": text, "split": text, "md5": text, "images": {text: 1}},
        generator={"kind": text, "preset": text},
        selection={"rule": text, "verdicts": {text: 2}},
        privacy={"class": text, "conclusion": text, "audit": [row, row]},
        intended_use=text,
        limits=[text],
    )
    made.card["name"] = text
    assert yaml.safe_load(front_matter(made.card).split("---\n", 2)[1])["pretty_name"] == text
    tokens = MarkdownIt("commonmark").enable("table").parse(card_text(made.card, text))
    inner = [child.type for token in tokens for child in token.children or []]
    assert set(inner) <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
    kinds = [token.type for token in tokens]
    assert (kinds.count("heading_open"), kinds.count("table_open"), kinds.count("tr_open")) == (2, 1, 3)
    assert kinds.count("td_open") == 10
    assert kinds.count("bullet_list_open") == 1
    assert not {"html_block", "fence", "code_block", "blockquote_open", "hr", "ordered_list_open"} & set(
        kinds
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "q.jpg",
            r"q\.jpg' looks like a \.jpg file.*End it in \.npz for one file, or leave '\.jpg' out for a folder",
        ),
        ("q.NPY", "looks like a .npy file"),
        ("q.h5", "looks like a .h5 file"),
        ("file/made.npz", "can't be written: '.*file' is a file, not a folder"),
        ("file/made", "can't be written: '.*file' is a file, not a folder"),
        ("x" * 300, "can't be written: File name too long"),
        ("folder.npz", "is a folder; the name of a new file is needed"),
        ("beside.npz", "beside.card.md' is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path, target, message):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "beside.card.md").mkdir()
    before = sorted(tmp_path.iterdir())
    for refuse in (check_export, lambda path: export(synthetic(), path)):
        with pytest.raises(InputError, match=message) as caught:
            refuse(tmp_path / target)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("target", ["a/b/made.npz", "a/b/made", "made.v2", "made.2024", "run.5"])
def test_folders_above_are_made_and_a_dot_is_no_file(tmp_path, target):
    check_export(tmp_path / target)
    assert not list(tmp_path.iterdir())
    export(synthetic(), tmp_path / target)
    assert len(load_synthetic(tmp_path / target)) == 5


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
    with pytest.raises(InputError, match="is a file; the name of a new folder is needed"):
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
    assert seen == [(["made.npz"], "made.card.md", card_text(made.card, "'card' in made.npz"))]
    assert not list(tmp_path.iterdir())
    export(made, tmp_path / "made.npz")
    assert "of another set" not in (tmp_path / "made.card.md").read_text("utf-8")


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
