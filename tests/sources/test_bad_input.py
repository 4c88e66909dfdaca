"""Everything that can be wrong with a source gives one clear message: what was found, what to do."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from healthgan.errors import InputError
from healthgan.sources import load, npz

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1])


def picture(shape=(20, 24), kind=np.uint8):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape).astype(kind))


def saved(**changes):
    """A file of the layout with some arrays replaced, added, or (None) left out."""
    arrays = {"train_images": IMAGES, "train_labels": LABELS, **changes}

    def make(folder):
        np.savez(folder / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
        return folder / "a.npz"

    return make


def member(body, **flags):
    """A file of the layout whose ``train_images`` is these bytes."""

    def make(folder):
        labels = io.BytesIO()
        np.save(labels, LABELS)
        with zipfile.ZipFile(folder / "a.npz", "w") as archive:
            archive.writestr("train_images.npy", body, **flags)
            archive.writestr("train_labels.npy", labels.getvalue())
        return folder / "a.npz"

    return make


def header(shape, descr="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def content(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def broken(change):
    """A whole file with its bytes changed."""

    def make(folder):
        path = saved()(folder)
        path.write_bytes(change(bytearray(path.read_bytes())))
        return path

    return make


def flipped(data):
    data[300] ^= 255  # inside the first array
    return data


def pickled(folder):
    np.savez(folder / "a.npz", train_images=np.array([{}], object), train_labels=LABELS[:1])
    return folder / "a.npz"


def closed(folder):
    path = saved()(folder)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    return path


def directory(folder):
    (folder / "a.csv").symlink_to("a.csv")
    return folder / "a.csv"


NPZ = {
    "missing": (lambda folder: folder / "a.npz", r"There is no file '.*a\.npz'. Check the path"),
    "closed": (closed, r"cannot be read: Permission denied"),
    "empty": (content("a.npz", b""), r"damaged or not an \.npz file .*again"),
    "text": (content("a.npz", b"path,label\n"), r"damaged or not an \.npz file"),
    "an .npy": (content("a.npz", header((1,)) + b"1"), r"damaged or not an \.npz file"),
    "cut off": (broken(lambda data: data[: len(data) // 2]), r"damaged or not an \.npz file"),
    "flipped byte": (broken(flipped), r"damaged or not an \.npz file .*CRC"),
    "no members": (content("a.npz", b"PK\5\6" + bytes(18)), r"no 'train_images'; it holds: nothing"),
    "other keys": (
        saved(train_images=None, x=IMAGES),
        r"no 'train_images'; it holds: train_labels, x\. MedMNIST's",
    ),
    "no labels": (saved(train_labels=None), r"'train_images' but no 'train_labels'"),
    "labels of no images": (saved(val_labels=LABELS), r"'val_labels' but no 'val_images'"),
    "patients of no images": (saved(test_patients=LABELS), r"'test_patients' but no 'test_images'"),
    "pickled": (pickled, r"'train_images' holds Python objects, which are never loaded"),
    "no array": (member(b"hello"), r"'train_images' is not a NumPy array"),
    "unknown header": (member(b"\x93NUMPY\x09\0" + bytes(90)), r"'train_images' is not a NumPy array"),
    "shape past the data": (
        member(header((9, 16, 16)) + bytes(10)),
        r"declares shape \(9, 16, 16\) of uint8, 2304 .*10",
    ),
    "absurd shape": (member(header((2**60, 16, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "negative shape": (member(header((-1, 16, 16)) + bytes(256)), r"declares shape"),
    "data past the shape": (member(header((0, 16, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "odd packing": (
        member(b"x" * 99, compress_type=zipfile.ZIP_BZIP2),
        r"packed in a way NumPy doesn't write",
    ),
    "floats": (saved(train_images=IMAGES / 255), r"type float64; uint8 .*0…255.*astype"),
    "16 bits": (saved(train_images=IMAGES.astype(np.uint16)), r"type uint16; uint8"),
    "one image": (saved(train_images=IMAGES[0]), r"shape \(16, 16\); \(N, H, W\)"),
    "two channels": (saved(train_images=np.stack([IMAGES] * 2, -1)), r"shape \(4, 16, 16, 2\)"),
    "channels first": (saved(train_images=np.stack([IMAGES] * 3, 1)), r"shape \(4, 3, 16, 16\)"),
    "no images": (saved(train_images=IMAGES[:0], train_labels=LABELS[:0]), r"hold no image"),
    "no pixels": (saved(train_images=IMAGES[:, :0]), r"train: Images are 0×16 pixels; 16 to 224"),
    "too small": (saved(train_images=IMAGES[:, :15]), r"train: Images are 15×16 pixels; 16 to 224"),
    "too large": (saved(train_images=np.zeros((4, 225, 225), np.uint8)), r"225×225 pixels; .*--size N"),
    "other size": (
        saved(val_images=IMAGES.repeat(2, 1), val_labels=LABELS),
        r"'val' images are",
    ),
    "float labels": (saved(train_labels=LABELS / 1), r"'train_labels' have type float64; whole numbers"),
    "no label": (saved(train_labels=np.array([0, 1, np.nan, 0])), r"'train_labels' have type float64"),
    "text labels": (saved(train_labels=np.array(["a", "b", "a", "b"])), r"'train_labels' have type <U1"),
    "too few labels": (saved(train_labels=LABELS[:3]), r"'train_labels' are 3, the images 4"),
    "labels in 3D": (saved(train_labels=LABELS.reshape(4, 1, 1)), r"shape \(4, 1, 1\); \(N,\)"),
    "no label columns": (saved(train_labels=np.zeros((4, 0), int)), r"shape \(4, 0\)"),
    "negative label": (saved(train_labels=LABELS - 1), r"run from -1 to 0; 0 to 999 are allowed"),
    "multi-label 2": (saved(train_labels=np.array([[0, 2]] * 4)), r"run from 0 to 2; 0 to 1 are allowed"),
    "huge label": (
        saved(train_labels=LABELS * 10**6),
        r"run from 0 to 1000000; 0 to 999 are allowed",
    ),
    "huge unsigned label": (
        saved(train_labels=LABELS.astype(np.uint64) * 2**63),
        r"run from 0 to 9223372036854775808",
    ),
    "label shapes differ": (
        saved(val_images=IMAGES, val_labels=np.eye(4, 3, dtype=int)),
        r"labels of the splits differ in shape: train \(4,\), val \(4, 3\)",
    ),
    "too few names": (saved(class_names=np.array(["a"])), r"1 class names, but the labels need 2"),
    "too many names": (
        saved(train_labels=np.eye(4, 3, dtype=int), class_names=np.array(["a", "b", "c", "d"])),
        r"4 class names, but the labels need 3",
    ),
    "names are numbers": (saved(class_names=np.array([1, 2])), r"'class_names' are int64 .*strings"),
    "names in 2D": (saved(class_names=np.array([["a", "b"]])), r"'class_names' are <U1 of shape \(1, 2\)"),
    "names not UTF-8": (saved(class_names=np.array([b"a", b"\xff"])), r"'class_names' are not UTF-8"),
    "empty name": (saved(class_names=np.array(["a", " "])), r"A class has no name"),
    "equal names": (saved(class_names=np.array(["a", "a"])), r"Class names repeat: a, a"),
    "patients of some splits": (
        saved(val_images=IMAGES, val_labels=LABELS, train_patients=LABELS),
        r"patients of train but no val_patients\. Give all or none",
    ),
    "float patients": (
        saved(train_patients=LABELS / 1),
        r"'train_patients' are float64 .*integers or strings \(4,\)",
    ),
    "too few patients": (saved(train_patients=LABELS[:2]), r"'train_patients' are int64 of shape \(2,\)"),
    "two kinds of patients": (
        saved(val_images=IMAGES, val_labels=LABELS, train_patients=LABELS, val_patients=LABELS.astype(str)),
        r"patients are numbers in one split, strings in another",
    ),
}


def tree(**files):
    """A folder; the keys are paths with ``__`` for ``/`` and ``_png`` at the end for ``.png``."""

    def make(folder):
        for name, value in files.items():
            path = folder / name.replace("__", "/").replace("_png", ".png").replace("_txt", ".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(value, bytes):
                path.write_bytes(value)
            elif isinstance(value, str):
                path.symlink_to(value)
            else:
                value.save(path)
        return folder

    return make


def with_folder(name, **files):
    def make(folder):
        tree(**files)(folder)
        (folder / name).mkdir(parents=True)
        return folder

    return make


def pipe(folder):
    (folder / "a").mkdir()
    os.mkfifo(folder / "a" / "1.png")
    return folder


OK = picture()
FOLDERS = {
    "nothing in it": (tree(), r"has no sub-folder\. One sub-folder a class is needed"),
    "pictures without class": (tree(a_png=OK), r"'.*a\.png' lies outside the class folders"),
    "pictures beside classes": (tree(a_png=OK, b__a_png=OK), r"'.*a\.png' lies outside the class folders"),
    "empty class": (with_folder("b", a__1_png=OK), r"'.*b' holds no picture"),
    "too deep": (with_folder("a/x", a__1_png=OK), r"'.*a/x' is a folder inside a class folder"),
    "splits beside classes": (
        tree(train__a__1_png=OK, b__1_png=OK),
        r"sub-folders b, train: train mean splits, the",
    ),
    "no training folder": (
        tree(val__a__1_png=OK, test__a__1_png=OK),
        r"test mean splits, but train is missing",
    ),
    "empty split": (with_folder("test", train__a__1_png=OK), r"'.*test' has no sub-folder"),
    "class that train lacks": (
        tree(train__a__1_png=OK, test__b__1_png=OK),
        r"'.*test/b' is a class that 'train' does not have \(it has a\)",
    ),
    "text": (tree(a__1_txt=b"hello"), r"'.*a/1\.txt' is not a picture; PNG, JPEG, TIFF and DICOM"),
    "text called .png": (tree(a__1_png=b"hello"), r"'.*a/1\.png' cannot be read as PNG, JPEG or TIFF"),
    "empty file": (tree(a__1_png=b""), r"'.*a/1\.png' cannot be read as PNG"),
    "no suffix, no picture": (tree(a__1=b"hello" * 99), r"'.*a/1' cannot be read as PNG"),
    "link out": (tree(a__1_png="/etc/hostname"), r"'.*a/1\.png' is a link that leads out of"),
    "folder linked out": (tree(a="/etc"), r"'.*a' is a link that leads out of"),
    "link in a circle": (tree(a__1_png="1.png"), r"cannot be read: .*loop"),
    "link to nothing": (tree(a__1_png="2.png"), r"'.*1\.png' is not a regular file"),
    "pipe": (pipe, r"'.*1\.png' is not a regular file"),
    "sizes differ": (
        tree(a__1_png=OK, b__1_png=picture((24, 24))),
        r"'.*a/1\.png' is 20×24 pixels, '.*b/1\.png' 24×24\. Give --size N \(16 to 224\)",
    ),
    "too large": (
        tree(a__1_png=picture((20, 225))),
        r"is 20×225 pixels; 16 to 224 a side are allowed\. Give --size N",
    ),
    "too small": (tree(a__1_png=picture((15, 20))), r"is 15×20 pixels; .*--size N"),
    "grey and colour": (
        tree(a__1_png=OK, a__2_png=picture((20, 24, 3))),
        r"Some pictures are grey \('.*1\.png'\), others have colours \('.*2\.png'\)",
    ),
}


def one(save):
    """A folder with one picture; ``save`` writes it into the class folder."""

    def make(folder):
        (folder / "a").mkdir()
        save(folder / "a")
        return folder

    return make


def half(folder):
    picture((200, 200)).save(folder / "1.png")
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[: len(data) // 2])


def bomb(folder):
    import struct
    import zlib

    def chunk(body):
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    header = b"IHDR" + struct.pack(">IIBBBBB", 50000, 50000, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(data))


def big(folder):
    """Large enough for Pillow's warning, too small for its error."""
    Image.new("1", (10000, 9000)).save(folder / "1.png")


