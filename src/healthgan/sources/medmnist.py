"""The twelve 2D sets of MedMNIST v2, by name: found on this computer or downloaded once.

Yang et al., "MedMNIST v2", Scientific Data 10:41 (2023). ``medmnist.json`` beside this module holds the
official addresses, md5s, class names, counts and licences.
"""

import difflib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from healthgan.errors import InputError
from healthgan.images import Collection
from healthgan.sources.npz import read_npz

SIZES = (28, 64, 128, 224)


@dataclass(frozen=True)
class File:
    """One downloadable file and its official md5."""

    url: str
    md5: str


@dataclass(frozen=True)
class DataSet:
    """What is known of a set before it is read.

    Attributes:
        name: as users give it, such as ``chestmnist``.
        class_names: by class number.
        channels: 1 for grey, 3 for RGB.
        multi_label: whether an image may have several labels, or none.
        counts: images a split.
        license: its short name.
        files: by height and width in pixels.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    multi_label: bool
    counts: Mapping[str, int]
    license: str
    files: Mapping[int, File]


def datasets() -> dict[str, DataSet]:
    """All sets, by name."""
    text = resources.files("healthgan.sources").joinpath("medmnist.json").read_text("utf-8")
    return {
        name: DataSet(
            name,
            tuple(facts["labels"]),
            facts["channels"],
            facts["task"].startswith("multi-label"),
            facts["n_samples"],
            facts["license"],
            {int(size): File(file["url"], file["md5"]) for size, file in facts["files"].items()},
        )
        for name, facts in json.loads(text).items()
    }


def parse(source: str) -> tuple[str, int]:
    """Name and size of ``chestmnist`` or ``chestmnist@64``.

    Raises:
        InputError: there is no such set, or not in that size; the message names the nearest.
    """
    name, at, text = source.partition("@")
    known = datasets()
    if name not in known:
        raise InputError(f"There is no MedMNIST set '{name}'. {suggestion(name)}")
    if not at:
        return name, SIZES[0]
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or int(text) not in SIZES:
        raise InputError(
            f"'{source}' asks for size '{text}'; MedMNIST has {', '.join(map(str, SIZES))}. "
            f"Use for example {name}@64, or any other size with --size N."
        )
    return name, int(text)


def suggestion(text: str) -> str:
    """What may have been meant by a source that is none."""
    known = ["phantom", *datasets()]
    start = text.lower().partition("@")[0]
    near = [name for name in known if start and name.startswith(start)]
    near = near or difflib.get_close_matches(start, known, n=3, cutoff=0.7)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        "Give phantom, a MedMNIST name ('healthgan data list' has them), or the path of an .npz file, of a folder with one "
        f"sub-folder a class, or of a .csv manifest.{hint}"
    )


def class_names_of(stem: str) -> tuple[str, ...] | None:
    """The official class names where a file is called like a MedMNIST file, such as ``chestmnist_64``."""
    found = re.fullmatch(r"([a-z]+mnist)(_(28|64|128|224))?", stem, re.ASCII)
    known = datasets().get(found[1]) if found else None
    return known.class_names if known else None


def data_folder() -> Path:
    """Where the files are kept: ``HEALTHGAN_DATA``, or else this user's cache."""
    given = os.environ.get("HEALTHGAN_DATA")
    return Path(given).expanduser() if given else Path(pooch.os_cache("healthgan"))


def local_path(name: str, size: int) -> Path:
    """Where the file lies or is to lie: ``chestmnist.npz``, ``chestmnist_64.npz``."""
    return data_folder() / (f"{name}.npz" if size == SIZES[0] else f"{name}_{size}.npz")


def is_here(name: str, size: int) -> bool:
    """Whether a file of that name lies in the data folder; its md5 is not looked at."""
    try:
        return local_path(name, size).is_file()
    except OSError:  # a folder that may not be looked into
        return False


def fetch(name: str, size: int, *, progress: bool = True) -> Path:
    """The path of the official file, downloaded unless it is there; its md5 is checked each time.

    A file with another md5 is never replaced. What is half downloaded lies under another name, so that
    only a whole file with the right md5 ever gets the official one.

    Args:
        name: of the set.
        size: one of 28, 64, 128 and 224.
        progress: say on stderr what is downloaded, with a bar on a terminal.

    Raises:
        InputError: the file there has another md5, or it can't be downloaded or written.
    """
    file, path = datasets()[name].files[size], local_path(name, size)
    if is_here(name, size):
        _check_md5(path, file.md5)
        return path
    remedy = (
        f"Put '{path.name}' (md5 {file.md5}) into '{path.parent}', "
        "or set HEALTHGAN_DATA to the folder that holds it."
    )
    try:
        with _reporter(path, file.url, progress) as bar, _quiet_pooch():
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18)
            pooch.retrieve(file.url, f"md5:{file.md5}", path.name, path.parent, downloader=downloader)
    except ValueError as error:
        raise InputError(
            f"What {file.url} sent for '{path.name}' is not the official file ({error}). Try again later. {remedy}"
        ) from error
    except OSError as error:  # requests' errors are OSErrors too
        raise InputError(
            f"'{path.name}' could not be downloaded from {file.url} ({error}). {remedy}"
        ) from error
    path.chmod(0o644)
    return path


def load_medmnist(source: str, *, size: int | None = None, progress: bool = True) -> Collection:
    """Read a set by name, such as ``pneumoniamnist@64``; downloads it where it is missing.

    Raises:
        InputError: see ``parse``, ``fetch`` and ``read_npz``.
    """
    name, own_size = parse(source)
    path = fetch(name, own_size, progress=progress)
    known = datasets()[name]
    found = read_npz(
        path, size=size, name=source, class_names=known.class_names, md5=known.files[own_size].md5
    )
    if size in SIZES and size != own_size:
        found = replace(found, notes=(*found.notes, f"'{name}@{size}' has the official images of this size"))
    return found


def _check_md5(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Make it readable, or give another."
        ) from error
    if found != expected:
        raise InputError(
            f"'{path}' has md5 {found}; the official file has {expected}. If it is damaged, delete it and it is "
            f"downloaded again; to use it as it is, give its path, '{path}', in place of the name."
        )


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep Pooch from writing its own lines beside ours."""
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Bar:
    """What Pooch wants of a progress bar, drawn by Rich."""

    def __init__(self, console: Console, path: Path, url: str) -> None:
        self._console, self._path, self._url = console, path, url
        self._progress = Progress(
            BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), console=console
        )
        self._task = self._progress.add_task("", total=None)
        self._started = False
        self.total = 0

    def update(self, count: int) -> None:
        """``count`` bytes more have arrived."""
        if not self._started:
            self._started = True
            known = f" ({self.total / 1e6:.1f} MB)" if self.total else ""
            line = f"Downloading {self._path.name}{known} from {self._url} to {self._path.parent}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            if self._console.is_terminal:
                self._progress.update(self._task, total=self.total or None)
                self._progress.start()
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        """Pooch starts over to show the end at exactly 100 %."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Stop drawing."""
        if self._progress.live.is_started:
            self._progress.stop()


@contextmanager
def _reporter(path: Path, url: str, progress: bool) -> Iterator[_Bar]:
    bar = _Bar(Console(stderr=True, quiet=not progress), path, url)
    try:
        yield bar
    finally:
        bar.close()
