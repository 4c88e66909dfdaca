"""A step of trainings together reads nothing back and mixes no devices: else a CUDA device could not record it.

All that a step reads and changes is moved to PyTorch's device of shapes without values, where reading a value and mixing
with another device are errors. The optimiser, which has no form there, is replaced by a look at what it is given.
"""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from healthgan import keras_semantics
from healthgan.classifiers import fold_program
from healthgan.classifiers.chains import Chain, Fold
from healthgan.classifiers.fit import Recipe
from healthgan.classifiers.recording import Recorded
from healthgan.generators import diffusion_program, fit_dcgans, fit_diffusions
from healthgan.generators.diffusion import Settings

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)


def look(parameters, gradients, first, second, *_, lr, **__) -> None:
    """In place of ``torch.optim.adam.adam``: all of it is on the device, and laid out alike for the fused step."""
    for value, *others in zip(parameters, gradients, first, second, strict=True):
        assert {tensor.device.type for tensor in (value, *others, lr)} == {"meta"}
        assert {(tensor.shape, tensor.stride()) for tensor in others} == {(value.shape, value.stride())}
    looked.append(len(parameters))


looked: list[int] = []


@pytest.fixture(autouse=True)
def adam(monkeypatch: pytest.MonkeyPatch) -> None:
    looked.clear()
    monkeypatch.setattr(keras_semantics, "adam", look)
    monkeypatch.setattr(diffusion_program, "adam", look)


def moved(value: Tensor) -> Tensor:
    return value.detach().to("meta").requires_grad_(value.requires_grad)


def stay(
    program: Recorded, feed, *, tensors: Iterable[str], networks: Iterable[nn.Module] = (), adams=()
) -> None:
    """Load a block, move everything, and take a step."""
    program._load(next(feed.blocks()))
    program._rows = moved(program._rows)
    for network in networks:
        network.to("meta")
    for name in (*tensors, "pool", "now"):
        setattr(program, name, moved(getattr(program, name)))
    for adam, parameters in adams:
        adam.parameters = parameters()
        adam.first, adam.second = ([moved(value) for value in values] for values in (adam.first, adam.second))
    program._once()


def test_chains_of_folds() -> None:
    chain = Chain((Fold(np.arange(20), np.arange(20) % 2, np.arange(3)),), 1, 16, 0)
    together = fold_program._Together(
        [chain] * 2, [np.arange(2)] * 2, torch.from_numpy(IMAGES), Recipe(False, 1e-3, 16)
    )
    program = fold_program.FoldProgram(together.stack, together.streams, 0, together.pool, together.recipe)
    stay(
        program,
        program.feed,
        tensors=("flat", "logits"),
        adams=[(program.adam, lambda: [program.flat])],
    )
    assert looked == [1]


def test_dcgans(tmp_path) -> None:
    trainings = [
        fit_dcgans.DcganTraining(IMAGES[:20], seed, tmp_path / str(seed), lambda *_: None) for seed in (1, 2)
    ]
    states = [fit_dcgans.start(one.images, "dcgan-small", 1e-3, one.seed, CPU) for one in trainings]
    together = fit_dcgans._Together(trainings, states, fit_dcgans.Settings("dcgan-small", 1, 8, 1e-3), CPU)
    program = together.program
    stay(
        program,
        together.feed,
        tensors=("losses",),
        networks=[network for pair in program.pairs for network in (pair.up, pair.down)],
        adams=[
            (adam, lambda network=network: list(network.parameters()))
            for pair in program.pairs
            for adam, network in zip(pair.adams, (pair.up, pair.down), strict=True)
        ],
    )
    up, down = (len(list(network.parameters())) for network in (program.pairs[0].up, program.pairs[0].down))
    assert looked == [down, up] * 2


def test_diffusion_generators() -> None:
    labels = (np.arange(40) % 3 == 0).astype(np.int64)
    settings = Settings(steps=6, batch=4, width=4, checks=1, heldout=3, bfloat16=False)
    trainings = [fit_diffusions.DiffusionTraining(IMAGES, labels, None, seed) for seed in (1, 2)]
    states = [fit_diffusions.start(one.images, labels, None, settings, one.seed, CPU) for one in trainings]
    together = fit_diffusions._Together(trainings, states, CPU)
    stay(
        together.program,
        together.feed,
        tensors=("flat", "averaged", "first", "second", "steps", "mean", "spread", "sum", "finite"),
        networks=(together.program.pattern,),
    )
    assert looked == [1]
