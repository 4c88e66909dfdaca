"""The command ``healthgan study``."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from healthgan import cli_complete as complete
from healthgan.cli_end import faults_in, kept, typed
from healthgan.cli_generator import Device
from healthgan.errors import InputError

if TYPE_CHECKING:
    from healthgan.sound.prepare import SoundStudy
    from healthgan.studies import Study

NoPatientImages = Annotated[
    bool,
    typer.Option(
        "--no-patient-images", help="Leave real images out of the report, for one that is passed on."
    ),
]

app = typer.Typer(no_args_is_help=True)


@app.command()
def study(
    source: Annotated[
        str,
        typer.Argument(
            help="phantom, a MedMNIST name (chestmnist@64), an .npz, a folder or a .csv.",
            autocompletion=complete.sources,
        ),
    ],
    rare: Annotated[
        str | None,
        typer.Option(
            help="The rare class; by default the smallest.", autocompletion=complete.classes(argument=0)
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="The class to tell it from, or 'rest'; in a multi-label source 'normal'.",
            autocompletion=complete.classes(argument=0, also=["rest"]),
        ),
    ] = None,
    rare_count: Annotated[
        int | None, typer.Option(min=3, help="Keep this many rare training images.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    synthetic: Annotated[
        str | None,
        typer.Option(
            help="Synthetic images of the rare class made elsewhere, an .npz or a folder: no GAN is trained."
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="Another source to test on as well, such as another hospital's images.",
            autocompletion=complete.sources,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="sound, sound-full, sound-quick, paper, quick or a .toml file.",
            autocompletion=complete.protocols,
        ),
    ] = "sound",
    out: Annotated[
        Path | None,
        typer.Option(help="The run folder; by default runs/SOURCE-PROTOCOL-…, with what is asked."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice derives from it.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local", help="Run the jobs on a Ray cluster, HOST:PORT of its head, or local."
        ),
    ] = None,
    track: Annotated[
        bool,
        typer.Option(
            "--track",
            help="Losses, images and fidelity for TensorBoard in OUT/track; needs healthgan[track].",
        ),
    ] = False,
    no_patient_images: NoPatientImages = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show sets, jobs, time and disk needed; do nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Run a study, or go on with one that was stopped, and write its report."""
    from healthgan import studies
    from healthgan.progress import waiting
    from healthgan.protocol import load_protocol
    from healthgan.report import build
    from healthgan.report.brought import warnings
    from healthgan.report.reading import read_run
    from healthgan.study_names import default_folder
    from healthgan.terminal import warn

    request = studies.Request(
        source, load_protocol(protocol), rare, reference, rare_count, size, seed, synthetic, test
    )
    with kept(_nothing_is_kept):
        prepared = studies.prepare(request)
    warn(prepared.warnings)
    folder = out or default_folder(prepared)
    if dry_run:
        from healthgan.cli_plan import print_plan
        from healthgan.devices import choose_device, cores

        print_plan(prepared, folder, choose_device(device.value), jobs or cores(), as_json=as_json)
        return
    with ExitStack() as stack:
        stack.enter_context(faults_in(folder))
        stack.enter_context(kept(lambda: _what_is_kept(prepared, folder)))
        _run(prepared, folder, device.value, jobs, cluster, track=track)
        with waiting("writing the report"):
            page = build(folder, patient_images=not no_patient_images)
    warn([warning for warning in warnings(read_run(folder)) if warning not in prepared.warnings])
    print_result(folder, page, as_json=as_json)


def print_result(folder: Path, page: Path, *, as_json: bool) -> None:
    """What a run has found, and where its report lies."""
    from healthgan.report.tables import printable, summary
    from healthgan.terminal import echo, print_json, terminal_width

    if as_json:
        print_json({**summary(folder), "report": str(page)})
    else:
        typer.echo(printable(folder, terminal_width()))
        echo(f"Report: {page}")


def _run(
    study: "Study | SoundStudy",
    folder: Path,
    device: str,
    workers: int | None,
    cluster: str | None,
    *,
    track: bool,
) -> None:
    """All jobs, with bars."""
    from healthgan import studies
    from healthgan.estimate import progress_of
    from healthgan.tracking import each, tracking

    with (
        tracking(folder / "track" if track else None, folder) as tracker,
        progress_of(study, device, workers, cluster) as progress,
    ):
        try:
            studies.run(
                study,
                folder,
                device=device,
                workers=workers,
                report=each(progress.step, tracker.step if tracker else None),
                on_found=each(progress.found, tracker.found if tracker else None),
                on_record=each(progress.finished, tracker.finished if tracker else None),
                cluster=cluster,
                notice=progress.notice,
            )
        except FloatingPointError as error:
            raise InputError(f"{error} What is done is kept in '{folder}'.") from error


def _nothing_is_kept() -> str:
    return f"Nothing was written. Start again with:\n    {typed()}"


def _what_is_kept(study: "Study | SoundStudy", folder: Path) -> str:
    """What a stop leaves, and the command that goes on."""
    from healthgan.run import RunFolder

    done = {record["key"] for record in RunFolder(folder).records()} & {job.key for job in study.jobs}
    if not folder.exists():
        return _nothing_is_kept()
    kept = f"{len(done)} of {len(study.jobs)} jobs are done and kept in '{folder}'."
    if any(job.kind == "generator" and job.key not in done for job in study.jobs):
        kept += " A generator in training goes on from its last checkpoint, at most a minute old."
    return f"{kept} Go on with:\n    {typed()}"
