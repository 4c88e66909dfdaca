"""Generators side by side: how good, how new and how safe what they make is, over seeds.

    python benchmarks/generators.py run SOURCE --rare CLASS [--rare-count N] [--preset edm] [--seeds 0 1 2] --out DIR
    python benchmarks/generators.py table DIR/*.json

`run` trains on the training split (a generator that lies in DIR already is not trained again), makes images and
measures them against the validation and the test split together, which decided nothing about the generator, and
writes one JSON file a seed. Where --rare-count is given, each seed also draws other training images. `table` sums
such files up: means over seeds with their 95 % t intervals, or from one or two seeds the range.
"""

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from healthgan.executors import Step
from healthgan.fidelity import RealImages, fidelity_report
from healthgan.generate import TrainRequest, train_generator, training_task
from healthgan.generators.interface import LABELS
from healthgan.generators.store import load_generator
from healthgan.likeness import calibrate, judge
from healthgan.privacy.audit import audit
from healthgan.run import environment

MOST = 1000
"""Images of a class that are made, at most: five times the training images, if that is less."""


def say(step: Step) -> None:
    facts = ", ".join(f"{name} {value:.4f}" for name, value in step.facts.items())
    print(
        f"{time.strftime('%H:%M:%S')} {step.key} {step.done}/{step.total} {facts}",
        file=sys.stderr,
        flush=True,
    )


def run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        count = options.rare_count
        name = "-".join(
            [Path(options.source).stem, options.rare, str(count or "all"), options.preset, str(seed)]
        )
        file = options.out / f"{name}.json"
        if file.exists():
            continue
        request = TrainRequest(options.source, options.rare, None, count, preset=options.preset, seed=seed)
        weights, timing = options.out / f"{name}.safetensors", options.out / f"{name}.seconds"
        if not weights.exists():
            resumed = any(options.out.glob(f".{name}.*.checkpoint.safetensors"))
            start, used = time.perf_counter(), time.process_time()
            train_generator(request, weights, device="cpu", measure=False, report=say)
            took = [time.perf_counter() - start, time.process_time() - used]
            timing.write_text(
                json.dumps([None, None] if resumed else took)
            )  # the part before a stop isn't known
        wall, processor = json.loads(timing.read_text()) if timing.exists() else (None, None)
        found = {
            "source": Path(options.source).stem,
            "rare": options.rare,
            "preset": options.preset,
            "seed": seed,
            "date": time.strftime("%Y-%m-%d"),
            "train_wall_seconds": wall,
            "train_processor_seconds": processor,
            "facts": load_generator(weights).facts,
            **measured(request, weights),
            **environment(),
        }
        file.write_text(json.dumps(found, indent=1) + "\n")
        print(file)


def measured(request: TrainRequest, weights: Path) -> dict[str, Any]:
    """Everything about the images of a generator."""
    torch.set_num_threads(1)
    task, trained_on = training_task(request)
    known = trained_on["patients"] is not None  # else near-duplicates are presumed to be of one patient
    generator = load_generator(weights).generator
    train = RealImages(
        task.rares["train"].pixels,
        task.references["train"].pixels,
        task.rares["train"].patient,
        task.references["train"].patient,
    )
    later = [(task.rares[split], task.references[split]) for split in ("val", "test")]
    held = RealImages(
        *(np.concatenate([pair[which].pixels for pair in later]) for which in (0, 1)),
        *(np.concatenate([pair[which].patient for pair in later]) for which in (0, 1)),
    )
    count = min(MOST, max(300, 5 * len(train.rare)))
    start = time.process_time()
    rare = generator.sample(count, LABELS["rare"], request.seed)
    seconds = time.process_time() - start
    both = request.preset != "dcgan-2023"
    reference = generator.sample(count, LABELS["reference"], request.seed) if both else None
    band = calibrate(train.rare, train.rare_patients if known else None)
    judged, real = (judge(images, train.rare, band) for images in (rare, held.rare))
    inside = (judged.likeness >= band.low) & (judged.likeness <= band.high)
    found = audit(
        rare,
        train.rare,
        train.rare_patients if known else None,
        held.rare,
        held.rare_patients if known else None,
        request.seed,
        others=held.reference,
        other_patients=held.reference_patients if known else None,
    )
    return {
        "candidates": count,
        "sample_processor_seconds": seconds,
        "band": asdict(band),
        "inside_band": float(inside.mean()),
        "inside_band_heldout": float(((real.likeness >= band.low) & (real.likeness <= band.high)).mean()),
        "above_copy": float((judged.likeness > band.copy).mean()),
        "above_copy_heldout": float((real.likeness > band.copy).mean()),
        "verdicts": judged.counts(),
        "copies_found": asdict(found.copies),
        "false_alarms": asdict(found.detector.class_alarms),
        "closer_to_training": asdict(found.closer),
        "authenticity": asdict(found.authenticity),
        "c_t": asdict(found.c_t),
        "membership": {
            "auroc": found.membership.auroc,
            "low": found.membership.low,
            "high": found.membership.high,
        },
        "fidelity": fidelity_report(
            train,
            held,
            rare,
            reference,
            seed=request.seed,
            device=torch.device("cpu"),
            measured=("rare",),
            floor=request.seed == 0,  # it takes no synthetic image
            progress=lambda what: say(Step(what, 0, 1, {})),
        ).as_dict(),
    }


