"""How many networks the memory holds."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar

import torch
from torch import Tensor

from healthgan.classifiers.networks import Network
from healthgan.classifiers.stacks import stack_of

MEMORY = 1 << 30
"""Bytes that networks trained at once may take where nothing else is said and there is no CUDA device to ask."""
_SHARE = 0.7
"""Of a CUDA device's free memory."""


Item = TypeVar("Item")
Found = TypeVar("Found")


def by_turns(items: Sequence[Item], most: int, work: Callable[[Sequence[Item]], list[Found]]) -> list[Found]:
    """What is found for all items, ``most`` at a time in equal shares; half of that where a device runs out of memory."""
    size = -(-len(items) // -(-len(items) // most)) if items else 1
    found: list[Found] = []
    while len(found) < len(items):
        with suppress(torch.OutOfMemoryError) if size > 1 else nullcontext():
            found += work(items[len(found) : len(found) + size])
            continue
        size = -(-size // 2)
        torch.cuda.empty_cache()  # now that the error, and what its frames held, is gone
    return found


def budget(device: torch.device, memory: int | None) -> int:
    """Bytes that may be taken: what is said, or most of what a CUDA device has free, or ``MEMORY``."""
    if memory is not None:
        return memory
    return int(_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else MEMORY


def activations(network: Network, shape: tuple[int, int, int], device: torch.device) -> int:
    """Bytes that an image takes in a training step: what its gradient needs, once more for gradients, and itself."""
    images = 8
    seen: dict[int, int] = {}
    stack = stack_of([network, network], shape, device)
    assert stack is not None

    def noted(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.zeros(2, images, *shape, dtype=stack.flat.dtype, device=device)
    flat = stack.flat.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
        kept = stack.both(flat, x, None)
    seen.pop(flat.untyped_storage().data_ptr(), None)
    del kept
    return (2 * sum(seen.values()) + 8 * x.nbytes) // (2 * images) + 1
