"""HealthGAN from Python: the functions behind ``import healthgan``."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from healthgan import sources, studies
from healthgan.devices import choose_device
from healthgan.errors import InputError
from healthgan.images import Collection
from healthgan.protocol import Protocol, load_protocol
from healthgan.protocol_sound import Sound
from healthgan.request import Request
from healthgan.sources.arrays import from_arrays
from healthgan.study_names import default_folder

if TYPE_CHECKING:
    from healthgan.generators.presets import DiffusionGenerator
    from healthgan.result import Study


def load(
    source: str | Path | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    patients: ArrayLike | None = None,
    split: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Collection:
    """Read a source, or take arrays as one.

    Args:
        source: ``phantom``, a MedMNIST name (``chestmnist``, ``chestmnist@64``; downloaded if it is not here), the path
            of an ``.npz``, of a folder or of a ``.csv`` manifest; or images, (N, H, W) or (N, H, W, C) uint8.
        labels: with images only: (N,) class numbers from 0 or names, or (N, K) of 0 and 1.
        patients: with images only: (N,) whose each is; without it every image counts as one of its own.
        split: with images only: (N,) ``train``, ``val`` or ``test``; without it they are divided by patient.
        class_names: with images only: K names for labels that are numbers.
        name: with images only: what to call them.
        size: height and width in pixels to resample to; not with images.
        seed: of the phantom.
        progress: say on stderr what is downloaded or read.

    Returns:
        Its splits (``collection["train"].pixels`` …), class names, patients and md5.

    Raises:
        InputError: there is no such source, or it can't be used; the message says what to do.
    """
    if isinstance(source, str | Path):
        given = {"labels": labels, "patients": patients, "split": split, "class_names": class_names}
        wrong = [key for key, value in given.items() if value is not None]
        if wrong:
            raise InputError(f"{' and '.join(wrong)} go with arrays; '{source}' has its own.")
        return sources.load(str(source), size=size, seed=seed, progress=progress)
    if labels is None:
        raise InputError("Images as an array need labels: load(images, labels, patients=…).")
    if size is not None:
        raise InputError("size goes with sources that are read; resample arrays before they are given.")
    return from_arrays(source, labels, patients=patients, split=split, class_names=class_names, name=name)


def study(
    source: str | Path | Collection,
    *,
    rare: str | None = None,
    reference: str | None = None,
    rare_count: int | None = None,
    size: int | None = None,
    synthetic: str | Path | None = None,
    test: str | Path | None = None,
    protocol: str | Path | Protocol | Sound = "sound",
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    jobs: int | None = None,
    cluster: str | None = None,
    progress: bool = True,
    track: bool = False,
) -> "Study":
    """Run a study, or go on with one that was stopped, and write its report: ``healthgan study`` from Python.

    The work is done in processes of one thread each, which do not run the caller's script again: no
    ``if __name__ == "__main__"`` is needed. The same call goes on where it was stopped, and gives the results at once
    where nothing is left to do.

    Args:
        source: as in :func:`load`, or what it gave: ``study(load(images, labels, patients=codes))``.
        rare: the rare class; by default the smallest. Needed where an image may have several labels.
        reference: the class to tell it from, or ``rest``; where an image may have several labels, ``normal``.
        rare_count: keep this many rare training images.
        size: resample to this many pixels a side.
        synthetic: an ``.npz`` or a folder of synthetic images of the rare class: no generator is trained then.
        test: another source to test on as well, such as another hospital's images.
        protocol: ``sound``, ``sound-full``, ``sound-quick``, ``paper``, ``quick``, a ``.toml`` file, or settings.
        out: the run folder; by default ``runs/SOURCE-PROTOCOL-…``, with what is asked beside the defaults.
        seed: every random choice derives from it.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: processes; by default one a core.
        cluster: run the jobs on a Ray cluster: ``HOST:PORT`` of its head, or ``local``.
        progress: show on stderr how far it is.
        track: write losses, synthetic images and fidelity of the generators for TensorBoard into ``OUT/track``.

    Returns:
        Verdict, frames and report.

    Raises:
        InputError: the source, a class or a setting can't be used, or ``out`` holds another study.
    """
    images = source if isinstance(source, Collection) else None
    settings = protocol if isinstance(protocol, Protocol | Sound) else load_protocol(str(protocol))
    if images is not None and size is not None:
        raise InputError("size goes with sources that are read; give it to load().")
    request = Request(
        source=str(source) if images is None else images.name,
        protocol=settings,
        rare=rare,
        reference=reference,
        rare_count=rare_count,
        size=size,
        seed=seed,
        synthetic=None if synthetic is None else str(synthetic),
        test=None if test is None else str(test),
    )
    prepared = studies.prepare(request, images)
    for warning in prepared.warnings:
        warnings.warn(warning, stacklevel=2)
    folder = default_folder(prepared) if out is None else Path(out)
    from healthgan.estimate import progress_of
    from healthgan.report import build
    from healthgan.result import Study
    from healthgan.tracking import each, tracking

    with (
        tracking(folder / "track" if track else None, folder) as tracker,
        progress_of(prepared, device, jobs) if progress else nullcontext() as shown,
        _main_out_of_sight(),
    ):
        studies.run(
            prepared,
            folder,
            device=device,
            workers=jobs,
            on_found=each(shown.found if shown else None, tracker.found if tracker else None),
            report=each(shown.step if shown else None, tracker.step if tracker else None),
            on_record=each(shown.finished if shown else None, tracker.finished if tracker else None),
            cluster=cluster,
            notice=each(shown.notice if shown else None),
        )
    build(folder)
    return Study(folder)


def fit_generator(
    images: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    preset: str = "edm",
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> "DiffusionGenerator":
    """Train a generator of images on all classes together, so that a rare one borrows from the others.

    It is an :class:`healthgan.generators.interface.ImageGenerator`: ``sample(n, label, seed)`` gives (n, H, W, C)
    uint8, and image i depends on the seed, i and the class only. ``healthgan.generators.store`` writes it to a file.
    With a hundred images or more it takes the preset's time: six minutes on one core at 28×28 (``edm``), or one.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, 16 to 224 pixels a side: training images only.
        labels: (N,) class numbers from 0, without gaps.
        patients: (N,) whose each is. Those of one in eight patients of a class are not trained on and choose the
            checkpoint, which keeps training images from being learnt by heart.
        preset: ``edm`` or ``edm-quick``.
        seed: decides everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show on stderr how far it is.

    Raises:
        InputError: the arrays or the preset can't be used, or training diverged.
    """
    from healthgan.generators.presets import DIFFUSION, DiffusionGenerator
    from healthgan.progress import stages

    whole = from_arrays(images, labels, patients=patients)["train"]
    settings = {str(name): found for name, found in DIFFUSION.items()}.get(preset)
    if settings is None:
        raise InputError(f"There is no preset '{preset}'. Take one of {', '.join(DIFFUSION)}.")
    if whole.multi_label or np.asarray(labels).dtype.kind not in "iu":
        raise InputError(
            "Labels of another kind; (N,) class numbers from 0 are needed, as sample() is asked for one."
        )
    made = DiffusionGenerator(settings, seed=seed, device=choose_device(device))
    with stages(quiet=not progress) as tell:
        made.progress = lambda done, total, _: tell("training", done, total)
        try:
            made.fit(whole.pixels, whole.labels.astype(np.int64), whole.patients)
        except FloatingPointError as error:
            raise InputError(f"{error} Or take another seed or preset.") from error
    made.progress = None  # it belongs to this call
    return made


@contextmanager
def _main_out_of_sight() -> Iterator[None]:
    """Worker processes that start meanwhile do not run the caller's script a second time, as they else would.

    They import what they need by name, and nothing of the script's is handed to them.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    main.__dict__.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        main.__dict__.update(hidden)
