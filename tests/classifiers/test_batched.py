"""Many classifiers at once are what each is alone: to rounding in float64, within what float32 allows in use."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from healthgan.classifiers import batched, feed, networks, program, room
from healthgan.classifiers import train as single
from healthgan.classifiers.batched import train_many
from healthgan.classifiers.draws import chunk_steps, draw
from healthgan.classifiers.judging import predict_many
from healthgan.classifiers.pictures import Pictures
from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe
from healthgan.classifiers.train import Trained, train
from healthgan.errors import InputError

CPU = torch.device("cpu")
EVERYTHING = Augmentation(rotate=10, shift=0.1, scale=0.1, brightness=0.05, contrast=0.1, mirror=True)
KINDS = [
    Augmentation(),
    EVERYTHING,
    Augmentation(mirror=True),
    Augmentation(brightness=0.3, mirror=True),
    Augmentation(rotate=90, contrast=0.2),
]
FLOAT64 = 1e-9
"""Logits and weights after some tens of steps in float64: 2⁻⁵³ of values near 1 is 1e-16, sums of 10⁴ terms in another
order 1e-14, and a step of Adam, which divides by the root of the mean square, has been seen to make ten times that."""
FLOAT32 = 2e-5
"""Logits and weights after up to ten steps of 1e-3 in float32: 2⁻²⁴ of values below 1, in sums of 10³ terms of both signs, is
2e-6 a pass."""
OWN = """
import torch
from torch import nn

def plain(channels, size, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], 8), nn.Tanh(), nn.Linear(8, outputs))

def dropping(channels, size, outputs):
    return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(channels * size[0] * size[1], outputs))

def remembering(channels, size, outputs):
    width = channels * size[0] * size[1]
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(width), nn.Linear(width, outputs))

