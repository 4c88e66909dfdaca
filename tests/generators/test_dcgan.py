"""The DCGAN: its networks, its training, and going on after an interruption."""

import numpy as np
import pytest
import torch

from healthgan.errors import InputError
from healthgan.generators.checkpoint import write_checkpoint
from healthgan.generators.dcgan import Discriminator, Generator, build, gan_losses
from healthgan.generators.fit_dcgan import fit_dcgan, load_generator, render, save_generator
from healthgan.stopping import Stopped

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(network):
    return sum(parameter.numel() for parameter in network.parameters())


def train(checkpoint, progress=lambda *_: None, *, seed=3, epochs=4, learning_rate=1e-3, stop=lambda: False):
    """20 images of 16×16 in batches of 8: the last batch of an epoch is smaller."""
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    return fit_dcgan(
        images, preset="dcgan-small", epochs=epochs, batch=8, learning_rate=learning_rate, seed=seed,
        device=CPU, checkpoint=checkpoint, checkpoint_seconds=0.0, progress=progress,
        stop=stop,
    )  # fmt: skip


def same(first, second):
    ours, theirs = first.generator.state_dict(), second.generator.state_dict()
    return (
        all(torch.equal(ours[name], theirs[name]) for name in ours)
        and np.array_equal(first.noise, second.noise)
        and np.array_equal(first.history, second.history)
        and np.array_equal(first.losses, second.losses)
    )


def test_the_published_networks_have_the_published_sizes():
    """Counted by hand from the study's layers: kernels, biases, and two numbers a channel for each BN."""
    with torch.device("meta"):
        generator, discriminator = Generator("dcgan-2023", 28, 1), None
    stem = 100 * 12544 + 2 * 12544
    grids = 25 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 16) + 2 * (128 + 64 + 32 + 16)
    squeeze = 56 * 56 * 16 * 784 + 2 * 784
    last = 25 * (16 * 8 + 8 * 4 + 4) + 2 * (8 + 4)
    assert weights(generator) == stem + grids + squeeze + last == 41_711_644
    discriminator = Discriminator("dcgan-2023", 28, 1, seeded())
    layers = ((1, 16), (16, 32), (32, 64), (64, 128), (128, 256))
    assert weights(discriminator) == sum(25 * a * b + b for a, b in layers) + 256 + 1 == 1_089_153


@pytest.mark.parametrize(
    ("preset", "size", "channels"),
    [("dcgan-2023", 28, 1), *[("dcgan-small", size, c) for size in (16, 28, 36) for c in (1, 3)]],
)
def test_shapes_and_ranges(preset, size, channels):
    generator, discriminator = build(preset, size, channels, seeded(), CPU)
    images = generator(torch.randn(2, 100, generator=seeded(1)))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (2,)


@pytest.mark.parametrize(
    ("preset", "size", "advice"),
    [("dcgan-2023", 32, "--size 28"), ("dcgan-2023", 64, "dcgan-small"), ("dcgan-small", 30, "--size 28")],
)
def test_a_size_that_cannot_be_made_is_the_users_fault(preset, size, advice):
    with pytest.raises(InputError, match=advice) as caught:
        Generator(preset, size, 1)
    assert str(size) in str(caught.value)


def test_initial_values_depend_on_the_seed_alone():
    first, same_seed, other = (build("dcgan-small", 16, 1, seeded(seed), CPU)[0] for seed in (1, 1, 2))
    assert torch.equal(first.image.weight, same_seed.image.weight)
    assert not torch.equal(first.image.weight, other.image.weight)


def test_losses_at_known_logits():
    """−log σ(x) at 0 is log 2, and x itself at −x large; the discriminator's is the sum of two means."""
    generator_loss, discriminator_loss = gan_losses(torch.zeros(3), torch.full((5,), -50.0))
    assert float(generator_loss) == pytest.approx(50.0, abs=1e-5)
    assert float(discriminator_loss) == pytest.approx(np.log(2), abs=1e-6)


def test_an_interrupted_training_goes_on_to_the_same_result(tmp_path):
    class Interrupted(Exception):  # noqa: N818 - it is no error
        pass

    def stop(epoch, measured):
        if epoch == 2:
            raise Interrupted

    whole = train(tmp_path / "whole")
    checkpoint = tmp_path / "cut"
    with pytest.raises(Interrupted):
        train(checkpoint, stop)
    assert checkpoint.exists()
    seen = []
    resumed = train(checkpoint, lambda epoch, _: seen.append(epoch))
    assert seen == [3, 4]
    assert same(whole, resumed)
    assert not checkpoint.exists()


