"""What the run folder of a sound study says, as plain arrays, read without the program's stages."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.protocol_sound import ARMS, Sound
from healthgan.report.reading import Content
from healthgan.report.sound.plan import Cell, arms_of, fits, generators, planned
from healthgan.run import Record
from healthgan.statistics.readers import Arm

COLUMN = "external_column_"


@dataclass(frozen=True)
class Tested:
    """Labels and patients of images that classifiers are judged on.

    Attributes:
        label: (N,) 1 rare, 0 reference.
        patient: (N,) equal for images of one patient.
        columns: name → (N,) text, for subgroups.
    """

    label: NDArray[np.int64]
    patient: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True, eq=False)
class SoundRun(Content):
    """The run folder of a sound study. Two are equal if their settings and records are, and the same files are lost.

    Attributes:
        protocol: its settings.
    """

    protocol: Sound

    @cached_property
    def content(self) -> tuple[str, str, str, tuple[str, ...]]:
        """All that answers depend on."""
        records = json.dumps(self.records, sort_keys=True)
        return str(self.folder.path.resolve()), self.settings, records, self.lost

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoundRun) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    @property
    def design(self) -> str:
        """``own-test``, ``cross-validation`` or ``tuning``."""
        return str(self.asked["design"])

    @property
    def cells(self) -> list[Cell]:
        """Training and test parts; empty before the task is known."""
        return list((self.task or {}).get("cells", []))

    @property
    def main_cells(self) -> list[Cell]:
        """The cells that the verdict rests on: the own test split, or all folds."""
        return [cell for cell in self.cells if cell["kind"] in ("main", "fold")]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that run, in order."""
        return tuple((self.task or {}).get("arms", ()))

    @property
    def patients_known(self) -> bool:
        """Whether the source tells its patients; where not, every image counts as one."""
        return bool((self.task or {}).get("main", {}).get("patients_known", True))

    @property
    def left_out(self) -> dict[str, str]:
        """Arms of the protocol that do not run or have too few images, and why."""
        return {**(self.task or {}).get("left_out", {}), **self.skipped}

    @property
    def skipped(self) -> dict[str, str]:
        """Arms that the verdict can't rest on, as a generator made too few images that pass their filter, and why."""
        main = {cell["name"] for cell in self.main_cells}
        return {
            record["arm"]: record["skipped"]
            for record in self.by_kind("fit")
            if "skipped" in record and record["cell"] in main
        }

    def trained(self, cell: Cell, arm: str) -> bool:
        """Whether all of an arm's classifiers in a cell that is complete could be trained."""
        return not any("skipped" in self.records[key] for key in self.fits(cell, arm))

    def compared(self, cell: Cell) -> list[str]:
        """The arms of a cell that have classifiers, of a fold those that have them in every fold."""
        places = self.main_cells if cell["kind"] == "fold" else [cell]
        names = arms_of(self.protocol, cell, self.arms)
        return [arm for arm in names if all(self.trained(place, arm) for place in places)]

    @property
    def planned(self) -> list[str]:
        """The keys of all jobs, as far as they are known."""
        return planned(self.protocol, self.cells, self.arms, self.brought) if self.cells else ["task"]

    @property
    def missing(self) -> list[str]:
        """The keys of jobs without a record, or whose predictions or labels are lost."""
        return [key for key in self.planned if not self._usable(key)]

    def complete(self, cells: Iterable[Cell]) -> bool:
        """Whether these cells, at least one, have all their classifiers and the truth."""
        named = list(cells)
        keys = [f"truth/{cell['name']}" for cell in named]
        keys += [
            key
            for cell in named
            for arm in arms_of(self.protocol, cell, self.arms)
            for key in self.fits(cell, arm)
        ]
        return bool(named) and all(self._usable(key) for key in keys)

    def fits(self, cell: Cell, arm: str) -> list[str]:
        """The keys of an arm's classifiers in a cell."""
        count = generators(self.protocol, cell, self.arms, self.brought)
        return list(fits(self.protocol, cell, arm, count))

    def arm(self, cell: Cell, name: str, tested: str = "test") -> Arm:
        """The predictions of an arm in a cell that is complete.

        Args:
            cell: where.
            name: of the arm.
            tested: ``test`` or ``external``.
        """
        records = [self.records[key] for key in self.fits(cell, name)]
        numbers = [record["generator"] for record in records]
        return Arm(
            name=name,
            kind=ARMS[name][0] if name in ARMS else "reference",
            scores=np.stack([self._predictions(record, tested) for record in records]),
            generator=None if None in numbers else np.array(numbers, np.int64),
            validation=np.stack([self._predictions(record, "val") for record in records]),
        )

    def tested(self, cell: Cell, tested: str = "test") -> Tested:
        """Labels and patients of the images in a cell that is complete.

        Args:
            cell: where.
            tested: ``val``, ``test`` or ``external``.
        """
        arrays = self._truth(cell)
        return Tested(
            label=arrays[f"{tested}_label"].astype(np.int64),
            patient=arrays[f"{tested}_patient"].astype(np.int64),
            columns={
                name.removeprefix(COLUMN): values
                for name, values in arrays.items()
                if name.startswith(COLUMN) and tested == "external"
            },
        )

    def prevalence(self, cell: Cell) -> float:
        """The share of rare images in the training part."""
        return float(self._truth(cell)["prevalence"])

    def training_images(self, cell: Cell) -> int:
        """Real images of both classes in the training part."""
        return int(self.records[self.fits(cell, "real")[0]]["images"]["real"])

    def by_kind(self, kind: str) -> list[Record]:
        """The records of finished jobs of a kind, by their keys."""
        return [self.records[key] for key in sorted(self.records) if self.records[key].get("kind") == kind]

    def _truth(self, cell: Cell) -> dict[str, NDArray[Any]]:
        path = self.folder.artifact(f"truth/{cell['name']}.npz")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def _predictions(self, record: Record, tested: str) -> NDArray[np.float32]:
        name = next(iter(record["artifacts"]))
        with np.load(self.folder.artifact(name), allow_pickle=False) as file:
            logits: NDArray[np.float32] = file[tested]
            return logits

    def _usable(self, key: str) -> bool:
        record = self.records.get(key)
        return record is not None and not set(record.get("artifacts", {})) & set(self.lost)