class Asking(nn.Module):
    '''Looks at values, which a batch of networks can't.'''
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.top = nn.Linear(channels * size[0] * size[1], outputs)
    def forward(self, x):
        y = self.top(x.flatten(1))
        return y if float(y.detach().sum()) > 1e9 else 2 * y
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks 'mine:…' of the user's own."""
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    in_float64(monkeypatch)


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms compute in float64, from the same initial values."""

    def build(*arguments) -> networks.Network:
        return networks.build(*arguments).double()

    monkeypatch.setattr(single, "build", build)
    monkeypatch.setattr(single, "check_outputs", lambda *_: None)


def pool_of(count=60, size=12, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


POOL = pool_of()
TARGETS = (np.arange(60) % 2).astype(np.float32)[:, None]
ZEROS, ONES = np.flatnonzero(TARGETS[:, 0] == 0), np.flatnonzero(TARGETS[:, 0] == 1)


def phase(steps=20, **changes):
    defaults = {"parts": (Part(4, ZEROS), Part(4, ONES)), "targets": TARGETS, "learning_rate": 1e-3}
    return Phase(**{"steps": steps} | defaults | changes)


def unlike(steps, network="cnn-2023"):
    """Recipes of one shape that differ in all that may differ, in two phases with other outputs."""
    several = np.repeat(TARGETS, 2, 1)
    several[:7, 1] = np.nan
    weight = np.linspace(1, 2, len(ONES)) / np.linspace(1, 2, len(ONES)).sum()
    found = []
    for number, kind in enumerate(KINDS):
        first = phase(
            steps,
            augmentation=kind,
            mixup=0.3 * (number % 2),
            class_weights=(0.5, 2.0 ** (number - 1)),
            learning_rate=1e-3 * (number + 1),
            align=Part(3, ZEROS[number:]),
            align_weight=1.0 + number,
        )
        second = phase(
            steps + 3,
            parts=(Part(5, np.arange(number, 50)), Part(2, ONES, weight if number % 2 else None)),
            targets=several,
            augmentation=KINDS[-1 - number],
            mixup=0.2 * (number > 2),
        )
        found.append((Recipe((first, second), network, seed=number), POOL))
    return found


def worst(trained: Trained, other: Trained) -> float:
    """The largest difference between weights."""
    pairs = zip(trained.network.parameters(), other.network.parameters(), strict=True)
    return max(float((one - two).detach().abs().max()) for one, two in pairs)


def one_by_one(trainings):
    return [train(recipe, pool, CPU) for recipe, pool in trainings]


@pytest.mark.parametrize(("network", "steps"), [("cnn-2023", 15), ("resnet-small", 4)])
def test_many_at_once_are_what_each_is_alone_in_float64(float64, network, steps):
    trainings = unlike(steps, network)
    together, alone = train_many(trainings, CPU), one_by_one(trainings)
    for number, (many, one) in enumerate(zip(together, alone, strict=True)):
        assert isinstance(many, Trained)
        assert next(many.network.parameters()).dtype == torch.float64
        assert worst(many, one) < FLOAT64, f"recipe {number}"
        x = torch.from_numpy(POOL).permute(0, 3, 1, 2).double() / 255
        with torch.no_grad():
            assert (many.network(x) - one.network(x)).abs().max() < FLOAT64
    assert min(worst(one, other) for one in alone for other in alone if one is not other) > 1e-4


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 13)])
@pytest.mark.parametrize("steps", [1, 5, 30])
def test_many_at_once_round_as_each_alone(monkeypatch, channels, size, steps):
    """Both forms lie equally far from the same training in float64.

    Medians over recipes, root mean squares over images: a rounding that turns a ReLU or another pixel of a pool on
    moves one recipe in ten by 1e-5 to 1e-2 within 30 steps, in either form. Sums of 10³ terms in another order may
    round up to a few times as much or as little.
    """
    pool = pool_of(size=size, channels=channels)
    trainings = [
        (Recipe((phase(steps, augmentation=kind, mixup=0.2 * (number > 2)),), seed=number), pool)
        for number, kind in enumerate(KINDS)
    ]
    together = predict_many(train_many(trainings, CPU), pool)
    alone = np.stack([one.predict(pool) for one in one_by_one(trainings)])
    in_float64(monkeypatch)
    x = torch.from_numpy(pool).permute(0, 3, 1, 2).double() / 255
    exact = np.stack([one.network(x)[:, 0].detach().numpy() for one in one_by_one(trainings)])
    errors = [np.median(np.sqrt(((found - exact) ** 2).mean(axis=1))) for found in (together, alone)]
    assert 1e-9 < errors[1] < 1e-6 < 0.01 < abs(exact).max()
    assert 1 / 4 < errors[0] / errors[1] < 4


def test_a_longer_training_judges_alike():
    """After 100 steps of five recipes, roundings have grown in some; the median recipe agrees to 0.1 % of its spread."""
    trainings = [
        (Recipe((phase(100, augmentation=kind),), seed=seed), POOL) for seed, kind in enumerate(KINDS)
    ]
    together = predict_many(train_many(trainings, CPU), POOL)
    alone = np.stack([one.predict(POOL) for one in one_by_one(trainings)])
    assert np.median(abs(together - alone).max(axis=1) / alone.std(axis=1)) < 1e-3


def test_one_alone_is_the_single_form():
    trainings = unlike(3)[:1]
    (found,) = train_many(trainings, CPU)
    assert isinstance(found, Trained)
    assert found.digest == one_by_one(trainings)[0].digest


def agree(found, expected):
    """The same trainings to rounding; bits may differ with what lies beside a network in memory."""
    logits = predict_many(found, POOL), predict_many(expected, POOL)
    np.testing.assert_allclose(*logits, rtol=0, atol=FLOAT32)
    assert len(np.unique(logits[0], axis=0)) == len(found)


def test_what_is_done_does_not_depend_on_what_else_is_trained():
    """Nor on the order, or on another group beside."""
    trainings = unlike(4)
    whole = train_many(trainings, CPU)
    agree(train_many(trainings[::-1], CPU)[::-1], whole)
    agree(train_many(trainings[:3], CPU), whole[:3])
    other = (Recipe((phase(7),), seed=9), pool_of(size=14))
    agree(train_many([trainings[0], other, *trainings[1:], other], CPU)[2:6], whole[1:])


def test_as_many_at_a_time_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch):
    trainings = unlike(3)
    whole = train_many(trainings, CPU)
    sizes = []
    run = batched._Group._together

    def counted(self, members, pool, told):
        sizes.append(len(members))
        return run(self, members, pool, told)

    monkeypatch.setattr(batched._Group, "_together", counted)
    agree(train_many(trainings, CPU, memory=1), whole)
    assert sizes == [1] * 5
    sizes.clear()
    train_many(trainings, CPU)
    assert sizes == [5]


def test_a_device_that_runs_out_of_memory_gets_half(monkeypatch: pytest.MonkeyPatch):
    trainings, sizes, told = unlike(3), [], []
    whole = train_many(trainings, CPU)
    run = batched._Group._together

    def small(self, members, pool, told):
        sizes.append(len(members))
        if len(members) > 2:
            raise torch.OutOfMemoryError("the device is full")
        return run(self, members, pool, told)

    monkeypatch.setattr(batched._Group, "_together", small)
    agree(train_many(trainings, CPU, told.append), whole)
    assert sizes == [5, 3, 2, 2, 1]
    assert told == sorted(told)
    assert told[-1] == sum(recipe.steps for recipe, _ in trainings)

    def full(self, members, pool, told):
        raise torch.OutOfMemoryError("the device is full")

    monkeypatch.setattr(batched._Group, "_together", full)
    with pytest.raises(torch.OutOfMemoryError):
        train_many(trainings, CPU)


def test_the_estimate_follows_from_what_a_step_keeps():
    """At least what the gradient of the largest layer needs: 26·26 places of 9 pixels and 16 outputs."""
    network = networks.build("cnn-2023", 1, (28, 28), 1, torch.Generator().manual_seed(0), CPU)
    found = room.activations(network, (28, 28, 1), CPU)
    assert 4 * 26 * 26 * (9 + 16) < found < 20 * 4 * 26 * 26 * (9 + 16)


def test_one_that_diverges_leaves_the_others():
    """With the single form's message, and what it says of the step."""
    fine = [(Recipe((phase(40),), seed=seed), POOL) for seed in range(3)]
    wild = [(Recipe((phase(40, learning_rate=rate),), seed=7), POOL) for rate in (1e30, 1e38)]
    found = train_many([fine[0], wild[0], fine[1], wild[1], fine[2]], CPU)
    for place, training in ((1, wild[0]), (3, wild[1])):
        with pytest.raises(FloatingPointError) as alone:
            train(*training, CPU)
        assert isinstance(found[place], FloatingPointError)
        assert str(found[place]) == str(alone.value)
    agree([found[place] for place in (0, 2, 4)], train_many(fine, CPU))


