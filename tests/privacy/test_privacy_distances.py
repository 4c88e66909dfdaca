"""Nearness to training images: against direct loops, closed forms, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from healthgan.privacy.distances import (
    authenticity,
    closer_to_training,
    data_copying,
    mann_whitney_z,
    nearest,
    standardised,
)
from healthgan.sources.phantom import Counts, phantom_images


def points(rng, count, dimensions=6):
    """Directions, as standardised images are, in few dimensions so that neighbours differ."""
    vectors = rng.normal(size=(count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def phantoms(split, count=120, seed=0):
    images = phantom_images(Counts(0, count), split=split, seed=seed)
    return standardised(images.pixels), images.patients


def noisy(vectors, rng, size=0.02):
    moved = vectors + size * rng.normal(size=vectors.shape)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def test_points_have_zero_mean_and_unit_length():
    images = phantom_images(Counts(3, 3)).pixels
    vectors = standardised(images)
    assert vectors.shape == (6, 784)
    assert vectors.mean(axis=1) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert not standardised(np.full((1, 28, 28, 1), 7, np.uint8)).any()
    assert standardised(images // 2 + 9) @ vectors.T == pytest.approx(vectors @ vectors.T, abs=0.02)


def test_nearest_is_what_scipy_finds():
    rng = np.random.default_rng(0)
    queries, references = points(rng, 40), points(rng, 30)
    table = cdist(queries.astype(float), references.astype(float))
    distance, index = nearest(queries, references)
    assert np.array_equal(index, table.argmin(axis=1))
    assert distance == pytest.approx(table.min(axis=1), abs=1e-4)  # 2 − 2ρ at 1e-2 loses 6e-8 · 2 / 2e-1
    own = rng.integers(30, size=40)
    table[np.arange(40), own] = np.inf
    assert np.array_equal(nearest(queries, references, own=own)[1], table.argmin(axis=1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 25), st.integers(2, 25))
def test_authenticity_is_its_definition(seed, count, training_count):
    """Alaa et al. 2022: farther from the nearest real image than that is from its own nearest other one."""
    rng = np.random.default_rng(seed)
    made, real = points(rng, count), points(rng, training_count)
    expected = []
    for image in made.astype(float):
        distance = np.linalg.norm(real.astype(float) - image, axis=1)
        match = distance.argmin()
        others = np.delete(np.linalg.norm(real.astype(float) - real[match].astype(float), axis=1), match)
        expected.append(distance[match] > others.min())
    assert authenticity(made, real).tolist() == expected


def test_copies_are_not_authentic():
    rng = np.random.default_rng(0)
    real, _ = phantoms("train")
    assert not authenticity(real, real).any()
    assert authenticity(noisy(real, rng, 1e-3), real).mean() < 0.05


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=20), st.lists(st.integers(0, 8), min_size=2, max_size=20)
)
def test_the_z_score_is_scipys(first, second):
    """Ties included. SciPy gives the p-value only, so its z is recovered from U and the p-value."""
    z = mann_whitney_z(np.array(first, float), np.array(second, float))
    if len(set(first + second)) == 1:
        assert z == 0
        return
    result = stats.mannwhitneyu(first, second, use_continuity=False, method="asymptotic")
    assert 2 * stats.norm.sf(abs(z)) == pytest.approx(result.pvalue, rel=1e-9)
    assert np.sign(z) == np.sign(result.statistic - len(first) * len(second) / 2)
    assert mann_whitney_z(np.array(second, float), np.array(first, float)) == pytest.approx(-z)


def test_c_t_of_one_cell_is_the_definition():
    """Meehan et al. 2020, equation 1, by a direct double loop; closed form of its variance without ties."""
    rng = np.random.default_rng(1)
    made, real, unseen = points(rng, 50), points(rng, 40), points(rng, 30)
    found = data_copying(made, real, unseen, np.arange(30), rng)
    to_real = [cdist(a.astype(float), real.astype(float)).min(axis=1) for a in (made, unseen)]
    u = sum(q > p for q in to_real[0] for p in to_real[1])
    assert found.c_t == pytest.approx((u - 50 * 30 / 2) / np.sqrt(50 * 30 * 81 / 12), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((-1.959964, 1.959964))
    assert (found.cells, found.training, found.heldout, found.generated) == (1, 40, 30, 50)


def test_c_t_takes_one_image_a_patient():
    rng = np.random.default_rng(0)
    found = data_copying(points(rng, 50), points(rng, 40), points(rng, 30), np.arange(30) // 3, rng)
    assert found.heldout == 10


def test_c_t_of_cells_is_a_weighted_mean_with_variance_one_over_cells():
    """Two far clusters, of which one is copied: k-means finds both, and only that one has a low z score."""
    rng = np.random.default_rng(0)
    far = np.zeros(6, np.float32)
    far[0] = 4

    def clusters(count):
        both = points(rng, count) * np.float32(0.3)
        both[::2] += far
        both[1::2] -= far
        return (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)

    real, unseen, made = clusters(1000), clusters(1000), clusters(1000)
    made[::2] = noisy(real[::2], rng, 1e-4)
    found = data_copying(made, real, unseen, np.arange(1000), rng)
    assert found.cells == 2
    assert found.high == pytest.approx(1.959964 / np.sqrt(2))  # both cells hold half of the held-out images
    scores = [
        mann_whitney_z(*(nearest(a[start::2], real[start::2])[0] for a in (made, unseen))) for start in (0, 1)
    ]
    assert found.c_t == pytest.approx(np.mean(scores))
    assert scores[0] < -20
    assert abs(scores[1]) < 3


def test_c_t_where_no_cell_counts_is_not_computable():
    """Held-out images in the one cluster, generated ones in the other: nothing is compared, and 0 ± 0 was said."""
    rng = np.random.default_rng(0)
    one, other = (noisy(np.eye(6)[:1].repeat(1000, 0) * sign, rng, 0.1) for sign in (1, -1))
    real = np.concatenate([one[:500], other[:500]])
    found = data_copying(one, real, other, np.arange(1000), rng)
    assert (found.c_t, found.low, found.high, found.cells) == (None, None, None, 0)
    assert found.not_computable.startswith(
        "not computable: none of 2 cells of the training images has 20 generated"
    )
    assert (found.training, found.heldout, found.generated) == (1000, 1000, 1000)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 30), st.integers(4, 30))
def test_swapping_the_sides_mirrors_the_share(seed, first, second):
    rng = np.random.default_rng(seed)
    made, a, b = points(rng, 20), points(rng, first), points(rng, second)
    owners = rng.integers(first, size=first), rng.integers(second, size=second)
    one = closer_to_training(made, a, owners[0], b, owners[1], seed)
    other = closer_to_training(made, b, owners[1], a, owners[0], seed)
    assert one.share == pytest.approx(1 - other.share)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))
    assert one.images == min(len(set(owners[0])), len(set(owners[1])))


def test_equal_sides_share_evenly_and_a_side_that_holds_all_takes_all():
    rng = np.random.default_rng(0)
    made, real = points(rng, 50), points(rng, 30)
    even = closer_to_training(made, real, np.arange(30), real, np.arange(30), 0)
    assert even.share == 0.5  # ties count half
    taken = closer_to_training(real, real, np.arange(30), points(rng, 30), np.arange(30), 0)
    assert taken.share == 1
    assert taken.high == 1


def test_the_share_is_that_of_a_direct_count():
    """Equal numbers of patients with one image each leave nothing to chance."""
    rng = np.random.default_rng(3)
    made, a, b = points(rng, 60), points(rng, 25), points(rng, 25)
    found = closer_to_training(made, a, np.arange(25), b, np.arange(25), 0)
    near = [cdist(made.astype(float), side.astype(float)).min(axis=1) for side in (a, b)]
    assert found.share == pytest.approx((near[0] < near[1]).mean())
    assert (found.images, found.generated) == (25, 60)


def test_fresh_images_lie_inside_the_intervals_and_copies_outside():
    """Over six phantoms: 95 % intervals miss the truth in more than 2 of 6 cases once in 450."""
    rng = np.random.default_rng(0)
    missed = {"share": 0, "c_t": 0}
    for seed in range(6):
        real, patients = phantoms("train", seed=seed)
        unseen, others = phantoms("test", seed=seed)
        fresh, _ = phantoms("val", seed=seed)
        found = closer_to_training(fresh, real, patients, unseen, others, seed)
        missed["share"] += not found.low <= 0.5 <= found.high
        copying = data_copying(fresh, real, unseen, others, rng)
        missed["c_t"] += not copying.low <= copying.c_t <= copying.high
        copies = noisy(real, rng, 0.01)
        assert closer_to_training(copies, real, patients, unseen, others, seed).low > 0.6
        assert data_copying(copies, real, unseen, others, rng).c_t < -3
    assert max(missed.values()) <= 2, missed
