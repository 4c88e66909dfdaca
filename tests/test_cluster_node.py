"""What a node and a driver do without Ray: private folders, versions, addresses."""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from healthgan.cluster import node
from healthgan.cluster.connection import STORE_LEAST, STORE_MOST, connected, store_bytes
from healthgan.cluster.driver import GpuNeeds
from healthgan.cluster.node import NodeFolder, get_bytes, put_bytes, versions
from healthgan.cluster.scratch import new_name, private
from healthgan.errors import InputError

HERE = np.frombuffer(b"from the driver", np.uint8)


def test_a_file_is_fetched_when_it_is_asked_for(tmp_path: Path) -> None:
    asked: list[str] = []

    def give() -> np.ndarray:
        asked.append("given")
        return HERE

    folder = NodeFolder(tmp_path / "node")
    with folder.open({"out/a": give, "/home/me/weights": give}):
        assert not asked
        assert folder.artifact("out/a").read_bytes() == b"from the driver"
        assert folder.artifact("out/a").is_file()
        assert asked == ["given"]
        assert not folder.artifact("out/b").exists()
        assert folder.outside(Path("/home/me/weights")).read_bytes() == b"from the driver"
        assert folder.fetched.keys() == {"out/a", "/home/me/weights"}
        assert folder.path.stat().st_mode & 0o777 == 0o700
    assert not folder.path.exists(), "nothing stays longer than the job"
    with folder.open({}):
        assert not folder.artifact("out/a").exists()


def test_only_checkpoints_that_are_new_are_told(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path / "node")
    old, new = "generator/a.checkpoint.safetensors", "generator/b.checkpoint.safetensors"
    with folder.open({old: lambda: HERE}):
        folder.artifact(old)
        assert folder.checkpoints({}) == {}, "the driver's own is not sent back"
        put_bytes(folder.artifact(new), np.frombuffer(b"state", np.uint8))
        put_bytes(folder.artifact("generator/c.safetensors"), HERE)
        half = folder.artifact("generator/.b.checkpoint.safetensors.0.part")
        half.mkdir()  # as it lies while tensors are written
        (half / "whole").touch()
        folder.artifact("generator/.b.checkpoint.safetensors.1.part").touch()
        found = folder.checkpoints({})
        assert {name: content.tobytes() for name, (_, content) in found.items()} == {new: b"state"}
        seen = {name: when for name, (when, _) in found.items()}
        assert folder.checkpoints(seen) == {}
        put_bytes(folder.artifact(old), np.frombuffer(b"went on", np.uint8))
        assert folder.checkpoints(seen).keys() == {old}


def test_bytes_come_back_as_they_were(tmp_path: Path) -> None:
    for content in (b"", bytes(range(256)) * 100):
        put_bytes(tmp_path / "file", np.frombuffer(content, np.uint8))
        assert get_bytes(tmp_path / "file").tobytes() == content


def test_the_folder_of_a_killed_worker_is_removed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    killed, at_work, young, other = (new_name(prefix) for prefix in ("a-", "a-", "a-", "b-"))
    for left in (killed, young, other):
        (left / "artifacts").mkdir(parents=True)
    with private(at_work):
        for folder in (killed, at_work, other):
            os.utime(folder, (0, time.time() - 3600))
        new_name("a-")
        assert [folder.exists() for folder in (killed, at_work, young, other)] == [False, True, True, True]


def test_a_node_with_other_versions_is_refused() -> None:
    node._check_versions(versions())
    assert not any("+" in version for version in versions().values()), "builds for GPU and CPU may be mixed"
    with pytest.raises(InputError, match=r"has torch 2\.\S+, this machine has 1\.0; records would differ"):
        node._check_versions({**versions(), "torch": "1.0"})
    with pytest.raises(InputError, match=r"has code [0-9a-f]{12}, this machine has 0000"):
        node._check_versions({**versions(), "code": "0" * 64})


def test_shares_of_a_gpu() -> None:
    needs = GpuNeeds(any=True, whole=frozenset({"fit"}))
    assert (needs.of("fit"), needs.of("pool"), GpuNeeds().of("fit")) == (1.0, 0.25, 0.0)


def test_rays_store_is_a_share_of_the_memory_within_bounds() -> None:
    assert STORE_LEAST <= store_bytes() <= STORE_MOST


@pytest.mark.parametrize("address", ["", "here", "10.0.0.1", "10.0.0.1:x", "ray://10.0.0.1:y", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with (
        pytest.raises(InputError, match=r"is no address of a cluster\. Give 'local' or HOST:PORT"),
        connected(address, None),
    ):
        pass


def test_an_address_where_nothing_answers_is_refused_soon() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        started = time.monotonic()
        with (
            pytest.raises(InputError, match=f"The cluster at '{address}' can't be reached: .*refused"),
            connected(address, None),
        ):
            pass
    assert time.monotonic() - started < 300


def test_a_folder_too_deep_for_rays_sockets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / ("a" * 40)))
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    with (
        pytest.raises(InputError, match=r"too long for its sockets\. Set TMPDIR=/tmp"),
        connected("local", None),
    ):
        pass


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(
            InputError, match=r"--cluster needs Ray\. Install it with pip install 'healthgan\[cluster\]'"
        ),
        connected("local", None),
    ):
        pass
