"""Train a generator on a source and measure it."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from healthgan.devices import choose_device
from healthgan.errors import InputError
from healthgan.executors import Report, Step, keep_freed_memory
from healthgan.files import check_new_file
from healthgan.generators.interface import LABELS
from healthgan.sources import load
from healthgan.splits import in_splits, keep_apart
from healthgan.stopping import Stopped, noted_stops
from healthgan.task import Task, check_rare, make_task

if TYPE_CHECKING:
    from healthgan.generators.presets import DcganGenerator, DiffusionGenerator


@dataclass(frozen=True)
class TrainRequest:
    """What to train on and how.

    Attributes:
        source: as in ``healthgan.sources.load``.
        rare: the rare class; None for the default.
        reference: the class beside it; None for the default.
        rare_count: keep that many rare training images.
        size: resample to that many pixels a side.
        preset: a name in ``healthgan.generators.presets``.
        seed: every random choice derives from it.
    """

    source: str
    rare: str | None = None
    reference: str | None = None
    rare_count: int | None = None
    size: int | None = None
    preset: str = "edm"
    seed: int = 0


def train_generator(
    request: TrainRequest,
    out: Path,
    *,
    device: str = "auto",
    measure: bool = True,
    classifier_steps: int = 2000,
    report: Report,
    stopping: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Train on the training split only and write the generator, with what it was trained on and how good it is.

    When the same call is repeated, an interrupted training goes on where it stopped, and one that was interrupted
    while it was measured is measured again. Ctrl-C or SIGTERM in training ends it after the step, with a checkpoint.
    Fidelity and privacy are measured against the validation split, which decides nothing about the generator; the
    test split is not read.

    Args:
        request: what to train on.
        out: a new ``.safetensors`` file; its folder is made if need be.
        device: ``auto``, ``cpu`` or ``cuda``.
        measure: fidelity and privacy, which takes some minutes on a CPU.
        classifier_steps: of each classifier that measures fidelity.
        report: told how far it is.
        stopping: called when a stop is asked for in training.

    Returns:
        The facts that stand in the file.

    Raises:
        InputError: the source, a class, the preset or the file cannot be used, or training diverged.
        Stopped: by Ctrl-C or SIGTERM; the message says what is kept.
    """
    if out.suffix != ".safetensors":
        raise InputError(f"--out is '{out}'. Give a file name that ends in .safetensors.")
    check_new_file(out)
    device = choose_device(device)
    task, trained_on = training_task(request)
    checkpoint = _checkpoint(out, {**trained_on, "pixels": _digest(task)}, request)
    for kept in (checkpoint, _unmeasured(checkpoint)):  # their names are longer
        check_new_file(kept, replace=True)
    try:
        generator = _trained(request, task, device, checkpoint, report, stopping)
        facts = {
            "class_names": [task.reference, task.rare],
            "trained_on": trained_on,
            "generator": {
                "preset": request.preset,
                "seed": request.seed,
                "device": device,
                **_training_facts(generator),
            },
            "fidelity": None,
            "privacy": None,
        }
        if measure:
            from healthgan.generators.measure import measure_generator, times_told

            both = request.preset != "dcgan-2023"

            facts |= measure_generator(
                generator,
                task,
                patients_known=trained_on["patients"] is not None,
                both=both,
                seed=request.seed,
                device=device,
                steps=classifier_steps,
                progress=_teller(report, times_told(both)),
            )
        from healthgan.generators.store import save_generator

        save_generator(generator, facts, out)
    except KeyboardInterrupt as stop:
        raise Stopped(_what_is_kept(checkpoint)) from stop
    _unmeasured(checkpoint).unlink(missing_ok=True)
    return facts


