"""Images a second that training by a recipe takes in, beside plainer loops, on one thread.

'layer by layer' is the plain recipe with PyTorch's convolution, pooling and ReLU one after the other; 'PyTorch's own'
is the loop that PyTorch's tutorials write: its layers, its default memory layout, its Adam.

    python benchmarks/classifiers.py [--network cnn-2023] [--batch 32] [--steps 300] [--rounds 8] [--size 28] [--json FILE]

The ways are timed in turn, round after round, in processor seconds, so that a noisy machine slows all of them alike;
printed are the median, the range, and how many times as fast the plain recipe of the same round is.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from batched import versions
from healthgan.classifiers import fit, networks
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

    def layer_by_layer() -> None:
        with patch.object(networks, "pooled", lambda layer, x: F.relu(F.max_pool2d(layer(x), 2))):
            by(Phase(options.steps, parts, targets))()

    found: dict[str, Callable[[], object]] = {
        "plain": by(Phase(options.steps, parts, targets)),
        "classical": by(Phase(options.steps, parts, targets, CLASSICAL)),
        "mixup": by(Phase(options.steps, parts, targets, mixup=0.2)),
    }
    more = {
        "fit_balanced": balanced,
        "layer by layer": layer_by_layer,
        "PyTorch's own": lambda: tutorial(pool, targets, options),
    }
    return found | (more if options.network == "cnn-2023" else {})


def tutorial(pool: NDArray[np.uint8], targets: NDArray[np.float32], options: argparse.Namespace) -> None:
    """Train the study's network as PyTorch's tutorials do; images lie in memory as float32."""
    side = ((options.size - 2) // 2 - 2) // 2
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * side**2, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1)),
    )
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    images, labels = torch.from_numpy(pool).permute(0, 3, 1, 2).div(255.0), torch.from_numpy(targets)
    for _ in range(options.steps):
        chosen = torch.randint(len(images), (options.batch,))
        loss = F.binary_cross_entropy_with_logits(network(images[chosen]), labels[chosen])
        adam.zero_grad()
        loss.backward()
        adam.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", default="cnn-2023")
    for name, default in (("batch", 32), ("steps", 300), ("rounds", 8), ("size", 28)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows: dict[str, list[float]] = {}
    few = argparse.Namespace(**{**vars(options), "steps": 5})
    for way in ways(few).values():
        way()  # compiles, or loads what is compiled
    for _ in range(options.rounds):
        for name, way in ways(options).items():
            started = time.process_time()
            way()
            speed = options.steps * options.batch / (time.process_time() - started)
            rows.setdefault(name, []).append(speed)
    print(f"{platform.machine()}, PyTorch {torch.__version__}, {options}")
    print("| way | images a second: median (range) | plain is this many times as fast |\n|---|---|---|")
    for name, speeds in rows.items():
        ratios = np.array(rows["plain"]) / np.array(speeds)
        print(
            f"| {name} | {np.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) | "
            f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) |"
        )
    if options.json:
        asked = {name: value for name, value in vars(options).items() if name != "json"}
        found = {"date": time.strftime("%Y-%m-%d"), **versions(), "asked": asked, "images_a_second": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
