"""Tables of a sound study's arms: against the best reference arm, against all of them, by other measures, elsewhere."""

from collections.abc import Sequence

from markupsafe import Markup

from healthgan.report.grid import Cell, Column, Grid, difference, estimate, head, number
from healthgan.report.sound.best import AgainstBest
from healthgan.report.sound.checks import Check
from healthgan.report.sound.elsewhere import Subgroup
from healthgan.report.sound.plan import SCRATCH
from healthgan.report.sound.rows import ORDER, Row
from healthgan.report.sound.words import about, settles
from healthgan.statistics.conclusion import ArmResult, Comparison
from healthgan.statistics.measures import MEASURES
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Verdict
from healthgan.terminal import plain

KIND = {"reference": "real", "synthetic": "generated", "control": "control"}
"""Kind of arm → its colour."""

MARKS = {Verdict.HELPS: "▲", Verdict.HURTS: "▼", Verdict.NO_DIFFERENCE: "=", Verdict.UNKNOWN: "?"}
_RANK = {Verdict.HELPS: 3.0, Verdict.NO_DIFFERENCE: 2.0, Verdict.UNKNOWN: 1.0, Verdict.HURTS: 0.0}


def in_groups(found: Comparison) -> list[ArmResult]:
    """Synthetic arms first, then reference arms and controls, each kind in the study's order."""
    return sorted(found.arms, key=lambda arm: ORDER.index(arm.kind))


def arms_grid(found: Comparison, best: AgainstBest, rows: Sequence[Row]) -> Grid:
    """Every arm: its AUROC, its difference to the best reference arm and to real images alone, and what would settle it."""
    columns = [
        Column("arm"),
        Column("classifiers"),
        Column("AUROC"),
        Column(f"minus '{best.reference}', the best without"),
        Column("verdict on that", "left"),
        Column("what would settle it", "words"),
    ]
    with_real = best.reference != found.real
    if with_real:
        columns.insert(5, Column("minus real images alone"))
    cells = []
    for arm in in_groups(found):
        row = [arm_head(arm), _fits(arm), auroc(arm)]
        if arm.name == best.reference:
            row += [Cell("–"), Cell("–")]
            last = Cell("")
        else:
            pair = best.pair(arm.name)
            row += [gap(pair), word(pair)]
            last = Cell(settles(pair.needed))
        if with_real:
            row.append(Cell("–") if arm.name == found.real else gap(found.pair(arm.name, found.real)))
        cells.append([*row, last])
    return Grid("arms", "Every arm", columns, cells, csv=rows)


def matrix_grid(found: Comparison, rows: Sequence[Row]) -> Grid:
    """Every synthetic arm and control against every reference arm."""
    references = [arm.name for arm in found.arms if arm.kind == "reference"]
    others = [arm for arm in in_groups(found) if arm.kind != "reference"]
    cells = [[arm_head(arm), *(_short(found.pair(arm.name, name)) for name in references)] for arm in others]
    columns = [Column("arm"), *(Column(f"minus {name}", kind="real") for name in references)]
    return Grid(
        "differences", "Verdicts against every reference arm", columns, cells, csv=rows, style="dense"
    )


def checks_grid(made: Sequence[Check], rows: Sequence[Row]) -> Grid:
    """What each control should show and shows."""
    columns = [Column("control"), Column("should show", "words"), Column("shows"), Column("so", "words")]
    cells = [
        [
            Cell(check.arm, about(check.arm)),
            Cell(check.should),
            difference(check.difference, check.low, check.high),
            Cell(
                Markup('<span class="alarm">alarm</span>') if check.state == "alarm" else check.state,
                check.meaning,
            ),
        ]
        for check in made
    ]
    return Grid("checks", "Checks of the study itself", columns, cells, csv=rows)


def measures_grid(found: Comparison) -> Grid:
    """Every arm by every measure; measures that no arm has are left out."""
    names = [name for name in MEASURES if any(name in arm.measures for arm in found.arms)]
    columns = [Column("arm"), Column("n"), Column("AUROC"), *(Column(MEASURES[name].title) for name in names)]
    cells = []
    for arm in in_groups(found):
        row = [Cell(head(arm.name, kind=KIND[arm.kind]).text), _fits(arm), auroc(arm)]
        for name in names:
            value = arm.measures.get(name)
            row.append(number(None) if value is None else estimate(value.value, value.low, value.high))
        cells.append(row)
    perfect = [
        Cell("a perfect one"),
        Cell(""),
        Cell("1"),
        *(Cell(f"{MEASURES[name].best:g}") for name in names),
    ]
    return Grid("measures", "Every arm by every measure", columns, cells, foot=perfect, style="dense")


