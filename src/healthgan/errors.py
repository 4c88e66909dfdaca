"""The one exception that means: what the user gave is at fault; and what may have been meant."""

import difflib
import errno
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input cannot be used.

    The message says what was found, what is allowed and what to do. The command line prints it on
    stderr without a traceback and exits with 2.
    """


def out_of_memory(error: BaseException) -> str | None:
    """Which memory ran out: ``memory`` or ``memory on the GPU``; None where another error was met.

    Python and NumPy raise ``MemoryError``, the system an ``OSError``, PyTorch an error of its own on a GPU and a bare
    ``RuntimeError`` elsewhere.
    """
    if type(error).__name__ == "OutOfMemoryError":
        return "memory on the GPU"
    told = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return "memory" if isinstance(error, MemoryError) or told or refused else None


def meant(given: str, names: Iterable[str]) -> str:
    """``" Did you mean 'sound-quick'?"`` where one of the names is near to what was given, whatever its case; else nothing."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""
