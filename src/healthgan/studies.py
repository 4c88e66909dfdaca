"""A study from its source to its records: the only place where stages, jobs and the run folder meet."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from healthgan.errors import InputError
from healthgan.executors import Job, Report, Together, run_jobs
from healthgan.facts import task_facts
from healthgan.generators.brought import Brought, read_brought
from healthgan.images import Collection
from healthgan.protocol import Control, Protocol, to_toml
from healthgan.protocol_sound import Sound
from healthgan.request import Request as Request
from healthgan.run import Record, RunFolder, environment, open_run
from healthgan.sound.prepare import SoundStudy, prepare_sound
from healthgan.sources import load
from healthgan.splits import in_splits, keep_apart
from healthgan.task import Task, check_rare, make_task, top_up

ARMS = ("real", "generated", "control")
TOGETHER_ON = {"cuda"}
"""Devices on which all classifiers of a sound study are trained in one go; on a CPU that is no faster than workers are."""


@dataclass(frozen=True)
class Study:
    """A study after the published one, whose images are read: its tasks, the facts about them, its jobs, and what images were brought."""

    request: Request
    protocol: Protocol
    task: Task
    control: Task | None
    facts: Record
    jobs: tuple[Job, ...]
    brought: Brought | None = None

    @property
    def warnings(self) -> list[str]:
        """What speaks against the synthetic images that were brought."""
        return list(self.facts.get("synthetic", {}).get("warnings", []))


def prepare(request: Request, images: Collection | None = None) -> Study | SoundStudy:
    """Read the images and plan the jobs; nothing is written and nothing trained.

    Args:
        request: what the user asked for.
        images: those of the request's source where they are in memory; nothing is read there then.

    Raises:
        InputError: the source, a class or a setting cannot be used.
    """
    protocol = request.protocol
    if isinstance(protocol, Sound):
        return prepare_sound(request, protocol, images)
    if request.test is not None:
        raise InputError("--test needs a sound protocol; the published study has none.")
    source = load(request.source, size=request.size, seed=request.seed) if images is None else images
    collection = in_splits(source, request.seed)
    collection, moved = keep_apart(collection) if protocol.data.keep_patients_apart else (collection, {})
    task = make_task(
        collection,
        rare=request.rare,
        reference=request.reference,
        rare_count=request.rare_count or protocol.data.rare_count,
        order=protocol.data.balance,
        seed=request.seed,
    )
    check_rare(task)
    facts: Record = {"key": "task", "kind": "task", "main": task_facts(collection, task), "removed": moved}
    control = None
    if protocol.control is not None:
        control, facts["control"] = _control(request, protocol, protocol.control, task)
    brought = None
    if request.synthetic is not None:
        brought, facts["synthetic"] = read_brought(
            request.synthetic,
            task,
            size=request.size,
            patients_known=collection["train"].patients is not None,
            origin={
                "md5": source.md5,
                "seed": request.seed,
                "seed_matters": tuple(source) == ("train",) or request.source == "phantom",
            },
        )
    return Study(request, protocol, task, control, facts, tuple(plan(protocol, brought is not None)), brought)


def _control(request: Request, protocol: Protocol, settings: Control, task: Task) -> tuple[Task, Record]:
    """The control's task and the facts about it."""
    collection = in_splits(load(settings.source, size=request.size, seed=request.seed), request.seed)
    control = make_task(
        collection,
        rare=settings.rare,
        reference=settings.reference,
        rare_count=None,
        order=protocol.data.balance,
        seed=request.seed,
    )
    if settings.top_up:
        control = top_up(control, task)
    return control, task_facts(collection, control)


def plan(protocol: Protocol, brought: bool = False) -> list[Job]:
    """All jobs of a protocol, the ones that take longest first.

    Args:
        protocol: what the study does.
        brought: whether the synthetic images are there already: then no generator is trained.
    """
    rounds = [
        Job(f"generator/{number}", "generator", {"round": number})
        for number in range(0 if brought else protocol.generator.rounds)
    ]
    likeness = Job("likeness", "likeness", {}, needs=tuple(job.key for job in rounds))
    arms = [arm for arm in ARMS if arm != "control" or protocol.control is not None]
    classifiers = [
        Job(
            f"classifier/{arm}/{floor:.2f}",
            "classifier",
            {"arm": arm, "floor": floor},
            needs=("likeness",) if arm == "generated" else (),
        )
        for arm in sorted(arms, key=("generated", "control", "real").index)
        for floor in protocol.likeness.floors
    ]
    apart = Job("real-or-synthetic", "real-or-synthetic", {}, needs=("likeness",))
    return [*rounds, likeness, apart, *classifiers]


