"""Small inputs that several tests share."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from healthgan.protocol import Protocol, load_protocol


def tiny_protocol(**changes: dict[str, object]) -> Protocol:
    """The published study cut down to seconds; ``changes`` go into its tables."""
    data = load_protocol("paper").model_dump(exclude_none=True)
    data |= {"name": "tiny"}
    data["generator"] |= {"preset": "dcgan-small", "rounds": 2, "epochs": 3, "harvest_after": 1}
    data["likeness"] = {"floors": (0.0, 0.02, 0.99)}
    data["classifier"] |= {"epochs": 2}
    data["real_or_synthetic"] = {"classifier_seeds": 2, "epochs": 2}
    data.pop("control")
    for table, entries in changes.items():
        data[table] = {**data.get(table, {}), **entries}
    return Protocol.model_validate(data)


def write_blobs(
    path: Path, *, seed: int = 0, size: int = 16, counts: dict[str, tuple[int, int]] | None = None
) -> Path:
    """An ``.npz`` of MedMNIST's layout with two patients' worth of structure: bright blobs, wide ones rare."""
    counts = counts or {"train": (24, 60), "val": (8, 16), "test": (16, 24)}
    rng = np.random.default_rng(seed)
    grid = np.indices((size, size)) - (size - 1) / 2
    arrays: dict[str, np.ndarray] = {"class_names": np.array(["narrow", "wide"])}
    for number, (split, (rare, reference)) in enumerate(counts.items()):
        labels = np.repeat([1, 0], (rare, reference))
        widths = np.where(labels, 5.0, 3.0) + rng.normal(0, 0.5, len(labels))
        shifts = rng.normal(0, 0.7, (len(labels), 2, 1, 1))
        squares = ((grid - shifts) ** 2).sum(axis=1)
        blobs = 200 * np.exp(-squares / (2 * widths[:, None, None] ** 2))
        noisy = blobs + rng.normal(0, 4, blobs.shape)
        arrays[f"{split}_images"] = noisy.clip(0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
        arrays[f"{split}_patients"] = (np.arange(len(labels)) // 2 + 1000 * number).astype(np.int32)
    np.savez(path, **arrays)
    return path


class Ended(NamedTuple):
    """How a command ended, named as in ``subprocess.CompletedProcess``."""

    returncode: int
    stdout: str
    stderr: str


def descendants(process: int) -> list[int]:
    """Processes that a process started and those that they started, as far as they live, in the order of their start."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").glob("*"):
        try:
            children = [int(child) for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [known for child in children for known in (child, *descendants(child))]
    return sorted(found)
