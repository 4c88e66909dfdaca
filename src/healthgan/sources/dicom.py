"""DICOM files (extra ``dicom``): pixels through modality and VOI LUT to 8 bits, and no identifier kept."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from healthgan.errors import InputError
from healthgan.sources.pictures import (
    DECODER_ERRORS,
    MAX_PIXELS,
    Picture,
    as_picture,
    blocks,
    check_size,
    in_blocks,
)

if TYPE_CHECKING:
    from pydicom import Dataset

GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
OTHER_KINDS = ("PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")
"""Kinds of colour that DICOM defines, or once did, and that are not read."""
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
MAX_BYTES = 5 * MAX_PIXELS
"""Of a file: four bytes a pixel, and a quarter as much again for all else."""
USED = [
    "SpecificCharacterSet",
    "PatientID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PixelData",
]
"""The elements that are read. All others, with whatever they say of a patient, are passed over unread."""


def read_dicom(path: Path) -> Picture:
    """Decode one single-frame DICOM file.

    Grey values pass the modality LUT (or rescale), then the VOI LUT or the first window, whose output range
    becomes 0…255; without either, the darkest value becomes 0 and the brightest 255. MONOCHROME1 is inverted
    (DICOM PS3.3 C.7.6.3 and C.11).

    Raises:
        InputError: pydicom is missing, or the file is not a picture of that kind; the message names it.
    """
    try:
        import pydicom
        from pydicom.errors import BytesLengthException, InvalidDicomError
    except ImportError as error:
        raise InputError(f"Reading '{path}' needs pydicom: pip install 'healthgan[dicom]'.") from error
    try:
        with _silence():
            _check_file(path)
            file = pydicom.dcmread(path, specific_tags=[*USED])
            _check(path, file)
            patient = str(file.get("PatientID") or "").strip() or None
            if file.PhotometricInterpretation in COLOUR:
                return as_picture(_eight_bits(path, file), patient=patient)
            pixels, notes = _grey(path, file)
            return as_picture(pixels, notes, patient)
    except InputError:
        raise
    except InvalidDicomError as error:
        raise InputError(f"'{path}' is not a DICOM file. Repair or remove it.") from error
    except (*DECODER_ERRORS, BytesLengthException) as error:
        if isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
            raise InputError(
                f"'{path}' is compressed in a way that no installed decoder reads, or damaged. "
                "Save it uncompressed, or pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg."
            ) from error
        # pydicom's own words may quote the file, names of patients included
        raise InputError(
            f"'{path}' cannot be read as DICOM ({type(error).__name__}). Repair, convert or remove it."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep pydicom from warning of values that bend the standard but are not used, and from naming them."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _check_file(path: Path) -> None:
    """Refuse, before it is read as a whole, what may take any amount of memory."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    held = path.stat().st_size
    if held > MAX_BYTES:
        raise InputError(
            f"'{path}' has {held / 2**30:.1f} GiB; {MAX_BYTES >> 20} MiB are read. Save each picture as a file of its own, or "
            "resample it."
        )
    if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise InputError(
            f"'{path}' is deflated as a whole, so that nothing tells how large it is before it is unpacked. Save it without "
            "that, as Explicit VR Little Endian."
        )


def _check(path: Path, file: "Dataset") -> None:
    missing = [name for name in ("Rows", "Columns", "PhotometricInterpretation") if file.get(name) is None]
    if "PixelData" in file and missing:
        raise InputError(f"'{path}' is DICOM without {' and '.join(missing)}. Repair, convert or remove it.")
    if "PixelData" not in file:
        raise InputError(f"'{path}' is DICOM without a picture. Remove it.")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InputError(
            f"'{path}' holds {frames} frames; one is read. Save each frame as a file of its own."
        )
    check_size(path, file.Rows, file.Columns)
    kind = file.PhotometricInterpretation
    if kind not in GREY + COLOUR:
        named = f"of kind {kind}" if kind in OTHER_KINDS else "of a kind that DICOM does not define"
        raise InputError(f"'{path}' has colours {named}; {', '.join(GREY + COLOUR)} are read. Convert it.")
    _check_frame(path, file)


