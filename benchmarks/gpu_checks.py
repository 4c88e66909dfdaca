"""Before anything is timed on a GPU: that it computes what the CPU computes, in small and in float64 where that can be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from batched import check
from healthgan._ssim_kernel import gpu
from healthgan.classifiers import chains as chain_feed
from healthgan.classifiers import fold_program
from healthgan.classifiers.fit import Recipe
from healthgan.classifiers.folds import Examples, FoldTraining, run_many_folds
from healthgan.generators import fit_dcgans as many
from healthgan.generators import gan_feed
from healthgan.generators.diffusion import Settings
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.generators.fit_diffusions import DiffusionTraining, fit_diffusions
from healthgan.keras_semantics import keras_rates

CPU = torch.device("cpu")
FLOAT64 = 1e-8
"""Difference that rounding can make in float64 within the checks' steps; a wrong number anywhere makes far more."""
LOSSES = 1e-3
"""Relative difference of the losses of six steps in float32 from equal weights."""
LIKENESS = 2e-6
"""That two devices may differ by (healthgan.ssim)."""
PUBLISHED = Recipe(scale_pixels=False, learning_rate=1e-3, batch=32)


class WrongError(Exception):
    """The device does not compute what the CPU computes."""


def training(count: int, epochs: int, seed: int, side: int = 28) -> FoldTraining:
    """Images of noise whose mean tells the label, in three folds; the last batch of an epoch is odd."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    pixels = (rng.integers(0, 200, (count, side, side, 1)) + 50 * labels[:, None, None, None]).astype(
        np.uint8
    )
    examples = Examples(pixels, labels, np.zeros(count, np.bool_), rng.permutation(count) % 3)
    return FoldTraining(examples, pixels[:40], epochs, seed)


def chains(device: torch.device) -> dict[str, float]:
    """Trainings of the published study of unlike length on the device, against the same on the CPU, both ways of folds.

    On the CPU they are trained together too, one at a time: that this is what ``run_folds`` gives, the tests say.
    """
    some = [training(60, 1, 0), training(75, 2, 1), training(60, 1, 2)]
    found = {}
    with _float64_chains():
        for reset in (True, False):
            ways = [
                run_many_folds(
                    some,
                    recipe=PUBLISHED,
                    reset_between_folds=reset,
                    synthetic_in_validation=True,
                    device=where,
                    progress=lambda *_: None,
                    memory=memory,
                )
                for where, memory in ((device, None), (CPU, 1))
            ]
            pairs = list(zip(*ways, strict=True))
            judged = max(float(np.abs(one[1] - two[1]).max()) for one, two in pairs)
            scores = max(
                abs(a.train_accuracy - b.train_accuracy) + abs(a.val_accuracy - b.val_accuracy)
                for one, two in pairs
                for a, b in zip(one[0], two[0], strict=True)
            )
            found["folds reset" if reset else "folds carried on"] = judged + scores
    return _within(found, FLOAT64)


def generators(device: torch.device) -> dict[str, float]:
    """Two generators on the device against the same on the CPU, in float64: losses of every epoch and weights."""
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), dtype=np.uint8)
    with _float64_gans(), TemporaryDirectory() as folder:
        ways = [
            fit_dcgans(
                [DcganTraining(images, seed, Path(folder) / str(seed), lambda *_: None) for seed in (1, 2)],
                preset="dcgan-small",
                epochs=2,
                batch=8,
                learning_rate=1e-3,
                device=where,
                checkpoint_seconds=1e9,
            )
            for where in (device, CPU)
        ]
    found = {"weights": 0.0, "losses": 0.0}
    for one, two in zip(*ways, strict=True):
        assert not isinstance(one, FloatingPointError)
        assert not isinstance(two, FloatingPointError)
        pairs = zip(one.generator.state_dict().values(), two.generator.state_dict().values(), strict=True)
        found["weights"] = max(found["weights"], *(float((a - b).abs().max()) for a, b in pairs))
        found["losses"] = max(found["losses"], float(np.abs(one.losses - two.losses).max()))
    return _within({"weights": found["weights"]}, FLOAT64) | _within({"losses": found["losses"]}, 1e-6)


def diffusion(device: torch.device) -> dict[str, float]:
    """Two diffusion generators on the device against the same on the CPU, in float32: relative difference of losses."""
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), dtype=np.uint8)
    labels = (np.arange(24) % 3 == 0).astype(np.int64)
    settings = Settings(steps=6, batch=4, width=4, checks=1, heldout=3, bfloat16=False)
    ways = [
        fit_diffusions(
            [DiffusionTraining(images, labels, None, seed) for seed in (1, 2)],
            settings=settings,
            device=where,
        )
        for where in (device, CPU)
    ]
    found = []
    for one, two in zip(*ways, strict=True):
        assert not isinstance(one, FloatingPointError)
        assert not isinstance(two, FloatingPointError)
        for a, b in zip(one.checks, two.checks, strict=True):
            found += [abs(a.training / b.training - 1), abs(a.heldout / b.heldout - 1)]
    return _within({"losses": max(found)}, LOSSES)


def recipes(device: torch.device) -> dict[str, float]:
    """Classifiers of sound studies, altered and mixed, with either network, against one by one on the CPU."""
    try:
        return {
            f"{network}, {what}": value
            for network in ("cnn-2023", "resnet-small")
            for what, value in check(device, network).items()
        }
    except SystemExit as error:
        raise WrongError(str(error)) from error


def likeness(device: torch.device) -> dict[str, float]:
    """Best structural similarity of images of noise, against the same program on the CPU and against scikit-image."""
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8) for count in (40, 30)]
    scores = {str(where): best(*images, str(where)) for where in (device, CPU)}
    exact = [
        max(
            structural_similarity(
                x[..., 0].astype(float), y[..., 0].astype(float), data_range=int(x.max()) - int(x.min())
            )
            for y in images[1]
        )
        for x in images[0]
    ]
    there = scores[str(device)]
    return _within(
        {
            "to the CPU": float(np.abs(there - scores["cpu"]).max()),
            "to scikit-image": float(np.abs(there - exact).max()),
        },
        LIKENESS,
    )


def best(queries: Any, references: Any, device: str) -> Any:  # noqa: ANN401 # arrays of uint8 → float64
    """The likeness of each query by the GPU's program, on any device."""
    found = np.full(len(queries), np.nan)
    none = np.arange(len(queries)), len(queries) + np.arange(len(references))
    ranges = np.ptp(queries.reshape(len(queries), -1), axis=1).astype(np.float64)
    for members, (value, _) in gpu.search(
        queries, references, np.arange(len(queries)), ranges, none[0], none[1], device
    ):
        found[members] = value
    return found


