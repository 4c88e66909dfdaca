"""The commands ``healthgan train`` and ``healthgan sample``."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
        str, typer.Argument(help="phantom, a MedMNIST name (chestmnist@64), an .npz, a folder or a .csv.")
    ],
    out: Annotated[Path, typer.Option(help="The generator's file, a new .safetensors.")],
    rare: Annotated[str | None, typer.Option(help="The rare class; by default the smallest.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="The class beside it, or 'rest'; in a multi-label source 'normal'."),
    ] = None,
    rare_count: Annotated[
        int | None, typer.Option(min=3, help="Keep this many rare training images.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    preset: Annotated[str, typer.Option(help="edm, edm-quick or dcgan-2023.")] = "edm",
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
    from healthgan.executors import Job
    from healthgan.generate import TrainRequest, train_generator
    from healthgan.progress import Progress
    from healthgan.tracking import each, tracking

    request = TrainRequest(source, rare, reference, rare_count, size, preset, seed)
    with (
        Progress((Job("training", "generator", {}),)) as progress,
        tracking(None if track is None else track / out.stem) as tracker,
    ):
        facts = train_generator(
            request,
            out,
            device=device.value,
            measure=measure,
            report=each(progress.step, tracker.step if tracker else None),
        )
        if tracker is not None:
            _track(tracker, out, facts)
    if as_json:
        typer.echo(json.dumps({**facts, "file": str(out)}, indent=2))
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
    from healthgan.exports import export
    from healthgan.generate import sample_generator
    from healthgan.terminal import plain

    made = sample_generator(generator, count, class_name, seed)
    export(made, out)
    if as_json:
        typer.echo(json.dumps({"file": str(out), "images": len(made), "card": made.card}, indent=2))
    else:
        assert made.labels is not None
        typer.echo(
            plain(f"{len(made)} images of '{made.class_names[made.labels[0]]}' in {out}, with a card.")
        )


def _track(tracker: "Tracker", out: Path, facts: dict[str, Any]) -> None:
    """Images of the finished generator, and its fidelity."""
    from healthgan.generate import sample_generator
    from healthgan.tracking import GRID

    made = facts["generator"]
    published = made["preset"] == "dcgan-2023"
    step = made["settings"]["epochs"] if published else made["checkpoint"]
    names = facts["class_names"][1:] if published else facts["class_names"]
    tracker.made("training", {name: sample_generator(out, GRID, name, 0).pixels for name in names}, step)
    if facts["fidelity"]:
        tracker.fidelity("training", facts["fidelity"], step)


def _print_facts(facts: dict[str, Any], out: Path) -> None:
    from healthgan.terminal import plain

    images = ", ".join(f"{count} of '{name}'" for name, count in facts["trained_on"]["images"].items())
    typer.echo(plain(f"Trained on {images}."))
    stopped = facts["generator"].get("stopped")
    if stopped:
        typer.echo(f"Training {stopped}; the checkpoint of step {facts['generator']['checkpoint']} was kept.")
    if facts["fidelity"]:
        for name, found in facts["fidelity"]["classes"].items():
            test = found["real_or_synthetic"]
            typer.echo(
                f"Told from real ({name} class): AUROC {test['auroc']:.2f} "
                f"({test['auroc_low']:.2f} to {test['auroc_high']:.2f}; 0.5 is best; {test['heldout_images']} real, "
                f"{test['fresh_images']} synthetic)."
            )
        for row in facts["privacy"]["audit"]:
            typer.echo(
                f"{row['measure']}: {row['value']} ({row['interval']}; best {row['best']}; n {row['images']})"
            )
    typer.echo(f"Generator: {out}")
