"""DICOM files: values through the look-up tables, and no identifier kept."""

import sys

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_voi, apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from healthgan.errors import InputError
from healthgan.sources import load
from healthgan.sources.dicom import read_dicom

SHAPE = (18, 20)


def write(path, pixels, **elements):
    """A DICOM file of the least that is needed; ``elements`` overrides or, if None, drops."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    bits = pixels.dtype.itemsize * 8
    colour = pixels.ndim == 3
    wanted = {
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
    for name, value in wanted.items():
        if value is not None:
            setattr(file, name, value)
    if "PixelData" in file:
        file["PixelData"].VR = "OW" if bits > 8 else "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


VALUES = np.random.default_rng(0).integers(0, 4096, SHAPE).astype(np.uint16)
SIGNED = np.random.default_rng(1).integers(-1024, 1024, SHAPE).astype(np.int16)


def test_without_window_darkest_to_brightest(tmp_path):
    found = read_dicom(write(tmp_path / "a.dcm", VALUES, BitsStored=12, HighBit=11))
    low, high = int(VALUES.min()), int(VALUES.max())
    np.testing.assert_array_equal(found.pixels[..., 0], np.rint((VALUES - float(low)) / (high - low) * 255))
    assert found.notes == (
        "DICOM grey without VOI LUT or window scaled from its darkest to its brightest value",
    )
    assert found.patient is None


def test_a_constant_picture_is_black(tmp_path):
    assert (read_dicom(write(tmp_path / "a.dcm", np.full(SHAPE, 9, np.uint16))).pixels == 0).all()


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_windows_equal_pydicoms(tmp_path, function, slope):
    path = write(
        tmp_path / "a.dcm",
        SIGNED,
        RescaleSlope=slope,
        RescaleIntercept=-10,
        WindowCenter=[40, 1],
        WindowWidth=[400, 1],
        VOILUTFunction=function,
    )
    file = pydicom.dcmread(path)
    reference = apply_windowing(SIGNED * slope - 10, file)
    low, high = (value * slope - 10 for value in (-(2**15), 2**15 - 1))
    expected = np.rint((reference - low) / (high - low) * 255)
    found = read_dicom(path)
    assert np.abs(found.pixels[..., 0] - expected).max() <= (0 if slope == 1 else 1)
    assert np.abs(found.pixels[..., 0] - expected).mean() < 0.01
    assert found.notes == ("DICOM grey scaled by its first VOI window",)


def test_a_window_of_width_one_is_a_step(tmp_path):
    found = read_dicom(write(tmp_path / "a.dcm", SIGNED, WindowCenter=100, WindowWidth=1))
    np.testing.assert_array_equal(found.pixels[..., 0], np.where(SIGNED > 99.5, 255, 0))


def test_a_voi_lut_goes_before_a_window(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.add_new("LUTData", "OW", (np.linspace(0, 1, 256) ** 2 * 4095).astype("<u2").tobytes())
    values = (VALUES // 16).astype(np.uint16)
    path = write(tmp_path / "a.dcm", values, VOILUTSequence=[table], WindowCenter=1, WindowWidth=2)
    expected = np.rint(apply_voi(values, pydicom.dcmread(path)) / 4095 * 255)
    found = read_dicom(path)
    np.testing.assert_array_equal(found.pixels[..., 0], expected)
    assert found.notes == ("DICOM grey scaled by its VOI LUT",)


def test_monochrome1_is_inverted(tmp_path):
    plain = read_dicom(write(tmp_path / "a.dcm", VALUES, WindowCenter=2048, WindowWidth=3001))
    inverted = read_dicom(
        write(
            tmp_path / "b.dcm",
            VALUES,
            WindowCenter=2048,
            WindowWidth=3001,
            PhotometricInterpretation="MONOCHROME1",
        )
    )
    # halves round to even on either side: a difference of one level where the scaled value ends in exactly .5
    assert np.abs(inverted.pixels.astype(int) - (255 - plain.pixels.astype(int))).max() <= 1
    assert "MONOCHROME1 inverted" in inverted.notes


def test_colours(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    found = read_dicom(write(tmp_path / "a.dcm", pixels))
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.stored_rgb


def test_a_folder_of_dicom_keeps_codes_and_no_identifier(tmp_path):
    names = {"a/1.dcm": "Miller", "a/2": "Smith", "b/1.dcm": "Miller", "b/2.dcm": "Jones"}
    for name, patient in names.items():
        write(tmp_path / name, VALUES, PatientID=patient, PatientName=patient, PatientBirthDate="19700101")
    found = load(str(tmp_path))
    assert found["train"].patients.tolist() == [0, 1, 0, 2]
    assert not any(patient in repr(found) for patient in ("Miller", "Smith", "Jones", "1970"))
    assert dict(found["train"].columns) == {}


@pytest.mark.parametrize(
    ("patients", "note"),
    [
        (["x", "", "x", "y"], "patients not used: only 3 of 4 images name one"),
        (["x", "x", "x", "x"], "patients not used: every DICOM file names the same one"),
    ],
)
def test_patients_that_tell_nothing_are_not_used(tmp_path, patients, note):
    for number, patient in enumerate(patients):
        write(tmp_path / "a" / f"{number}.dcm", VALUES, PatientID=patient)
    found = load(str(tmp_path))
    assert found["train"].patients is None
    assert note in found.notes


def test_patients_of_a_manifest_go_before_dicoms(tmp_path):
    for number in range(2):
        write(tmp_path / f"{number}.dcm", VALUES + number, PatientID=f"p{number}")
    (tmp_path / "list.csv").write_text("path,label,patient\n0.dcm,a,q\n1.dcm,b,q\n")
    assert load(str(tmp_path / "list.csv"))["train"].patients.tolist() == [0, 0]
    (tmp_path / "list.csv").write_text("path,label\n0.dcm,a\n1.dcm,b\n")
    assert load(str(tmp_path / "list.csv"))["train"].patients.tolist() == [0, 1]


def test_no_message_quotes_the_file(tmp_path, caplog, capfd):
    """pydicom's errors and warnings name values, and those may be a patient's."""
    path = write(tmp_path / "a.dcm", VALUES, WindowCenter="1234.567", WindowWidth=9, PatientID="Miller")
    path.write_bytes(path.read_bytes().replace(b"1234.567", b"Miller^A"))
    with pytest.raises(InputError, match="cannot be read as DICOM") as caught:
        read_dicom(path)
    assert "Miller" in str(caught.value.__cause__)
    assert "Miller" not in str(caught.value)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_without_pydicom_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dcm", VALUES)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r"pip install 'healthgan\[dicom\]'"):
        read_dicom(path)
