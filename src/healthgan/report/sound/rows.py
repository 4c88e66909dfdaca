"""The rows of a sound study's tables: plain numbers and words, None where there is none."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from healthgan.report import curves
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.elsewhere import Subgroup
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import hardest
from healthgan.report.sound.words import about, settles, worth
from healthgan.statistics.conclusion import ArmResult, Comparison
from healthgan.statistics.measures import MEASURES
from healthgan.statistics.pairs import Pair

Row = dict[str, Any]

ORDER = ("synthetic", "reference", "control")
"""Of arms in charts and in the tables beside them."""

DIGITS = 4
"""Behind the point: enough for any reader, few enough to be the same on every machine."""


def tables(run: SoundRun, answers: Answers) -> dict[str, list[Row]]:
    """File name → rows; tables without rows are left out."""
    found: dict[str, list[Row]] = {"pools": pool_rows(run)}
    for name, comparison in (
        ("", answers.main),
        ("external-", answers.external),
        ("onward-", answers.onward),
    ):
        if comparison is not None:
            found[f"{name}arms"] = arm_rows(comparison)
            found[f"{name}differences"] = difference_rows(comparison)
    if answers.curve is not None:
        found["curve"], found["exchange"] = curve_rows(answers.curve), exchange_rows(answers.curve)
    found["roc"], found["calibration"] = curves.rows(answers.telling)
    found["external-subgroups"] = [row for group in answers.subgroups for row in subgroup_rows(group)]
    return {name: rows for name, rows in found.items() if rows}


def arm_rows(found: Comparison) -> list[Row]:
    """One row an arm: all measures with their intervals, and its difference to real images alone."""
    return [_arm_row(found, arm) for arm in found.arms]


def _arm_row(found: Comparison, arm: ArmResult) -> Row:
    auroc = arm.auroc.estimate
    row: Row = {
        "arm": arm.name,
        "kind": arm.kind,
        "what": about(arm.name),
        "classifiers": arm.fits,
        "generators": arm.generators,
        "images": found.images,
        "rare_images": found.rare_images,
        "patients": found.patients,
        "prevalence": _short(found.prevalence),
        "auroc": _short(auroc.value),
        "auroc_low": _short(auroc.low),
        "auroc_high": _short(auroc.high),
        "sd_of_generators": _short(arm.auroc.unit_sd) if arm.generators and arm.generators > 1 else None,
        "sd_of_seeds": _short(arm.auroc.seed_sd),
        "unsteady": arm.auroc.unsteady,
    }
    for name in MEASURES:
        measured = arm.measures.get(name)
        for end in ("value", "low", "high"):
            key = name if end == "value" else f"{name}_{end}"
            row[key] = None if measured is None else _short(getattr(measured, end))
    return row


def difference_rows(found: Comparison) -> list[Row]:
    """One row a pair that was compared, by arm and reference arm in the order of the arms."""
    place = {arm.name: number for number, arm in enumerate(found.arms)}
    pairs = sorted(found.pairs, key=lambda pair: (place[pair.arm], place[pair.reference]))
    return [difference_row(pair) for pair in pairs]


def difference_row(pair: Pair) -> Row:
    """An arm against a reference arm."""
    needed = pair.needed
    return {
        "arm": pair.arm,
        "kind": pair.kind,
        "reference": pair.reference,
        "difference": _short(pair.difference),
        "low": _short(pair.low),
        "high": _short(pair.high),
        "alone_low": _short(pair.marginal_low),
        "alone_high": _short(pair.marginal_high),
        "se": _short(pair.se),
        "df": None if pair.df == float("inf") else round(pair.df, 1),
        "verdict": str(pair.verdict),
        "would_settle": settles(needed) or None,
        "times_patients": None if needed is None else _figures(needed.patients),
        "times_trainings": None if needed is None else _figures(needed.trainings),
        "times_both": None if needed is None else _figures(needed.both),
        "detectable": _short(pair.detectable),
        "detectable_at_best": _short(pair.detectable_at_best),
    }


def forest_rows(found: Comparison) -> list[Row]:
    """One row an arm but the real one: against real images alone, and a synthetic arm against its hardest reference."""
    rows = []
    for arm in sorted(found.arms, key=lambda arm: ORDER.index(arm.kind)):
        if arm.name == found.real:
            continue
        worst = hardest(found, arm.name) if arm.kind == "synthetic" else None
        rows.append(
            {
                "arm": arm.name,
                "kind": arm.kind,
                "what": about(arm.name),
                "auroc": arm.auroc.estimate,
                "real": found.pair(arm.name, found.real),
                "hardest": worst,
            }
        )
    return rows


def curve_rows(found: LearningCurve) -> list[Row]:
    """One row a draw; of the whole set, one a generator, or classifier where there are not several."""
    return [
        {"rare_images": count, "arm": arm, "draw": number, "auroc": _short(float(value))}
        for arm, curve in found.draws.items()
        for count, draws in zip(found.counts, curve, strict=True)
        for number, value in enumerate(draws)
    ]


def exchange_rows(found: LearningCurve) -> list[Row]:
    """One row a count and reference arm; what lies beyond the curve has words but no number."""
    rows = []
    for reference, rates in found.rates.items():
        for rate in rates:
            row: Row = {
                "reference": reference,
                "synthetic": found.synthetic,
                "rare_images": rate.count,
                "auroc_reference": _short(rate.reference),
                "auroc_reference_monotone": _short(rate.fitted),
                "auroc_synthetic": _short(rate.synthetic),
            }
            for name, value in (("worth", rate.more), ("low", rate.low), ("high", rate.high)):
                row[name] = round(value, 1) if isfinite(value) else None
                row[f"{name}_words"] = worth(rate, value)
            rows.append(row)
    return rows


def pool_rows(run: SoundRun) -> list[Row]:
    """One row a pool and class: how many candidates there were, what became of them, how many each rule keeps."""
    rows = []
    for record in run.by_kind("pool"):
        for name in ("rare", "reference"):
            facts = record[name]
            if facts is not None:
                verdicts = {
                    f"verdict_{label.replace(' ', '_')}": count for label, count in facts["verdicts"].items()
                }
                kept = {f"kept_{rule}": count for rule, count in facts["kept"].items()}
                rows.append(
                    {
                        "cell": record["cell"],
                        "generator": record["generator"],
                        "class": name,
                        "candidates": facts["candidates"],
                        **verdicts,
                        **kept,
                    }
                )
    return _filled(rows)


def subgroup_rows(group: Subgroup) -> Iterator[Row]:
    """One row an arm; one without figures for a group that is too small."""
    row: Row = {
        "column": group.column,
        "value": group.value,
        "rare": group.rare,
        "reference": group.reference,
    }
    pairs = {pair.arm: pair for pair in group.pairs}
    empty = dict.fromkeys(("arm", "auroc", "auroc_low", "auroc_high", "difference", "low", "high", "verdict"))
    if group.skipped:
        yield row | empty
    for arm, auroc in group.aurocs.items():
        figures = auroc.estimate
        pair = pairs.get(arm)
        yield row | {
            "arm": arm,
            "auroc": _short(figures.value),
            "auroc_low": _short(figures.low),
            "auroc_high": _short(figures.high),
            "difference": None if pair is None else _short(pair.difference),
            "low": None if pair is None else _short(pair.low),
            "high": None if pair is None else _short(pair.high),
            "verdict": None if pair is None else str(pair.verdict),
        }


def _filled(rows: list[Row]) -> list[Row]:
    """Rows with equal keys."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _figures(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
