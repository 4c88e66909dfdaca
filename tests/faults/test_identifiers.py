"""Names and numbers of patients, planted wherever a source can hold them, come out nowhere."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from bad_dicom import write

from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.protocol import load_protocol, to_toml
from healthgan.protocol_sound import Sound
from tiny import write_blobs

NAME, NUMBER, BORN, FILE, ABOVE, PRIVATE = (
    "Zanzibarski",
    "QX81549",
    "19310417",
    "Wolkenstein",
    "Thurnherr",
    "Obersaxer",
)
PLANTED = (NAME, NUMBER, BORN, FILE, ABOVE, PRIVATE)
"""The family name, the patient's number and day of birth in tags, a name in file names, one in the path above the source,
one in private tags."""


def _film(path: Path, pixels: np.ndarray, number: int) -> None:
    write(
        path,
        pixels,
        PatientName=f"{NAME}^Olga",
        PatientID=f"{NUMBER}{number}",
        PatientBirthDate=BORN,
        OtherPatientIDs=f"{NUMBER}X",
        AccessionNumber=f"A{NUMBER}",
        InstitutionName=f"Klinik {NAME}",
        ReferringPhysicianName=NAME,
        StudyInstanceUID=f"1.2.{BORN}.1",
        StudyDescription=f"Thorax {NAME}",
        ImageComments=f"{NAME} {NUMBER}",
        WindowCenter=128,
        WindowWidth=256,
    )
    file = pydicom.dcmread(path)
    file.add_new((0x0009, 0x0010), "LO", PRIVATE)
    file.add_new((0x0009, 0x1001), "LO", f"{PRIVATE} {NUMBER}")
    file.save_as(path)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of DICOM files, of classes and splits, below a folder that is named after a patient."""
    root = tmp_path_factory.mktemp("faults") / f"{ABOVE}_{NUMBER}" / "films"
    arrays = np.load(write_blobs(tmp_path_factory.mktemp("blobs") / "b.npz", counts=COUNTS))
    for split in COUNTS:
        for number, (pixels, label) in enumerate(
            zip(arrays[f"{split}_images"], arrays[f"{split}_labels"].ravel(), strict=True)
        ):
            name = ("narrow", "wide")[label]
            person = int(arrays[f"{split}_patients"][number])
            _film(root / split / name / f"{FILE}^{NUMBER}-{number:03}.dcm", pixels, person)
    return root


COUNTS = {"train": (40, 60), "val": (24, 30), "test": (24, 30)}


def _protocol(path: Path) -> Path:
    """A sound study of seconds, of images that are brought."""
    settings = load_protocol("sound-quick").model_dump(exclude_none=True)
    settings["name"] = "tiny"
    settings["design"] |= {"reference_seeds": 2, "seeds": 2}
    settings["training"] |= {"steps": 8}
    settings["arms"] = {"reference": ("real",), "synthetic": ("synthetic-25",), "control": ()}
    path.write_text(to_toml(Sound.model_validate(settings)))
    return path


@pytest.mark.slow
def test_no_planted_name_or_number_comes_out(
    hospital: Path,
    tmp_path: Path,
    main: Callable,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(steps=24, batch=32, width=16, checks=2)
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", settings)
    monkeypatch.chdir(tmp_path)
    said = []
    for command in (
        ("data", "show", hospital),
        ("data", "show", hospital, "--json"),
        (
            "train",
            hospital,
            "--rare",
            "wide",
            "--preset",
            "edm-quick",
            "--no-measure",
            "--out",
            "g.safetensors",
        ),
        ("sample", "g.safetensors", "--count", 60, "--out", "made.npz"),
        ("sample", "g.safetensors", "--count", 3, "--out", "made"),
        ("likeness", "made.npz", hospital, "--rare", "wide", "--heldout", hospital, "--out", "scores.csv"),
        (
            "audit",
            "made.npz",
            "--train",
            hospital,
            "--heldout",
            hospital,
            "--rare",
            "wide",
            "--gallery",
            "closest.png",
        ),
        (
            "study",
            hospital,
            "--rare",
            "wide",
            "--synthetic",
            "made.npz",
            "--protocol",
            _protocol(tmp_path / "p.toml"),
            "--out",
            "run",
        ),
        ("report", "run"),
    ):
        ended = main(*command)
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout + ended.stderr)
    assert found_in("".join(said).encode()) == set()
    assert found_in(caplog.text.encode()) == set()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = {path.suffix for path in written}
    assert {".safetensors", ".npz", ".png", ".md", ".csv", ".json", ".jsonl", ".toml", ".html"} <= names
    for path in written:
        assert found_in(str(path.relative_to(tmp_path)).encode()) == set(), path
        for part in contents(path):
            assert found_in(part) == set(), path
    loose = [path for path in written if path.name.endswith(".part") or "checkpoint" in path.name]
    assert loose == []


FORMS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""NumPy's strings are UTF-32."""


def found_in(data: bytes) -> set[str]:
    """The planted texts that stand in bytes, in either case and in any of ``FORMS``."""
    lower = data.lower()
    return {text for text in PLANTED if any(text.lower().encode(form) in lower for form in FORMS)}


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and those of what is packed in it."""
    data = path.read_bytes()
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                yield info.filename.encode()
                yield archive.read(info)
    if path.suffix == ".png":
        for kind, body in re.findall(rb"(iTXt|zTXt|tEXt|eXIf)(.*?)IDAT", data, re.DOTALL):
            yield body
            if kind == b"zTXt":
                yield zlib.decompressobj().decompress(body[body.find(b"\0") + 2 :])


def test_what_is_planted_would_be_found(hospital: Path, tmp_path: Path) -> None:
    films = sorted(hospital.rglob("*.dcm"))
    assert found_in(b"".join(contents(films[0]))) == set(PLANTED) - {FILE, ABOVE}
    assert found_in(str(films[0]).encode()) == {FILE, ABOVE, NUMBER}
    np.savez_compressed(tmp_path / "a.npz", x=np.array([NAME, "y" * 999]))
    assert not found_in((tmp_path / "a.npz").read_bytes())
    assert set().union(*map(found_in, contents(tmp_path / "a.npz"))) == {NAME}
    assert found_in(json.dumps({"a": NAME.upper()}).encode()) == {NAME}
