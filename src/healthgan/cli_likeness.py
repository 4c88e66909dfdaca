"""The command ``healthgan likeness``: how alike synthetic images are to real ones, and what the band says."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthgan import cli_complete as complete
from healthgan.cli_end import kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from healthgan.cli_reals import Reals
    from healthgan.images import Collection
    from healthgan.likeness import Band, Judged

app = typer.Typer(no_args_is_help=True)

PERCENTILES = (5, 50, 95, 99)
NAMES = {"synthetic": "synthetic", "heldout": "held-out real"}


@app.command()
def likeness(
    synthetic: Annotated[
        str, typer.Argument(help="An .npz (images[, labels], or MedMNIST's layout) or a folder of pictures.")
    ],
    real: Annotated[
        str,
        typer.Argument(
            help="The source of the real images; its training images count.", autocompletion=complete.sources
        ),
    ],
    heldout: Annotated[
        str | None,
        typer.Option(
            help="Real images beside them: REAL again (its val and test), or another source.",
            autocompletion=complete.sources,
        ),
    ] = None,
    rare: Annotated[
        str | None,
        typer.Option(
            help="Only images of this class, on both sides.", autocompletion=complete.classes(argument=1)
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .csv: a line for each synthetic image.")] = None,
    size: Annotated[int | None, typer.Option(help="Resample to this many pixels a side.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the phantom.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Compare synthetic images with real ones, and with how alike real images of different patients are."""
    import numpy as np

    from healthgan.cli_reals import check_shapes, of_class
    from healthgan.files import check_new_file
    from healthgan.likeness import calibrate, judge
    from healthgan.progress import stages
    from healthgan.sources import load
    from healthgan.sources.synthetic import load_synthetic
    from healthgan.terminal import print_json

    if out is not None:
        check_new_file(out)
    made = load_synthetic(synthetic, size=size)
    position = np.arange(len(made)) if rare is None else made.of_class(rare)
    collection = load(real, size=size, seed=seed)
    train = of_class({"train": collection["train"]}, collection.name, rare)
    others, left_out = None, ""
    if heldout is not None:
        again = collection if heldout == real else load(heldout, size=size, seed=seed)
        others, left_out = _rest(again, rare) if heldout == real else _other(again, rare, train)
    check_shapes(train, {made.name: made.pixels})
    if others is not None:
        check_shapes(train, {others.where: others.pixels})
    with kept(lambda: "Nothing was written."), stages() as tell:
        band = calibrate(train.pixels, train.patients, partial(tell, "real images"))
        sets = {"synthetic": made.pixels[position]} | ({} if others is None else {"heldout": others.pixels})
        judged = {
            name: judge(images, train.pixels, band, progress=partial(tell, f"{NAMES[name]} images"))
            for name, images in sets.items()
        }
    if out is not None:
        _write_scores(out, judged["synthetic"], position, train.position)
    facts = {"class": rare, "synthetic": made.name, "real": train.where, "real_images": len(train.pixels)}
    if others is not None:
        facts |= {"heldout": others.where, "heldout_left_out": left_out}
    facts |= describe(judged, band)
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def describe(judged: "dict[str, Judged]", band: "Band") -> dict[str, Any]:
    """What the command tells of each set, ready for JSON. Intervals are Wilson's, 95 %, an image a draw."""
    sets = {name: _describe_one(found, band) for name, found in judged.items()}
    return {"band": asdict(band), "sets": sets, "conclusion": conclusion(sets)}


def conclusion(sets: dict[str, dict[str, Any]]) -> str:
    """What the likeness of the images says, and what it doesn't, in sentences.

    A share is called lower or higher only where the two 95 % intervals do not overlap, which is less often than a
    test at 5 % would say so.

    Args:
        sets: what :func:`describe` tells of ``synthetic`` and, where they were given, ``heldout`` images.
    """
    made, real = sets["synthetic"], sets.get("heldout", _AS_REAL)
    whose = "held-out real images" if "heldout" in sets else "real images on average"
    verdicts = made["verdicts"]
    why = ", ".join(f"{count} {name}" for name, count in verdicts.items() if count and name != "accepted")
    left_out = f" (left out: {why})" if why else ""
    text = f"{verdicts['accepted']} of {made['images']} images are fit to train on{left_out}."
    for key, what in (
        ("inside_band", "as like the real images as those of different patients are like each other"),
        ("above_copy", "so like one real image that they may copy it"),
    ):
        text += f" {_percent(made[key])} are {what}; of {whose} {_percent(real[key])}: {_compared(made[key], real[key])}."
    if verdicts["copy suspect"]:
        text += " Look at the copy suspects before the images are used or shared."
    return f"{text} Likeness can't see copies that are moved, mirrored or blurred; 'healthgan audit' looks for these."


_AS_REAL = {
    "inside_band": {"share": 0.9, "low": 0.9, "high": 0.9},  # by the percentiles that bound the band
    "above_copy": {"share": 0.01, "low": 0.01, "high": 0.01},
}


def _compared(made: dict[str, Any], real: dict[str, Any]) -> str:
    if made["low"] > real["high"]:
        return "clearly more"
    return "clearly fewer" if made["high"] < real["low"] else "no clear difference"


