"""Where images come from: MedMNIST names, ``.npz`` files, folders, CSV manifests, DICOM, the phantom."""

from pathlib import Path

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE, Collection


def load(source: str, *, size: int | None = None, seed: int = 0) -> Collection:
    """Read every image of a source.

    Args:
        source: ``phantom`` or the path of an ``.npz`` file in MedMNIST's layout.
        size: height and width in pixels to resample to; the source's own by default.
        seed: of the phantom.

    Raises:
        InputError: there is no such source, or it can't be used; the message says what to do.
    """
    if size is not None and not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"Size {size} is not possible; {MIN_SIZE} to {MAX_SIZE} pixels a side are allowed.")
    if source == "phantom":
        from healthgan.sources.phantom import phantom

        return phantom(size=size or 28, seed=seed)
    path = Path(source)
    if path.suffix.lower() == ".npz":
        from healthgan.sources.npz import read_npz

        return read_npz(path, size=size)
    raise InputError(f"'{source}' is not a source. Use 'phantom' or the path of an .npz file.")
