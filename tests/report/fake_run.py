"""Run folders made of noise, in the layout that a study writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from healthgan.protocol import Protocol, load_protocol, to_toml
from healthgan.run import RunFolder

FLOORS = (0.80, 0.82, 0.84, 0.86, 0.88)
ACCEPTED = {0.80: 90, 0.82: 60, 0.84: 30, 0.86: 9, 0.88: 0}
"""Images that reach a floor; balancing leaves room for 70, and the last floor has none."""

REAL, ROOM, TEST, VAL = 40, 70, 60, 20
CHANCE = {
    "real": [0.75, 0.77, 0.78, 0.76, 0.77],
    "generated": [0.55, 0.6, 0.7, 0.72, 0.0],
    "control": [0.9] * 5,
}
"""How often a classifier is right, by floor."""


def paper(**changes: dict[str, Any] | None) -> Protocol:
    """The published protocol with fewer floors; ``changes`` go into its tables, None removes one."""
    data = load_protocol("paper").model_dump(exclude_none=True)
    data["likeness"] = {"floors": FLOORS}
    data["generator"] |= {"rounds": 2, "epochs": 30, "harvest_after": 10}
    for table, entries in changes.items():
        if entries is None:
            data.pop(table)
        else:
            data[table] = {**data[table], **entries}
    return Protocol.model_validate(data)


def write_run(
    path: Path,
    *,
    protocol: Protocol | None = None,
    source: str = "blobs",
    rare: str = "cardiomegaly",
    channels: int = 1,
    keep: Callable[[str], bool] = lambda _: True,
    patients_known: bool = True,
    shared: int = 0,
) -> RunFolder:
    """Write a run folder without running a study.

    Args:
        path: the folder to make.
        protocol: its settings.
        source: name of the main source.
        rare: the rare class.
        channels: 1 or 3.
        keep: whether the job of this key is finished.
        patients_known: whether the source tells its patients.
        shared: images of validation that also stand in training.
    """
    protocol = protocol or paper()
    rng = np.random.default_rng(0)
    folder = RunFolder(path)
    path.mkdir(parents=True)
    asked = {
        "source": source,
        "rare": rare,
        "reference": "normal",
        "rare_images": REAL,
        "height": 28,
        "width": 28,
    }
    asked |= {"seed": 7, "data": "d" * 64}
    lines = [f"{key} = {json.dumps(value)}" for key, value in asked.items()]
    (path / "study.toml").write_text(to_toml(protocol) + "\n[study]\n" + "\n".join(lines) + "\n")
    start = {
        "started": "2026-01-02T03:04:05+0000",
        "seed": 7,
        "device": "cpu",
        "workers": 2,
        "code": "c" * 64,
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "numpy": "2.0"},
        "system": "Linux",
        "processor": "a processor",
        "cores": 2,
    }
    (path / "manifest.json").write_text(json.dumps({"starts": [start]}))
    records = [_task(protocol, source, rare, channels, patients_known, shared)]
    records += [
        _generator(folder, protocol, number, channels, rng) for number in range(protocol.generator.rounds)
    ]
    records.append(_likeness(folder, protocol, channels, rng))
    records.append(_apart())
    for arm in ("real", "generated", "control") if protocol.control else ("real", "generated"):
        for place, floor in enumerate(protocol.likeness.floors):
            records.append(_classifier(folder, protocol, arm, floor, CHANCE[arm][place], rng))
    for number, record in enumerate(records):
        if keep(record["key"]):
            folder.append({**record, "time_started": 1.0 + number, "time_seconds": 2.0 * number})
    return folder


def _facts(
    source: str, rare: str, channels: int, counts: dict[str, tuple[int, int, int, int]], **more: Any
) -> dict:
    names = ("images", "rare", "reference", "rare_patients")
    splits = {split: dict(zip(names, row, strict=True)) for split, row in counts.items()}
    for row in splits.values():
        row["balanced"] = 2 * min(row["rare"], row["reference"])
    return {
        "source": source,
        "md5": "a" * 32,
        "digest": "d" * 64,
        "notes": ["made of noise"],
        "rare": rare,
        "reference": "normal",
        "size": [28, 28],
        "channels": channels,
        "counts": splits,
        "duplicates_inside": {"train": 1, "val": 0, "test": 0},
        "duplicates_across": {"train-val": 0, "train-test": 0, "val-test": 0},
        **more,
    }


def _task(protocol: Protocol, source: str, rare: str, channels: int, known: bool, shared: int) -> dict:
    counts = {
        "train": (400, REAL, REAL + ROOM, 25),
        "val": (60, VAL // 2, 30, VAL // 2),
        "test": (100, TEST // 2, 50, TEST // 2),
    }
    across = {"train-val": 0, "train-test": 0, "val-test": 0}
    people = dict(across) if known else None
    main = _facts(source, rare, channels, counts, patients_known=known, patients_across=people)
    main["duplicates_across"] = {**across, "train-val": shared}
    record: dict[str, Any] = {"key": "task", "kind": "task", "main": main, "removed": {}}
    if protocol.control:
        sets = {"train": (150, 100, 100, 100), "val": (24, 16, 16, 16), "test": (30, 20, 20, 20)}
        record["control"] = _facts(
            "pneumoniamnist", "pneumonia", channels, sets, patients_known=False, patients_across=None
        )
    return record


def _generator(
    folder: RunFolder, protocol: Protocol, number: int, channels: int, rng: np.random.Generator
) -> dict:
    epochs = protocol.generator.epochs
    sharpness = np.linspace(0, 1, epochs + 1)[:, None, None, None, None]
    bright = rng.integers(0, 256, (1, 16, 28, 28, channels))
    history = (bright * sharpness + 128 * (1 - sharpness)).astype(np.uint8)
    name = f"synthetic/round-{number}.npz"
    losses = np.stack([np.linspace(0.7, 1.5, epochs), np.linspace(1.4, 1.1, epochs)], axis=1).astype(
        np.float32
    )
    noise = rng.standard_normal((16, 100)).astype(np.float32)
    _save(folder, name, history=history, losses=losses, noise=noise)
    return {
        "key": f"generator/{number}",
        "kind": "generator",
        "round": number,
        "artifacts": folder.hashes([name]),
    }


def _likeness(folder: RunFolder, protocol: Protocol, channels: int, rng: np.random.Generator) -> dict:
    with np.load(folder.artifact("synthetic/round-1.npz")) as file:
        history = file["history"]
    after = protocol.generator.harvest_after
    images = history[after + 1 :].reshape(-1, 28, 28, channels)
    epoch, vector = np.indices((len(history) - after - 1, 16)).reshape(2, -1)
    likeness = rng.uniform(0.5, 0.8, len(images)).astype(np.float32) - 0.001
    for floor, count in ACCEPTED.items():
        likeness[:count] = floor + 0.005
    likeness[-1] = np.nan
    columns = {"nearest": np.zeros(len(images), int), "round": np.ones(len(images), int)}
    columns |= {"epoch": epoch + after + 1, "vector": vector}
    _save(folder, "synthetic/candidates.npz", images=images, likeness=likeness, **columns)
    shown = np.linspace(0, 80, 8).astype(int)
    real = images[shown][:, ::-1]
    _save(folder, "synthetic/examples.npz", generated=images[shown], likeness=likeness[shown], real=real)
    return {
        "key": "likeness",
        "kind": "likeness",
        "harvested": 700,
        "duplicates": 700 - len(images),
        "constant": 1,
        "candidates": len(images),
        "accepted": {f"{floor:.2f}": ACCEPTED.get(floor, 0) for floor in protocol.likeness.floors},
        "likeness_quantiles": [0.5, 0.6, 0.7],
        "artifacts": folder.hashes(["synthetic/candidates.npz", "synthetic/examples.npz"]),
    }


def _apart() -> dict:
    interval = {"auroc": 0.93, "auroc_low": 0.9, "auroc_high": 0.96, "aurocs": [0.92, 0.94]}
    counts = {"real_images": 40, "generated_images": 40, "heldout_images": 40, "heldout_patients": 38}
    return {
        "key": "real-or-synthetic",
        "kind": "real-or-synthetic",
        **interval,
        **counts,
        "fresh_images": 40,
        "artifacts": {},
    }


def _classifier(
    folder: RunFolder, protocol: Protocol, arm: str, floor: float, chance: float, rng: np.random.Generator
) -> dict:
    accepted = ACCEPTED.get(floor, 0) if arm == "generated" else 0
    generated, test = min(accepted, ROOM), 40 if arm == "control" else TEST
    real = 100 if arm == "control" else REAL
    record = {
        "key": f"classifier/{arm}/{floor:.2f}",
        "kind": "classifier",
        "arm": arm,
        "floor": floor,
        "accepted": accepted,
        "real": real,
        "generated": generated,
        "train_images": 2 * (real + generated),
        "val_images": VAL,
        "test_images": test,
    }
    if arm == "generated" and generated == 0:
        return record | {"epochs": 0, "artifacts": {}}
    label = np.repeat([1, 0], test // 2)
    right = rng.random(test) < chance
    score = np.where(right == (label == 1), 0.9, 0.1).astype(np.float32)
    name = f"predictions/classifier-{arm}-{floor:.2f}.npz"
    _save(folder, name, image=np.arange(test), patient=np.arange(test) // 2, label=label, score=score)
    total = record["train_images"] + VAL
    fold = {
        "train_accuracy": 0.97,
        "val_accuracy": 0.95,
        "train_images": 2 * total // 3,
        "val_images": total // 3,
    }
    return record | {
        "folds": [fold] * 3,
        "train_accuracy": 0.97,
        "val_accuracy": 0.95,
        "epochs": 80 if generated > 50 else 40,
        "test_accuracy": float(right.mean()),
        "test_auroc": 0.8,
        "artifacts": folder.hashes([name]),
    }


def _save(folder: RunFolder, name: str, **arrays: np.ndarray) -> None:
    path = folder.artifact(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
