"""Training by a recipe: the same bits from the same seed, the right batches, the right loss, a clear end."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy import stats

from healthgan.classifiers.draws import draw_pairs
from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe, digest
from healthgan.classifiers.train import coral, mixed, rate, train
from healthgan.errors import InputError

CPU = torch.device("cpu")
EVERYTHING = Augmentation(rotate=10, shift=0.1, scale=0.1, brightness=0.05, contrast=0.1, mirror=True)
MODULE = """
import torch
from torch import nn

batches = []

class Recording(nn.Module):
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.top = nn.Linear(channels * size[0] * size[1], outputs)
    def forward(self, x):
        if self.training:
            batches.append(x.detach().clone())
        return self.top(x.flatten(1))

class Dropping(nn.Module):
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(size[0] * size[1], 16), nn.Dropout(), nn.Linear(16, outputs))
    def forward(self, x):
        return self.layers(x)

class Linear64(nn.Module):
    '''In float64, from zero.'''
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.top = nn.Linear(channels * size[0] * size[1], outputs).double()
        nn.init.zeros_(self.top.weight)
        nn.init.zeros_(self.top.bias)
    def forward(self, x):
        return self.top(x.flatten(1).double()).float()
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The batches that a network 'recording:Recording' has seen."""
    (tmp_path / "recording.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import recording

    recording.batches.clear()
    return recording.batches


def toy(count=60, size=16, channels=1, seed=0):
    """Bright on the left is 0, bright on the right 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    ramp = np.linspace(-40, 40, size)
    levels = 120 + np.where(labels[:, None], ramp, -ramp)[:, None, :, None]
    pixels = levels + rng.integers(-40, 41, (count, size, size, channels))
    return pixels.clip(0, 255).astype(np.uint8), labels


POOL, LABELS = toy()
TARGETS = LABELS.astype(np.float32)[:, None]
ZEROS, ONES = (np.flatnonzero(label == LABELS) for label in (0, 1))
NUMBERED = np.arange(60, dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 1), np.uint8)
"""A pool whose images tell by their pixels where they stand."""


def phase(steps=20, **changes):
    defaults = {"parts": (Part(8, ZEROS), Part(8, ONES)), "targets": TARGETS}
    return Phase(**{"steps": steps, "learning_rate": 3e-3} | defaults | changes)


def recipe(*phases, network="cnn-2023", seed=0, weights=None):
    return Recipe(phases or (phase(),), network, seed, weights)


def places(batches):
    """(steps, B) positions of the images in batches of ``NUMBERED``."""
    return (torch.stack(batches)[:, :, 0, 0, 0] * 255).round().long().numpy()


@pytest.mark.parametrize(("network", "channels", "steps"), [("cnn-2023", 1, 300), ("cnn-2023", 3, 300), ("resnet-small", 1, 40)])  # fmt: skip
@pytest.mark.parametrize("augmentation", [Augmentation(), replace(EVERYTHING, mirror=False)])
def test_it_learns_what_is_plain(network, channels, steps, augmentation):
    pool, _ = toy(channels=channels)
    new, labels = toy(seed=1, channels=channels)
    trained = train(recipe(phase(steps, augmentation=augmentation), network=network), pool, CPU)
    logits = trained.predict(new)
    assert ((logits > 0) == labels).mean() > 0.95
    assert logits.shape == (60,)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("network", ["cnn-2023", "resnet-small", "recording:Dropping"])
def test_the_same_seed_gives_the_same_bits(recorded, network):
    """Whatever ran before; and the global generator is left as it was."""
    settings = phase(5, augmentation=EVERYTHING, mixup=0.3, align=Part(4, ZEROS), align_weight=1.0)
    made = recipe(settings, phase(4, targets=np.repeat(TARGETS, 2, 1)), network=network, seed=7)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(made, POOL, CPU)
    assert torch.equal(before, torch.get_rng_state())
    train(replace(made, seed=3), POOL[::-1], CPU)
    torch.rand(5)
    second, other = train(made, POOL, CPU), train(replace(made, seed=8), POOL, CPU)
    assert first.digest == second.digest != other.digest
    assert np.array_equal(first.predict(POOL), second.predict(POOL))
    assert not np.array_equal(first.predict(POOL), other.predict(POOL))


