"""CSV manifests: ``path,label[,patient][,split]`` and any further columns, one image a line.

Paths are relative to the folder of the CSV and stay inside it. Where an image has several labels they are
parted by ``|``; in such a file an empty label means none. Space around a value is dropped. Further columns
go into ``ImageSet.columns`` as text.
"""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.sources.gather import gather
from healthgan.sources.npz import codes

KNOWN = ("path", "label", "patient", "split")


@dataclass(frozen=True)
class _Row:
    line: int
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
    files = _files(path, rows)
    splits = _splits(path, header, rows)
    labels, names = _labels(path, rows)
    patients = _column(path, rows, "patient") if "patient" in header else None
    pixels, dicom_patients, notes = gather(files, size, progress)
    patients = patients or dicom_patients
    whole = ImageSet(
        pixels,
        labels,
        names,
        None if patients is None else codes(np.array(patients)),
        {name: np.array([row.values[name] for row in rows]) for name in header if name not in KNOWN},
    )
    if splits is None:
        return Collection(path.stem, {"train": whole}, None, notes)
    parts: dict[Split, ImageSet] = {
        split: whole.take(np.flatnonzero(splits == split)) for split in SPLITS if (splits == split).any()
    }
    return Collection(path.stem, parts, None, notes)


def _read_rows(path: Path) -> tuple[list[str], list[_Row]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _header(path, [name.strip() for name in next(reader, [])])
            rows = []
            for fields in reader:
                if len(fields) not in (0, len(header)):
                    raise InputError(
                        f"'{path}', line {reader.line_num}: {len(fields)} values, but the header names "
                        f"{len(header)}. Quote values that hold a comma."
                    )
                if fields:
                    values = dict(zip(header, (field.strip() for field in fields), strict=True))
                    rows.append(_Row(reader.line_num, values))
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}). Save it as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise InputError(f"'{path}', line {reader.line_num}: {error}. Write it as plain CSV.") from error
    except FileNotFoundError:
        raise InputError(f"There is no file '{path}'. Check the path.") from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    if not rows:
        raise InputError(f"'{path}' lists no image. Add one a line: {','.join(header)}.")
    return header, rows


def _header(path: Path, header: list[str]) -> list[str]:
    missing = [name for name in ("path", "label") if name not in header]
    if missing:
        comma = "" if len(header) > 1 else " Values must be parted by commas."
        raise InputError(
            f"'{path}' has no column '{missing[0]}'; its first line is '{','.join(header)}'. It must name the columns: "
            f"path,label and, if known, patient,split and others.{comma}"
        )
    twice = sorted({name for name in header if header.count(name) > 1 or not name})
    if twice:
        raise InputError(
            f"'{path}' has several columns, or one, called '{twice[0]}'. Give each a name of its own."
        )
    return header


def _files(path: Path, rows: list[_Row]) -> list[Path]:
    """The file of each row: inside the CSV's folder, there, and listed once."""
    root = path.parent.resolve()
    lines: dict[Path, int] = {}
    for row in rows:
        text, where = row.values["path"], f"'{path}', line {row.line}"
        if not text or not text.isprintable():
            raise InputError(
                f"{where}: the path is {text!r}. Give the path of a picture, relative to the CSV."
            )
        if PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive or text.startswith("\\"):
            raise InputError(f"{where}: '{text}' is an absolute path. Paths are relative to '{root}'.")
        try:
            file = (root / text).resolve()
            there = file.is_file()
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise InputError(f"{where}: '{text}' cannot be looked up: {error}.") from error
        if not file.is_relative_to(root):
            raise InputError(
                f"{where}: '{text}' leads out of '{root}'. Keep the pictures beside the CSV or below it."
            )
        if not there:
            raise InputError(
                f"{where}: there is no file '{text}' in '{root}'. Correct the path or remove the line."
            )
        if file in lines:
            raise InputError(
                f"'{path}', lines {lines[file]} and {row.line} list the same file '{text}'. Remove one."
            )
        lines[file] = row.line
    return list(lines)


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
            raise InputError(f"'{path}', line {row.line}: split '{split}'; train, val and test are allowed.")
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
