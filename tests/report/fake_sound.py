"""Run folders of sound studies with simulated predictions, in the layout that a study writes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from healthgan.protocol import to_toml
from healthgan.protocol_sound import Sound
from healthgan.run import RunFolder

START = {
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

GAINS: Mapping[str, float] = {
    "real": 0.0,
    "real-again": 0.0,
    "classical": 0.3,
    "both-25": 1.1,
    "synthetic-100": -0.7,
}
"""How much further apart an arm brings the classes than real images alone, in units of a score's spread."""

VERDICTS = {"accepted": 300, "constant": 1, "unlike": 40, "too alike": 30, "copy suspect": 9, "duplicate": 20}


def sound(**changes: Any) -> Sound:
    """Small settings; ``changes`` go into its tables, and None removes one."""
    data: dict[str, Any] = {
        "name": "sound",
        "summary": "A made-up study",
        "design": {
            "kind": "auto",
            "folds": 3,
            "repeats": 2,
            "generators": 2,
            "seeds": 2,
            "reference_seeds": 3,
            "equivalence": 0.01,
        },
        "images": {},
        "generator": {"preset": "edm", "candidates": 400, "floor": 0.8, "measure": True},
        "training": {
            "network": "small",
            "steps": 300,
            "batch": 32,
            "learning_rate": 0.001,
            "first_phase": 0.5,
            "mixup": 0.4,
        },
        "augmentation": {
            "rotate": 10.0,
            "shift": 0.1,
            "scale": 0.1,
            "brightness": 0.1,
            "contrast": 0.1,
            "mirror": False,
        },
        "arms": {
            "reference": ("real", "real-again", "classical"),
            "synthetic": ("both-25", "synthetic-100"),
            "control": ("noise", "copies"),
        },
    }
    for table, entries in changes.items():
        if entries is None:
            data.pop(table)
        else:
            data[table] = {**data.get(table, {}), **entries}
    return Sound.model_validate(data)


CURVE = {"counts": (25, 50), "draws": 3, "reference": "classical", "synthetic": "both-25", "seeds": 1}
ONWARD = {"source": "another", "synthetic": "both-25"}


