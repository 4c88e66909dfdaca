"""Trainings of the published study many at once: each is what it is alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from healthgan.classifiers import fold_program, folds, recording
from healthgan.classifiers.fit import Recipe, new_classifier
from healthgan.classifiers.folds import Examples, FoldTraining, run_folds, run_many_folds
from healthgan.keras_semantics import KerasAdam

CPU = torch.device("cpu")
PUBLISHED = Recipe(scale_pixels=False, learning_rate=1e-3, batch=16)
FLOAT64 = 1e-8
"""Probabilities after some tens of steps in float64. Unscaled pixels make sums of 10³ terms of 10² each, 1e-11 off in
another order where they are 1e5; a step of Adam divides by the root of a mean square and makes a hundred times that."""
TEST = np.random.default_rng(1).integers(0, 256, (11, 12, 12, 1), dtype=np.uint8)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    in_float64(monkeypatch)


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms compute in float64, from the same initial values."""

    def new(size, channels, recipe, seed, device):
        made = new_classifier(size, channels, recipe, seed, device)
        network = made.network.double()
        return replace(
            made, network=network, adam=KerasAdam(list(network.parameters()), recipe.learning_rate)
        )

    network = fold_program._network
    monkeypatch.setattr(folds, "new_classifier", new)
    monkeypatch.setattr(fold_program, "_network", lambda *given: network(*given).double())


def training(count: int, epochs: int, seed: int) -> FoldTraining:
    """Images of noise whose mean tells the label; every fifth one is synthetic."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    pixels = rng.integers(0, 200, (count, 12, 12, 1)) + 50 * labels[:, None, None, None]
    examples = Examples(
        pixels.astype(np.uint8), labels, np.arange(count) % 5 == 0, rng.permutation(count) % 3
    )
    return FoldTraining(examples, TEST, epochs, seed)


UNLIKE = [training(48, 2, 0), training(37, 3, 1), training(65, 3, 2), training(48, 2, 3), training(20, 1, 4)]
"""Of 32, 24 or 25, 43 or 44, and 13 or 14 images a fold: batches of 16 end with 16, 8 or 9, 11 or 12, 13 or 14."""


def together(trainings, *, reset, recipe=PUBLISHED, synthetic=True, memory=None, told=lambda *_: None):
    return run_many_folds(
        trainings, recipe=recipe, reset_between_folds=reset, synthetic_in_validation=synthetic,
        device=CPU, progress=told, memory=memory,
    )  # fmt: skip


def alone(trainings, *, reset, recipe=PUBLISHED, synthetic=True):
    return [
        run_folds(
            one.examples, one.test_pixels, recipe=recipe, epochs=one.epochs, reset_between_folds=reset,
            synthetic_in_validation=synthetic, seed=one.seed, device=CPU, progress=lambda _: None,
        )
        for one in trainings
    ]  # fmt: skip


def agree(found, expected, tolerance):
    for (scores, probabilities), (known, judged) in zip(found, expected, strict=True):
        assert scores == known
        np.testing.assert_allclose(probabilities, judged, rtol=0, atol=tolerance)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_together_each_is_what_it_is_alone_in_float64(float64, reset, scale):
    recipe = replace(PUBLISHED, scale_pixels=scale)
    expected = alone(UNLIKE, reset=reset, recipe=recipe)
    agree(together(UNLIKE, reset=reset, recipe=recipe), expected, FLOAT64)
    assert min(judged.std() for _, judged in expected) > 1e-4
    assert len({judged.tobytes() for _, judged in expected}) == len(UNLIKE)


def test_float32_rounds_as_much_together_as_alone(monkeypatch):
    """Beside the same trainings in float64; a rounding that turns a ReLU on moves a training in either form.

    Medians over trainings of root mean squares over images. Sums of 10³ terms in another order may round up to a few
    times as much or as little.
    """
    recipe = replace(PUBLISHED, scale_pixels=True)
    forms = [together(UNLIKE, reset=False, recipe=recipe), alone(UNLIKE, reset=False, recipe=recipe)]
    in_float64(monkeypatch)
    exact = alone(UNLIKE, reset=False, recipe=recipe)
    errors = [
        np.median(
            [np.sqrt(((one - true) ** 2).mean()) for (_, one), (_, true) in zip(form, exact, strict=True)]
        )
        for form in forms
    ]
    assert 1e-9 < errors[1] < 1e-5
    assert 1 / 4 < errors[0] / errors[1] < 4


def test_what_is_done_does_not_depend_on_what_else_is_trained(float64):
    """Nor on the order, or on how many the memory holds."""
    whole = together(UNLIKE, reset=False)
    agree(together(UNLIKE[::-1], reset=False)[::-1], whole, FLOAT64)
    agree(together(UNLIKE[1:2], reset=False), whole[1:2], FLOAT64)
    agree(together(UNLIKE, reset=False, memory=1), whole, FLOAT64)


def test_synthetic_images_are_left_out_of_validation_if_asked(float64):
    agree(
        together(UNLIKE[:2], reset=True, synthetic=False),
        alone(UNLIKE[:2], reset=True, synthetic=False),
        FLOAT64,
    )


def test_chains_that_are_done_leave_the_others(monkeypatch):
    """As many programs as there are lengths, each with fewer trainings, until the longest goes on alone."""
    sizes, made = [], fold_program.FoldProgram.__init__

    def counted(self, stack, *rest):
        sizes.append(len(stack.flat))
        made(self, stack, *rest)

    monkeypatch.setattr(fold_program.FoldProgram, "__init__", counted)
    told: dict[int, list[tuple[int, int]]] = {place: [] for place in range(len(UNLIKE))}
    together(UNLIKE, reset=False, told=lambda place, done, total: told[place].append((done, total)))
    assert sizes == [5, 4, 2, 1]
    for place, steps in enumerate((12, 18, 27, 12, 3)):
        assert told[place][-1] == (steps, steps)
        assert told[place] == sorted(told[place])


def test_blocks_may_be_small(float64, monkeypatch):
    """Where a block ends, in the middle of an epoch or not, changes nothing."""
    whole = together(UNLIKE, reset=False)
    monkeypatch.setattr("healthgan.classifiers.chains._SPAN", 2)
    agree(together(UNLIKE, reset=False), whole, FLOAT64)


def test_nothing_to_train():
    assert together([], reset=True) == []


def test_blocks_are_taken_step_by_step():
    """Each step reads its own part; a shorter block is taken as far as it goes."""

    class Counting(recording.Recorded):
        def step(self, block):
            self.total += block["add"]

        def state(self):
            return [self.total]

    counting = Counting(CPU, 20, 20)
    counting.total = torch.zeros((), dtype=torch.int64)
    adds = torch.arange(20)
    assert [count for count, _ in counting.taken([{"add": adds}, {"add": adds[:3]}])] == [20, 3]
    assert counting.total == adds.sum() + adds[:3].sum()
