"""Synthetic sets: every layout that is read, and one clear message for every other."""

import io
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from healthgan.errors import InputError
from healthgan.sources import npz
from healthgan.sources.synthetic import SyntheticSet, load_synthetic

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 20), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (4, 16, 20, 3), dtype=np.uint8)
LABELS = np.array([1, 0, 1, 1])


def saved(folder, **arrays):
    np.savez(folder / "made.npz", **arrays)
    return folder / "made.npz"


def pictures(folder, files, metadata=None, card=None):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number]).save(path)
    if metadata is not None:
        (folder / "metadata.csv").write_bytes(metadata.encode())
    if card is not None:
        (folder / "card.json").write_text(card, "utf-8")
    return folder


@pytest.mark.parametrize("prefix", ["", "train_"])
@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., None], COLOUR], ids=["grey", "grey1", "rgb"])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.astype(np.uint8)], ids=["N", "N1", "u8"])
def test_npz_of_both_layouts(tmp_path, prefix, images, labels):
    found = load_synthetic(
        saved(
            tmp_path,
            **{f"{prefix}images": images, f"{prefix}labels": labels},
            class_names=np.array(["fine", "ill"]),
            more=np.arange(3),
        )
    )
    np.testing.assert_array_equal(found.pixels, images.reshape(4, 16, 20, -1))
    assert found.labels.tolist() == LABELS.tolist()
    assert found.labels.dtype == np.int64
    assert (found.class_names, found.name, found.card, len(found)) == (("fine", "ill"), "made", None, 4)
    assert found.of_class("ill").tolist() == [0, 2, 3]


def test_npz_without_labels_or_without_names(tmp_path):
    found = load_synthetic(saved(tmp_path, images=IMAGES))
    assert (found.labels, found.class_names) == (None, ())
    assert found.of_class("whatever").tolist() == [0, 1, 2, 3]
    assert load_synthetic(saved(tmp_path, images=IMAGES, labels=LABELS)).class_names == ("0", "1")


def test_npz_with_a_card(tmp_path):
    card = {"seed": 3, "text": "ünï"}
    path = saved(tmp_path, images=IMAGES, card=np.array(json.dumps(card)))
    assert load_synthetic(path).card == card


def test_folder_with_metadata_keeps_its_order_and_labels_as_they_stand(tmp_path):
    rows = 'file_name,label,verdict\nb/1.png," x, y",accepted\na.png,normal,accepted\nc.png, x,unlike\n'
    found = load_synthetic(pictures(tmp_path, ["a.png", "b/1.png", "c.png"], rows))
    np.testing.assert_array_equal(found.pixels[..., 0], IMAGES[[1, 0, 2]])
    assert found.class_names == (" x", " x, y", "normal")
    assert found.labels.tolist() == [1, 2, 0]
    assert found.name == tmp_path.name


def test_the_card_orders_the_classes_if_it_names_them_all(tmp_path):
    rows = "file_name,label\na.png,a\nb.png,b\n"
    folder = pictures(tmp_path, ["a.png", "b.png"], rows, card='{"class_names": ["z", "b", "a"]}')
    assert load_synthetic(folder).class_names == ("z", "b", "a")
    assert load_synthetic(folder).labels.tolist() == [2, 1]
    for names in ('["b"]', '["a", 1]', '"ab"'):
        (folder / "card.json").write_text(f'{{"class_names": {names}}}')
        assert load_synthetic(folder).class_names == ("a", "b")


def test_folders_of_classes_and_of_pictures_alone(tmp_path):
    found = load_synthetic(pictures(tmp_path / "1", ["b/1.png", "a/1.png"]))
    assert found.class_names == ("a", "b")
    np.testing.assert_array_equal(found.pixels[..., 0], IMAGES[[1, 0]])
    found = load_synthetic(pictures(tmp_path / "2", ["2.png", "1.png", ".hidden.png"], "file_name\n1.png\n"))
    assert (found.labels, len(found)) == (None, 1)
    found = load_synthetic(pictures(tmp_path / "3", ["2.png", "1.png", ".hidden.png"]))
    np.testing.assert_array_equal(found.pixels[..., 0], IMAGES[[1, 0]])
    assert found.labels is None