def _within(found: dict[str, float], bound: float) -> dict[str, float]:
    if not all(value < bound for value in found.values()):  # NaN is not below it either
        raise WrongError(f"The device is not what the CPU is, within {bound:g}: {found}")
    return found


@contextmanager
def _float64_chains() -> Iterator[None]:
    network = fold_program._network
    fold_program._network = lambda *given: network(*given).double()
    chain_feed.keras_rates = _rounded_rates
    try:
        yield
    finally:
        fold_program._network, chain_feed.keras_rates = network, keras_rates


@contextmanager
def _float64_gans() -> Iterator[None]:
    """Networks, noise and optimisers in float64."""
    start = many.start

    def doubled(*given: Any) -> Any:  # noqa: ANN401 # as ``start``
        state = start(*given)
        return replace(
            state,
            generator=state.generator.double(),
            discriminator=state.discriminator.double(),
            noise=state.noise.double(),
        )

    many.start, gan_feed.keras_rates = doubled, _rounded_rates
    try:
        yield
    finally:
        many.start, gan_feed.keras_rates = start, keras_rates


def _rounded_rates(*given: Any) -> torch.Tensor:  # noqa: ANN401 # as ``keras_rates``
    """A CUDA device takes them in float32 only; here both do."""
    return keras_rates(*given).float().double()
