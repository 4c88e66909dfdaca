"""What a run folder says, read without the program's stages."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.files import sha256
from healthgan.protocol import MAX_BYTES, SOUND, Protocol
from healthgan.protocol_sound import Sound
from healthgan.run import Record, RunFolder, read_starts

if TYPE_CHECKING:
    from healthgan.report.sound.reading import SoundRun

ARMS = ("real", "generated", "control")
CANDIDATES = "synthetic/candidates.npz"
EXAMPLES = "synthetic/examples.npz"
REALS = "reals/nearest.npz"


@dataclass(frozen=True)
class Content:
    """What the folders of all studies hold.

    Attributes:
        folder: where it lies.
        asked: the ``[study]`` table of its settings: source, classes, seed, digests.
        settings: all settings as TOML, as they lie there.
        starts: facts about every start: when, versions, hardware.
        records: the last record of each finished job by its key.
        lost: artefacts that a record names and that are missing or changed.
    """

    folder: RunFolder
    asked: dict[str, Any]
    settings: str
    starts: list[dict[str, Any]]
    records: dict[str, Record]
    lost: tuple[str, ...]

    @property
    def task(self) -> Record | None:
        """Facts about the sets."""
        return self.records.get("task")

    @property
    def brought(self) -> bool:
        """Whether the synthetic images were brought, so that no generator is trained."""
        return "synthetic" in self.asked

    def array(self, name: str, key: str) -> NDArray[Any] | None:
        """One array of an artefact; None where no finished job made it, where it is lost, or of an earlier version."""
        known = any(name in record.get("artifacts", {}) for record in self.records.values())
        if not known or name in self.lost:
            return None
        with np.load(self.folder.artifact(name), allow_pickle=False) as file:
            array: NDArray[Any] | None = file[key] if key in file.files else None
            return array


@dataclass(frozen=True)
class Run(Content):
    """A run folder's content.

    Attributes:
        protocol: its settings.
    """

    protocol: Protocol

    @property
    def floors(self) -> tuple[float, ...]:
        """The likeness floors, rising."""
        return self.protocol.likeness.floors

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the protocol compares."""
        return ARMS if self.protocol.control is not None else ARMS[:2]

    @property
    def planned(self) -> list[str]:
        """The keys of all jobs."""
        trainings = 0 if self.brought else self.protocol.generator.rounds
        rounds = [f"generator/{number}" for number in range(trainings)]
        classifiers = [classifier_key(arm, floor) for arm in self.arms for floor in self.floors]
        return [*rounds, "likeness", "real-or-synthetic", *classifiers]

    @property
    def missing(self) -> list[str]:
        """The keys of jobs without a record."""
        return [key for key in self.planned if key not in self.records]

    def classifier(self, arm: str, floor: float) -> Record | None:
        """The record of a trained, or untrainable, classifier."""
        return self.records.get(classifier_key(arm, floor))

    def trained(self, arm: str) -> Iterator[tuple[float, Record]]:
        """Floor and record of every classifier of an arm that was trained."""
        for floor in self.floors:
            record = self.classifier(arm, floor)
            if record is not None and "test_accuracy" in record:
                yield floor, record

    def rounds(self) -> list[int]:
        """The numbers of the GAN's trainings whose images are at hand."""
        return [
            number
            for number in range(self.protocol.generator.rounds)
            if self.array(history_file(number), "losses") is not None
        ]


def classifier_key(arm: str, floor: float) -> str:
    """The key of a classifier's record."""
    return f"classifier/{arm}/{floor:.2f}"


def history_file(number: int) -> str:
    """The artefact with the images, losses and noise of a training of the GAN."""
    return f"synthetic/round-{number}.npz"


def read_run(path: Path) -> "Run | SoundRun":
    """Read a run folder; jobs without a record are simply not there.

    Raises:
        InputError: there is no such folder, it holds no study, or a file in it is damaged.
    """
    file = path / "study.toml"
    if not path.is_dir():
        raise InputError(f"There is no folder '{path}'. Give the folder of a study, as --out named it.")
    if not file.is_file():
        raise InputError(f"'{path}' holds no study: there is no study.toml. Give the folder of a study.")
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise InputError(
            f"'{file}' has {size / 2**30:.1f} GiB, which no settings have. Restore it, or run the study again in a new folder."
        )
    try:
        settings = file.read_text("utf-8")
        tables = tomllib.loads(settings)
        asked = {**tables.pop("study")}
        protocol = _protocol(tables)
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # of TOML, of a value, or of UTF-8
        first = "nested too deep" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise InputError(
            f"'{file}' is damaged or of another version of the program: {first}. "
            "Restore it, or run the study again in a new folder."
        ) from None
    folder = RunFolder(path)
    records = {record["key"]: record for record in _records(folder)}
    content = (
        folder,
        asked,
        settings,
        read_starts(path / "manifest.json"),
        records,
        tuple(_lost(folder, records)),
    )
    if isinstance(protocol, Protocol):
        return Run(*content, protocol)
    from healthgan.report.sound.reading import SoundRun

    return SoundRun(*content, protocol)


def _protocol(tables: dict[str, Any]) -> Protocol | Sound:
    if SOUND & set(tables):
        return Sound.model_validate(tables)
    return Protocol.model_validate(tables)


def _records(folder: RunFolder) -> list[Record]:
    found = folder.lines()
    if found.damaged:
        numbers = ", ".join(map(str, [*found.damaged][:10]))
        raise InputError(
            f"'{folder.records_file}', line {numbers}: damaged, or of another version of the program. Repeat the study's own "
            "command: it does again what was recorded there, and no more."
        )
    return found.records


def _lost(folder: RunFolder, records: dict[str, Record]) -> Iterator[str]:
    for record in records.values():
        for name, digest in record.get("artifacts", {}).items():
            if not name.endswith(".npz"):  # a report needs no weights
                continue
            file = folder.artifact(name)
            if not file.is_file() or sha256(file) != digest:
                yield name
