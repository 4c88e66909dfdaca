"""Run folders whose synthetic images were really judged, in the layout that a study writes: for the likeness explorer.

The images are simulated chests; some of the synthetic ones are made to be copies, noise, duplicates or constant.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fake_run import write_run
from fake_sound import FakeStudy

from healthgan.likeness import Band, calibrate, judge
from healthgan.report.reading import CANDIDATES, REALS
from healthgan.run import RunFolder
from healthgan.sound.context import kept_by
from healthgan.sources.phantom import Counts, phantom_images
from healthgan.ssim import best_match

Arrays = dict[str, np.ndarray]
REALS_COUNT, HELDOUT_COUNT = 60, 40


def chests(count: int, split: str, size: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) of normal chests and their patients."""
    found = phantom_images(Counts(count, 0), split=split, size=size, seed=5)
    return np.repeat(found.pixels, channels, axis=3), found.patients


def synthetic_images(count: int, reals: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Other chests, ever noisier; then copies, copies of each other, noise and constant images, in a fixed order."""
    rng = np.random.default_rng(3)
    images = chests(min(count, 200), "test", size, channels)[0]
    images = np.concatenate([images] * (-(-count // len(images))))[:count].astype(np.float64)
    images += rng.normal(0, 1, images.shape) * np.linspace(2, 25, count)[:, None, None, None]
    odd = max(1, count // 20)
    images[:odd] = reals[np.arange(odd) % len(reals)]
    images[odd : 2 * odd] = images[2 * odd : 3 * odd] + rng.normal(0, 1, images[:odd].shape)
    images[3 * odd : 4 * odd] = rng.integers(0, 256, images[:odd].shape)
    images[4 * odd] = 90
    return images.clip(0, 255).astype(np.uint8)[rng.permutation(count)]


def explored_sound_run(
    path: Path, *, count: int = 150, size: int = 28, channels: int = 1, earlier: bool = False, **study: Any
) -> RunFolder:
    """A sound study's run with one pool of both classes, ``count`` images each.

    Args:
        path: of a new folder.
        count: synthetic images a class.
        size: pixels a side.
        channels: 1 or 3.
        earlier: without real images and held-out scores, as earlier versions wrote it.
        study: of :class:`FakeStudy`.
    """
    folder = FakeStudy(path, **study).folder
    reals, patients = chests(REALS_COUNT, "train", size, channels)
    heldout, _ = best_match(chests(HELDOUT_COUNT, "val", size, channels)[0], reals)
    band = calibrate(reals, patients)
    pool, beside = pool_arrays(synthetic_images(count, reals, size, channels), reals, band)
    both = ("rare", "reference")
    counts = {name: pool_facts(pool) for name in both}
    files = {"synthetic/main-0.npz": _twice(pool), "reals/main.npz": _twice(beside)}
    if earlier:
        del files["reals/main.npz"]
    else:
        truth = dict(np.load(folder.artifact("truth/main.npz")))
        truth |= {f"{name}_heldout_likeness": heldout for name in both}
        _replace(folder, "truth/main", {"truth/main.npz": truth})
    _replace(folder, "pool/main/0", files, **counts)
    _replace(folder, "band/main", {}, **{name: asdict(band) for name in both})
    return folder


def pool_arrays(images: np.ndarray, reals: np.ndarray, band: Band) -> tuple[Arrays, Arrays]:
    """What a pool's file says of a class, and what the file beside it holds."""
    judged = judge(images, reals, band)
    pool = {
        "images": images,
        "verdict": judged.verdict,
        "likeness": judged.likeness,
        "nearest": np.where(judged.nearest < 0, -1, 10 * judged.nearest),
        "faithful": np.full(len(images), np.nan, np.float32),
    }
    used = np.unique(judged.nearest[judged.nearest >= 0])
    return pool, {"image": 10 * used, "pixels": reals[used]}


def pool_facts(pool: Arrays) -> dict[str, Any]:
    """What a pool's record says of a class."""
    verdict, likeness = pool["verdict"], pool["likeness"]
    kept = kept_by(verdict, likeness, pool["faithful"], 0.8)
    labels = ("accepted", "constant", "unlike", "too alike", "copy suspect", "duplicate")
    return {
        "candidates": len(verdict),
        "verdicts": {label: int((verdict == code).sum()) for code, label in enumerate(labels)},
        "kept": {rule: int(found.sum()) for rule, found in kept.items()},
    }


def explored_published_run(path: Path, **run: Any) -> RunFolder:
    """A run of the published study whose candidates were really scored, with real images and held-out scores."""
    folder = write_run(path, **run)
    record = next(record for record in folder.records() if record["key"] == "likeness")
    stored = dict(np.load(folder.artifact(CANDIDATES)))
    size, channels = stored["images"].shape[1], stored["images"].shape[3]
    reals, _ = chests(REALS_COUNT, "train", size, channels)
    images = synthetic_images(len(stored["images"]), reals, size, channels)
    likeness, nearest = best_match(images, reals)
    stored |= {"images": images, "likeness": likeness, "nearest": nearest}
    stored["heldout_likeness"] = best_match(chests(HELDOUT_COUNT, "val", size, channels)[0], reals)[0]
    used = np.unique(nearest[nearest >= 0])
    files = {CANDIDATES: stored, REALS: {"image": used, "pixels": reals[used]}}
    accepted = {floor: int((likeness >= float(floor)).sum()) for floor in record["accepted"]}
    _replace(folder, "likeness", files, keep=("synthetic/examples.npz",), accepted=accepted)
    return folder


def _twice(arrays: Arrays) -> Arrays:
    return {f"{name}_{key}": values for name in ("rare", "reference") for key, values in arrays.items()}


def _replace(
    folder: RunFolder, key: str, files: dict[str, Arrays], keep: tuple[str, ...] = (), **facts: Any
) -> None:
    """Write the artefacts and a later record of a job, which counts."""
    record = next(record for record in folder.records() if record["key"] == key)
    for name, arrays in files.items():
        folder.artifact(name).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder.artifact(name), **arrays)
    folder.append(json.loads(json.dumps(record | facts | {"artifacts": folder.hashes([*files, *keep])})))