class FakeStudy:
    """Writes the run folder of a study that never ran.

    Attributes:
        folder: where.
        protocol: its settings.
        records: of all jobs, finished or not.
    """

    def __init__(
        self,
        path: Path,
        *,
        protocol: Sound | None = None,
        gains: Mapping[str, float] = GAINS,
        design: str = "own-test",
        rare: str = "cardiomegaly",
        source: str = "blobs",
        counts: tuple[int, int] = (80, 240),
        patients_known: bool = True,
        columns: Mapping[str, list[str]] | None = None,
        left_out: Mapping[str, str] | None = None,
        brought: dict[str, Any] | None = None,
        keep: Callable[[str], bool] = lambda _: True,
        skip: Callable[[str], bool] = lambda _: False,
        truth: float = 1.2,
    ) -> None:
        self.skip = skip
        self.protocol = protocol or sound()
        self.gains, self.design, self.counts, self.truth = gains, design, counts, truth
        self.rare, self.source, self.columns = rare, source, columns
        self.rng = np.random.default_rng(0)
        self.folder = RunFolder(path)
        path.mkdir(parents=True)
        self.arms = [arm for arm in self.protocol.arms.all if arm not in (left_out or {})]
        self.records = [self._task(patients_known, dict(left_out or {}), brought)]
        for cell in self.records[0]["cells"]:
            self._cell(cell, brought is not None)
        self._settings(brought is not None)
        for number, record in enumerate(self.records):
            if keep(record["key"]):
                self.folder.append({**record, "time_started": 1.0 + number, "time_seconds": 2.0 * number})

    def _settings(self, brought: bool) -> None:
        asked: dict[str, Any] = {
            "source": self.source,
            "rare": self.rare,
            "reference": "normal",
            "rare_images": 60,
            "height": 12,
            "width": 12,
            "seed": 7,
            "data": "d" * 64,
            "design": self.design,
        }
        if brought:
            asked["synthetic"] = "e" * 64
        lines = [f"{key} = {json.dumps(value)}" for key, value in asked.items()]
        text = to_toml(self.protocol) + "\n[study]\n" + "\n".join(lines) + "\n"
        (self.folder.path / "study.toml").write_text(text)
        (self.folder.path / "manifest.json").write_text(json.dumps({"starts": [START]}))

    def _cells(self) -> list[dict[str, Any]]:
        design, empty = self.protocol.design, {"rare_count": None, "draw": None, "repeat": None, "fold": None}
        if self.design != "own-test":
            return [
                {**empty, "name": f"cv-{repeat}-{fold}", "kind": "fold", "repeat": repeat, "fold": fold}
                for repeat in range(design.repeats)
                for fold in range(design.folds)
            ]
        cells: list[dict[str, Any]] = [{**empty, "name": "main", "kind": "main"}]
        if self.protocol.curve is not None:
            cells += [
                {**empty, "name": f"n{count:04d}-{draw}", "kind": "curve", "rare_count": count, "draw": draw}
                for count in self.protocol.curve.counts
                for draw in range(self.protocol.curve.draws)
            ]
        if self.protocol.onward is not None:
            cells.append({**empty, "name": "onward", "kind": "onward"})
        return cells

    def _task(self, known: bool, left_out: dict[str, str], brought: dict[str, Any] | None) -> dict[str, Any]:
        rare, reference = self.counts
        row = {
            "images": 500,
            "rare": rare,
            "rare_patients": rare // 2 if known else None,
            "reference": reference,
            "balanced": 2 * rare,
        }
        people = 45 if known else None
        train = {**row, "rare": 60, "rare_patients": people, "reference": 400, "balanced": 120}
        pairs = {"train-val": 0, "train-test": 0, "val-test": 0}
        main = {
            "source": self.source,
            "md5": "a" * 32,
            "digest": "d" * 64,
            "notes": ["made up"],
            "rare": self.rare,
            "reference": "normal",
            "size": [12, 12],
            "channels": 1,
            "patients_known": known,
            "counts": {"train": train, "val": row, "test": row},
            "duplicates_inside": {"train": 1, "val": 0, "test": 0},
            "duplicates_across": pairs,
            "patients_across": pairs if known else None,
        }
        external = None
        if self.columns is not None:
            external = {
                "source": "elsewhere",
                "md5": None,
                "digest": "f" * 64,
                "rare": rare,
                "rare_patients": rare // 2 if known else None,
                "reference": reference,
                "patients_known": known,
                "columns": sorted(self.columns),
                "dropped": 2,
            }
        record = {
            "key": "task",
            "kind": "task",
            "main": main,
            "removed": {"train": {"patient": 0, "duplicate": 0}, "test": {"patient": 3, "duplicate": 1}},
            "cells": self._cells(),
            "arms": self.arms,
            "left_out": left_out,
            "external": external,
            "other": None,
            "onward": None
            if self.protocol.onward is None
            else {**main, "source": "another", "rare": "pneumonia", "dropped": 4},
        }
        return record if brought is None else record | {"synthetic": brought}

    def _cell(self, cell: dict[str, Any], brought: bool) -> None:
        name, kind = cell["name"], cell["kind"]
        tests = self._truth(name)
        arms = self.arms
        if kind == "onward":
            assert self.protocol.onward is not None
            arms = ["scratch", "real", self.protocol.onward.synthetic]
        elif kind == "curve":
            assert self.protocol.curve is not None
            wanted = ("real", self.protocol.curve.reference, self.protocol.curve.synthetic)
            arms = [arm for arm in arms if arm in wanted]
        design = self.protocol.design
        count = 1 if brought or kind == "curve" else design.generators
        if kind != "onward":
            self._material(name, count, brought, first=cell is self.records[0]["cells"][0])
        lost = 0.0 if cell["rare_count"] is None else 0.35 * np.log2(100 / cell["rare_count"])
        for arm in arms:
            synthetic = arm in self.protocol.arms.synthetic
            seeds = design.seeds if synthetic else design.reference_seeds
            if kind == "curve":
                assert self.protocol.curve is not None
                seeds = self.protocol.curve.seeds
            for number in range(count) if synthetic else [None]:
                luck = self.rng.normal(0, 0.05)
                for seed in range(seeds):
                    apart = self.truth + self.gains.get(arm, 0.0) - lost + luck + self.rng.normal(0, 0.05)
                    self._fit(name, arm, number, seed, tests, apart)

    def _truth(self, cell: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Labels, and what makes an image easy or hard for every classifier."""
        rare, reference = self.counts
        group = 0 if cell == "main" or cell.startswith("n") else 9 if cell == "onward" else 1 + int(cell[-1])
        rng, offset = (
            np.random.default_rng(1 + group),
            10_000 * group,
        )  # a fold tests the same in every repeat
        tests, arrays = {}, {"prevalence": np.array(60 / 460)}
        for place, part in enumerate(("val", "test", *(("external",) if self.columns is not None else ()))):
            label = np.repeat([1, 0], self.counts)
            whose = np.arange(len(label)) // 2 + 1000 * place + offset
            if part == "external":  # the same images in every cell
                rng, whose = np.random.default_rng(99), np.arange(len(label)) // 2 + 10**6
            tests[part] = (label, rng.normal(0, 1, len(label)))
            arrays[f"{part}_label"] = label
            arrays[f"{part}_patient"] = whose
            arrays[f"{part}_image"] = np.arange(len(label))
        for name, values in (self.columns or {}).items():
            arrays[f"external_column_{name}"] = np.array(values)
        file = f"truth/{cell}.npz"
        self._save(file, **arrays)
        counts = {part: {"rare": rare, "reference": reference, "patients": 160} for part in tests}
        self._add(f"truth/{cell}", "truth", [file], cell=cell, prevalence=60 / 460, **counts)
        return tests

    def _material(self, cell: str, generators: int, brought: bool, *, first: bool) -> None:
        band = {"low": 0.4, "high": 0.7, "copy": 0.8, "images": 60, "patients": 45, "patients_known": True}
        self._add(f"band/{cell}", "band", [], cell=cell, rare=band, reference=band)
        for number in range(generators):
            if not brought:
                checks = [
                    {"step": 100, "loss": 0.5, "heldout": 0.6},
                    {"step": 200, "loss": 0.4, "heldout": None},
                ]
                self._add(
                    f"generator/{cell}/{number}",
                    "generator",
                    [],
                    cell=cell,
                    generator=number,
                    images={"rare": 60, "reference": 400},
                    chosen=200,
                    stopped=None,
                    checks=checks,
                )
            self._pool(cell, number)
        if first and not brought and self.protocol.generator.measure:
            self._add(f"quality/{cell}", "quality", [], cell=cell, fidelity=fidelity(), privacy=privacy())

    def _pool(self, cell: str, number: int) -> None:
        verdict = np.repeat(np.arange(len(VERDICTS)), list(VERDICTS.values())).astype(np.int8)
        total = len(verdict)
        grid = np.indices((12, 12)).sum(axis=0)
        images = ((grid[None, :, :, None] * 10 + verdict[:, None, None, None] * 20) % 256).astype(np.uint8)
        likeness = np.linspace(0.3, 0.9, total).astype(np.float32)
        likeness[verdict == 1] = np.nan
        arrays = {}
        for name in ("rare", "reference"):
            arrays |= {
                f"{name}_images": images,
                f"{name}_verdict": verdict,
                f"{name}_likeness": likeness,
                f"{name}_nearest": np.where(verdict == 1, -1, np.arange(total) % 60),
                f"{name}_faithful": np.full(total, np.nan, np.float32),
            }
        file = f"synthetic/{cell}-{number}.npz"
        self._save(file, **arrays)
        kept = {"band": 300, "floor": 60, "faithful": 0, "none": total}
        facts = {"candidates": total, "verdicts": VERDICTS, "kept": kept}
        self._add(
            f"pool/{cell}/{number}", "pool", [file], cell=cell, generator=number, rare=facts, reference=facts
        )

    def _fit(
        self,
        cell: str,
        arm: str,
        number: int | None,
        seed: int,
        tests: dict[str, tuple[np.ndarray, np.ndarray]],
        apart: float,
    ) -> None:
        place = str(seed) if number is None else f"{number}-{seed}"
        key, facts = (
            f"fit/{cell}/{arm}/{place}",
            {"cell": cell, "arm": arm, "generator": number, "seed": seed},
        )
        if self.skip(key):
            self._add(
                key, "fit", [], **facts, skipped="3 synthetic rare images passed the filter; 10 are needed."
            )
            return
        arrays = {
            part: (apart * (label - 0.5) + 0.8 * hard + self.rng.normal(0, 0.6, len(label))).astype(
                np.float32
            )
            for part, (label, hard) in tests.items()
        }
        file = f"predictions/fit-{cell}-{arm}-{place}.npz"
        self._save(file, **arrays)
        self._add(
            key,
            "fit",
            [file],
            **facts,
            steps=300,
            images={"real": 460, "synthetic": 0 if number is None else 300},
            training_digest="1" * 64,
            weights_digest="2" * 64,
        )

    def _add(self, key: str, kind: str, files: list[str], **facts: Any) -> None:
        self.records.append({"key": key, "kind": kind, **facts, "artifacts": self.folder.hashes(files)})

    def _save(self, name: str, **arrays: np.ndarray) -> None:
        path = self.folder.artifact(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)


def fidelity() -> dict[str, Any]:
    """As in a generator's card, of the rare class only."""
    beside = {
        "low": 0.9,
        "high": 1.1,
        "floor": 0.8,
        "floor_low": 0.7,
        "floor_high": 0.9,
        "n": 30,
        "halves": 200,
    }
    measures = {
        "kid": {"value": 0.004, **beside, "ratio": None, "limit": 0.01, "reached": True},
        "coverage": {"value": 0.7, **beside, "ratio": 0.87, "limit": 0.8, "reached": False},
    }
    apart = {
        "auroc": 0.62,
        "auroc_low": 0.55,
        "auroc_high": 0.69,
        "aurocs": [0.6, 0.64],
        "real_images": 60,
        "generated_images": 60,
        "heldout_images": 40,
        "heldout_patients": None,
        "fresh_images": 60,
    }
    estimate = {"value": 0.8, "low": 0.7, "high": 0.9, "images": 60}
    rare = {
        "training_images": 60,
        "training_patients": 45,
        "heldout_images": 40,
        "heldout_patients": None,
        "synthetic_images": 120,
        "spaces": {"pixels": measures},
        "real_or_synthetic": apart,
        "real_or_real": None,
    }
    return {
        "classes": {"rare": rare},
        "faithfulness": {
            "synthetic": estimate,
            "heldout": estimate,
            "points": {**estimate, "value": -1.5, "low": -9.0, "high": 6.0},
            "by_class": {"rare": [estimate, estimate]},
            "classifiers": 3,
        },
        "learnt": {
            "synthetic": estimate,
            "real": estimate,
            "difference": {**estimate, "value": -0.02, "low": -0.06, "high": 0.02},
            "rare_images": 60,
            "reference_images": 60,
            "synthetic_reference": True,
            "classifiers": 3,
        },
        "seed": 1,
        "steps": 2000,
    }


def privacy() -> dict[str, Any]:
    """As in a generator's card."""
    rows = [
        ("copy suspects", "0.8 %", "0.2 to 2.9", "1 % (real: 1.1 %)", "1 of 120"),
        ("membership AUROC", "0.52", "0.44 to 0.60", "0.5", "60; 40 held out"),
    ]
    names = ("measure", "value", "interval", "best", "images")
    return {"audit": [dict(zip(names, row, strict=True)) for row in rows]}
