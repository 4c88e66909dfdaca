"""What one GPU does with many classifiers: one command, under 8 minutes, correctness first.

The study: 10 thresholds × 3 folds × 9 seeds = 270 classifiers of the published kind with equal steps, on phantom images:
each threshold lets another number of other rare images in, each fold leaves out a third of the real ones. They
are trained together, with and without a recorded step (CUDA graph), with and without TF32; a few are trained one after
the other, and the time of all 270 one after the other is that of one times 270, and said to be so in the JSON.

    python benchmarks/gpu.py [--out FILE]        # needs NumPy, SciPy, PyTorch, safetensors and these sources
    python benchmarks/gpu.py --device cpu --small   # the same code in a minute, without a GPU
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # from the sources, where it is not installed

from batched import Training, check, seconds, versions, whole
from healthgan.classifiers import recording
from healthgan.classifiers.batched import train_many
from healthgan.classifiers.judging import predict_many
from healthgan.classifiers.recipes import Part, Phase, Recipe
from healthgan.classifiers.train import train
from healthgan.scores import auroc
from healthgan.sources.phantom import Counts, phantom

LIMIT = 420.0
"""Seconds after which no further round is begun."""
BATCH = 32


def study(
    options: argparse.Namespace,
) -> tuple[list[Training], list[int], tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """The trainings, the condition (threshold and fold) of each, and test images with labels."""
    images, rare = (16, 30) if options.small else (28, 300)
    counts = {"train": Counts(4 * rare, rare), "val": Counts(10, 10), "test": Counts(4 * rare, rare)}
    real, more = (phantom(size=images, seed=seed, counts=counts) for seed in (1, 2))
    label = np.asarray(real["train"].labels) == 1
    added = more["train"].pixels[np.asarray(more["train"].labels) == 1]
    pool = np.concatenate([real["train"].pixels, added])
    targets = np.concatenate([label, np.ones(len(added), bool)]).astype(np.float32)[:, np.newaxis]
    fold = np.arange(len(label)) % 3
    trainings, condition = [], []
    for threshold in range(options.thresholds):
        let_in = len(label) + np.arange(len(added) * threshold // options.thresholds)
        for left_out in range(options.folds):
            kept = np.flatnonzero(fold != left_out)
            parts = (
                Part(BATCH // 2, np.concatenate([kept[label[kept]], let_in])),
                Part(BATCH // 2, kept[~label[kept]]),
            )
            for seed in range(options.seeds):
                phase = Phase(options.steps, parts, targets, learning_rate=1e-3)
                trainings.append((Recipe((phase,), seed=len(trainings) + 1000 * seed), pool))
                condition.append(threshold * options.folds + left_out)
    test = real["test"]
    return trainings, condition, (test.pixels, (np.asarray(test.labels) == 1).astype(np.int64))


def timed(
    trainings: list[Training],
    device: torch.device,
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
    *,
    graphs: bool,
    tf32: bool,
    rounds: int,
    until: float,
) -> dict[str, Any]:
    """Seconds of every round of training all together, and each classifier's AUROC on the test images."""
    recording.GRAPHS = graphs
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent: list[float] = []
    trained: list[Any] = []

    def work() -> None:
        trained[:] = whole(train_many(trainings, device))

    while len(spent) < rounds and (not spent or time.perf_counter() < until):
        spent.append(seconds(device, work))
    logits = predict_many(trained, test[0])
    return {
        "graphs": graphs,
        "tf32": tf32,
        "seconds": spent,
        "median": float(np.median(spent)),
        "range": [min(spent), max(spent)],
        "n": len(spent),
        "microseconds_a_step": 1e6 * float(np.median(spent)) / trainings[0][0].steps,
        "peak_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "auroc": [float(auroc(test[1], row)) for row in logits],
    }


