"""Bad ``.npz`` files."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from cases import Case, Make, pipe

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1])
NAME = "a.npz"


def saved(**changes: object) -> Make:
    """A file of MedMNIST's layout with some arrays replaced, added, or (None) left out."""
    arrays = {"train_images": IMAGES, "train_labels": LABELS, **changes}

    def make(folder: Path) -> None:
        np.savez(folder / NAME, **{key: value for key, value in arrays.items() if value is not None})

    return make


def real(folder: Path) -> None:
    """``real.npz``: good images in three splits, 16×16, of known patients."""
    rng = np.random.default_rng(5)
    arrays: dict[str, np.ndarray] = {"class_names": np.array(["narrow", "wide"])}
    for number, split in enumerate(("train", "val", "test")):
        arrays[f"{split}_images"] = rng.integers(0, 256, (120, 16, 16), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(120) % 3 // 2
        arrays[f"{split}_patients"] = np.arange(120) + 1000 * number
    np.savez(folder / "real.npz", **arrays)


def content(name: str, data: bytes) -> Make:
    return lambda folder: (folder / name).write_bytes(data)


def header(shape: tuple[int, ...], descr: object = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def raw_header(text: str, version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text) + 1)
    return b"\x93NUMPY" + version + length + text.encode() + b"\n"


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.npy", body)
    return file.getvalue()


def member(body: bytes, compression: int = zipfile.ZIP_STORED) -> Make:
    """A file of the layout whose ``train_images`` is these bytes."""
    labels = header((4,)) + bytes(LABELS.astype(np.uint8))
    return content(NAME, packed({"train_images": body, "train_labels": labels}, compression))


def broken(change: object) -> Make:
    """A whole file with its bytes changed."""

    def make(folder: Path) -> None:
        saved()(folder)
        path = folder / NAME
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def _flipped(data: bytearray) -> bytearray:
    data[300] ^= 255  # inside the first array
    return data


def _encrypted(data: bytearray) -> bytearray:
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    return data


def _pickled(folder: Path) -> None:
    np.savez(
        folder / NAME, train_images=np.array([Trap(folder / "unpickled")], object), train_labels=LABELS[:1]
    )


class Trap:
    """Writes a file when it is unpickled, so that a test can tell."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def lying(size: int, shape: tuple[int, ...], *, packed_size: int | None = None) -> Make:
    """The zip's directory and the array's header agree on a size that the data do not have."""
    body, labels = header(shape) + bytes(10), header((4,)) + bytes(4)
    data = bytearray(packed({"train_images": body, "train_labels": labels}))
    place = data.find(b"PK\x01\x02")
    if packed_size is not None:
        data[place + 20 : place + 24] = struct.pack("<I", packed_size)
    data[place + 24 : place + 28] = struct.pack("<I", len(header(shape)) + size)
    return content(NAME, bytes(data))


def bomb(shape: tuple[int, ...], key: str = "train_images") -> Make:
    """An array of zeros, as large as its header says, packed a thousand times smaller."""

    def make(folder: Path) -> None:
        packer, head = zlib.compressobj(9, zlib.DEFLATED, -15), header(shape)
        start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
        piece = packer.compress(bytes(2**24)) + packer.flush(
            zlib.Z_FULL_FLUSH
        )  # may be repeated after a full flush
        size = int(np.prod(shape))
        end = packer.compress(bytes(size % 2**24)) + packer.flush()
        # without its checksum, which takes seconds to compute: it is refused before anything is unpacked
        _write_zip(
            folder / NAME, f"{key}.npy".encode(), start + piece * (size // 2**24) + end, len(head) + size
        )

    return make


def _write_zip(path: Path, name: bytes, body: bytes, size: int) -> None:
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(body), size, len(name), 0)
    local = b"PK\x03\x04" + common + name + body
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train_labels.npy", header((4,)) + bytes(4))


MAKERS: dict[str, tuple[Make, str]] = {
    "missing": (lambda _: None, r"There is no file 'a\.npz'. Check the path"),
    "empty": (content(NAME, b""), r"damaged or not an \.npz file"),
    "text": (content(NAME, b"path,label\n"), r"damaged or not an \.npz file"),
    "an .npy": (content(NAME, header((1,)) + b"1"), r"damaged or not an \.npz file"),
    "cut off": (broken(lambda data: data[: len(data) // 2]), r"damaged or not an \.npz file"),
    "flipped byte": (broken(_flipped), r"damaged or not an \.npz file"),
    "no members": (content(NAME, b"PK\5\6" + bytes(18)), r"no 'train_images'; it holds: nothing"),
    "other keys": (saved(train_images=None, x=IMAGES), r"no 'train_images'; it holds: train_labels, x\."),
    "thousands of other keys": (
        content(NAME, packed({f"array_{number}": b"" for number in range(3000)})),
        r"no 'train_images'; it holds: array_0, .* and 2,\d+ more",
    ),
    "keys of control characters": (
        content(NAME, packed({"\x1b[31m\n": b""})),
        r"no 'train_images'; it holds: \\x1b\[31m\\x0a",
    ),
    "no labels": (saved(train_labels=None), r"'train_images' but no 'train_labels'"),
    "labels of no images": (saved(val_labels=LABELS), r"'val_labels' but no 'val_images'"),
    "patients of no images": (saved(test_patients=LABELS), r"'test_patients' but no 'test_images'"),
    "pickled objects": (_pickled, r"'train_images' holds Python objects, which are never loaded"),
    "no array": (member(b"hello"), r"'train_images' is not a NumPy array"),
    "unknown version": (member(b"\x93NUMPY\x09\0" + bytes(90)), r"'train_images' is not a NumPy array"),
    "code in the header": (
        member(raw_header("__import__('os').getcwd()")),
        r"'train_images' is not a NumPy array",
    ),
    "nested header": (member(raw_header("-" * 9000 + "1")), r"'train_images' is not a NumPy array"),
    "half a header of Python 2": (
        member(raw_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4L,")),
        r"'train_images' is not a NumPy array",
    ),
    "endless header": (
        member(b"\x93NUMPY\2\0\xff\xff\xff\xff" + b" " * 99),
        r"'train_images' is not a NumPy array",
    ),
    "old type name": (
        member(raw_header("{'descr': 'a4', 'fortran_order': False, 'shape': (4,)}") + bytes(16)),
        r"type \|S4; uint8",
    ),
    "more data than the shape": (member(header((0, 16, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "shape past the data": (
        member(header((9, 16, 16)) + bytes(10)),
        r"declares shape \(9, 16, 16\) of uint8, 2,304 bytes, but holds 10",
    ),
    "absurd shape": (member(header((2**60, 16, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "shape past 64 bits": (member(header((2**40, 2**40, 16)) + bytes(10)), r"declares shape .* but holds 10"),
    "negative shape": (member(header((-1, 16, 16)) + bytes(256)), r"declares shape"),
    "shape of words": (
        member(raw_header("{'descr': '|u1', 'fortran_order': False, 'shape': ('a',)}")),
        r"'train_images' is not a NumPy array",
    ),
    "directory that lies about the size": (
        lying(1024, (4, 16, 16)),
        r"'train_images' cannot be read .*damaged",
    ),
    "directory that promises gigabytes": (lying(2**31, (2**23, 16, 16)), r"'train_images' .*2\.0 GiB"),
    "directory that lies twice": (
        lying(2**31, (2**23, 16, 16), packed_size=2**30),
        r"'train_images' .*packed .*than the file",
    ),
    "zip bomb": (bomb((2**21, 28, 28)), r"'train_images' .*1\.5 GiB"),
    "bomb of a single image": (bomb((1, 2**15, 2**15)), r"'train_images' .*1\.0 GiB"),
    "a pipe": (pipe(NAME), r"is a pipe, a socket or a device"),
    "packed with bzip2": (member(b"x" * 99, zipfile.ZIP_BZIP2), r"packed in a way NumPy doesn't write"),
    "encrypted": (broken(_encrypted), r"'train_images' is encrypted"),
    "floats": (saved(train_images=IMAGES / 255), r"type float64; uint8 .*0…255.*astype"),
    "NaN": (saved(train_images=np.full((4, 16, 16), np.nan, np.float32)), r"type float32; uint8"),
    "signed": (saved(train_images=IMAGES.astype(np.int8)), r"type int8; uint8"),
    "16 bits": (saved(train_images=IMAGES.astype(np.uint16)), r"type uint16; uint8"),
    "complex": (saved(train_images=IMAGES * 1j), r"type complex128; uint8"),
    "records": (saved(train_images=np.zeros(4, [("a", "u1")])), r"type \[\('a', 'u1'\)\]; uint8"),
    "one image": (saved(train_images=IMAGES[0]), r"shape \(16, 16\); \(N, H, W\)"),
    "two channels": (saved(train_images=np.stack([IMAGES] * 2, -1)), r"shape \(4, 16, 16, 2\)"),
    "channels first": (saved(train_images=np.stack([IMAGES] * 3, 1)), r"shape \(4, 3, 16, 16\)"),
    "no images": (saved(train_images=IMAGES[:0], train_labels=LABELS[:0]), r"hold no image"),
    "no pixels": (saved(train_images=IMAGES[:, :0]), r"train: Images are 0×16 pixels; 16 to 224"),
    "too small": (saved(train_images=IMAGES[:, :15]), r"train: Images are 15×16 pixels; 16 to 224"),
    "too large": (saved(train_images=np.zeros((4, 225, 225), np.uint8)), r"225×225 pixels; .*--size N"),
    "mixed sizes": (saved(val_images=IMAGES.repeat(2, 1), val_labels=LABELS), r"'val' images are"),
    "float labels": (saved(train_labels=LABELS / 1), r"'train_labels' have type float64; whole numbers"),
    "labels of NaN": (saved(train_labels=np.array([0, 1, np.nan, 0])), r"'train_labels' have type float64"),
    "text labels": (saved(train_labels=np.array(["a", "b", "a", "b"])), r"'train_labels' have type <U1"),
    "too few labels": (saved(train_labels=LABELS[:3]), r"'train_labels' are 3, the images 4"),
    "labels in 3D": (saved(train_labels=LABELS.reshape(4, 1, 1)), r"shape \(4, 1, 1\); \(N,\)"),
    "no label columns": (saved(train_labels=np.zeros((4, 0), int)), r"shape \(4, 0\)"),
    "negative label": (saved(train_labels=LABELS - 1), r"run from -1 to 0; 0 to 999 are allowed"),
    "multi-label 2": (saved(train_labels=np.array([[0, 2]] * 4)), r"run from 0 to 2; 0 to 1 are allowed"),
    "huge label": (saved(train_labels=LABELS * 10**6), r"run from 0 to 1000000; 0 to 999 are allowed"),
    "huge unsigned label": (
        saved(train_labels=LABELS.astype(np.uint64) * 2**63),
        r"run from 0 to 9223372036854775808",
    ),
    "label shapes differ": (
        saved(val_images=IMAGES, val_labels=np.eye(4, 3, dtype=int)),
        r"labels of the splits differ in shape: train \(4,\), val \(4, 3\)",
    ),
    "too few names": (saved(class_names=np.array(["a"])), r"'class_names' are 1, but the labels need 2"),
    "too many names": (
        saved(train_labels=np.eye(4, 3, dtype=int), class_names=np.array(["a", "b", "c", "d"])),
        r"'class_names' are 4, but the labels need 3",
    ),
    "names are numbers": (saved(class_names=np.array([1, 2])), r"'class_names' are int64 .*strings"),
    "names in 2D": (saved(class_names=np.array([["a", "b"]])), r"'class_names' are <U1 of shape \(1, 2\)"),
    "names not UTF-8": (saved(class_names=np.array([b"a", b"\xff"])), r"'class_names' are not UTF-8"),
    "empty name": (saved(class_names=np.array(["a", " "])), r"A class has no name"),
    "equal names": (saved(class_names=np.array(["a", "a"])), r"Class names repeat: a, a"),
    "equal names of a megabyte": (saved(class_names=np.array(["a" * 2**20] * 2)), r"Class names repeat: aaa"),
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

CASES = [
    Case(f".npz: {name}", make, ("data", "show", NAME), says, NAME) for name, (make, says) in MAKERS.items()
]
