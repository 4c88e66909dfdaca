"""DICOM files (extra ``dicom``): pixels through modality and VOI LUT to 8 bits, and no identifier kept."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.sources.pictures import DECODER_ERRORS, Picture, as_picture

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_PIXELS = 2**27
GREY, COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


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
    with _silence():
        try:
            file = pydicom.dcmread(path)
            _check(path, file)
            patient = str(file.get("PatientID") or "").strip() or None
            if file.PhotometricInterpretation in COLOUR:
                return as_picture(_eight_bits(path, file), patient=patient)
            pixels, notes = _grey(path, file)
        except InputError:
            raise
        except InvalidDicomError as error:
            raise InputError(f"'{path}' is not a DICOM file. Repair or remove it.") from error
        except RuntimeError as error:
            raise InputError(
                f"'{path}' is compressed in a way that no installed decoder reads. "
                "Save it uncompressed, or pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg."
            ) from error
        except (*DECODER_ERRORS, BytesLengthException) as error:
            # pydicom's own words may quote the file, names of patients included
            raise InputError(
                f"'{path}' cannot be read as DICOM ({type(error).__name__}). Repair, convert or remove it."
            ) from error
    return as_picture(pixels, notes, patient)


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
    if file.Rows * file.Columns > MAX_PIXELS:
        raise InputError(
            f"'{path}' has {file.Rows}×{file.Columns} pixels; {MAX_PIXELS} in all are allowed. Resample it."
        )
    kind = file.PhotometricInterpretation
    if kind not in GREY + COLOUR:
        raise InputError(
            f"'{path}' has colours of kind {kind}; {', '.join(GREY + COLOUR)} are read. Convert it."
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
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    values: NDArray[Any] = apply_modality_lut(file.pixel_array, file)
    lut = file.get("VOILUTSequence")
    if lut:
        unit = apply_voi(values, file).astype(np.float64) / (2 ** int(lut[0].LUTDescriptor[2]) - 1)
        note = "DICOM grey scaled by its VOI LUT"
    elif file.get("WindowCenter") is not None and file.get("WindowWidth") is not None:
        unit = _window(path, values.astype(np.float64), file)
        note = "DICOM grey scaled by its first VOI window"
    else:
        low, high = float(values.min()), float(values.max())
        unit = (values - low) / (high - low or 1.0)
        note = "DICOM grey without VOI LUT or window scaled from its darkest to its brightest value"
    inverted = file.PhotometricInterpretation == "MONOCHROME1"
    if inverted:
        unit = 1 - unit
    return np.rint(unit.clip(0, 1) * 255).astype(np.uint8), (
        note,
        *(("MONOCHROME1 inverted",) if inverted else ()),
    )


def _window(path: Path, values: NDArray[np.float64], file: "Dataset") -> NDArray[np.float64]:
    """Values as 0…1 of the window's output range (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    center, width = (float(np.atleast_1d(file[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
    function = file.get("VOILUTFunction") or "LINEAR"
    least = 1.0 if function == "LINEAR" else np.finfo(np.float64).tiny
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or width < least:
        raise InputError(
            f"'{path}' has VOI function {function} with width {width:g}; LINEAR of width 1 and up, and LINEAR_EXACT "
            "and SIGMOID of more than 0 are defined. Correct or convert it."
        )
    if function == "SIGMOID":
        unit: NDArray[np.float64] = 1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700)))
        return unit
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return (values - center) / width + 0.5
