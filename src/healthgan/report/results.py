"""The rows of Figures 1, 2 and 4: what the records say, and nothing else. Missing values are None."""

import statistics
from typing import Any

from healthgan.report.published import Published, Row
from healthgan.report.reading import Run
from healthgan.run import Record
from healthgan.scores import wilson_interval

STAGES = ("training", "validation", "test")
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "testing"}
_FIELDS = {"training": "train_accuracy", "validation": "val_accuracy", "test": "test_accuracy"}


def figure_1(run: Run, published: Published) -> list[Row]:
    """One row a floor: images that reached it, those kept, and the sets that they make.

    ``generated`` is smaller than ``accepted`` where there were not enough reference images to balance the
    set, so that a random subset was kept.
    """
    accepted = run.records.get("likeness", {}).get("accepted", {})
    rows = []
    for floor in run.floors:
        record = run.classifier("generated", floor) or {}
        generated, real = record.get("generated"), record.get("real")
        row = {
            "floor": floor,
            "accepted": accepted.get(f"{floor:.2f}", record.get("accepted")),
            "generated": generated,
            "real": real,
            "positives": None if generated is None or real is None else generated + real,
            "balanced": record.get("train_images"),
            "test": record.get("test_images"),
            "validation": record.get("val_images"),
        }
        if published:
            theirs = published.figure_1.get(floor, {})
            row |= {
                f"published_{key}": theirs.get(key) for key in ("generated", "balanced", "test", "validation")
            }
        rows.append(row)
    return rows


def figure_2(run: Run, published: Published) -> list[Row]:
    """One row a split of the control: its rare class, the balanced set, and what was taken from elsewhere."""
    facts = (run.task or {}).get("control")
    if facts is None:
        return []
    added = topped_up(run)
    rows = []
    for split, name in SPLIT_NAMES.items():
        counts = facts["counts"][split]
        row = {
            "split": name,
            "rare": counts["rare"],
            "balanced": counts["balanced"],
            "reference_from_main": added.get(split, 0),
        }
        if published.figure_2:
            row |= {f"published_{key}": published.figure_2[name][key] for key in ("rare", "balanced")}
        rows.append(row)
    return rows


def topped_up(run: Run) -> dict[str, int]:
    """Reference images of the control that came from the main source, by split; empty where none did.

    A source has at least as many images as its two classes together; what the classes have in excess
    was added.
    """
    facts = (run.task or {}).get("control")
    if facts is None or run.protocol.control is None or not run.protocol.control.top_up:
        return {}
    sizes = {split: facts["counts"][split] for split in SPLIT_NAMES}
    added = {
        split: counts["rare"] + counts["reference"] - counts["images"] for split, counts in sizes.items()
    }
    return {split: count for split, count in added.items() if count > 0}


def figure_4(run: Run, published: Published) -> list[Row]:
    """One row a floor: accuracies in %, with the 95 % Wilson interval and n of the test accuracy."""
    rows = []
    for floor in run.floors:
        row: Row = {"floor": floor}
        for stage in STAGES:
            for arm in run.arms:
                row[f"{stage}_{arm}"] = _accuracy(run.classifier(arm, floor), stage)
        for arm in run.arms:
            row |= _test_interval(arm, run.classifier(arm, floor))
        for stage in STAGES if published else ():
            theirs = published.figure_4.get(floor, {}).get(stage, {})
            for arm in run.arms:
                row[f"published_{stage}_{arm}"] = theirs.get(arm)
        rows.append(row)
    return rows


def repeats(run: Run, arm: str) -> Row:
    """How much repeated trainings of one arm spread: runs, range, mean and sd of each accuracy in %, n of the test.

    The arms ``real`` and ``control`` are the same at every floor, but for the seed.
    """
    records = [record for _, record in run.trained(arm)]
    row: Row = {"runs": len(records), "n": records[0]["test_images"] if records else None}
    for stage in STAGES:
        values = [100 * record[_FIELDS[stage]] for record in records]
        row[f"{stage}_range"] = round(max(values) - min(values), 3) if values else None
        row[f"{stage}_mean"] = round(statistics.mean(values), 3) if values else None
        row[f"{stage}_sd"] = round(statistics.stdev(values), 3) if len(values) > 1 else None
    return row


def _accuracy(record: Record | None, stage: str) -> float | None:
    value = None if record is None else record.get(_FIELDS[stage])
    return None if value is None else round(100 * value, 3)


def _test_interval(arm: str, record: Record | None) -> dict[str, Any]:
    names = (f"test_{arm}_low", f"test_{arm}_high", f"n_test_{arm}")
    if record is None or "test_accuracy" not in record:
        return dict.fromkeys(names)
    total = record["test_images"]
    low, high = wilson_interval(round(record["test_accuracy"] * total), total)
    return dict(zip(names, (round(100 * low, 3), round(100 * high, 3), total), strict=True))
