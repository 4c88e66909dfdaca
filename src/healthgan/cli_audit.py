"""The command ``healthgan audit``: are the synthetic images new, or copies of the training images?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthgan import cli_complete as complete
from healthgan.cli_end import kept as kept_when_stopped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from healthgan.images import Collection, ImageSet, Split
    from healthgan.privacy.audit import Audit
    from healthgan.privacy.summary import Row

app = typer.Typer(no_args_is_help=True)


@app.command()
def audit(
    synthetic: Annotated[
        str, typer.Argument(help="An .npz (images[, labels], or MedMNIST's layout) or a folder of pictures.")
    ],
    train: Annotated[
        str,
        typer.Option(
            help="The source whose training images the generator learned from.",
            autocompletion=complete.sources,
        ),
    ],
    heldout: Annotated[
        str,
        typer.Option(
            help="Real images it never saw: the same source (its val and test) or another one (all of it).",
            autocompletion=complete.sources,
        ),
    ],
    rare: Annotated[
        str | None,
        typer.Option(
            help="Only this class on all sides; all held-out images still calibrate the copy search.",
            autocompletion=complete.classes("train", "heldout"),
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw, and of the phantom.")] = 0,
    gallery: Annotated[
        Path | None, typer.Option(help="A .png with the closest pairs. It shows training images.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Look for copies of training images, and for traces of who was in the training set."""
    import numpy as np

    from healthgan.cli_reals import check_shapes, not_of_class, of_class
    from healthgan.errors import InputError
    from healthgan.files import check_new_file
    from healthgan.privacy.audit import audit as run_audit
    from healthgan.progress import stages
    from healthgan.sources import load
    from healthgan.sources.synthetic import load_synthetic
    from healthgan.terminal import print_json

    if gallery is not None:
        if gallery.suffix.lower() != ".png":
            raise InputError(f"--gallery is '{gallery}'; a file name that ends in .png is needed.")
        check_new_file(gallery)
    made = load_synthetic(synthetic, size=size)
    position = np.arange(len(made)) if rare is None else made.of_class(rare)
    if not len(position):
        raise InputError(
            f"'{made.name}' has no image of '{rare}'. Choose another class, or leave --rare out."
        )
    learned = load(train, size=size, seed=seed)
    others = learned if heldout == train else load(heldout, size=size, seed=seed)
    kept, left_out = held_out(learned, others, same=heldout == train)
    training = of_class({"train": learned["train"]}, learned.name, rare)
    unseen = of_class(kept, others.name, rare)
    rest = not_of_class(kept, others.name, rare)
    check_shapes(training, {made.name: made.pixels, unseen.where: unseen.pixels})
    images = made.pixels[position]
    with kept_when_stopped(lambda: "Nothing was written."), stages() as tell:
        found = run_audit(
            images,
            training.pixels,
            training.patients,
            unseen.pixels,
            unseen.patients,
            seed,
            others=None if rest is None else rest.pixels,
            other_patients=None if rest is None else rest.patients,
            progress=tell,
        )
    if gallery is not None:
        from healthgan.privacy.gallery import write_gallery

        write_gallery(
            gallery,
            found,
            images,
            training.pixels,
            places=position,
            training_places=training.position,
        )
    chosen = "" if rare is None else f", {rare}"
    facts = {
        "class": rare,
        "synthetic": made.name,
        "training_images": training.where + chosen,
        "heldout_images": unseen.where + chosen,
        "heldout_left_out": left_out,
        "also_calibrates": None if rest is None else f"{rest.where}, not {rare}",
        "seed": seed,
        **describe(found, position, training.position),
    }
    if as_json:
        print_json(facts)
    else:
        _print(facts, found)


