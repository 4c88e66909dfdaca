"""Arrays in an ``.npz`` file: type and shape of each are known and checked before one is read; none is unpickled."""

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.files import check_kind

MAX_BYTES = 16 * 2**30
"""The largest MedMNIST file unpacks to 15.1 GiB."""
SMALL, MAX_RATIO = 64 * 2**20, 200
"""An array of more bytes than ``SMALL`` that is packed smaller than by this ratio is no array of images."""
MAX_HEADER = 10_000
"""Bytes of an array's header, as NumPy's own limit."""

_HEADER_ERRORS = (
    ValueError,
    MemoryError,  # brackets without end
    RecursionError,
    OverflowError,
    TypeError,
    SyntaxError,  # of what NumPy takes for a header of Python 2
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Member:
    """An array in the file that was not read yet.

    Attributes:
        where: what messages call it.
        info: its entry in the zip's directory.
        shape: as its header says.
        dtype: as its header says; no Python objects.
    """

    where: str
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The file as a zip archive, for a block that looks into it and reads arrays.

    Raises:
        InputError: there is no such file, or it is no regular one, damaged or no zip archive.
    """
    try:
        check_kind(path)
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"There is no file '{path}'. Check the path.") from None
    except MemoryError as error:
        raise InputError(
            f"'{path}' needs more memory than this computer has free. Keep fewer or smaller images."
        ) from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError) as error:
        raise InputError(
            f"'{path}' is damaged or not an .npz file ({error}). Copy or make it again, or write it with "
            "numpy.savez_compressed."
        ) from error
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Make it readable, or give another file."
        ) from error


def look_into(path: Path, archive: zipfile.ZipFile, keys: Iterable[str]) -> dict[str, Member]:
    """The arrays of these names, by name, those of them that are there.

    Raises:
        InputError: one holds Python objects, is packed or encrypted in another way than NumPy's, says wrongly how
            large it is, or all together are too large.
    """
    wanted = set(keys)
    found = {key: info for key, info in _entries(archive).items() if key in wanted}
    _check_sizes(path, found)
    return {key: _described(path, key, archive, info) for key, info in found.items()}


def names_in(archive: zipfile.ZipFile) -> set[str]:
    """The names of all arrays."""
    return set(_entries(archive))


def listed(names: Iterable[str], most: int = 10) -> str:
    """Names for a message: in order, the first few."""
    ordered = sorted(names)
    more = f" and {len(ordered) - most:,} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more if ordered else "nothing"


def read_all(archive: zipfile.ZipFile, members: Mapping[str, Member]) -> dict[str, NDArray[Any]]:
    """The arrays.

    Raises:
        InputError: one is damaged or does not fit into memory.
    """
    return {key: _read(archive, member) for key, member in members.items()}


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _check_sizes(path: Path, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in entries.values())
    if total > MAX_BYTES:
        raise InputError(
            f"'{path}' unpacks to {total / 2**30:.1f} GiB; {MAX_BYTES / 2**30:.0f} GiB are allowed. "
            "Keep fewer or smaller images."
        )
    room = path.stat().st_size
    for key, info in entries.items():
        where, room = f"'{path}', '{key}'", room - info.compress_size
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{where} is encrypted or packed in a way NumPy doesn't write. "
                "Write the file with numpy.savez_compressed."
            )
        if room < 0:
            raise InputError(
                f"{where} is said to be packed in {info.compress_size:,} bytes, more than the file has. It is damaged: "
                "copy or make it again. Write it with numpy.savez_compressed."
            )
        if info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            raise InputError(
                f"{where} would unpack to {info.file_size / 2**30:.1f} GiB, over {MAX_RATIO} times what it takes in the "
                "file, as no images do. Write it with numpy.savez, unpacked, if it is meant."
            )


def _described(path: Path, key: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    where = f"'{path}', '{key}'"
    with archive.open(info) as file:
        start = file.read(MAX_HEADER + 12)
    header = io.BytesIO(start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, about headers that older versions wrote
            version = npy.read_magic(header)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(header)
    except _HEADER_ERRORS as error:
        reason = str(error) if isinstance(error, ValueError) else "its header cannot be parsed"
        raise InputError(
            f"{where} is not a NumPy array ({reason.splitlines()[0][:200]}). Write the file with numpy.savez."
        ) from error
    if dtype.hasobject:
        raise InputError(
            f"{where} holds Python objects, which are never loaded since they can run code. "
            "Save it as an array of numbers or strings (dtype 'U')."
        )
    declared, holds = math.prod(shape) * dtype.itemsize, info.file_size - header.tell()
    if declared != holds or min(shape, default=0) < 0:
        raise InputError(
            f"{where} declares shape {shape} of {dtype}, {declared:,} bytes, but holds {holds:,}. It is damaged: "
            "copy or make it again. Write it with numpy.savez."
        )
    return Member(where, info, shape, dtype)


def _read(archive: zipfile.ZipFile, member: Member) -> NDArray[Any]:
    with archive.open(member.info) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        try:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise InputError(
                f"{member.where} cannot be read ({error}). It is damaged: copy or make it again. "
                "Write it with numpy.savez."
            ) from error
        except MemoryError as error:
            raise InputError(
                f"{member.where} needs {member.info.file_size / 2**30:.1f} GiB, more than this computer has free. "
                "Keep fewer or smaller images."
            ) from error
    return array