def test_pictures_are_brought_to_a_size(tmp_path):
    Image.fromarray(IMAGES[0]).resize((40, 40)).save(tmp_path / "a.png")
    Image.fromarray(IMAGES[0]).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="differ in size"):
        load_synthetic(tmp_path)
    assert load_synthetic(tmp_path, size=16).pixels.shape == (2, 16, 16, 1)


def member(body):
    def make(folder):
        with zipfile.ZipFile(folder / "made.npz", "w") as archive:
            archive.writestr("images.npy", body)
        return folder / "made.npz"

    return make


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(**arrays):
    return lambda folder: saved(folder, **arrays)


def folder(files, metadata=None, card=None):
    return lambda root: pictures(root / "made", files, metadata, card)


def written(name, data):
    def make(root):
        (root / name).write_bytes(data)
        return root / name

    return make


FAULTS = {
    "missing": (lambda root: root / "made.npz", r"does not exist|There is no file"),
    "missing folder": (lambda root: root / "made", r"does not exist"),
    "another kind": (written("made.txt", b""), r"is a file of another kind\. An \.npz with images"),
    "empty": (written("made.npz", b""), r"damaged or not an \.npz file"),
    "pickled": (archive(images=np.array([{}], object)), r"'images' holds Python objects"),
    "pickled names": (
        archive(images=IMAGES, labels=LABELS, class_names=np.array([{}], object)),
        r"'class_names' holds Python objects",
    ),
    "absurd shape": (member(header((2**60, 16, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "no images": (archive(x=IMAGES), r"has no 'images'; it holds: x\. An \.npz"),
    "two sets": (archive(images=IMAGES, train_images=IMAGES), r"both 'images' and 'train_images'"),
    "mixed layouts": (archive(images=IMAGES, train_labels=LABELS), r"'train_labels', which doesn't go"),
    "mixed layouts 2": (archive(train_images=IMAGES, labels=LABELS), r"'labels', which doesn't go"),
    "split": (
        archive(train_images=IMAGES, train_labels=LABELS, test_images=IMAGES, test_labels=LABELS),
        r"test_images, test_labels: synthetic images are not split",
    ),
    "floats": (archive(images=IMAGES / 255), r"'images' have type float64; uint8"),
    "shape": (archive(images=COLOUR[..., :2]), r"shape \(4, 16, 20, 2\); \(N, H, W\)"),
    "small": (archive(images=IMAGES[:, :9]), r"9×20 pixels; 16 to 224"),
    "nothing": (archive(images=IMAGES[:0]), r"holds no image"),
    "float labels": (archive(images=IMAGES, labels=LABELS / 1), r"'labels' have type float64"),
    "few labels": (archive(images=IMAGES, labels=LABELS[:3]), r"'labels' have shape \(3,\); .*\(4,\)"),
    "several labels": (archive(train_images=IMAGES, train_labels=np.eye(4, dtype=int)), r"shape \(4, 4\)"),
    "negative": (archive(images=IMAGES, labels=-LABELS), r"'labels' run from -1 to 0; 0 to 999"),
    "names alone": (archive(images=IMAGES, class_names=np.array(["a"])), r"'class_names' but no 'labels'"),
    "few names": (archive(images=IMAGES, labels=LABELS, class_names=np.array(["a"])), r"1 class names, .* 2"),
    "equal names": (
        archive(images=IMAGES, labels=LABELS, class_names=np.array(["a", "a"])),
        r"Class names repeat",
    ),
    "card of numbers": (archive(images=IMAGES, card=np.arange(3)), r"'card' is int64 of shape \(3,\)"),
    "card no JSON": (archive(images=IMAGES, card=np.array("{")), r"'card' is not JSON"),
    "card a list": (archive(images=IMAGES, card=np.array("[]")), r"'card' is a JSON list; an object"),
    "card deep": (archive(images=IMAGES, card=np.array("[" * 10**5)), r"'card' is not JSON"),
    "card long": (archive(images=IMAGES, card=np.array(" " * (2**20 + 1))), r"longer than 1048576"),
    "no picture": (folder([], "file_name\n"), r"metadata\.csv' lists no image"),
    "empty folder": (lambda root: root, r"holds no picture\. An \.npz"),
    "split folder": (folder(["train/a/1.png", "test/a/1.png"]), r"divided into train, val or test"),
    "train folder": (folder(["train/a/1.png"]), r"divided into train, val or test"),
    "no column": (folder(["a.png"], "name,label\na.png,x\n"), r"begins with 'name,label'; the columns"),
    "column twice": (folder(["a.png"], "file_name,label,label\na.png,x,y\n"), r"each once"),
    "short line": (folder(["a.png"], "file_name,label\na.png\n"), r"line 2 does not have 2 values"),
    "long line": (folder(["a.png"], "file_name,label\na.png,x,y\n"), r"line 2 does not have 2 values"),
    "no label": (folder(["a.png"], "file_name,label\na.png, \n"), r"line 2: the label is empty"),
    "listed twice": (folder(["a.png"], "file_name\na.png\n./a.png\n"), r"same file as line 2"),
    "absolute": (folder(["a.png"], "file_name\n/etc/passwd\n"), r"'/etc/passwd'; a path relative"),
    "drive": (folder(["a.png"], "file_name\nC:\\a.png\n"), r"a path relative"),
    "control": (folder(["a.png"], 'file_name\n"a\x1b.png"\n'), r"the file name is 'a\\x1b\.png'"),
    "outside": (folder(["a.png"], "file_name\n../made.npz\n"), r"leads out of"),
    "not there": (folder(["a.png"], "file_name\nb.png\n"), r"line 2: there is no file 'b\.png'"),
    "too long": (folder(["a.png"], f"file_name\n{'b' * 5000}.png\n"), r"cannot be looked up|no file"),
    "bad quotes": (folder(["a.png"], 'file_name\n"a.png\n'), r"unexpected end of data"),
    "folder card": (folder(["a.png"], "file_name\na.png\n", card="nope"), r"card\.json' is not JSON"),
    "folder card long": (folder(["a.png"], card=" " * (2**20 + 1)), r"larger than 1048576 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gives_one_message(tmp_path, name):
    make, message = FAULTS[name]
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_synthetic(path)
    assert str(caught.value).isprintable()


def test_text_that_is_not_utf8(tmp_path):
    pictures(tmp_path, ["a.png"])
    (tmp_path / "metadata.csv").write_bytes(b"file_name\n\xff.png\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        load_synthetic(tmp_path)
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "card.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"card\.json' is not UTF-8 text"):
        load_synthetic(tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "real.png")
    root = tmp_path / "made"
    root.mkdir()
    (root / "a.png").symlink_to(tmp_path / "real.png")
    (root / "metadata.csv").write_text("file_name\na.png\n")
    with pytest.raises(InputError, match="leads out of"):
        load_synthetic(root)


def test_a_bomb_is_refused_by_its_declared_size(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to"):
        load_synthetic(saved(tmp_path, images=IMAGES))


def test_a_class_that_is_not_there_is_named():
    found = SyntheticSet(IMAGES[..., None], LABELS, ("a", "b"), "made")
    with pytest.raises(InputError, match="no class 'c'; its classes are: a, b"):
        found.of_class("c")
    with pytest.raises(InputError, match="class names but no labels"):
        SyntheticSet(IMAGES[..., None], None, ("a",), "made")
    with pytest.raises(InputError, match="several labels"):
        SyntheticSet(IMAGES[..., None], np.zeros((4, 2), np.uint8), ("a", "b"), "made")


BYTES = {
    "made.npz": None,
    "metadata.csv": b'file_name,label\n"a.png",x\nb.png,"y, z"\n',
    "card.json": b'{"class_names": ["x", "y, z"], "seed": [1, 2.5, null]}',
}


@pytest.mark.parametrize("name", BYTES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_damage_ends_in_images_or_in_one_message(tmp_path, name, data):
    body = BYTES[name]
    if body is None:
        file = io.BytesIO()
        np.savez_compressed(
            file, images=IMAGES, labels=LABELS, class_names=np.array(["a", "b"]), card=np.array("{}")
        )
        body = file.getvalue()
    else:
        pictures(tmp_path, ["a.png", "b.png"], BYTES["metadata.csv"].decode(), BYTES["card.json"].decode())
    body = bytearray(body)
    places = st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, max_size=6)):
        body[place] = value
    (tmp_path / name).write_bytes(bytes(body[: data.draw(st.integers(0, len(body)) | st.just(len(body)))]))
    with suppress(InputError):
        load_synthetic(tmp_path / name if name.endswith(".npz") else tmp_path)
