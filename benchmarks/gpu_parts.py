"""Parts of benchmarks/gpu.py: what the device can do at all, many classifiers, likeness, several generators."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from gpu_bench import Bench, Pixels, spread
from gpu_checks import PUBLISHED, best
from healthgan.classifiers import recording
from healthgan.classifiers.fit import fit, new_classifier
from healthgan.classifiers.folds import Examples, FoldScores, FoldTraining, run_many_folds
from healthgan.generators import dcgan_state, fit_dcgan
from healthgan.generators.dcgan import Preset
from healthgan.generators.diffusion import Settings
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.generators.fit_diffusions import DiffusionTraining, fit_diffusions
from healthgan.scores import auroc

CPU = torch.device("cpu")
CNN_OPERATIONS = 2 * (2 * 26**2 * 9 * 16 + 3 * (11**2 * 144 * 32 + 800 * 64 + 64))
"""Of the products that the layers of the study's CNN define, for an image of 28×28 in training: no gradient of the image."""


def ceilings(bench: Bench) -> dict[str, Any]:
    """Products of large matrices of random numbers by type, and a copy on the device counting bytes read and written."""
    side, values = (64, 1 << 20) if bench.small else (8192, 1 << 30)
    rng = torch.Generator(bench.device).manual_seed(0)
    found: dict[str, Any] = {}
    for name, kind, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        pair = [torch.randn(side, side, generator=rng, device=bench.device).to(kind) for _ in range(2)]
        with precision(matmul=tf32, convolutions=tf32):
            rate = _best_rate(bench, lambda pair=pair: pair[0] @ pair[1], 2 * side**3)
        found[f"{name}_operations_a_second"] = rate
    source = torch.randint(0, 255, (values,), generator=rng, device=bench.device, dtype=torch.uint8)
    target = torch.empty_like(source)
    found["bytes_a_second"] = _best_rate(bench, lambda: target.copy_(source), 2 * values)
    return found


def _best_rate(bench: Bench, work: Callable[[], object], amount: float) -> dict[str, Any]:
    """How much of it a second: the median of ten, after three."""
    for _ in range(3):
        work()
    times = bench.repeated(work, 10)
    low, high = times["range"]
    return {"median": amount / times["median"], "range": [amount / high, amount / low], "n": times["n"]}


class precision:  # noqa: N801 # read as a statement
    """TF32 for matrix products and for convolutions, and back."""

    def __init__(self, *, matmul: bool, convolutions: bool) -> None:
        self.wanted = matmul, convolutions

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.wanted

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self.before


def classifiers(bench: Bench, rare: Pixels, normal: Pixels) -> dict[str, Any]:
    """10 thresholds × 3 folds × 9 seeds, folds reset, equal steps: together, and a sample one after the other.

    Each threshold lets another part of the last rare images in; to have equal steps all sets are equally large.
    """
    thresholds, seeds, half, epochs = (2, 2, 20, 1) if bench.small else (10, 9, 800, 20)
    held = half // 4
    tests = np.concatenate([rare[-held:], normal[-held:]])
    truth = np.repeat(np.array([1, 0]), held)
    trainings = []
    for threshold in range(thresholds):
        begin = threshold * half // (2 * thresholds)
        pixels = np.concatenate([rare[begin : begin + half], normal[:half]])
        labels = np.repeat(np.array([1, 0]), half)
        folds = np.arange(2 * half) % 3
        examples = Examples(pixels, labels, np.zeros(2 * half, np.bool_), folds)
        trainings += [FoldTraining(examples, tests, epochs, 100 * threshold + seed) for seed in range(seeds)]
    models = 3 * len(trainings)
    steps = epochs * -(-int((folds != 0).sum()) // PUBLISHED.batch)
    judged: dict[str, NDArray[np.float64]] = {}

    def together(name: str) -> None:
        found = _together(bench, trainings)
        judged[name] = np.array([auroc(truth, np.nan_to_num(scores)) for _, scores in found])

    ways, recorded = {}, recording.GRAPHS
    for name, graphs, tf32, rounds in (
        ("graph", True, False, 3),
        ("graph_tf32", True, True, 1),
        ("no_graph", False, False, 1),
    ):
        recording.GRAPHS = graphs and recorded
        with precision(matmul=tf32, convolutions=tf32):
            ways[name] = bench.repeated(lambda name=name: together(name), 1 if bench.small else rounds)
        recording.GRAPHS = recorded
        ways[name]["microseconds_a_step"] = 1e6 * ways[name]["median"] / steps
        ways[name]["operations_a_second"] = (
            models * PUBLISHED.batch * steps * CNN_OPERATIONS / ways[name]["median"]
        )
    alone = _alone(bench, trainings, 2 if bench.small else 7)
    return {
        "models": models,
        "steps_of_each": steps,
        "together": ways,
        "one_after_the_other": alone,
        "of_which_were_trained": alone["n"],
        "seconds_of_all_scaled_up_from_the_median": alone["median"] * models,
        "times_as_fast": {name: alone["median"] * models / way["median"] for name, way in ways.items()},
        "tf32": _tf32_against_seeds(judged["graph"], judged["graph_tf32"], seeds),
    }


def _together(
    bench: Bench, trainings: list[FoldTraining]
) -> list[tuple[list[FoldScores], NDArray[np.float32]]]:
    return run_many_folds(
        trainings,
        recipe=PUBLISHED,
        reset_between_folds=True,
        synthetic_in_validation=True,
        device=bench.device,
        progress=lambda *_: bench.stop_if_late(),
    )


def _alone(bench: Bench, trainings: list[FoldTraining], count: int) -> dict[str, Any]:
    """Seconds of single folds, spread over the trainings; the first one, in which libraries load, left out."""

    def one(place: int) -> None:
        training = trainings[place]
        data, kept = training.examples, training.examples.folds != 0
        made = new_classifier((28, 28), 1, PUBLISHED, training.seed, bench.device)
        fit(made, data.pixels[kept], data.labels[kept], training.epochs, lambda _: bench.stop_if_late())

    places = np.linspace(0, len(trainings) - 1, count + 1).astype(int)
    with precision(matmul=False, convolutions=False):
        return spread([bench.seconds(lambda place=place: one(place)) for place in places][1:])


def _tf32_against_seeds(off: NDArray[np.float64], on: NDArray[np.float64], seeds: int) -> dict[str, Any]:
    """What TF32 does to the AUROC, beside what another seed does to it at a threshold."""
    change = (on - off).reshape(-1, seeds)
    return {
        "trainings": off.size,
        "mean_change": float(change.mean()),
        "standard_error": float(change.std(ddof=1) / np.sqrt(change.size)),
        "largest_change_of_a_thresholds_mean": float(np.abs(change.mean(axis=1)).max()),
        "standard_deviation_over_seeds": float(np.sqrt(off.reshape(-1, seeds).var(axis=1, ddof=1).mean())),
    }


def likeness(bench: Bench) -> dict[str, Any]:
    """12,000 × 1,950 images of smooth noise, whose every pair is computed: that part does not look at the images."""
    counts = (60, 40) if bench.small else (12000, 1950)
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (count, 7, 7, 1), dtype=np.uint8) for count in counts]
    queries, references = (images.repeat(4, axis=1).repeat(4, axis=2) for images in coarse)
    best(queries[:50], references[:50], str(bench.device))  # libraries load
    times = bench.repeated(lambda: best(queries, references, str(bench.device)), 5)
    pairs = counts[0] * counts[1]
    return {
        "queries": counts[0],
        "references": counts[1],
        **times,
        "operations_a_second": pairs * 22**2 * 2 * 49 / times["median"],
    }


