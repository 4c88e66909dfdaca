"""The command line: parse, call, print. Results go to stdout, progress to stderr."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from healthgan import __version__
from healthgan.cli_audit import audit
from healthgan.cli_data import app as data_app
from healthgan.cli_generator import Device, sample, train
from healthgan.cli_likeness import likeness
from healthgan.errors import InputError

if TYPE_CHECKING:
    from healthgan.sound.prepare import SoundStudy
    from healthgan.studies import Study

app = typer.Typer(
    help="Do synthetic images help a rare class, by how much, and are they safe to use?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
for command in (train, sample, likeness, audit):
    app.command()(command)


def main() -> NoReturn:
    """Run the command line: exit 0 done, 2 the input is at fault, 1 our fault, 130 interrupted."""
    try:
        app()
    except InputError as error:
        from healthgan.sources import printable

        typer.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(2)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"healthgan {__version__}")
        raise typer.Exit


@app.command()
def study(
    source: Annotated[
        str, typer.Argument(help="phantom, a MedMNIST name (chestmnist@64), an .npz, a folder or a .csv.")
    ],
    rare: Annotated[str | None, typer.Option(help="The rare class; by default the smallest.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="The class to tell it from, or 'rest'; in a multi-label source 'normal'."),
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
        str | None, typer.Option(help="Another source to test on as well, such as another hospital's images.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="sound, sound-full, sound-quick, paper, quick or a .toml file.")
    ] = "sound",
    out: Annotated[Path | None, typer.Option(help="The run folder; by default runs/SOURCE-PROTOCOL.")] = None,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the sets and the jobs, do nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Run a study, or go on with one that was stopped, and write its report."""
    from healthgan import studies
    from healthgan.protocol import load_protocol

    request = studies.Request(
        source, load_protocol(protocol), rare, reference, rare_count, size, seed, synthetic, test
    )
    prepared = studies.prepare(request)
    _warn(prepared.warnings)
    if dry_run:
        _print_plan(prepared, as_json)
        return
    from healthgan.progress import Progress
    from healthgan.report import build
    from healthgan.report.brought import warnings
    from healthgan.report.reading import read_run
    from healthgan.report.tables import printable, summary
    from healthgan.tracking import each, tracking

    folder = out or studies.default_folder(prepared)
    with (
        tracking(folder / "track" if track else None, folder) as tracker,
        Progress(prepared.jobs) as progress,
    ):
        studies.run(
            prepared,
            folder,
            device=device.value,
            workers=jobs,
            report=each(progress.step, tracker.step if tracker else None),
            on_record=each(progress.finished, tracker.finished if tracker else None),
            cluster=cluster,
            notice=progress.notice,
        )
    page = build(folder)
    _warn([warning for warning in warnings(read_run(folder)) if warning not in prepared.warnings])
    if as_json:
        typer.echo(json.dumps({**summary(folder), "report": str(page)}, indent=2))
    else:
        typer.echo(printable(folder))
        typer.echo(f"Report: {page}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a study.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write the tables, figures and report.html of a study again from its records."""
    from healthgan.report import build
    from healthgan.report.tables import printable, summary

    page = build(run)
    if as_json:
        typer.echo(json.dumps({**summary(run), "report": str(page)}, indent=2))
    else:
        typer.echo(printable(run))
        typer.echo(f"Report: {page}")


def _warn(warnings: list[str]) -> None:
    from healthgan.terminal import plain

    for warning in warnings:
        typer.echo(f"Warning: {plain(warning)}", err=True)


def _print_plan(study: "Study | SoundStudy", as_json: bool) -> None:
    from healthgan.report.tables import planned_sets, sets_table
    from healthgan.terminal import print_tables

    facts: dict[str, Any] = planned_sets(study.facts)
    if as_json:
        typer.echo(json.dumps({**facts, "jobs": [job.key for job in study.jobs]}, indent=2))
        return
    print_tables(sets_table(facts))
    typer.echo(f"{len(study.jobs)} jobs: {', '.join(job.key for job in study.jobs)}")
