"""Trainings that are stopped half way, for the tests of several generators at once."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
import torch

from healthgan.stopping import Stopped


def cut_short(train: Callable[..., object], trainings: Sequence[Any], at: int) -> Sequence[Any]:
    """The trainings, which ``train`` left with a checkpoint each when it asked for the ``at``-th time whether to stop."""
    asked = count(1)
    with pytest.raises(Stopped):
        train(trainings, stop=lambda: next(asked) == at)
    assert all(one.checkpoint.exists() for one in trainings)
    return trainings


def furthest(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """The largest difference between weights of two networks."""
    ours, theirs = one.state_dict(), other.state_dict()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
