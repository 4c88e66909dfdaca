"""Judge images by many classifiers at once."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.networks import Network
from healthgan.classifiers.room import activations, budget
from healthgan.classifiers.stacks import architecture, stack_of
from healthgan.classifiers.train import PREDICT, Trained

CPU = torch.device("cpu")


def predict_many(
    trained: Sequence[Trained], pixels: NDArray[np.uint8], memory: int | None = None
) -> NDArray[np.float32]:
    """The logits (E, N) of output 0 of classifiers on one device, for images (N, H, W, C) uint8, N > 0.

    Args:
        trained: the classifiers.
        pixels: the images.
        memory: bytes that may be taken; None: what a CUDA device has free, or ``room.MEMORY``.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(trained):
        groups.setdefault(architecture(one.network), []).append(place)
    logits = np.empty((len(trained), len(pixels)), np.float32)
    for places in groups.values():
        networks, device = [trained[place].network for place in places], trained[places[0]].device
        stack = None if len(places) == 1 else stack_of(networks[:2], pixels.shape[1:], CPU)
        if stack is None:
            for alone in places:
                logits[alone] = trained[alone].predict(pixels)
            continue
        each, most = activations(networks[0], pixels.shape[1:], device), budget(device, memory)
        count = max(1, min(len(places), most // (16 * each)))
        images = max(1, min(PREDICT, most // (count * each)))
        for begin in range(0, len(places), count):
            some = slice(begin, begin + count)
            logits[places[some]] = _judged(networks[some], pixels, images, device)
    return logits


def _judged(
    networks: Sequence[Network], pixels: NDArray[np.uint8], images: int, device: torch.device
) -> NDArray[np.float32]:
    stack = stack_of(networks, pixels.shape[1:], device)
    assert stack is not None
    stack.train(False)
    blocks = torch.split(torch.from_numpy(np.ascontiguousarray(pixels)), images)
    with torch.no_grad():
        found = []
        for block in blocks:
            x = block.to(device).to(stack.flat.dtype).div_(255)
            logits = stack.both(stack.flat, x.expand(len(networks), *x.shape), None)[1]
            found.append(logits[:, :, 0].cpu())
    return torch.cat(found, dim=1).numpy()
