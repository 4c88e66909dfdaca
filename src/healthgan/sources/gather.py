"""Many picture files to one array of one size and one number of channels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE
from healthgan.sources.pictures import Picture, read_picture
from healthgan.sources.resampling import resample


def gather(
    files: Sequence[Path], size: int | None, progress: bool
) -> tuple[NDArray[np.uint8], list[str] | None, tuple[str, ...]]:
    """Read picture files.

    Args:
        files: at least one.
        size: height and width in pixels to bring each to; None where all are equal already.
        progress: draw a bar on stderr, if that is a terminal.

    Returns:
        (N, H, W, C) uint8 in the order of ``files``; the patient's identifier of each where all are DICOM
        files that name one, else None; what was done to the pixels.

    Raises:
        InputError: a file can't be read, sizes differ or are not allowed and ``size`` is not given, or some
            files are grey and others have colours.
    """
    shapes: list[tuple[int, int]] = []
    pictures: list[Picture] = []
    for path in _with_bar(files, progress):
        picture = read_picture(path)
        height, width = picture.pixels.shape[:2]
        shapes.append((height, width))
        if size is None:
            _check_size(path, (height, width), files[0], shapes[0])
            pictures.append(picture)
        else:
            pictures.append(
                Picture(
                    resample(picture.pixels, size),
                    picture.stored_rgb,
                    picture.notes,
                    picture.deep_maximum,
                    picture.patient,
                )
            )
    notes = _notes(pictures) + _resampling_notes(shapes, size)
    patients, note = _patients(pictures)
    return _stack(files, pictures), patients, (*notes, *note)


def _with_bar(files: Sequence[Path], progress: bool) -> Iterable[Path]:
    console = Console(stderr=True)
    if not progress or not console.is_terminal:
        return files
    return track(files, "Reading pictures", console=console, transient=True)


def _check_size(path: Path, shape: tuple[int, int], first: Path, first_shape: tuple[int, int]) -> None:
    remedy = f"Give --size N ({MIN_SIZE} to {MAX_SIZE}): pictures are then padded to a square and resampled."
    if not all(MIN_SIZE <= side <= MAX_SIZE for side in shape):
        raise InputError(
            f"'{path}' is {shape[0]}×{shape[1]} pixels; {MIN_SIZE} to {MAX_SIZE} a side are allowed. {remedy}"
        )
    if shape != first_shape:
        raise InputError(
            f"The pictures differ in size: '{first}' is {first_shape[0]}×{first_shape[1]} pixels, "
            f"'{path}' {shape[0]}×{shape[1]}. {remedy}"
        )


def _stack(files: Sequence[Path], pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """(N, H, W, 1) if all are grey, else (N, H, W, 3)."""
    colour = next((number for number, picture in enumerate(pictures) if picture.pixels.shape[2] == 3), None)
    if colour is None:
        return np.stack([picture.pixels for picture in pictures])
    grey = next((number for number, picture in enumerate(pictures) if not picture.stored_rgb), None)
    if grey is not None:
        raise InputError(
            f"Some pictures are grey ('{files[grey]}'), others have colours ('{files[colour]}'). "
            "Convert them to one kind, or keep them apart."
        )
    return np.stack([np.broadcast_to(picture.pixels, (*picture.pixels.shape[:2], 3)) for picture in pictures])


def _notes(pictures: Sequence[Picture]) -> tuple[str, ...]:
    counts = Counter(note for picture in pictures for note in picture.notes)
    if all(picture.pixels.shape[2] == 1 for picture in pictures):
        stored_rgb = sum(picture.stored_rgb for picture in pictures)
        counts.update({"stored as RGB with equal channels, read as grey": stored_rgb} if stored_rgb else {})
    total = len(pictures)
    notes = [
        f"{note} ({'all' if count == total else f'{count} of {total}'} images)"
        for note, count in counts.items()
    ]
    deep = [picture.deep_maximum for picture in pictures if picture.deep_maximum is not None]
    if deep:
        notes.append(f"brightest value before the scaling by bit depth: {max(deep)}")
    return tuple(notes)


def _resampling_notes(shapes: Sequence[tuple[int, int]], size: int | None) -> tuple[str, ...]:
    changed = [shape for shape in shapes if shape != (size, size)]
    if size is None or not changed:
        return ()
    sides = [side for shape in changed for side in shape]
    done = [
        *(["padded to a square with black"] if any(height != width for height, width in changed) else []),
        *(["averaged by area"] if any(max(shape) > size for shape in changed) else []),
        *(["interpolated linearly"] if any(max(shape) < size for shape in changed) else []),
    ]
    span = f"{min(sides)} to {max(sides)}" if min(sides) < max(sides) else f"{sides[0]}"
    count = "all" if len(changed) == len(shapes) else f"{len(changed)} of {len(shapes)}"
    return (f"{count} images, {span} pixels a side, brought to {size}×{size}: {', '.join(done)}",)


def _patients(pictures: Sequence[Picture]) -> tuple[list[str] | None, tuple[str, ...]]:
    found = [picture.patient for picture in pictures if picture.patient is not None]
    if not found:
        return None, ()
    if len(found) < len(pictures):
        return None, (f"patients not used: only {len(found)} of {len(pictures)} images name one",)
    if len(set(found)) == 1 and len(found) > 1:
        return None, ("patients not used: every DICOM file names the same one",)
    return found, ()
