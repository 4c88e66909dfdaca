"""Rows and arrays as frames with exactly the documented columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from healthgan.frames.columns import Columns
from healthgan.report.reading import Content

Row = dict[str, Any]

WHOLE = frozenset({"generator", "generators", "images", "nearest"})
"""Columns of whole numbers in which a value may be missing."""
WORDS = frozenset({"arm", "cell", "class", "split", "verdict"})
"""Columns of a few words, which repeat over very many rows of a frame that is made of parts."""


def of_rows(columns: Columns, rows: Sequence[Row]) -> pd.DataFrame:
    """One row each; None is a missing value."""
    made = pd.DataFrame([[row[name] for name in columns] for row in rows], columns=list(columns))
    return made.astype({name: "Int64" for name in columns if name in WHOLE})


def of_parts(columns: Columns, parts: Sequence[Row]) -> pd.DataFrame:
    """The parts one below the other: arrays of as many values as ``image`` has, and values that hold for all of them.

    In columns of whole numbers, None and negative ones are missing values.
    """
    made: dict[str, Any] = {}
    for name in columns:
        filled = [
            np.broadcast_to(-1 if part[name] is None else part[name], np.shape(part["image"]))
            for part in parts
        ]
        values = np.concatenate(filled) if filled else np.empty(0, np.int64)
        if name in WHOLE:
            made[name] = pd.arrays.IntegerArray(values.astype(np.int64), values < 0)
        else:
            made[name] = pd.Categorical(values) if name in WORDS else values
    return pd.DataFrame(made)


def arrays_of(run: Content, file: str) -> dict[str, NDArray[Any]]:
    """All arrays of an artefact that a finished job made; none where it is missing or was changed."""
    path = run.folder.artifact(file)
    if file in run.lost or not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
