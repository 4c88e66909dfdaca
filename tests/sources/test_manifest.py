"""CSV manifests."""

import numpy as np
import pytest
from PIL import Image

from healthgan.sources import load


def picture(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 24), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(["a.png", "b.png", "c, d.png", "sub/é.png"]):
        picture(number).save(tmp_path / name)
    return tmp_path


def write(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_paths_and_labels_alone(folder):
    found = load(write(folder, "path,label\nb.png,sick\nsub/é.png,healthy\na.png,sick\n"))
    assert found.name == "list"
    assert list(found) == ["train"]
    assert found.class_names == ("healthy", "sick")
    assert found["train"].labels.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(
        found["train"].pixels[..., 0], [np.asarray(picture(number)) for number in (1, 3, 0)]
    )
    assert found["train"].patients is None
    assert dict(found["train"].columns) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_column_in_any_order(folder, encoding, newline):
    lines = [
        "sex,patient,path,split,label,Größe",
        "F,p1,a.png,test,x,1",
        'M,p2,"c, d.png",train,y,',
        "",
        "F, p1 ,b.png,test, y ,3",
        "F,p3,./sub/é.png,val,x,4",
    ]
    found = load(write(folder, newline.join(lines), encoding))
    assert list(found) == ["train", "val", "test"]
    assert found.class_names == ("x", "y")
    assert [found[split].labels.tolist() for split in found] == [[1], [0], [0, 1]]
    assert [found[split].patients.tolist() for split in found] == [[1], [2], [0, 0]]
    assert found["test"].columns["sex"].tolist() == ["F", "F"]
    assert found["train"].columns["Größe"].tolist() == [""]
    assert set(found["train"].columns) == {"sex", "Größe"}
    assert "p1" not in repr(found)


def test_several_labels_an_image(folder):
    found = load(write(folder, "path,label\na.png,mass|edema\nb.png,\nsub/é.png,edema\n"))
    assert found.multi_label
    assert found.class_names == ("edema", "mass")
    assert found["train"].labels.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert found["train"].members("normal").tolist() == [False, True, False]


def test_size_is_passed_on(folder):
    found = load(write(folder, "path,label\na.png,x\nb.png,y\n"), size=16)
    assert found["train"].size == (16, 16)
    assert "brought to 16×16" in found.notes[0]


def test_links_that_stay_inside_are_followed(folder):
    (folder / "link.png").symlink_to("a.png")
    assert len(load(write(folder, "path,label\nlink.png,x\nb.png,y\n"))["train"]) == 2