def test_one_that_diverges_in_its_last_step_is_told(monkeypatch: pytest.MonkeyPatch):
    wild = [(Recipe((phase(1, learning_rate=3e38),), seed=seed), POOL) for seed in range(2)]
    monkeypatch.setattr(program, "BETA1", 0.0)  # the first step is then 3e38 / 0.1, beyond float32
    for found in train_many(wild, CPU):
        assert isinstance(found, FloatingPointError)
        assert "phase 1 diverged in its last step" in str(found)


def test_wrong_networks_and_weights_are_refused(tmp_path: Path):
    made = [Recipe((phase(2),), "nothing", seed) for seed in range(2)]
    with pytest.raises(InputError, match="no network"):
        train_many([(recipe, POOL) for recipe in made], CPU)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"no tensors")
    made = [Recipe((phase(2),), seed=seed, weights=path) for seed in range(2)]
    with pytest.raises(InputError, match="can't be read"):
        train_many([(recipe, POOL) for recipe in made], CPU)


def test_initial_weights_are_taken(tmp_path: Path):
    source = train(Recipe((phase(5),)), POOL, CPU)
    path = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in source.network.tensors().items()}, path)
    still = phase(1, learning_rate=1e-30)
    fresh, taken, again = train_many(
        [(Recipe((still,), seed=5, weights=weights), POOL) for weights in (None, path, path)], CPU
    )
    assert (fresh.weights_taken, taken.weights_taken) == (0, 8)
    assert worst(taken, source) < 1e-20
    assert worst(taken, again) == 0
    assert worst(fresh, source) > 0.01