def held_out(
    learned: "Collection", others: "Collection", *, same: bool
) -> "tuple[dict[Split, ImageSet], dict[str, int]]":
    """The held-out images, and how many were left out of them: ``{"patient": n, "duplicate": n}``.

    Of the same source the validation and test images whose patients and pixels stand in no earlier split; of
    another source all images that are no training images. There patients can't be compared, as every source
    numbers its own.

    Raises:
        InputError: nothing is left, or the source is not split.
    """
    import numpy as np

    from healthgan.errors import InputError
    from healthgan.splits import keep_apart

    if same or (learned.md5 is not None and learned.md5 == others.md5):
        if set(learned) == {"train"}:
            raise InputError(
                f"'{learned.name}' is not split, so it has no held-out images. Give another source to --heldout."
            )
        apart, removed = keep_apart(learned)
        later: list[Split] = [split for split in apart if split != "train"]
        left_out = {why: sum(removed[split][why] for split in later) for why in ("patient", "duplicate")}
        return {split: apart[split] for split in later}, left_out
    known = {image.tobytes() for image in learned["train"].pixels}
    fresh = {
        split: np.flatnonzero([image.tobytes() not in known for image in others[split].pixels])
        for split in others
    }
    lost = sum(len(others[split]) - len(index) for split, index in fresh.items())
    kept = {split: _renumbered(others[split].take(index)) for split, index in fresh.items() if len(index)}
    if not kept:
        raise InputError(
            f"Every image of '{others.name}' is a training image of '{learned.name}'. Give other held-out images."
        )
    return kept, {"patient": 0, "duplicate": lost}


def _renumbered(images: "ImageSet") -> "ImageSet":
    """With numbers of patients that no source gives, so that they mean nobody of another source."""
    from dataclasses import replace

    return images if images.patients is None else replace(images, patients=-1 - images.patients)


def describe(
    found: "Audit", position: "NDArray[np.int64]", training_position: "NDArray[np.int64]"
) -> dict[str, Any]:
    """The audit ready for JSON, images by their places in the file and in the training split."""
    from healthgan.privacy.summary import conclusion

    facts = found.as_dict()
    facts["pairs"] = [
        {
            "image": int(position[pair.image]),
            "training_image": int(training_position[pair.training_image]),
            "strength": pair.strength,
            "copy": pair.strength > 0,
        }
        for pair in found.pairs
    ]
    return {**facts, "notes": list(found.notes()), "conclusion": conclusion(found)}


def _print(facts: dict[str, Any], found: "Audit") -> None:
    from healthgan.privacy.summary import rows
    from healthgan.terminal import echo, plain, print_tables

    lost = facts["heldout_left_out"]
    echo(plain(f"Synthetic: {facts['synthetic']}: {found.generated} images"))
    for title, count, patients, where in (
        ("Training", found.training, found.training_patients, facts["training_images"]),
        ("Held out", found.heldout, found.heldout_patients, facts["heldout_images"]),
    ):
        whose = "patients not known" if patients is None else f"{patients} patients"
        echo(plain(f"{title}: {where}: {count} images, {whose}"))
    if any(lost.values()):
        echo(
            f"Left out of the held-out images: {lost['patient']} of patients of an earlier split, "
            f"{lost['duplicate']} equal to an earlier image."
        )
    if facts["also_calibrates"]:
        added = found.detector.images - found.heldout
        echo(plain(f"The search for copies is calibrated on these and {added} of {facts['also_calibrates']}"))
    print_tables([audit_table(rows(found))])
    copies = [f"{p['image']} of {p['training_image']}" for p in facts["pairs"] if p["copy"]]
    if copies:
        more = f" and {len(copies) - 10} more" if len(copies) > 10 else ""
        echo(f"Copy suspects, synthetic of training image: {', '.join(copies[:10])}{more}.")
    for note in facts["notes"]:
        echo(f"Note: {note}")
    echo(f"Conclusion: {facts['conclusion']}")


def audit_table(rows: "list[Row]") -> "Table":
    """The rows of an audit for a terminal."""
    from rich.table import Table

    table = Table(title="Privacy audit")
    for title in ("measure", "value", "95 % interval", "nothing copied", "n"):
        table.add_column(title, justify="left" if title in ("measure", "n") else "right", overflow="fold")
    for row in rows:
        table.add_row(row.measure, row.value, row.interval, row.best, row.images)
    return table