def test_the_global_generator_is_put_back_after_an_error(recorded):
    before = torch.get_rng_state()
    with pytest.raises(InputError, match="no network"):
        train(recipe(network="nothing"), POOL, CPU)
    assert torch.equal(before, torch.get_rng_state())


def test_images_that_no_part_draws_from_do_not_matter():
    """A test image that stands in the pool decides nothing, and equal digests of recipes are equal networks."""
    made = recipe(phase(3, parts=(Part(4, ZEROS[:9]), Part(4, ONES[:9])), augmentation=EVERYTHING))
    pool = POOL.copy()
    pool[20:] = 255 - pool[20:]
    assert digest(made, pool) == digest(made, POOL)
    assert train(made, pool, CPU).digest == train(made, POOL, CPU).digest
    pool[0] = 0
    assert train(made, pool, CPU).digest != train(made, POOL, CPU).digest


def test_the_pool_is_only_read():
    pool = POOL.copy()
    train(recipe(phase(3, augmentation=EVERYTHING, mixup=0.5)), pool, CPU)
    assert np.array_equal(pool, POOL)


def test_batches_are_made_of_their_parts(recorded):
    """In order, as many of each as asked for, drawn alike or by weight, with replacement."""
    weight = np.array([0.5, 0.3, 0.2, 0.0])
    parts = (Part(5, np.arange(10)), Part(3, np.arange(20, 24), weight), Part(1, np.array([40])))
    train(recipe(phase(1000, parts=parts), network="recording:Recording"), NUMBERED, CPU)
    drawn = places(recorded)
    assert drawn.shape == (1000, 9)
    counts = np.bincount(drawn.ravel(), minlength=60)
    assert counts.sum() == counts[:10].sum() + counts[20:24].sum() + counts[40]
    assert stats.chisquare(np.bincount(drawn[:, :5].ravel())).pvalue > 0.001
    assert stats.chisquare(counts[20:23], 3000 * weight[:3]).pvalue > 0.001
    assert counts[23] == 0
    assert (drawn[:, 8] == 40).all()
    assert any(len(set(row)) < 5 for row in drawn[:, :5].tolist())


def test_pixels_come_scaled_and_otherwise_as_they_are(recorded):
    train(recipe(phase(17), network="recording:Recording"), POOL, CPU)
    seen = {tuple(image.ravel().tolist()) for image in torch.cat(recorded)}
    assert seen <= {tuple((image.astype(np.float32) / 255).ravel().tolist()) for image in POOL}


def test_recipes_share_what_they_have_in_common(recorded):
    """Another second part, or augmentation, leaves the first part's draws; other steps leave the draws to there."""
    found = []
    for changes in ({}, {"parts": (Part(8, ZEROS), Part(5, np.arange(7)))}, {"mixup": 0.0, "steps": 30}):
        recorded.clear()
        train(recipe(phase(**changes), network="recording:Recording"), NUMBERED, CPU)
        found.append(places(recorded))
    assert np.array_equal(found[0][:, :8], found[1][:, :8])
    assert np.array_equal(found[0], found[2][:20])
    assert not np.array_equal(found[0], places(recorded)[10:30])


def test_a_training_computed_again_in_float64(recorded):
    """Schedule, Adam, class weights, unused targets: one image a part, so that nothing is random.

    Our steps' inputs and logits are float32 (2⁻²⁴ of values to about 4, in the gradient), the reference is all
    float64; 30 steps of at most 0.01, in which Adam divides by the gradient's size, leave 1e-5.
    """
    rng = np.random.default_rng(3)
    pool = rng.integers(0, 256, (3, 2, 2, 1), dtype=np.uint8)
    targets = np.array([[0.0, 1.0], [1.0, np.nan], [0.25, 0.0]], np.float32)
    parts = tuple(Part(1, np.array([place])) for place in range(3))
    settings = Phase(30, parts, targets, learning_rate=0.01, class_weights=(0.5, 2.0))
    logits = train(Recipe((settings,), "recording:Linear64"), pool, CPU).predict(pool)

    x = pool.reshape(3, 4) / 255.0
    x = np.concatenate([x, np.ones((3, 1))], axis=1)
    w, first, second = np.zeros((2, 5)), np.zeros((2, 5)), np.zeros((2, 5))
    used, y = ~np.isnan(targets), np.nan_to_num(targets.astype(float))
    for step in range(30):
        p = 1 / (1 + np.exp(-x @ w.T))
        slope = used * (0.5 * (1 - y) * p - 2.0 * y * (1 - p)) / used.sum()
        gradient = slope.T @ x
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        learning_rate = 0.01 / 2 if step == 0 else 0.005 * (1 + math.cos(math.pi * (step - 1) / 29))
        w -= learning_rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    np.testing.assert_allclose(logits, (x @ w.T)[:, 0], rtol=0, atol=1e-5)
    assert abs(logits).max() > 0.05


