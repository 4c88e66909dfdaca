"""The study's tables: for programs (JSON, CSV) and for the terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from healthgan.files import write_text
from healthgan.report.brought import facts_of, warnings
from healthgan.report.comparison import Comparison, compare
from healthgan.report.faults import find_faults
from healthgan.report.grid import csv_text
from healthgan.report.published import Published, Row, published_for
from healthgan.report.reading import Run, read_run
from healthgan.report.results import SPLIT_NAMES, STAGES, figure_1, figure_2, figure_4, repeats
from healthgan.report.sound import tables as sound
from healthgan.report.sound.reading import SoundRun
from healthgan.report.words import answer, floor_text, interval, state
from healthgan.terminal import WIDTH, as_text, shown

if TYPE_CHECKING:
    from rich.table import Table


def summary(path: Path) -> Row:
    """All rows and the answers of a run, ready for JSON.

    Of a study after the published protocol, accuracies are in % and differences in points; of a sound one, all are
    AUROCs between 0 and 1 and their differences.

    Raises:
        InputError: the folder holds no study.
    """
    run = read_run(path)
    if isinstance(run, SoundRun):
        return sound.summary(run)
    published, comparison = published_for(run), compare(run)
    return {
        "run": str(path),
        "protocol": run.protocol.name,
        **{key: run.asked.get(key) for key in ("source", "rare", "reference", "seed")},
        "jobs": len(run.planned),
        "missing": run.missing,
        "synthetic": facts_of(run),
        "warnings": warnings(run),
        "lost": list(run.lost),
        "answer": answer(run, comparison),
        "figure_1": figure_1(run, published),
        "figure_2": figure_2(run, published),
        "figure_4": figure_4(run, published),
        "repeats": {arm: repeats(run, arm) for arm in run.arms if arm != "generated"},
        "comparison": _comparison(run, comparison),
        "real_or_synthetic": _results(run.records.get("real-or-synthetic")),
        "likeness": _results(run.records.get("likeness")),
        "faults": [asdict(fault) for fault in find_faults(run)],
        "published": published.source or None,
    }


def printable(path: Path, width: int = WIDTH) -> str:
    """Figures 1, 2 and 4 or, of a sound study, all arms as text for a terminal, and the answer last.

    Args:
        path: the run folder.
        width: in characters.

    Raises:
        InputError: the folder holds no study.
    """
    run = read_run(path)
    if isinstance(run, SoundRun):
        return sound.printable(run, width)
    published, comparison = published_for(run), compare(run)
    parts: list[Table | str] = [_first_table(figure_1(run, published), published)]
    control = figure_2(run, published)
    if control:
        parts.append(_second_table(control, str((run.task or {})["control"]["rare"])))
    parts.append(_fourth_table(run, figure_4(run, published)))
    if published:
        parts.append(_published_table(run, published))
    if comparison.differences:
        parts.append(_difference_table(run, comparison))
    headline, *reasons = answer(run, comparison)
    parts += reasons
    if state(run):
        parts.append(f"The study is {state(run)}.")
    return as_text([*parts, headline], width)


def planned_sets(facts: Row) -> Row:
    """The sets that are known before anything is trained, by figure and split, and what images were brought.

    Args:
        facts: the record of the task.
    """
    if "cells" in facts:
        return sound.planned_sets(facts)
    sets: Row = {"figure_1": {"real": {}}}
    for split, name in SPLIT_NAMES.items():
        sets["figure_1"]["real"][name] = facts["main"]["counts"][split]
    if "control" in facts:
        control = facts["control"]
        sets["figure_2"] = {
            name: {
                control["rare"]: control["counts"][split]["rare"],
                "balanced": control["counts"][split]["balanced"],
            }
            for split, name in SPLIT_NAMES.items()
        }
    if "synthetic" in facts:
        sets["synthetic"] = facts["synthetic"]
    return sets


def sets_table(sets: Row) -> "list[Table]":
    """The planned sets as tables for a terminal.

    Args:
        sets: what ``planned_sets`` gave.
    """
    if "cells" in sets:
        return sound.sets_tables(sets)
    real: dict[str, Row] = sets["figure_1"]["real"]
    rows = [
        (
            split,
            row["images"],
            row["rare"],
            "not known" if row["rare_patients"] is None else row["rare_patients"],
            row["reference"],
            row["balanced"],
        )
        for split, row in real.items()
    ]
    tables = [
        _table("Real images", ("split", "images", "rare", "of patients", "reference", "balanced set"), rows)
    ]
    if "figure_2" in sets:
        control: dict[str, Row] = sets["figure_2"]
        names = list(next(iter(control.values())))
        rows = [(split, *row.values()) for split, row in control.items()]
        tables.append(_table("Figure 2: the control", ("split", *(shown(name) for name in names)), rows))
    if "synthetic" in sets:
        brought: Row = sets["synthetic"]
        row = (shown(brought["name"]), brought["images"], brought["left_out"], brought["used"])
        titles = ("name", "images", "equal to held-out", "used")
        tables.append(_table("Synthetic images that were brought", titles, [row]))
    return tables


def write_tables(run: Run, folder: Path) -> None:
    """Write Figures 1, 2 and 4 as CSV; a cell is empty where nothing is known."""
    published = published_for(run)
    sets = {"figure-1": figure_1(run, published), "figure-2": figure_2(run, published)}
    for name, rows in {**sets, "figure-4": figure_4(run, published)}.items():
        if rows:
            write_csv(folder / f"{name}.csv", rows)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with equal keys as CSV, as ``csv_text`` gives them."""
    write_text(path, csv_text(rows))


