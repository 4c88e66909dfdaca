"""Several DCGANs at once: each is what it is alone, also after a stop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cut_short import cut_short, furthest

from healthgan.generators import fit_dcgan as single
from healthgan.generators import fit_dcgans as many
from healthgan.generators.dcgan import LAYERS, Layers, Squeeze, Up
from healthgan.generators.fit_dcgan import fit_dcgan
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.keras_semantics import KerasAdam

CPU = torch.device("cpu")
FLOAT64 = 1e-9
"""Weights and losses after a dozen steps in float64: sums of 10⁴ terms near 1 are 1e-14 off in another order, and a step of
Adam, which divides by the root of a mean square, may make much more of that where a slope is small."""
SETTINGS = {"preset": "dcgan-small", "epochs": 2, "batch": 8, "learning_rate": 1e-3}


pytestmark = pytest.mark.usefixtures("one_thread")


def images(seed: int, channels: int = 1):
    """20 of them in batches of 8: the last batch of an epoch holds 4."""
    return np.random.default_rng(seed).integers(0, 256, (20, 16, 16, channels), dtype=np.uint8)


def trainings(folder, seeds=(3, 4, 5), progress=lambda *_: None, channels=1):
    """The first two on equal images."""
    folder.mkdir(exist_ok=True)
    return [
        DcganTraining(images(seed // 5, channels), seed, folder / f"{seed}.checkpoint", progress)
        for seed in seeds
    ]


def together(some, **changes):
    return fit_dcgans(some, **{"device": CPU, "checkpoint_seconds": 0.0} | SETTINGS | changes)


def alone(some, **changes):
    return [
        fit_dcgan(
            one.images, seed=one.seed, checkpoint=one.checkpoint, progress=one.progress, device=CPU,
            checkpoint_seconds=0.0, **SETTINGS | changes,
        )
        for one in some
    ]  # fmt: skip


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms compute in float64, from the same initial values."""
    start, step = single.start, single._step

    def doubled(images, preset, learning_rate, seed, device):
        state = start(images, preset, learning_rate, seed, device)
        networks = state.generator.double(), state.discriminator.double()
        adams = [
            KerasAdam(list(network.parameters()), learning_rate, own.adam.betas[0])
            for network, own in zip(networks, (state.generator_adam, state.discriminator_adam), strict=True)
        ]
        return replace(
            state, noise=state.noise.double(), generator_adam=adams[0], discriminator_adam=adams[1]
        )

    for module in (single, many):
        monkeypatch.setattr(module, "start", doubled)
    monkeypatch.setattr(
        single, "_step", lambda state, real, noise: step(state, real.double(), noise.double()).float()
    )


def agree(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert furthest(one.generator, other.generator) < FLOAT64
        assert np.array_equal(one.noise, other.noise)
        assert np.array_equal(one.history, other.history)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)  # float32, as they are kept


@pytest.mark.parametrize("channels", [1, 3])
def test_together_each_is_what_it_is_alone_in_float64(float64, tmp_path, channels):
    some = trainings(tmp_path / "together", channels=channels)
    found = together(some)
    expected = alone(trainings(tmp_path / "alone", channels=channels))
    agree(found, expected)
    assert not list(tmp_path.glob("*/*")), "a checkpoint was left"
    assert len({run.history[-1].tobytes() for run in expected}) == 3


def test_what_is_done_does_not_depend_on_what_else_is_trained(float64, tmp_path):
    whole = together(trainings(tmp_path / "a"))
    agree(together(trainings(tmp_path / "b", (5, 3))), [whole[2], whole[0]])
    agree(together(trainings(tmp_path / "c"), memory=1), whole)


def test_float32_is_within_rounding(tmp_path):
    """After the first epoch, of three steps of 1e-3: images differ by a grey level where one lay on the limit."""
    runs = together(trainings(tmp_path / "a"), epochs=1), alone(trainings(tmp_path / "b"), epochs=1)
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        apart = np.abs(one.history.astype(int) - other.history)
        assert np.array_equal(one.history[0], other.history[0])
        assert apart.max() <= 1
        assert apart.mean() < 0.01


@pytest.mark.parametrize("at", [1, 2])
def test_stopped_it_goes_on_to_the_same_result_together_or_alone(float64, tmp_path, monkeypatch, at):
    """After a block of two steps in the middle of an epoch, or of one at its end; checkpoints of both forms are alike."""
    made = many.GanFeed.__init__

    def of_two(self, *given, **named):
        made(self, *given, **named)
        self.span = 2

    monkeypatch.setattr(many.GanFeed, "__init__", of_two)
    whole = alone(trainings(tmp_path / "whole"))
    for folder, goes_on in (("a", together), ("b", alone)):
        agree(goes_on(cut_short(together, trainings(tmp_path / folder), at)), whole)


def test_trainings_that_are_not_as_far_go_on_apart(float64, tmp_path):
    """One was begun alone and stopped in the middle of its second epoch, one after the last step of its first."""
    whole, some = alone(trainings(tmp_path / "whole")), trainings(tmp_path / "cut")
    for one, at in zip(some, (4, 3), strict=False):
        cut_short(alone, [one], at)
    agree(together(some), whole)


def test_every_epoch_is_told_and_checkpoints_are_written(tmp_path):
    told = []
    some = trainings(tmp_path / "a", (3, 4), lambda epoch, facts: told.append((epoch, *facts)))
    together(some)
    facts = "generator_loss", "discriminator_loss"
    assert told == [(epoch, *facts) for epoch in (1, 1, 2, 2)]


def test_one_that_diverges_leaves_the_others(float64, tmp_path, monkeypatch):
    """Its weights are no numbers from the start."""
    whole, start = together(trainings(tmp_path / "a")), many.start

    def spoilt(images, preset, learning_rate, seed, device):
        state = start(images, preset, learning_rate, seed, device)
        if seed == 4:
            torch.nn.init.constant_(state.discriminator.logit.weight, float("nan"))
        return state

    monkeypatch.setattr(many, "start", spoilt)
    first, second, third = together(trainings(tmp_path / "b"))
    assert isinstance(second, FloatingPointError)
    assert "diverged in epoch 1" in str(second)
    agree([first, third], [whole[0], whole[2]])


def test_the_published_layers_too(float64, tmp_path, monkeypatch):
    """With fewer channels."""
    ups = (Up(4, 1), Up(4, 2), Up(2, 2), Up(2, 2), Squeeze(3), Up(2, 2), Up(2, 2))
    monkeypatch.setitem(LAYERS, "dcgan-2023", Layers(4, ups, (2, 3, 4, 4, 5), kernel=5, beta1=0.9))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8)

    def some(name):
        (tmp_path / name).mkdir()
        return [replace(one, images=pixels) for one in trainings(tmp_path / name)]

    agree(together(some("a"), preset="dcgan-2023"), alone(some("b"), preset="dcgan-2023"))
