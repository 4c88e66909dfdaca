"""The command line: parse, call, print. Results go to stdout, progress to stderr."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from healthgan import __version__
from healthgan.cli_audit import audit
from healthgan.cli_data import app as data_app
from healthgan.cli_end import Commands
from healthgan.cli_end import run as run_app
from healthgan.cli_generator import sample, train
from healthgan.cli_likeness import likeness
from healthgan.cli_study import NoPatientImages, print_result, study

app = typer.Typer(
    help="Do synthetic images help a rare class, by how much, and are they safe to use?",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"terminal_width": min(shutil.get_terminal_size().columns, 100)},
    rich_markup_mode=None,  # Rich's help takes three times as long
)
app.add_typer(data_app, name="data")
app.command()(study)


def main() -> NoReturn:
    """Run the command line: exit 0 done, 2 the input is at fault, 1 our fault, 130 interrupted."""
    sys.exit(run_app(app))


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"healthgan {__version__}")
        raise typer.Exit


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a study.")],
    no_patient_images: NoPatientImages = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write the tables, figures and report.html of a study again from its records."""
    from healthgan.report import build

    print_result(run, build(run, patient_images=not no_patient_images), as_json=as_json)


for command in (train, sample, likeness, audit):
    app.command()(command)
