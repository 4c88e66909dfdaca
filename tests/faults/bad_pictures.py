"""Bad folders, and bad pictures in good folders."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cases import Case, Make, pipe
from PIL import Image


def picture(shape: tuple[int, ...] = (20, 24), kind: object = np.uint8) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape).astype(kind))


def tree(files: dict[str, object], folders: tuple[str, ...] = ()) -> Make:
    """Pictures, bytes, links (text) or pipes (None) by their paths below the folder ``s``, and empty folders."""

    def make(folder: Path) -> None:
        for name in ("", *folders):
            (folder / "s" / name).mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            path = folder / "s" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(value, bytes):
                path.write_bytes(value)
            elif isinstance(value, str):
                path.symlink_to(value)
            elif value is None:
                os.mkfifo(path)
            else:
                value.save(path)

    return make


def one(name: str, write: Callable[[Path], object]) -> Make:
    """A folder with one picture, which ``write`` makes."""

    def make(folder: Path) -> None:
        (folder / "s" / "a").mkdir(parents=True)
        write(folder / "s" / "a" / name)

    return make


def _many_classes(folder: Path) -> None:
    names = [f"train/class {number}" for number in range(300)]
    for name in (*names, "val/class x"):
        (folder / "s" / name).mkdir(parents=True)
        (folder / "s" / name / "1.png").touch()


OK = picture()
FOLDERS: dict[str, tuple[Make, str, str]] = {
    "nothing in it": (tree({}), r"has no sub-folder\. Make one sub-folder a class", "'s'"),
    "pictures without class": (tree({"a.png": OK}), r"lies outside the class folders", "s/a.png"),
    "pictures beside classes": (tree({"a.png": OK, "b/a.png": OK}), r"outside the class folders", "s/a.png"),
    "empty class": (tree({"a/1.png": OK}, ("b",)), r"'s/b' holds no picture", "s/b"),
    "too deep": (tree({"a/1.png": OK}, ("a/x",)), r"is a folder inside a class folder", "s/a/x"),
    "splits beside classes": (
        tree({"train/a/1.png": OK, "b/1.png": OK}),
        r"the sub-folders b, train: .*b would be classes",
        "'s'",
    ),
    "no training folder": (tree({"val/a/1.png": OK, "test/a/1.png": OK}), r"train is missing", "'s'"),
    "empty split": (tree({"train/a/1.png": OK}, ("test",)), r"has no sub-folder", "s/test"),
    "class that train lacks": (
        tree({"train/a/1.png": OK, "test/b/1.png": OK}),
        r"'s/test/b' is a class that 'train' does not have \(it has a\)",
        "s/test/b",
    ),
    "class that 300 others are not": (
        _many_classes,
        r"is a class that 'train' does not have .* and 290 more",
        "s/val/class x",
    ),
    "text": (tree({"a/1.txt": b"hello"}), r"is not a picture; PNG, JPEG, TIFF and DICOM", "s/a/1.txt"),
    "text called .png": (tree({"a/1.png": b"hello"}), r"cannot be read as PNG, JPEG or TIFF", "s/a/1.png"),
    "empty file": (tree({"a/1.png": b""}), r"cannot be read as PNG", "s/a/1.png"),
    "no suffix, no picture": (tree({"a/1": b"hello" * 99}), r"cannot be read as PNG", "s/a/1"),
    "link out": (tree({"a/1.png": "/etc/hostname"}), r"is a link that leads out of", "s/a/1.png"),
    "folder linked out": (tree({"a": "/etc"}), r"is a link that leads out of", "s/a"),
    "link in a circle": (tree({"a/1.png": "1.png"}), r"is a link that leads in a circle", "s/a/1.png"),
    "link to nothing": (tree({"a/1.png": "2.png"}), r"is not a regular file", "s/a/1.png"),
    "pipe": (pipe("s/a/1.png"), r"is not a regular file", "s/a/1.png"),
    "control characters in a name": (
        tree({"a/\x1b]0;x\x07\n.png": b"no"}),
        r"\\x1b\]0;x\\x07\\x0a\.png' cannot be read",
        "s/a/",
    ),
    "name that is not UTF-8": (tree({"a/\udcff.png": b"no"}), r"\\xdcff\.png' cannot be read", "s/a/"),
    "sizes differ": (
        tree({"a/1.png": OK, "b/1.png": picture((24, 24))}),
        r"'s/a/1\.png' is 20×24 pixels, 's/b/1\.png' 24×24\. Give --size N \(16 to 224\)",
        "s/b/1.png",
    ),
    "too large": (
        tree({"a/1.png": picture((20, 225))}),
        r"is 20×225 pixels; 16 to 224 a side .*Give --size N",
        "s/a/1.png",
    ),
    "too small": (tree({"a/1.png": picture((15, 20))}), r"is 15×20 pixels; .*--size N", "s/a/1.png"),
    "grey and colour": (
        tree({"a/1.png": OK, "a/2.png": picture((20, 24, 3))}),
        r"Some pictures are grey \('s/a/1\.png'\), others have colours \('s/a/2\.png'\)",
        "s/a/2.png",
    ),
}


def _half(path: Path) -> None:
    picture((200, 200)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _chunk(body: bytes) -> bytes:
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, bits: int = 8, kind: int = 0, before: bytes = b"", rows: int = 0) -> bytes:
    """A PNG file that says it is so large, with so many rows of zeros in it."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    packer, row = zlib.compressobj(9), bytes(1 + width * channels * bits // 8)
    body = b"".join([packer.compress(row) for _ in range(rows)]) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(ihdr) + before + _chunk(b"IDAT" + body) + _chunk(b"IEND")


