"""The commands ``healthgan train`` and ``healthgan sample``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthgan import cli_complete as complete

if TYPE_CHECKING:
    from healthgan.tracking import Tracker

app = typer.Typer(no_args_is_help=True)


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command()
def train(
    source: Annotated[
        str,
        typer.Argument(
            help="phantom, a MedMNIST name (chestmnist@64), an .npz, a folder or a .csv.",
            autocompletion=complete.sources,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The generator's file, a new .safetensors.")],
    rare: Annotated[
        str | None,
        typer.Option(
            help="The rare class; by default the smallest.", autocompletion=complete.classes(argument=0)
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="The class beside it, or 'rest'; in a multi-label source 'normal'.",
            autocompletion=complete.classes(argument=0, also=["rest"]),
        ),
    ] = None,
    rare_count: Annotated[
        int | None, typer.Option(min=3, help="Keep this many rare training images.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    preset: Annotated[
        str, typer.Option(help="edm, edm-quick or dcgan-2023.", autocompletion=complete.presets)
    ] = "edm",
    seed: Annotated[int, typer.Option(min=0, help="Every random choice derives from it.")] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    measure: Annotated[
        bool, typer.Option(help="Measure fidelity and privacy on the validation split afterwards.")
    ] = True,
    track: Annotated[
        Path | None,
        typer.Option(help="A folder for TensorBoard: losses, images, fidelity; needs healthgan[track]."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Train a generator on a source's training split; repeat the command to go on after a stop."""
    from healthgan.generate import TrainRequest, train_generator
    from healthgan.progress import stages
    from healthgan.terminal import echo, plain, print_json
    from healthgan.tracking import each, tracking

    request = TrainRequest(source, rare, reference, rare_count, size, preset, seed)
    try:
        with (
            stages() as tell,
            tracking(None if track is None else track / out.stem) as tracker,
        ):
            facts = train_generator(
                request,
                out,
                device=device.value,
                measure=measure,
                report=each(
                    lambda step: tell(step.key, step.done, step.total), tracker.step if tracker else None
                ),
                stopping=_say_that_it_stops,
            )
            if tracker is not None:
                _track(tracker, out, facts)
    except KeyboardInterrupt as stop:
        kept = str(stop) or "Nothing was learnt since. The same command goes on from what is there."
        echo(plain(f"Stopped. {kept}"), error=True)
        raise typer.Exit(130) from stop
    if as_json:
        print_json({**facts, "file": str(out)})
    else:
        _print_facts(facts, out)


@app.command()
def sample(
    generator: Annotated[Path, typer.Argument(help="A file that 'healthgan train' wrote.")],
    count: Annotated[int, typer.Option(min=1, help="How many images.")],
    out: Annotated[Path, typer.Option(help="A new .npz, or a new folder for PNG files.")],
    class_name: Annotated[
        str | None, typer.Option("--class", help="Of which class; by default the rare one.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one gives other images.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Make images of one class and write them with a card that says where they come from."""
    from healthgan.exports import check_export, export
    from healthgan.sampling import sample_generator
    from healthgan.terminal import echo, plain, print_json

    check_export(out)
    made = sample_generator(generator, count, class_name, seed)
    export(made, out)
    if as_json:
        print_json({"file": str(out), "images": len(made), "card": made.card})
    else:
        assert made.labels is not None
        echo(plain(f"{len(made)} images of '{made.class_names[made.labels[0]]}' in {out}, with a card."))


def _say_that_it_stops() -> None:
    """Above the bars, which typer's echo would write into."""
    print(  # noqa: T201 - progress is spoken
        "Stopping after this step; once more ends at once, without a checkpoint.", file=sys.stderr
    )


def _track(tracker: "Tracker", out: Path, facts: dict[str, Any]) -> None:
    """Images of the finished generator, and its fidelity."""
    from healthgan.sampling import sample_generator
    from healthgan.tracking import GRID

    made = facts["generator"]
    published = made["preset"] == "dcgan-2023"
    step = made["settings"]["epochs"] if published else made["checkpoint"]
    names = facts["class_names"][1:] if published else facts["class_names"]
    tracker.made("training", {name: sample_generator(out, GRID, name, 0).pixels for name in names}, step)
    if facts["fidelity"]:
        tracker.fidelity("training", facts["fidelity"], step)


def _print_facts(facts: dict[str, Any], out: Path) -> None:
    from healthgan.terminal import echo, plain

    images = " and ".join(f"{count} of '{name}'" for name, count in facts["trained_on"]["images"].items())
    patients = facts["trained_on"]["patients"]
    whose = "" if patients is None else f", of {patients} patients"
    echo(plain(f"Trained on {images}{whose}."))
    stopped = facts["generator"].get("stopped")
    if stopped:
        echo(f"Training {stopped}; the checkpoint of step {facts['generator']['checkpoint']} was kept.")
    if facts["fidelity"]:
        _print_measured(facts)
    else:
        echo("Neither fidelity nor privacy was measured.")
    echo(plain(f"Generator: {out}. 'healthgan sample {out} --count N --out made.npz' makes images with it."))


def _print_measured(facts: dict[str, Any]) -> None:
    """How well its images pass for real ones, and what the audit found."""
    from healthgan.cli_audit import audit_table
    from healthgan.generators.interface import LABELS
    from healthgan.privacy.summary import Row
    from healthgan.terminal import echo, plain, print_tables

    for key, found in facts["fidelity"]["classes"].items():
        test, name = found["real_or_synthetic"], facts["class_names"][LABELS[key]]
        echo(
            plain(
                f"Images of '{name}' are told from real ones with AUROC {test['auroc']:.2f} (95 % interval "
                f"{test['auroc_low']:.2f} to {test['auroc_high']:.2f}; 0.5 is chance, 1 is always), on "
                f"{test['heldout_images']} real images of the validation split and {test['fresh_images']} synthetic ones."
            )
        )
    print_tables([audit_table([Row(**row) for row in facts["privacy"]["audit"]])])
    echo(f"Privacy: {facts['privacy']['conclusion']}")
