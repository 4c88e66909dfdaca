"""Bad DICOM files, with names in them that no message may repeat."""

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from bad_pictures import one
from cases import Case
from PIL import Image
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

VALUES = np.random.default_rng(0).integers(0, 4096, (18, 20)).astype(np.uint16)
PATIENT = "Mustermann^Erika"
"""Stands in every file, in several elements; no message may name it."""


def write(path: Path, pixels: np.ndarray = VALUES, **elements: object) -> Path:
    """A DICOM file of the least that is needed; ``elements`` overrides or, if None, drops."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    bits = pixels.dtype.itemsize * 8
    colour = pixels.ndim == 3
    wanted = {
        "PatientID": PATIENT,
        "PatientName": PATIENT,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
        **({"PlanarConfiguration": 0} if colour else {}),
        **elements,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with disable_value_validation():
        for name, value in wanted.items():
            if value is not None:
                setattr(file, name, value)
        if "PixelData" in file:
            file["PixelData"].VR = "OW" if bits > 8 else "OB"
        file.save_as(path, enforce_file_format=True)
    return path


def compressed(syntax: UID, frame: bytes, **elements: object) -> Callable[[Path], object]:
    """A file whose pixels are this compressed frame."""

    def make(path: Path) -> None:
        file = pydicom.dcmread(write(path, np.zeros((18, 20), np.uint8), **elements))
        file.file_meta.TransferSyntaxUID = syntax
        file.PixelData = encapsulate([frame])
        file["PixelData"].VR = "OB"
        file["PixelData"].is_undefined_length = True
        file.save_as(path)

    return make


def coded(shape: tuple[int, int], kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("L", shape[::-1]).save(file, kind)
    return file.getvalue()


def _cut(path: Path) -> None:
    data = write(path).read_bytes()
    path.write_bytes(data[: len(data) - 100])


def sequences(path: Path, depth: int) -> None:
    """Private sequences, one in the other, of no said length, before everything else."""
    write(path)
    data, start = path.read_bytes(), path.read_bytes().index(b"\x08\x00\x16\x00UI")
    sequence = b"\x09\x00\x01\x10SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    path.write_bytes(data[:start] + sequence * depth + data[start:])


def _deflated_bomb(path: Path) -> None:
    """600 MiB of zeros behind a file's head, deflated to some hundred KiB."""
    file = pydicom.dcmread(write(path))
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.save_as(path)
    head = path.read_bytes()[: 132 + 12 + file.file_meta.FileMetaInformationGroupLength]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = b"".join(packer.compress(bytes(2**20)) for _ in range(600))
    path.write_bytes(head + body + packer.flush())


def _endless(path: Path) -> None:
    """Pixels of 4 GiB, in a file that takes no room on the disk."""
    data = bytearray(write(path).read_bytes())
    start = data.rindex(b"\xe0\x7f\x10\x00OW") + 8
    data[start : start + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(data)
    os.truncate(path, start + 4 + 2**32 - 2)


def _spoilt(before: bytes, after: bytes, **elements: object) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        data = write(path, **elements).read_bytes()
        assert before in data
        path.write_bytes(data.replace(before, after))

    return make


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_bytes(b"no dicom at all" * 20), r"is not a DICOM file"),
    "empty": (lambda path: path.write_bytes(b""), r"is not a DICOM file"),
    "cut off": (_cut, r"cannot be read as DICOM"),
    "without pixels": (lambda path: write(path, PixelData=None), r"DICOM without a picture"),
    "without rows": (lambda path: write(path, Rows=None), r"is DICOM without Rows"),
    "without colour kind": (
        lambda path: write(path, PhotometricInterpretation=None),
        r"without PhotometricInterpretation",
    ),
    "no rows": (lambda path: write(path, Rows=0), r"0×20 pixels"),
    "65,535×65,535 pixels": (
        lambda path: write(path, Rows=65535, Columns=65535),
        r"65535×65535 pixels; .*Resample",
    ),
    "three frames": (lambda path: write(path, NumberOfFrames=3), r"holds 3 frames; one is read"),
    "frames of words": (
        _spoilt(b"1234567 ", b"Mustermn", NumberOfFrames=1234567),
        r"cannot be read as DICOM|frames",
    ),
    "palette": (
        lambda path: write(path, PhotometricInterpretation="PALETTE COLOR"),
        r"colours of kind PALETTE COLOR",
    ),
    "colour kind of a name": (
        lambda path: write(path, PhotometricInterpretation=PATIENT.upper()[:16]),
        r"colours of a kind that DICOM does not define",
    ),
    "16-bit colours": (lambda path: write(path, np.zeros((18, 20, 3), np.uint16)), r"uint16 colours"),
    "12 bits in 8": (lambda path: write(path, BitsAllocated=8), r"cannot be read as DICOM"),
    "float pixels": (
        lambda path: write(path, PixelData=None, FloatPixelData=bytes(4 * 18 * 20)),
        r"DICOM without a picture",
    ),
    "window without width": (
        lambda path: write(path, WindowCenter=1, WindowWidth=0),
        r"VOI function LINEAR with width 0",
    ),
    "window of NaN": (
        _spoilt(b"1234.567", b"nan     ", WindowCenter="1234.567", WindowWidth=9),
        r"width 9 around nan",
    ),
    "window of a name": (
        _spoilt(b"1234.567", b"Musterm^", WindowCenter="1234.567", WindowWidth=9),
        r"cannot be read as DICOM",
    ),
    "unknown VOI function": (
        lambda path: write(path, WindowCenter=1, WindowWidth=9, VOILUTFunction="CUBIC"),
        r"VOI function that DICOM does not define",
    ),
    "VOI function of a name": (
        lambda path: write(path, WindowCenter=1, WindowWidth=9, VOILUTFunction=PATIENT.upper()[:16]),
        r"VOI function",
    ),
    "slope of NaN": (
        _spoilt(b"1234.567", b"nan     ", RescaleSlope="1234.567", RescaleIntercept=0),
        r"values that are no numbers",
    ),
    "slope past all numbers": (
        lambda path: write(path, RescaleSlope="1e308", RescaleIntercept="1e308"),
        r"values that are no numbers",
    ),
    "JPEG-LS": (
        compressed(JPEGLSLossless, b"\xff\xd8 no decoder"),
        r"compressed in a way that no installed decoder",
    ),
    "JPEG of nothing": (
        compressed(JPEGBaseline8Bit, b"\xff\xd8\xff\xd9"),
        r"compressed|cannot be read as DICOM",
    ),
    "JPEG larger than said": (
        compressed(JPEGBaseline8Bit, coded((9000, 9900), "JPEG")),
        r"compressed picture .*9000×9900",
    ),
    "JPEG 2000 larger than said": (
        compressed(JPEG2000Lossless, coded((4000, 4100), "JPEG2000")),
        r"compressed picture .*4000×4100",
    ),
    "RLE of nothing": (compressed(RLELossless, bytes(64)), r"compressed|cannot be read as DICOM"),
    "deflated bomb": (_deflated_bomb, r"is deflated as a whole"),
    "pixels of 4 GiB": (_endless, r"has 4\.0 GiB; 160 MiB are read"),
    "sequences without end": (lambda path: sequences(path, 5000), r"cannot be read as DICOM|not a DICOM"),
}

CASES = [
    Case(f"DICOM: {name}", one("1.dcm", write), ("data", "show", "s", "--size", "28"), says, "s/a/1.dcm")
    for name, (write, says) in FILES.items()
]
