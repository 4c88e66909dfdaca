"""Training one classifier: determinism, learning, and Keras's conventions."""

import numpy as np
import pytest
import torch

from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict

CPU = torch.device("cpu")
PLAIN = Recipe(scale_pixels=False, learning_rate=1e-3, batch=32)


pytestmark = pytest.mark.usefixtures("one_thread")


def silent(epoch):
    pass


def toy(count=96, size=16, channels=1, seed=0):
    """Dark images are 0, bright ones 1: half of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    levels = np.where(labels, 160, 90)[:, None, None, None]
    pixels = levels + rng.integers(-40, 41, (count, size, size, channels))
    return pixels.astype(np.uint8), labels


def noise_images(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8), rng.integers(0, 2, count)


def trained(recipe=PLAIN, seed=0, epochs=3, data=None, channels=1):
    pixels, labels = data or toy(channels=channels)
    classifier = new_classifier((16, 16), channels, recipe, seed, CPU)
    return classifier, fit(classifier, pixels, labels, epochs, silent)


@pytest.mark.parametrize(
    ("size", "channels", "flat"), [((28, 28), 1, 800), ((28, 28), 3, 800), ((17, 30), 1, 2 * 6 * 32)]
)
def test_the_network_has_the_studys_layers(size, channels, flat):
    """28 → 26 → 13 → 11 → 5 pixels a side: 5·5·32 values before the dense layer."""
    network = new_classifier(size, channels, PLAIN, 0, CPU).network
    shapes = [tuple(parameter.shape) for parameter in network.parameters()]
    assert shapes == [
        (16, channels, 3, 3), (16,), (32, 16, 3, 3), (32,), (64, flat), (64,), (1, 64), (1,)
    ]  # fmt: skip
    assert network.dropout.keep == 0.5


@pytest.mark.parametrize(("scale", "channels"), [(False, 1), (True, 1), (True, 3)])
def test_it_learns_what_is_plain(scale, channels):
    recipe = Recipe(scale_pixels=scale, learning_rate=3e-3, batch=32)
    classifier, accuracies = trained(recipe, epochs=40, channels=channels)
    pixels, labels = toy(seed=1, channels=channels)
    assert ((predict(classifier, pixels) > 0.5) == labels).mean() > 0.95
    assert len(accuracies) == 40
    assert accuracies[-1] > accuracies[0]


def test_the_same_seed_gives_the_same_bits():
    torch.manual_seed(1)
    first, first_accuracies = trained(seed=4)
    torch.manual_seed(2)
    second, second_accuracies = trained(seed=4)
    other, _ = trained(seed=5)
    pixels, _ = noise_images(50)
    assert first_accuracies == second_accuracies
    assert np.array_equal(predict(first, pixels), predict(second, pixels))
    assert not np.array_equal(predict(first, pixels), predict(other, pixels))


def test_training_in_two_goes_is_training_in_one():
    pixels, labels = toy()
    whole, _ = trained(epochs=4)
    halves, _ = trained(epochs=2)
    predict(halves, pixels)  # applying it in between changes nothing
    fit(halves, pixels, labels, 2, silent)
    assert np.array_equal(predict(whole, pixels), predict(halves, pixels))


def test_accuracy_is_of_the_batches_as_trained_on():
    """Dropout active, each image counted once: computed here again, with the network held still."""
    pixels, labels = noise_images(40)
    still = Recipe(scale_pixels=True, learning_rate=0.0, batch=32)
    classifier = new_classifier((16, 16), 1, still, 1, CPU)
    replay = torch.Generator()
    replay.set_state(classifier.rng.get_state())
    reported = fit(classifier, pixels, labels, 3, silent)

    classifier.network.dropout.generator = replay
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    expected = []
    for _ in range(3):
        order = torch.randperm(40, generator=replay)
        batches = [classifier.network(inputs[chosen]) > 0 for chosen in (order[:32], order[32:])]
        expected.append(float((torch.cat(batches).numpy() == labels[order]).sum()) / 40)
    assert reported == expected
    assert len(set(reported)) > 1  # masks differ from epoch to epoch


def test_accuracy_is_of_the_network_before_the_step():
    """One batch and a step so large that the network is another afterwards."""
    pixels, labels = noise_images(32)
    wild = Recipe(scale_pixels=True, learning_rate=1.0, batch=32)
    calm = Recipe(scale_pixels=True, learning_rate=0.0, batch=32)
    moved, reported = trained(wild, epochs=1, data=(pixels, labels))
    unmoved, expected = trained(calm, epochs=1, data=(pixels, labels))
    assert reported == expected
    assert not np.array_equal(predict(moved, pixels), predict(unmoved, pixels))


@pytest.mark.parametrize(("count", "steps"), [(32, 1), (33, 2), (64, 2), (65, 3)])
def test_the_last_smaller_batch_is_kept(count, steps):
    classifier, _ = trained(epochs=2, data=noise_images(count))
    assert classifier.adam.steps == 2 * steps


def test_every_epoch_is_told():
    pixels, labels = toy()
    told = []
    fit(new_classifier((16, 16), 1, PLAIN, 0, CPU), pixels, labels, 3, told.append)
    assert told == [1, 2, 3]


@pytest.mark.parametrize(("scale", "highest"), [(False, 255.0), (True, 1.0)])
def test_pixels_are_scaled_if_asked(scale, highest):
    classifier = new_classifier((16, 16), 1, Recipe(scale, 1e-3, 32), 0, CPU)
    seen = []
    classifier.network.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[0].max())))
    pixels = np.full((4, 16, 16, 1), 255, np.uint8)
    fit(classifier, pixels, np.array([0, 1, 0, 1]), 1, silent)
    predict(classifier, pixels)
    assert seen == [highest, highest]


def test_probabilities():
    classifier, _ = trained(epochs=1)
    pixels, _ = noise_images(600)
    probabilities = predict(classifier, pixels)
    assert probabilities.shape == (600,)
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert np.array_equal(probabilities, predict(classifier, pixels))  # no dropout
    assert classifier.network.training
    assert predict(classifier, pixels[:0]).shape == (0,)
