"""What a run keeps of real images: those that something is most like, and the likeness of held-out ones."""

import numpy as np
import pytest

from healthgan import nearest as nearest_module
from healthgan.nearest import heldout_likeness, nearest_reals
from healthgan.ssim import best_match
from healthgan.task import Members


def members(count: int, seed: int, image: np.ndarray | None = None) -> Members:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 9, 8, 1), np.uint8)
    return Members(pixels, np.arange(count) if image is None else image, np.arange(count))


def test_each_nearest_image_is_kept_once_and_found_by_its_position() -> None:
    reals = members(4, 0, image=np.array([70, 3, 50, 9]))
    kept = nearest_reals(reals, np.array([2, -1, 0, 2, 1]))
    assert kept["image"].tolist() == [3, 50, 70]
    assert np.array_equal(kept["pixels"], reals.pixels[[1, 2, 0]])


def test_nothing_is_kept_where_all_are_constant() -> None:
    kept = nearest_reals(members(4, 0), np.array([-1, -1]))
    assert kept["image"].shape == (0,)
    assert kept["pixels"].shape == (0, 9, 8, 1)


def test_heldout_likeness_is_the_best_match_to_training_images() -> None:
    reals, val, test = members(6, 0), members(3, 1), members(2, 2)
    expected, _ = best_match(np.concatenate([val.pixels, test.pixels]), reals.pixels)
    assert np.array_equal(heldout_likeness((val, test), reals), expected)


def test_of_many_heldout_images_some_are_scored_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_module, "MOST_HELD_OUT", 4)
    reals, val, test = members(6, 0), members(5, 1), members(5, 2)
    everything, _ = best_match(np.concatenate([val.pixels, test.pixels]), reals.pixels)
    assert np.array_equal(heldout_likeness((val, test), reals), everything[[0, 3, 6, 9]])
