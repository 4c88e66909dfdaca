"""An object with large arrays, handed to several processes that all read the arrays from one place in memory."""

import mmap
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST = 1 << 16
"""Bytes of an array below which it travels with the rest."""
_ALIGNED = 64


@dataclass(frozen=True)
class Shared:
    """What another process needs to have the object.

    Attributes:
        rest: the object without its large arrays, pickled as multiprocessing would. It goes from process to process and
            is never stored.
        places: first byte and length of each array in the file.
        file: their bytes; None where there are none.
    """

    rest: bytes
    places: tuple[tuple[int, int], ...]
    file: Path | None


def share(value: object, file: Path) -> Shared:
    """Write the large arrays in an object into a file that only this user may read.

    The caller removes the file once no process starts to read it any more; those that have done so are not disturbed.

    Args:
        value: arrays of it that don't lie in one piece travel with the rest (pickle protocol 5, PEP 574).
        file: to be made, if there is any large array.
    """
    large: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LEAST:
            return True
        large.append(buffer.raw())
        return False

    rest = pickle.dumps(value, protocol=5, buffer_callback=keep)
    if not large:
        return Shared(rest, (), None)
    try:
        return Shared(rest, tuple(_written(large, file)), file)
    except BaseException:  # a full disk, an impatient user: no half file stays
        file.unlink(missing_ok=True)
        raise


def _written(large: list[memoryview], file: Path) -> Iterator[tuple[int, int]]:
    """Write one array after the other; where each begins, and its length."""
    end = 0
    file.touch(mode=0o600, exist_ok=False)
    with file.open("r+b") as opened:
        for view in large:
            opened.seek(end)
            opened.write(view)
            yield end, view.nbytes
            end += -(-view.nbytes // _ALIGNED) * _ALIGNED


def received(shared: Shared) -> Any:  # noqa: ANN401 # whatever was shared
    """The object. Its large arrays are pages of the file, the same for all processes until one writes to them."""
    views: list[memoryview] = []
    if shared.file is not None:
        with shared.file.open("rb") as opened:
            pages = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY))
        views = [pages[start : start + length] for start, length in shared.places]
    return pickle.loads(shared.rest, buffers=views)  # noqa: S301 # from our own parent process
