"""Which copies of training images a likeness rule lets through: the study's floors against the band.

    python benchmarks/band.py [--source phantom] [--rare CLASS] [--share 0.2] [--draws 200] [--seed 0]

Candidates are held-out images of the rare class, which stand in for a perfect generator, half of them blurred a
little (sigma 0.5 pixels), and planted copies of training images. The band is calibrated on training images alone.
"""

import argparse
import platform
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from healthgan.likeness import Band, Judged, Verdict, calibrate, judge
from healthgan.sources import load
from healthgan.splits import keep_apart, split_collection
from healthgan.task import make_task

Pixels = NDArray[np.uint8]
Rule = Band | float | None
FLOORS = [round(0.80 + 0.01 * step, 2) for step in range(10)]


def blurred(images: Pixels, sigma: float) -> Pixels:
    soft: NDArray[np.float64] = gaussian_filter(images.astype(np.float64), (0, sigma, sigma, 0))
    return np.rint(soft).astype(np.uint8)


def noisy(images: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    return np.rint(images + rng.normal(0, deviation, images.shape)).clip(0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "exact": lambda images, _: images,
    "blur 0.5": lambda images, _: blurred(images, 0.5),
    "blur 1": lambda images, _: blurred(images, 1.0),
    "noise 5": lambda images, rng: noisy(images, 5.0, rng),
}

BEYOND: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "noise 20": lambda images, rng: noisy(images, 20.0, rng),
    "blur 2": lambda images, _: blurred(images, 2.0),
    "shift 1": lambda images, _: np.roll(images, 1, axis=2),
    "mirrored": lambda images, _: images[:, :, ::-1].copy(),
}
"""Copies that structural similarity does not recognise as such; a likeness rule is no audit."""


def name_of(rule: Rule) -> str:
    return "none" if rule is None else "band" if isinstance(rule, Band) else f"floor {rule:.2f}"


def kept_of_each_kind(
    kinds: dict[str, Pixels], reals: Pixels, rules: list[Rule]
) -> dict[str, dict[str, float]]:
    """Share of each kind that a rule keeps, each kind judged by itself."""
    return {
        name_of(rule): {
            kind: float(judge(images, reals, rule).accepted.mean()) for kind, images in kinds.items()
        }
        for rule in rules
    }


def one_draw(
    heldout: Pixels, reals: Pixels, share: float, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Candidates in a random order, ``share`` of them copies in equal parts of every kind; True for a copy."""
    order = rng.permutation(len(heldout))
    half = len(order) // 2
    new = np.concatenate([heldout[order[:half]], blurred(heldout[order[half:]], 0.5)])
    each = round(len(new) * share / (1 - share) / len(COPIES))
    copied = rng.permutation(len(reals))[: each * len(COPIES)].reshape(len(COPIES), -1)
    copies = [alter(reals[chosen], rng) for alter, chosen in zip(COPIES.values(), copied, strict=True)]
    candidates = np.concatenate([new, *copies])
    is_copy = np.arange(len(candidates)) >= len(new)
    shuffled = rng.permutation(len(candidates))
    return candidates[shuffled], is_copy[shuffled]


def summary(values: list[float], digits: int = 1) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{np.mean(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def compare(source: str, rare: str | None, share: float, draws: int, seed: int) -> None:
    collection = load(source)
    if set(collection) == {"train"}:
        collection = split_collection(collection, seed)
    collection, _ = keep_apart(collection)
    task = make_task(collection, rare=rare, reference=None, rare_count=None, order="first", seed=seed)
    train = task.rares["train"]
    reals, heldout = train.pixels, np.concatenate([task.rares[s].pixels for s in ("val", "test")])
    if len(heldout) * share / (1 - share) > len(reals):
        heldout = heldout[: int(len(reals) * (1 - share) / share)]
    rng = np.random.default_rng(seed)
    band = calibrate(reals, None if collection["train"].patients is None else train.patient)
    rules: list[Rule] = [None, *FLOORS, band]
    print(
        f"{platform.machine()}, {task.source}, {task.rare}: {len(reals)} training images, {len(heldout)} held out"
    )
    print(
        f"band {band.low:.3f} to {band.high:.3f}, copy suspects above {band.copy:.3f}; from {band.images} images of "
        f"{band.patients} {'' if band.patients_known else 'presumed '}patients\n"
    )
    kinds = {"held out": heldout, "held out, blur 0.5": blurred(heldout, 0.5)}
    kinds |= {f"copy, {kind}": alter(reals, rng) for kind, alter in (COPIES | BEYOND).items()}
    print("kept of each kind, %:")
    shares = kept_of_each_kind(kinds, reals, rules)
    print(f"{'':<20}" + "".join(f"{name:>12}" for name in shares))
    for kind in kinds:
        print(f"{kind:<20}" + "".join(f"{100 * row[kind]:>12.1f}" for row in shares.values()))
    print(
        f"\n{100 * share:.0f} % of the candidates are copies; mean (2.5th to 97.5th percentile) of {draws} draws:"
    )
    print(f"{'rule':<12}{'kept':>24}{'copies among the kept, %':>30}{'new images kept, %':>28}")
    found: dict[str, list[tuple[float, float, float]]] = {name_of(rule): [] for rule in rules}
    for _ in range(draws):
        candidates, is_copy = one_draw(heldout, reals, share, rng)
        plain = judge(candidates, reals, None)
        for rule in rules:
            kept = accepted(candidates, reals, rule, plain)
            copies = 100 * float(is_copy[kept].mean()) if kept.any() else float("nan")
            found[name_of(rule)].append((float(kept.sum()), copies, 100 * float(kept[~is_copy].mean())))
    for name, rows in found.items():
        kept_, copies_, new_ = (list(column) for column in zip(*rows, strict=True))
        print(f"{name:<12}{summary(kept_, 0):>24}{summary(copies_):>30}{summary(new_):>28}")


def accepted(candidates: Pixels, reals: Pixels, rule: Rule, plain: Judged) -> NDArray[np.bool_]:
    """(N,) True for the kept; a floor needs the likeness alone, which is known."""
    if isinstance(rule, float):
        return np.asarray(plain.likeness >= np.float64(rule), np.bool_)
    judged = plain if rule is None else judge(candidates, reals, rule)
    return np.asarray(judged.verdict == Verdict.ACCEPTED, np.bool_)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", default="phantom")
    parser.add_argument("--rare")
    parser.add_argument("--share", type=float, default=0.2, help="of the candidates that are copies")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    compare(arguments.source, arguments.rare, arguments.share, arguments.draws, arguments.seed)


if __name__ == "__main__":
    main()
