"""A network's weights: where they may come from, and how they are named."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from healthgan.classifiers.networks import Network
from healthgan.errors import InputError
from healthgan.files import check_kind

MOST_HEADER = 1 << 22
"""Bytes of the header of a safetensors file, which names its tensors: reading one takes many times as many of memory."""


def header_bytes(path: Path) -> int:
    """How long a safetensors file says that its header is; 0 for a file of another kind.

    Raises:
        InputError: it is no regular file.
        OSError: it cannot be read.
    """
    check_kind(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length if file.read(1) == b"{" else 0


def take_weights(network: Network, name: str, weights: Path | None) -> int:
    """Copy initial weights into a network, where name and shape fit.

    Args:
        network: takes them.
        name: what the user calls it.
        weights: a .safetensors file, if any.

    Returns:
        how many tensors did.

    Raises:
        InputError: the file cannot be read, or nothing in it fits.
    """
    if weights is None:
        return 0
    try:
        if (header := header_bytes(weights)) > MOST_HEADER:
            raise InputError(
                f"The initial weights '{weights}' have a header of {header:,} bytes; {MOST_HEADER:,} are read. Give a "
                ".safetensors file of fewer tensors."
            )
        given = load_file(weights)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"The initial weights '{weights}' can't be read: {reason}. Give a .safetensors file."
        ) from error
    ours = network.tensors()
    fitting = [key for key, value in ours.items() if key in given and given[key].shape == value.shape]
    if not fitting:
        raise InputError(
            f"None of the {len(given)} tensors of '{weights}' has name and shape of one of the network '{name}', whose "
            f"first are {', '.join(list(ours)[:3])}. Give weights of that network."
        )
    with torch.no_grad():
        for key in fitting:
            ours[key].copy_(given[key])
    return len(fitting)


def weights_digest(network: Network) -> str:
    """SHA-256 over names, shapes, types and values."""
    summed = hashlib.sha256()
    for name, value in sorted(network.tensors().items()):
        array = value.cpu().contiguous().numpy()
        summed.update(repr((name, array.shape, array.dtype.str)).encode() + array.tobytes())
    return summed.hexdigest()