def tiff(tags: dict[int, tuple[int, int]], body: bytes = b"") -> bytes:
    """A little-endian TIFF file of these tags (number → type and value) and a strip of data at byte 8."""
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items())
    )
    place = 8 + len(body) + len(body) % 2
    return (
        b"II*\0"
        + struct.pack("<I", place)
        + body.ljust(place - 8, b"\0")
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


def grey_tiff(width: int, height: int, body: bytes, **more: tuple[int, int]) -> bytes:
    """A grey 8-bit TIFF in one strip, packed with Deflate."""
    tags = {
        256: (4, width),
        257: (4, height),
        258: (3, 8),
        259: (3, 8),
        262: (3, 1),
        273: (4, 8),
        277: (3, 1),
    }
    tags |= {278: (4, height), 279: (4, len(body))}
    return tiff(tags | {int(name[1:]): value for name, value in more.items()}, body)


def _huge_tiles() -> bytes:
    body = zlib.compress(bytes(64))
    tags = {256: (4, 64), 257: (4, 64), 258: (3, 8), 259: (3, 8), 262: (3, 1), 277: (3, 1)}
    tags |= {322: (4, 32768), 323: (4, 32768), 324: (4, 8), 325: (4, len(body))}
    return tiff(tags, body)


def _see_through(path: Path) -> None:
    image = picture().convert("LA")
    image.putpixel((3, 3), (9, 254))
    image.save(path)


def _text_bomb() -> bytes:
    return _chunk(b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(2**29), 9))


def _animated(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[Image.new("L", (24, 20))])


def _pages(path: Path) -> None:
    picture().save(path, save_all=True, append_images=[picture()] * 2)


