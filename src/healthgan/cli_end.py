"""How a command ends: its exit code, and the one message that says why."""

import errno
import itertools
import os
import queue
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from healthgan.errors import InputError, out_of_memory
from healthgan.stopping import Stopped

DONE, OUR_FAULT, USERS_FAULT, INTERRUPTED = 0, 1, 2, 130

GRACE = 2.5
"""Seconds after Ctrl-C or SIGTERM in which everything may end in order."""

_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
"""What the system says where a disk is full or something may not be written: as where memory runs out, nothing is wrong
with the program."""

_kept: list[Callable[[], str]] = []


class FaultError(Exception):
    """The program is at fault, and a file tells the details."""


class Commands(TyperGroup):
    """Commands that pass on an interruption, which Typer would turn into an exit without a word."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 # Typer's own copy of Click has no public name
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise _InterruptedError(str(stop)) from stop


class _InterruptedError(BaseException):
    """A ``KeyboardInterrupt`` under a name that Typer doesn't know."""


def run(app: typer.Typer) -> int:
    """Run the command that was typed; say on stderr what went wrong.

    Returns:
        The exit code.
    """
    with _signals() as ending:
        try:
            code = int(app(standalone_mode=False, prog_name="healthgan") or DONE)
            if code == INTERRUPTED:  # and said
                ending.over.set()
            return code
        except _InterruptedError as stop:
            ending.say(str(stop))
            ending.over.set()
            return INTERRUPTED
        except InputError as error:
            from healthgan.sources import message

            return _say(f"Error: {message(str(error))}", USERS_FAULT)
        except FaultError as fault:
            return _say(f"Error: {fault}", OUR_FAULT)
        except Exception as error:  # noqa: BLE001 # the last resort
            return _other(error)


@contextmanager
def kept(tell: Callable[[], str]) -> Iterator[None]:
    """In this block Ctrl-C leaves something behind.

    Args:
        tell: says what is kept and how to go on; asked when everything has ended.
    """
    _kept.append(tell)
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(tell()) from stop
    finally:
        _kept.pop()


@contextmanager
def faults_in(folder: Path) -> Iterator[None]:
    """Write the traceback of an unexpected error into ``error.log`` of a folder, if that is there.

    Only this user may read it: like the command, it may name paths of the source.

    Raises:
        FaultError: something unexpected was raised.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever nothing else foresees, to be told with its traceback
        if _is_the_machines(error) or not folder.is_dir():
            raise
        import traceback

        log = folder / "error.log"
        log.touch(mode=0o600)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {typed()}\n{traceback.format_exc()}\n")
        raise FaultError(f"{_in_short(error)} The details are in '{log}'.") from error


def typed() -> str:
    """The command as it can be typed again."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        name = "python -m healthgan"
    elif shutil.which(program.name) in (sys.argv[0], str(program.resolve())):
        name = program.name
    else:
        name = shlex.quote(sys.argv[0])
    return " ".join([name, *map(shlex.quote, sys.argv[1:])])


def _other(error: Exception) -> int:
    """Say what no part of the program has foreseen, or what Typer or the system says of the user's input."""
    code = getattr(error, "exit_code", None)  # Typer's, of one of several classes named ClickException
    if code is not None and hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return int(code)
        hint = f" Try '{context.command_path} --help'." if context is not None else ""
        return _say(f"Error: {_of_typer(error)}{hint}", int(code))
    memory = out_of_memory(error)
    if memory is not None:
        return _say(
            f"Error: There is too little {memory}. Take fewer or smaller images, or a machine that has more.",
            USERS_FAULT,
        )
    if isinstance(error, OSError) and _is_the_machines(error):
        where = f"'{error.filename}': " if error.filename else ""
        return _say(
            f"Error: {where}{error.strerror}. Make room, choose another place or change its permissions.",
            USERS_FAULT,
        )
    import traceback

    traceback.print_exception(error)
    return _say(f"Error: {_in_short(error)} The details are above.", OUR_FAULT)


def _of_typer(error: Any) -> str:  # noqa: ANN401 # Typer's own copy of Click has no public name
    """Typer's message as a sentence, with the value that it does not name."""
    message = str(error.format_message()).strip().replace("Value error, ", "")
    message = message.replace(", unable to parse string as an integer", "")
    options = getattr(getattr(error, "param", None), "opts", [])
    for option, value in itertools.pairwise(sys.argv):
        if option in options:
            message = message.replace(
                f"Invalid value for '{option}': Input", f"'{option} {value}': the value"
            )
    return message if message.endswith((".", "?")) else f"{message}."


def _is_the_machines(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in _OF_THE_MACHINE
    return full or out_of_memory(error) is not None


def _in_short(error: Exception) -> str:
    from concurrent.futures.process import BrokenProcessPool

    from healthgan.cluster.driver import LostError

    if isinstance(error, LostError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return (
            "A worker process was ended from outside; systems do that where memory runs out. Take fewer --jobs; the same "
            "command goes on from what is done."
        )
    return f"This is a fault of healthgan, not of your input ({type(error).__name__}: {str(error)[:200]})."


def _say(message: str, code: int) -> int:
    from healthgan.terminal import echo, plain

    echo("\n".join(plain(line) for line in message.splitlines()), error=True)
    return code


class _Ending:
    """The end on Ctrl-C or SIGTERM: one message, by whoever comes first.

    Attributes:
        over: set when nothing is left to be done but to end.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self._unsaid = threading.Lock()

    def say(self, what: str) -> None:
        """Say that the command was stopped, and what is kept."""
        if self._unsaid.acquire(blocking=False):
            _say(f"Stopped. {what}".strip(), INTERRUPTED)


@contextmanager
def _signals() -> Iterator[_Ending]:
    """Turn the first Ctrl-C or SIGTERM into ``KeyboardInterrupt``, and end after ``GRACE`` whatever holds that up."""
    ending = _Ending()
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield ending
        return
    stops: queue.SimpleQueue[bool] = queue.SimpleQueue()  # may be filled whatever a signal interrupts
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            stops.put(True)
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    threading.Thread(target=_end_in_time, args=(stops, ending), daemon=True).start()
    for number in heard:
        signal.signal(number, stop)
    try:
        yield ending
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_IGN if stopping else before[number])
        stops.put(False)


def _end_in_time(stops: "queue.SimpleQueue[bool]", ending: _Ending) -> None:
    """After a stop, end the process once that was said, or at the latest after ``GRACE``.

    Python's own end takes a second or more where PyTorch is loaded, and has nothing left to do.
    """
    if not stops.get():
        return
    if not ending.over.wait(GRACE):
        ending.say(_kept[-1]() if _kept else "")
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:  # what workers shared is freed: of what is left behind Python would warn
        processes._run_finalizers()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(INTERRUPTED)
