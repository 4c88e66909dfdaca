"""Folders of pictures: one sub-folder a class, optionally under ``train``, ``val`` and ``test``.

Classes and files come in the order of their names by character code (``Z`` before ``a``, ``10`` before ``2``).
Hidden files and folders (names that begin with a dot) are left out.
"""

from pathlib import Path

import numpy as np

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.sources.gather import gather
from healthgan.sources.members import listed
from healthgan.sources.npz import codes
from healthgan.sources.pictures import PICTURE_SUFFIXES

LAYOUT = "Make one sub-folder a class: FOLDER/CLASS/picture.png, or FOLDER/train|val|test/CLASS/picture.png."


def read_folder(root: Path, *, size: int | None = None, progress: bool = True) -> Collection:
    """Read a folder of PNG, JPEG, TIFF or DICOM files.

    Patients are known only where every file is DICOM and names one.

    Args:
        root: the folder.
        size: bring every picture to size × size; needed where they differ in size or are too large.
        progress: draw a bar on stderr, if that is a terminal.

    Raises:
        InputError: the folder has another layout, or holds a file that can't be used; the message names it.
    """
    parts = _parts(root)
    classes = {part: entries(folder, root, folders=True) for part, folder in parts.items()}
    names = [folder.name for folder in classes["train"]]
    files: list[Path] = []
    labels: list[int] = []
    ends: list[int] = []
    for part, folders in classes.items():
        for folder in folders:
            if folder.name not in names:
                raise InputError(
                    f"'{folder}' is a class that 'train' does not have (it has {listed(names)}). "
                    "Rename it, or add training images of it."
                )
            found = _pictures_in(folder, root)
            files += found
            labels += [names.index(folder.name)] * len(found)
        ends.append(len(files))
        if not folders:
            raise InputError(f"'{parts[part]}' has no sub-folder. {LAYOUT}")
    pixels, patients, notes = gather(files, size, progress)
    whole = ImageSet(
        pixels,
        np.array(labels, np.int64),
        tuple(names),
        None if patients is None else codes(np.array(patients)),
    )
    starts = [0, *ends[:-1]]
    splits: dict[Split, ImageSet] = {
        part: whole if len(parts) == 1 else whole.take(np.arange(start, end))
        for part, start, end in zip(parts, starts, ends, strict=True)
    }
    return Collection(root.resolve().name or "folder", splits, None, notes)


def _parts(root: Path) -> dict[Split, Path]:
    """The folder of each split; ``train`` alone where the source is not split."""
    folders = {folder.name: folder for folder in entries(root, root, folders=True)}
    if not folders:
        raise InputError(f"'{root}' has no sub-folder. {LAYOUT}")
    found = [split for split in SPLITS if split in folders]
    if not found:
        return {"train": root}
    others = sorted(set(folders) - set(found))
    if others or "train" not in found:
        raise InputError(
            f"'{root}' has the sub-folders {listed(folders)}: {' and '.join(found)} would be part of a divided set, "
            f"{f'{listed(others)} would be classes' if others else 'and train is missing'}. {LAYOUT}"
        )
    return {split: folders[split] for split in found}


def entries(folder: Path, root: Path, *, folders: bool) -> list[Path]:
    """What is not hidden, by name: sub-folders, or all that a class folder holds.

    Raises:
        InputError: the folder can't be read, a link leads out of ``root``, or pictures lie beside sub-folders.
    """
    try:
        found = sorted(
            (entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name
        )
    except OSError as error:
        raise InputError(
            f"'{folder}' cannot be read: {error.strerror or error}. Make it readable or remove it."
        ) from error
    for entry in found:
        check_link(entry, root)
    if not folders:
        return found
    for entry in found:
        if not entry.is_dir() and entry.suffix.lower() in PICTURE_SUFFIXES:
            raise InputError(f"'{entry}' lies outside the class folders. {LAYOUT}")
    return [entry for entry in found if entry.is_dir()]


def check_link(entry: Path, root: Path) -> None:
    """Make sure that a file or folder, if it is a link, stays inside ``root``.

    Raises:
        InputError: it leads out of it, or in a circle.
    """
    if not entry.is_symlink():
        return
    try:
        inside = entry.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise InputError(f"'{entry}' is a link that leads in a circle. Remove it.") from error
    if not inside:
        raise InputError(f"'{entry}' is a link that leads out of '{root}'. Copy what it points to instead.")


def _pictures_in(folder: Path, root: Path) -> list[Path]:
    files = entries(folder, root, folders=False)
    if not files:
        raise InputError(f"'{folder}' holds no picture. Add pictures of the class or remove the folder.")
    for file in files:
        if file.is_dir():
            raise InputError(f"'{file}' is a folder inside a class folder. {LAYOUT}")
        if not file.is_file():
            raise InputError(f"'{file}' is not a regular file. Remove it.")
    return files
