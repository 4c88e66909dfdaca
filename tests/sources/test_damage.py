"""Whatever happens to a file's bytes, reading it ends in images or in one InputError."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from healthgan.errors import InputError
from healthgan.sources import load

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 18, 20), dtype=np.uint8)


def npz():
    file = io.BytesIO()
    np.savez_compressed(
        file, train_images=PIXELS, train_labels=np.arange(4), class_names=np.array(["a", "b", "c", "d"])
    )
    return file.getvalue()


def picture(kind, array=PIXELS[0]):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format=kind)
    return file.getvalue()


def dicom():
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.Rows, file.Columns = PIXELS[0].shape
    file.SamplesPerPixel, file.PixelRepresentation, file.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.RescaleSlope, file.RescaleIntercept, file.WindowCenter, file.WindowWidth = 1, 0, 100, 200
    file.PixelData = PIXELS[0].astype("<u2").tobytes()
    file["PixelData"].VR = "OW"
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


FILES = {
    "a.npz": npz(),
    "a/1.png": picture("PNG"),
    "b/1.png": picture("PNG", PIXELS[0].astype(np.uint16) * 200),
    "a/1.jpg": picture("JPEG"),
    "a/1.tif": picture("TIFF"),
    "b/1.tif": picture("TIFF", PIXELS[0].astype(np.uint16) * 200),
    "a/1.dcm": dicom(),
    "a.csv": b'path,label,patient,split,sex\n1.png,x,p,train,F\n"2.png",y,q,test,M\n',
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


def read(place, name, body):
    root = place / name.replace("/", "_").replace(".", "_")
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "a.csv":
        (root / "1.png").write_bytes(FILES["a/1.png"])
        (root / "2.png").write_bytes(FILES["a/1.png"])
    path.write_bytes(body)
    return load(str(path if "/" not in name else root))


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(place, name):
    assert len(read(place, name, FILES[name])["train"]) >= 1


@pytest.mark.parametrize("name", FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_images_or_in_one_message(place, name, data):
    body = bytearray(FILES[name])
    for place_, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), min_size=0, max_size=6)
    ):
        body[place_] = value
    body = body[: data.draw(st.integers(0, len(body)) | st.just(len(body)))]
    with suppress(InputError):  # the one message
        read(place, name, bytes(body))
