"""What a file's tensors come to as bytes, for the checksums that show damage."""

from collections.abc import Mapping
from typing import Protocol

import torch


class Digest(Protocol):
    """Any of ``hashlib``'s."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""


def add_tensors(digest: Digest, tensors: Mapping[str, torch.Tensor]) -> None:
    """Take names, types, shapes and values of tensors (on the CPU, contiguous) into a digest, in the order of names."""
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