def one_by_one(trainings: list[Training], device: torch.device, count: int) -> dict[str, Any]:
    """Seconds of so many single trainings, spread over the study; TF32 is off, as in what they are compared with."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    train(*trainings[0], device)  # libraries load and choose
    chosen = np.linspace(0, len(trainings) - 1, count).astype(int)
    each = [seconds(device, lambda place=place: train(*trainings[place], device)) for place in chosen]
    return {
        "trained": count,
        "seconds_each": each,
        "median_seconds_each": float(np.median(each)),
        "range_seconds_each": [min(each), max(each)],
        "all_of_them": len(trainings),
        "seconds_of_all_scaled_up_from_the_median": float(np.median(each)) * len(trainings),
    }


def tf32_against_seeds(plain: dict[str, Any], tf32: dict[str, Any], condition: list[int]) -> dict[str, Any]:
    """What TF32 does to the AUROC, beside what another seed does to it within a condition."""
    auroc_of = {name: np.array(found["auroc"]) for name, found in (("off", plain), ("on", tf32))}
    change = auroc_of["on"] - auroc_of["off"]
    places = np.array(condition)
    within = [auroc_of["off"][places == value].var(ddof=1) for value in np.unique(places)]
    means = [change[places == value].mean() for value in np.unique(places)]
    return {
        "classifiers": len(change),
        "mean_change": float(change.mean()),
        "standard_error_over_classifiers": float(change.std(ddof=1) / np.sqrt(len(change))),
        "standard_deviation_of_change": float(change.std(ddof=1)),
        "largest_change_of_a_conditions_mean": float(np.abs(means).max()),
        "standard_deviation_over_seeds": float(np.sqrt(np.mean(within))),
    }


def hardware(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"gpu": None}
    facts = torch.cuda.get_device_properties(device)
    return {
        "gpu": facts.name,
        "gpu_memory_bytes": facts.total_memory,
        "gpu_multiprocessors": facts.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument(
        "--small", action="store_true", help="a few small trainings, to try this program itself"
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--singles", type=int, default=10, help="trained one after the other, 5 at least")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    options.thresholds, options.folds, options.seeds = (2, 3, 2) if options.small else (10, 3, 9)
    if options.small:
        options.steps, options.rounds, options.singles = 20, 2, 5
    if options.singles < 5:
        sys.exit("--singles is below 5; time 5 single trainings at least.")
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "There is no CUDA device that PyTorch can use here: nothing is timed. Run this on a machine with one, or try it "
            "with --device cpu --small."
        )
    return options


def main() -> None:
    options = asked()
    started = time.perf_counter()
    until = started + LIMIT
    torch.set_num_threads(1)
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    differences = {network: check(device, network) for network in ("cnn-2023", "resnet-small")}
    print(f"together is what each is alone: {differences}", flush=True)
    trainings, condition, test = study(options)
    ways = {
        name: timed(trainings, device, test, graphs=graphs, tf32=tf32, rounds=rounds, until=until)
        for name, graphs, tf32, rounds in (
            ("graph", True, False, options.rounds),
            ("no_graph", False, False, options.rounds),
            ("graph_tf32", True, True, options.rounds),
        )
    }
    singles = one_by_one(trainings, device, options.singles)
    found = {
        "asked": {name: value for name, value in vars(options).items() if name != "out"},
        "date": time.strftime("%Y-%m-%d"),
        **versions(),
        **hardware(device),
        "differences": differences,
        "together": ways,
        "one_by_one": singles,
        "times_as_fast": {
            name: singles["seconds_of_all_scaled_up_from_the_median"] / way["median"]
            for name, way in ways.items()
        },
        "tf32": tf32_against_seeds(ways["graph"], ways["graph_tf32"], condition),
        "seconds_in_all": time.perf_counter() - started,
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    show(found)


def show(found: dict[str, Any]) -> None:
    singles = found["one_by_one"]
    print(f"{found['gpu'] or found['processor']}, PyTorch {found['packages']['torch']}, {found['asked']}")
    low, high = singles["range_seconds_each"]
    print(
        f"one after the other: {singles['median_seconds_each']:.2f} s each ({low:.2f} to {high:.2f}, n = {singles['trained']}); "
        f"{singles['all_of_them']} of them, scaled up: {singles['seconds_of_all_scaled_up_from_the_median']:.0f} s"
    )
    print(
        "| together | seconds: median (range), n | µs a step | times as fast | mean AUROC |\n|---|---|---|---|---|"
    )
    for name, way in found["together"].items():
        low, high = way["range"]
        print(
            f"| {name} | {way['median']:.2f} ({low:.2f} to {high:.2f}), {way['n']} | {way['microseconds_a_step']:.0f} | "
            f"{found['times_as_fast'][name]:.1f} | {np.mean(way['auroc']):.4f} |"
        )
    print(f"TF32: {found['tf32']}")


if __name__ == "__main__":
    main()
