"""Bad CSV manifests and ``metadata.csv`` files."""

import os
from pathlib import Path

from bad_npz import real
from bad_pictures import picture
from cases import Case, Make, pipe


def beside_pictures(name: str, text: str | bytes) -> Make:
    """A CSV file beside two pictures, in the folder ``data``."""

    def make(folder: Path) -> None:
        data = folder / "data"
        data.mkdir()
        picture().save(folder / "outside.png")
        for file in ("a.png", "b.png"):
            picture().save(data / file)
        (data / "out.png").symlink_to("../outside.png")
        (data / "loop.png").symlink_to("loop.png")
        real(folder)
        (data / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def _sparse(folder: Path) -> None:
    beside_pictures("list.csv", b"path,label\n")(folder)
    os.truncate(folder / "data" / "list.csv", 10 * 2**30)


def _linked(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "list.csv").symlink_to("list.csv")


def _missing(folder: Path) -> None:
    (folder / "data").mkdir()


MANIFESTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"no column 'path'; its first line is ''"),
    "header alone": ("path,label\n", r"lists no image"),
    "no header": ("a.png,x\nb.png,y\n", r"no column 'path'; its first line is 'a\.png,x'"),
    "header of a megabyte": (("x" * 1000 + ",") * 1000, r"no column 'path'; its first line is 'xxx"),
    "no label column": ("path,class\na.png,x\n", r"no column 'label'"),
    "semicolons": ("path;label\na.png;x\n", r"no column 'path'; .*part values by commas"),
    "column twice": ("path,label,label\na.png,x,y\n", r"called 'label'"),
    "column without name": ("path,label,\na.png,x,y\n", r"a column without a name"),
    "UTF-16": ("path,label\na.png,x\n".encode("utf-16"), r"is not UTF-8 text .*Save it as 'CSV UTF-8'"),
    "Latin-1": ("path,label\na.png,Ödem\n".encode("latin-1"), r"is not UTF-8 text"),
    "binary": (bytes(range(256)) * 9, r"is not UTF-8 text"),
    "zeros": (bytes(5000), r"no column 'path'"),
    "open quote": ('path,label\na.png,"x\n', r"line \d is no plain CSV"),
    "field of a megabyte": (f"path,label\na.png,{'x' * 2**20}\n", r"line \d is no plain CSV"),
    "too many values": ("path,label\na.png,x,y\n", r"line 2 does not have 2 values as the header has, but 3"),
    "too few values": (
        "path,label\na.png,x\nb.png\n",
        r"line 3 does not have 2 values as the header has, but 1",
    ),
    "no path": ("path,label\n,x\n", r"line 2: the path is ''"),
    "control characters": ("path,label\na\x1b[31m.png,x\n", r"line 2: the path is 'a\\x1b\[31m\.png'"),
    "NUL in a path": ("path,label\na\0.png,x\n", r"line 2: "),
    "missing file": ("path,label\na.png,x\n\nc.png,y\n", r"line 4: there is no file 'c\.png' in 'data'"),
    "absolute path": ("path,label\n/etc/hostname,x\n", r"line 2: '/etc/hostname' is an absolute path"),
    "Windows drive": ("path,label\nC:\\x.png,x\n", r"line 2: 'C:\\x\.png' is an absolute path"),
    "network share": ("path,label\n\\\\host\\x.png,x\n", r"line 2: .* is an absolute path"),
    "file above": ("path,label\n../outside.png,x\n", r"line 2: '\.\./outside\.png' leads out of 'data'"),
    "link out": ("path,label\nout.png,x\n", r"line 2: 'out\.png' leads out of 'data'"),
    "picture in a circle": (
        "path,label\nloop.png,x\n",
        r"line 2: 'loop\.png' is a link that leads in a circle",
    ),
    "path of 5,000 characters": (f"path,label\n{'a' * 5000},x\n", r"line 2: 'a+…a+' cannot be looked up"),
    "a folder as a picture": ("path,label\n.,x\n", r"line 2: there is no file '\.'"),
    "same file twice": ("path,label\na.png,x\nb.png,x\n./a.png,y\n", r"lines 2 and 4 list the same file"),
    "label missing": ("path,label\na.png,x\nb.png,\n", r"line 3: label '' is empty"),
    "label in part empty": ("path,label\na.png,x|\n", r"line 2: label 'x\|' is empty, in part empty"),
    "label repeated": ("path,label\na.png,x|x\n", r"line 2: label 'x\|x' .* repeats itself"),
    "no labels at all": ("path,label\na.png,|\n", r"line 2: label '\|'"),
    "patient missing": (
        "path,label,patient\na.png,x,1\nb.png,x,\n",
        r"line 3: 'patient' is empty\. Fill it in",
    ),
    "split missing": ("path,label,split\na.png,x,train\nb.png,x,\n", r"line 3: 'split' is empty"),
    "unknown split": ("path,label,split\na.png,x,Train\n", r"line 2: split 'Train' is not known"),
    "no training split": ("path,label,split\na.png,x,test\n", r"no line of split 'train'; it has test"),
    "no picture": ("path,label\nlist.csv,x\n", r"data/list\.csv' is not a picture"),
    "a million lines of nothing": ("path,label\n" + "a,b\n" * 10**6, r"line 2: there is no file 'a'"),
}

