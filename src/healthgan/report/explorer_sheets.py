"""Pictures for the likeness explorer: which images of a class are drawn, and sheets with many on each."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from healthgan.report.explorer_data import Explored

BUDGET = 3_200_000
"""Bytes that all pictures may take inside the page, where three bytes become four."""
MOST = 4000
"""Synthetic images that are drawn at most."""
TRIED = 32
"""Images of a class that tell about how many bytes one takes."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """The pictures of one class. Sheets hold pictures of equal size in rows, without loss.

    Attributes:
        shown: (n,) uint32, positions of the synthetic images that are drawn, rising.
        synthetic: a PNG file with those, in that order.
        columns: pictures in a row of it.
        nearest: (n,) int32, the training image that each is most like, −1 for none.
        slot: (n,) int32, where that one stands on the sheet of real images, −1 where it does not.
        real: a PNG file with the real images; None where there are none.
        real_columns: pictures in a row of it.
    """

    shown: NDArray[np.uint32]
    synthetic: bytes
    columns: int
    nearest: NDArray[np.int32]
    slot: NDArray[np.int32]
    real: bytes | None
    real_columns: int

    @property
    def size(self) -> int:
        """Bytes inside the page."""
        return sum(-(-len(sheet) // 3) * 4 for sheet in (self.synthetic, self.real or b""))


def draw_all(classes: list[Explored], *, budget: int = BUDGET) -> list[Drawn]:
    """Draw as many images of each class as fit, the same number of each as far as it has so many.

    Pixels are never resampled, so that similarity can be computed from a picture; of large images fewer are drawn.
    """
    each = sum(len(sheet(found.images[:TRIED])[0]) / len(found.images[:TRIED]) for found in classes)
    most = min(MOST // len(classes), int(budget * 3 / 4 / each), max(len(found.images) for found in classes))
    share = max(1, most)
    while True:
        drawn = [draw(found, share) for found in classes]
        size = sum(one.size for one in drawn)
        if size <= budget or share == 1:
            return drawn
        share = max(1, min(share - 1, int(0.97 * share * budget / size)))


def draw(found: Explored, count: int) -> Drawn:
    """Pictures of up to ``count`` images of a class, and of the real ones nearest to them, each once."""
    shown = choose(found, count)
    nearest = found.nearest[shown]
    slot, real, real_columns = np.full(len(shown), -1), None, 0
    if found.reals is not None and found.positions is not None:
        wanted, place = np.unique(nearest, return_inverse=True)
        at_hand = np.isin(wanted, found.positions)
        if at_hand.any():
            numbers = np.where(at_hand, np.cumsum(at_hand) - 1, -1)
            slot = numbers[place]
            real, real_columns = sheet(found.reals[np.searchsorted(found.positions, wanted[at_hand])])
    synthetic, columns = sheet(found.images[shown])
    return Drawn(
        shown.astype(np.uint32),
        synthetic,
        columns,
        nearest.astype(np.int32),
        slot.astype(np.int32),
        real,
        real_columns,
    )


def choose(found: Explored, count: int) -> NDArray[np.int64]:
    """Positions of up to ``count`` images, rising.

    All verdicts get equally many as far as they have so many, each evenly spaced by likeness: what is rare is seen.
    """
    groups = [np.flatnonzero(_fate(found) == code) for code in np.unique(_fate(found))]
    groups.sort(key=len)
    chosen: list[NDArray[np.int64]] = []
    for left, group in zip(range(len(groups), 0, -1), groups, strict=True):
        room = (count - sum(map(len, chosen))) // left
        order = group[np.argsort(found.likeness[group], kind="stable")]
        if len(order) > room:
            order = order[np.linspace(0, len(order) - 1, room).round().astype(np.int64)]
        chosen.append(order)
    return np.sort(np.concatenate(chosen))


def _fate(found: Explored) -> NDArray[np.int64]:
    """(N,) the study's verdict; where it knows floors, how many of them an image reaches."""
    if any(rule.kind == "band" for rule in found.rules):
        return found.verdict.astype(np.int64)
    floors = np.array(found.rules[0].values, np.float32)
    return np.where(np.isnan(found.likeness), -1, (found.likeness[:, None] >= floors).sum(axis=1))


def sheet(images: NDArray[np.uint8]) -> tuple[bytes, int]:
    """All images (N, H, W, C) on one PNG picture, row by row, and how many stand in a row; N ≥ 1."""
    count, height, width, channels = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:count] = images
    whole = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    pixels = whole.reshape(rows * height, columns * width, channels)
    stream = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(stream, "PNG", optimize=True)
    return stream.getvalue(), columns
