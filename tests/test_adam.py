"""Adam is PyTorch's, to the bit, and does not load PyTorch's compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from healthgan.adam import Adam

BETAS = (0.8, 0.99)


def network(seed: int = 0) -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(seed)
    kernel = torch.randn(8, 3, 5, 5, generator=rng).contiguous(memory_format=torch.channels_last)
    return [nn.Parameter(kernel), nn.Parameter(torch.randn(8, generator=rng)), nn.Parameter(torch.ones(2))]


def loss(parameters: list[nn.Parameter], step: int) -> torch.Tensor:
    """Whose last parameter has a gradient at every second step only."""
    kernel, bias, seldom = parameters
    images = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(step))
    found = nn.functional.conv2d(images, kernel, bias).square().mean()
    return found + seldom.square().sum() if step % 2 else found


def rate(step: int) -> float:
    return 0.01 / (step + 1)


def known(parameters: list[nn.Parameter], steps: int, *, fused: bool) -> torch.optim.Adam:
    """The parameters moved by PyTorch's own optimiser, which is given back."""
    adam = torch.optim.Adam(parameters, 1.0, BETAS, fused=fused, foreach=not fused)
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate(step)
        adam.zero_grad()
        loss(parameters, step).backward()
        adam.step()
    return adam


def ours(adam: Adam, steps: range) -> None:
    for step in steps:
        adam.learning_rate = rate(step)
        adam.descend(loss(adam.parameters, step))


@pytest.mark.parametrize("fused", [True, False])
def test_it_is_pytorchs_to_the_bit(fused) -> None:
    expected, found = network(), network()
    theirs = known(expected, 7, fused=fused)
    adam = Adam(found, 1.0, BETAS, fused=fused)
    ours(adam, range(7))
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert torch.equal(one, other)
        assert not torch.equal(one, network()[number])
        state = theirs.state[one]
        assert state.keys() == adam.state[number].keys()
        assert all(torch.equal(value, adam.state[number][name]) for name, value in state.items())
        assert adam.state[number]["exp_avg"].stride() == one.stride()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("done", [0, 1, 4])
def test_it_goes_on_from_a_state_in_another_layout(fused, done) -> None:
    whole = network()
    ours(Adam(whole, 1.0, BETAS, fused=fused), range(7))
    first = Adam(network(), 1.0, BETAS, fused=fused)
    ours(first, range(done))
    stored = [{name: value.contiguous().clone() for name, value in state.items()} for state in first.state]
    second = Adam(first.parameters, 1.0, BETAS, fused=fused)
    second.restore(stored)
    ours(second, range(done, 7))
    assert all(torch.equal(one, other) for one, other in zip(whole, second.parameters, strict=True))


def test_a_state_of_other_parameters_is_refused() -> None:
    adam = Adam(network(), 1.0, fused=True)
    ours(adam, range(2))
    other = Adam([nn.Parameter(torch.zeros(3)) for _ in range(3)], 1.0, fused=True)
    with pytest.raises(ValueError, match=r"Adam's exp_avg has shape \(8, 3, 5, 5\)"):
        other.restore(adam.state)
    with pytest.raises(ValueError, match="longer"):
        Adam(network()[:2], 1.0, fused=True).restore(adam.state)
    with pytest.raises(KeyError, match="exp_avg_sq"):
        adam.restore([{"step": torch.zeros(()), "exp_avg": value} for value in adam.parameters])


def test_a_worker_loads_neither_pytorchs_compiler_nor_scipys_distributions() -> None:
    """Nothing that a study does needs them, and each of its processes would load them."""
    program = """
import sys, torch
from healthgan import jobs
from healthgan.sound import jobs as sound_jobs
from healthgan.adam import Adam
for fused in (True, False):
    weight = torch.nn.Parameter(torch.ones(3))
    Adam([weight], 0.1, fused=fused).descend(weight.square().sum())
    assert not torch.equal(weight, torch.ones(3))
print(sorted({"torch._dynamo", "sympy", "scipy.stats", "sklearn", "pandas", "torch"} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "['torch']\n", "")
