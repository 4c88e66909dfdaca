"""Find a Ray cluster, or start one on this machine for as long as a study runs."""

import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from healthgan.errors import InputError

LOCAL = "local"
"""The address that means: a cluster of this machine alone."""
LOOPBACK = "127.0.0.1"
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
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError("--cluster needs Ray. Install it with pip install 'healthgan[cluster]'.") from None
    with _started(address, workers):
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
    folder = tempfile.mkdtemp(prefix="healthgan-ray-")
    try:
        with _signals_kept():
            _start_here(Path(folder), workers)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_here(folder: Path, workers: int | None) -> None:
    """A cluster that only this machine can reach, and only with a token that this process makes."""
    import ray

    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        LOCAL,
        num_cpus=workers,
        include_dashboard=False,
        object_store_memory=store_bytes(),
        log_to_driver=False,
        logging_level="error",
        _node_ip_address=LOOPBACK,
        _temp_dir=str(folder),
    )


def store_bytes() -> int:
    """How much memory Ray's store of objects may take on this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(max(STORE_SHARE * memory, STORE_LEAST), STORE_MOST))


def _join(address: str) -> None:
    import ray

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
    try:
        ray.init(address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"This machine can't work with the cluster at '{address}': {reason} Let it join with "
            f"'ray start --address={address} --num-cpus=0', with the Python and Ray of the other nodes."
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
