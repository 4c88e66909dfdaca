"""Tables of a study after the published protocol, published figures beside its own."""

from collections.abc import Sequence

from healthgan.report.comparison import Comparison
from healthgan.report.grid import Cell, Column, Grid, Row, difference, floor_head, number
from healthgan.report.reading import Run
from healthgan.report.results import STAGES, repeats
from healthgan.report.words import points
from healthgan.statistics import Estimate
from healthgan.terminal import plain

ARMS = {"real": "real", "generated": "with generated", "control": "control"}


def figure_1_grid(rows: Sequence[Row]) -> Grid:
    """The sets at each floor."""
    names = {
        "accepted": "reached",
        "generated": "kept",
        "real": "real",
        "positives": "training positives",
        "balanced": "balanced training set",
        "test": "test (balanced)",
        "validation": "validation (balanced)",
    }
    theirs = {"accepted": "generated", "balanced": "balanced", "test": "test", "validation": "validation"}
    cells = []
    for row in rows:
        line = [floor_head(row["floor"])]
        for name in names:
            published = row.get(f"published_{theirs.get(name, '')}")
            cell = number(row[name], 0, "" if published is None else f"published {published:,}")
            fewer = name == "generated" and None not in (row["generated"], row["accepted"])
            if fewer and row["generated"] < row["accepted"]:
                cell = number(row[name], 0, "random subset")
            line.append(cell)
        cells.append(line)
    columns = [Column("floor"), *(Column(title) for title in names.values())]
    return Grid("figure-1", "Figure 1: sets at each likeness floor", columns, cells, csv=rows)


def figure_2_grid(rows: Sequence[Row], rare: str, reference: str) -> Grid:
    """The sets of the control."""
    columns = [
        Column("split"),
        Column(plain(rare)),
        Column(f"balanced with {plain(reference)}"),
        Column("of these from the main source"),
    ]
    cells = [
        [
            Cell(row["split"]),
            *(
                number(
                    row[name],
                    0,
                    f"published {row[f'published_{name}']:,}" if f"published_{name}" in row else "",
                )
                for name in ("rare", "balanced")
            ),
            number(row["reference_from_main"], 0),
        ]
        for row in rows
    ]
    return Grid("figure-2", "Figure 2: sets of the control", columns, cells, csv=rows)


def figure_4_grid(run: Run, rows: Sequence[Row], sets: Sequence[Row]) -> Grid:
    """Accuracies at each floor; below, how repeated trainings of one condition spread."""
    known = {arm: repeats(run, arm) for arm in run.arms}
    columns = [Column("floor")]
    for stage in STAGES:
        for place, arm in enumerate(run.arms):
            counted = f", n = {known[arm]['n']:,}" if stage == "test" and known[arm]["n"] else ""
            kind = {"real": "real", "generated": "generated", "control": "control"}[arm]
            columns.append(Column(f"{ARMS[arm]}{counted}", kind=kind, starts=place == 0))
    cells = [
        [floor_head(row["floor"]), *(_accuracy(row, stage, arm, one) for stage in STAGES for arm in run.arms)]
        for row, one in zip(rows, sets, strict=True)
    ]
    foot = [Cell("mean ± sd")]
    for stage in STAGES:
        for arm in run.arms:
            mean, spread = known[arm][f"{stage}_mean"], known[arm][f"{stage}_sd"]
            repeated = arm != "generated" and spread is not None
            foot.append(Cell(f"{mean:.1f}", f"± {spread:.1f}") if repeated else Cell(""))
    groups = [("", 1), *((f"{stage} accuracy, %", len(run.arms)) for stage in STAGES)]
    return Grid(
        "figure-4",
        "Figure 4: accuracy of the classifiers",
        columns,
        cells,
        foot=foot,
        groups=groups,
        csv=rows,
        style="dense",
    )


def _accuracy(row: Row, stage: str, arm: str, sets: Row) -> Cell:
    value = row[f"{stage}_{arm}"]
    theirs = row.get(f"published_{stage}_{arm}")
    note = "" if theirs is None else f"pub. {theirs:.1f}"
    if value is None:
        empty = arm == "generated" and sets["generated"] == 0
        return Cell("–", "n = 0" if empty else "", note=note)
    span = f"{row[f'test_{arm}_low']:.1f}–{row[f'test_{arm}_high']:.1f}" if stage == "test" else ""
    return Cell(f"{value:.1f}", span, value, note=note)


def _gaps(run: Run, comparison: Comparison) -> list[list[Estimate | None]]:
    """By floor: with generated images minus real ones alone, and of both how far validation is above test."""
    inflation = comparison.inflation
    return [
        [comparison.differences.get(floor), *(inflation[arm].get(floor) for arm in ("real", "generated"))]
        for floor in run.floors
    ]


def differences_rows(run: Run, comparison: Comparison) -> list[Row]:
    """Differences at each floor, in points; no row where nothing can be compared."""
    gaps = _gaps(run, comparison)
    if not any(found for line in gaps for found in line):
        return []
    names = ("difference", "validation_minus_test_real", "validation_minus_test_generated")
    rows: list[Row] = []
    for floor, line in zip(run.floors, gaps, strict=True):
        row: Row = {"floor": floor}
        for name, found in zip(names, line, strict=True):
            row |= {
                name + suffix: None if found is None else round(getattr(found, end), 3)
                for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
        rows.append(row)
    return rows


def differences_grid(run: Run, comparison: Comparison, rows: Sequence[Row]) -> Grid:
    """Differences at each floor, in points."""
    columns = [
        Column("floor"),
        Column("test: with generated minus real"),
        Column("validation minus test: real"),
        Column("validation minus test: with generated"),
    ]
    cells = [
        [floor_head(floor), *(_gap(found) for found in line)]
        for floor, line in zip(run.floors, _gaps(run, comparison), strict=True)
    ]
    foot: list[Cell] = []
    if comparison.mean_difference is not None:
        means = [comparison.mean_inflation(arm) for arm in ("real", "generated")]
        foot = [
            Cell("all"),
            _gap(comparison.mean_difference),
            *(Cell("" if mean is None else points(mean)) for mean in means),
        ]
    return Grid("differences", "Differences in points", columns, cells, foot=foot, csv=rows)


def _gap(found: Estimate | None) -> Cell:
    return Cell("–") if found is None else difference(found.value, found.low, found.high, 1)


def plain_grid(
    name: str, label: str, titles: Sequence[str], rows: Sequence[Row], shown: int | None = None
) -> Grid:
    """Rows of numbers as they are.

    Args:
        name: of the file.
        label: what it shows.
        titles: of the columns.
        rows: with as many values.
        shown: of the rows at most, evenly spaced; the file has all.
    """
    step = 1 if shown is None else -(-len(rows) // shown)
    cells = [
        [number(value, 0 if isinstance(value, int) else 2) for value in row.values()] for row in rows[::step]
    ]
    return Grid(name, label, [Column(title) for title in titles], cells, csv=rows)
