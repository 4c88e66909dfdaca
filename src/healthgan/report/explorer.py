"""The likeness explorer: a section of a page in which a reader moves the band or the floor and looks at the images."""

import base64
import json
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from healthgan.report.explorer_data import LABELS, TEXTS, Explored, explored, reals_file
from healthgan.report.explorer_sheets import BUDGET, Drawn, draw_all
from healthgan.report.page import data_uri, environment
from healthgan.report.reading import Run
from healthgan.report.sound.reading import SoundRun

SCRIPTS = (
    "explorer_ssim.js",
    "explorer_pool.js",
    "explorer_histogram.js",
    "explorer_grid.js",
    "explorer_detail.js",
    "explorer.js",
)
"""Parts of one script, in their order."""

BESIDE_ANIMATION = 2_400_000
"""Bytes of pictures on the page of a published study, which holds an animation as well."""
EARLIER = "This run was made by a version that did not keep {}; run the study anew to have them."


def explorer_section(run: Run | SoundRun, *, patient_images: bool = True) -> Markup | None:
    """The section with its data, style and script; None where no synthetic image of the run is at hand.

    Equal runs give equal bytes.

    Args:
        run: what a run folder says.
        patient_images: whether real images may stand on the page.
    """
    classes = explored(run)
    if not classes:
        return None
    if not patient_images:
        classes = [_without_reals(found) for found in classes]
    drawn = draw_all(classes, budget=BUDGET if isinstance(run, SoundRun) else BESIDE_ANIMATION)
    view = {
        "pools": classes,
        "kinds": [rule.kind for rule in classes[0].rules],
        "labels": LABELS,
        "heldout": any(found.heldout is not None for found in classes),
        "reals": any(one.real is not None for one in drawn),
        "introduction": _introduction(run, classes),
        "missing": _missing(run, classes, patient_images=patient_images),
        "data": _in_script(
            {
                "labels": LABELS,
                "texts": TEXTS,
                "pools": [_pool(found, one) for found, one in zip(classes, drawn, strict=True)],
            }
        ),
        "style": _texts("explorer.css"),
        "script": _texts(*SCRIPTS),
    }
    return Markup(environment().get_template("explorer.html.j2").render(view))  # noqa: S704 - escaped by the template


def _without_reals(found: Explored) -> Explored:
    return replace(found, reals=None, positions=None)


def _introduction(run: Run | SoundRun, classes: list[Explored]) -> str:
    """What is seen and what moving an end does, and does not do."""
    if run.brought:
        origin = "The synthetic images that were brought"
    elif isinstance(run, SoundRun):
        origin = "What the first generator made, before anything was rejected"
    else:
        origin = "All candidates that were harvested"
    text = (
        f"{origin}: {' and '.join(found.title for found in classes)}. Likeness is the best structural similarity (SSIM) to a real training image of the class. "
        "Move an end to see what would have been kept; the study's own results stay as they are."
    )
    if classes[0].rules[0].kind == "band":
        text += (
            " Copy suspects stay rejected wherever the high end is, and duplicates are those that the study found "
            "inside its own band."
        )
    return text


def _missing(run: Run | SoundRun, classes: list[Explored], *, patient_images: bool) -> list[str]:
    """What cannot be shown, and why."""
    texts = []
    if not patient_images:
        texts.append("Real patients' images are left out of this page: synthetic images stand alone.")
    elif all(found.reals is None for found in classes):
        if reals_file(run) in run.lost:
            texts.append(
                f"Synthetic images stand alone: artifacts/{reals_file(run)} is missing or was changed."
            )
        else:
            texts.append("Synthetic images stand alone. " + EARLIER.format("the nearest real images"))
    if all(found.heldout is None for found in classes):
        texts.append(
            "The histogram shows synthetic images alone. " + EARLIER.format("scores of held-out real images")
        )
    return texts


def _pool(found: Explored, drawn: Drawn) -> dict[str, Any]:
    """A class as the script reads it; numbers of many images as base64, so that they stay exactly what they are."""
    return {
        "shape": found.images.shape[1:],
        "likeness": _numbers(found.likeness, "<f4"),
        "verdict": _numbers(found.verdict, "u1"),
        "heldout": None if found.heldout is None else _numbers(found.heldout, "<f4"),
        "rules": [
            {"kind": rule.kind, "values": rule.values, "kept": rule.kept, "copy": rule.copy}
            for rule in found.rules
        ],
        "facts": [(name, _numbers(values[drawn.shown], "<i4")) for name, values in found.facts.items()],
        "shown": _numbers(drawn.shown, "<u4"),
        "synthetic": data_uri(drawn.synthetic, "png"),
        "columns": drawn.columns,
        "real": None if drawn.real is None else data_uri(drawn.real, "png"),
        "real_columns": drawn.real_columns,
        "slot": None if drawn.real is None else _numbers(drawn.slot, "<i4"),
        "nearest": None if drawn.real is None else _numbers(drawn.nearest, "<i4"),
    }


def _numbers(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode()


def _in_script(data: dict[str, Any]) -> Markup:
    """JSON that no text in it can end the script element of."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing that HTML would read is left


def _texts(*names: str) -> Markup:
    """Files of the package, one after the other."""
    folder = resources.files("healthgan.report")
    return Markup("\n".join((folder / name).read_text("utf-8").strip() for name in names))  # noqa: S704 - our own files
