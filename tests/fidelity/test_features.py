"""Feature spaces: what they promise about shape and scale, and what they see."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from healthgan.errors import InputError
from healthgan.fidelity import features
from healthgan.fidelity.distances import Pair, kid
from healthgan.fidelity.features import COMPONENTS, SPACES, random_convolutions
from healthgan.sources.phantom import Counts, phantom_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chests():
    """600 simulated normal chests of as many patients."""
    images = phantom_images(Counts(600, 0), seed=3, images_per_patient=1, label_noise=0)
    return images.pixels


def noise(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("shape", [(16, 16, 1), (28, 28, 3), (20, 45, 1), (64, 64, 3)])
def test_every_space_takes_every_kind_of_image(name, shape, monkeypatch):
    monkeypatch.setattr(features, "IN_DOMAIN_STEPS", 3)
    space = SPACES[name](noise(30, *shape), noise(50, *shape, seed=1), 0, CPU)
    found = space.features(noise(7, *shape, seed=2))
    assert space.name == name
    assert found.dtype == np.float64
    assert len(found) == 7
    assert 1 < found.shape[1] <= 64
    assert np.isfinite(found).all()
    assert space.features(noise(0, *shape)).shape == (0, found.shape[1])


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_scaled_on_the_training_images(name, chests, monkeypatch):
    monkeypatch.setattr(features, "IN_DOMAIN_STEPS", 20)
    space = SPACES[name](chests[:100], chests[100:500], 0, CPU)
    found = space.features(chests[:500])
    # float64 sums of numbers that were computed in float32, in batches of another size
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert found.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_components_are_uncorrelated_and_no_more_than_the_images_bear(chests):
    many = random_convolutions(chests[:560], CPU).features(chests[:560])
    assert many.shape == (560, COMPONENTS)
    assert np.corrcoef(many, rowvar=False) == pytest.approx(np.eye(COMPONENTS), abs=1e-3)
    assert random_convolutions(chests[:80], CPU).features(chests).shape == (600, 10)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_depends_on_its_seed_and_images_only(name, monkeypatch):
    monkeypatch.setattr(features, "IN_DOMAIN_STEPS", 20)
    rare, reference, judged = noise(30, 16, 16, 1), noise(50, 16, 16, 1, seed=1), noise(5, 16, 16, 1, seed=2)
    torch.manual_seed(1)
    first = SPACES[name](rare, reference, 4, CPU).features(judged)
    torch.manual_seed(2)
    assert np.array_equal(first, SPACES[name](rare, reference, 4, CPU).features(judged))


def test_images_that_are_all_alike_make_no_space():
    with pytest.raises(InputError, match="40 training images are all alike"):
        random_convolutions(np.full((40, 16, 16, 1), 90, np.uint8), CPU)


def blurred(pixels, sigma):
    return gaussian_filter(pixels.astype(float), (0, sigma, sigma, 0)).round().astype(np.uint8)


def noisy(pixels, sd):
    added = np.random.default_rng(0).normal(0, sd, pixels.shape)
    return (pixels + added).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pixels: blurred(pixels, 0.7),
        lambda pixels: noisy(pixels, 10),
        lambda pixels: (pixels * 0.8).astype(np.uint8),
        lambda pixels: pixels[:, ::-1],
    ],
    ids=["blurred", "noisy", "darker", "upside-down"],
)
def test_random_convolutions_react_to_what_generators_get_wrong(spoil, chests):
    """The distance of spoilt images is above all of 40 distances between real halves."""
    space = random_convolutions(chests[:400], CPU)
    rng = np.random.default_rng(1)
    real = space.features(chests[400:])
    orders = [rng.permutation(200) for _ in range(40)]
    floor = [kid(Pair(real[order[:100]], real[order[100:]])) for order in orders]
    assert kid(Pair(real[:100], space.features(spoil(chests[500:])))) > max(floor)


def test_the_in_domain_space_sees_the_class():
    images = phantom_images(Counts(300, 300), seed=5, images_per_patient=1, label_noise=0)
    rare, reference = images.pixels[images.labels == 1], images.pixels[images.labels == 0]
    space = SPACES["in-domain"](rare[:200], reference[:200], 0, CPU)
    wide, narrow = space.features(rare[200:]), space.features(reference[200:])
    assert kid(Pair(wide[:50], narrow[:50])) > 3 * abs(kid(Pair(wide[:50], wide[50:])))
