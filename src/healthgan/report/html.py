"""Writes the tables and figures of a study after the published protocol and makes its page."""

from typing import Any

import numpy as np

from healthgan import __version__
from healthgan.report import curves
from healthgan.report import published_grids as grids
from healthgan.report.brought import details, facts_of, warnings
from healthgan.report.comparison import Comparison, compare
from healthgan.report.cost import cost
from healthgan.report.explorer import explorer_section
from healthgan.report.faults import find_faults
from healthgan.report.page import Advice, Notice, data_uri, environment, frame
from healthgan.report.pictures import Example, noise_picture, png, strip_labels, strip_png
from healthgan.report.published import Published, Row, published_for
from healthgan.report.published_figures import Drawn, draw
from healthgan.report.reading import Run
from healthgan.report.results import figure_1, figure_2, figure_4, repeats
from healthgan.report.tables import write_csv, write_tables
from healthgan.report.words import answer, points, state, trend_text
from healthgan.report.writing import replace_figures
from healthgan.terminal import plain

KINDS = {
    "generator": "training the GAN",
    "likeness": "likeness",
    "real-or-synthetic": "real or synthetic",
    "classifier": "training classifiers",
}

TITLES = {
    "differences": "Differences",
    **{f"figure-{number}": f"Fig. {number}" for number in range(1, 8)},
    "curves": "ROC",
    "real-or-synthetic": "Real or synthetic?",
    "explorer": "Explorer",
    "settings": "Settings, cost",
}
"""Sections in their order, with what the bar at the top calls them."""


def write_published(run: Run, *, patient_images: bool) -> str:
    """Write tables/ and figures/ and give the page as HTML text.

    Args:
        run: the study.
        patient_images: whether real images may stand on the page.
    """
    published, comparison = published_for(run), compare(run)
    drawn = draw(run, published, comparison, patient_images=patient_images)
    folder = run.folder.path
    write_tables(run, folder / "tables")
    for name, rows in drawn.tables.items():
        write_csv(folder / "tables" / f"{name}.csv", rows)
    replace_figures(folder / "figures", drawn.files)
    return render(run, published, comparison, drawn, patient_images=patient_images)


def render(
    run: Run, published: Published, comparison: Comparison, drawn: Drawn, *, patient_images: bool
) -> str:
    """The page as HTML text."""
    explorer = explorer_section(run, patient_images=patient_images)
    view = {
        **_start(run, comparison, patient_images),
        **_tables(run, published, comparison, drawn),
        **_pictures(drawn),
        "charts": drawn.charts,
        "explorer": explorer,
        "likeness": run.records.get("likeness"),
        "apart": run.records.get("real-or-synthetic"),
        "published": published,
        "comparison": comparison,
        "repeats": {arm: repeats(run, arm) for arm in run.arms},
        "trends": {arm: trend_text(trend) for arm, trend in comparison.trends.items()},
    }
    there = {
        "differences": "differences" in drawn.charts,
        "curves": bool(drawn.telling),
        "explorer": explorer is not None,
    }
    view["contents"] = [(part, title) for part, title in TITLES.items() if there.get(part, True)]
    scripts = () if explorer is None else (explorer,)
    return environment().get_template("published.html.j2").render(view, **frame(*scripts))


def _start(run: Run, comparison: Comparison, patient_images: bool) -> Row:
    """What stands at the top, and the facts that all sections share."""
    asked, protocol = run.asked, run.protocol
    rare, told = plain(asked["rare"]), answer(run, comparison)
    faults = find_faults(run)
    made = "; but no GAN was trained here, the synthetic images were brought" if run.brought else ""
    return {
        "run": run,
        "name": run.folder.path.resolve().name,
        "version": __version__,
        "asked": asked,
        "protocol": protocol,
        "task": run.task,
        "rare": rare,
        "reference": "the rest" if asked["reference"] == "rest" else plain(asked["reference"]),
        "question": f"Do generated images help to recognise {rare}?",
        "patient_images": patient_images,
        "notices": _notices(run),
        "advice": _advice(run, comparison),
        "verdict": told[0],
        "tiles": _tiles(run, comparison),
        "lede": told[1:],
        "about_study": (
            f"{plain(protocol.summary)}{made}. {asked['height']} × {asked['width']} pixels, {asked['rare_images']:,} rare "
            f"training images, seed {asked['seed']}."
        ),
        "faults": {place: [fault for fault in faults if fault.place == place] for place in TITLES},
        "brought": facts_of(run),
        "brought_details": details(run),
        "cost": cost(run, KINDS),
    }


def _notices(run: Run) -> list[Notice]:
    found = []
    if warnings(run):
        found.append(
            Notice(
                "The synthetic images that were brought are in doubt",
                "What follows is computed all the same; do not rely on it before this is cleared up.",
            )
        )
    told, again = state(run), "Repeat the study's command to go on."
    if told:
        text = "What is missing below is not known yet:"
        found.append(Notice(told[:1].upper() + told[1:], text, tuple(run.missing), again))
    if run.lost:
        text = "What needs them is left out:"
        found.append(Notice("Files are missing or changed", text, run.lost, again))
    return found


def _advice(run: Run, comparison: Comparison) -> Advice:
    """The answer in a word; by this protocol alone nothing is to be decided."""
    mean = comparison.mean_difference
    then = (
        "Don't decide by this page: the protocol repeats a published study with its faults, which stand beside the figures they "
        "spoil. For an answer that holds, run the sound comparison: the same command without --protocol."
    )
    if mean is None:
        return Advice("Not known yet" if run.missing else "Nothing to compare", "…", "open", then)
    if not mean.clear:
        return Advice("No effect is shown", "?", "open", then)
    better = mean.value > 0
    return Advice(
        "Higher accuracy" if better else "Lower accuracy",
        "▲" if better else "▼",
        "good" if better else "bad",
        then,
    )


