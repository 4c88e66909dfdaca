"""Where images come from: MedMNIST names, ``.npz`` files, folders, CSV manifests, DICOM, the phantom."""

from pathlib import Path

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE, Collection

LONGEST = 900
"""Characters of a message: what a user names or a file holds may be of any length."""


def load(source: str, *, size: int | None = None, seed: int = 0, progress: bool = True) -> Collection:
    """Read every image of a source; only a MedMNIST name that is missing here is downloaded.

    Args:
        source: ``phantom``, a MedMNIST name such as ``chestmnist`` or ``chestmnist@64``, or the path of an
            ``.npz`` file in MedMNIST's layout, of a folder with one sub-folder a class, or of a ``.csv``
            manifest. A name goes before a path: write ``./chestmnist`` for a folder of that name.
        size: height and width in pixels to resample to; the source's own by default.
        seed: of the phantom.
        progress: say on stderr what is downloaded, and draw bars if that is a terminal.

    Raises:
        InputError: there is no such source, or it can't be used; the message says what to do.
    """
    if size is not None and not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"Size {size} is not possible. Choose {MIN_SIZE} to {MAX_SIZE} pixels a side.")
    try:
        return _load(source, size, seed, progress)
    except InputError as error:
        raise InputError(message(str(error))) from error


def message(text: str) -> str:
    """A message as one line without control characters; of more than ``LONGEST`` the middle is left out."""
    line = printable(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """Text of the user's as one line without control characters, which could write to the terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _load(source: str, size: int | None, seed: int, progress: bool) -> Collection:
    if source == "phantom":
        from healthgan.sources.phantom import phantom

        return phantom(size=size or 28, seed=seed)
    from healthgan.sources import medmnist

    if source.partition("@")[0] in medmnist.datasets():
        return medmnist.load_medmnist(source, size=size, progress=progress)
    return _load_path(source, size, progress)


def _load_path(source: str, size: int | None, progress: bool) -> Collection:
    from healthgan.sources import medmnist

    path = Path(source)
    kind = _kind(path) if source else ""
    if kind == "folder":
        from healthgan.sources.folder import read_folder

        return read_folder(path, size=size, progress=progress)
    if kind == ".npz":
        from healthgan.sources.npz import read_npz

        return read_npz(path, size=size, class_names=medmnist.class_names_of(path.stem))
    if kind == ".csv":
        from healthgan.sources.manifest import read_manifest

        return read_manifest(path, size=size, progress=progress)
    found = (
        "is a file of another kind"
        if kind == "file"
        else "is neither a name nor a file or folder that exists"
    )
    raise InputError(f"'{source}' {found}. {medmnist.suggestion(source)}")


def _kind(path: Path) -> str:
    """``folder``, ``.npz``, ``.csv``, ``file`` of another kind, or empty."""
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            return "folder"
        if suffix in (".npz", ".csv"):
            return suffix
        return "file" if path.exists() else ""
    except OSError:  # a path that may not be looked at, or too long to be one
        return ""
