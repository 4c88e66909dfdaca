"""What ``healthgan study --dry-run`` tells: sets, arms, jobs, how long they should take and how much disk they need."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from healthgan.calibrate import Machine
    from healthgan.sound.prepare import SoundStudy
    from healthgan.studies import Study


def print_plan(
    study: "Study | SoundStudy", folder: Path, device: str, workers: int, *, as_json: bool
) -> None:
    """Measure this machine for some seconds and print what the study will be.

    Args:
        study: what ``prepare`` gave.
        folder: where its run will lie; jobs that are done there are left out of the time.
        device: ``cpu`` or ``cuda``.
        workers: jobs at a time.
        as_json: as JSON, with the keys of all jobs.
    """
    from healthgan.progress import waiting
    from healthgan.report.tables import planned_sets, sets_table
    from healthgan.terminal import echo, print_json, print_tables

    with waiting("measuring the speed of this machine"):
        machine = _measured(study, device, workers)
    facts: dict[str, Any] = planned_sets(study.facts)
    facts |= _jobs(study, folder, machine, device, workers) | {"disk": _disk(study, folder, machine, workers)}
    if as_json:
        keys = [job.key for job in study.jobs]
        print_json({**facts, "jobs": keys, "run": str(folder), "warnings": study.warnings})
        return
    print_tables([*sets_table(facts), _job_table(facts)])
    for line in _lines(facts, folder):
        echo(line)


def _measured(study: "Study | SoundStudy", device: str, workers: int) -> "Machine":
    from healthgan.calibrate import calibrate
    from healthgan.studies import TOGETHER_ON
    from healthgan.timings import Trial

    task = study.task
    return calibrate(
        Trial(
            protocol=study.protocol,
            shape=task.rares["train"].pixels.shape[1:],
            counts=(len(task.rares["train"]), len(task.references["train"])),
            device=device,
            brought=study.brought is not None,
            together=sum(job.kind == "fit" for job in study.jobs) if device in TOGETHER_ON else 0,
        ),
        min(workers, len(study.jobs)),
    )


def _jobs(
    study: "Study | SoundStudy", folder: Path, machine: "Machine", device: str, workers: int
) -> dict[str, Any]:
    """Jobs by kind and by arm, and the time they should take, ready for JSON."""
    from healthgan.estimate import expected
    from healthgan.pace import until_end
    from healthgan.studies import TOGETHER_ON

    seconds, done = expected(study, machine.rates), _done(study, folder)
    left = [job for job in study.jobs if job.key not in done]
    time = until_end(left, seconds, workers, "fit" if device in TOGETHER_ON else None)
    kinds: dict[str, dict[str, Any]] = {}
    arms: dict[str, int] = {}
    for job in study.jobs:
        kind = kinds.setdefault(job.kind, {"jobs": 0, "done": 0, "seconds": 0.0})
        kind["jobs"] += 1
        kind["done"] += job.key in done
        kind["seconds"] += seconds[job.key]
        if "arm" in job.parameters:
            arms[job.parameters["arm"]] = arms.get(job.parameters["arm"], 0) + 1
    return {
        "jobs_by_kind": kinds,
        "jobs_by_arm": arms,
        "time": {
            "seconds": time + machine.start if left else 0.0,
            "workers": workers,
            "device": device,
            "jobs_left": len(left),
            "basis": _basis(machine),
            "measured_for_seconds": machine.seconds,
            "not_measured": list(machine.presumed),
            "seconds_each": dict(machine.rates),
            "start_seconds": machine.start,
        },
    }


def _done(study: "Study | SoundStudy", folder: Path) -> set[str]:
    """Keys of the jobs that an earlier start of this very study has done in the folder."""
    from healthgan.run import RunFolder
    from healthgan.study_names import settings_toml

    settings = folder / "study.toml"
    if not settings.is_file() or settings.read_text("utf-8") != settings_toml(study):
        return set()
    return {record["key"] for record in RunFolder(folder).records()} & {job.key for job in study.jobs}


def _disk(study: "Study | SoundStudy", folder: Path, machine: "Machine", workers: int) -> dict[str, int]:
    from healthgan.estimate import disk

    above = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return {**asdict(disk(study, machine.weights, workers)), "free": shutil.disk_usage(above).free}


def _job_table(facts: dict[str, Any]) -> "Table":
    from rich.table import Table

    from healthgan.progress import duration

    table = Table(title="Jobs", title_justify="left", title_style="bold")
    table.add_column("kind", overflow="fold")
    for title in ("how many", "one takes", "all take"):
        table.add_column(title, justify="right")
    for kind, found in facts["jobs_by_kind"].items():
        count, seconds = found["jobs"], found["seconds"]
        table.add_row(kind, f"{count:,}", _about(seconds / count), _about(seconds))
    total = facts["jobs_by_kind"].values()
    table.add_section()
    table.add_row(
        "all",
        f"{sum(found['jobs'] for found in total):,}",
        "",
        duration(sum(found["seconds"] for found in total)),
    )
    return table


def _about(seconds: float) -> str:
    from healthgan.progress import duration

    return "< 1 s" if seconds < 0.5 else duration(seconds)


def _lines(facts: dict[str, Any], folder: Path) -> list[str]:
    """The time and the disk in words."""
    from rich.filesize import decimal

    from healthgan.progress import duration
    from healthgan.terminal import plain

    found, space = facts["time"], facts["disk"]
    workers = f"{found['workers']} worker{'s' * (found['workers'] != 1)}"
    done = sum(kind["done"] for kind in facts["jobs_by_kind"].values())
    lines = [f"{done} jobs are done already in '{plain(str(folder))}'."] if done else []
    lines.append(
        f"Time: about {duration(found['seconds'])} with {workers} on {found['device']}. {_how_known(found)}"
    )
    lines.append(
        f"Disk: about {decimal(space['kept'])} in '{plain(str(folder))}', up to {decimal(space['most'])} on the way; "
        f"{decimal(space['free'])} are free there."
    )
    if space["free"] < space["most"]:
        lines.append("Warning: that is not enough. Make room, or choose another --out.")
    return lines


def _basis(machine: "Machine") -> str:
    """What the estimate rests on, for programs."""
    if not machine.presumed:
        return "a measurement on this machine, all workers at work; an estimate"
    if len(machine.presumed) < len(machine.rates):
        return "in part a measurement on this machine, in part what is usual; a rough estimate"
    return "what is usual on an idle machine; nothing could be measured in time"


def _how_known(time: dict[str, Any]) -> str:
    """What the estimate rests on, in words."""
    missing, seconds = time["not_measured"], f"{time['measured_for_seconds']:.0f} s"
    each = {what: rate for what, rate in time["seconds_each"].items() if what not in missing}
    if not each:
        return (
            f"That is what is usual on an idle machine: this one is so busy or slow that nothing could be measured in "
            f"{seconds}. Expect several times as much."
        )
    speeds = f" ({_speeds(each)})" if _speeds(each) else ""
    text = f"An estimate: measured here for {seconds}{speeds}, times what there is to do."
    if missing:
        told = " and ".join([", ".join(missing[:-1]), missing[-1]] if len(missing) > 1 else missing)
        text += (
            f" Rougher than usual, as this machine is busy or slow: measuring ended before {told}; what that takes is "
            "presumed from what is usual."
        )
    return text


def _speeds(each: dict[str, float]) -> str:
    """The speeds that matter most, in words."""
    names = {
        "generator step": "a step of the generator",
        "gan step": "a step of the GAN",
        "step": "of a classifier",
        "fold step": "of a classifier",
    }
    found = [(each[what], name) for what, name in names.items() if what in each]
    return ", ".join(f"{1000 * seconds:.0f} ms {name}" for seconds, name in found)