@pytest.mark.parametrize("new_head", [True, False])
def test_a_new_head_in_any_phase(float64, new_head):
    phases = phase(5, new_head=new_head), phase(5, new_head=not new_head)
    trainings = [(Recipe(phases, seed=seed), POOL) for seed in range(2)]
    for many, one in zip(train_many(trainings, CPU), one_by_one(trainings), strict=True):
        assert worst(many, one) < FLOAT64


@pytest.mark.parametrize(
    ("name", "together"), [("plain", True), ("dropping", False), ("remembering", False), ("Asking", False)]
)
def test_networks_of_the_users_own(own, monkeypatch, name, together):
    """Together where that can be done; else what they are alone, to the last bit."""
    calls = []
    monkeypatch.setattr(batched, "train", lambda *arguments: calls.append(1) or train(*arguments))
    trainings = [
        (Recipe((phase(6, augmentation=EVERYTHING), phase(4)), f"mine:{name}", seed), POOL)
        for seed in range(3)
    ]
    before = torch.get_rng_state()
    found = train_many(trainings, CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert len(calls) == (0 if together else 3)
    for many, one in zip(found, one_by_one(trainings), strict=True):
        assert worst(many, one) <= (FLOAT32 if together else 0)
    expected = np.stack([one.predict(POOL) for one in found])
    np.testing.assert_allclose(predict_many(found, POOL), expected, rtol=0, atol=1e-5)


def test_networks_of_the_users_own_that_change_their_head_go_alone(own, monkeypatch):
    calls = []
    monkeypatch.setattr(batched, "train", lambda *arguments: calls.append(1) or train(*arguments))
    trainings = [(Recipe((phase(2), phase(2, new_head=True)), "mine:plain", seed), POOL) for seed in range(2)]
    for many, one in zip(train_many(trainings, CPU), one_by_one(trainings), strict=True):
        assert many.digest == one.digest
    assert len(calls) == 2


def test_many_judge_as_each_alone(monkeypatch):
    """Whatever the blocks, and whatever else is asked beside them."""
    recipes = [
        Recipe((phase(2),), network, seed) for network in ("cnn-2023", "resnet-small") for seed in range(3)
    ]
    trained = [
        train(recipe, POOL, CPU)
        for recipe in [*recipes, Recipe((phase(2, targets=np.repeat(TARGETS, 2, 1)),))]
    ]
    expected = np.stack([one.predict(POOL) for one in trained])
    for memory in (None, 1, 1 << 20):
        found = predict_many(trained, POOL, memory)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_pools_are_kept_once():
    """Trainings that share images share them on the device, wherever they stand in their pools."""
    kept = []
    monkey = Pictures.add

    def noted(self, pixels):
        places = monkey(self, pixels)
        kept.append(len(self.pixels))
        return places

    shuffled = np.random.default_rng(1).permutation(60)
    moved = replace(phase(3), targets=TARGETS[shuffled], parts=tuple(
        Part(part.images, np.argsort(shuffled)[part.index]) for part in phase().parts))  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pictures, "add", noted)
        first, second = train_many([(Recipe((phase(3),)), POOL), (Recipe((moved,)), POOL[shuffled])], CPU)
    assert kept == [60, 60]
    assert worst(first, second) < FLOAT32


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 8), st.just(1), st.integers(1, 9), st.just(1)), elements=st.integers(0, 1)), st.integers(1, 8))  # fmt: skip
def test_an_image_is_found_where_its_equal_lies(images, cut):
    pictures = Pictures(images.shape[1:])
    places = np.concatenate([pictures.add(images[:cut]), pictures.add(images[cut:])])
    assert np.array_equal(pictures.pixels[places], images)
    assert len(pictures.pixels) == len(np.unique(images, axis=0)) if len(images) else True


