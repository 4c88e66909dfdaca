"""Ctrl-C and SIGTERM, met where nothing is lost: between two steps of a training."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """The user asked for a stop. The message, where there is one, says what is kept and how to go on."""


@contextmanager
def noted_stops(tell: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Note the first SIGINT or SIGTERM instead of ending; a second one is a ``KeyboardInterrupt`` at once.

    Signals reach the main thread only: in another one nothing changes. A signal that this process ignores, as under
    ``nohup``, stays ignored.

    Args:
        tell: called when a stop is noted.

    Yields:
        Whether a stop was asked for; to be looked at between two steps.
    """
    asked = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        tell()

    here = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if here}
    before = {
        number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