def _describe_one(judged: "Judged", band: "Band") -> dict[str, Any]:
    import numpy as np

    value = judged.likeness[~np.isnan(judged.likeness)].astype(np.float64)
    total = len(judged.likeness)
    at: list[float] = np.percentile(value, PERCENTILES).tolist() if len(value) else []
    return {
        "images": total,
        "percentiles": {str(p): round(v, 6) for p, v in zip(PERCENTILES, at, strict=False)},
        "inside_band": _share(int(((value >= band.low) & (value <= band.high)).sum()), total),
        "above_copy": _share(int((value > band.copy).sum()), total),
        "verdicts": judged.counts(),
    }


def _share(count: int, total: int) -> dict[str, Any]:
    from healthgan.scores import wilson_interval

    low, high = wilson_interval(count, total)
    return {"count": count, "share": count / total, "low": low, "high": high}


def _rest(collection: "Collection", rare: str | None) -> "tuple[Reals, str]":
    """The validation and test images of a split source, less what also stands in an earlier split, and what was lost."""
    from healthgan.cli_reals import of_class
    from healthgan.errors import InputError
    from healthgan.splits import keep_apart

    splits = [split for split in collection if split != "train"]
    if not splits:
        raise InputError(
            f"'{collection.name}' is not split, so it has no held-out images. Give another source to --heldout."
        )
    kept, removed = keep_apart(collection)
    lost = sum(sum(removed[split].values()) for split in splits)
    note = f"{lost} images of patients, or equal to images, of an earlier split" if lost else ""
    return of_class({split: kept[split] for split in splits}, collection.name, rare), note


def _other(collection: "Collection", rare: str | None, train: "Reals") -> "tuple[Reals, str]":
    """All images of another source, less those that stand in the training images, and what was lost."""
    import numpy as np

    from healthgan.cli_reals import of_class
    from healthgan.errors import InputError

    found = of_class({split: collection[split] for split in collection}, collection.name, rare)
    known = {image.tobytes() for image in train.pixels}
    fresh = np.flatnonzero([image.tobytes() not in known for image in found.pixels])
    lost = len(found.pixels) - len(fresh)
    if not len(fresh):
        raise InputError(f"Every image of '{found.where}' is a training image. Give other held-out images.")
    return found.take(fresh), f"{lost} images that are training images" if lost else ""


def _write_scores(
    path: Path, judged: "Judged", position: "NDArray[np.int64]", train: "NDArray[np.int64]"
) -> None:
    from healthgan.likeness import Verdict
    from healthgan.report.tables import write_csv

    rows = [
        {
            "image": int(position[number]),
            "likeness": "" if nearest < 0 else f"{judged.likeness[number]:.6f}",
            "nearest_training_image": "" if nearest < 0 else int(train[nearest]),
            "verdict": Verdict(judged.verdict[number]).label,
        }
        for number, nearest in enumerate(judged.nearest)
    ]
    write_csv(path, rows)


def _print_facts(facts: dict[str, Any]) -> None:
    from healthgan.terminal import echo, plain, print_tables

    band, known = facts["band"], facts["band"]["patients_known"]
    chosen = f", only '{facts['class']}'" if facts["class"] else ""
    echo(plain(f"{facts['synthetic']} against {facts['real']}{chosen}: {facts['real_images']} images"))
    print_tables([_percentile_table(facts), _verdict_table(facts)])
    echo(
        f"Band {band['low']:.3f} to {band['high']:.3f}, copy suspects above {band['copy']:.3f}: 5th, 95th and 99th percentile "
        f"of {band['images']} real images against those of other patients ({band['patients']}"
        f"{'' if known else ', presumed: the source does not tell'})."
    )
    if facts.get("heldout_left_out"):
        echo(f"Left out of the held-out images: {facts['heldout_left_out']}.")
    echo(f"Conclusion: {facts['conclusion']}")


def _percentile_table(facts: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(title="Likeness: best SSIM to a real training image")
    for title in ("images", "n", *(f"{p} %" for p in PERCENTILES), "inside the band", "copy suspects"):
        table.add_column(title, justify="left" if title == "images" else "right")
    for name, found in facts["sets"].items():
        at = [found["percentiles"].get(str(p)) for p in PERCENTILES]
        table.add_row(
            NAMES[name],
            str(found["images"]),
            *("–" if value is None else f"{value:.3f}" for value in at),
            _percent(found["inside_band"]),
            _percent(found["above_copy"]),
        )
    return table


def _verdict_table(facts: dict[str, Any]) -> "Table":
    from rich.table import Table

    from healthgan.likeness import REASONS

    table = Table(title="Verdicts")
    table.add_column("verdict", no_wrap=True)
    for name in facts["sets"]:
        table.add_column(NAMES[name], justify="right")
    table.add_column("meaning", overflow="fold")
    for verdict, reason in REASONS.items():
        counts = [str(found["verdicts"][verdict.label]) for found in facts["sets"].values()]
        table.add_row(verdict.label, *counts, reason)
    return table


def _percent(share: dict[str, Any]) -> str:
    if share["low"] == share["high"]:  # known, not estimated
        return f"{100 * share['share']:.0f} %"
    return f"{100 * share['share']:.1f} % ({100 * share['low']:.1f}–{100 * share['high']:.1f})"