def _first_table(rows: list[Row], published: Published) -> "Table":
    names = ["accepted", "generated", "real", "positives", "balanced", "test", "validation"]
    titles = ["≥", "reached", "kept", "real", "positives", "balanced", "test", "validation"]
    if published:
        names.append("published_generated")
        titles.append("published")
    body = [(floor_text(row["floor"]), *(row[name] for name in names)) for row in rows]
    return _table("Figure 1: images a likeness floor", titles, body)


def _second_table(rows: list[Row], rare: str) -> "Table":
    body = [(row["split"], row["rare"], row["balanced"], row["reference_from_main"]) for row in rows]
    return _table(
        "Figure 2: the control", ("split", shown(rare), "balanced", "references of the main source"), body
    )


def _fourth_table(run: Run, rows: list[Row]) -> "Table":
    titles = ["≥", *(f"{stage}\n{arm}" for stage in STAGES for arm in run.arms)]
    body = [
        (floor_text(row["floor"]), *(row[f"{stage}_{arm}"] for stage in STAGES for arm in run.arms))
        for row in rows
    ]
    table = _table("Figure 4: accuracy in %", titles, body)
    for word in ("mean", "sd"):
        known = {arm: repeats(run, arm) for arm in run.arms if arm != "generated"}
        cells = [known.get(arm, {}).get(f"{stage}_{word}") for stage in STAGES for arm in run.arms]
        if any(cell is not None for cell in cells):
            table.add_row(word, *("" if cell is None else _cell(cell) for cell in cells))
    return table


def _published_table(run: Run, published: Published) -> "Table":
    titles = ["≥", *(f"{stage}\n{arm}" for stage in STAGES for arm in run.arms)]
    body = [
        (floor_text(floor), *(row[stage].get(arm) for stage in STAGES for arm in run.arms))
        for floor, row in published.figure_4.items()
    ]
    return _table("Published in 2023: accuracy in %", titles, body)


def _difference_table(run: Run, comparison: Comparison) -> "Table":
    body = []
    for floor in run.floors:
        gaps = [comparison.inflation[arm].get(floor) for arm in ("real", "generated")]
        cells = [comparison.differences.get(floor), *gaps]
        body.append((floor_text(floor), *(None if cell is None else interval(cell) for cell in cells)))
    titles = ("≥", "test: generated − real", "validation − test: real", "validation − test: generated")
    return _table("Differences in points, with 95 % intervals", titles, body)


def _table(title: str, titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for number, name in enumerate(titles):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _comparison(run: Run, comparison: Comparison) -> Row:
    known = run.task is not None and run.task["main"]["patients_known"]
    by_floor = {
        "differences": comparison.differences,
        **{f"validation_minus_test_{arm}": gaps for arm, gaps in comparison.inflation.items()},
    }
    return {
        **{
            name: [{"floor": floor, **asdict(found)} for floor, found in rows.items()]
            for name, rows in by_floor.items()
        },
        "mean_difference": None if comparison.mean_difference is None else asdict(comparison.mean_difference),
        "test_patients": comparison.patients if known else None,
        "trends": {arm: asdict(trend) for arm, trend in comparison.trends.items()},
    }


def _results(record: Row | None) -> Row | None:
    """A record without what is not a result."""
    if record is None:
        return None
    return {key: value for key, value in record.items() if not key.startswith("time_") and key != "artifacts"}
