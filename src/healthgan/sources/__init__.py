"""Where images come from: MedMNIST names, ``.npz`` files, folders, CSV manifests, DICOM, the phantom."""

from pathlib import Path

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE, Collection


def load(source: str, *, size: int | None = None, seed: int = 0, progress: bool = True) -> Collection:
    """Read every image of a source; only a MedMNIST name that is missing here is downloaded.

    Args:
        source: ``phantom``, a MedMNIST name such as ``chestmnist`` or ``chestmnist@64``, or the path of an
            ``.npz`` file in MedMNIST's layout. A name goes before a path; write ``./chestmnist`` for a folder.
        size: height and width in pixels to resample to; the source's own by default.
        seed: of the phantom.
        progress: say on stderr what is downloaded.

    Raises:
        InputError: there is no such source, or it can't be used; the message says what to do.
    """
    if size is not None and not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"Size {size} is not possible; {MIN_SIZE} to {MAX_SIZE} pixels a side are allowed.")
    if source == "phantom":
        from healthgan.sources.phantom import phantom

        return phantom(size=size or 28, seed=seed)
    from healthgan.sources import medmnist

    if source.partition("@")[0] in medmnist.datasets():
        return medmnist.load_medmnist(source, size=size, progress=progress)
    return _load_path(source, size)


def _load_path(source: str, size: int | None) -> Collection:
    from healthgan.sources import medmnist
    from healthgan.sources.npz import read_npz

    path = Path(source)
    if path.suffix.lower() == ".npz":
        return read_npz(path, size=size, class_names=medmnist.class_names_of(path.stem))
    medmnist.parse(source)
    raise InputError(
        f"'{source}' is not a source. Use 'phantom', a MedMNIST name or the path of an .npz file."
    )
