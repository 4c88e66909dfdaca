"""Picture files to pixels: one PNG, JPEG, TIFF or DICOM file to 8-bit grey or RGB."""

import os
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from healthgan.errors import InputError

PILLOW_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
PICTURE_SUFFIXES = PILLOW_SUFFIXES | DICOM_SUFFIXES
MAX_PIXELS = 2**25
"""33.5 million, 4,096×8,192: more than a mammogram has."""
_BLOCK = 2**20

_ORIENTATION = 0x0112  # EXIF
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF
DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow and pydicom have been seen to raise on damaged files, and its kin."""


@dataclass(frozen=True)
class Picture:
    """One decoded file.

    Attributes:
        pixels: (H, W, C) uint8. Grey stored as RGB, all three channels equal, has C = 1.
        stored_rgb: whether the file has three channels.
        notes: what was done to the pixels.
        deep_maximum: the brightest value of a picture of more than 8 bits, before it was scaled.
        patient: DICOM's PatientID, to be turned into a code; None elsewhere.
    """

    pixels: NDArray[np.uint8]
    stored_rgb: bool
    notes: tuple[str, ...] = ()
    deep_maximum: int | None = None
    patient: str | None = None


def read_picture(path: Path) -> Picture:
    """Decode one file: by its suffix, or by its first bytes where it has none.

    Raises:
        InputError: the file is missing, damaged, or of a kind that can't be used; the message names it.
    """
    if is_dicom(path):
        from healthgan.sources.dicom import read_dicom

        return read_dicom(path)
    if path.suffix and path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(
            f"'{path}' is not a picture; PNG, JPEG, TIFF and DICOM (.dcm) are read. Remove or convert it."
        )
    try:
        with warnings.catch_warnings(), _quiet_libtiff(path):
            warnings.simplefilter("ignore")  # on odd metadata, which is not used
            with Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
                check_size(path, image.height, image.width)
                return _decode(path, image)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"'{path}' has more than {MAX_PIXELS:,} pixels, which is the most that is read. Resample it first."
        ) from error
    except DECODER_ERRORS as error:
        raise InputError(
            f"'{path}' cannot be read as PNG, JPEG or TIFF ({_reason(error)}). Repair, convert or remove it."
        ) from error


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse a picture too large to be decoded, before it is.

    Raises:
        InputError: it has more than ``MAX_PIXELS`` pixels, or none.
    """
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(
            f"'{path}' has {height}×{width} pixels; 1 to {MAX_PIXELS:,} in all are read. Resample or remove it."
        )


def blocks(values: NDArray[Any]) -> Iterator[slice]:
    """The rows of a picture, a few at a time."""
    rows = max(1, _BLOCK // max(1, values.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(values), rows))


def in_blocks(values: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.uint8]:
    """(H, W) uint8: what ``convert`` makes of a few rows at a time, so that there are never many numbers of 8 bytes."""
    result = np.empty(values.shape[:2], np.uint8)
    for block in blocks(values):
        result[block] = convert(values[block])
    return result


def _reason(error: BaseException) -> str:
    """The library's own words, or the kind of error where it has none."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


@contextmanager
def _quiet_libtiff(path: Path) -> Iterator[None]:
    """Keep libtiff from writing to stderr what Pillow then raises; it has no other switch that Pillow lets through."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        yield
        return
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def is_dicom(path: Path) -> bool:
    """Whether the name ends in ``.dcm`` or, without a suffix, the file begins as DICOM does."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Make it readable or remove it."
        ) from error


def as_picture(pixels: NDArray[np.uint8], notes: tuple[str, ...] = (), patient: str | None = None) -> Picture:
    """(H, W) or (H, W, 3) pixels as a picture; three equal channels become one."""
    if pixels.ndim == 2:
        return Picture(pixels[:, :, np.newaxis], False, notes, patient=patient)
    grey = bool((pixels == pixels[:, :, :1]).all())
    return Picture(pixels[:, :, :1] if grey else pixels, True, notes, patient=patient)


def _decode(path: Path, image: Image.Image) -> Picture:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a JPEG with a preview beside the picture itself
        raise InputError(
            f"'{path}' holds {frames} pictures (pages or an animation). Save each as a file of its own."
        )
    notes: list[str] = []
    if image.mode.startswith("I"):
        return _deep_grey(path, image)
    if _raw_mode(image).endswith((";16B", ";16L", ";16N")):
        notes.append("of 16-bit colour the upper 8 bits kept")
    flat = _without_alpha(path, image)
    if flat.mode not in ("1", "L", "P", "RGB", "YCbCr"):
        raise InputError(
            f"'{path}' has colour mode {flat.mode}; grey and RGB of 8 or 16 bits are read. Convert it."
        )
    if image.getexif().get(_ORIENTATION, 1) != 1:
        flat = ImageOps.exif_transpose(flat)
        notes.append("turned upright as EXIF says")
    if flat.mode in ("P", "YCbCr"):
        flat = flat.convert("RGB")
    return as_picture(np.asarray(flat.convert("L") if flat.mode == "1" else flat), tuple(notes))


def _deep_grey(path: Path, image: Image.Image) -> Picture:
    """A grey picture of more than 8 bits, scaled to 8."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
    if bits > 16 or (image.mode == "I" and image.format == "TIFF"):
        raise InputError(
            f"'{path}' has {bits}-bit signed or 32-bit values; grey of 8 to 16 bits without sign is read. "
            "Convert it."
        )
    top, white_is_zero = (1 << bits) - 1, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    stored = np.asarray(image)
    brightest = top - int(stored.min()) if white_is_zero else int(stored.max())

    def scaled(values: NDArray[Any]) -> NDArray[np.int64]:
        grey = values.astype(np.int64)
        return ((top - grey if white_is_zero else grey) * 255 + (1 << bits) // 2) // top

    note = f"{bits}-bit grey scaled by its bit depth ({top} → 255)"
    return Picture(in_blocks(stored, scaled)[:, :, np.newaxis], False, (note,), brightest)


def _raw_mode(image: Image.Image) -> str:
    """How the pixels are stored, such as ``RGB;16B``."""
    args = image.tile[0].args if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    found = args[0] if isinstance(args, tuple) and args else args
    return found if isinstance(found, str) else ""


def _without_alpha(path: Path, image: Image.Image) -> Image.Image:
    """The image less an alpha channel that changes nothing.

    Raises:
        InputError: part of the picture is transparent.
    """
    if not image.has_transparency_data:
        return image
    has_channel = image.mode in ("RGBA", "LA")
    alpha = (image if has_channel else image.convert("RGBA")).getchannel("A")
    if alpha.getextrema() != (255, 255):
        raise InputError(
            f"'{path}' is partly transparent, so its grey values are not defined. Save it without transparency."
        )
    return image.convert("L" if image.mode in ("L", "LA") else "RGB")
