"""Convolution, pooling and ReLU in one against PyTorch's three, with bounds on what rounding can do."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers import _pooled_kernel as kernel
from healthgan.classifiers.pooled import _Pooled, pooled

UNIT = 2.0**-24


def convolution(channels: int, outputs: int, seed: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, 3)
    rng = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    return layer


def images(count: int, channels: int, height: int, width: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, height, width, generator=rng).to(memory_format=torch.channels_last)


def plainly(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(layer(x), 2))


def doubled(layer: nn.Conv2d) -> nn.Conv2d:
    other = nn.Conv2d(layer.in_channels, layer.out_channels, 3).double()
    other.load_state_dict({name: value.double() for name, value in layer.state_dict().items()})
    return other


def exactly(layer: nn.Conv2d, x: Tensor, slope: Tensor, absolute: bool) -> list[Tensor]:
    """In float64: the gradients of weight, bias and x; or bounds on them, the sums of their terms' sizes."""
    other, points = doubled(layer), x.detach().double().requires_grad_()
    values = other(points)
    best, index = F.max_pool2d(values.detach(), 2, return_indices=True)
    flow = (slope * (best > 0)).double()
    if absolute:
        flow, points = flow.abs(), points.detach().abs().requires_grad_()
        other.weight.data.abs_()
        values = other(points)
    spread = F.max_unpool2d(flow, index, 2, output_size=values.shape[2:])
    return list(torch.autograd.grad(values, [other.weight, other.bias, points], spread))


SHAPES = [(1, 16, 28, 28), (3, 16, 20, 17), (16, 32, 13, 13), (32, 16, 7, 10), (1, 48, 6, 5), (2, 16, 4, 4)]


@pytest.mark.parametrize(("channels", "outputs", "height", "width"), SHAPES)
def test_values_are_pytorchs(channels: int, outputs: int, height: int, width: int) -> None:
    layer, x = convolution(channels, outputs, 1), images(5, channels, height, width, 2)
    found = pooled(layer, x)
    exact = plainly(doubled(layer), x.double())
    sizes = doubled(layer)
    sizes.weight.data.abs_(), sizes.bias.data.abs_()
    bound = (9 * channels + 1) * UNIT * F.max_pool2d(sizes(x.double().abs()), 2)
    assert found.shape == exact.shape
    assert bool(((found - exact).abs() <= bound).all())
    assert "_Pooled" in type(found.grad_fn).__name__, "this compared PyTorch with itself"


@pytest.mark.parametrize(("channels", "outputs", "height", "width"), SHAPES)
@pytest.mark.parametrize("asked", [True, False])
def test_gradients_are_pytorchs(channels: int, outputs: int, height: int, width: int, asked: bool) -> None:
    layer, x = convolution(channels, outputs, 3), images(4, channels, height, width, 4)
    x.requires_grad_(asked)
    found = pooled(layer, x)
    slope = images(*found.shape, seed=5)
    wanted = [layer.weight, layer.bias] + ([x] if asked else [])
    gradients = torch.autograd.grad(found, wanted, slope)
    exact, sizes = (exactly(layer, x, slope, absolute) for absolute in (False, True))
    terms = max(found[:, 0].numel(), 9 * outputs)
    for gradient, right, size in zip(gradients, exact, sizes, strict=False):
        assert bool(((gradient - right).abs() <= terms * UNIT * size).all())
        assert gradient.shape == right.shape


def test_the_first_of_equals_has_the_gradient() -> None:
    layer = convolution(1, 16, 6)
    layer.bias.data.fill_(30.0)  # all alive
    x = torch.full((2, 1, 12, 12), 0.5)
    slope = torch.ones(2, 16, 5, 5)
    found, right = (
        torch.autograd.grad(way(layer, x), list(layer.parameters()), slope) for way in (pooled, plainly)
    )
    for ours, theirs in zip(found, right, strict=True):
        torch.testing.assert_close(ours, theirs)
    _, largest = values_of(layer, x)
    assert set(largest.ravel()) == {0}


def values_of(layer: nn.Conv2d, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    pixels = x.permute(0, 2, 3, 1).contiguous().numpy()
    count, height, width, _ = pixels.shape
    shape = (count, (height - 2) // 2, (width - 2) // 2, layer.out_channels)
    out, largest = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    weights = np.ascontiguousarray(layer.weight.detach().permute(2, 3, 1, 0).numpy())
    kernel.forward(pixels, weights, layer.bias.detach().numpy(), out, largest)
    return out, largest


def test_what_the_relu_cuts_off_has_no_gradient() -> None:
    layer = convolution(16, 16, 7)
    layer.bias.data.fill_(-1000.0)
    x = images(2, 16, 8, 8, 8).requires_grad_()
    found = pooled(layer, x)
    assert not found.any()
    for gradient in torch.autograd.grad(found.sum(), [x, *layer.parameters()]):
        assert not gradient.any()


@pytest.mark.parametrize("place", [(3, 4), (2, 3), (5, 5)])
def test_a_nan_is_not_swallowed(place: tuple[int, int]) -> None:
    layer, x = convolution(1, 16, 9), images(1, 1, 12, 12, 10)
    x[0, 0, place[0], place[1]] = torch.nan
    found, right = pooled(layer, x), plainly(layer, x)
    assert right.isnan().any()
    assert bool((found.isnan() == right.isnan()).all())


@pytest.mark.parametrize("double", [True, False])
def test_elsewhere_it_is_pytorchs(double: bool) -> None:
    layer, x = convolution(1, 16 if double else 5, 11), images(2, 1, 12, 12, 12)
    if double:
        layer, x = layer.double(), x.double()
    found = pooled(layer, x)
    assert bool((found == plainly(layer, x)).all())
    assert "_Pooled" not in type(found.grad_fn).__name__


def test_the_same_bits_again_whatever_lies_where() -> None:
    layer, x = convolution(16, 32, 13), images(3, 16, 13, 13, 14)
    first = pooled(layer, x)
    assert torch.equal(first, pooled(layer, x.contiguous()))
    assert torch.equal(first[1:2], pooled(layer, x[1:2])), "an image's values depend on its neighbours"


def test_gradients_of_gradients_are_refused() -> None:
    layer, x = convolution(16, 16, 15), images(1, 16, 6, 6, 16).requires_grad_()
    (slope,) = torch.autograd.grad(pooled(layer, x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
    assert issubclass(_Pooled, torch.autograd.Function)
