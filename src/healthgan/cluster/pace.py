"""How a cluster gets on: its nodes, what of them is at work, jobs a minute."""

import time
from collections.abc import Callable
from typing import Any

LOOK_SECONDS, TELL_SECONDS = 5.0, 60.0
"""How often the nodes are counted, and how often it is told how things go."""


class Pace:
    """Nodes and throughput, for the user."""

    def __init__(self, ray: Any, notice: Callable[[str], None]) -> None:  # noqa: ANN401 # the module
        self._ray, self._notice = ray, notice
        self._started = self._looked = self._told = time.monotonic()
        self._ended: dict[str, int] = {}
        self._alive = self._nodes()

    def ended(self, node: str, jobs: int) -> None:
        """Count jobs that ended on a node."""
        self._ended[node] = self._ended.get(node, 0) + jobs

    def tell(self) -> None:
        """Look at the nodes and say what has changed, or how things go."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked, alive = now, self._nodes()
        for name in self._alive - alive:
            self._notice(f"node {name[0]} is gone; {_count(len(alive), 'node')} left")
        for name in alive - self._alive:
            self._notice(f"node {name[0]} has joined; {_count(len(alive), 'node')}")
        self._alive = alive
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._notice(self.summary())

    def summary(self) -> str:
        """Nodes, processors at work, jobs a minute."""
        total, free = self._ray.cluster_resources(), self._ray.available_resources()
        minutes = (time.monotonic() - self._started) / 60
        busy = [
            f"{total[name] - free.get(name, 0.0):g} of {total[name]:g} {name}s busy"
            for name in ("CPU", "GPU")
            if name in total
        ]
        jobs = sum(self._ended.values())
        each = ", ".join(f"{node} {count}" for node, count in sorted(self._ended.items()))
        return (
            f"{_count(len(self._alive), 'node')}, {', '.join(busy)}; {_count(jobs, 'job')} done ({each}), "
            f"{jobs / minutes:.1f} a minute"
        )

    def _nodes(self) -> set[tuple[str, str]]:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        return {(node["NodeManagerAddress"], node["NodeID"]) for node in nodes}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