METADATA: dict[str, tuple[str | bytes, str]] = {
    "no column file_name": (
        "file,label\na.png,x\n",
        r"begins with 'file,label'\. Name the columns file_name",
    ),
    "column twice": ("file_name,label,label\na.png,x,y\n", r"begins with"),
    "no image": ("file_name,label\n", r"lists no image"),
    "not UTF-8": (b"file_name,label\na.png,\xff\n", r"is not UTF-8 text"),
    "open quote": ('file_name,label\na.png,"x\n', r"is no plain CSV"),
    "too few values": ("file_name,label\na.png\n", r"line 2 does not have 2 values"),
    "too many values": ("file_name,label\na.png,x,y\n", r"line 2 does not have 2 values"),
    "Windows drive": ("file_name\nC:\\a.png\n", r"line 2: 'C:\\a\.png' is an absolute path"),
    "path of 5,000 characters": (f"file_name\n{'b' * 5000}\n", r"line 2: 'b+…b+' cannot be looked up"),
    "missing file": ("file_name\nc.png\n", r"line 2: there is no file 'c\.png'"),
    "absolute path": ("file_name\n/etc/hostname\n", r"line 2: '/etc/hostname' is an absolute path"),
    "file above": ("file_name\n../outside.png\n", r"line 2: '\.\./outside\.png' leads out of 'data'"),
    "link out": ("file_name\nout.png\n", r"line 2: 'out\.png' leads out of 'data'"),
    "control characters": ("file_name\n\x1b[31m.png\n", r"line 2: the path is '\\x1b\[31m\.png'"),
    "same file twice": ("file_name\na.png\na.png\n", r"line 3 lists the same file as line 2"),
    "empty label": ("file_name,label\na.png,x\nb.png,\n", r"line 3: the label is empty"),
}

CASES = [
    Case("CSV: missing", _missing, ("data", "show", "data/list.csv"), r"There is no file", "data/list.csv"),
    Case(
        "CSV: link in a circle",
        _linked,
        ("data", "show", "data/list.csv"),
        r"cannot be read: ",
        "data/list.csv",
    ),
    Case(
        "CSV: 10 GiB of zeros", _sparse, ("data", "show", "data/list.csv"), r"has 10\.0 GiB", "data/list.csv"
    ),
    Case(
        "CSV: a pipe", pipe("data/list.csv"), ("data", "show", "data/list.csv"), r"is a pipe", "data/list.csv"
    ),
    *[
        Case(
            f"CSV: {name}",
            beside_pictures("list.csv", text),
            ("data", "show", "data/list.csv"),
            says,
            "data/list.csv",
        )
        for name, (text, says) in MANIFESTS.items()
    ],
    *[
        Case(
            f"metadata.csv: {name}",
            beside_pictures("metadata.csv", text),
            ("likeness", "data", "real.npz"),
            says,
            "data/metadata.csv",
        )
        for name, (text, says) in METADATA.items()
    ],
]
