"""The command ``healthgan audit``: are the synthetic images new, or copies of the training images?"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from healthgan.images import Collection, ImageSet, Split
    from healthgan.privacy.audit import Audit

app = typer.Typer(no_args_is_help=True)


@dataclass(frozen=True)
class Reals:
    """Real images of one class, or of all.

    Attributes:
        where: which they are: ``chestmnist, train, cardiomegaly``.
        pixels: (M, H, W, C) uint8.
        patients: (M,) codes; None where they are not known.
        position: (M,) the place of each in its split, as far as there is one split.
    """

    where: str
    pixels: "NDArray[np.uint8]"
    patients: "NDArray[np.int64] | None"
    position: "NDArray[np.int64]"


@app.command()
def audit(
    synthetic: Annotated[
        str, typer.Argument(help="An .npz (images[, labels], or MedMNIST's layout) or a folder of pictures.")
    ],
    train: Annotated[str, typer.Option(help="The source whose training images the generator learned from.")],
    heldout: Annotated[
        str,
        typer.Option(
            help="Real images it never saw: the same source (its val and test) or another one (all of it)."
        ),
    ],
    rare: Annotated[
        str | None,
        typer.Option(
            help="Only this class on all sides; all held-out images still calibrate the copy search."
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

    from healthgan.errors import InputError
    from healthgan.privacy.audit import audit as run_audit
    from healthgan.sources import load
    from healthgan.sources.synthetic import load_synthetic

    if gallery is not None and gallery.suffix.lower() != ".png":
        raise InputError(f"--gallery is '{gallery}'; a file name that ends in .png is needed.")
    made = load_synthetic(synthetic, size=size)
    position = np.arange(len(made)) if rare is None else made.of_class(rare)
    if not len(position):
        raise InputError(
            f"'{made.name}' has no image of '{rare}'. Choose another class, or leave --rare out."
        )
    learned = load(train, size=size, seed=seed)
    others = learned if heldout == train else load(heldout, size=size, seed=seed)
    kept, left_out = held_out(learned, others, same=heldout == train)
    training = _joined({"train": learned["train"]}, learned.name, rare)
    unseen = _joined(kept, others.name, rare)
    rest = _rest(kept, others.name, rare)
    _check_shapes(made.name, made.pixels, training, unseen)
    images = made.pixels[position]
    found = run_audit(
        images,
        training.pixels,
        training.patients,
        unseen.pixels,
        unseen.patients,
        seed,
        others=None if rest is None else rest.pixels,
        other_patients=None if rest is None else rest.patients,
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
    facts = {
        "class": rare,
        "synthetic": made.name,
        "training_images": training.where,
        "heldout_images": unseen.where,
        "heldout_left_out": left_out,
        "also_calibrates": None if rest is None else rest.where,
        "seed": seed,
        **describe(found, position, training.position),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
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
    return {**facts, "notes": list(found.notes())}


def _joined(splits: "dict[Split, ImageSet]", name: str, rare: str | None) -> Reals:
    """The images of a class, or all, in several splits of one source."""
    import numpy as np

    from healthgan.errors import InputError

    members = {
        split: np.ones(len(images), np.bool_) if rare is None else images.members(rare)
        for split, images in splits.items()
    }
    if not any(found.any() for found in members.values()):
        raise InputError(
            f"There is no image of '{rare}' in {name}, {' or '.join(splits)}. Choose another class."
        )
    return _taken(splits, members, f"{name}, {' and '.join(splits)}{f', {rare}' if rare else ''}")


def _rest(splits: "dict[Split, ImageSet]", name: str, rare: str | None) -> Reals | None:
    """The images that are not of the class; None where there are none."""
    if rare is None:
        return None
    members = {split: ~images.members(rare) for split, images in splits.items()}
    if not any(found.any() for found in members.values()):
        return None
    return _taken(splits, members, f"{name}, {' and '.join(splits)}, not {rare}")


def _taken(splits: "dict[Split, ImageSet]", members: "dict[Split, NDArray[np.bool_]]", where: str) -> Reals:
    import numpy as np

    patients = [
        images.patients[members[split]] for split, images in splits.items() if images.patients is not None
    ]
    return Reals(
        where=where,
        pixels=np.concatenate([images.pixels[members[split]] for split, images in splits.items()]),
        patients=np.concatenate(patients) if len(patients) == len(splits) else None,
        position=np.concatenate([np.flatnonzero(members[split]) for split in splits]),
    )


def _check_shapes(name: str, pixels: "NDArray[np.uint8]", training: Reals, unseen: Reals) -> None:
    from healthgan.errors import InputError

    for other, where in ((pixels, name), (unseen.pixels, unseen.where)):
        if other.shape[1:] != training.pixels.shape[1:]:
            raise InputError(
                f"The images of '{where}' are {other.shape[1:]} (height, width, channels), those of "
                f"'{training.where}' {training.pixels.shape[1:]}; they must be equal. Resample with --size N, which "
                "reaches pictures in folders but not a synthetic .npz."
            )


def _print(facts: dict[str, Any], found: "Audit") -> None:
    from healthgan.terminal import plain, print_tables

    lost = facts["heldout_left_out"]
    typer.echo(plain(f"Synthetic: {facts['synthetic']}: {found.generated} images"))
    for title, count, patients, where in (
        ("Training", found.training, found.training_patients, facts["training_images"]),
        ("Held out", found.heldout, found.heldout_patients, facts["heldout_images"]),
    ):
        whose = "patients not known" if patients is None else f"{patients} patients"
        typer.echo(plain(f"{title}: {where}: {count} images, {whose}"))
    if any(lost.values()):
        typer.echo(
            f"Left out of the held-out images: {lost['patient']} of patients of an earlier split, "
            f"{lost['duplicate']} equal to an earlier image."
        )
    if facts["also_calibrates"]:
        added = found.detector.images - found.heldout
        typer.echo(
            plain(f"The search for copies is calibrated on these and {added} of {facts['also_calibrates']}")
        )
    print_tables([_table(found)])
    copies = [f"{p['image']} of {p['training_image']}" for p in facts["pairs"] if p["copy"]]
    if copies:
        more = f" and {len(copies) - 10} more" if len(copies) > 10 else ""
        typer.echo(f"Copy suspects, synthetic of training image: {', '.join(copies[:10])}{more}.")
    for note in facts["notes"]:
        typer.echo(f"Note: {note}")


def _table(found: "Audit") -> "Table":
    from rich.table import Table

    from healthgan.privacy.summary import rows

    table = Table(title="Privacy audit")
    for title in ("measure", "value", "95 % interval", "nothing copied", "n"):
        table.add_column(title, justify="left" if title in ("measure", "n") else "right", overflow="fold")
    for row in rows(found):
        table.add_row(row.measure, row.value, row.interval, row.best, row.images)
    return table
