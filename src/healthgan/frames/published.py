"""The frames of a study after the published protocol. Accuracies are in %, differences in points."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from healthgan.frames.building import arrays_of, of_parts, of_rows
from healthgan.frames.columns import PUBLISHED
from healthgan.report.comparison import Comparison, predictions_file
from healthgan.report.published import NOTHING
from healthgan.report.reading import CANDIDATES, Run
from healthgan.report.results import STAGES, figure_4


def arms(run: Run) -> pd.DataFrame:
    """One row an arm, floor and stage that has an accuracy."""
    rows = []
    for row in figure_4(run, NOTHING):
        for arm in run.arms:
            for stage in STAGES:
                ends = ("low", "high", "images")
                told = (f"test_{arm}_low", f"test_{arm}_high", f"n_test_{arm}")
                tested = {
                    end: row[name] if stage == "test" else None for end, name in zip(ends, told, strict=True)
                }
                named = {"arm": arm, "floor": row["floor"], "stage": stage}
                rows.append({**named, "accuracy": row[f"{stage}_{arm}"], **tested})
    return of_rows(PUBLISHED["arms"], [row for row in rows if row["accuracy"] is not None])


def differences(found: Comparison) -> pd.DataFrame:
    """One row a floor at which both arms were trained."""
    rows = [
        {"floor": floor, "difference": figures["value"], "low": figures["low"], "high": figures["high"]}
        for floor, figures in ((floor, asdict(estimate)) for floor, estimate in found.differences.items())
    ]
    return of_rows(PUBLISHED["differences"], rows)


def predictions(run: Run) -> pd.DataFrame:
    """One row a classifier and test image."""
    parts = []
    for arm in run.arms:
        for floor, _ in run.trained(arm):
            stored = arrays_of(run, predictions_file(arm, floor))
            if stored:
                parts.append({**stored, "arm": arm, "floor": floor})
    return of_parts(PUBLISHED["predictions"], parts)


def curve() -> pd.DataFrame:
    """No row: this protocol has no learning curve."""
    return of_rows(PUBLISHED["curve"], [])


def images(run: Run) -> pd.DataFrame:
    """One row a candidate."""
    stored = arrays_of(run, CANDIDATES) if "likeness" in run.records else {}
    parts = [{**stored, "image": np.arange(len(stored["likeness"]))}] if stored else []
    return of_parts(PUBLISHED["images"], parts)