@given(st.integers(1, 5000))
def test_the_learning_rate_rises_and_falls_to_zero(steps):
    rates = np.array([rate(step, steps) for step in range(steps)])
    top = int(rates.argmax())
    assert top == min(100, steps // 20)
    assert rates[top] == 1
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert 0 < rates[-1] <= max(1 - math.cos(math.pi / (steps - top)), 1e-12) / 2 + 1e-12 or steps == 1


def test_mixup_mixes_pairs_of_a_batch():
    """Images and targets by the same share, which is Beta(α, α); each image is in two pairs; others stay."""
    steps, labelled, more = 400, 8, 3
    number = torch.arange(labelled + more, dtype=torch.float32).expand(steps, -1)
    # One-hot images, so that the parts of a mixture can be read.
    x = torch.eye(labelled + more).expand(steps, -1, -1)[:, :, :, None, None]
    y = number[:, :labelled, None]
    found, targets = mixed(x, y, *draw_pairs(steps, labelled, 0.4, np.random.default_rng(0)))
    assert torch.equal(found[:, labelled:], x[:, labelled:])
    share = found[:, :labelled, :labelled, 0, 0]
    torch.testing.assert_close(share.sum(dim=2), torch.ones(steps, labelled))
    assert not bool(found[:, :labelled, labelled:].any())
    torch.testing.assert_close(share @ y, targets, rtol=0, atol=1e-5)
    own = share.diagonal(dim1=1, dim2=2)
    partners = ((share > 0) & ~torch.eye(labelled, dtype=torch.bool)).sum(dim=2)
    assert int(partners.max()) == 1
    assert stats.kstest(own[partners == 1].numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 0.001
    assert torch.equal(x[0, :, :, 0, 0], torch.eye(labelled + more))  # in place nowhere


def test_mixup_with_an_unused_target_is_unused():
    y = torch.tensor([[[1.0], [float("nan")]]])
    pairs = draw_pairs(50, 2, 1.0, np.random.default_rng(0))
    _, targets = mixed(torch.zeros(50, 2, 1, 1, 1), y.expand(50, -1, -1), *pairs)
    assert set(targets.isnan().sum(dim=(1, 2)).tolist()) == {1, 2}


def test_coral_is_the_papers():
    """Eqs. 1 to 3 of Sun and Saenko (2016), in float64."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(9, 4)), rng.normal(size=(5, 4)) * 2
    covariances = []
    for features in (first, second):
        count, ones = len(features), np.ones((1, len(features)))
        mean = (ones @ features).T @ (ones @ features)
        covariances.append((features.T @ features - mean / count) / (count - 1))
    expected = ((covariances[0] - covariances[1]) ** 2).sum() / (4 * 4**2)
    found = float(coral(torch.from_numpy(first), torch.from_numpy(second)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_alignment_draws_the_domains_together():
    """The other domain's images are of higher contrast; their targets are not used."""
    other = np.clip((POOL.astype(int) - 120) * 2 + 120, 0, 255).astype(np.uint8)
    pool, targets = np.concatenate([POOL, other]), np.concatenate([TARGETS, TARGETS * np.nan])
    part = Part(16, np.arange(60, 120))
    distances = []
    for weight in (1e-9, 10.0):
        made = recipe(phase(150, targets=targets, align=part, align_weight=weight))
        trained = train(made, pool, CPU)
        ours, theirs = (torch.from_numpy(trained.features(half)) for half in (POOL, other))
        scale = float(torch.cov(ours.T).square().sum()) / (4 * 64**2)
        distances.append(float(coral(ours, theirs)) / scale)
        assert ((trained.predict(POOL) > 0) == LABELS).mean() > 0.9
    assert distances[1] < 0.5 * distances[0]


def test_a_phase_with_other_outputs_gets_a_new_head_and_keeps_the_rest():
    """The second phase's steps are too small to move anything."""
    first = phase(10, targets=np.repeat(TARGETS, 3, 1))
    still = phase(1, learning_rate=1e-30)
    after = train(recipe(first, still), POOL, CPU)
    before = train(recipe(first), POOL, CPU)
    assert np.array_equal(before.features(POOL), after.features(POOL))
    assert after.network.head.weight.shape == (1, 64)
    kept = train(recipe(phase(10), still), POOL, CPU)
    fresh = train(recipe(phase(10), replace(still, new_head=True)), POOL, CPU)
    alone = train(recipe(phase(10)), POOL, CPU)
    assert np.array_equal(alone.predict(POOL), kept.predict(POOL))
    assert np.array_equal(alone.features(POOL), fresh.features(POOL))
    assert not np.array_equal(alone.predict(POOL), fresh.predict(POOL))


def test_training_goes_on_from_initial_weights(tmp_path: Path):
    source = train(recipe(phase(10)), POOL, CPU)
    path = tmp_path / "weights.safetensors"
    tensors = {name: value.contiguous() for name, value in source.network.tensors().items()}
    save_file(tensors | {"else": torch.zeros(2)}, path)
    still = phase(1, learning_rate=1e-30)
    again = train(recipe(still, seed=5, weights=path), POOL, CPU)
    assert np.array_equal(source.predict(POOL), again.predict(POOL))
    assert again.weights_taken == len(tensors) == 8
    other = phase(1, learning_rate=1e-30, targets=np.repeat(TARGETS, 2, 1))
    part = train(recipe(other, seed=5, weights=path), POOL, CPU)
    assert np.array_equal(source.features(POOL), part.features(POOL))
    assert part.weights_taken == 6


def test_initial_weights_that_do_not_fit_are_refused(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(InputError, match="can't be read"):
        train(recipe(weights=path), POOL, CPU)
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="can't be read"):
        train(recipe(weights=path), POOL, CPU)
    save_file({"head.weight": torch.zeros(5, 64)}, path)
    with pytest.raises(InputError, match="None of the 1 tensors"):
        train(recipe(weights=path), POOL, CPU)


@pytest.mark.parametrize(("learning_rate", "where"), [(1e30, "by step"), (1e38, "by step|in its last step")])
def test_divergence_is_told(learning_rate, where):
    with pytest.raises(FloatingPointError, match=f"phase 2 diverged ({where}).*Lower the learning rate"):
        train(recipe(phase(1), phase(10, learning_rate=learning_rate)), POOL, CPU)


def test_every_step_is_told():
    told = []
    train(recipe(phase(20), phase(3)), POOL, CPU, told.append)
    assert told == sorted(set(told))
    assert told[-1] == 23
    assert 20 in told


def test_an_image_is_judged_alike_whatever_stands_beside_it():
    """In blocks of 512, without dropout. Sums in another order: some ulp of logits near 1."""
    trained = train(recipe(), POOL, CPU)
    many = POOL[np.arange(1100) % 60]
    logits = trained.predict(many)
    assert np.array_equal(logits, trained.predict(many))
    np.testing.assert_allclose(logits, trained.predict(POOL)[np.arange(1100) % 60], rtol=0, atol=1e-5)
    assert trained.predict(POOL[:0]).shape == (0,)
    assert trained.features(many).shape == (1100, 64)
    assert trained.features(many).dtype == np.float32


def test_large_images_are_drawn_in_smaller_chunks_of_the_same_batches(recorded, monkeypatch):
    found = []
    for values in (1 << 22, 200):
        monkeypatch.setattr("healthgan.classifiers.draws._CHUNK_VALUES", values)
        recorded.clear()
        train(recipe(phase(20, augmentation=EVERYTHING), network="recording:Recording"), NUMBERED, CPU)
        found.append(torch.stack(recorded))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)
