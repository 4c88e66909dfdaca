"""How hard the phantom is, how alike its images are, how fast it is made; and its picture.

    python benchmarks/phantom.py figures [--seeds 12]
    python benchmarks/phantom.py picture docs/images/phantom.png

Real images are read for comparison only where HEALTHGAN_DATA names a folder with nihchest_28.npz.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict
from healthgan.images import ImageSet, Split
from healthgan.sources.phantom import Counts, phantom_images
from healthgan.sources.phantom_patients import RATIO_LIMIT
from healthgan.ssim import best_match

Pixels = NDArray[np.uint8]
STUDY = Recipe(scale_pixels=False, learning_rate=1e-3, batch=32)
EPOCHS = 40


def balanced_accuracy(train: ImageSet, test: ImageSet, seed: int) -> float:
    """Train the study's CNN as the study does and score it."""
    classifier = new_classifier(train.size, train.channels, STUDY, seed, torch.device("cpu"))
    fit(classifier, train.pixels, train.labels.astype(np.int64), EPOCHS, lambda _: None)
    said = predict(classifier, test.pixels) > 0.5
    return float(np.mean([np.mean(said[test.labels == label] == bool(label)) for label in (0, 1)]))


def summary(values: list[float]) -> str:
    sd = np.std(values, ddof=1) if len(values) > 1 else float("nan")
    stuck = sum(value < 0.55 for value in values)  # unscaled pixels: a network at times never leaves chance
    return (
        f"mean {np.mean(values):.3f}, sd {sd:.3f}, median {np.median(values):.3f}, {min(values):.3f} to "
        f"{max(values):.3f}, n = {len(values)}, {stuck} of them at chance"
    )


def look(name: str, pixels: Pixels) -> None:
    each = pixels.reshape(len(pixels), -1)
    print(
        f"{name}: mean {each.mean():.0f}, sd {each.std():.0f}; sd of an image's mean {each.mean(1).std():.0f}, "
        f"mean of an image's sd {each.std(1).mean():.0f}; n = {len(pixels)}"
    )


def likeness(name: str, queries: Pixels, references: Pixels) -> None:
    best, _ = best_match(queries, references)
    print(
        f"best SSIM, {name}: median {np.median(best):.3f}, 95th percentile {np.percentile(best, 95):.3f}; "
        f"{len(queries)} queries, {len(references)} references"
    )


def cardiomegaly(count: int, split: Split, seed: int) -> Pixels:
    return phantom_images(Counts(0, count), split=split, seed=seed).pixels


def compare_with_real() -> None:
    folder = os.environ.get("HEALTHGAN_DATA")
    path = Path(folder or ".") / "nihchest_28.npz"
    if folder is None or not path.exists():
        print("real images: HEALTHGAN_DATA does not name a folder with nihchest_28.npz; left out")
        return
    with np.load(path) as file:
        images, labels = file["train_images"], file["train_labels"]
        held_out = file["test_images"][file["test_labels"][:, 1] == 1]
    sick = images[labels[:, 1] == 1]
    look("real normal", images[~labels.any(1)])
    look("real cardiomegaly", sick)
    likeness("real cardiomegaly", held_out, sick[:200])


def figures(seeds: int) -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, PyTorch {torch.__version__}, 1 thread")
    start = time.process_time()
    phantom_images(Counts(5000, 5000))
    print(f"10,000 images of 28 × 28: {time.process_time() - start:.1f} s of processor time")
    for count in (200, 2000):
        scores = []
        for seed in range(seeds):
            train = phantom_images(Counts(count, count), seed=seed)
            test = phantom_images(Counts(1600, 400), split="test", seed=seed)
            scores.append(balanced_accuracy(train, test, seed))
        print(f"balanced test accuracy, {count} + {count} images: {summary(scores)}", flush=True)
    both = phantom_images(Counts(1000, 1000))
    look("phantom normal", both.pixels[both.labels == 0])
    look("phantom cardiomegaly", both.pixels[both.labels == 1])
    for seed in range(seeds):
        likeness(f"phantom, seed {seed}", cardiomegaly(400, "test", seed), cardiomegaly(200, "train", seed))
    compare_with_real()


def picture(file: Path, seed: int = 0) -> None:
    """Normals left, cardiomegaly right; above at 128 pixels, below other patients at 28."""
    sheet = Figure(figsize=(10, 3.8), dpi=100, layout="constrained")
    titles = (f"normal: ratio ≤ {RATIO_LIMIT}", f"cardiomegaly: ratio > {RATIO_LIMIT}")
    for label, half in enumerate(sheet.subfigures(1, 2, wspace=0.04)):
        half.suptitle(titles[label], fontsize=11)
        above, below = half.subfigures(2, 1, height_ratios=(1.25, 1))
        for part, size, rows, columns in ((above, 128, 1, 3), (below, 28, 2, 6)):
            images = different_people(label, rows * columns, size, seed)
            for axes, pixels, ratio in zip(
                part.subplots(rows, columns).flat, images.pixels, images.columns["ctr"], strict=True
            ):
                axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255)
                axes.set_axis_off()
                axes.set_title(ratio, fontsize=7, pad=2)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(file)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def different_people(label: int, count: int, size: int, seed: int) -> ImageSet:
    """One image each of ``count`` patients, their labels true; others at each size."""
    number = 4 * count
    counts = Counts(0, number) if label else Counts(number, 0)
    split: Split = "train" if size == 28 else "val"
    images = phantom_images(counts, split=split, size=size, seed=seed, label_noise=0)
    assert images.patients is not None
    return images.take(np.sort(np.unique(images.patients, return_index=True)[1])[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("figures", help="difficulty, likeness, speed")
    measure.add_argument("--seeds", type=int, default=12)
    draw = commands.add_parser("picture", help="a sheet of images at 128 and 28 pixels")
    draw.add_argument("file", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "figures":
        figures(arguments.seeds)
    else:
        picture(arguments.file)


if __name__ == "__main__":
    main()
