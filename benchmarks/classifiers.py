"""Images a second that training by a recipe takes in, beside the plain class-balanced loop, on one thread.

    python benchmarks/classifiers.py [--network cnn-2023] [--batch 32] [--steps 300] [--rounds 8] [--size 28]

The ways are timed in turn, round after round, in processor seconds, so that a noisy machine slows all of them alike;
printed are the median, the range, and the median ratio to the plain recipe of the same round.
"""

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import torch

from healthgan.classifiers import fit
from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe
from healthgan.classifiers.train import train
from healthgan.executors import keep_freed_memory

CPU = torch.device("cpu")
CLASSICAL = Augmentation(rotate=10, shift=0.08, scale=0.1, brightness=0.1, contrast=0.2)
RARE, REFERENCE = 200, 4600


def ways(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    side = options.size
    pool = np.random.default_rng(0).integers(0, 256, (RARE + REFERENCE, side, side, 1), dtype=np.uint8)
    targets = (np.arange(len(pool)) < RARE).astype(np.float32)[:, np.newaxis]
    half = options.batch // 2
    parts = (Part(half, np.arange(RARE)), Part(half, np.arange(RARE, len(pool))))

    def by(phase: Phase) -> Callable[[], object]:
        return lambda: train(Recipe((phase,), options.network), pool, CPU)

    def balanced() -> None:
        settings = fit.Recipe(scale_pixels=True, learning_rate=1e-3, batch=options.batch)
        classifier = fit.new_classifier((side, side), 1, settings, 0, CPU)
        fit.fit_balanced(classifier, (pool[RARE:], pool[:RARE]), options.steps)

    found: dict[str, Callable[[], object]] = {
        "plain": by(Phase(options.steps, parts, targets)),
        "classical": by(Phase(options.steps, parts, targets, CLASSICAL)),
        "mixup": by(Phase(options.steps, parts, targets, mixup=0.2)),
    }
    return found | ({"fit_balanced": balanced} if options.network == "cnn-2023" else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", default="cnn-2023")
    for name, default in (("batch", 32), ("steps", 300), ("rounds", 8), ("size", 28)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, way in ways(options).items():
            started = time.process_time()
            way()
            speed = options.steps * options.batch / (time.process_time() - started)
            rows.setdefault(name, []).append(speed)
    print(f"{platform.machine()}, PyTorch {torch.__version__}, {options}")
    print("| way | images a second: median (range) | beside plain |\n|---|---|---|")
    for name, speeds in rows.items():
        ratio = np.median(np.array(speeds) / np.array(rows["plain"]))
        print(
            f"| {name} | {np.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) | {ratio:.3f} |"
        )


if __name__ == "__main__":
    main()
