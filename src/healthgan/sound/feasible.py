"""What a sound study needs, checked before anything is trained."""

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import Collection
from healthgan.likeness import MIN_IMAGES, calibrate
from healthgan.protocol_sound import ARMS, Design
from healthgan.sound.cells import Cell, Classes, cell_task
from healthgan.splits import pixel_hashes
from healthgan.task import Members, Task

TESTED_PATIENTS = 2
"""Fewer of a class in a test part have no variance over patients."""
FEW = 100
"""Images up to which the likeness band is tried and not only counted for; more can't run short of it."""


def check_cells(
    collection: Collection,
    classes: Classes,
    design: Design,
    cells: list[Cell],
    arms: tuple[str, ...],
) -> None:
    """Make sure that every training part can have its likeness band, and every test part its intervals.

    Raises:
        InputError: too few images or patients; the message says where, how many are needed and what to do.
    """
    known = collection["train"].patients is not None
    synthetic = any(ARMS[arm][0] == "synthetic" for arm in arms)
    for cell in cells:
        task = cell_task(collection, classes, design, cell)
        place = _place(cell)
        check_tested(task.rares["test"], task.rare, known, f"the test part{place}")
        check_tested(task.references["test"], task.reference, known, f"the test part{place}")
        if synthetic:
            _check_band(task, known, place)


def check_tested(members: Members, name: str, known: bool, where: str) -> None:
    """Make sure that a test part has patients enough for an interval.

    Args:
        members: its images of a class.
        name: of the class.
        known: whether the source tells patients; where not, every image counts as one.
        where: the part, for the message.
    """
    found = len(np.unique(members.patient))
    if found < TESTED_PATIENTS:
        unit = "patient" if known else "image"
        raise InputError(
            f"There {'is' if found == 1 else 'are'} {found} {unit}{'s' * (found != 1)} of '{name}' in {where}; an "
            f"interval needs {TESTED_PATIENTS} or more. Add some, or choose another class."
        )


def _place(cell: Cell) -> str:
    if cell.kind == "fold":
        return f" of fold {(cell.fold or 0) + 1} of the cross-validation"
    return f" of the learning curve at {cell.rare_count}" if cell.kind == "curve" else ""


def _check_band(task: Task, known: bool, place: str) -> None:
    for name, members in ((task.rare, task.rares["train"]), (task.reference, task.references["train"])):
        found, alone = _different(members), len(np.unique(members.patient)) < 2
        if not alone and found >= MIN_IMAGES and len(members) <= FEW:
            alone = not _has_band(members, known)
        if alone or found < MIN_IMAGES:
            raise InputError(
                f"'{task.source}' has {found} different images of '{name}'{', all as of one patient,' * alone} in the "
                f"training part{place}; the likeness band that synthetic images are judged by needs {MIN_IMAGES} of several "
                "patients. Keep more (--rare-count), add images, or compare the ways of training that need no synthetic "
                "images: a protocol of your own with synthetic = [] under [arms]."
            )


def _different(members: Members) -> int:
    """Different images that are not constant."""
    pixels: NDArray[np.uint8] = members.pixels.reshape(len(members), -1)
    varied = members.take(np.flatnonzero(pixels.max(axis=1) > pixels.min(axis=1)))
    return len(set(pixel_hashes(varied)))


def _has_band(members: Members, known: bool) -> bool:
    """Whether a band can be had: where patients are not known, images that are very alike are presumed to be one's."""
    try:
        calibrate(members.pixels, members.patient if known else None)
    except InputError:
        return False
    return True