def _check_frame(path: Path, file: "Dataset") -> None:
    """A compressed picture says for itself how large it is: as large as the file says, or it is not unpacked."""
    from pydicom.encaps import get_frame

    if not file.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    frame = get_frame(file.PixelData, 0, number_of_frames=1)
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
            width, height = image.size
    except (Image.DecompressionBombError, UnidentifiedImageError) as error:
        if isinstance(error, UnidentifiedImageError):  # a kind that Pillow does not know
            return
        width = height = 2**16
    if (height, width) != (file.Rows, file.Columns):
        raise InputError(
            f"'{path}' says it has {file.Rows}×{file.Columns} pixels, its compressed picture {height}×{width} or more. "
            "Repair or remove it."
        )


def _eight_bits(path: Path, file: "Dataset") -> NDArray[np.uint8]:
    """(H, W, 3), which pydicom has converted to RGB."""
    pixels = file.pixel_array
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise InputError(
            f"'{path}' has {pixels.dtype} colours of shape {pixels.shape}; 8-bit RGB is read. Convert it."
        )
    return np.asarray(pixels, np.uint8)


def _grey(path: Path, file: "Dataset") -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(H, W) and what was done."""
    from pydicom.pixels.processing import apply_modality_lut

    stored: NDArray[Any] = file.pixel_array
    if stored.ndim != 2:
        raise InputError(
            f"'{path}' has grey values of shape {stored.shape}; one picture is read. Convert it."
        )
    lut, inverted = file.get("VOILUTSequence"), file.PhotometricInterpretation == "MONOCHROME1"
    if lut:
        note, to_unit = (
            "DICOM grey scaled by its VOI LUT",
            _by_lut(file, 2 ** int(lut[0].LUTDescriptor[2]) - 1),
        )
    elif file.get("WindowCenter") is not None and file.get("WindowWidth") is not None:
        note, to_unit = "DICOM grey scaled by its first VOI window", _window(path, file)
    else:
        note = "DICOM grey without VOI LUT or window scaled from its darkest to its brightest value"
        to_unit = _between(stored, file)

    def converted(values: NDArray[Any]) -> NDArray[np.uint8]:
        unit = to_unit(apply_modality_lut(values, file))
        if not np.isfinite(unit).all():
            raise InputError(f"'{path}' has values that are no numbers once rescaled. Repair or remove it.")
        unit = 1 - unit if inverted else unit
        return np.asarray(np.rint(unit.clip(0, 1) * 255), np.uint8)

    return in_blocks(stored, converted), (note, *(("MONOCHROME1 inverted",) if inverted else ()))


def _by_lut(file: "Dataset", top: int) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Rescaled values → what the VOI LUT makes of them, over its highest value."""
    from pydicom.pixels.processing import apply_voi

    return lambda values: apply_voi(values, file).astype(np.float64) / top


def _between(stored: NDArray[Any], file: "Dataset") -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Rescaled values → 0 for the picture's darkest, 1 for its brightest."""
    from pydicom.pixels.processing import apply_modality_lut

    ends = [
        (float(rows.min()), float(rows.max()))
        for rows in (apply_modality_lut(stored[block], file) for block in blocks(stored))
    ]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return lambda values: (values - low) / (high - low or 1.0)


def _window(path: Path, file: "Dataset") -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Rescaled values → 0…1 of the window's output range (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    center, width = (float(np.atleast_1d(file[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
    function = file.get("VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else np.finfo(np.float64).tiny
    if function not in FUNCTIONS or not least <= width < np.inf or not np.isfinite(center):
        named = function if function in FUNCTIONS else "that DICOM does not define"
        raise InputError(
            f"'{path}' has a VOI function {named} with width {width:g} around {center:g}; LINEAR of width 1 and up, and "
            "LINEAR_EXACT and SIGMOID of more than 0 are defined. Correct or convert it."
        )
    if function == "SIGMOID":
        return lambda values: 1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return lambda values: np.asarray(values > center, np.float64)
    return lambda values: (values.astype(np.float64) - center) / width + 0.5
