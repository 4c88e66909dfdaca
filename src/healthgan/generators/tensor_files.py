"""Files of tensors: whole or not there, and what their tensors come to as bytes, for the checksums that show damage."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from healthgan.files import part_name, write_atomically


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


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], said: Mapping[str, str]) -> None:
    """Write tensors, no two of which share memory, as safetensors.

    Args:
        path: the file to make.
        tensors: contiguous.
        said: the file's metadata.

    Raises:
        OSError: the disk is full, and the like.
    """

    def write(part: Path) -> None:
        # The library writes a file of its own beside the one it is asked for: what is killed leaves it in a folder that
        # is known as half written.
        own = part_name(path)
        own.mkdir(mode=0o700)
        try:
            save_file(dict(tensors), own / "whole", metadata=dict(said))
            (own / "whole").replace(part)
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        finally:
            shutil.rmtree(own, ignore_errors=True)

    write_atomically(path, write)