def external_grid(own: Comparison, external: Comparison, rows: Sequence[Row]) -> Grid:
    """Every arm on its own test images and on those from elsewhere."""
    columns = [
        Column("arm"),
        Column("AUROC, own test"),
        Column("AUROC elsewhere"),
        Column("minus real images alone, elsewhere"),
        Column("verdict on that", "left"),
    ]
    cells = []
    for arm in in_groups(external):
        row = [arm_head(arm), auroc(own.arm(arm.name)), auroc(arm)]
        pair = None if arm.name == external.real else external.pair(arm.name, external.real)
        cells.append([*row, *([Cell("–"), Cell("–")] if pair is None else [gap(pair), word(pair)])])
    return Grid("external-arms", "Every arm on images from elsewhere", columns, cells, csv=rows)


def subgroups_grid(
    groups: Sequence[tuple[Subgroup, Pair | None]],
    arms: Sequence[str],
    synthetic: str | None,
    rows: Sequence[Row],
) -> Grid:
    """Every group that is large enough, with the arms that matter."""
    columns = [Column("group"), Column("rare"), Column("reference")]
    columns += [Column(f"AUROC of {name}") for name in arms]
    if synthetic is not None:
        columns.append(Column(f"{synthetic} minus real"))
    cells = []
    for group, gain in groups:
        row = [
            Cell(plain(group.value), plain(group.column)),
            number(group.rare, 0),
            number(group.reference, 0),
        ]
        for name in arms:
            found = group.aurocs[name].estimate
            row.append(estimate(found.value, found.low, found.high, 3))
        if synthetic is not None:
            row.append(Cell("–") if gain is None else gap(gain))
        cells.append(row)
    return Grid("external-subgroups", "Groups of the external test set", columns, cells, csv=rows)


def onward_grid(found: Comparison, rows: Sequence[Row]) -> Grid:
    """The second question: classifiers fine-tuned to other data, by what they learnt first."""
    first = {SCRATCH: "nothing", found.real: "real images"}
    columns = [
        Column("first trained on"),
        Column("classifiers"),
        Column("AUROC"),
        Column("minus real images first"),
        Column("verdict against these", "left"),
        Column("minus nothing first"),
        Column("verdict against that", "left"),
    ]
    pairs = {(pair.arm, pair.reference): pair for pair in found.pairs}
    cells = []
    for arm in found.arms:
        row = [Cell(first.get(arm.name, arm.name)), _fits(arm), auroc(arm)]
        for reference in (found.real, SCRATCH):
            pair = pairs.get((arm.name, reference))
            row += [Cell("–"), Cell("–")] if pair is None else [gap(pair), word(pair)]
        cells.append(row)
    return Grid("onward-arms", "The second question", columns, cells, csv=rows)


def arm_head(arm: ArmResult) -> Cell:
    """An arm's name in the colour of its kind, and what it is."""
    return head(arm.name, about(arm.name), KIND[arm.kind])


def auroc(arm: ArmResult) -> Cell:
    """Its mean AUROC with its interval."""
    found = arm.auroc.estimate
    return estimate(found.value, found.low, found.high, 3)


def gap(pair: Pair) -> Cell:
    """A difference with the interval that its verdict rests on."""
    return difference(pair.difference, pair.low, pair.high)


def word(pair: Pair) -> Cell:
    """A verdict with its mark."""
    style = {Verdict.HELPS: "helps", Verdict.HURTS: "hurts"}.get(pair.verdict, "")
    text = Markup('<span class="mark" aria-hidden="true">{}</span> {}').format(
        MARKS[pair.verdict], pair.verdict
    )
    return Cell(text, value=_RANK[pair.verdict], style=style)


def _short(pair: Pair) -> Cell:
    """A difference with the mark of its verdict."""
    told = gap(pair)
    style = {Verdict.HELPS: "helps", Verdict.HURTS: "hurts"}.get(pair.verdict, "")
    text = Markup(
        '<span class="mark" aria-hidden="true">{}</span> {}<span class="unseen">, {}</span>'
    ).format(MARKS[pair.verdict], told.text, pair.verdict)
    return Cell(text, told.below, told.value, f"{told.style} {style}".strip())


def _fits(arm: ArmResult) -> Cell:
    """How many classifiers, and of how many generators."""
    plural = "s" if arm.generators != 1 else ""
    below = f"{arm.generators} generator{plural}" if arm.generators else ""
    return Cell(f"{arm.fits:,}", below, float(arm.fits))