Row = tuple[str, str, Callable[[dict[str, Any]], Any]]


def space(name: str, metric: str, value: str) -> Callable[[dict[str, Any]], Any]:
    return lambda found: found["fidelity"]["classes"]["rare"]["spaces"][name][metric][value]


def minutes(found: dict[str, Any]) -> float | None:
    seconds = found["train_processor_seconds"]
    return None if seconds is None else seconds / 60


def rows(spaces: list[str]) -> list[Row]:
    """Measure, goal, and where it stands in a file."""
    listed: list[Row] = [
        (
            "real or synthetic, AUROC",
            "≤ 0.75",
            lambda f: f["fidelity"]["classes"]["rare"]["real_or_synthetic"]["auroc"],
        ),
        (
            "– its floor, real or real",
            "",
            lambda f: (f["fidelity"]["classes"]["rare"]["real_or_real"] or {}).get("auroc"),
        ),
    ]
    for name in spaces:
        listed += [
            (f"KID, {name}", "≤ next row", space(name, "kid", "value")),
            ("– 97.5th percentile of real halves", "", space(name, "kid", "floor_high")),
            (f"FID over real against real, {name}", "≤ 2", space(name, "fid", "ratio")),
            (f"density over real against real, {name}", "≥ 0.8", space(name, "density", "ratio")),
            (f"coverage over real against real, {name}", "≥ 0.8", space(name, "coverage", "ratio")),
        ]
    return [
        *listed,
        ("share inside the band", "≥ 0.80", lambda f: f["inside_band"]),
        ("– of held-out real images", "", lambda f: f["inside_band_heldout"]),
        ("copy suspects by likeness", "≤ 0.02", lambda f: f["above_copy"]),
        ("– of held-out real images", "", lambda f: f["above_copy_heldout"]),
        ("copies found by the detector", "≤ 0.02", lambda f: f["copies_found"]["share"]),
        ("closer to training than to held-out", "0.5", lambda f: f["closer_to_training"]["share"]),
        ("membership, AUROC", "0.5", lambda f: f["membership"]["auroc"]),
        ("C_T", "≥ −2", lambda f: f["c_t"]["c_t"]),
        (
            "class faithfulness − held-out real, points",
            "within ± 5",
            lambda f: f["fidelity"]["faithfulness"]["points"]["value"],
        ),
        (
            "trained on synthetic − on real, AUROC",
            "",
            lambda f: f["fidelity"]["learnt"]["difference"]["value"],
        ),
        ("training, processor minutes", "≤ 8", minutes),
        ("checkpoint kept, step", "", lambda f: f["facts"]["generator"].get("checkpoint")),
    ]


def table(options: argparse.Namespace) -> None:
    groups: dict[tuple[str, str, int, str], list[dict[str, Any]]] = defaultdict(list)
    for path in options.files:
        found = json.loads(path.read_text("utf-8"))
        images = found["facts"]["trained_on"]["images"][found["rare"]]
        groups[found["source"], found["rare"], images, found["preset"]].append(found)
    for (source, rare, images, preset), members in sorted(groups.items()):
        first = members[0]["fidelity"]["classes"]["rare"]
        known = members[0]["facts"]["trained_on"]["patients"] is not None
        people = f" of {first['heldout_patients']} patients" if known else "; patients are not known"
        print(
            f"\n### {source}, {rare}, {images} training images, `{preset}`\n\n{len(members)} generator seeds, "
            f"{members[0]['candidates']} images a seed, {first['heldout_images']} held-out real images{people}."
            "\n\n| measure | goal | mean | 95 % interval over seeds |\n|---|---|---|---|"
        )
        for name, goal, read in rows(list(first["spaces"])):
            values = [value for found in members if (value := read(found)) is not None]
            if values:
                print(f"| {name} | {goal} | {np.mean(values):.3f} | {interval(values)} |")


def interval(values: list[float]) -> str:
    if len(values) < 2:
        return "one seed"
    if len(values) == 2:
        return f"range {min(values):.3f} to {max(values):.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values) - half:.3f} to {np.mean(values) + half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("source")
    runs.add_argument("--rare", required=True)
    runs.add_argument("--rare-count", type=int)
    runs.add_argument("--preset", default="edm")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs.add_argument("--out", type=Path, required=True)
    runs.set_defaults(do=run)
    tables = commands.add_parser("table")
    tables.add_argument("files", type=Path, nargs="+")
    tables.set_defaults(do=table)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, torch {torch.__version__}", file=sys.stderr)
    options.do(options)


if __name__ == "__main__":
    main()
