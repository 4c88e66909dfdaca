"""Synthetic images of a study, kept ones and rejected ones by reason. No real image is shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.reading import SoundRun

LABELS = ("accepted", "constant", "unlike", "too alike", "copy suspect", "duplicate")
"""By the number that stands in a pool's file."""

REASONS = {
    "accepted": "inside the likeness band",
    "constant": "one grey value",
    "unlike": "less like any real training image than real images of other patients are",
    "too alike": "more like one than 95 % of them",
    "copy suspect": "more like one than 99 % of them",
    "duplicate": "too like an image kept before",
}
SHOWN = 10


@dataclass(frozen=True)
class Examples:
    """Images that met the same end.

    Attributes:
        label: what became of them.
        reason: in words.
        total: how many there are.
        images: up to ten, evenly spaced by likeness, from least to most alike.
        likeness: (N,) of those shown.
    """

    label: str
    reason: str
    total: int
    images: NDArray[np.uint8]
    likeness: NDArray[np.float32]


def examples(run: SoundRun, name: str) -> list[Examples]:
    """Examples from the first finished pool of the study's first cell, those kept first.

    Args:
        run: the study.
        name: ``rare`` or ``reference``.
    """
    record = next(
        (pool for pool in run.by_kind("pool") if run.cells and pool["cell"] == run.cells[0]["name"]), None
    )
    if record is None or record[name] is None:
        return []
    file = f"synthetic/{record['cell']}-{record['generator']}.npz"
    arrays = [run.array(file, f"{name}_{key}") for key in ("images", "verdict", "likeness")]
    images, verdict, likeness = arrays
    if images is None or verdict is None or likeness is None:
        return []
    found = []
    for number, label in enumerate(LABELS):
        members = np.flatnonzero(verdict == number)
        if len(members):
            order = members[np.argsort(likeness[members], kind="stable")]
            shown = order[np.unique(np.linspace(0, len(order) - 1, SHOWN).round().astype(int))]
            found.append(Examples(label, REASONS[label], len(members), images[shown], likeness[shown]))
    return found
