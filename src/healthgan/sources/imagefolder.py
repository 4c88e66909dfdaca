"""``metadata.csv`` of a folder of pictures, as Hugging Face's ImageFolder has it: ``file_name[,label]``."""

import csv
from pathlib import Path, PurePosixPath, PureWindowsPath

from healthgan.errors import InputError


def read_metadata(path: Path) -> tuple[list[Path], list[str] | None]:
    """The files that a ``metadata.csv`` lists, in its order, and their labels where it has that column.

    Labels are taken as they stand, spaces included; further columns are left unread.

    Raises:
        InputError: the CSV or a file it lists can't be used; the message names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval=None)
            header = list(reader.fieldnames or [])
            if "file_name" not in header or len(set(header)) < len(header):
                raise InputError(
                    f"'{path}' begins with '{','.join(header)}'; the columns file_name and, if known, label are needed, "
                    "each once."
                )
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}). Save it as 'CSV UTF-8'.") from error
    except csv.Error as error:
        raise InputError(f"'{path}': {error}. Write it as plain CSV.") from error
    files: dict[Path, int] = {}
    labels = []
    for line, row in rows:
        where = f"'{path}', line {line}"
        if None in row.values() or len(row) != len(header):
            raise InputError(
                f"{where} does not have {len(header)} values as the header has. Quote values with a comma."
            )
        picture = _listed(path.parent, where, row["file_name"])
        if picture in files:
            raise InputError(f"{where} lists the same file as line {files[picture]}. Remove one.")
        files[picture] = line
        if "label" in header and not row["label"].strip():
            raise InputError(f"{where}: the label is empty. Fill it in every line, or drop the column.")
        labels.append(row.get("label", ""))
    if not files:
        raise InputError(f"'{path}' lists no image. Add one a line.")
    return list(files), labels if "label" in header else None


def _listed(root: Path, where: str, text: str) -> Path:
    """A file that is named relative to the folder and lies inside it."""
    if not text or not text.isprintable() or PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive:
        raise InputError(f"{where}: the file name is {text!r}; a path relative to '{root}' is needed.")
    try:
        file = (root / text).resolve()
        there = file.is_file()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise InputError(f"{where}: '{text}' cannot be looked up: {error}.") from error
    if not file.is_relative_to(root.resolve()):
        raise InputError(f"{where}: '{text}' leads out of '{root}'. Keep the pictures in the folder.")
    if not there:
        raise InputError(f"{where}: there is no file '{text}'. Correct the name or remove the line.")
    return file
