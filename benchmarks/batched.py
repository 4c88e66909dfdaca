"""Many classifiers trained at once beside the same ones trained one after the other.

First it is checked that both give the same: to rounding, in float64 on the device against one by one on the CPU, and in
float32. Then both are timed in turn, round after round: processor seconds of all threads on a CPU, wall-clock seconds
elsewhere. Printed are the median ratio of a round with its range, and the exponent of time over the number of models.

    python benchmarks/batched.py [--device cpu] [--models 1 4 16] [--steps 50] [--network cnn-2023] [--rounds 5] [--out FILE]
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers import networks
from healthgan.classifiers import train as single
from healthgan.classifiers.batched import Outcome, train_many
from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe
from healthgan.classifiers.train import Trained, train
from healthgan.executors import keep_freed_memory

CPU = torch.device("cpu")
CLASSICAL = Augmentation(rotate=10, shift=0.08, scale=0.1, brightness=0.1, contrast=0.2)
FLOAT64 = 1e-8
"""Difference of weights that rounding can make in float64 within the checks' steps; a wrong number anywhere makes more."""
FLOAT32 = 1e-3
"""Difference of logits, in the median over recipes, after the checks' steps in float32."""
CHECK_STEPS = 20

Training = tuple[Recipe, NDArray[np.uint8]]


def versions() -> dict[str, Any]:
    """Of what computes; also where healthgan is not installed."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "python": platform.python_version(),
        "packages": {"torch": torch.__version__, "numpy": np.__version__},
        "system": platform.platform(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
    }


def unlike(count: int, steps: int, network: str, side: int = 28) -> list[Training]:
    """Trainings of one shape on 200 rare and 800 reference images of noise: a quarter plain, mixed, altered, and both."""
    pool = np.random.default_rng(0).integers(0, 256, (1000, side, side, 1), dtype=np.uint8)
    targets = (np.arange(1000) < 200).astype(np.float32)[:, np.newaxis]
    parts = (Part(16, np.arange(200)), Part(16, np.arange(200, 1000)))
    kinds = [(Augmentation(), 0.0), (CLASSICAL, 0.0), (Augmentation(), 0.2), (CLASSICAL, 0.2)]
    found = []
    for seed in range(count):
        augmentation, mixup = kinds[seed % 4]
        phase = Phase(steps, parts, targets, augmentation, mixup, learning_rate=1e-3)
        found.append((Recipe((phase,), network, seed), pool))
    return found


def whole(outcomes: list[Outcome]) -> list[Trained]:
    """The classifiers; a training that diverged ends the benchmark."""
    for outcome in outcomes:
        if isinstance(outcome, FloatingPointError):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Trained)]


def check(device: torch.device, network: str) -> dict[str, float]:
    """Largest difference of weights in float64, and the median one of logits in float32, to one by one on the CPU.

    Raises:
        SystemExit: they are larger than rounding explains.
    """
    trainings = unlike(4, CHECK_STEPS, network, side=16)
    images = trainings[0][1][:200]
    together = [one.predict(images) for one in whole(train_many(trainings, device))]
    alone = [train(recipe, pool, CPU).predict(images) for recipe, pool in trainings]
    logits = float(np.median([np.abs(one - two).max() for one, two in zip(together, alone, strict=True)]))
    weights = _in_float64(trainings, device)
    found = {"float64_weights": weights, "float32_logits": logits}
    if not (weights < FLOAT64 and logits < FLOAT32):
        raise SystemExit(
            f"{network} on {device}: together is not what each is alone: {found}. No time is taken."
        )
    return found


def _in_float64(trainings: list[Training], device: torch.device) -> float:
    build, check_outputs = single.build, single.check_outputs
    single.build = lambda *arguments: networks.build(*arguments).double()
    single.check_outputs = lambda *_: None
    try:
        pairs = zip(whole(train_many(trainings, device)), trainings, strict=True)
        return max(
            float((one.cpu() - two).detach().abs().max())
            for many, (recipe, pool) in pairs
            for one, two in zip(
                many.network.parameters(), train(recipe, pool, CPU).network.parameters(), strict=True
            )
        )
    finally:
        single.build, single.check_outputs = build, check_outputs


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Of the processor, all threads together, or on another device by the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - started


def compare(device: torch.device, network: str, count: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of both ways in turn, ``rounds`` times."""
    trainings = unlike(count, steps, network)
    times: dict[str, list[float]] = {"together": [], "one_by_one": []}
    for _ in range(rounds):
        times["together"].append(seconds(device, lambda: train_many(trainings, device)))
        times["one_by_one"].append(seconds(device, lambda: [train(*one, device) for one in trainings]))
    ratio = np.array(times["one_by_one"]) / np.array(times["together"])
    return {
        "models": count,
        "seconds": times,
        "faster": {
            "median": float(np.median(ratio)),
            "range": [float(ratio.min()), float(ratio.max())],
            "n": rounds,
        },
    }


def exponent(rows: list[dict[str, Any]], way: str) -> float | None:
    """The b in seconds = a · models^b, by least squares over the medians' logarithms."""
    if len(rows) < 2:
        return None
    models = np.log([row["models"] for row in rows])
    return float(np.polyfit(models, np.log([np.median(row["seconds"][way]) for row in rows]), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--network", default="cnn-2023")
    parser.add_argument("--models", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA device that PyTorch can use here. Take --device cpu.")
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device(options.device)
    differences = check(device, options.network)
    rows = [
        compare(device, options.network, count, options.steps, options.rounds) for count in options.models
    ]
    found = {
        "asked": {name: value for name, value in vars(options).items() if name != "out"},
        "date": time.strftime("%Y-%m-%d"),
        **versions(),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
        "threads": 1,
        "differences": differences,
        "rows": rows,
        "exponents": {way: exponent(rows, way) for way in ("together", "one_by_one")},
    }
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"{found['gpu'] or found['processor']}, PyTorch {torch.__version__}, {found['asked']}, {differences}"
    )
    print("| models | one by one, s | together, s | times as fast: median (range), n |\n|---|---|---|---|")
    for row in rows:
        medians = [float(np.median(row["seconds"][way])) for way in ("one_by_one", "together")]
        faster = row["faster"]
        low, high = faster["range"]
        print(
            f"| {row['models']} | {medians[0]:.2f} | {medians[1]:.2f} | {faster['median']:.2f} ({low:.2f} to {high:.2f}), "
            f"{faster['n']} |"
        )
    print(f"exponents of seconds over models: {found['exponents']}")


if __name__ == "__main__":
    main()
