"""The file of an unfinished training, read back."""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from healthgan.errors import InputError


def read_checkpoint(path: Path, take_over: Callable[[dict[str, Tensor]], None]) -> None:
    """Hand a checkpoint's tensors (on the CPU) to the training that goes on from them.

    Raises:
        InputError: the file cannot be read, or is not of this training.
    """
    try:
        take_over(load_file(path))
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"The checkpoint '{path}' cannot be read ({reason}). Remove it to train from the start."
        ) from None
