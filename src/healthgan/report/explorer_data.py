"""What the likeness explorer shows of a run: every image of its classes with its score, and the study's own rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from healthgan.report.reading import CANDIDATES, REALS, Run
from healthgan.report.sound.examples import LABELS as LABELS
from healthgan.report.sound.reading import SoundRun

TEXTS: Mapping[str, tuple[str, ...]] = {
    "band": (
        "between the two ends",
        "all its pixels are equal",
        "less like any real training image than the low end",
        "more like a real training image than the high end",
        "more like a real training image than 99 % of these are like other patients' images",
        "inside the band, but too like an image that the study kept before it",
    ),
    "floor": ("at or above the floor", "all its pixels are equal", "below the floor"),
}
"""What each reason means, by kind of rule; a floor knows the first three only."""


@dataclass(frozen=True)
class Rule:
    """A way to decide what is kept, as the study itself has it.

    Attributes:
        kind: ``band``, with a low and a high end, or ``floor``.
        values: the two ends, or all floors of the study.
        kept: how many the study's record says the band keeps, or each of the floors.
        copy: of a band, the likeness beyond which an image is a copy suspect wherever the high end is.
    """

    kind: Literal["band", "floor"]
    values: tuple[float, ...]
    kept: tuple[int, ...]
    copy: float | None = None


@dataclass(frozen=True, eq=False)
class Explored:
    """Synthetic images of one class.

    Attributes:
        title: the class; the user's text.
        images: (N, H, W, C) uint8, N ≥ 1.
        likeness: (N,) float32, the best SSIM to a real training image; NaN for a constant image.
        verdict: (N,) uint8, the study's own, as positions in ``LABELS``; all accepted where it knows floors only.
        nearest: (N,) int64, that training image's position in its split; −1 for a constant image.
        heldout: (M,) float32, of real images that nothing was trained on; None where the run has none.
        positions: (K,) int64, rising, of the real images at hand.
        reals: (K, H, W, C) uint8; None where the run has none.
        rules: the study's own, at least one; those of all classes of a run are of the same kinds.
        facts: further numbers of an image by their names.
    """

    title: str
    images: NDArray[np.uint8]
    likeness: NDArray[np.float32]
    verdict: NDArray[np.uint8]
    nearest: NDArray[np.int64]
    heldout: NDArray[np.float32] | None
    positions: NDArray[np.int64] | None
    reals: NDArray[np.uint8] | None
    rules: tuple[Rule, ...]
    facts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def explored(run: Run | SoundRun) -> list[Explored]:
    """The classes of a run whose images are at hand, the rare one first; of a sound study, from its first pool."""
    if isinstance(run, SoundRun):
        return list(_first_pool(run))
    found = _candidates(run)
    return [] if found is None else [found]


def reals_file(run: Run | SoundRun) -> str:
    """The artefact with the real images that are nearest to those explored."""
    return f"reals/{run.cells[0]['name']}.npz" if isinstance(run, SoundRun) else REALS


def _candidates(run: Run) -> Explored | None:
    arrays = {
        key: run.array(CANDIDATES, key)
        for key in ("images", "likeness", "nearest", "round", "epoch", "vector")
    }
    record = run.records.get("likeness")
    if (
        record is None
        or any(values is None for values in arrays.values())
        or not len(_there(arrays["images"]))
    ):
        return None
    facts = {"Training": _there(arrays["round"]) + 1, "Epoch": _there(arrays["epoch"])}
    if run.brought:
        facts = {"Place in what was brought": _there(arrays["vector"])}
    kept = tuple(int(record["accepted"][f"{floor:.2f}"]) for floor in run.floors)
    return Explored(
        title=str(run.asked["rare"]),
        images=_there(arrays["images"]),
        likeness=_there(arrays["likeness"]),
        verdict=np.zeros(len(_there(arrays["images"])), np.uint8),
        nearest=_there(arrays["nearest"]),
        heldout=run.array(CANDIDATES, "heldout_likeness"),
        positions=run.array(REALS, "image"),
        reals=run.array(REALS, "pixels"),
        rules=(Rule("floor", run.floors, kept),),
        facts=facts,
    )


def _first_pool(run: SoundRun) -> Iterator[Explored]:
    cell = run.cells[0]["name"] if run.cells else None
    record, bands = run.records.get(f"pool/{cell}/0"), run.records.get(f"band/{cell}")
    if record is None or bands is None:
        return
    for name in ("rare", "reference"):
        file = f"synthetic/{cell}-0.npz"
        keys = ("images", "likeness", "verdict", "nearest")
        arrays = {key: run.array(file, f"{name}_{key}") for key in keys}
        if record[name] is None or any(values is None or not len(values) for values in arrays.values()):
            continue
        kept, band = record[name]["kept"], bands[name]
        yield Explored(
            title="the rest" if run.asked[name] == "rest" else str(run.asked[name]),
            images=_there(arrays["images"]),
            likeness=_there(arrays["likeness"]),
            verdict=_there(arrays["verdict"]).astype(np.uint8),
            nearest=_there(arrays["nearest"]),
            heldout=run.array(f"truth/{cell}.npz", f"{name}_heldout_likeness"),
            positions=run.array(reals_file(run), f"{name}_image"),
            reals=run.array(reals_file(run), f"{name}_pixels"),
            rules=(
                Rule("band", (band["low"], band["high"]), (kept["band"],), band["copy"]),
                Rule("floor", (run.protocol.generator.floor,), (kept["floor"],)),
            ),
        )


def _there(array: NDArray[Any] | None) -> NDArray[Any]:
    assert array is not None
    return array
