"""``metadata.csv`` of a folder of pictures, as Hugging Face's ImageFolder has it: ``file_name[,label]``."""

from pathlib import Path

from healthgan.errors import InputError
from healthgan.sources.lines import listed_file, opened_csv


def read_metadata(path: Path) -> tuple[list[Path], list[str] | None]:
    """The files that a ``metadata.csv`` lists, in its order, and their labels where it has that column.

    Labels are taken as they stand, spaces included; further columns are left unread.

    Raises:
        InputError: the CSV or a file it lists can't be used; the message names the line.
    """
    files: dict[Path, int] = {}
    labels = []
    with opened_csv(path) as reader:
        header: list[str] = next(reader, [])
        if "file_name" not in header or len(set(header)) < len(header):
            raise InputError(
                f"'{path}' begins with '{','.join(header)}'. Name the columns file_name and, if known, label there, each once."
            )
        for fields in reader:
            where = f"'{path}', line {reader.line_num}"
            if not fields:
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"{where} does not have {len(header)} values as the header has, but {len(fields)}. "
                    "Quote values that hold a comma."
                )
            row = dict(zip(header, fields, strict=True))
            picture = listed_file(path.parent, where, row["file_name"])
            if picture in files:
                raise InputError(f"{where} lists the same file as line {files[picture]}. Remove one.")
            files[picture] = reader.line_num
            if "label" in header and not row["label"].strip():
                raise InputError(f"{where}: the label is empty. Fill it in every line, or drop the column.")
            labels.append(row.get("label", ""))
    if not files:
        raise InputError(f"'{path}' lists no image. Add one a line.")
    return list(files), labels if "label" in header else None
