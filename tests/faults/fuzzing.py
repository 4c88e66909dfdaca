"""Files that are almost right, drawn by hypothesis, and the readers that meet them."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bad_generators import good
from bad_npz import packed, raw_header
from bad_pictures import picture
from hypothesis import strategies as st

from healthgan.protocol import load_protocol, names, to_toml
from healthgan.records import sealed

Draw = Callable[[st.SearchStrategy[Any]], Any]
Read = Callable[[Path], object]

small = st.integers(-3, 40) | st.sampled_from([2**31, 2**63, 2**70, -(2**40)])
words = st.text(max_size=8) | st.sampled_from(
    ["train", "a.png", "../a.png", "/etc/hostname", "x|y", "\x1b[31m", "é"]
)
json_values = st.recursive(
    st.none() | st.booleans() | small | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: Draw, data: bytes) -> bytes:
    """The bytes with a few of them changed, and cut off somewhere or not."""
    body = bytearray(data)
    places = st.integers(0, max(0, len(body) - 1))
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)) if body else []:
        body[place] = value
    return bytes(body[: draw(st.just(len(body)) | st.integers(0, len(body)))])


KEYS = [f"{split}_{kind}" for split in ("train", "val", "test") for kind in ("images", "labels", "patients")]
TYPES = [
    "|u1",
    "<i8",
    "<f4",
    "|b1",
    "|O",
    "<U3",
    "|S2",
    ">u2",
    "<M8[s]",
    "|V3",
    "<c8",
    "a4",
    "",
    "|u9",
    ",",
    [["a", "<u1"]],
    7,
]


@st.composite
def arrays(draw: Draw) -> bytes:
    """An array as NumPy saves it, or with a header that may say anything."""
    kind = draw(st.sampled_from(["array", "header", "text", "bytes"]))
    if kind == "array":
        shape = draw(
            st.sampled_from([(4, 16, 16), (4, 16, 16, 3), (4,), (4, 1), (4, 2), (0, 16, 16), (4, 15, 16), ()])
        )
        dtype = draw(st.sampled_from([np.uint8, np.int64, np.float32, np.bool_, "U3", "S2"]))
        return _saved(np.zeros(shape, np.int64).astype(dtype))
    body = draw(st.binary(max_size=40) | st.just(bytes(1024)))
    if kind == "header":
        said = {
            "descr": draw(st.sampled_from(TYPES)),
            "fortran_order": draw(st.booleans() | st.none()),
            "shape": draw(st.tuples(small) | st.tuples(small, small, small) | st.just(()) | words),
        }
        return raw_header(repr(said), draw(st.sampled_from([b"\1\0", b"\2\0", b"\3\0"]))) + body
    if kind == "text":
        return raw_header(draw(st.text(max_size=60))) + body
    return body


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


RIGHT = {
    "train_images": _saved(np.zeros((4, 16, 16), np.uint8)),
    "train_labels": _saved(np.array([0, 1, 0, 1])),
    "train_patients": _saved(np.arange(4)),
    "class_names": _saved(np.array(["a", "b"])),
}


@st.composite
def npz_files(draw: Draw) -> bytes:
    """A zip archive of arrays: right ones, some replaced, added or left out; its directory may lie, its bytes be damaged."""
    keys = st.sampled_from([*RIGHT, *KEYS, "images", "labels", "card", "x"])
    changes = draw(st.dictionaries(keys, arrays() | st.none(), max_size=2))
    members = {key: value for key, value in {**RIGHT, **changes}.items() if value is not None}
    data = packed(members, draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    if members and draw(st.booleans()):
        # flags, packing, checksum, sizes, lengths, place of the first entry of the directory
        at = data.find(b"PK\x01\x02") + draw(st.sampled_from([8, 10, 16, 20, 24, 28, 42]))
        data = data[:at] + struct.pack("<I", draw(st.integers(0, 2**32 - 1))) + data[at + 4 :]
    return draw(damaged(data)) if draw(st.booleans()) else data


LINES = [["path", "label", "patient", "split"], ["a.png", "x", "p", "train"], ["b.png", "y", "q", "train"]]


@st.composite
def csv_files(draw: Draw) -> bytes:
    """A manifest: a right one, some cells changed, columns and lines added or left out, its bytes perhaps damaged."""
    columns = draw(st.sampled_from([2, 3, 4]))
    lines = [line[:columns] for line in LINES]
    if draw(st.booleans()):
        lines[0][0] = "file_name"  # of metadata.csv
    cells = words | st.sampled_from(["a.png", "b.png", "", '"', "path", "label", "a,b", "x" * 200_000])
    for line, column in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=2)):
        lines[line][column : column + draw(st.integers(0, 1))] = [draw(cells)]
    lines += draw(st.lists(st.lists(cells, max_size=5), max_size=1))
    data = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(map(",".join, lines))
    encoded = data.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])), "replace")
    return draw(damaged(encoded)) if draw(st.booleans()) else encoded


TEXTS = [to_toml(load_protocol(name)) for name in names()]


@st.composite
def toml_files(draw: Draw) -> bytes:
    """A protocol with some lines changed, dropped or put elsewhere."""
    lines = draw(st.sampled_from(TEXTS)).splitlines()
    values = (
        json_values.map(lambda value: json.dumps(value))
        | words
        | st.sampled_from(["nan", "inf", "1e999", "9" * 5000, "[" * 2000, "2020-01-99"])
    )
    for place in draw(st.lists(st.integers(0, len(lines) - 1), max_size=4)):
        change = draw(st.sampled_from(["value", "key", "drop", "repeat", "line"]))
        key, _, value = lines[place].partition(" = ")
        lines[place] = {
            "value": lambda key=key: f"{key} = {draw(values)}",
            "key": lambda value=value: f"{draw(words)} = {value}",
            "drop": lambda: "",
            "repeat": lambda place=place: f"{lines[place]}\n{lines[place]}",
            "line": lambda: draw(words),
        }[change]()
    data = "\n".join(lines).encode("utf-8", "replace")
    return data if draw(st.booleans()) else draw(damaged(data))


@st.composite
def safetensors_files(draw: Draw) -> bytes:
    """A generator whose description, tensors or header were changed."""
    described, tensors = good()
    described = json.loads(json.dumps(described))
    for _ in range(draw(st.integers(0, 2))):
        table = (
            draw(st.sampled_from([described, described["build"], described["facts"]]))
            if isinstance(described.get("build"), dict) and isinstance(described.get("facts"), dict)
            else described
        )
        table[draw(st.sampled_from([*table, "x"]))] = draw(json_values)
    header: dict[str, Any] = {"__metadata__": {"healthgan": json.dumps(described)}}
    body = b""
    for name, value in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + value.nbytes],
        }
        body += value.tobytes()
    for name in draw(st.lists(st.sampled_from(sorted(tensors)), max_size=2, unique=True)):
        entry = {
            "dtype": st.sampled_from(["F64", "I64", "BF16", "x"]),
            "shape": st.lists(small, max_size=3),
            "data_offsets": st.lists(small, max_size=3),
        }
        what = draw(st.sampled_from(sorted(entry)))
        header[name] = {**header[name], what: draw(entry[what])}
    text = json.dumps(header).encode()
    length = draw(st.just(len(text)) | st.integers(0, 2**64 - 1))
    data = struct.pack("<Q", length) + text + body
    return data if draw(st.booleans()) else draw(damaged(data))


@st.composite
def record_files(draw: Draw) -> bytes:
    """Records with and without checksums, some damaged."""
    records = st.dictionaries(words, json_values, max_size=3).map(
        lambda record: {**record, "key": "a"} if len(record) % 2 else record
    )
    lines = [
        draw(st.sampled_from([sealed, lambda record: json.dumps(record).encode() + b"\n"]))(_finite(record))
        for record in draw(st.lists(records, max_size=4))
    ]
    data = b"".join(lines)
    return data if draw(st.booleans()) else draw(damaged(data))


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return json.loads(
        json.dumps(record).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0")
    )


def prepared(folder: Path) -> Path:
    """A folder with what the readers need beside the file."""
    for name in ("a.png", "b.png"):
        picture().save(folder / name)
    return folder


def read_npz(path: Path) -> object:
    from healthgan.sources import load

    return load(str(path))


def read_synthetic(path: Path) -> object:
    from healthgan.sources.synthetic import load_synthetic

    return load_synthetic(path)


def read_metadata(path: Path) -> object:
    from healthgan.sources.imagefolder import read_metadata

    return read_metadata(path)


def read_toml(path: Path) -> object:
    return load_protocol(str(path))


def read_safetensors(path: Path) -> object:
    from healthgan.generators.store import load_generator

    return load_generator(path)


def read_records(path: Path) -> object:
    from healthgan.run import RunFolder

    folder = RunFolder(path.parent)
    folder.finished()
    return folder.mend()


READERS: dict[str, tuple[str, Callable[[], st.SearchStrategy[bytes]], Read]] = {
    ".npz": ("f.npz", npz_files, read_npz),
    "synthetic .npz": ("f.npz", npz_files, read_synthetic),
    "CSV": ("f.csv", csv_files, read_npz),
    "metadata.csv": ("metadata.csv", csv_files, read_metadata),
    "TOML": ("f.toml", toml_files, read_toml),
    "safetensors": ("f.safetensors", safetensors_files, read_safetensors),
    "records": ("records.jsonl", record_files, read_records),
}
"""By what is read: the file's name, how it is drawn, what reads it. Only ``InputError`` may come out."""
