"""The program for GPUs gives what the CPU gives; it is tried on the CPU too, by the same lines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from healthgan import ssim
from healthgan._ssim_kernel import gpu
from healthgan.errors import InputError
from healthgan.ssim import best_match
from test_ssim import between, images_of_equal_size, noise, reference_scores, saturated, smooth

BOUND = 1e-6  # of each of the two, derived in _ssim_kernel/blocks.py and gpu.py
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def by_gpu(x, y, data_range="query", x_groups=None, y_groups=None, device="cpu"):
    """What best_match gives on a GPU, by its own lines, on ``device``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(ssim, "_on_cuda", lambda job: gpu.search(*job, device))
        return best_match(x, y, data_range, "cuda", x_groups, y_groups)


def check(x, y, data_range="query", x_groups=None, y_groups=None):
    score, index = best_match(x, y, data_range, "cpu", x_groups, y_groups)
    for device in DEVICES:
        value, place = by_gpu(x, y, data_range, x_groups, y_groups, device)
        assert (value.dtype, place.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(np.isnan(value), np.isnan(score))
        there = ~np.isnan(score)
        np.testing.assert_array_equal(place[~there], -1)
        assert (np.abs(value - score)[there] <= 2 * BOUND).all()
        for i in np.flatnonzero(there & (place != index)):  # another reference only where it is as good
            named = best_match(x[i : i + 1], y[place[i]][None], data_range, "cpu")[0][0]
            assert score[i] - named <= 2 * BOUND


@pytest.mark.parametrize("shape", [(28, 28), (7, 7), (7, 23), (31, 8), (9, 10), (13, 12, 3)], ids=str)
@pytest.mark.parametrize("data_range", ["query", 0.001, 255, 65535])
@pytest.mark.parametrize("device", DEVICES)
def test_equals_scikit_image_on_noise(shape, data_range, device):
    x, y = noise(1, (3, *shape)), noise(2, (5, *shape))
    score, index = by_gpu(x, y, data_range, device=device)
    expected = reference_scores(x, y, data_range)
    assert np.abs(score - expected.max(axis=1)).max() <= BOUND
    np.testing.assert_array_equal(index, expected.argmax(axis=1))  # noise has no near ties


def test_equals_the_kernel_on_smooth_and_saturated_images():
    images = smooth(0, 40, 28, 28)
    check(images[:15], images[15:])
    boards = saturated(4, 29, 26)
    check(boards, np.concatenate([255 - boards, np.full_like(boards[:1], 255)]))


@pytest.mark.parametrize("level", [0, 1, 128, 254])
def test_equals_the_kernel_on_bright_images_of_tiny_contrast(level):
    flat = level + np.random.default_rng(3).integers(0, 2, (12, 15, 17), dtype=np.uint8)
    flat[2] = level  # a constant query
    check(flat[:4], flat[4:])
    check(flat[:4], flat[4:], 1)


@settings(max_examples=25, deadline=None)
@given(images_of_equal_size, st.floats(0.001, 65535), st.integers(0, 4), st.integers(1, 12))
def test_law_equals_the_kernel(recipe, data_range, groups, elements):
    images = between(recipe, 30)
    rng = np.random.default_rng(recipe[0])
    names = (rng.integers(0, groups, 9), rng.integers(0, groups, 21)) if groups else (None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "ELEMENTS", 2**elements * 10)  # from one pair and row at a time to all
        check(images[:9], images[9:], data_range, *names)


@pytest.mark.parametrize("elements", [1, 500, 1 << 26])
@pytest.mark.parametrize("device", DEVICES)
def test_ties_go_to_the_lowest_index(elements, device, monkeypatch):
    monkeypatch.setattr(gpu, "ELEMENTS", elements)
    x = smooth(1, 3, 12, 12)
    y = np.concatenate([noise(0, (5, 12, 12)), np.tile(x, (10, 1, 1)), noise(1, (3, 12, 12))])
    np.testing.assert_array_equal(by_gpu(x, y, device=device)[1], [5, 6, 7])


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("device", DEVICES)
def test_the_precision_of_matrix_products_does_not_matter(precision, device):
    x, y = noise(4, (6, 20, 20)), noise(5, (9, 20, 20))
    expected = by_gpu(x, y, device=device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = by_gpu(x, y, device=device)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(found, expected)


def test_memory_is_bounded_however_many_images_there_are(monkeypatch):
    """The largest tensor that the program makes holds ELEMENTS windows of pairs."""
    monkeypatch.setattr(gpu, "ELEMENTS", 4000)
    sizes = []
    windows = gpu._windows
    monkeypatch.setattr(gpu, "_windows", lambda *each: sizes.append((made := windows(*each)).numel()) or made)
    by_gpu(noise(0, (50, 12, 12)), noise(1, (70, 12, 12)))
    assert sum(sizes) == 50 * 70 * 6 * 6  # every window of every pair, once
    assert max(sizes) <= 4000


def test_asking_for_a_gpu_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"no GPU.*'auto' or 'cpu'"):
        best_match(noise(0, (1, 8, 8)), noise(1, (1, 8, 8)), device="cuda")


def test_large_work_goes_to_the_cpu_where_a_driver_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ssim, "_GPU_WORK", 0)
    monkeypatch.setattr(ssim, "_NVIDIA", tmp_path)
    x, y = noise(0, (2, 8, 8)), noise(1, (3, 8, 8))
    np.testing.assert_array_equal(best_match(x, y), best_match(x, y, device="cpu"))
