"""The search of :mod:`healthgan.ssim` on the CPU: what is compared with what, in which order, by which thread.

The memory taken grows with the number of queries by about 0.1 KiB a query (their order, the best of each, what
each group looks like) and with the number of references not at all: they are laid out for the kernel a
bounded number at a time.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from healthgan._ssim_kernel import blocks as kernel
from healthgan._ssim_kernel import order as looks
from healthgan._ssim_kernel.row import LANES

CHUNK_BYTES = 16 << 20  # references laid out for the kernel at a time
GROUP_BYTES = 16 << 20  # what a thread keeps of the queries it works on
GROUP_SIZE = 32  # queries at a time at most: enough to share the work done once a reference
ORDER_FROM = 512  # queries from which on it pays to put the references in order (docs/log.md)

Pixels = NDArray[np.uint8]
Whole = NDArray[np.int64]
Best = tuple[NDArray[np.float64], Whole]


@dataclass(frozen=True)
class _Group:
    """Queries that one call of the kernel handles."""

    members: Whole
    look: looks.Floats | None  # what they look like, where references are in order
    value: NDArray[np.float64]  # the best so far, changed in place
    position: Whole


@dataclass(frozen=True)
class _Part:
    """References laid out for the kernel."""

    blocks: Pixels  # (blocks, C, H, W, LANES)
    places: Whole  # (M,) position of each among the references
    names: Whole  # (M,) its group
    looks: looks.Floats | None  # (blocks, D) mean description of each block, where they are in order


def search(
    x: Pixels,
    y: Pixels,
    usable: Whole,
    ranges: NDArray[np.float64],
    x_codes: Whole,
    y_codes: Whole,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Whole, Best]]:
    """Yield the ``usable`` query positions group by group, with the best value and reference of each.

    Args:
        x: (N, H, W, C) queries.
        y: (M, H, W, C) references.
        usable: positions of the queries that are looked at.
        ranges: (N,) data range of each query.
        x_codes: (N,) group of each query.
        y_codes: (M,) group of each reference.
        threads: how many to use.
        progress: told how many pairs are done, of how many.
    """

    def run(task: tuple[tuple[_Group, Best], _Part]) -> Best:
        (group, (value, position)), part = task
        order = np.arange(len(part.blocks))
        if part.looks is not None and group.look is not None:
            order = np.argsort(-(part.looks @ group.look), kind="stable")
        prepared = kernel.query_terms(x[group.members], ranges[group.members])
        value, position = value.copy(), position.copy()
        codes = x_codes[group.members]
        kernel.best_of_blocks(part.blocks, order, part.places, part.names, prepared, codes, value, position)
        return value, position

    size = int(np.clip(GROUP_BYTES // (16 * x[:1].size or 1), 1, GROUP_SIZE))
    shares = -(-threads * size // max(len(usable), 1))  # with few queries references are shared out as well
    groups: list[_Group] = []
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for parts in _parts(y, y_codes, shares, len(usable) >= ORDER_FROM):
            groups = groups or _groups(x, usable, size, parts[0].looks)
            known = [(group, (group.value.copy(), group.position.copy())) for group in groups]
            results = pool.map(run, product(known, parts))
            for group, part in product(groups, parts):
                value, position = next(results)
                better = (value > group.value) | ((value == group.value) & (position < group.position))
                group.value[better], group.position[better] = value[better], position[better]
                done += len(group.members) * len(part.places)
                if progress is not None:
                    progress(done, len(usable) * len(y))
    yield from ((group.members, (group.value, group.position)) for group in groups)


def _groups(x: Pixels, usable: Whole, size: int, blocks: looks.Floats | None) -> list[_Group]:
    """The queries ``size`` at a time; those that look like the same references together."""
    order, near = usable, np.empty(0, np.int64)
    if blocks is not None:
        pieces = [usable[start : start + 1024] for start in range(0, len(usable), 1024)]
        near = np.concatenate([looks.nearest(looks.describe(x[piece]), blocks) for piece in pieces])
        alike = np.argsort(near, kind="stable")
        order, near = usable[alike], near[alike]
    groups = []
    for start in range(0, len(order), size):
        members = order[start : start + size]
        look = None if blocks is None else blocks[near[start : start + size]].mean(axis=0)
        groups.append(_Group(members, look, np.full(len(members), -np.inf), np.full(len(members), -1)))
    return groups


def _parts(y: Pixels, names: Whole, shares: int, ordered: bool) -> Iterator[list[_Part]]:
    """Lay out the references for the kernel, a bounded number at a time, in ``shares`` or fewer parts."""
    count, height, width, channels = y.shape
    lanes = LANES
    blocks_a_chunk = max(1, CHUNK_BYTES // (lanes * height * width * channels))
    for start in range(0, count, blocks_a_chunk * lanes):
        chunk = y[start : start + blocks_a_chunk * lanes]
        found = looks.describe(chunk) if ordered else None
        order = np.arange(len(chunk)) if found is None else looks.arrange(found, lanes)
        blocks = np.empty((-(-len(chunk) // lanes), channels, height, width, lanes), np.uint8)
        means = None if found is None else np.empty((len(blocks), found.shape[1]), np.float32)
        for number, block in enumerate(blocks):
            members = order[number * lanes : (number + 1) * lanes]
            block[..., : len(members)] = chunk[members].transpose(3, 1, 2, 0)
            block[..., len(members) :] = block[..., :1]  # unused lanes: no more promising than a used one
            if found is not None and means is not None:
                means[number] = found[members].mean(axis=0)
        step = -(-len(blocks) // shares)
        yield [
            _Part(
                blocks[low : low + step],
                start + order[low * lanes : (low + step) * lanes],
                names[start + order[low * lanes : (low + step) * lanes]],
                None if means is None else means[low : low + step],
            )
            for low in range(0, len(blocks), step)
        ]
