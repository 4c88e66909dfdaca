"""The page of a sound study."""

from collections.abc import Iterator, Mapping
from typing import Any

from healthgan import __version__
from healthgan.report import curves
from healthgan.report.brought import details, facts_of, origin, warnings
from healthgan.report.charts.svg import Figure
from healthgan.report.cost import cost
from healthgan.report.explorer import explorer_section
from healthgan.report.page import Notice, data_uri, environment, frame
from healthgan.report.pictures import png
from healthgan.report.sound import arm_grids, leads, quality_grids, sections
from healthgan.report.sound.advice import advice
from healthgan.report.sound.believing import belief
from healthgan.report.sound.cautions import PLACES, Caution, cautions
from healthgan.report.sound.checks import checks
from healthgan.report.sound.closest import Close, closest
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.verdict import external_sentence, lede, verdict_sentence
from healthgan.report.sound.words import state, tested_words
from healthgan.terminal import plain

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]

TITLES = {
    "arms": "Arms",
    "honesty": "Believable?",
    "curve": "Learning curve",
    "measures": "ROC, calibration",
    "references": "All pairs",
    "external": "Elsewhere",
    "onward": "Other data",
    "pools": "Synthetic images",
    "explorer": "Explorer",
    "fidelity": "Fidelity",
    "privacy": "Copies?",
    "settings": "Settings, cost",
}
"""Sections in their order, by the names of their templates, with what the bar at the top calls them."""


def render(
    run: SoundRun, answers: Answers, charts: Mapping[str, Figure], rows: Tables, *, patient_images: bool
) -> str:
    """The page as HTML text.

    Args:
        run: the study.
        answers: to its questions.
        charts: its figures by name.
        rows: of its tables, by the names of their files.
        patient_images: whether real images may stand on it.
    """
    explorer = explorer_section(run, patient_images=patient_images)
    view = {
        **_start(run, answers, patient_images),
        **_compared(run, answers, rows),
        **_made(run, rows, patient_images),
        "charts": charts,
        "explorer": explorer,
    }
    view["parts"] = list(_parts(view))
    view["contents"] = [(part, TITLES[part]) for part in view["parts"]]
    scripts = () if explorer is None else (explorer,)
    return environment().get_template("sound/page.html.j2").render(view, **frame(*scripts))


def _start(run: SoundRun, answers: Answers, patient_images: bool) -> Row:
    """What stands at the top, and the facts that all sections share."""
    asked, protocol = run.asked, run.protocol
    rare = plain(asked["rare"])
    reference = "the rest" if asked["reference"] == "rest" else plain(asked["reference"])
    return {
        "run": run,
        "name": run.folder.path.resolve().name,
        "version": __version__,
        "asked": asked,
        "protocol": protocol,
        "task": run.task,
        "rare": rare,
        "reference": reference,
        "question": f"Do synthetic images help to recognise {rare}?",
        "patient_images": patient_images,
        "notices": list(_notices(run)),
        "advice": advice(run, answers),
        "verdict": verdict_sentence(answers),
        "tiles": sections.tiles(answers),
        "lede": lede(run, answers),
        "about_study": (
            f"{plain(protocol.summary)}. {asked['height']} × {asked['width']} pixels, {asked['rare_images']:,} rare training "
            f"images, seed {asked['seed']}."
        ),
        "cautions": _by_place(cautions(run, answers)),
        "brought": facts_of(run),
        "brought_details": details(run),
        "cost": cost(run, sections.KINDS),
    }


def _notices(run: SoundRun) -> Iterator[Notice]:
    if run.design == "tuning":
        yield Notice(
            "Tuning",
            "No test image was read. This page is for choosing settings only; a claim needs a study with settings that were "
            "fixed before.",
        )
    if warnings(run):
        yield Notice("The synthetic images that were brought are in doubt", " ".join(warnings(run)))
    told, again = state(run), "Repeat the study's command to go on."
    if told:
        yield Notice(
            told[:1].upper() + told[1:],
            "No comparison is shown before every classifier that it needs is trained. Missing:",
            tuple(run.missing),
            again,
        )
    if run.lost:
        yield Notice("Files are missing or changed", "What needs them is left out:", run.lost, again)


