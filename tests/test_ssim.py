"""best_match against scikit-image, and the laws it must keep."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from healthgan.errors import InputError
from healthgan.ssim import best_match

BOUND = 1e-6  # the bound derived in _ssim_kernel/blocks.py; scikit-image's own float64 error is far below it


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth(seed, count, height, width):
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(count, height, width)), (0, 2, 2))
    return np.uint8(255 * (field - field.min()) / (field.max() - field.min()))


def reference_scores(x, y, data_range):
    """(N, M) by scikit-image, on float64."""
    channel_axis = 2 if x.ndim == 4 else None
    scores = np.empty((len(x), len(y)))
    for i, query in enumerate(x):
        span = float(np.ptp(query)) if data_range == "query" else data_range
        for j, reference in enumerate(y):
            scores[i, j] = structural_similarity(
                query.astype(float), reference.astype(float), data_range=span, channel_axis=channel_axis
            )
    return scores


def all_pairs(x, y, data_range):
    """(N, M) by best_match: each reference alone, so that every pair's own value is seen."""
    return np.stack([best_match(x, y[j : j + 1], data_range)[0] for j in range(len(y))], axis=1)


def check(x, y, data_range="query"):
    expected = reference_scores(x, y, data_range)
    assert np.abs(all_pairs(x, y, data_range) - expected).max() <= BOUND
    score, index = best_match(x, y, data_range)
    assert (score.dtype, index.dtype, score.shape, index.shape) == (
        np.float32,
        np.int64,
        (len(x),),
        (len(x),),
    )
    assert np.abs(score - expected.max(axis=1)).max() <= BOUND
    rows = np.arange(len(x))
    others = expected.copy()
    others[rows, expected.argmax(axis=1)] = -np.inf
    clear = expected.max(axis=1) - others.max(axis=1) > 2 * BOUND
    np.testing.assert_array_equal(index[clear], expected.argmax(axis=1)[clear])
    # Where it is not clear, what is named is still within the bound of the best.
    assert (expected[rows, index] >= expected.max(axis=1) - 2 * BOUND).all()


@pytest.mark.parametrize(
    "shape",
    [(28, 28), (7, 7), (7, 23), (31, 8), (9, 10), (16, 41), (13, 12, 3), (28, 28, 1), (8, 9, 2)],
    ids=str,
)
@pytest.mark.parametrize("data_range", ["query", 255])
def test_equals_scikit_image_on_noise(shape, data_range):
    check(noise(1, (3, *shape)), noise(2, (5, *shape)), data_range)


@pytest.mark.parametrize("data_range", ["query", 0.001, 1, 255.0, 65535.0])
def test_equals_scikit_image_on_smooth_images(data_range):
    images = smooth(0, 9, 28, 28)
    check(images[:4], images[4:], data_range)


def test_equals_scikit_image_on_large_images():
    images = smooth(0, 3, 224, 150)
    check(images[:2], images[1:])