def _tiles(run: Run, comparison: Comparison) -> list[Row]:
    """The few figures that stand at the top; what is not known yet has no tile."""
    tiles: list[Row] = []
    real = repeats(run, "real")
    if real["runs"]:
        spread = "" if real["test_sd"] is None else f" ± {real['test_sd']:.1f}"
        note = f"{real['runs']} training{'s' * (real['runs'] > 1)}, {real['n']:,} test images"
        tiles.append(_tile("real", "Real images alone", f"{real['test_mean']:.1f}{spread} %", note))
    values = [100 * record["test_accuracy"] for _, record in run.trained("generated")]
    if values:
        same = f"{min(values):.1f}" == f"{max(values):.1f}"
        text = f"{values[0]:.1f} %" if same else f"{min(values):.1f} – {max(values):.1f} %"
        note = f"{len(values)} floor{'s' * (len(values) > 1)}, one training each"
        tiles.append(_tile("generated", "With generated images", text, note))
    mean = comparison.mean_difference
    if mean is not None:
        note = f"95 % interval {points(mean.low)} to {points(mean.high)}"
        tiles.append(_tile("plain", "Mean difference, points", points(mean.value), note))
    apart = run.records.get("real-or-synthetic", {})
    if "auroc" in apart:
        note = f"AUROC, 95 % {apart['auroc_low']:.2f} to {apart['auroc_high']:.2f}; 0.5 = not at all"
        tiles.append(_tile("plain", "Generated told from real", f"{apart['auroc']:.2f}", note))
    return tiles


def _tile(kind: str, title: str, value: str, note: str) -> Row:
    return {"kind": kind, "title": title, "value": value, "note": note}


def _tables(run: Run, published: Published, comparison: Comparison, drawn: Drawn) -> Row:
    sets, control, accuracies = figure_1(run, published), figure_2(run, published), figure_4(run, published)
    facts = (run.task or {}).get("control")
    tables = drawn.tables
    return {
        "figure_4_lead": _figure_4_lead(run),
        "figure_1": grids.figure_1_grid(sets),
        "figure_2": grids.figure_2_grid(control, facts["rare"], facts["reference"])
        if control and facts
        else None,
        "figure_4": grids.figure_4_grid(run, accuracies, sets),
        "differences": grids.differences_grid(run, comparison, tables["differences"])
        if "differences" in tables
        else None,
        "curves_lead": _curves_lead(run),
        "roc_grid": curves.roc_grid(drawn.telling, tables["roc"]) if drawn.telling else None,
        "calibration_grid": curves.calibration_grid(drawn.telling, tables["calibration"])
        if drawn.telling
        else None,
        "likeness_grid": grids.plain_grid(
            "likeness", "Candidates by likeness", ("from", "to", "candidates"), tables["likeness"]
        )
        if "likeness" in tables
        else None,
        "losses_grid": grids.plain_grid(
            "losses",
            "Losses of the GAN",
            ("training", "epoch", "generator", "discriminator"),
            tables["losses"],
            60,
        )
        if "losses" in tables
        else None,
    }


def _figure_4_lead(run: Run) -> str:
    """Test accuracy of both arms in a sentence; empty where one has none."""
    real = repeats(run, "real")
    values = [100 * record["test_accuracy"] for _, record in run.trained("generated")]
    if not values or not real["runs"]:
        return ""
    spread = "" if real["test_sd"] is None else f" ± {real['test_sd']:.1f}"
    return (
        f"Of {real['n']:,} test images {real['test_mean']:.1f}{spread} % are judged right after training on real images alone "
        f"({real['runs']} training{'s' * (real['runs'] > 1)}), {min(values):.1f} to {max(values):.1f} % with generated ones "
        f"({len(values)} floor{'s' * (len(values) > 1)})."
    )


def _curves_lead(run: Run) -> str:
    """AUROC of both arms in a sentence; empty where one has none."""
    parts, images = [], 0
    for arm, name in (("real", "real images alone"), ("generated", "with generated images")):
        records = [record for _, record in run.trained(arm)]
        if not records:
            return ""
        values = [record["test_auroc"] for record in records]
        images = records[0]["test_images"]
        spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
        parts.append(f"{np.mean(values):.3f}{spread}, {name}")
    return f"Mean AUROC on the {images:,} test images: {'; '.join(parts)}."


def _pictures(drawn: Drawn) -> Row:
    strips, labels = drawn.strips, strip_labels(drawn.strips) if drawn.strips else []
    return {
        "examples": [_example(example) for example in drawn.examples],
        "strips": [
            {"label": label, "picture": data_uri(strip_png(strip.images), "png")}
            for strip, label in zip(strips, labels, strict=True)
        ],
        "animation": None if drawn.animation is None else data_uri(drawn.animation, "gif"),
        "still": data_uri(strip_png(strips[-1].images), "png") if strips else None,
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "noise": None if example.noise is None else data_uri(png(noise_picture(example.noise)), "png"),
        "generated": data_uri(png(example.generated), "png"),
        "real": None if example.real is None else data_uri(png(example.real), "png"),
        "likeness": example.likeness,
        "round": example.round,
        "epoch": example.epoch,
        "position": example.position,
    }
