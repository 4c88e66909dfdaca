"""A study from its source to its records: the only place where stages, jobs and the run folder meet."""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthgan.cluster.connection import connected
from healthgan.cluster.driver import GpuNeeds, run_on_cluster
from healthgan.devices import choose_device, cores
from healthgan.errors import InputError
from healthgan.executors import Job, Report, Together, Work, load_ahead, run_jobs
from healthgan.facts import task_facts
from healthgan.generators.brought import Brought, read_brought
from healthgan.images import Collection
from healthgan.protocol import Control, Protocol
from healthgan.protocol_sound import Sound
from healthgan.request import Request as Request
from healthgan.run import Record, RunFolder, code_digest, environment, open_run
from healthgan.sound.prepare import SoundStudy, prepare_sound
from healthgan.sources import load
from healthgan.splits import in_splits, keep_apart
from healthgan.study_names import settings_toml
from healthgan.task import Task, check_rare, make_task, top_up

ARMS = ("real", "generated", "control")
TOGETHER_ON = {"cuda"}
"""Devices on which generators and classifiers are trained in one go; on a CPU that is no faster than workers are."""
WHOLE_GPU = frozenset({"generator", "fit", "classifier"})
"""Kinds of jobs that take a GPU of a cluster for themselves."""


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
    workers: int | None,
    report: Report = lambda _: None,
    on_record: Callable[[Record], None] = lambda _: None,
    on_found: Callable[[Iterable[Record]], None] = lambda _: None,
    checkpoint_seconds: float = 60.0,
    cluster: str | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Path:
    """Run all jobs that have no record in the folder yet.

    Args:
        study: what ``prepare`` gave.
        out: the run folder; a study that was stopped there goes on.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: processes of one thread each; None for one a core, on a cluster a core of any node.
        report: called as running jobs advance.
        on_record: called with the record of every job that ends.
        on_found: called at the start with the records that are there already.
        checkpoint_seconds: a generator in training writes its state this often.
        cluster: the Ray cluster that runs the jobs, as ``healthgan.cluster.connection.connected`` takes it; None for
            processes of this machine.
        notice: called with what there is to tell of the cluster.

    Returns:
        The run folder.

    Raises:
        InputError: the folder holds another study, is in use or cannot be written, there is no such device, or the
            cluster can't be used.
    """
    with nullcontext() if cluster is None else connected(cluster, workers) as nodes:
        device = choose_device(device) if nodes is None else nodes.device(device)
        threads = 1 if nodes is not None else workers or cores()
        manifest = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seed": study.request.seed,
            "device": device,
            "workers": threads if nodes is None else workers or int(nodes.cpus),
            "cluster": None if nodes is None else nodes.facts(),
            "code": code_digest(),
            **environment(),
        }
        with open_run(out, settings_toml(study), manifest) as folder:
            finished = _finished(folder, study)
            on_found(finished.values())
            if nodes is None and any(job.key not in finished for job in study.jobs):
                load_ahead()
            lots = 1 if nodes is None else max(1, int(nodes.gpus))
            work, context, together = _work(study, folder, device, threads, lots, checkpoint_seconds)
            jobs, done = list(study.jobs), set(finished)
            if nodes is None:
                records = run_jobs(jobs, done, work, context, threads, report, together, folder.path)
            else:
                gpus = GpuNeeds(device == "cuda", WHOLE_GPU)
                records = run_on_cluster(
                    jobs, done, work, context, report, workers, together, gpus, _outside(study), notice
                )
            for record in records:
                folder.append(record)
                on_record(record)
    return out


def _work(
    study: Study | SoundStudy,
    folder: RunFolder,
    device: str,
    threads: int,
    lots: int,
    checkpoint_seconds: float,
) -> "tuple[Work[Any], Any, Together[Any] | None]":
    """What does the jobs of a study, what they read, and which are done in one go: so many lots at once."""
    from healthgan.jobs import WORK_MANY, Context, do_job, do_many
    from healthgan.sound import jobs as sound_jobs
    from healthgan.sound.context import SoundContext

    if isinstance(study, SoundStudy):
        kinds = frozenset({"generator", "fit"})
        together = Together(kinds, sound_jobs.do_many, lots=lots) if device in TOGETHER_ON else None
        return sound_jobs.do_sound_job, SoundContext(study, folder, device, checkpoint_seconds), together
    context = Context(
        protocol=study.protocol,
        folder=folder,
        task=study.task,
        control=study.control,
        brought=study.brought,
        patients_known=study.facts["main"]["patients_known"],
        seed=study.request.seed,
        device=device,
        workers=threads,
        checkpoint_seconds=checkpoint_seconds,
    )
    many = Together(frozenset(WORK_MANY), do_many, lots=lots) if device in TOGETHER_ON else None
    return do_job, context, many


def _outside(study: Study | SoundStudy) -> tuple[Path, ...]:
    """Files of the user's that jobs read."""
    weights = study.protocol.weights_file if isinstance(study, SoundStudy) else None
    return () if weights is None else (weights,)


def _finished(folder: RunFolder, study: Study | SoundStudy) -> dict[str, Record]:
    """The finished jobs' records by key; the first record of a run tells what its task is."""
    finished = folder.finished()
    if "task" not in finished:
        folder.append(study.facts)
        finished = {"task": study.facts, **finished}
    return finished
