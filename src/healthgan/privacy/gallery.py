"""A sheet of the generated images nearest to copies, for a person's eye."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from healthgan.files import write_atomically
from healthgan.privacy.alignment import best_pose
from healthgan.privacy.audit import Audit, Pair

Pixels = NDArray[np.uint8]

ROWS = 12
"""Pairs on a sheet."""
_ACROSS = 2  # pairs side by side


def write_gallery(
    path: Path,
    audit: Audit,
    generated: Pixels,
    training: Pixels,
    *,
    places: NDArray[np.int64] | None = None,
    training_places: NDArray[np.int64] | None = None,
    rows: int = ROWS,
) -> None:
    """Draw the clearest pairs: the generated image, its training image moved to match, and their difference.

    The difference is taken after both have the same mean and standard deviation; mid-grey is none. Pairs above
    the threshold come first and are called suspects.

    Args:
        path: the PNG to write. It shows training images: it is as private as they are.
        audit: of these images.
        generated: (N, H, W, C) uint8.
        training: (M, H, W, C) uint8.
        places: (N,) what to call the generated images; by default their positions.
        training_places: (M,) likewise.
        rows: pairs at most.
    """
    pairs = audit.pairs[:rows]
    names = np.arange(len(generated)) if places is None else places
    training_names = np.arange(len(training)) if training_places is None else training_places
    lines = -(-len(pairs) // _ACROSS)
    sheet = Figure(figsize=(4.4 * _ACROSS, 1.65 * lines + 0.4), dpi=150, layout="constrained")
    sheet.suptitle("Generated | its nearest training image | difference", fontsize=9)
    axes = sheet.subplots(lines, 3 * _ACROSS, squeeze=False)
    for each in axes.flat:
        each.set_axis_off()
    for three, pair in zip(axes.reshape(-1, 3), pairs, strict=False):
        titles = (f"{names[pair.image]}", f"{training_names[pair.training_image]}")
        _draw(three, pair, generated[pair.image], training[pair.training_image], titles)

    def save(file: Path) -> None:
        sheet.savefig(file, format="png", metadata={"Software": None})

    write_atomically(path, save)


def moved(image: Pixels, down: int, right: int, mirror: bool) -> Pixels:
    """(H, W, C) mirrored if asked for, then moved; the edge is repeated."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    side = image[:, ::-1] if mirror else image
    result: Pixels = side[rows[:, np.newaxis], columns]
    return result


def difference(image: Pixels, other: Pixels) -> Pixels:
    """(H, W, C) the first less the second, both brought to the first's mean and deviation; 128 is none."""
    first, second = image.astype(np.float64), other.astype(np.float64)
    spread = second.std()
    factor = first.std() / spread if spread else 0.0
    matched: NDArray[np.float64] = (second - second.mean()) * factor + first.mean()
    return np.clip(np.rint(128 + first - matched), 0, 255).astype(np.uint8)


def _draw(
    axes: NDArray[np.object_], pair: Pair, image: Pixels, match: Pixels, names: tuple[str, str]
) -> None:
    down, right, mirror = best_pose(image, match)
    match = moved(match, down, right, mirror)
    how = ", ".join([f"{down:+d} {right:+d}"] * bool(down or right) + ["mirrored"] * mirror)
    titles = (
        f"{names[0]}{' suspect' if pair.strength > 0 else ''}",
        f"{names[1]}{f' ({how})' if how else ''}",
        f"{pair.strength:+.2f}",
    )
    for each, pixels, title in zip(axes, (image, match, difference(image, match)), titles, strict=True):
        each.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
        each.set_title(title, fontsize=7, pad=2)