def written(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


PICTURES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "half a PNG": ("1.png", _half, r"cannot be read as PNG, JPEG or TIFF"),
    "PNG of 50,000×50,000 pixels": (
        "1.png",
        written(png(50000, 50000)),
        r"more than 33,554,432 pixels.*Resample",
    ),
    "PNG bomb of 90 million pixels": (
        "1.png",
        written(png(9000, 10000, 1, rows=10000)),
        r"10000×9000 pixels.*Resample",
    ),
    "PNG bomb of 36 million deep pixels": (
        "1.png",
        written(png(6000, 6000, 16, rows=6000)),
        r"6000×6000 pixels.*Resample",
    ),
    "PNG bomb of colours and alpha": (
        "1.png",
        written(png(6000, 6000, 8, 6, rows=6000)),
        r"6000×6000 pixels.*Resample",
    ),
    "PNG without pixels": ("1.png", written(png(0, 20)), r"cannot be read as PNG"),
    "PNG with a text of 512 MiB": (
        "1.png",
        written(png(20, 20, before=_text_bomb(), rows=20)),
        r"cannot be read as PNG",
    ),
    "TIFF with a tile of 1 GiB": ("1.tif", written(_huge_tiles()), r"cannot be read as PNG"),
    "TIFF bomb": (
        "1.tif",
        written(grey_tiff(60000, 60000, zlib.compress(bytes(10**6)))),
        r"more than 33,554,432 pixels.*Resample",
    ),
    "TIFF whose strip lies outside": (
        "1.tif",
        written(grey_tiff(20, 20, zlib.compress(bytes(400)), t273=(4, 2**31))),
        r"cannot be read as PNG",
    ),
    "TIFF that is too short": (
        "1.tif",
        written(grey_tiff(64, 64, zlib.compress(bytes(40)))),
        r"cannot be read as PNG",
    ),
    "TIFF of no colour kind": (
        "1.tif",
        written(grey_tiff(20, 20, zlib.compress(bytes(400)), t262=(3, 999))),
        r"cannot be read as PNG",
    ),
    "transparent": ("1.png", _see_through, r"is partly transparent"),
    "transparent colour": (
        "1.png",
        lambda path: picture().save(path, transparency=int(np.asarray(picture())[0, 0])),
        r"is partly transparent",
    ),
    "animated PNG": ("1.png", _animated, r"holds 2 pictures \(pages or an animation\)"),
    "TIFF of pages": ("1.tif", _pages, r"holds 3 pictures"),
    "CMYK JPEG": (
        "1.jpg",
        lambda path: picture((20, 24, 3)).convert("CMYK").save(path),
        r"colour mode CMYK; grey and RGB",
    ),
    "CMYK TIFF": (
        "1.tif",
        lambda path: picture((20, 24, 3)).convert("CMYK").save(path),
        r"colour mode CMYK; grey and RGB",
    ),
    "Lab TIFF": (
        "1.tif",
        lambda path: Image.new("LAB", (24, 20)).save(path),
        r"colour mode LAB; grey and RGB",
    ),
    "floats": ("1.tif", lambda path: picture(kind=np.float32).save(path), r"colour mode F"),
    "NaN": (
        "1.tif",
        lambda path: Image.fromarray(np.full((20, 24), np.nan, np.float32)).save(path),
        r"colour mode F",
    ),
    "signed 32 bits": ("1.tif", lambda path: picture(kind=np.int32).save(path), r"has 32-bit .*Convert"),
    "GIF called PNG": ("1.png", lambda path: picture().save(path, format="GIF"), r"cannot be read as PNG"),
    "GIF": ("1.gif", lambda path: picture().save(path), r"is not a picture; PNG"),
    "cut JPEG": (
        "1.jpg",
        lambda path: (picture((99, 99)).save(path), path.write_bytes(path.read_bytes()[:700])),
        r"cannot be read as PNG",
    ),
    "JPEG that says it is larger": (
        "1.jpg",
        lambda path: (
            picture((99, 99)).save(path),
            path.write_bytes(
                path.read_bytes().replace(struct.pack(">HH", 99, 99), struct.pack(">HH", 60000, 60000))
            ),
        ),
        r"more than 33,554,432 pixels.*Resample",
    ),
}

CASES = [
    *[
        Case(f"folder: {name}", make, ("data", "show", "s"), says, names)
        for name, (make, says, names) in FOLDERS.items()
    ],
    *[
        Case(f"picture: {name}", one(file, write), ("data", "show", "s", "--size", "28"), says, f"s/a/{file}")
        for name, (file, write, says) in PICTURES.items()
    ],
]
