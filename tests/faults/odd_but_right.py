"""Inputs that look odd and are right: each is read, and what was done to it is said."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from bad_csv import beside_pictures
from bad_dicom import PATIENT, VALUES, coded, compressed, write
from bad_npz import IMAGES, LABELS, raw_header, saved
from bad_pictures import one, picture, png, tree
from cases import Make
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit, RLELossless

SHOW = ("data", "show", "s", "--size", "28")


def _rle(path: Path) -> None:
    file = pydicom.dcmread(write(path))
    file.compress(RLELossless)
    file.save_as(path)


def _private(path: Path) -> None:
    """Elements that nobody knows, one in a sequence in a sequence, another that says it has 4 GiB."""
    file = pydicom.dcmread(write(path))
    inner, middle = pydicom.Dataset(), pydicom.Dataset()
    inner.add_new((0x0009, 0x1001), "LO", PATIENT)
    middle.add_new((0x0009, 0x1001), "SQ", [inner])
    file.add_new((0x0009, 0x0010), "LO", PATIENT)
    file.add_new((0x0009, 0x1001), "SQ", [middle])
    file.save_as(path)
    path.write_bytes(path.read_bytes() + b"\x99\x7f\x10\x10UN\0\0\xf0\xff\xff\xff" + PATIENT.encode())


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(path, exif=exif)


def _opaque(path: Path) -> None:
    picture().convert("LA").save(path)


def _palette(path: Path) -> None:
    picture((20, 24, 3)).quantize(16).save(path)


def _grey_rgb(path: Path) -> None:
    picture().convert("RGB").save(path)


def _old_header(folder: Path) -> None:
    """An array whose header was written by Python 2."""
    import zipfile

    header = raw_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4L, 16L, 16L)}")
    labels = io.BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("train_images.npy", header + IMAGES.tobytes())
        archive.writestr("train_labels.npy", labels.getvalue())


def _picture(name: str, make: Callable[[Path], object]) -> tuple[Make, tuple[str, ...]]:
    return one(name, make), SHOW


_DICOM = "1.dcm"
CASES: dict[str, tuple[Make, tuple[str, ...], str]] = {
    "DICOM: MONOCHROME1": (
        *_picture(_DICOM, lambda path: write(path, PhotometricInterpretation="MONOCHROME1")),
        "MONOCHROME1 inverted",
    ),
    "DICOM: signed, with a window": (
        *_picture(
            _DICOM, lambda path: write(path, VALUES.astype(np.int16) - 1024, WindowCenter=40, WindowWidth=400)
        ),
        "first VOI window",
    ),
    "DICOM: without suffix": (*_picture("IM0001", write), "from its darkest"),
    "DICOM: RLE": (*_picture(_DICOM, _rle), "from its darkest"),
    "DICOM: JPEG": (
        *_picture(_DICOM, compressed(JPEGBaseline8Bit, coded((18, 20), "JPEG"))),
        "from its darkest",
    ),
    "DICOM: hostile private elements": (*_picture(_DICOM, _private), "from its darkest"),
    "picture: 16 bits": (
        *_picture("1.png", lambda path: picture(kind=np.uint16).save(path)),
        "16-bit grey scaled",
    ),
    "picture: 5,000×5,000, 16 bits": (
        *_picture("1.png", lambda path: path.write_bytes(png(5000, 5000, 16, rows=5000))),
        "16-bit grey scaled",
    ),
    "picture: 1 bit": (*_picture("1.png", lambda path: picture().convert("1").save(path)), "brought to 28"),
    "picture: palette": (*_picture("1.png", _palette), "RGB"),
    "picture: opaque alpha": (*_picture("1.png", _opaque), "grey"),
    "picture: grey stored as RGB": (*_picture("1.png", _grey_rgb), "read as grey"),
    "picture: turned by EXIF": (*_picture("1.jpg", _turned), "turned upright"),
    "folder: hidden files": (
        tree({"a/1.png": picture(), "a/.DS_Store": b"x", ".git/config": b"x"}),
        (*SHOW, "--json"),
        '"images": 1,',
    ),
    "folder: link inside": (
        tree({"a/1.png": picture(), "a/2.png": "1.png"}),
        (*SHOW, "--json"),
        '"images": 2,',
    ),
    "CSV: BOM, CRLF, several labels and further columns": (
        beside_pictures("list.csv", b"\xef\xbb\xbfpath,label,sex\r\na.png,x|y,F\r\n\r\nb.png,,M\r\n"),
        ("data", "show", "data/list.csv"),
        "Further columns: sex",
    ),
    ".npz: a header of Python 2": (_old_header, ("data", "show", "a.npz"), "16×16 pixels"),
    ".npz: one image": (
        saved(train_images=IMAGES[:1], train_labels=LABELS[:1]),
        ("data", "show", "a.npz"),
        "16×16",
    ),
    ".npz: further arrays": (saved(more=IMAGES / 2), ("data", "show", "a.npz"), "not used: more"),
}