def see_through(folder):
    image = picture().convert("LA")
    image.putpixel((3, 3), (9, 254))
    image.save(folder / "1.png")


PICTURES = {
    "half a PNG": (half, r"'.*1\.png' cannot be read as PNG, JPEG or TIFF .*Repair"),
    "bomb": (bomb, r"'.*1\.png' is larger than \d+ pixels .*Resample"),
    "very large": (big, r"'.*1\.png' is larger than \d+ pixels .*Resample"),
    "transparent": (see_through, r"'.*1\.png' is partly transparent"),
    "transparent colour": (
        lambda folder: picture().save(folder / "1.png", transparency=int(np.asarray(picture())[0, 0])),
        r"'.*1\.png' is partly transparent",
    ),
    "animated": (
        lambda folder: picture().save(
            folder / "1.png", save_all=True, append_images=[Image.new("L", (24, 20))]
        ),
        r"'.*1\.png' holds 2 pictures \(pages or an animation\)",
    ),
    "pages": (
        lambda folder: picture().save(folder / "1.tif", save_all=True, append_images=[picture()] * 2),
        r"'.*1\.tif' holds 3 pictures",
    ),
    "CMYK": (
        lambda folder: picture((20, 24, 3)).convert("CMYK").save(folder / "1.jpg"),
        r"'.*1\.jpg' has colour mode CMYK; grey and RGB",
    ),
    "floats": (
        lambda folder: picture(kind=np.float32).save(folder / "1.tif"),
        r"'.*1\.tif' has colour mode F",
    ),
    "32 bits": (
        lambda folder: picture(kind=np.int32).save(folder / "1.tif"),
        r"'.*1\.tif' has 32-bit .*Convert",
    ),
    "GIF called PNG": (
        lambda folder: picture().save(folder / "1.png", format="GIF"),
        r"'.*1\.png' cannot be read as PNG",
    ),
    "GIF": (lambda folder: picture().save(folder / "1.gif"), r"'.*1\.gif' is not a picture; PNG"),
    "DICOM of text": (
        lambda folder: (folder / "1.dcm").write_bytes(b"x" * 300),
        r"'.*1\.dcm' is not a DICOM file",
    ),
}


