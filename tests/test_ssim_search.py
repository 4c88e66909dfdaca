"""What best_match leaves out and in which order it looks must not show: neither in scores nor in indices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from healthgan._ssim_kernel import order, search
from healthgan.ssim import best_match


def pool(rng, count, height, width, channels):
    """Images of every kind at once: noise, smooth, boards of 0 and 255, flat, and copies of all these."""
    shape = (height, width, channels)
    rows, columns = np.mgrid[:height, :width]
    images = []
    for number in range(count):
        kind = int(rng.integers(6))
        if kind == 0:
            image = rng.integers(0, 256, shape)
        elif kind == 1:
            field = gaussian_filter(rng.normal(size=shape), (2, 2, 0))
            image = np.interp(field, (field.min(), field.max()), np.sort(rng.integers(0, 256, 2)))
        elif kind == 2:
            board = (rows // rng.integers(1, 5) + columns // rng.integers(1, 5)) % 2
            image = np.repeat(255 * board[..., None], channels, axis=2)
        elif kind == 3 or not images:
            image = np.full(shape, rng.integers(0, 256)) + 0
        else:
            image = images[int(rng.integers(number))].copy()
        if kind in (3, 4):
            image[rng.integers(height), rng.integers(width)] = rng.integers(0, 256)
        images.append(image)
    return np.uint8(images)


def exhaustive(x, y, data_range, apart):
    """(N, M) by best_match with one reference at a time; −2 where ``apart`` (N, M) is false."""
    each = [best_match(x, y[j : j + 1], data_range, threads=1)[0] for j in range(len(y))]
    return np.where(apart, np.stack(each, axis=1), -2)


def check(x, y, data_range="query", x_groups=None, y_groups=None):
    apart = np.ones((len(x), len(y)), bool)
    if x_groups is not None:
        apart = x_groups[:, None] != y_groups
    every = exhaustive(x, y, data_range, apart)
    score, index = best_match(x, y, data_range, query_groups=x_groups, reference_groups=y_groups, threads=2)
    some = apart.any(axis=1) & (np.ptp(x.reshape(len(x), -1), axis=1) > 0)
    np.testing.assert_array_equal(np.isnan(score), ~some)
    np.testing.assert_array_equal(index[~some], -1)
    np.testing.assert_array_equal(score[some], every[some].max(axis=1))  # the same bits
    np.testing.assert_array_equal(every[some, index[some]], score[some])
    for i in np.flatnonzero(some):  # an equal image further to the front would have been named
        same = (y == y[index[i]]).all(axis=(1, 2, 3)) & apart[i]
        assert index[i] == np.flatnonzero(same)[0]


@pytest.fixture(params=[1, 1 << 40], ids=["in order", "as they come"])
def ordered(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "ORDER_FROM", request.param)
        yield


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 90),
    height=st.integers(7, 20),
    width=st.integers(7, 20),
    channels=st.integers(1, 3),
    data_range=st.one_of(st.just("query"), st.sampled_from([0.001, 1.0, 255.0, 65535.0])),
    ordered=st.booleans(),
    small=st.booleans(),
    groups=st.integers(0, 4),
)
def test_law_nothing_that_is_left_out_could_be_the_best(
    seed, count, height, width, channels, data_range, ordered, small, groups
):
    rng = np.random.default_rng(seed)
    images = pool(rng, count + 8, height, width, channels)
    rng.shuffle(images)
    x, y = images[:8], images[8:]
    names = (rng.integers(0, groups, 8), rng.integers(0, groups, count)) if groups else (None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "ORDER_FROM", 1 if ordered else 1 << 40)
        if small:
            patch.setattr(search, "CHUNK_BYTES", 1)
            patch.setattr(search, "GROUP_BYTES", 3 * 16 * x[:1].size)
        check(x, y, data_range, *names)


@pytest.mark.usefixtures("ordered")
def test_the_best_stands_last_and_hardly_above_the_others():
    """Every pair is close to the best, so that nothing can be given up before its last rows."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (28, 28, 1), dtype=np.uint8)
    y = np.repeat(base[None], 70, axis=0)
    y[:, 27, 27] ^= np.arange(70, 0, -1, dtype=np.uint8)[:, None]
    check(base[None], y)


@pytest.mark.usefixtures("ordered")
def test_the_first_rows_differ_and_the_rest_is_equal():
    """What looks hopeless at first is the best in the end."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (4, 40, 20, 1), dtype=np.uint8)
    upside = x.copy()
    upside[:, :12] = 255 - upside[:, :12]
    others = rng.integers(0, 256, (66, 40, 20, 1), dtype=np.uint8)
    others[:, :12] = x[np.arange(66) % 4, :12]
    y = np.concatenate([others, upside])
    check(x, y)
    np.testing.assert_array_equal(best_match(x, y)[1], 66 + np.arange(4))


@pytest.mark.usefixtures("ordered")
def test_the_group_of_the_best_is_left_out():
    rng = np.random.default_rng(2)
    images = pool(rng, 100, 12, 13, 1)
    groups = np.arange(100) % 34  # copies stand in other groups as well as in the own
    check(images, images, "query", groups, groups)


@pytest.mark.usefixtures("ordered")
@pytest.mark.parametrize("others", [10, 20, 30])
@pytest.mark.parametrize("seed", range(3))
def test_of_more_copies_than_a_block_holds_the_first_is_named(others, seed):
    """A block of copies alone is looked at before the one that holds some copies, the first ones, and others."""
    rng = np.random.default_rng(seed)
    x = rng.integers(100, 150, (1, 14, 14), dtype=np.uint8)
    away = rng.integers(20, 60, (1, 14, 14)) * np.where(np.arange(others) % 2, 1, -1)[:, None, None]
    y = np.concatenate(
        [np.repeat(x, 75, axis=0), np.uint8(x + away * (np.arange(196) % 3 - 1).reshape(14, 14))]
    )
    places = rng.permutation(len(y))
    many = np.repeat(x, search.GROUP_SIZE, axis=0)  # so many that the references are not shared out
    np.testing.assert_array_equal(best_match(many, y[places], threads=1)[1], np.flatnonzero(places < 75)[0])


def test_many_queries_are_found_in_their_own_places():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 256, (300, 9, 9), dtype=np.uint8)
    chosen = rng.integers(0, 300, 2 * search.ORDER_FROM)
    score, index = best_match(y[chosen], y)
    np.testing.assert_array_equal(index, chosen)
    assert (score >= 1 - 1e-6).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 150), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_law_an_arrangement_holds_every_image_once(seed, count, size):
    found = np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)
    np.testing.assert_array_equal(np.sort(order.arrange(found, size)), np.arange(count))


def test_alike_images_are_arranged_together():
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 256, (4, 14, 14, 1), dtype=np.uint8)
    which = rng.permutation(np.repeat(np.arange(4), 32))
    found = order.arrange(order.describe(kinds[which]), 32)
    assert all(len(set(which[found[start : start + 32]])) == 1 for start in range(0, 128, 32))
