"""Folders with one sub-folder a class."""

import numpy as np
import pytest
from PIL import Image

from healthgan.sources import load

SHAPE = (20, 24)


def picture(seed, channels=1, shape=SHAPE):
    array = np.random.default_rng(seed).integers(0, 256, (*shape, 3)[: 2 + (channels == 3)], dtype=np.uint8)
    return Image.fromarray(array)


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(
        ["b/10.png", "b/2.png", "b/Z.PNG", "a a/x.tif", ".hidden/x.png", "b/.x.png"]
    ):
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    (tmp_path / "scans" / "README.txt").write_text("about")
    return tmp_path / "scans"


def test_classes_and_files_by_name_hidden_ones_left_out(root):
    found = load(str(root))
    assert found.name == "scans"
    assert list(found) == ["train"]
    assert found.class_names == ("a a", "b")
    assert found["train"].labels.tolist() == [0, 1, 1, 1]
    expected = [np.asarray(picture(number)) for number in (3, 0, 1, 2)]
    np.testing.assert_array_equal(found["train"].pixels[..., 0], expected)
    assert found["train"].patients is None
    assert found.md5 is None
    assert found.notes == ()


def test_splits_share_the_classes_of_train(tmp_path):
    for number, name in enumerate(
        ["train/a/1.png", "train/b/1.png", "test/b/1.png", "test/b/2.png", "val/a/1.png"]
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    found = load(str(tmp_path))
    assert list(found) == ["train", "val", "test"]
    assert found.class_names == ("a", "b")
    assert [found[split].labels.tolist() for split in found] == [[0, 1], [0], [1, 1]]
    np.testing.assert_array_equal(found["test"].pixels[1, ..., 0], np.asarray(picture(3)))


def test_all_colour_gives_three_channels_even_where_one_picture_has_none(tmp_path):
    (tmp_path / "a").mkdir()
    picture(0, 3).save(tmp_path / "a" / "1.png")
    picture(1).convert("RGB").save(tmp_path / "a" / "2.png")
    found = load(str(tmp_path))
    assert found["train"].channels == 3
    np.testing.assert_array_equal(found["train"].pixels[1], np.asarray(picture(1).convert("RGB")))
    assert found.notes == ()


def test_grey_stored_as_rgb_is_grey_and_noted(tmp_path):
    (tmp_path / "a").mkdir()
    picture(0).convert("RGB").save(tmp_path / "a" / "1.png")
    picture(1).save(tmp_path / "a" / "2.png")
    found = load(str(tmp_path))
    assert found["train"].channels == 1
    assert found.notes == ("stored as RGB with equal channels, read as grey (1 of 2 images)",)


def test_size_brings_all_to_one_size_and_is_noted(tmp_path):
    (tmp_path / "a").mkdir()
    picture(0, shape=(300, 400)).save(tmp_path / "a" / "1.png")
    picture(1, shape=(16, 16)).save(tmp_path / "a" / "2.png")
    picture(2, shape=(32, 32)).save(tmp_path / "a" / "3.png")
    found = load(str(tmp_path), size=32)
    assert found["train"].pixels.shape == (3, 32, 32, 1)
    assert (found["train"].pixels[0, [0, -1]] == 0).all()
    np.testing.assert_array_equal(found["train"].pixels[2, ..., 0], np.asarray(picture(2, shape=(32, 32))))
    assert found.notes == (
        "2 of 3 images, 16 to 400 pixels a side, brought to 32×32: "
        "padded to a square with black, averaged by area, interpolated linearly",
    )


def test_deep_pictures_are_noted_with_their_brightest_value(tmp_path):
    (tmp_path / "a").mkdir()
    for number, top in enumerate((100, 4095)):
        Image.fromarray(np.full(SHAPE, top, np.uint16)).save(tmp_path / "a" / f"{number}.png")
    found = load(str(tmp_path))
    assert found.notes == (
        "16-bit grey scaled by its bit depth (65535 → 255) (all images)",
        "brightest value before the scaling by bit depth: 4095",
    )
    assert found["train"].pixels.max() == round(4095 / 257)


def test_links_inside_the_folder_are_followed(root):
    (root / "c").mkdir()
    (root / "c" / "1.png").symlink_to(root / "b" / "2.png")
    found = load(str(root))
    assert found.class_names == ("a a", "b", "c")
    np.testing.assert_array_equal(found["train"].pixels[-1], found["train"].pixels[2])


def test_a_bar_is_drawn_on_a_terminal_only(root, capsys, monkeypatch):
    load(str(root))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    load(str(root), progress=False)
    assert capsys.readouterr() == ("", "")
    load(str(root))
    said = capsys.readouterr()
    assert said.out == ""
    assert "Reading pictures" in said.err
