"""What this machine computes with: the device that was asked for, and its cores."""

import os

from healthgan.errors import InputError


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: there is no CUDA device.
    """
    if device == "cpu":
        return device
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InputError("There is no CUDA device that PyTorch can use here. Take --device cpu or auto.")
    return "cuda" if available else "cpu"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