def several_generators(bench: Bench, rare: Pixels) -> dict[str, Any]:
    """Seconds of a step by the number of generators that take it together: the first epoch, which records, left out."""
    preset: Preset = "dcgan-small" if bench.small else "dcgan-2023"
    images, epochs = (rare[:40], 3) if bench.small else (rare[:1950], 5)
    steps = -(-len(images) // PUBLISHED.batch)
    found: dict[str, Any] = {}
    for count in (1, 2) if bench.small else (1, 3):
        ends: list[float] = []

        def told(*_: object, ends: list[float] = ends) -> None:
            bench.stop_if_late()
            ends.append(perf_counter())

        with TemporaryDirectory() as folder:
            trainings = [
                DcganTraining(images, seed, Path(folder) / str(seed), told if seed == 0 else lambda *_: None)
                for seed in range(count)
            ]
            fit_dcgans(
                trainings, preset=preset, epochs=epochs, batch=PUBLISHED.batch, learning_rate=1e-4,
                device=bench.device, checkpoint_seconds=1e9,
            )  # fmt: skip
        found[str(count)] = spread((np.diff(ends) / steps).tolist())
    one = found["1"]["median"]
    operations = _gan_operations(preset)
    for count, entry in found.items():
        entry["times_as_fast_as_one_after_the_other"] = int(count) * one / entry["median"]
        entry["operations_a_second"] = int(count) * operations / entry["median"]
    return {"preset": preset, "seconds_of_a_step": found, "operations_of_a_step": operations}


def several_diffusions(bench: Bench, rare: Pixels, normal: Pixels) -> dict[str, Any]:
    """Seconds of a step of the default generator by the number that take it together; the first block is left out."""
    some = (24, 60) if bench.small else (1950, 1950)
    images = np.concatenate([rare[: some[0]], normal[: some[1]]])
    labels = np.repeat(np.array([1, 0]), [len(rare[: some[0]]), len(normal[: some[1]])])
    settings = (
        Settings(steps=6, batch=4, width=4, checks=1, bfloat16=False)
        if bench.small
        else Settings(steps=250, checks=1)
    )
    found: dict[str, Any] = {}
    for count in (1, 2) if bench.small else (1, 3):
        ends: list[tuple[int, float]] = []

        def told(step: int, facts: dict[str, float], ends: list[tuple[int, float]] = ends) -> None:
            bench.stop_if_late()
            ends.append((0 if facts else step, perf_counter()))

        trainings = [
            DiffusionTraining(images, labels, None, seed, None, told if seed == 0 else None)
            for seed in range(count)
        ]
        fit_diffusions(trainings, settings=settings, device=bench.device)
        whole = [
            (later - before) / (to - since)
            for (since, before), (to, later) in pairwise(ends)
            if 0 < since < to  # no check in between
        ]
        found[str(count)] = spread(whole) if whole else {"n": 0}
    one = found["1"].get("median")
    for count, entry in found.items():
        if one is not None and "median" in entry:
            entry["times_as_fast_as_one_after_the_other"] = int(count) * one / entry["median"]
    return {"settings": asdict(settings), "seconds_of_a_step": found}


def _gan_operations(preset: Preset) -> float:
    """Of the products that layers define, in one step of one GAN."""
    images = np.random.default_rng(0).integers(0, 256, (PUBLISHED.batch, 28, 28, 1), dtype=np.uint8)
    state = dcgan_state.start(images, preset, 1e-4, 0, CPU)
    with FlopCounterMode(display=False) as counted:
        fit_dcgan._epoch(replace(state), torch.from_numpy(images), PUBLISHED.batch, lambda: False)
    return float(counted.get_total_flops())
