"""The file of an unfinished training: gone on from where it is as it was written, and only then."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from healthgan.errors import InputError
from healthgan.generators.tensor_files import add_tensors, write_tensors

_log = logging.getLogger(__name__)


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors of a training under way, with a checksum; no two may share memory."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(path, held, {"sha256": _checksum(held)})


def read_checkpoint(path: Path, take_over: Callable[[dict[str, Tensor]], None]) -> None:
    """Hand a checkpoint's tensors (on the CPU) to the training that goes on from them.

    A damaged one is left alone, and a warning says so: the training starts afresh and writes over it.

    Raises:
        InputError: the file may not be read, or is not of this training.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # it is no dict
            written = (file.metadata() or {}).get("sha256")
        damage = "" if written == _checksum(tensors) else _differs(written)
    except SafetensorError as error:
        damage = str(error).splitlines()[0]
    except OSError as error:
        raise InputError(_unusable(path, error)) from None
    if damage:
        _log.warning(f"The checkpoint '{path}' is damaged ({damage}); this training starts afresh.")
        return
    try:
        take_over(tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(_unusable(path, error)) from None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    add_tensors(digest, tensors)
    return digest.hexdigest()


def _differs(written: str | None) -> str:
    return "it has no checksum" if written is None else "its content does not fit its checksum"


def _unusable(path: Path, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"The checkpoint '{path}' cannot be read ({reason}). Remove it to train from the start."