def training_task(request: TrainRequest) -> tuple[Task, dict[str, Any]]:
    """Training images, and what the card tells of them: no pixel and no identifier."""
    collection = in_splits(load(request.source, size=request.size, seed=request.seed), request.seed)
    collection, moved = keep_apart(collection)
    task = make_task(
        collection,
        rare=request.rare,
        reference=request.reference,
        rare_count=request.rare_count,
        order="first",
        seed=request.seed,
    )
    check_rare(task)
    rares, references = task.rares["train"], task.references["train"]
    known = collection["train"].patients is not None
    facts = {
        "source": collection.name,
        "md5": collection.md5,
        "split": "train",
        "images": {task.rare: len(rares), task.reference: len(references)},
        "patients": len(np.union1d(rares.patient, references.patient)) if known else None,
        "size": list(collection["train"].size),
        "left_out_of_later_splits": {
            split: sum(lost.values()) for split, lost in moved.items() if split != "train"
        },
    }
    return task, facts


def _trained(
    request: TrainRequest,
    task: Task,
    device: str,
    checkpoint: Path,
    report: Report,
    stopping: Callable[[], None],
) -> "DiffusionGenerator | DcganGenerator":
    """The generator after training, which is on disk from then on; where it was trained before, it is read."""
    import torch

    from healthgan.generators.presets import new_generator
    from healthgan.generators.store import load_generator, save_generator

    torch.set_num_threads(1)
    keep_freed_memory()
    unmeasured = _unmeasured(checkpoint)
    if unmeasured.exists():
        return load_generator(unmeasured, device).generator
    with noted_stops(stopping) as stop:
        generator = new_generator(
            request.preset,
            seed=request.seed,
            device=device,
            checkpoint=checkpoint,
            progress=lambda done, total, facts: report(Step("training", done, total, facts)),
            stop=stop,
        )
        _fit(generator, task)
        save_generator(generator, {}, unmeasured)
        if stop():
            raise Stopped
    return generator


def _fit(generator: "DiffusionGenerator | DcganGenerator", task: Task) -> None:
    reals = [task.references["train"], task.rares["train"]]
    try:
        generator.fit(
            np.concatenate([members.pixels for members in reals]),
            np.repeat(np.array(list(LABELS.values())), [len(members) for members in reals]),
            np.concatenate([members.patient for members in reals]),
        )
    except FloatingPointError as error:
        raise InputError(f"{error} Or take another --seed or --preset.") from error


def _digest(task: Task) -> str:
    """SHA-256 over the training images and patients: a folder has no md5 that would tell that it was changed."""
    digest = hashlib.sha256()
    for members in (task.references["train"], task.rares["train"]):
        for array in (members.pixels, members.patient):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _checkpoint(out: Path, trained_on: dict[str, Any], request: TrainRequest) -> Path:
    """Where the state of this very training is kept: another request never goes on from it."""
    key = hashlib.sha256(repr((trained_on, request)).encode()).hexdigest()[:16]
    return out.with_name(f".{out.stem}.{key}.checkpoint.safetensors")


def _unmeasured(checkpoint: Path) -> Path:
    """Where a generator is kept that is trained, and waits to be measured."""
    return checkpoint.with_name(checkpoint.name.replace(".checkpoint.", ".unmeasured."))


def _what_is_kept(checkpoint: Path) -> str:
    """What a stop left on disk, and how to go on."""
    unmeasured = _unmeasured(checkpoint)
    if unmeasured.exists():
        return f"The trained generator is kept in '{unmeasured}'. The same command goes on from there and measures it."
    if checkpoint.exists():
        return f"The training so far is kept in '{checkpoint}'. The same command goes on from there."
    return "Nothing was learnt yet, and nothing is kept. The same command starts again."


def _training_facts(generator: "DiffusionGenerator | DcganGenerator") -> dict[str, Any]:
    from healthgan.generators.presets import DiffusionGenerator

    facts: dict[str, Any] = {"kind": "the 2023 study's GAN", "settings": asdict(generator.settings)}
    if isinstance(generator, DiffusionGenerator):
        trained = generator.trained
        assert trained is not None, "fit first"
        facts |= {"kind": "a diffusion model of both classes"}
        facts |= {"checkpoint": trained.chosen, "stopped": trained.stopped or None}
        facts["trained_in"] = generator.trained_in
        facts["checks"] = [_without_nan(asdict(check)) for check in trained.checks]
    return facts


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def _teller(report: Report, total: int) -> Callable[[str], None]:
    done = 0

    def tell(what: str) -> None:
        nonlocal done
        report(Step(f"measuring: {what}", done, total, {}))
        done += 1

    return tell
