"""CSV files that list pictures: opened, and the files that they name looked up."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from healthgan.errors import InputError
from healthgan.files import check_kind

if TYPE_CHECKING:
    from _csv import Reader

MAX_BYTES = 64 * 2**20
"""Some hundred thousand pictures."""


@contextmanager
def opened_csv(path: Path) -> Iterator["Reader"]:
    """The values of each line of a CSV file in UTF-8, for a block.

    Raises:
        InputError: there is no such file, it can't be read, is too large, or no CSV.
    """
    try:
        check_kind(path)
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"'{path}' has {size / 2**30:.1f} GiB; {MAX_BYTES >> 20} MiB are read. Give a CSV file with a line an image."
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                yield reader
            except csv.Error as error:
                raise InputError(
                    f"'{path}', line {reader.line_num} is no plain CSV ({error}). Write it again as CSV."
                ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}). Save it as 'CSV UTF-8'.") from error
    except FileNotFoundError:
        raise InputError(f"There is no file '{path}'. Check the path.") from None
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Make it readable, or give another file."
        ) from error


def listed_file(folder: Path, where: str, text: str) -> Path:
    """The file that a line names: relative to the folder of the CSV, inside it, and there.

    Args:
        folder: of the CSV.
        where: what messages call the line.
        text: the name as it stands there.

    Raises:
        InputError: it is another path.
    """
    if not text or not text.isprintable():
        raise InputError(f"{where}: the path is {text!r}. Give the path of a picture, relative to the CSV.")
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive or text.startswith("\\"):
        raise InputError(f"{where}: '{text}' is an absolute path. Give one relative to the CSV.")
    try:
        file = (folder / text).resolve()
        inside, there = file.is_relative_to(folder.resolve()), file.is_file()
    except RuntimeError:
        raise InputError(f"{where}: '{text}' is a link that leads in a circle. Correct the path.") from None
    except OSError as error:
        raise InputError(
            f"{where}: '{text}' cannot be looked up: {error.strerror or error}. Correct the path."
        ) from error
    if not inside:
        raise InputError(
            f"{where}: '{text}' leads out of '{folder}'. Keep the pictures beside the CSV or below it."
        )
    if not there:
        raise InputError(
            f"{where}: there is no file '{text}' in '{folder}'. Correct the path or remove the line."
        )
    return file
