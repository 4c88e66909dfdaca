"""Masks are PyTorch's, bit for bit, and leave its generator where PyTorch leaves it."""

import numpy as np
import pytest
import torch

from healthgan import dropout_masks
from healthgan.dropout_masks import draw_rows, like_pytorch


def pytorchs(generator, keep, counts, width):
    rows = np.zeros((len(counts), width), np.uint8)
    for row, count in zip(rows, counts, strict=True):
        row[:count] = torch.empty(int(count), dtype=torch.uint8).bernoulli_(keep, generator=generator).numpy()
    return rows


def test_the_installed_pytorch_draws_this_way() -> None:
    assert like_pytorch(), "masks are drawn by PyTorch, several times as slowly"


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.5, 0.7, 1 - 2**-40, 1.0])
@pytest.mark.parametrize("before", [0, 1, 311, 623, 624])
def test_values_and_the_generator_afterwards_are_pytorchs(keep, before):
    """From everywhere in the twister's words, also where a pair of them is divided, over rows of unlike length."""
    counts = np.array([0, 1, 400, 5, 311, 312, 313, 2000])
    ours, theirs = (torch.Generator().manual_seed(11) for _ in range(2))
    for generator in (ours, theirs):
        torch.rand(before, generator=generator)  # a word each
    rows = np.full((8, 2, 2000), 9, np.uint8)[:, 1]  # not one after the other in memory
    draw_rows(ours, keep, rows, counts)
    assert np.array_equal(rows, pytorchs(theirs, keep, counts, 2000))
    assert torch.equal(ours.get_state(), theirs.get_state())
    assert torch.equal(torch.randn(3, generator=ours), torch.randn(3, generator=theirs))


def test_the_second_word_decides_where_the_first_is_on_the_limit():
    """Limits that a uniform number of the sequence is just below, and just not."""
    generator = torch.Generator().manual_seed(2)
    uniform = torch.rand(700, generator=generator, dtype=torch.float64).numpy()
    counts = np.array([700])
    for value in (uniform[3], uniform[350], uniform[699]):
        for keep in (value, np.nextafter(value, 1)):
            rows = np.empty((1, 700), np.uint8)
            draw_rows(torch.Generator().manual_seed(2), float(keep), rows, counts)
            assert np.array_equal(rows[0], uniform < keep)


def test_where_pytorch_draws_otherwise_it_draws_itself(monkeypatch):
    monkeypatch.setattr(dropout_masks, "like_pytorch", lambda: False)
    monkeypatch.setattr(dropout_masks, "_fill", None)
    ours, theirs = (torch.Generator().manual_seed(4) for _ in range(2))
    counts = np.array([30, 10])
    rows = np.full((2, 30), 9, np.uint8)
    draw_rows(ours, 0.5, rows, counts)
    assert np.array_equal(rows, pytorchs(theirs, 0.5, counts, 30))