def csv(text, encoding="utf-8"):
    """A manifest beside two pictures."""

    def make(folder):
        folder = folder / "data"
        folder.mkdir()
        picture().save(folder.parent / "outside.png")
        for name in ("a.png", "b.png"):
            picture().save(folder / name)
        (folder / "out.png").symlink_to("../outside.png")
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "list.csv").write_bytes(text.encode(encoding))
        return folder / "list.csv"

    return make


CSV = {
    "missing": (lambda folder: folder / "a.csv", r"There is no file '.*a\.csv'"),
    "link in a circle": (directory, r"'.*a\.csv' cannot be read: .*links"),
    "empty": (csv(""), r"no column 'path'; its first line is ''"),
    "header alone": (csv("path,label\n"), r"lists no image"),
    "no header": (csv("a.png,x\nb.png,y\n"), r"no column 'path'; its first line is 'a\.png,x'"),
    "no label column": (csv("path,class\na.png,x\n"), r"no column 'label'"),
    "semicolons": (csv("path;label\na.png;x\n"), r"no column 'path'; .*parted by commas"),
    "column twice": (csv("path,label,label\na.png,x,y\n"), r"called 'label'\. Give each a name"),
    "column without name": (csv("path,label,\na.png,x,y\n"), r"called ''\. Give each a name"),
    "UTF-16": (csv("path,label\na.png,x\n", "utf-16"), r"is not UTF-8 text .*Save it as 'CSV UTF-8'"),
    "Latin-1": (csv("path,label\na.png,Ödem\n", "latin-1"), r"is not UTF-8 text"),
    "open quote": (csv('path,label\na.png,"x\n'), r"line \d: .*Write it as plain CSV"),
    "too many values": (csv("path,label\na.png,x,y\n"), r"line 2: 3 values, but the header names 2"),
    "too few values": (csv("path,label\na.png,x\nb.png\n"), r"line 3: 1 values"),
    "no path": (csv("path,label\n,x\n"), r"line 2: the path is ''"),
    "control characters": (csv("path,label\na\x1b[31m.png,x\n"), r"line 2: the path is 'a\\x1b\[31m\.png'"),
    "NUL": (csv("path,label\na\0.png,x\n"), r"line 2: "),
    "missing file": (
        csv("path,label\na.png,x\n\nc.png,y\n"),
        r"line 4: there is no file 'c\.png' in '.*data'",
    ),
    "absolute": (csv("path,label\n/etc/hostname,x\n"), r"line 2: '/etc/hostname' is an absolute path"),
    "Windows drive": (csv("path,label\nC:\\x.png,x\n"), r"line 2: 'C:\\x\.png' is an absolute path"),
    "network share": (csv("path,label\n\\\\host\\x.png,x\n"), r"line 2: .* is an absolute path"),
    "above": (csv("path,label\n../outside.png,x\n"), r"line 2: '\.\./outside\.png' leads out of '.*data'"),
    "link out": (csv("path,label\nout.png,x\n"), r"line 2: 'out\.png' leads out of '.*data'"),
    "picture in a circle": (csv("path,label\nloop.png,x\n"), r"line 2: 'loop\.png' cannot be looked up"),
    "too long": (csv(f"path,label\n{'a' * 5000},x\n"), r"line 2: 'a+' cannot be looked up"),
    "a folder": (csv("path,label\n.,x\n"), r"line 2: there is no file '\.'"),
    "same file twice": (
        csv("path,label\na.png,x\nb.png,x\n./a.png,y\n"),
        r"lines 2 and 4 list the same file",
    ),
    "label missing": (csv("path,label\na.png,x\nb.png,\n"), r"line 3: label '' is empty"),
    "label in part empty": (csv("path,label\na.png,x|\n"), r"line 2: label 'x\|' is empty, in part empty"),
    "label repeated": (csv("path,label\na.png,x|x\n"), r"line 2: label 'x\|x' .* repeats itself"),
    "no labels at all": (csv("path,label\na.png,|\n"), r"line 2: label '\|'"),
    "patient missing": (
        csv("path,label,patient\na.png,x,1\nb.png,x,\n"),
        r"line 3: 'patient' is empty\. Fill it in",
    ),
    "split missing": (csv("path,label,split\na.png,x,train\nb.png,x,\n"), r"line 3: 'split' is empty"),
    "unknown split": (
        csv("path,label,split\na.png,x,Train\n"),
        r"line 2: split 'Train'; train, val and test",
    ),
    "no training split": (csv("path,label,split\na.png,x,test\n"), r"no line of split 'train'; it has test"),
    "no picture": (csv("path,label\nlist.csv,x\n"), r"list\.csv' is not a picture"),
}

