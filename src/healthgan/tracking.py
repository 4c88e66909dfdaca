"""What generators do while they are trained, for TensorBoard: losses, grids of their images, their fidelity.

Nothing but synthetic images is written, and of a study's only those that the likeness band accepts: none that it
takes for a copy. Every training is a run of its own in TensorBoard. What was tracked once is not written again when
a study is repeated or goes on.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.executors import Step
from healthgan.run import Record, RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Images = NDArray[np.uint8]
Told = TypeVar("Told")

GRID = 16
"""Images in a grid, in rows of four."""
MOMENTS = 21
"""Epochs of which the images of a published GAN are shown, evenly spaced."""
ACCEPTED = 0
"""The verdict of the likeness band on images that are kept."""
CHECKS: Mapping[str, str] = {"training": "training_loss", "heldout": "held_out_loss"}
"""What a record calls a loss → what its training calls it as it goes on."""


@contextmanager
def tracking(log: Path | None, run: Path | None = None) -> "Iterator[Tracker | None]":
    """A tracker that writes below ``log``; None where that is None.

    Args:
        log: a folder, which is made with the first event.
        run: the run folder of the study whose records will be told.

    Raises:
        InputError: TensorBoard is not installed.
    """
    if log is None:
        yield None
        return
    try:
        import torch.utils.tensorboard  # noqa: F401 # to miss it before hours are spent
    except ImportError:
        raise InputError(
            "TensorBoard is not installed. Run pip install 'healthgan[track]', or leave tracking out."
        ) from None
    tracker = Tracker(log, None if run is None else RunFolder(run))
    try:
        yield tracker
    finally:
        tracker.close()


def each(*listeners: Callable[[Told], None] | None) -> Callable[[Told], None]:
    """One listener that tells all of them but those that are None."""
    heard = [listener for listener in listeners if listener is not None]

    def tell(what: Told) -> None:
        for listener in heard:
            listener(what)

    return tell


class Tracker:
    """Writes TensorBoard's event files.

    Args:
        log: the folder; every training has a sub-folder.
        run: the run folder of a study.
    """

    def __init__(self, log: Path, run: RunFolder | None = None) -> None:
        self.log, self.run = log, run
        self._losses: dict[str, SummaryWriter] = {}
        self._last: dict[str, int] = {}

    def step(self, step: Step) -> None:
        """Losses of a training, as it goes on."""
        values = {name: value for name, value in step.facts.items() if math.isfinite(value)}
        if not values:
            return
        name = _name(step.key)
        if name not in self._losses:
            again = self._tracked(name, "losses")
            # What a stopped training told beyond the state that it goes on from is told anew: TensorBoard drops it.
            self._losses[name] = self._writer(name, "losses", step.done if again else None)
        for fact, value in values.items():
            self._losses[name].add_scalar(fact, value, step.done)

    def found(self, records: Iterable[Record]) -> None:
        """Jobs of a study that were finished before."""
        for record in records:
            self.finished(record)

    def finished(self, record: Record) -> None:
        """What a finished job of a study made: losses if they were not tracked, images, fidelity."""
        kind = record["kind"]
        if kind == "generator" and "round" in record:
            self._published(record)
        elif kind == "generator":
            name, checks = _name(record["key"]), record["checks"]
            self._last[name] = checks[-1]["step"]
            self._curves(
                name, {check["step"]: {tag: check[key] for key, tag in CHECKS.items()} for check in checks}
            )
        elif kind == "pool":
            self._pool(record)
        elif kind == "quality":
            name = f"generator-{record['cell']}-0"
            self.fidelity(name, record["fidelity"], self._last[name])

    def made(self, name: str, images: Mapping[str, Images], step: int) -> None:
        """A grid of synthetic images of each class.

        Args:
            name: of the training.
            images: class → (N, H, W, C).
            step: of the training, after which they were made.
        """
        if self._tracked(name, "images"):
            return
        writer = self._writer(name, "images")
        for label, pixels in images.items():
            if len(pixels):
                writer.add_image(f"images/{label}", grid(pixels[:GRID]), step, dataformats="HWC")
        writer.close()

    def fidelity(self, name: str, found: Mapping[str, Any], step: int) -> None:
        """Every measure of a generator's card that is a number, with its floor.

        Args:
            name: of the training.
            found: as :class:`healthgan.fidelity.summary.FidelityReport` is written.
            step: of the training, after which the images were made.
        """
        if self._tracked(name, "fidelity"):
            return
        writer = self._writer(name, "fidelity")
        for label, facts in found["classes"].items():
            writer.add_scalar(
                f"fidelity/{label}/real_or_synthetic_auroc", facts["real_or_synthetic"]["auroc"], step
            )
            for space, measures in facts["spaces"].items():
                for measure, value in measures.items():
                    for end in ("value", "floor"):
                        if value[end] is not None:
                            tag = f"fidelity/{label}/{space}/{measure}" + ("/floor" if end == "floor" else "")
                            writer.add_scalar(tag, value[end], step)
        writer.close()

    def close(self) -> None:
        """End all files."""
        for writer in self._losses.values():
            writer.close()
        self._losses.clear()

    def _published(self, record: Record) -> None:
        """A training of the study's GAN, whose images of all epochs were kept."""
        assert self.run is not None, "records come from a run folder"
        name = _name(record["key"])
        file = next(file for file in record["artifacts"] if file.endswith(".npz"))
        with np.load(self.run.artifact(file), allow_pickle=False) as stored:
            losses, history = stored["losses"], stored["history"]
        facts = ("generator_loss", "discriminator_loss")
        self._curves(
            name,
            {epoch: dict(zip(facts, row, strict=True)) for epoch, row in enumerate(losses.tolist(), start=1)},
        )
        if not self._tracked(name, "images"):
            writer = self._writer(name, "images")
            for epoch in np.unique(np.linspace(0, len(history) - 1, MOMENTS).round().astype(int)).tolist():
                writer.add_image("images/rare", grid(history[epoch]), epoch, dataformats="HWC")
            writer.close()

    def _pool(self, record: Record) -> None:
        """Accepted images of a generator that this study trained."""
        name = f"generator-{record['cell']}-{record['generator']}"
        if self.run is None or name not in self._last:  # brought: no generator of ours made them
            return
        file = f"synthetic/{record['cell']}-{record['generator']}.npz"  # by name: beside it lie real images
        with np.load(self.run.artifact(file), allow_pickle=False) as stored:
            kept = {
                label: stored[f"{label}_images"][stored[f"{label}_verdict"] == ACCEPTED]
                for label in ("rare", "reference")
                if f"{label}_images" in stored
            }
        self.made(name, kept, self._last[name])

    def _curves(self, name: str, rows: Mapping[int, Mapping[str, float | None]]) -> None:
        """All losses of a training that ended before it was tracked."""
        if name in self._losses:
            self._losses.pop(name).close()
        if self._tracked(name, "losses"):
            return
        writer = self._writer(name, "losses")
        for step, facts in rows.items():
            for fact, value in facts.items():
                if value is not None:
                    writer.add_scalar(fact, value, step)
        writer.close()

    def _tracked(self, name: str, what: str) -> bool:
        return any((self.log / name).glob(f"*.{what}"))

    def _writer(self, name: str, what: str, purge: int | None = None) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter

        try:
            return SummaryWriter(self.log / name, purge_step=purge, flush_secs=10, filename_suffix=f".{what}")
        except OSError as error:
            raise InputError(
                f"'{self.log}' cannot be written to: {error.strerror}. Make room there, or track elsewhere."
            ) from None


def grid(images: Images) -> Images:
    """Images (N, H, W, C) as one picture, in rows of four with a line between them."""
    count, height, width, channels = images.shape
    columns = min(count, 4)
    rows = -(-count // columns)
    picture = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        picture[top : top + height, left : left + width] = image
    return picture


def _name(key: str) -> str:
    return key.replace("/", "-").replace(" ", "-")