def test_images_whose_sums_collide_are_told_apart(monkeypatch):
    monkeypatch.setattr(Pictures, "_summed", lambda _, pixels: np.zeros(len(pixels), np.uint64))
    pictures = Pictures((2, 2, 1))
    images = pool_of(12, 2)
    for some in (images[:5], images[3:], images[::-1]):
        places = pictures.add(some)
        assert np.array_equal(pictures.pixels[places], some)


def dropping(seed):
    return networks.Dropout(0.5, torch.Generator().manual_seed(seed)).train()


def test_blocks_hold_what_the_single_form_draws(monkeypatch):
    """Index, targets and factors of Adam of every step, whatever the length of a block; dropout as a network draws it."""
    monkeypatch.setattr(feed, "_SPAN", 32)
    lanes = [
        feed.Lane(phase(50, mixup=alpha), 1, seed, np.arange(60) + 100, dropping(seed))
        for seed, alpha in ((4, 0.5), (5, 0.0))
    ]
    made = feed.Feed(lanes, 144, 64, torch.float32, pin=False)
    blocks = list(made.blocks())
    assert [len(block["root"]) for block in blocks] == [32, 18]
    whole = {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}
    for row, lane in enumerate(lanes):
        drawn = list(draw(lane.phase, 1, lane.seed, chunk_steps(lane.phase, 144)))
        index = np.concatenate([one.index for one in drawn])
        assert np.array_equal(whole["index"][:, row].numpy(), index + 100)
        again = dropping(lane.seed)
        for step in range(50):
            assert torch.equal(whole["mask"][step, row].float() * 2, again(torch.ones(8, 64)))
    assert torch.equal(whole["targets"][:, 1], torch.from_numpy(TARGETS)[index[:, :8]])
    assert torch.equal(whole["other"][:, 1], torch.arange(8, 16, dtype=torch.int32).expand(50, 8))
    assert bool((whole["share"][:, 1] == 1).all())
    steps = np.arange(1, 51)
    np.testing.assert_allclose(whole["root"], 1 / np.sqrt(1 - 0.999**steps), rtol=1e-6)
    expected = [-1e-3 * single.rate(step, 50) / (1 - 0.9 ** (step + 1)) for step in range(50)]
    np.testing.assert_allclose(whole["rates"][:, 0], expected, rtol=1e-6)


def test_adam_is_pytorchs():
    """In float64, with a rate for every network."""
    rng = torch.Generator().manual_seed(0)
    slopes = torch.randn(20, 2, 7, generator=rng, dtype=torch.float64)
    rates = [1e-2, 3e-3]
    ours = program.Program.__new__(program.Program)
    start = torch.randn(2, 7, generator=rng, dtype=torch.float64)
    ours.flat, ours.first, ours.second = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    ours.epsilon = torch.tensor(1e-8, dtype=torch.float64)
    for step, slope in enumerate(slopes, start=1):
        factors = -torch.tensor(rates, dtype=torch.float64) / (1 - 0.9**step)
        ours._adam(slope, factors, torch.tensor(1 / math.sqrt(1 - 0.999**step), dtype=torch.float64))
    for row, rate in enumerate(rates):
        value = torch.nn.Parameter(start[row].clone())
        adam = torch.optim.Adam([value], lr=rate)
        for slope in slopes:
            value.grad = slope[row].clone()
            adam.step()
        torch.testing.assert_close(ours.flat[row], value.detach(), rtol=0, atol=1e-14)


def test_nothing_to_train():
    assert train_many([], CPU) == []
