"""One process at a time in a run folder: its holder is named, outlives no crash, and is robbed by nobody."""

import json
import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from healthgan import lock
from healthgan.errors import InputError
from healthgan.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from healthgan.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def refused(folder) -> str:
    with pytest.raises(InputError) as caught, hold(folder):
        pass
    return str(caught.value)


def test_a_second_process_is_refused_and_told_by_whom(tmp_path, other) -> None:
    assert f"(process {other.pid} on {platform.node()}). Wait for it" in refused(tmp_path)
    assert other.poll() is None


def test_the_lock_cannot_be_removed_by_hand(tmp_path, other) -> None:
    """Without its file the system's lock is no longer known to others; the holder's sign is."""
    (tmp_path / ".lock").unlink()
    assert f"(process {other.pid} on" in refused(tmp_path)


def test_a_crash_frees_it(tmp_path, other) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / ".lock-holder").exists()
    with hold(tmp_path) as held:
        held.check()
    assert not (tmp_path / ".lock-holder").exists()


def test_a_stopped_process_keeps_it(tmp_path, other) -> None:
    other.send_signal(signal.SIGSTOP)
    assert f"(process {other.pid} on" in refused(tmp_path)


def test_a_number_given_to_a_later_process_is_no_holder(tmp_path) -> None:
    sign = {"host": platform.node(), "process": os.getppid(), "started": "another boot/1"}
    (tmp_path / ".lock-holder").write_text(json.dumps(sign))
    with hold(tmp_path):
        pass


def test_a_holder_on_another_machine_counts_until_it_is_silent(tmp_path) -> None:
    sign = tmp_path / ".lock-holder"
    sign.write_text(json.dumps({"host": "elsewhere", "process": 7, "started": None}))
    message = refused(tmp_path)
    assert "(process 7 on elsewhere)" in message
    assert "wait 120 seconds after its end" in message
    long_ago = time.time() - 2 * lock.SILENT
    os.utime(sign, (long_ago, long_ago))
    with hold(tmp_path) as held:
        assert json.loads(sign.read_text())["process"] == os.getpid()
        held.check()


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    sign = tmp_path / ".lock-holder"
    with hold(tmp_path):
        os.utime(sign, (1, 1))
        hangs = time.monotonic() + 300
        while sign.stat().st_mtime == 1:
            assert time.monotonic() < hangs
            time.sleep(0.01)
        assert sign.stat().st_mtime > 1


@pytest.mark.parametrize("content", ["", "{", "[]", "old words 7", "\ud800"])
def test_a_sign_that_says_nothing_is_no_holder(tmp_path, content) -> None:
    (tmp_path / ".lock-holder").write_bytes(content.encode("utf-8", "surrogatepass"))
    with hold(tmp_path):
        pass


def test_who_was_robbed_writes_nothing_more(tmp_path) -> None:
    sign = tmp_path / ".lock-holder"
    with hold(tmp_path) as held:
        sign.write_text(json.dumps({"host": "elsewhere", "process": 7, "started": None}))
        with pytest.raises(InputError, match="was taken over by process 7 on elsewhere"):
            held.check()
    assert json.loads(sign.read_text())["host"] == "elsewhere", "the other one's sign stays"
