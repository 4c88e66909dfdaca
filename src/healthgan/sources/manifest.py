"""CSV manifests: ``path,label[,patient][,split]`` and any further columns, one image a line.

Paths are relative to the folder of the CSV and stay inside it. Where an image has several labels they are
parted by ``|``; in such a file an empty label means none. Space around a value is dropped. Further columns
go into ``ImageSet.columns`` as text.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.sources.gather import gather
from healthgan.sources.lines import listed_file, opened_csv
from healthgan.sources.npz import codes

KNOWN = ("path", "label", "patient", "split")
ANY = frozenset({"manifest", "metadata", "labels", "images", "data", "index"})
"""Names of files that say nothing of what they list: the folder's says more."""


@dataclass(frozen=True)
class _Row:
    line: int
    file: Path
    values: dict[str, str]


def read_manifest(path: Path, *, size: int | None = None, progress: bool = True) -> Collection:
    """Read the pictures that a CSV file lists.

    Args:
        path: the CSV file, in UTF-8.
        size: bring every picture to size × size; needed where they differ in size or are too large.
        progress: draw a bar on stderr, if that is a terminal.

    Raises:
        InputError: the CSV or a file it lists can't be used; the message names the line or the file.
    """
    header, rows = _read_rows(path)
    splits = _splits(path, header, rows)
    labels, names = _labels(path, rows)
    patients = _column(path, rows, "patient") if "patient" in header else None
    pixels, dicom_patients, notes = gather([row.file for row in rows], size, progress)
    patients = patients or dicom_patients
    whole = ImageSet(
        pixels,
        labels,
        names,
        None if patients is None else codes(np.array(patients)),
        {name: np.array([row.values[name] for row in rows]) for name in header if name not in KNOWN},
    )
    if splits is None:
        return Collection(_name(path), {"train": whole}, None, notes)
    parts: dict[Split, ImageSet] = {
        split: whole.take(np.flatnonzero(splits == split)) for split in SPLITS if (splits == split).any()
    }
    return Collection(_name(path), parts, None, notes)


def _name(path: Path) -> str:
    """What to call the source: the file's stem, or its folder's name where the stem could be any source's."""
    folder = path.resolve().parent.name
    return folder if folder and path.stem.lower() in ANY else path.stem


def _read_rows(path: Path) -> tuple[list[str], list[_Row]]:
    """The columns, and every line with its picture, which is there and listed once; the first fault ends it."""
    rows: list[_Row] = []
    lines: dict[Path, int] = {}
    with opened_csv(path) as reader:
        header = _header(path, [name.strip() for name in next(reader, [])])
        for fields in reader:
            line, where = reader.line_num, f"'{path}', line {reader.line_num}"
            if not fields:
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"{where} does not have {len(header)} values as the header has, but {len(fields)}. "
                    "Quote values that hold a comma."
                )
            values = dict(zip(header, (field.strip() for field in fields), strict=True))
            file = listed_file(path.parent, where, values["path"])
            if file in lines:
                raise InputError(
                    f"'{path}', lines {lines[file]} and {line} list the same file '{values['path']}'. Remove one."
                )
            lines[file] = line
            rows.append(_Row(line, file, values))
    if not rows:
        raise InputError(f"'{path}' lists no image. Add one a line: {','.join(header)}.")
    return header, rows


def _header(path: Path, header: list[str]) -> list[str]:
    missing = [name for name in ("path", "label") if name not in header]
    if missing:
        comma = "" if len(header) > 1 else ", and part values by commas"
        raise InputError(
            f"'{path}' has no column '{missing[0]}'; its first line is '{','.join(header)}'. Name the columns in it, path,label "
            f"and, if known, patient,split and others{comma}."
        )
    twice = sorted({name for name in header if header.count(name) > 1 or not name})
    if twice:
        what = f"several columns called '{twice[0]}'" if twice[0] else "a column without a name"
        raise InputError(f"'{path}' has {what}. Give each a name of its own.")
    return header


def _column(path: Path, rows: list[_Row], name: str) -> list[str]:
    """A column that must be filled in every row."""
    for row in rows:
        if not row.values[name]:
            raise InputError(
                f"'{path}', line {row.line}: '{name}' is empty. Fill it in every line, or drop the column."
            )
    return [row.values[name] for row in rows]


def _splits(path: Path, header: list[str], rows: list[_Row]) -> NDArray[np.str_] | None:
    if "split" not in header:
        return None
    found = _column(path, rows, "split")
    for row, split in zip(rows, found, strict=True):
        if split not in SPLITS:
            raise InputError(
                f"'{path}', line {row.line}: split '{split}' is not known. Take train, val or test."
            )
    if "train" not in found:
        raise InputError(
            f"'{path}' has no line of split 'train'; it has {', '.join(sorted(set(found)))}. Add some."
        )
    return np.array(found)


def _labels(path: Path, rows: list[_Row]) -> tuple[NDArray[np.int64] | NDArray[np.uint8], tuple[str, ...]]:
    """(N,) class numbers, or (N, K) of 0 and 1 where a row has several; the names in alphabetical order."""
    several = any("|" in row.values["label"] for row in rows)
    cells: list[list[str]] = []
    for row in rows:
        text = row.values["label"]
        cell = [part.strip() for part in text.split("|")] if text else []
        if not all(cell) or len(set(cell)) < len(cell) or not (cell or several):
            raise InputError(
                f"'{path}', line {row.line}: label '{text}' is empty, in part empty or repeats itself. Name one class, "
                "or several parted by '|'; only in a file where some image has several does an empty label mean none."
            )
        cells.append(cell)
    names = tuple(sorted({name for cell in cells for name in cell}))
    number = {name: index for index, name in enumerate(names)}
    if not several:
        return np.array([number[cell[0]] for cell in cells], np.int64), names
    labels = np.zeros((len(rows), len(names)), np.uint8)
    for index, cell in enumerate(cells):
        labels[index, [number[name] for name in cell]] = 1
    return labels, names
