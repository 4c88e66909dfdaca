"""A stop is noted once, and is a KeyboardInterrupt when it is asked for twice."""

import signal
import threading

import pytest

from healthgan.stopping import Stopped, noted_stops


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_stop_is_noted_and_the_second_ends(number) -> None:
    before, told = signal.getsignal(number), []
    with noted_stops(lambda: told.append(1)) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert told == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
    assert told == [1]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted_stops() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with noted_stops() as stop:
            found.append((stop(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, True)]


def test_a_stop_is_no_error_that_is_caught_by_the_way() -> None:
    assert not issubclass(Stopped, Exception)
