"""The one exception that means: what the user gave is at fault."""


class InputError(ValueError):
    """The user's input cannot be used.

    The message says what was found, what is allowed and what to do. The command line prints it on
    stderr without a traceback and exits with 2.
    """
