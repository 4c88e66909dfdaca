"""The commands ``healthgan data list``, ``show`` and ``fetch``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthgan import cli_complete as complete

if TYPE_CHECKING:
    from rich.table import Table

    from healthgan.images import Collection

app = typer.Typer(
    help="Look at image sources, and download MedMNIST sets.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_sets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """The sets that can be used by name, and which of them are on this computer."""
    from rich.table import Table

    from healthgan.sources import medmnist
    from healthgan.terminal import echo, plain, print_json, print_tables

    if as_json:
        print_json(known_sets())
        return
    table = Table()
    table.add_column("name", no_wrap=True)
    for title in ("classes", "images", "train", "val", "test"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("here", overflow="fold")
    for name, known in medmnist.datasets().items():
        here = [f"@{size}" for size in medmnist.SIZES if medmnist.is_here(name, size)]
        counts = [f"{known.counts[split]:,}" for split in ("train", "val", "test")]
        kind = "grey" if known.channels == 1 else "RGB"
        table.add_row(name, str(len(known.class_names)), kind, *counts, " ".join(here) or "–")
    table.add_row("phantom", "2", "grey", "", "", "", "simulated")
    print_tables([table])
    sizes = ", ".join(f"@{size}" for size in medmnist.SIZES)
    echo(
        f"Sizes: {sizes}; {medmnist.SIZES[0]} without @. Folder: {plain(str(medmnist.data_folder()))} "
        "(set HEALTHGAN_DATA to use another). 'healthgan data fetch NAME' downloads."
    )


@app.command()
def show(
    source: Annotated[
        str,
        typer.Argument(
            help="phantom, a MedMNIST name (chestmnist@64), an .npz, a folder or a .csv.",
            autocompletion=complete.sources,
        ),
    ],
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the phantom.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """What a source holds: images a split and class, patients, duplicates inside and across splits."""
    from healthgan.sources import load
    from healthgan.terminal import print_json

    facts = describe(load(source, size=size, seed=seed))
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="A MedMNIST name, such as chestmnist.", autocompletion=complete.medmnist_names),
    ],
    size: Annotated[int | None, typer.Option(help="28 (if not said), 64, 128 or 224 pixels a side.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Download a MedMNIST set unless it is here, check its md5 and print its path."""
    from healthgan.errors import InputError
    from healthgan.sources import medmnist
    from healthgan.terminal import print_json

    if size is not None and "@" in name:
        raise InputError(f"'{name}' names a size and --size {size} too; give one of them.")
    found, own_size = medmnist.parse(name if size is None else f"{name}@{size}")
    path = medmnist.fetch(found, own_size)
    if as_json:
        print_json({"name": found, "size": own_size, "path": str(path)})
    else:
        typer.echo(path)


def known_sets() -> dict[str, Any]:
    """What ``list`` tells, ready for JSON."""
    from healthgan.sources import medmnist

    sets = {
        name: {
            "classes": list(known.class_names),
            "channels": known.channels,
            "multi_label": known.multi_label,
            "images": dict(known.counts),
            "license": known.license,
            "here": [size for size in medmnist.SIZES if medmnist.is_here(name, size)],
        }
        for name, known in medmnist.datasets().items()
    }
    return {"folder": str(medmnist.data_folder()), "sizes": list(medmnist.SIZES), "sets": sets}


def describe(collection: "Collection") -> dict[str, Any]:
    """What ``show`` tells, ready for JSON. An image with several labels counts in each class."""
    from healthgan.splits import duplicates

    overlaps = duplicates(collection)
    splits = {}
    for split in collection:
        images = collection[split]
        splits[split] = {
            "images": len(images),
            "classes": {name: int(images.members(name).sum()) for name in images.known_classes},
            "patients": None if images.patients is None else len(set(images.patients.tolist())),
            "duplicates": overlaps.inside[split],
        }
    return {
        "name": collection.name,
        "md5": collection.md5,
        "size": list(collection["train"].size),
        "channels": collection["train"].channels,
        "multi_label": collection.multi_label,
        "splits": splits,
        "duplicates_across": {f"{later}_in_{earlier}": n for (earlier, later), n in overlaps.across.items()},
        "patients_across": None
        if overlaps.patients is None
        else {f"{later}_in_{earlier}": n for (earlier, later), n in overlaps.patients.items()},
        "columns": sorted(collection["train"].columns),
        "notes": list(collection.notes),
    }


def _print_facts(facts: dict[str, Any]) -> None:
    from healthgan.terminal import echo, plain, print_tables

    height, width = facts["size"]
    kind = "grey" if facts["channels"] == 1 else "RGB"
    echo(f"{plain(facts['name'])}: {height}×{width} pixels, {kind}")
    print_tables([_table(facts)])
    for line in _remarks(facts):
        echo(line)


def _table(facts: dict[str, Any]) -> "Table":
    from rich.table import Table

    from healthgan.terminal import shown

    splits = facts["splits"]
    table = Table()
    table.add_column("images", overflow="fold")
    for split in splits:
        table.add_column(split if len(splits) > 1 else "not split", justify="right")
    for name in splits["train"]["classes"]:
        table.add_row(shown(name), *(str(found["classes"][name]) for found in splits.values()))
    table.add_section()
    table.add_row("all", *(str(found["images"]) for found in splits.values()))
    table.add_row("duplicates of these", *(str(found["duplicates"]) for found in splits.values()))
    if splits["train"]["patients"] is not None:
        table.add_row("patients", *(str(found["patients"]) for found in splits.values()))
    return table


def _remarks(facts: dict[str, Any]) -> list[str]:
    from healthgan.terminal import plain

    lines = []
    for what, key in (("Images", "duplicates_across"), ("Patients", "patients_across")):
        for pair, count in (facts[key] or {}).items():
            later, _, earlier = pair.partition("_in_")
            if count:
                lines.append(f"{what} of {later} that also stand in {earlier}: {count}.")
    if facts["multi_label"]:
        lines.append("An image may have several labels and counts in each.")
    if facts["splits"]["train"]["patients"] is None:
        lines.append("Patients are not known.")
    if set(facts["splits"]) == {"train"}:
        lines.append("Not split; a study splits it itself.")
    if len(facts["splits"]["train"]["classes"]) == 1 and not facts["multi_label"]:
        lines.append("One class only; a study needs two: a sub-folder each, or the column 'label' of a .csv.")
    if facts["columns"]:
        lines.append(f"Further columns: {plain(', '.join(facts['columns']))}.")
    lines += [f"Note: {plain(note)}." for note in facts["notes"]]
    if facts["md5"]:
        lines.append(f"md5 {facts['md5']}")
    return lines
