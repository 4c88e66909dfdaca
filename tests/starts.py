"""How long a Python process takes to start, told so that neither the machine nor what else it does decides a test."""

import os
import subprocess
import sys

YARDSTICK = (
    "import argparse, asyncio, concurrent.futures, ctypes, decimal, difflib, email.mime.text, http.server, inspect, "
    "logging.config, pydoc, sqlite3, tarfile, unittest, xml.dom.minidom, zipfile"
)
"""Some 200 modules of the standard library, which are read and run as the program's own are."""
USUAL = 0.2
"""Seconds of a processor that the yardstick takes on the machine that the promises were made on."""
TRIES = 10


def taken_and_allowed(seconds: float, *arguments: str, less: tuple[str, ...] = ()) -> tuple[float, float]:
    """Seconds of a processor that ``python ARGUMENTS`` takes, and those that it may.

    The least of several tries counts, as other processes disturb one or another, and there are no more than needed.

    Args:
        seconds: that it may take; as many times more as this machine needs for the yardstick.
        arguments: of Python.
        less: arguments of a Python whose time does not count.
    """
    taken = yardstick = bare = float("inf")
    for _ in range(TRIES):
        yardstick = min(yardstick, processor_seconds("-c", YARDSTICK))
        bare = min(bare, processor_seconds(*less)) if less else 0.0
        taken = min(taken, processor_seconds(*arguments))
        allowed = seconds * max(1.0, yardstick / USUAL)
        if taken - bare < allowed:
            break
    return taken - bare, allowed


def processor_seconds(*arguments: str) -> float:
    """Of a Python process, since other processes may be busy; coverage would slow it down."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
