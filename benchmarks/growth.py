"""How cost grows: training with the side of an image and with their number, opening with the number, studies with workers.

Each amount is measured in turn, round after round, in processor seconds of one thread (workers: jobs a second of wall
time). Printed is the exponent b of seconds ~ amount^b with its standard error, by least squares in logarithms; 1 is
in proportion. How likeness grows is in ``ssim.py``, classifiers in a batch in ``batched.py``.

    python benchmarks/growth.py [--rounds 5] [--only NAME ...] [--json FILE]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import linregress

from batched import versions
from healthgan.classifiers.recipes import Part, Phase, Recipe
from healthgan.classifiers.train import train
from healthgan.executors import Job, Step, keep_freed_memory, run_jobs
from healthgan.generators import edm
from healthgan.generators.unet import UNet
from healthgan.sources import load

CPU = torch.device("cpu")
RARE = 200
STEPS, BATCH = 60, 32
JOBS = 8


def noise(count: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 1), dtype=np.uint8)


def trained(count: int, side: int) -> Callable[[], object]:
    """The study's classifier, a fixed number of steps on ``count`` images."""
    pool = noise(count, side)
    targets = (np.arange(count) < RARE).astype(np.float32)[:, np.newaxis]
    parts = (Part(BATCH // 2, np.arange(RARE)), Part(BATCH // 2, np.arange(RARE, count)))
    recipe = Recipe((Phase(STEPS, parts, targets),), "cnn-2023")
    return lambda: train(recipe, pool, CPU)


def denoised(side: int) -> Callable[[], object]:
    """A step of the default generator with 16 images."""
    rng = torch.Generator().manual_seed(0)
    network = UNet((side, side), 1, 2, 48, rng)
    x = torch.randn(16, 1, side, side, generator=rng).to(memory_format=torch.channels_last)
    sigma, label = torch.rand(16, generator=rng) + 0.1, torch.zeros(16, dtype=torch.int64)

    def step() -> None:
        edm.loss(network, x, torch.randn(x.shape), sigma, label, 0.5).mean().backward()

    return step


def opened(count: int, folder: Path) -> Callable[[], object]:
    """A source of the MedMNIST layout."""
    file = folder / f"{count}.npz"
    third = count // 3
    arrays = {f"{split}_images": noise(third, 28)[..., 0] for split in ("train", "val", "test")}
    labels = {
        f"{split}_labels": (np.arange(third) % 7 == 0).astype(np.uint8) for split in ("train", "val", "test")
    }
    np.savez(file, **arrays, **labels)
    return partial(load, str(file))


def classify(context: NDArray[np.uint8], job: Job, report: Callable[[Step], None]) -> dict[str, Any]:
    """A job of the study of workers: one classifier."""
    del report
    torch.set_num_threads(1)  # as a study's workers do
    targets = (np.arange(len(context)) < RARE).astype(np.float32)[:, np.newaxis]
    parts = (Part(BATCH // 2, np.arange(RARE)), Part(BATCH // 2, np.arange(RARE, len(context))))
    train(Recipe((Phase(600, parts, targets),), "cnn-2023", job.parameters["seed"]), context, CPU)
    return {"key": job.key}


def throughput(workers: int, folder: Path) -> float:
    """Seconds of wall time for ``JOBS`` classifiers, from the first record to the last: without the workers' start."""
    jobs = [Job(f"fit/{seed}", "fit", {"seed": seed}) for seed in range(JOBS + workers)]
    records = run_jobs(jobs, set(), classify, noise(2000, 28), workers, lambda _: None, scratch=folder)
    ended = [time.perf_counter() for _ in records]
    return (ended[-1] - ended[workers - 1]) * JOBS / (len(ended) - workers)


def fitted(times: dict[int, list[float]]) -> dict[str, float]:
    points = [(amount, seconds) for amount, several in times.items() for seconds in several]
    line = linregress(*np.log(np.array(points)).T)
    return {"exponent": float(line.slope), "standard_error": float(line.stderr), "n": len(points)}


def measured(ways: dict[int, Callable[[], object]], rounds: int) -> dict[int, list[float]]:
    """Processor seconds by amount; each is called once before."""
    for way in ways.values():
        way()
    times: dict[int, list[float]] = {amount: [] for amount in ways}
    for _ in range(rounds):
        for amount, way in ways.items():
            started = time.process_time()
            way()
            times[amount].append(time.process_time() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    names = ("classifier, pixels", "generator, pixels", "classifier, images", "opening, images", "workers")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], **versions()}
    with tempfile.TemporaryDirectory() as name:
        folder, sides = Path(name), (28, 64, 128)
        makers: dict[str, Callable[[], dict[int, Callable[[], object]]]] = {
            names[0]: lambda: {side**2: trained(1000, side) for side in sides},
            names[1]: lambda: {side**2: denoised(side) for side in sides},
            names[2]: lambda: {count: trained(count, 28) for count in (2500, 10_000, 40_000, 80_000)},
            names[3]: lambda: {count: opened(count, folder) for count in (15_000, 30_000, 60_000, 120_000)},
        }
        print(f"{found['processor']}, load {found['load']:.1f}, PyTorch {found['packages']['torch']}")
        print("| cost | from – to | exponent ± standard error | n |\n|---|---|---|---|")
        for what in [name for name in options.only if name in makers]:
            times = measured(makers[what](), options.rounds)
            found[what] = {"seconds": times, **fitted(times)}
            row = found[what]
            print(
                f"| {what} | {min(times):,} – {max(times):,} | {row['exponent']:.3f} ± {row['standard_error']:.3f} | {row['n']} |"
            )
        if "workers" in options.only:
            both: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(options.rounds):
                for workers, seconds in both.items():
                    seconds.append(throughput(workers, folder))
            ratios = np.array(both[1]) / np.array(both[2])
            found["workers"] = {"seconds": both, "times as fast": ratios.tolist()}
            print(
                f"\nTwo workers do {JOBS} classifiers {np.median(ratios):.2f} times as fast as one "
                f"({ratios.min():.2f} to {ratios.max():.2f}, n = {len(ratios)})."
            )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