NAMES = {
    "nothing": ("", r"'' is neither a name nor a file or folder that exists\. A source is one of phantom"),
    "typing error": ("pneumonamnist", r"Did you mean pneumoniamnist\?"),
    "capitals": ("ChestMNIST", r"Did you mean chestmnist\?"),
    "beginning": ("organ", r"Did you mean organamnist or organcmnist or organsmnist\?"),
    "unknown size": ("chestmnist@32", r"asks for size '32'; MedMNIST has 28, 64, 128, 224"),
    "size no number": ("chestmnist@", r"asks for size ''|is neither"),
    "size of the phantom": ("phantom@64", r"Did you mean phantom\?"),
    "no such path": (
        "no/such/folder",
        r"'no/such/folder' is neither a name nor a file or folder that exists",
    ),
    "name too long": ("a" * 5000, r"is neither a name nor"),
    "NUL": ("a\0b", r"'a\\x00b' is neither a name nor"),
    "escape sequence": ("\x1b[31mred\n", r"'\\x1b\[31mred\\x0a' is neither a name nor"),
    "device": ("/dev/null", r"'/dev/null' is a file of another kind"),
}

MADE = {
    **{f"npz: {name}": case for name, case in NPZ.items()},
    **{f"folder: {name}": case for name, case in FOLDERS.items()},
    **{f"picture: {name}": (one(save), message) for name, (save, message) in PICTURES.items()},
    **{f"csv: {name}": case for name, case in CSV.items()},
    "text file": (content("a.txt", b"hello"), r"'.*a\.txt' is a file of another kind\. A source is one of"),
}


