"""The synthetic images that are most like a real one, beside it: where copies would be seen first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.examples import LABELS
from healthgan.report.sound.reading import SoundRun

SHOWN = 8


@dataclass(frozen=True)
class Close:
    """A synthetic image and the real training image that it is most like.

    Attributes:
        synthetic: (H, W, C) uint8.
        real: (H, W, C) uint8; None where the run did not keep it or the page leaves it out.
        likeness: the SSIM of the two.
        label: what became of the synthetic image.
        number: its place in its pool.
    """

    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8] | None
    likeness: float
    label: str
    number: int


def closest(run: SoundRun, name: str, *, kept: bool, patient_images: bool) -> list[Close]:
    """The closest pairs of the first pool of the study's first cell, the most alike first.

    Args:
        run: the study.
        name: ``rare`` or ``reference``.
        kept: of the images that the band kept only, or of all candidates.
        patient_images: whether the real ones may be shown.
    """
    if not run.cells:
        return []
    cell = run.cells[0]["name"]
    pool, reals = f"synthetic/{cell}-0.npz", f"reals/{cell}.npz"
    arrays = [run.array(pool, f"{name}_{key}") for key in ("images", "verdict", "likeness", "nearest")]
    images, verdict, likeness, nearest = arrays
    if images is None or verdict is None or likeness is None or nearest is None:
        return []
    eligible = np.flatnonzero((verdict == 0) if kept else ~np.isnan(likeness))
    chosen = eligible[np.argsort(-likeness[eligible], kind="stable")][:SHOWN]
    positions, pixels = (
        (run.array(reals, f"{name}_image"), run.array(reals, f"{name}_pixels"))
        if patient_images
        else (None, None)
    )
    found = []
    for number in chosen:
        real = None
        if positions is not None and pixels is not None:
            place = np.flatnonzero(positions == nearest[number])
            real = pixels[place[0]] if len(place) else None
        found.append(
            Close(images[number], real, float(likeness[number]), LABELS[int(verdict[number])], int(number))
        )
    return found