def saturated(count, height, width):
    """Checkerboards of 0 and 255 of one to ``count`` pixels a square: the largest sums there can be."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([np.uint8(255 * ((rows // n + columns // n) % 2)) for n in range(1, count + 1)])


@pytest.mark.parametrize("data_range", ["query", 0.001, 65535])
def test_equals_scikit_image_on_saturated_images(data_range):
    boards = saturated(4, 29, 26)
    check(boards, np.concatenate([255 - boards, np.full_like(boards[:1], 255)]), data_range)


@pytest.mark.parametrize("level", [0, 1, 128, 254])
@pytest.mark.parametrize("data_range", ["query", 1])
def test_equals_scikit_image_on_bright_images_of_tiny_contrast(level, data_range):
    # The covariance of bright, flat images is a small difference of large products.
    flat = level + np.random.default_rng(3).integers(0, 2, (8, 15, 17), dtype=np.uint8)
    check(flat[:4], flat[4:], data_range)


def test_equals_scikit_image_on_constant_images():
    levels = np.array([0, 1, 127, 255], np.uint8)[:, None, None]
    constant = np.broadcast_to(levels, (4, 11, 12))
    check(noise(0, (3, 11, 12)), constant)
    check(noise(0, (3, 11, 12)), constant, 255)


def test_identical_and_nearly_identical_images():
    images = smooth(5, 6, 20, 20)
    near = images.copy()
    near[:, 10, 10] ^= 1
    check(images, near)
    score, index = best_match(images, np.concatenate([near, images]))
    assert (score <= 1).all()
    assert (score >= 1 - BOUND).all()
    np.testing.assert_array_equal(index, np.arange(6) + 6)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 31, 32, 33, 64, 65, 200])
def test_any_number_of_references(count):
    x, y = noise(7, (2, 8, 8)), noise(8, (count, 8, 8))
    expected = reference_scores(x, y, "query")
    score, index = best_match(x, y)
    assert np.abs(score - expected.max(axis=1)).max() <= BOUND
    np.testing.assert_array_equal(index, expected.argmax(axis=1))  # noise has no near ties
    found = best_match(y, y)[1]
    np.testing.assert_array_equal(found, np.arange(count))


def test_unused_lanes_never_win():
    # Zeros would match these dark queries better than the one bright reference does.
    x = noise(0, (3, 9, 9)) % 4
    score, index = best_match(x, np.full((1, 9, 9), 250, np.uint8))
    np.testing.assert_array_equal(index, 0)
    assert (score < 0.1).all()


def test_ties_go_to_the_lowest_index():
    x = smooth(1, 3, 12, 12)
    y = np.concatenate([noise(0, (5, 12, 12)), np.tile(x, (30, 1, 1)), noise(1, (3, 12, 12))])
    np.testing.assert_array_equal(best_match(x, y)[1], [5, 6, 7])
    y[5:8] = 0
    np.testing.assert_array_equal(best_match(x, y)[1], [8, 9, 10])


@pytest.mark.parametrize("data_range", ["query", 255])
def test_a_constant_query_has_no_match(data_range):
    x = smooth(1, 3, 12, 12)
    x[1] = 77
    score, index = best_match(x, x, data_range)
    np.testing.assert_array_equal(np.isnan(score), [False, True, False])
    np.testing.assert_array_equal(index, [0, -1, 2])


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.str_])
def test_pairs_of_equal_group_are_left_out(kind):
    x, y = smooth(2, 12, 10, 10), smooth(3, 70, 10, 10)
    x_groups, y_groups = np.arange(12) % 5, np.arange(70) % 6
    expected = reference_scores(x, y, "query")
    expected[x_groups[:, None] == y_groups] = -np.inf
    score, index = best_match(
        x, y, query_groups=x_groups.astype(kind), reference_groups=list(y_groups.astype(kind))
    )
    assert np.abs(score - expected.max(axis=1)).max() <= BOUND
    assert (expected[np.arange(12), index] >= expected.max(axis=1) - 2 * BOUND).all()


def test_no_reference_left_is_nan():
    x = smooth(2, 3, 10, 10)
    score, index = best_match(x, x[:2], query_groups=[4, -5, 6], reference_groups=[4, 4])
    np.testing.assert_array_equal(np.isnan(score), [True, False, False])
    assert index[0] == -1


def test_no_queries_give_empty_arrays():
    score, index = best_match(
        noise(0, (0, 9, 9)), noise(0, (2, 9, 9)), query_groups=[], reference_groups=[1, 2]
    )
    assert (score.shape, index.shape, score.dtype, index.dtype) == ((0,), (0,), np.float32, np.int64)


def test_arrays_need_not_be_contiguous():
    x, y = noise(0, (4, 20, 22)), noise(1, (6, 20, 22))
    expected = best_match(x[::2, ::2, ::2].copy(), y[:, ::2, ::2].copy())
    found = best_match(x[::2, ::2, ::2], y[:, ::2, ::2])
    np.testing.assert_array_equal(found, expected)


def test_chunks_of_references_and_groups_of_queries_do_not_change_the_result(monkeypatch):
    x, y = smooth(4, 45, 9, 9), smooth(5, 170, 9, 9)
    y[160] = x[0]
    y[40] = x[0]
    expected = best_match(x, y)
    monkeypatch.setattr("healthgan._ssim_kernel.search.CHUNK_BYTES", 1)
    monkeypatch.setattr("healthgan._ssim_kernel.search.GROUP_BYTES", 1)
    found = best_match(x, y)
    np.testing.assert_array_equal(found, expected)
    assert found[1][0] == 40


@pytest.mark.parametrize("queries", [1, 3, 70])
def test_the_number_of_threads_does_not_change_the_result(queries):
    x, y = smooth(4, queries, 11, 9), smooth(5, 130, 11, 9)
    results = [best_match(x, y, threads=threads) for threads in (1, 2, 3, 8, None)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_pytorchs_threads_stay_as_they_were():
    """A pool of Numba's own would set the caller's OpenMP threads, and training would crawl."""
    code = (
        "import numpy as np, torch; from healthgan.ssim import best_match; torch.set_num_threads(1)\n"
        "x = np.eye(9, dtype=np.uint8)[None]; best_match(x, x); print(torch.get_num_threads())"
    )
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=free, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


images_of_equal_size = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(7, 17),
    st.integers(7, 17),
    st.integers(0, 255),
    st.integers(0, 255),
)


def between(recipe, count):
    """``count`` random images of one size with values between two limits."""
    seed, height, width, one, two = recipe
    return np.random.default_rng(seed).integers(
        min(one, two), max(one, two), (count, height, width), dtype=np.uint8, endpoint=True
    )


@settings(max_examples=40, deadline=None)
@given(images_of_equal_size, st.floats(0.001, 65535))
def test_law_equals_scikit_image(recipe, data_range):
    images = between(recipe, 3)
    assume(np.ptp(images[0]) > 0)  # a constant query has no match
    check(images[:1], images[1:], data_range)


@settings(max_examples=40, deadline=None)
@given(images_of_equal_size, st.floats(1, 1000))
def test_law_symmetric_when_the_range_is_fixed(recipe, data_range):
    x, y = between(recipe, 2)[:, None]
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    forth, back = best_match(x, y, data_range)[0], best_match(y, x, data_range)[0]
    assert abs(forth[0] - back[0]) <= 2 * BOUND


@settings(max_examples=40, deadline=None)
@given(images_of_equal_size)
def test_law_an_image_is_most_similar_to_itself(recipe):
    images = between(recipe, 3)
    score, _ = best_match(images, images)
    varied = np.ptp(images, axis=(1, 2)) > 0
    np.testing.assert_array_equal(np.isnan(score), ~varied)
    assert (score[varied] >= 1 - BOUND).all()


@settings(max_examples=40, deadline=None)
@given(images_of_equal_size, st.randoms())
def test_law_permuting_references_permutes_the_index(recipe, random):
    images = between(recipe, 45)
    order = np.array(random.sample(range(40), 40))
    score, index = best_match(images[40:], images[:40], 255)
    new_score, new_index = best_match(images[40:], images[:40][order], 255)
    np.testing.assert_array_equal(new_score, score)
    np.testing.assert_array_equal(images[:40][order][new_index], images[index])


GOOD = np.zeros((2, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": GOOD.astype(float)}, "queries are float64.*uint8"),
        ({"references": GOOD.tolist()}, "references are list.*uint8"),
        ({"queries": GOOD[0]}, r"shape \(8, 8\)"),
        ({"queries": GOOD[:, :6]}, "6×8 pixels.*at least 7×7"),
        ({"queries": np.zeros((2, 8, 8, 0), np.uint8)}, "at least 7×7 and one channel"),
        ({"references": np.zeros((2, 8, 9), np.uint8)}, r"\(8, 8, 1\).*\(8, 9, 1\)"),
        ({"references": np.zeros((2, 8, 8, 3), np.uint8)}, r"\(8, 8, 1\).*\(8, 8, 3\)"),
        ({"references": GOOD[:0]}, "no references"),
        ({"data_range": 0}, "data_range is 0.*0.001 to 65535"),
        ({"data_range": float("nan")}, "data_range is nan"),
        ({"data_range": 1e6}, "data_range is 1000000.0"),
        ({"data_range": "max"}, "data_range is 'max'.*'query' or a number"),
        ({"device": "abacus"}, "device is 'abacus'.*'cpu'"),
        ({"query_groups": [1, 2]}, "both, or neither"),
        ({"reference_groups": [1, 2]}, "both, or neither"),
        ({"query_groups": [1], "reference_groups": [1, 2]}, r"query_groups have shape \(1,\).*\(2,\)"),
        ({"query_groups": [1, 2], "reference_groups": [1.0, 2.0]}, "reference_groups are float64"),
        ({"query_groups": ["a", "b"], "reference_groups": [1, 2]}, "both must be integers, or both strings"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        best_match(**{"queries": GOOD, "references": GOOD, **arguments})


def test_importing_loads_no_compiler():
    code = "import sys, healthgan.ssim; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
