"""Records as lines of JSON, each with a checksum: torn and damaged ones are told from whole ones."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from healthgan.errors import InputError

Record = dict[str, Any]
"""One finished job: ``key``, its results, ``artifacts`` (path below the folder → SHA-256), ``time_*``."""

SEAL = "time_line_sha256"
"""The last entry of a line: the beginning of the SHA-256 of the line up to it. It covers the times, so varies as they do."""
_SEALED = re.compile(rb'(?s)(.*), "time_line_sha256": "([0-9a-f]{16})"\}')
MAX_BYTES = 256 * 2**20
"""Hundred thousands of records."""


@dataclass(frozen=True)
class Lines:
    """What a file of records holds.

    Attributes:
        records: those of whole lines, in their order.
        damaged: the bytes of whole lines that are no records, by their numbers from 1.
        torn: whether something stands behind the last line's end.
        whole: bytes up to there.
        sealed: whether lines carry checksums; those of earlier versions don't.
    """

    records: list[Record]
    damaged: Mapping[int, bytes]
    torn: bool
    whole: int
    sealed: bool


def sealed(record: Record) -> bytes:
    """A record as a line with its checksum, ready to be appended."""
    body = json.dumps(record, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()[:-1]
    return body + f', "{SEAL}": "{_digest(body)}"}}\n'.encode()


def read_lines(path: Path) -> Lines:
    """The records in a file; none where it is not there.

    Raises:
        InputError: it is far too large to be one, or cannot be read.
    """
    try:
        size = path.stat().st_size if path.exists() else 0
        if size > MAX_BYTES:
            raise InputError(
                f"'{path}' has {size / 2**30:.1f} GiB; {MAX_BYTES >> 20} MiB are read. Restore it, or run the study again in a new "
                "folder."
            )
        content = path.read_bytes() if size else b""
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Make it readable, or restore it."
        ) from error
    whole = content.rfind(b"\n") + 1
    lines = [line + b"\n" for line in content[:whole].split(b"\n")[:-1]]
    matched = [_SEALED.fullmatch(line[:-1]) for line in lines]
    is_sealed = any(matched) or SEAL.encode() in content or not lines
    records, damaged = [], {}
    for number, (line, match) in enumerate(zip(lines, matched, strict=True), start=1):
        text = _unsealed(match) if match or is_sealed else line[:-1]
        record = None if text is None else _record(text)
        if record is None:
            damaged[number] = line
        else:
            records.append(record)
    return Lines(records, damaged, whole < len(content), whole, is_sealed)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _unsealed(match: re.Match[bytes] | None) -> bytes | None:
    """The record's JSON where the checksum fits."""
    if match is None or _digest(match[1]).encode() != match[2]:
        return None
    return match[1] + b"}"


def _record(text: bytes) -> Record | None:
    """The record; None where it is none, or names artefacts outside its folder."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("key"), str):
        return None
    artifacts = found.get("artifacts", {})
    if not isinstance(artifacts, dict):
        return None
    fine = all(isinstance(digest, str) and _stays_inside(name) for name, digest in artifacts.items())
    return found if fine else None


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and name.isprintable() and "\\" not in name
