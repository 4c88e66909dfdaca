"""Several diffusion generators at once: each is what it is alone, also after a stop."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from cut_short import cut_short, furthest

from healthgan.generators import diffusion_program, diffusion_state, fit_diffusion
from healthgan.generators import fit_diffusions as many
from healthgan.generators.diffusion import Settings
from healthgan.generators.fit_diffusion import fit_diffusion as fit_one
from healthgan.generators.fit_diffusions import DiffusionTraining, fit_diffusions

CPU = torch.device("cpu")
SETTINGS = Settings(steps=6, batch=4, width=4, checks=2, heldout=3, bfloat16=False)
FLOAT64 = 1e-9
"""Weights after six steps in float64: sums of 10³ terms near 1 are 1e-15 off in another order, and a step of Adam may make
10⁵ of that where a slope is small."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both forms compute in float64; draws are of that type too."""
    scale = diffusion_state.scale
    for module in (fit_diffusion, diffusion_state, diffusion_program):
        monkeypatch.setattr(module, "scale", lambda pixels, mean: scale(pixels, 0.0).double() - mean)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trainings(folder, seeds=(1, 3), progress=None, count=24, size=16):
    """Images of two classes, a third of them rare; the last training has other images."""
    folder.mkdir(exist_ok=True)
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    return [
        DiffusionTraining(
            np.random.default_rng(seed // 3).integers(0, 256, (count, size, size, 1), dtype=np.uint8),
            labels, None, seed, folder / f"{seed}.checkpoint", progress,
        )
        for seed in seeds
    ]  # fmt: skip


def together(some, settings=SETTINGS, **changes):
    return fit_diffusions(some, settings=settings, device=CPU, **changes)


def alone(some, settings=SETTINGS, **changes):
    return [
        fit_one(
            one.images, one.labels, one.patients, settings=settings, seed=one.seed, device=CPU,
            checkpoint=one.checkpoint, progress=one.progress, **changes,
        )
        for one in some
    ]  # fmt: skip


def agree(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert furthest(one.network, other.network) < FLOAT64
        assert (one.chosen, one.stopped, one.mean, one.spread) == (
            other.chosen, other.stopped, other.mean, other.spread,
        )  # fmt: skip
        for check, known in zip(one.checks, other.checks, strict=True):
            figures = check.training, check.heldout, check.diversity
            assert figures == pytest.approx((known.training, known.heldout, known.diversity), rel=1e-6)


@pytest.mark.parametrize("mirror", [True, False])
def test_together_each_is_what_it_is_alone_in_float64(float64, tmp_path, mirror):
    settings = Settings(**{**vars(SETTINGS), "mirror": mirror})
    found = together(trainings(tmp_path / "a"), settings)
    expected = alone(trainings(tmp_path / "b"), settings)
    agree(found, expected)
    assert len({one.checks[-1].training for one in found}) == 2
    assert not list(tmp_path.glob("*/*")), "a checkpoint was left"


def test_images_whose_sides_no_patch_divides(float64, tmp_path):
    """They are padded, and cropped again."""
    agree(together(trainings(tmp_path / "a", size=18)), alone(trainings(tmp_path / "b", size=18)))


def test_what_is_done_does_not_depend_on_what_else_is_trained(float64, tmp_path):
    whole = together(trainings(tmp_path / "a"))
    agree(together(trainings(tmp_path / "b", (3, 1))), [whole[1], whole[0]])
    agree(together(trainings(tmp_path / "c"), memory=1), whole)


def test_float32_is_within_rounding(tmp_path):
    """The losses of six steps from equal weights; after them rounding has had little to grow from."""
    found, expected = together(trainings(tmp_path / "a")), alone(trainings(tmp_path / "b"))
    for one, other in zip(found, expected, strict=True):
        losses = [(check.training, check.heldout) for check in one.checks]
        assert losses == [pytest.approx((check.training, check.heldout), rel=1e-4) for check in other.checks]


@pytest.mark.parametrize("at", [1, 2])
def test_stopped_it_goes_on_to_the_same_result_together_or_alone(float64, tmp_path, monkeypatch, at):
    """After blocks of two steps, one, two and one: checks are due after three and six."""
    monkeypatch.setattr(diffusion_program, "_SPAN", 2)
    whole = alone(trainings(tmp_path / "whole"))
    for folder, goes_on in (("a", together), ("b", alone)):
        agree(goes_on(cut_short(together, trainings(tmp_path / folder), at)), whole)


def test_trainings_that_are_not_as_far_go_on_apart(float64, tmp_path):
    whole, some = alone(trainings(tmp_path / "whole")), trainings(tmp_path / "cut")
    cut_short(alone, some[:1], 4)
    agree(together(some), whole)


def test_one_that_diverges_leaves_the_others(float64, tmp_path, monkeypatch):
    """Its weights are no numbers from the start."""
    whole, start = together(trainings(tmp_path / "a")), many.start

    def spoilt(images, labels, patients, settings, seed, device):
        state = start(images, labels, patients, settings, seed, device)
        if seed == 3:
            torch.nn.init.constant_(state.network.last.bias, float("nan"))
        return state

    monkeypatch.setattr(many, "start", spoilt)
    first, second = together(trainings(tmp_path / "b"))
    assert isinstance(second, FloatingPointError)
    assert "diverged at step 1" in str(second)
    agree([first], whole[:1])


def test_checks_are_told(tmp_path):
    told = []
    together(trainings(tmp_path / "a", (1, 2), lambda step, facts: told.append((step, *facts))))
    facts = "training_loss", "held_out_loss"
    assert told == [(step, *facts) for step in (3, 3, 6, 6)]
