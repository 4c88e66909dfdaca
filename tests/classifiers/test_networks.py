"""The networks that a recipe can name, and what is refused of the user's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from healthgan.classifiers.cnn2023 import Cnn2023
from healthgan.classifiers.networks import NETWORKS, build
from healthgan.errors import InputError

CPU = torch.device("cpu")
MODULE = """
import torch
from torch import nn

def plain(channels, size, outputs):
    count = channels * size[0] * size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(count, 8), nn.Tanh(), nn.Linear(8, outputs, bias=False))

class Nested(nn.Module):
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.tail = nn.ModuleDict({"top": nn.Linear(4, outputs)})
    def forward(self, x):
        return self.tail["top"](self.inner(x))

class Group:
    factory = staticmethod(plain)

def convolutions(channels, size, outputs):
    return nn.Sequential(nn.Conv2d(channels, outputs, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def views(channels, size, outputs):
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(channels, 2, 3, padding=1)
            self.top = nn.Linear(2 * size[0] * size[1], outputs)
        def forward(self, x):
            x.view(len(x), -1)
            return self.top(self.conv(x).view(len(x), -1))
    return Views()

class Unused(nn.Module):
    def __init__(self, channels, size, outputs):
        super().__init__()
        self.used, self.unused = convolutions(channels, size, outputs), nn.Linear(3, outputs)
    def forward(self, x):
        return self.used(x)

def wrong_shape(channels, size, outputs): return plain(channels, size, outputs + 1)
def squeezed(channels, size, outputs): return nn.Sequential(plain(channels, size, 1), nn.Flatten(0))
def doubles(channels, size, outputs): return plain(channels, size, outputs).double()
def a_list(channels, size, outputs): return [1]
def raises(channels, size, outputs): raise RuntimeError("out of luck\\nsecond line")
def too_large(channels, size, outputs):
    return nn.Sequential(nn.Conv2d(channels, 1, 99), nn.Flatten(), nn.Linear(1, outputs))
def no_parameters(channels, size, outputs):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
number = 3
"""


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "brought_networks.py").write_text(MODULE)
    (tmp_path / "broken_networks.py").write_text("import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def made(name, outputs=1, channels=1, size=(20, 20), seed=0):
    return build(name, channels, size, outputs, torch.Generator().manual_seed(seed), CPU)


def images(count=5, channels=1, size=(20, 20)):
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "size"), [(1, (16, 16)), (3, (28, 21)), (1, (64, 64))])
def test_ours_take_any_size(name, channels, size):
    network = made(name, 3, channels, size)
    features, logits = network.both(images(5, channels, size))
    assert logits.shape == (5, 3)
    assert features.shape == (5, 64)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_seed_decides_the_initial_values(name):
    """And nothing else does: not what was drawn before."""
    first = made(name, seed=4).tensors()
    torch.rand(3)
    again, other = made(name, seed=4).tensors(), made(name, seed=5).tensors()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_cnn_2023_is_the_studys():
    rng = torch.Generator().manual_seed(2)
    theirs = Cnn2023((28, 28), 1, rng, CPU).eval()
    ours = made("cnn-2023", size=(28, 28), seed=2).eval()
    expected = [tuple(parameter.shape) for parameter in theirs.parameters()]
    assert [tuple(parameter.shape) for parameter in ours.parameters()] == expected
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    x = images(size=(28, 28))
    with torch.no_grad():
        assert torch.equal(ours(x)[:, 0], theirs(x))
        ours.train()
        assert not torch.equal(ours(x), ours(x))  # dropout


def test_resnet_small_judges_an_image_alike_whatever_stands_beside_it():
    """GroupNorm sees one image. Sums in another order: within some hundred ulp of logits near 1."""
    network = made("resnet-small", 2)
    x = images(9)
    assert any(isinstance(module, torch.nn.GroupNorm) for module in network.modules())
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in network.modules())
    assert not list(network.buffers())
    with torch.no_grad():
        alone = torch.cat([network(x[i : i + 1]) for i in range(9)])
        torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [*NETWORKS, "brought_networks:plain", "brought_networks:Nested"])
def test_a_new_head_leaves_the_rest(brought, name):
    network = made(name, 3)
    before = {key: value.clone() for key, value in network.tensors().items()}
    network.renew_head(2, torch.Generator().manual_seed(1))
    after = network.tensors()
    assert network(images()).shape == (5, 2)
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key].shape != after[key].shape}
    assert all(torch.equal(before[key], after[key]) for key in before.keys() - changed)
    assert {before[key].shape[0] for key in changed} == {3}
    network.renew_head(2, torch.Generator().manual_seed(2))
    weights = [key for key in changed if key.endswith("weight")]
    assert weights
    assert all(not torch.equal(after[key], network.tensors()[key]) for key in weights)


def test_features_of_the_users_network_go_into_its_last_linear_layer(brought):
    network = made("brought_networks:plain", 3).eval()
    x = images()
    features, logits = network.both(x)
    assert torch.equal(features, network.module[:3](x))
    assert torch.equal(logits, features @ network.module[3].weight.T)
    assert torch.equal(logits, network(x))
    assert made("brought_networks:Group.factory").tensors().keys() == network.tensors().keys()


def test_the_users_network_keeps_its_memory_layout(brought):
    """``view`` fails on channels-last memory, and a user may use it."""
    assert made("brought_networks:views", channels=3)(images(channels=3)).shape == (5, 1)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("cnn-2024", "There is no network 'cnn-2024'. Name one of cnn-2023, resnet-small"),
        ("brought_networks", "There is no network"),
        ("brought_networks:", "There is no network"),
        (":plain", "There is no network"),
        ("not_there_at_all:plain", "can't be imported: ModuleNotFoundError.*PYTHONPATH"),
        ("broken_networks:plain", "can't be imported: .*nothing_of_that_name"),
        ("brought_networks:nothing", "no callable 'nothing'"),
        ("brought_networks:number", "no callable 'number'"),
        ("brought_networks:Group.nothing", r"no callable 'Group\.nothing'"),
        ("brought_networks:raises", r"fails when it is called with \(1, \(20, 20\), 1\): RuntimeError: out of luck\. "),
        ("brought_networks:a_list", "gives a list"),
        ("brought_networks:no_parameters", "no parameter"),
        ("brought_networks:wrong_shape", r"gives torch.float32 \(2, 2\).*must give torch.float32 \(2, 1\)"),
        ("brought_networks:squeezed", r"gives torch.float32 \(2,\)"),
        ("brought_networks:doubles", "fails on images of 1 × 20 × 20"),
        ("brought_networks:too_large", "fails on images of 1 × 20 × 20.*--size"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(brought, name, what):
    with pytest.raises(InputError, match=what) as error:
        made(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("brought_networks:convolutions", "holds no nn.Linear"),
        ("brought_networks:Unused", "is not applied once to every image"),
    ],
)
def test_features_need_a_last_linear_layer(brought, name, what):
    network = made(name)
    assert network(images()).shape == (5, 1)
    with pytest.raises(InputError, match=what):
        network.both(images())


def test_a_head_that_can_not_be_exchanged_is_refused(brought):
    with pytest.raises(InputError, match="exchanged"):
        made("brought_networks:convolutions").renew_head(2, torch.Generator())


def test_checks_leave_no_trace(brought):
    """Applying a network to see its output changes neither its mode nor the random numbers to come."""
    torch.manual_seed(3)
    network = made("brought_networks:plain")
    after = torch.rand(1)
    torch.manual_seed(3)
    torch.nn.Linear(400, 8), torch.nn.Linear(8, 1, bias=False)
    assert torch.equal(after, torch.rand(1))
    assert network.training
    assert np.isfinite([float(value.sum()) for value in network.tensors().values()]).all()
