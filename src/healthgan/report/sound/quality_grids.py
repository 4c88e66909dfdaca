"""Tables of a sound study's learning curve, and of what its generators made."""

from collections.abc import Sequence
from typing import Any

from healthgan.report.grid import Cell, Column, Grid, Row, estimate, figure, number
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.words import worth, worths

SPACES = {"in-domain": "learnt from the real images", "random-convolutions": "random filters"}
MEASURES = {"kid": "KID", "fid": "FID"}


def exchange_grids(found: LearningCurve, rows: Sequence[Row]) -> list[Grid]:
    """What synthetic images were worth, a table a reference arm."""
    columns = [
        Column("rare training images"),
        Column("AUROC of the reference"),
        Column(f"AUROC of {found.synthetic}"),
        Column("worth so many more real images"),
        Column("95 % interval"),
    ]
    return [
        Grid(
            "exchange" if place == 0 else f"exchange-{reference}",
            f"Exchange rate against {reference}",
            columns,
            [
                [
                    Cell(f"{rate.count:,}", value=float(rate.count)),
                    number(rate.reference, 3),
                    number(rate.synthetic, 3),
                    Cell(worth(rate, rate.more)),
                    Cell(worths(rate)),
                ]
                for rate in rates
            ],
            csv=rows if place == 0 else (),
            caption=f"In real images, by the curve of '{reference}'",
        )
        for place, (reference, rates) in enumerate(found.rates.items())
    ]


def draws_grid(found: LearningCurve, rows: Sequence[Row]) -> Grid:
    """The mean of every arm at every number of images, and how its draws spread."""
    columns = [Column("rare training images"), *(Column(f"AUROC of {name}") for name in found.draws)]
    cells = []
    for place, count in enumerate(found.counts):
        row = [Cell(f"{count:,}", value=float(count))]
        for curve in found.draws.values():
            draws = curve[place]
            what = "trainings" if count == found.whole else "draws"
            spread = f"{draws.min():.3f} to {draws.max():.3f}, {len(draws)} {what}"
            row.append(Cell(f"{draws.mean():.3f}", spread, float(draws.mean())))
        cells.append(row)
    return Grid("curve", "The learning curve", columns, cells, csv=rows)


def pools_grid(pools: Sequence[Row], rows: Sequence[Row]) -> Grid:
    """What became of the candidates of each class."""
    labels = list(pools[0]["verdicts"])
    columns = [Column("class"), Column("candidates"), *(Column(label) for label in labels)]
    cells = [
        [
            Cell(str(pool["title"]), f"{pool['pools']} pool{'s' * (pool['pools'] > 1)}"),
            number(float(pool["candidates"]), 0),
            *(
                Cell(
                    f"{pool['verdicts'][label]:,}",
                    f"{100 * pool['verdicts'][label] / pool['candidates']:.1f} %",
                    float(pool["verdicts"][label]),
                )
                for label in labels
            ),
        ]
        for pool in pools
    ]
    return Grid("pools", "Candidates by verdict", columns, cells, csv=rows)


def fidelity_rows(fidelity: dict[str, Any]) -> list[Row]:
    """Every measure of every class beside its floor."""
    return [
        {"class": name, "space": space, "measure": measure, **values}
        for name, facts in fidelity["classes"].items()
        for space, found in facts["spaces"].items()
        for measure, values in found.items()
    ]


def fidelity_grid(rows: Sequence[Row]) -> Grid:
    """Synthetic against real images, beside real against real ones."""
    columns = [
        Column("measure"),
        Column("class", "left"),
        Column("synthetic against real"),
        Column("real against real"),
        Column("goal"),
        Column("reached", "left"),
        Column("images a side"),
    ]
    cells = [
        [
            Cell(
                MEASURES.get(row["measure"], str(row["measure"])), SPACES.get(row["space"], str(row["space"]))
            ),
            Cell(row["class"]),
            estimate(row["value"], row["low"], row["high"]),
            estimate(row["floor"], row["floor_low"], row["floor_high"]),
            _goal(row),
            Cell("–" if row["limit"] is None else "yes" if row["reached"] else "no"),
            number(float(row["n"]), 0),
        ]
        for row in rows
    ]
    return Grid("fidelity", "Fidelity beside its floor", columns, cells, csv=rows)


def _goal(row: Row) -> Cell:
    if row["limit"] is None:
        return number(None)
    side = "at most" if row["measure"] in MEASURES else "at least"
    return Cell(f"{side} {figure(row['limit'])}", value=float(row["limit"]))


def privacy_grid(rows: Sequence[Row]) -> Grid:
    """The figures of the audit."""
    columns = [
        Column("measure"),
        Column("value"),
        Column("95 % interval"),
        Column("if nothing were copied"),
        Column("images"),
    ]
    cells = [
        [
            Cell(str(row["measure"])),
            *(
                Cell(str(row[key]).replace("-", "−") or "–")
                for key in ("value", "interval", "best", "images")
            ),
        ]
        for row in rows
    ]
    return Grid("privacy", "The search for copies", columns, cells, csv=rows)
