"""Synthetic sets: every layout that is read, and one clear message for every other."""

import io
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from healthgan.errors import InputError
from healthgan.sources import members
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
    monkeypatch.setattr(members, "MAX_BYTES", 1000)
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
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=60,
)
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
    with suppress(InputError):  # the one message
        load_synthetic(tmp_path / name if name.endswith(".npz") else tmp_path)
