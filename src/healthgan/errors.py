"""The one exception that means: what the user gave is at fault; and what may have been meant."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input cannot be used.

    The message says what was found, what is allowed and what to do. The command line prints it on
    stderr without a traceback and exits with 2.
    """


def meant(given: str, names: Iterable[str]) -> str:
    """``" Did you mean 'sound-quick'?"`` where one of the names is near to what was given, whatever its case; else nothing."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""
