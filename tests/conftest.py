"""Fixtures that several tests share, and the one thread that every test computes with."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

assert not {"numpy", "torch"} & sys.modules.keys(), "too late to choose the number of threads"
os.environ["OMP_NUM_THREADS"] = "1"  # the same bits are promised on one thread only; processes inherit it

# Coverage counts what the tests' own processes run. In every process that these start as well, it would slow each start
# and each study, and find little more: 99 % of lines in place of 97.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

# A shell ignores Ctrl-C for what it starts in the background, and so would every program that the tests start and stop.
if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings

from tiny import Ended, write_blobs

# The same examples each time, however slow they are: what fails has been changed. Others: pytest --hypothesis-seed=random
settings.register_profile(
    "here", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that of two processes none has a long one left at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread, whatever a test before has set: on several, the same bits are not promised."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``healthgan ARGUMENTS`` in this process, where its start is not what is tested."""
    from healthgan import cli

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["healthgan", *map(str, arguments)])
        heard = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as end:
                cli.main()
        finally:  # a stopped program hears no more, as its process is about to end
            for number, handler in heard.items():
                if handler is not None:  # one that Python knows
                    signal.signal(number, handler)
        return Ended(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small source with three splits, patients and class names."""
    return write_blobs(tmp_path_factory.mktemp("data") / "blobs.npz")
