"""Files of tensors: nothing half written stays, and a full disk is told as one."""

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from healthgan.files import remove_parts
from healthgan.generators import tensor_files
from healthgan.generators.tensor_files import write_tensors

TENSORS = {"a": torch.arange(99.0), "b": torch.ones(2, 3, dtype=torch.uint8)}

KILLED = """
import os, pathlib, signal, sys
import torch
from healthgan.generators.tensor_files import write_tensors

pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_tensors(pathlib.Path(sys.argv[1]), {"a": torch.zeros(9)}, {})
"""


def test_what_is_written_comes_back(tmp_path) -> None:
    write_tensors(tmp_path / "new" / "a.safetensors", TENSORS, {"said": "x"})
    found = load_file(tmp_path / "new" / "a.safetensors")
    assert all(torch.equal(found[name], value) for name, value in TENSORS.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_who_is_killed_on_the_way_leaves_the_old_file_and_nothing_that_is_not_removed(tmp_path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob("*"))) == 4, "the old file, the part, and the library's in a folder"
    remove_parts(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.safetensors"]
    assert file.read_bytes() == b"old"


def test_the_library_has_a_private_folder_that_is_removed(tmp_path, monkeypatch) -> None:
    """It writes a file of its own there, whatever that is called."""
    seen = []

    def save(tensors, path, metadata) -> None:
        seen.append((path.parent.name, path.parent.stat().st_mode & 0o777, path.parent.parent))
        (path.parent / ".tmpAbCdEf").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tensor_files, "save_file", save)
    with pytest.raises(KeyboardInterrupt):
        write_tensors(tmp_path / "a.safetensors", TENSORS, {})
    ((name, mode, above),) = seen
    assert name.startswith(".")
    assert name.endswith(".part")
    assert (mode, above) == (0o700, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_systems_error(tmp_path) -> None:
    """Here the most that a file of this process may hold."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)) as full:
            write_tensors(tmp_path / "a.safetensors", TENSORS, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert full.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_the_systems_is_not_hidden(tmp_path) -> None:
    shared = torch.zeros(4)
    with pytest.raises((RuntimeError, SafetensorError)):
        write_tensors(tmp_path / "a.safetensors", {"a": shared, "b": shared}, {})
    assert list(tmp_path.iterdir()) == []