def run(
    study: Study | SoundStudy,
    out: Path,
    *,
    device: str,
    workers: int,
    report: Report,
    on_record: Callable[[Record], None],
    checkpoint_seconds: float = 60.0,
) -> Path:
    """Run all jobs that have no record in the folder yet.

    Args:
        study: what ``prepare`` gave.
        out: the run folder; a study that was stopped there goes on.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes of one thread each.
        report: called as running jobs advance.
        on_record: called with the record of every job, old ones first.
        checkpoint_seconds: a generator in training writes its state this often.

    Returns:
        The run folder.

    Raises:
        InputError: the folder holds another study, is in use or cannot be written, or there is no such device.
    """
    device = choose_device(device)
    manifest = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": study.request.seed,
        "device": device,
        "workers": workers,
        "code": code_digest(),
        **environment(),
    }
    with open_run(out, settings_toml(study), manifest) as folder:
        finished = _finished(folder, study)
        for record in finished.values():
            on_record(record)
        for record in _work(study, set(finished), folder, device, workers, report, checkpoint_seconds):
            folder.append(record)
            on_record(record)
    return out


def _work(
    study: Study | SoundStudy,
    finished: set[str],
    folder: RunFolder,
    device: str,
    workers: int,
    report: Report,
    checkpoint_seconds: float,
) -> Iterator[Record]:
    """The records of the jobs that are left, as they end."""
    from healthgan.jobs import Context, do_job
    from healthgan.sound.context import SoundContext
    from healthgan.sound.fits import fit_many
    from healthgan.sound.jobs import do_sound_job

    jobs = list(study.jobs)
    if isinstance(study, SoundStudy):
        sound = SoundContext(study, folder, device, checkpoint_seconds)
        together = Together("fit", fit_many) if device in TOGETHER_ON else None
        yield from run_jobs(jobs, finished, do_sound_job, sound, workers, report, together, folder.path)
        return
    context = Context(
        protocol=study.protocol,
        folder=folder,
        task=study.task,
        control=study.control,
        brought=study.brought,
        patients_known=study.facts["main"]["patients_known"],
        seed=study.request.seed,
        device=device,
        workers=workers,
        checkpoint_seconds=checkpoint_seconds,
    )
    yield from run_jobs(jobs, finished, do_job, context, workers, report, scratch=folder.path)


def settings_toml(study: Study | SoundStudy) -> str:
    """The resolved settings as TOML: the request, then the protocol. Equal settings mean the same study."""
    request = study.request
    asked = {
        "source": study.facts["main"]["source"],
        "rare": study.task.rare,
        "reference": study.task.reference,
        "rare_images": len(study.task.rares["train"]),
        "height": study.facts["main"]["size"][0],
        "width": study.facts["main"]["size"][1],
        "seed": request.seed,
        "data": study.facts["main"]["digest"],
    }
    if isinstance(study, SoundStudy):
        asked |= {"design": study.design}
        named = {name: study.facts[name] for name in ("external", "other", "onward")}
        asked |= {name: facts["digest"] for name, facts in named.items() if facts is not None}
    elif study.control is not None:
        asked["control_data"] = study.facts["control"]["digest"]
    if study.brought is not None:
        asked["synthetic"] = study.facts["synthetic"]["digest"]
    lines = [f"{key} = {value if isinstance(value, int) else _quoted(value)}" for key, value in asked.items()]
    return to_toml(study.protocol) + "\n[study]\n" + "\n".join(lines) + "\n"


def default_folder(study: Study | SoundStudy) -> Path:
    """Where a study goes unless told otherwise: named after its source, protocol and synthetic images that were brought."""
    parts = [study.task.source, study.protocol.name]
    if "synthetic" in study.facts:
        parts.append(study.facts["synthetic"]["name"])
    return Path("runs") / "-".join(parts)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def code_digest() -> str:
    """SHA-256 over the program's own source files: tells two versions apart even where no git is."""
    digest = hashlib.sha256()
    root = Path(str(resources.files("healthgan")))
    for file in sorted(root.rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _finished(folder: RunFolder, study: Study | SoundStudy) -> dict[str, Record]:
    """The finished jobs' records by key; the first record of a run tells what its task is."""
    finished = folder.finished()
    if "task" not in finished:
        folder.append(study.facts)
        finished = {"task": study.facts, **finished}
    return finished


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: there is no CUDA device.
    """
    if device == "cpu":
        return device
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("There is no CUDA device that PyTorch can use here. Take --device cpu or auto.")
    return "cuda" if available else "cpu"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)