def is_one_clear_message(text):
    assert text.count("\n") == 0
    assert text.endswith(".")
    assert "Traceback" not in text
    return True


@pytest.mark.parametrize(("make", "message"), MADE.values(), ids=MADE)
def test_bad_sources_are_told_apart(tmp_path, make, message):
    source = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load(str(source))
    assert is_one_clear_message(str(caught.value))


@pytest.mark.parametrize(("source", "message"), NAMES.values(), ids=NAMES)
def test_bad_names_are_told_apart(source, message):
    with pytest.raises(InputError, match=message) as caught:
        load(source)
    assert is_one_clear_message(str(caught.value))


@pytest.mark.parametrize("size", [-1, 0, 15, 225, 10**9])
def test_bad_sizes(size):
    with pytest.raises(InputError, match=f"Size {size} is not possible; 16 to 224"):
        load("phantom", size=size)


def test_an_encrypted_file(tmp_path):
    path = saved()(tmp_path)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        data[start + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"'train_images' is encrypted"):
        load(str(path))


def test_a_directory_that_promises_more_than_there_is(tmp_path):
    """The zip's directory and the array's header agree on a size that the data do not have."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", header((9, 16, 16)) + bytes(10))
        archive.writestr("train_labels.npy", header((9,)) + bytes(9))
    data = bytearray(path.read_bytes())
    start = data.find(b"PK\x01\x02") + 24
    data[start : start + 4] = (len(header((9, 16, 16))) + 9 * 16 * 16).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=r"'train_images' cannot be read \(.*2304.*\)\. Write the file again"
    ):
        load(str(path))


def test_an_array_larger_than_memory(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    monkeypatch.setattr(npz.npy, "read_array", refuse)
    with pytest.raises(InputError, match=r"'train_images' needs 0\.0 GiB, more than this computer has free"):
        load(str(saved()(tmp_path)))


def test_more_than_memory_should_hold(tmp_path, monkeypatch):
    path = saved()(tmp_path)
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    with pytest.raises(
        InputError, match=r"unpacks to 0\.0 GiB; 0 GiB are allowed\. Keep fewer or smaller images"
    ):
        load(str(path))


def test_at_least_forty_bad_inputs_are_tried():
    assert len(MADE) + len(NAMES) >= 40