def _compared(run: SoundRun, answers: Answers, rows: Tables) -> Row:
    """The sections on how arms compare."""
    main, best = answers.main, answers.best
    view: Row = {"main": main, "best": best, "curve": answers.curve, "external": answers.external}
    view["onward"] = sections.onward(run, answers)
    if view["onward"]:
        view["onward_grid"] = arm_grids.onward_grid(view["onward"]["found"], rows["onward-arms"])
    if answers.curve is not None:
        view |= {
            "curve_lead": leads.curve_lead(answers.curve),
            "draws_grid": quality_grids.draws_grid(answers.curve, rows["curve"]) if "curve" in rows else None,
            "exchange_grids": quality_grids.exchange_grids(answers.curve, rows.get("exchange", [])),
        }
    if main is None or best is None:
        return view
    made = checks(main)
    view |= {
        "tested": tested_words(main, plain(run.asked["rare"]), "test images"),
        "arms_lead": leads.arms_lead(best),
        "arms_grid": arm_grids.arms_grid(main, best, rows["arms"]),
        "belief": belief(run, answers),
        "checks_grid": arm_grids.checks_grid(made, rows["checks"]) if made else None,
        "measures_lead": leads.measures_lead(answers),
        "measures_grid": arm_grids.measures_grid(main),
        "telling": [arm.name for arm in answers.telling],
        "roc_grid": curves.roc_grid(answers.telling, rows["roc"]) if answers.telling else None,
        "calibration_grid": curves.calibration_grid(answers.telling, rows["calibration"])
        if "calibration" in rows
        else None,
        "references_lead": leads.references_lead(main),
        "matrix_grid": arm_grids.matrix_grid(main, rows["differences"]),
        "marks": arm_grids.MARKS,
    }
    if answers.external is not None:
        groups = sections.subgroups(answers)
        view |= {
            "external_lead": external_sentence(run, answers),
            "external_grid": arm_grids.external_grid(main, answers.external, rows["external-arms"]),
            "subgroups": groups,
            "subgroups_grid": None
            if not groups
            else arm_grids.subgroups_grid(
                groups["rows"], groups["arms"], groups["synthetic"], rows["external-subgroups"]
            ),
        }
    return view


def _made(run: SoundRun, rows: Tables, patient_images: bool) -> Row:
    """The sections on what the generators made."""
    pools = sections.pools(run)
    pairs = [group for pool in pools for group in _closest(run, pool["class"], pool["title"], patient_images)]
    quality = sections.quality(run)
    return {
        "origin": origin(run),
        "pools": pools,
        "pools_lead": leads.pools_lead(pools) if pools else "",
        "pools_grid": quality_grids.pools_grid(pools, rows["pools"]) if pools else None,
        "fidelity": quality,
        "closest": pairs,
        "with_reals": any(pair["real"] for group in pairs for pair in group["pairs"]),
        "privacy": bool(pairs) or bool(quality and quality["audit"]),
    }


def _closest(run: SoundRun, name: str, title: str, patient_images: bool) -> Iterator[Row]:
    """The closest pairs of all candidates of a class and, where they are others, of those that were kept."""
    every, kept = (closest(run, name, kept=kept, patient_images=patient_images) for kept in (False, True))
    if every:
        yield {"title": f"{title}, of all candidates", "pairs": [_pair(one) for one in every]}
    if kept and [one.number for one in kept] != [one.number for one in every]:
        yield {"title": f"{title}, of those that the band kept", "pairs": [_pair(one) for one in kept]}


def _pair(one: Close) -> Row:
    return {
        "synthetic": data_uri(png(one.synthetic), "png"),
        "real": None if one.real is None else data_uri(png(one.real), "png"),
        "likeness": one.likeness,
        "label": one.label,
        "number": one.number,
    }


def _parts(view: Row) -> Iterator[str]:
    """The templates of the sections that have something to show, in their order."""
    compared = {"arms", "honesty", "measures", "references"}
    for part in TITLES:
        if part == "settings" or (view["best"] is not None if part in compared else view[part]):
            yield part


def _by_place(found: list[Caution]) -> dict[str, list[Caution]]:
    return {place: [caution for caution in found if caution.place == place] for place in PLACES}
