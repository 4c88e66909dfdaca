"""Find a Ray cluster, or start one on this machine for as long as a study runs."""

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from healthgan.cluster.scratch import new_name, private
from healthgan.errors import InputError

LOCAL = "local"
"""The address that means: a cluster of this machine alone."""
LONGEST = 39
"""Characters of Ray's folder: the names of its sockets, 64 longer, have room for 103 on every system."""
REACH_SECONDS = 10.0
"""An address that does not answer in this time can't be reached."""
STORE_SHARE, STORE_LEAST, STORE_MOST = 0.2, 2**27, 2**31
"""Ray's store of objects on this machine: this share of the memory, within these bytes. What is more goes to disk."""


@dataclass(frozen=True)
class Cluster:
    """What a cluster has to offer when a study starts on it.

    Attributes:
        ray: version of Ray.
        nodes: machines with a processor to give.
        cpus: of all of them.
        gpus: of all of them.
    """

    ray: str
    nodes: int
    cpus: float
    gpus: float

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)

    def device(self, asked: str) -> str:
        """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``, whatever this machine has itself.

        Raises:
            InputError: no node has a GPU.
        """
        if asked == "cuda" and not self.gpus:
            raise InputError(
                "No node of the cluster has told Ray of a GPU. Take --device cpu or auto, or start nodes with --num-gpus."
            )
        return "cuda" if self.gpus and asked != "cpu" else "cpu"


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[Cluster]:
    """Be part of a cluster until the block ends.

    Args:
        address: ``local``, or HOST:PORT of the head of a cluster that this machine has joined.
        workers: processes of a local cluster; None for one a core.

    Raises:
        InputError: Ray is not installed, or the address can't be used.
    """
    if address != LOCAL:
        _reach(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError("--cluster needs Ray. Install it with pip install 'healthgan[cluster]'.") from None
    with (
        redirect_stdout(sys.stderr),
        _started(address, workers),
    ):  # Ray tells of lost workers where results belong
        try:
            alive = [node for node in ray.nodes() if node["Alive"]]
            total = ray.cluster_resources()
            giving = sum(node["Resources"].get("CPU", 0) > 0 for node in alive)
            yield Cluster(ray.__version__, giving, total.get("CPU", 0.0), total.get("GPU", 0.0))
        finally:
            ray.shutdown()


@contextmanager
def _started(address: str, workers: int | None) -> Iterator[None]:
    if address != LOCAL:
        with _signals_kept():
            _join(address)
        yield
        return
    folder = new_name("hg-ray-")
    if len(str(folder)) > LONGEST:
        raise InputError(
            f"Ray can't keep its files in '{folder.parent}': the name is too long for its sockets. Set TMPDIR=/tmp."
        )
    with private(folder):
        with _signals_kept():
            _start_here(folder, workers)
        yield


def _start_here(folder: Path, workers: int | None) -> None:
    """A cluster of this machine; whoever reaches its ports needs a token that only this user's processes know."""
    import ray

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers have the rank of this process, as without Ray
    ray.init(
        LOCAL,
        num_cpus=workers,
        include_dashboard=False,
        object_store_memory=store_bytes(),
        log_to_driver=False,
        logging_level="error",
        _temp_dir=str(folder),
    )


def store_bytes() -> int:
    """How much memory Ray's store of objects may take on this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(max(STORE_SHARE * memory, STORE_LEAST), STORE_MOST))


def _reach(address: str) -> None:
    """Make sure that something answers there: Ray would try for long and then end the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(
            f"'{address}' is no address of a cluster. Give 'local' or HOST:PORT, such as 10.0.0.1:6379."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"The cluster at '{address}' can't be reached: {error}. Start its head with "
            f"'ray start --head --port={port}', or check the address."
        ) from None


def _join(address: str) -> None:
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"This machine can't work with the cluster at '{address}': {reason}. It must have joined ('ray start "
            f"--address={address} --num-cpus=0') with the other nodes' versions of Python and Ray and, where they "
            "set RAY_AUTH_MODE=token, their token."
        ) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts; the program's own answer is put back."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
