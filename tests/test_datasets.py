"""Synthetic sets as PyTorch datasets of dictionaries, the form that MONAI's transforms take."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from healthgan.datasets import ImageDataset, mixed, synthetic_dataset
from healthgan.errors import InputError
from healthgan.exports import export, make_card
from healthgan.sources.phantom import phantom
from healthgan.sources.synthetic import SyntheticSet

NAMES = ("normal", "cardiomegaly")


@pytest.fixture(scope="module")
def made() -> SyntheticSet:
    """Some pictures of the phantom in the part of synthetic ones: rare ones, and fewer of the reference class."""
    images = phantom(size=16, seed=3)["train"]
    rare = np.flatnonzero(images.members("cardiomegaly"))[:30]
    reference = np.flatnonzero(~images.members("cardiomegaly"))[:12]
    pixels = images.pixels[np.concatenate([rare, reference])]
    labels = np.repeat(np.array([1, 0]), [len(rare), len(reference)])
    card = make_card(pixels, labels, NAMES, name="made", trained_on={}, generator={})
    return SyntheticSet(pixels, labels, NAMES, "made", card)


def real(count: int = 40, rare: int = 10, **options) -> ImageDataset:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, 16, 16, 1), np.uint8)
    return ImageDataset(pixels, np.arange(count) < rare, synthetic=False, class_names=NAMES, **options)


@pytest.mark.parametrize("form", ["made.npz", "made"])
def test_a_set_that_sample_wrote(made, tmp_path, form) -> None:
    export(made, tmp_path / form)
    dataset = synthetic_dataset(tmp_path / form)
    assert len(dataset) == 42
    item = dataset[0]
    assert set(item) == {"image", "label", "class_name", "synthetic"}
    assert item["image"].shape == (1, 16, 16)
    assert item["image"].dtype == torch.float32
    assert torch.equal(
        (item["image"] * 255).round().to(torch.uint8)[0], torch.from_numpy(made.pixels[0, ..., 0])
    )
    assert (item["label"], item["class_name"], item["synthetic"]) == (1, "cardiomegaly", True)
    assert type(item["label"]) is int
    assert all(entry["synthetic"] is True for entry in dataset)


def test_uint8_and_batches(made) -> None:
    dataset = synthetic_dataset(made, dtype="uint8")
    batch = next(iter(DataLoader(dataset, batch_size=8)))
    assert batch["image"].shape == (8, 1, 16, 16)
    assert batch["image"].dtype == torch.uint8
    assert np.array_equal(batch["image"][:, 0].numpy(), made.pixels[:8, ..., 0])
    assert batch["label"].tolist() == [1] * 8
    assert batch["synthetic"].all()


def test_colour_is_channel_first() -> None:
    pixels = np.zeros((2, 16, 18, 3), np.uint8)
    pixels[..., 2] = 255
    image = ImageDataset(pixels, ["a", "b"], synthetic=True)[1]["image"]
    assert image.shape == (3, 16, 18)
    assert image.amax(dim=(1, 2)).tolist() == [0, 0, 1]


def test_an_item_is_the_callers_own(made) -> None:
    dataset = synthetic_dataset(made, dtype="uint8")
    dataset[0]["image"].zero_()
    assert dataset[0]["image"].any()


def test_a_transform_of_dictionaries(made) -> None:
    dataset = synthetic_dataset(made, transform=lambda item: {**item, "image": 1 - item["image"]})
    assert torch.equal(dataset[3]["image"], 1 - synthetic_dataset(made)[3]["image"])
    assert dataset[3]["synthetic"]


def test_classes_are_numbered_as_the_real_images(made) -> None:
    dataset = synthetic_dataset(made, class_names=("cardiomegaly", "effusion", "normal"))
    assert [dataset[0]["label"], dataset[41]["label"]] == [0, 2]
    with pytest.raises(InputError, match="'cardiomegaly' is none of the class names"):
        synthetic_dataset(made, class_names=("normal", "effusion"))


def test_a_set_without_labels_needs_a_class(made) -> None:
    bare = SyntheticSet(made.pixels, None, (), "bare")
    dataset = synthetic_dataset(bare, class_name="cardiomegaly", class_names=NAMES)
    assert set(dataset.labels.tolist()) == {1}
    with pytest.raises(InputError, match="name the class"):
        synthetic_dataset(bare)
    with pytest.raises(InputError, match="leave class_name out"):
        synthetic_dataset(made, class_name="normal")


@pytest.mark.parametrize(("share", "rare", "reference"), [(0.0, 0, 0), (0.25, 3, 10), (0.5, 10, 30)])
def test_mixed_by_share(made, share, rare, reference) -> None:
    """Of 10 rare and 30 reference images: share / (1 − share) times as many synthetic ones."""
    base = real(dtype="uint8")
    pool = synthetic_dataset(made)
    if reference > 12:
        with pytest.raises(
            InputError, match=r"30 synthetic images of 'normal' make a share of 0.5; 12 are there"
        ):
            mixed(base, pool, share)
        rarely = made.labels == 1
        pool = ImageDataset(made.pixels[rarely], made.labels[rarely], synthetic=True, class_names=NAMES)
        reference = 0
    both = mixed(base, pool, share, seed=4)
    assert np.array_equal(both.pixels[:40], base.pixels)
    assert not both.synthetic[:40].any()
    assert both.synthetic[40:].all()
    assert [int((both.labels[40:] == label).sum()) for label in (1, 0)] == [rare, reference]
    known = {image.tobytes() for image in made.pixels}
    drawn = [image.tobytes() for image in both.pixels[40:]]
    assert set(drawn) <= known
    assert len(set(drawn)) == len(drawn)  # without replacement
    assert both[0]["image"].dtype == torch.uint8
    assert np.array_equal(mixed(base, pool, share, seed=4).pixels, both.pixels)


def test_sets_that_do_not_fit(made) -> None:
    with pytest.raises(InputError, match="from 0 to below 1"):
        mixed(real(), synthetic_dataset(made), 1.0)
    with pytest.raises(InputError, match="Real images are"):
        mixed(real(), synthetic_dataset(made, class_names=("cardiomegaly", "normal")), 0.1)
    with pytest.raises(InputError, match="dtype is 'float16'"):
        real(dtype="float16")
