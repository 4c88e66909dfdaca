"""What the sections of a sound study's page show: words, tables and pictures from the records and answers."""

from typing import Any

from healthgan.report.page import data_uri
from healthgan.report.pictures import strip_png
from healthgan.report.sound import quality_grids as grids
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.elsewhere import Subgroup
from healthgan.report.sound.examples import LABELS, SHOWN, examples
from healthgan.report.sound.leads import fidelity_lead, privacy_lead
from healthgan.report.sound.plan import SCRATCH
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import nearest
from healthgan.report.sound.words import signed, span, worth, worths
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Verdict
from healthgan.terminal import plain

Row = dict[str, Any]

KINDS = {
    "generator": "training generators",
    "band": "likeness bands",
    "pool": "making and judging synthetic images",
    "quality": "fidelity and privacy",
    "fit": "training classifiers",
}


def tiles(answers: Answers) -> list[Row]:
    """The few figures that stand at the top; what is not known yet has no tile."""
    found, rows = answers.main, []
    if found is None:
        return []
    real = found.arm(found.real).auroc.estimate
    rows.append(
        _tile("real", "Real images alone", f"{real.value:.3f}", f"AUROC, {real.low:.3f} to {real.high:.3f}")
    )
    pair = nearest(found)
    if pair is not None:
        note = f"'{pair.arm}' minus '{pair.reference}', {span(pair.low, pair.high)}"
        rows.append(_tile("generated", "Nearest to the claim", signed(pair.difference), note))
    if found.detectable is not None:
        people = f"{found.rare_images:,} rare test images"
        if found.rare_patients is not None:
            people = f"{found.rare_patients:,} rare test patients"
        note = f"gain found with 80 % chance; {people}"
        rows.append(_tile("plain", "Smallest visible gain", f"{found.detectable:.3f}", note))
    curve = answers.curve
    if curve is not None and curve.rates:
        rate = curve.at(curve.counts[0])
        note = f"more real images, at {rate.count}; {worths(rate)}"
        rows.append(_tile("plain", "Synthetic images were worth", worth(rate, rate.more), note))
    fits = sum(arm.fits for arm in found.arms)
    rows.append(_tile("plain", "Classifiers compared", f"{fits:,}", f"in {len(found.arms)} arms"))
    return rows


def _tile(kind: str, title: str, value: str, note: str) -> Row:
    return {"kind": kind, "title": title, "value": value, "note": note}


def pools(run: SoundRun) -> list[Row]:
    """By class: what became of the candidates of all generators of the study's own cells, and how many each rule keeps."""
    main = {cell["name"] for cell in run.main_cells}
    records = [record for record in run.by_kind("pool") if record["cell"] in main]
    found = []
    for name in ("rare", "reference"):
        parts = [record[name] for record in records if record[name] is not None]
        if parts:
            title = plain(run.asked[name])
            found.append(
                {
                    "class": name,
                    "title": "the rest" if title == "rest" else title,
                    "pools": len(parts),
                    "candidates": sum(part["candidates"] for part in parts),
                    "verdicts": {label: sum(part["verdicts"][label] for part in parts) for label in LABELS},
                    "kept": {rule: [part["kept"][rule] for part in parts] for rule in parts[0]["kept"]},
                    "examples": [
                        {
                            "label": one.label,
                            "reason": one.reason,
                            "total": one.total,
                            "width": round(100 * len(one.images) / SHOWN),
                            "picture": data_uri(strip_png(one.images), "png"),
                        }
                        for one in examples(run, name)
                    ],
                }
            )
    return found


def quality(run: SoundRun) -> Row | None:
    """Fidelity and privacy of the first generator, as they stand on its card."""
    record = next(iter(run.by_kind("quality")), None)
    if record is None:
        return None
    fidelity, privacy = record["fidelity"], record["privacy"]
    rows = grids.fidelity_rows(fidelity)
    return {
        "lead": fidelity_lead(fidelity["classes"], rows),
        "grid": grids.fidelity_grid(rows),
        "apart": [
            {"name": name, **facts["real_or_synthetic"]} for name, facts in fidelity["classes"].items()
        ],
        **{key: fidelity[key] for key in ("faithfulness", "learnt")},
        "privacy": privacy_lead(privacy) if privacy["audit"] else "",
        "audit": grids.privacy_grid(privacy["audit"]) if privacy["audit"] else None,
    }


def onward(run: SoundRun, answers: Answers) -> Row | None:
    """The second question: its sentence and its pairs."""
    found, settings = answers.onward, run.protocol.onward
    if found is None or settings is None:
        return None
    said: Row = {"found": found, "synthetic": settings.synthetic}
    if settings.synthetic not in {arm.name for arm in found.arms}:
        return said | {"answer": f"Not known: too few images of '{settings.synthetic}' passed their filter."}
    pairs = [found.pair(settings.synthetic, reference) for reference in (found.real, SCRATCH)]
    told = [
        f"against {first} first {signed(pair.difference)} in AUROC ({span(pair.low, pair.high)}; {pair.verdict})"
        for first, pair in zip(("real images", "nothing"), pairs, strict=True)
    ]
    return said | {"answer": f"{_carried(*(pair.verdict for pair in pairs))}: {told[0]}, {told[1]}."}


def _carried(real: Verdict, scratch: Verdict) -> str:
    """The second question's claim, from what synthetic images do against real ones first, and against nothing first."""
    if real is Verdict.HELPS:
        return {
            Verdict.HELPS: "Yes",
            Verdict.HURTS: "Better than real images first, but worse than nothing first",
        }.get(scratch, "Better than real images first, not shown to be better than nothing first")
    return {
        Verdict.HURTS: "No, it makes it worse",
        Verdict.NO_DIFFERENCE: "No, it makes no practical difference",
    }.get(real, "Can't tell yet")


def subgroups(answers: Answers) -> Row | None:
    """Every group with the arms that matter; groups that are too small by name."""
    if answers.main is None or not answers.subgroups:
        return None
    pair = nearest(answers.main)
    names = [answers.main.real, *(() if pair is None else (pair.reference, pair.arm))]
    shown = [group for group in answers.subgroups if not group.skipped]
    return {
        "arms": list(dict.fromkeys(names)),
        "synthetic": None if pair is None else pair.arm,
        "rows": [(group, _gain(group, None if pair is None else pair.arm)) for group in shown],
        "skipped": [group for group in answers.subgroups if group.skipped],
    }


def _gain(group: Subgroup, arm: str | None) -> Pair | None:
    return next((pair for pair in group.pairs if pair.arm == arm), None)
