"""A sound study's answers for programs and for the terminal."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from healthgan.protocol_sound import ARMS
from healthgan.report.brought import facts_of
from healthgan.report.sound.believing import belief
from healthgan.report.sound.cautions import cautions
from healthgan.report.sound.comparison import Answers, examine
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import Row, tables
from healthgan.report.sound.verdict import external_sentence, lede, verdict_sentence
from healthgan.report.sound.words import about, signed, state
from healthgan.statistics.conclusion import Comparison
from healthgan.terminal import WIDTH, as_text

if TYPE_CHECKING:
    from rich.table import Table


PARTS = {
    "main": "the source's own split",
    "fold": "folds of the cross-validation, in all repeats",
    "curve": "draws of the learning curve",
    "onward": "the second question",
}


def summary(run: SoundRun) -> Row:
    """All tables' rows and the answers, ready for JSON."""
    answers = examine(run)
    main, believed = answers.main, belief(run, answers)
    return {
        "run": str(run.folder.path),
        "protocol": run.protocol.name,
        **{key: run.asked.get(key) for key in ("source", "rare", "reference", "seed", "design")},
        "jobs": len(run.planned),
        "missing": run.missing,
        "lost": list(run.lost),
        "synthetic": facts_of(run),
        "warnings": [f"{caution.title}. {caution.text}" for caution in cautions(run, answers)],
        "left_out": run.left_out,
        "answer": [verdict_sentence(answers), *lede(run, answers)],
        "headline": None if main is None else str(main.headline),
        "because": [] if main is None else list(main.because),
        "detectable": None if main is None else main.detectable,
        "detectable_at_best": None if main is None else main.detectable_at_best,
        "detectable_with_enough_splits": None if main is None else main.detectable_with_enough,
        "splits": None if main is None else main.splits,
        "believe": None if believed is None else asdict(believed),
        "external": _external(run, answers),
        "tables": tables(run, answers),
    }


def _external(run: SoundRun, answers: Answers) -> Row | None:
    """The answer on images from elsewhere."""
    found = answers.external
    if found is None:
        return None
    facts: Row = (run.task or {})["external"]
    return {
        **{key: facts[key] for key in ("source", "rare", "reference", "dropped")},
        "answer": external_sentence(run, answers),
        "headline": str(found.headline),
        "because": list(found.because),
        "detectable": found.detectable,
        "detectable_at_best": found.detectable_at_best,
    }


def printable(run: SoundRun, width: int = WIDTH) -> str:
    """Every arm with its difference to real images alone, what that says, and the verdict last."""
    answers = examine(run)
    parts: list[Table | str] = []
    if run.design == "tuning":
        parts.append("No test image was read: this is for choosing settings only.")
    if answers.main is not None:
        parts.append(_arms(answers.main))
    parts += lede(run, answers)
    parts += [f"{name} was left out: {reason}." for name, reason in run.left_out.items()]
    if state(run):
        parts.append(f"The study is {state(run)}.")
    return as_text([*parts, verdict_sentence(answers)], width)


def _arms(found: Comparison) -> "Table":
    from rich.table import Table

    table = Table(
        title="AUROC, and the difference to real images alone", title_justify="left", title_style="bold"
    )
    table.add_column("arm", no_wrap=True)
    table.add_column("AUROC", justify="right", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for arm in found.arms:
        cells = [arm.name, f"{arm.auroc.estimate.value:.3f}"]
        if arm.name == found.real:
            table.add_row(*cells, "", "", "")
            continue
        pair = found.pair(arm.name, found.real)
        table.add_row(
            *cells, signed(pair.difference), f"{signed(pair.low)} to {signed(pair.high)}", str(pair.verdict)
        )
    return table


def planned_sets(facts: Row) -> Row:
    """The sets of a study before anything is trained, its cells and its arms.

    Args:
        facts: the record of the task.
    """
    names = {"train": "training", "val": "validation", "test": "testing"}
    cells: dict[str, int] = {}
    for cell in facts["cells"]:
        cells[cell["kind"]] = cells.get(cell["kind"], 0) + 1
    sets: dict[str, Any] = {
        "real": {name: facts["main"]["counts"][split] for split, name in names.items()},
        "cells": cells,
        "arms": facts["arms"],
        "left_out": facts["left_out"],
    }
    return sets | {key: facts[key] for key in ("external", "synthetic") if facts.get(key)}


def sets_tables(sets: Row) -> "list[Table]":
    """The planned sets as tables for a terminal.

    Args:
        sets: what ``planned_sets`` gave.
    """
    from rich.table import Table

    from healthgan.terminal import shown

    real = Table(title="Real images", title_justify="left", title_style="bold")
    for name in ("split", "images", "rare", "of patients", "reference"):
        real.add_column(name, justify="left" if name == "split" else "right")
    for split, row in sets["real"].items():
        counts = (row["images"], row["rare"], row["rare_patients"], row["reference"])
        real.add_row(split, *("not known" if count is None else f"{count:,}" for count in counts))
    external = sets.get("external")
    if external is not None:
        people = external["rare_patients"]
        real.add_row(
            shown(f"elsewhere: {external['source']}"),
            f"{external['rare'] + external['reference']:,}",
            f"{external['rare']:,}",
            "not known" if people is None else f"{people:,}",
            f"{external['reference']:,}",
        )
    arms = Table(title="Arms", title_justify="left", title_style="bold")
    for name in ("arm", "kind", "what it is"):
        arms.add_column(name, no_wrap=name != "what it is")
    for name in sets["arms"]:
        arms.add_row(name, ARMS[name][0], about(name))
    for name, reason in sets["left_out"].items():
        arms.add_row(name, "left out", shown(reason))
    parts = Table(title="Training and test parts", title_justify="left", title_style="bold")
    parts.add_column("kind")
    parts.add_column("how many", justify="right")
    for kind, count in sets["cells"].items():
        parts.add_row(PARTS[kind], f"{count:,}")
    return [real, parts, arms]
