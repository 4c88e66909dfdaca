"""A network's weights: where they may come from, and how they are named."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from healthgan.classifiers.networks import Network
from healthgan.errors import InputError


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
        given = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"The initial weights '{weights}' can't be read: {error}. Give a .safetensors file."
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
