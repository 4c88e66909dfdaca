"""The frames of a sound study."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from healthgan.frames.building import Row, arrays_of, of_parts, of_rows
from healthgan.frames.columns import SOUND
from healthgan.likeness import Verdict
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.plan import Cell, arms_of
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.rows import arm_rows, curve_rows, difference_rows
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.measures import MEASURES


def arms(answers: Answers) -> pd.DataFrame:
    """One row an arm, measure and test set; measures that can't be had are left out."""
    rows = []
    for tested, comparison in _tested(answers):
        for row in arm_rows(comparison):
            for measure in ("auroc", *MEASURES):
                ends = {end: row[f"{measure}_{end}"] for end in ("low", "high")}
                if row[measure] is not None:
                    rows.append(row | {"tested": tested, "measure": measure, "value": row[measure]} | ends)
    return of_rows(SOUND["arms"], rows)


def differences(answers: Answers) -> pd.DataFrame:
    """One row a pair of arms and test set."""
    return of_rows(
        SOUND["differences"],
        [row | {"tested": name} for name, found in _tested(answers) for row in difference_rows(found)],
    )


def predictions(run: SoundRun) -> pd.DataFrame:
    """One row a classifier and image that it judged."""
    return of_parts(SOUND["predictions"], [part for cell in run.cells for part in _judged(run, cell)])


def curve(answers: Answers) -> pd.DataFrame:
    """One row an arm, count of rare images and draw."""
    return of_rows(SOUND["curve"], [] if answers.curve is None else curve_rows(answers.curve))


def images(run: SoundRun) -> pd.DataFrame:
    """One row a candidate."""
    words = np.array([verdict.label for verdict in Verdict])
    parts = []
    for record in run.by_kind("pool"):
        stored = arrays_of(run, f"synthetic/{record['cell']}-{record['generator']}.npz")
        for name in ("rare", "reference"):
            if f"{name}_verdict" in stored:
                found = {
                    key: stored[f"{name}_{key}"] for key in ("verdict", "likeness", "nearest", "faithful")
                }
                place = {"cell": record["cell"], "generator": record["generator"], "class": name}
                number = np.arange(len(found["verdict"]))
                parts.append({**found, **place, "image": number, "verdict": words[found["verdict"]]})
    return of_parts(SOUND["images"], parts)


def _tested(answers: Answers) -> Iterator[tuple[str, Comparison]]:
    named = (("own", answers.main), ("external", answers.external), ("onward", answers.onward))
    return ((name, found) for name, found in named if found is not None)


def _judged(run: SoundRun, cell: Cell) -> Iterator[Row]:
    """The predictions of a cell's classifiers, as far as they and the labels are there."""
    truth = arrays_of(run, f"truth/{cell['name']}.npz")
    for key in (key for arm in arms_of(run.protocol, cell, run.arms) for key in run.fits(cell, arm)):
        record = run.records.get(key, {})
        for file in record.get("artifacts", {}):
            for split, logits in arrays_of(run, file).items():
                if f"{split}_label" in truth:
                    shown = {name: truth[f"{split}_{name}"] for name in ("image", "patient", "label")}
                    named = {name: record[name] for name in ("cell", "arm", "generator", "seed")}
                    yield {**shown, **named, "split": split, "logit": logits}
