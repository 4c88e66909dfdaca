"""The harvest: each image once, with its place of origin and the likeness that scikit-image gives."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from healthgan.likeness import score_candidates


@pytest.fixture
def rounds() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 12, 12, 1), np.uint8)
    images[1, 2, 3] = images[0, 0, 1]  # a duplicate
    images[1, 0, 0] = 7  # a constant image
    return list(images)


def test_duplicates_are_dropped_and_origins_kept(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=51)
    assert (found.harvested, len(found.images)) == (24, 23)
    for image, number, epoch, vector in zip(
        found.images, found.round, found.epoch, found.vector, strict=True
    ):
        assert np.array_equal(image, rounds[number][epoch - 51, vector])


def test_likeness_is_scikit_images_best(rounds) -> None:
    reals = np.random.default_rng(1).integers(0, 256, (5, 12, 12, 1), np.uint8)
    found = score_candidates(rounds, reals, first_epoch=1)
    for number in (0, 9, 20):
        image = found.images[number, ..., 0].astype(float)
        values = [
            structural_similarity(image, real[..., 0].astype(float), data_range=np.ptp(image))
            for real in reals
        ]
        assert found.likeness[number] == pytest.approx(max(values), abs=1e-6)
        assert found.nearest[number] == int(np.argmax(values))


def test_a_constant_image_is_never_accepted(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=1)
    constant = np.ptp(found.images.reshape(23, -1), axis=1) == 0
    assert constant.sum() == 1
    assert np.isnan(found.likeness[constant]).all()
    assert not found.accepted(-1.0)[constant].any()


def test_a_stricter_floor_keeps_a_subset_and_the_shown_ones_reach_it(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=1)
    assert not (found.accepted(0.5) & ~found.accepted(0.0)).any()
    shown = found.spread(0.5, 3)
    assert len(shown) == 3
    assert found.accepted(0.5)[shown].all()
    assert len(found.spread(2.0, 3)) == 3