@pytest.mark.parametrize("at", [1, 3, 5, 12])
def test_asked_to_stop_it_ends_after_the_step_and_goes_on_to_the_same_result(tmp_path, at):
    """In the first epoch, at its end, in the middle of the second, and after the last of all 12 steps."""
    whole, checkpoint, steps = train(tmp_path / "whole"), tmp_path / "cut", iter(range(1, at + 1))
    with pytest.raises(Stopped):
        train(checkpoint, stop=lambda: next(steps) == at)
    assert next(steps, None) is None, "it stopped before it was asked to"
    seen = []
    resumed = train(checkpoint, lambda epoch, _: seen.append(epoch))
    assert seen == list(range(1 + (at - 1) // 3, 5))
    assert same(whole, resumed)
    assert not checkpoint.exists()


def test_a_bit_flipped_in_the_checkpoint_is_told_and_training_starts_afresh(tmp_path, caplog):
    whole, checkpoint, steps, seen = train(tmp_path / "whole"), tmp_path / "cut", iter(range(1, 9)), []
    with pytest.raises(Stopped):
        train(checkpoint, stop=lambda: next(steps) == 8)
    content = bytearray(checkpoint.read_bytes())
    content[-1000] ^= 1
    checkpoint.write_bytes(content)
    found = train(checkpoint, lambda epoch, _: seen.append(epoch))
    assert seen == [1, 2, 3, 4]
    assert f"'{checkpoint}' is damaged" in caplog.text
    assert same(whole, found)
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path):
    checkpoint = tmp_path / "cut"
    write_checkpoint(checkpoint, {"rng": torch.zeros(3, dtype=torch.uint8)})
    content = checkpoint.read_bytes()
    with pytest.raises(InputError, match="Remove it to train from the start"):
        train(checkpoint)
    assert checkpoint.read_bytes() == content


def test_training_depends_on_the_seed_and_on_nothing_global(tmp_path):
    torch.manual_seed(1)
    first = train(tmp_path / "a", epochs=2)
    torch.manual_seed(2)
    assert same(first, train(tmp_path / "b", epochs=2))
    assert not same(first, train(tmp_path / "c", epochs=2, seed=4))


def test_what_a_training_leaves(tmp_path):
    told = []
    run = train(tmp_path / "a", lambda epoch, measured: told.append((epoch, measured)), epochs=3)
    assert run.history.shape == (4, 16, 16, 16, 1)
    assert run.history.dtype == np.uint8
    assert run.noise.shape == (16, 100)
    assert np.array_equal(run.history[-1], render(run.generator, torch.from_numpy(run.noise)))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    losses = [(measured["generator_loss"], measured["discriminator_loss"]) for _, measured in told]
    assert np.array_equal(run.losses, np.asarray(losses, np.float32))


def test_a_diverging_training_says_so(tmp_path):
    with pytest.raises(FloatingPointError, match="diverged in epoch"):
        train(tmp_path / "a", learning_rate=1e30)


def test_an_image_does_not_depend_on_its_batch():
    """Sums may be ordered otherwise in another batch: some 1e-6 of a grey level's 1/127.5, so an image
    differs by one level at most, and where the value lay that close to a rounding limit only."""
    generator, _ = build("dcgan-small", 28, 1, seeded(), CPU)
    noise = torch.randn(70, 100, generator=seeded(1))
    whole = render(generator, noise).astype(int)
    assert whole.shape == (70, 28, 28, 1)
    for part in (slice(0, 1), slice(3, 20), slice(60, 70)):
        apart = np.abs(render(generator, noise[part]) - whole[part])
        assert apart.max() <= 1
        assert apart.mean() <= 1e-3
    assert generator.training


def test_a_generator_comes_back_from_its_file(tmp_path):
    generator, _ = build("dcgan-small", 16, 3, seeded(), CPU)
    generator(torch.randn(8, 100, generator=seeded(1)))  # moves the moving statistics off their start
    path = tmp_path / "generator.safetensors"
    save_generator(generator, "dcgan-small", 16, 3, path)
    loaded = load_generator(path, "dcgan-small", 16, 3)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    noise = torch.randn(16, 100, generator=seeded(2))
    difference = np.abs(render(generator, noise).astype(int) - render(loaded, noise))
    assert difference.max() <= 1  # kernels lie otherwise in memory, so sums may be ordered otherwise
