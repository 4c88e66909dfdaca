"""Which jobs a sound study consists of, told from its settings and the record of its task."""

from collections.abc import Iterable, Iterator
from typing import Any

from healthgan.protocol_sound import ARMS, Sound

Cell = dict[str, Any]
"""As in the record of the task: ``name``, ``kind`` (main, fold, curve or onward), ``rare_count``, ``draw`` …"""

ONWARD = "onward"
SCRATCH = "scratch"
"""The arm of the second question that begins with the other data."""


def planned(protocol: Sound, cells: Iterable[Cell], arms: tuple[str, ...], brought: bool) -> list[str]:
    """The keys of all jobs, by cell.

    Args:
        protocol: settings.
        cells: of the study.
        arms: that run.
        brought: whether the synthetic images were brought: one pool, and no generator.
    """
    keys: list[str] = []
    for place, cell in enumerate(cells):
        name, count = cell["name"], generators(protocol, cell, arms, brought)
        keys.append(f"truth/{name}")
        if cell["kind"] != "onward" and count:
            keys.append(f"band/{name}")
            for number in range(count):
                keys += [] if brought else [f"generator/{name}/{number}"]
                keys.append(f"pool/{name}/{number}")
            if place == 0 and protocol.generator.measure and not brought:
                keys.append(f"quality/{name}")
        keys += [key for arm in arms_of(protocol, cell, arms) for key in fits(protocol, cell, arm, count)]
    return keys


def arms_of(protocol: Sound, cell: Cell, arms: tuple[str, ...]) -> tuple[str, ...]:
    """The arms of a cell, in order; the learning curve and the second question have some of their own."""
    if cell["kind"] == "onward":
        assert protocol.onward is not None
        return (SCRATCH, "real", protocol.onward.synthetic)
    if cell["kind"] == "curve":
        assert protocol.curve is not None
        wanted = {"real", protocol.curve.reference, protocol.curve.synthetic}
        return tuple(arm for arm in arms if arm in wanted)
    return arms


def generators(protocol: Sound, cell: Cell, arms: tuple[str, ...], brought: bool) -> int:
    """How many generators, or pools that were brought, the synthetic arms of a cell learn from."""
    if not any(is_synthetic(arm) for arm in arms_of(protocol, cell, arms)):
        return 0
    return 1 if brought or cell["kind"] == "curve" else protocol.design.generators


def fits(protocol: Sound, cell: Cell, arm: str, count: int) -> Iterator[str]:
    """The keys of an arm's classifiers in a cell, by generator and seed."""
    synthetic = is_synthetic(arm)
    seeds = protocol.design.seeds if synthetic else protocol.design.reference_seeds
    if cell["kind"] == "curve":
        assert protocol.curve is not None
        seeds = protocol.curve.seeds
    for number in range(count) if synthetic else [None]:
        for seed in range(seeds):
            place = str(seed) if number is None else f"{number}-{seed}"
            yield f"fit/{cell['name']}/{arm}/{place}"


def is_synthetic(arm: str) -> bool:
    """Whether an arm learns from synthetic images."""
    return arm in ARMS and ARMS[arm][0] == "synthetic"
