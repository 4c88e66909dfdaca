"""What tests/faults can't bring about by files alone: too little memory, rights that root has anyway, sizes from Python."""

import os

import numpy as np
import pytest

from healthgan.errors import InputError
from healthgan.sources import LONGEST, load, members, message

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=IMAGES, train_labels=np.array([0, 1, 0, 1]))
    return tmp_path / "a.npz"


@pytest.mark.parametrize("size", [-1, 0, 15, 225, 10**9])
def test_bad_sizes(size):
    with pytest.raises(InputError, match=f"Size {size} is not possible. Choose 16 to 224"):
        load("phantom", size=size)


def test_an_array_larger_than_memory(path, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    monkeypatch.setattr(members.npy, "read_array", refuse)
    with pytest.raises(InputError, match=r"'train_images' needs 0\.0 GiB, more than this computer has free"):
        load(str(path))


def test_more_than_memory_should_hold(path, monkeypatch):
    monkeypatch.setattr(members, "MAX_BYTES", 1000)
    with pytest.raises(
        InputError, match=r"unpacks to 0\.0 GiB; 0 GiB are allowed\. Keep fewer or smaller images"
    ):
        load(str(path))


def test_a_file_that_may_not_be_read(path):
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("needs a user who may not read every file; root may")
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        load(str(path))


def test_a_long_message_keeps_its_ends():
    text = message(f"'a.csv' has {'x' * 10**6}\n. Correct it.")
    assert len(text) == LONGEST + 1
    assert text.startswith("'a.csv' has xxx")
    assert text.endswith("xxx\\x0a. Correct it.")
    assert message("short") == "short"
