"""How settings of a classifier's training do in cross-validation inside the training split.

    python benchmarks/tuning.py --source SOURCE --rare CLASS [--rare-count N] [--folds 5] [--use 3] [--seeds 1]
        [--network cnn-2023] [--steps 2000] [--batch 32] [--rate 1e-3] [--mixup 0] [--rotate 0] [--shift 0] [--scale 0]
        [--brightness 0] [--contrast 0] [--mirror] [--out FILE.jsonl]

Nothing but the split `train` is read. Its images are divided into folds that part no patient; each fold in turn is
judged by a network trained on the others, in batches half rare, half reference. --rare-count takes that many rare
images, drawn anew for each fold, for training; all of the fold's are judged. Prints one row of a Markdown table: mean
AUROC, its standard deviation over folds, processor seconds a fit (training and judging 5,000 images).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe
from healthgan.classifiers.train import train
from healthgan.executors import keep_freed_memory
from healthgan.images import Collection
from healthgan.scores import auroc
from healthgan.sources import load
from healthgan.splits import stratified_folds

JUDGED = 5000
"""Images whose judging counts in the time."""
CPU = torch.device("cpu")


def training_images(
    collection: Collection, rare: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64] | None]:
    """Pixels, 0/1 labels and, where they are known, patients of the training split's rare and reference images."""
    images = collection["train"]
    is_rare = images.members(rare)
    is_reference = images.members("normal") & ~is_rare if images.multi_label else ~is_rare
    chosen = np.flatnonzero(is_rare | is_reference)
    patients = None if images.patients is None else images.patients[chosen]
    return images.pixels[chosen], is_rare[chosen].astype(np.int64), patients


def one_fit(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    judged: NDArray[np.bool_],
    seed: tuple[int, int],
    options: argparse.Namespace,
) -> tuple[float, float]:
    """AUROC among the judged images of a network trained on the others, and processor seconds."""
    rares = np.flatnonzero(~judged & (labels == 1))
    if options.rare_count is not None:
        rares = np.random.default_rng(seed).permutation(rares)[: options.rare_count]
    half = options.batch // 2
    strengths = Augmentation(
        options.rotate, options.shift, options.scale, options.brightness, options.contrast, options.mirror
    )
    phase = Phase(
        steps=options.steps,
        parts=(Part(half, np.flatnonzero(~judged & (labels == 0))), Part(half, rares)),
        targets=labels[:, np.newaxis].astype(np.float32),
        augmentation=strengths,
        mixup=options.mixup,
        learning_rate=options.rate,
    )
    started = time.process_time()
    trained = train(Recipe((phase,), options.network, seed[1]), pixels, CPU)
    trained.predict(pixels[np.arange(JUDGED) % len(pixels)])
    seconds = time.process_time() - started
    return auroc(labels[judged], trained.predict(pixels[judged])), seconds


def tune(options: argparse.Namespace) -> None:
    pixels, labels, patients = training_images(load(options.source), options.rare)
    folds = stratified_folds(labels, patients, options.folds, options.seed)
    found = np.array(
        [
            [one_fit(pixels, labels, folds == fold, (fold, seed), options) for seed in range(options.seeds)]
            for fold in range(options.use)
        ]
    )
    values, seconds = found[:, :, 0].mean(axis=1), float(found[:, :, 1].mean())
    facts = {name: value for name, value in vars(options).items() if name != "out"}
    facts |= {"auroc": found[:, :, 0].tolist(), "seconds": seconds}
    name = f"{Path(options.source).stem} {options.rare} {options.rare_count or 'all'}"
    settings = f"{options.network}, {options.steps} × {options.batch}, rate {options.rate:g}, mixup {options.mixup:g}"
    strengths = "/".join(
        f"{value:g}"
        for value in (options.rotate, options.shift, options.scale, options.brightness, options.contrast)
    )
    print(
        f"| {name} | {settings} | {strengths}{' mirror' * options.mirror} | {values.mean():.4f} | "
        f"{values.std(ddof=1):.4f} | {seconds:.1f} |",
        flush=True,
    )
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", default="phantom")
    parser.add_argument("--rare", required=True)
    parser.add_argument("--rare-count", type=int)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--use", type=int, default=3, help="how many of the folds to judge")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    parser.add_argument("--network", default="cnn-2023")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    for name in ("mixup", "rotate", "shift", "scale", "brightness", "contrast"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--out", type=Path, help="append a line of JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    tune(options)


if __name__ == "__main__":
    main()
