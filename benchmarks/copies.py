"""Which planted copies of training images the search finds at 1 % false alarms.

    python benchmarks/copies.py [--source SOURCE --rare CLASS] [--inside] [--planted 500] [--seed 0]

Training images are those of the rare class and of the reference class (in a multi-label source 'normal', else
all others). The thresholds are set on the images of both classes in the validation and the test split, or, with
--inside, by five folds of training patients: that is how the search was designed, without a look at the others.
"""

import argparse
import platform
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.images import NORMAL, ImageSet
from healthgan.privacy.copies import Detector, Evidence, calibrate, gather_evidence
from healthgan.privacy.intervals import Share
from healthgan.privacy.planted import BEYOND, WITHIN
from healthgan.sources import load
from healthgan.splits import keep_apart


@dataclass(frozen=True)
class Side:
    """Images of two classes with their patients."""

    pixels: NDArray[np.uint8]
    patients: NDArray[np.int64]
    rare: NDArray[np.bool_]

    def take(self, index: NDArray[np.bool_]) -> "Side":
        """Those where ``index`` is True."""
        return Side(self.pixels[index], self.patients[index], self.rare[index])


def both_classes(images: ImageSet, rare: str, first: int) -> Side:
    """Images of both classes; unknown patients are numbered from ``first``, an image each."""
    is_rare = images.members(rare)
    kept = is_rare | images.members(NORMAL) if images.multi_label else np.ones(len(images), np.bool_)
    patients = first + np.arange(len(images)) if images.patients is None else images.patients
    return Side(images.pixels, patients, is_rare).take(kept)


def measure(
    training: Side, heldout: Side, planted: int, rng: np.random.Generator
) -> tuple[Detector, Side, Evidence, dict[str, NDArray[np.bool_]]]:
    """The detector, the held-out images it was set on, their evidence, and which copies it found."""
    evidence = gather_evidence(heldout.pixels, training.pixels, training.patients)
    heldout, evidence = _without_twins(heldout, evidence)
    detector = calibrate(evidence, heldout.patients, rng, classes=np.where(heldout.rare, 0, 1))
    chosen = training.pixels[rng.choice(len(training.pixels), min(planted, len(training.pixels)), False)]
    kinds = {**WITHIN, **BEYOND}
    copies = np.concatenate([change(chosen, rng) for change in kinds.values()])
    hits = detector.copies(gather_evidence(copies, training.pixels, training.patients))
    found = dict(zip(kinds, np.split(hits, len(kinds)), strict=True))
    return detector, heldout, evidence, found


def _without_twins(heldout: Side, evidence: Evidence) -> tuple[Side, Evidence]:
    twins = evidence.same_picture()
    if twins.any():
        print(
            f"{twins.sum()} of {len(twins)} held-out images show the same pictures as training images; left out"
        )
    return heldout.take(~twins), evidence.take(np.flatnonzero(~twins))


def share(hits: NDArray[np.bool_]) -> str:
    found = Share.of(int(hits.sum()), len(hits))
    return f"{100 * found.share:5.1f} %  [{100 * found.low:.1f}, {100 * found.high:.1f}]  n = {found.total}"


def print_found(found: dict[str, NDArray[np.bool_]]) -> None:
    for title, kinds in (("meant to be found", WITHIN), ("beyond", BEYOND)):
        print(f"{title}:")
        for name in kinds:
            print(f"  {name:15s} {share(found[name])}")


def print_detector(detector: Detector, seconds: float) -> None:
    alarms = detector.false_alarms
    print(
        f"thresholds: detail {detector.detail:.3f}, margin {detector.margin:.3f} (Fisher's z); held out "
        f"{detector.images} images of {detector.patients} patients; false alarms, counted apart: "
        f"{alarms.count}, {100 * alarms.share:.2f} % "
        f"[{100 * alarms.low:.2f}, {100 * alarms.high:.2f}]; all {seconds:.0f} s"
    )


def inside(training: Side, planted: int, rng: np.random.Generator) -> None:
    names, member = np.unique(training.patients, return_inverse=True)
    fold = (rng.permutation(len(names)) % 5)[member]
    found: dict[str, list[NDArray[np.bool_]]] = {}
    for number in range(5):
        start = time.perf_counter()
        detector, _, _, hits = measure(
            training.take(fold != number), training.take(fold == number), planted // 5, rng
        )
        print_detector(detector, time.perf_counter() - start)
        for name, values in hits.items():
            found.setdefault(name, []).append(values)
    print_found({name: np.concatenate(values) for name, values in found.items()})


def outside(training: Side, heldout: Side, planted: int, rng: np.random.Generator) -> None:
    start = time.perf_counter()
    detector, heldout, evidence, found = measure(training, heldout, planted, rng)
    print_detector(detector, time.perf_counter() - start)
    alarms = detector.copies(evidence)
    for name, members in (("rare", heldout.rare), ("reference", ~heldout.rare)):
        print(f"  held-out {name} images above the thresholds: {share(alarms[members])}")
    print_found(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", default="phantom")
    parser.add_argument("--rare", default="cardiomegaly")
    parser.add_argument("--inside", action="store_true")
    parser.add_argument("--planted", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    collection, removed = keep_apart(load(arguments.source, seed=arguments.seed))
    sizes = np.cumsum([0, *(len(collection[split]) for split in collection)])
    sides = {
        split: both_classes(collection[split], arguments.rare, first)
        for split, first in zip(collection, sizes.tolist(), strict=False)
    }
    training = sides.pop("train")
    print(
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}; {collection.name}, "
        f"{len(training.pixels)} training images ({training.rare.sum()} rare) of "
        f"{len(np.unique(training.patients))} patients; left out of later splits: {removed}"
    )
    rng = np.random.default_rng(arguments.seed)
    if arguments.inside:
        inside(training, arguments.planted, rng)
        return
    heldout = Side(
        *(
            np.concatenate([getattr(s, name) for s in sides.values()])
            for name in ("pixels", "patients", "rare")
        )
    )
    outside(training, heldout, arguments.planted, rng)


if __name__ == "__main__":
    main()
