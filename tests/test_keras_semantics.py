"""Keras's definitions, against closed forms and NumPy; benchmarks/keras compares with Keras itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from healthgan.keras_semantics import (
    ADAM_EPSILON,
    BatchNorm,
    Dropout,
    KerasAdam,
    SameConv,
    SameConvTranspose,
    SteadyAdam,
    glorot_uniform_,
    keras_rates,
)

EXACT = {"rtol": 0.0, "atol": 1e-12}  # float64 sums of at most a few hundred values of order 1: 1e-14 each


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same_convolution(x, kernel, stride):
    """TensorFlow's definition, pixel by pixel: x (C, H, W), kernel (D, C, k, k) → (D, ⌈H/s⌉, ⌈W/s⌉)."""
    side = kernel.shape[2]
    height, width = (math.ceil(length / stride) for length in x.shape[1:])
    top, left = (
        max((out - 1) * stride + side - length, 0) // 2
        for out, length in ((height, x.shape[1]), (width, x.shape[2]))
    )
    y = np.zeros((len(kernel), height, width))
    for i, j, a, b in np.ndindex(height, width, side, side):
        row, column = i * stride + a - top, j * stride + b - left
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            y[:, i, j] += kernel[:, :, a, b] @ x[:, row, column]
    return y


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    side=st.integers(1, 5),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_same_convolution_is_tensorflows(height, width, side, stride, seed):
    layer = SameConv(2, 3, side, stride).double()
    x = normal(1, 2, height, width, seed=seed)
    expected = same_convolution(x[0].numpy(), layer.weight.detach().numpy(), stride)
    expected += layer.bias.detach().numpy()[:, None, None]
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, **EXACT)


def test_the_odd_pixel_of_padding_goes_right_and_below():
    """28 pixels, kernel 5, stride 2: three pixels of padding, one before and two after."""
    layer = SameConv(1, 1, 5, 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()[0, 0, 0, 0] = 1.0  # picks the window's first pixel
    x = torch.arange(1.0, 28 * 28 + 1).view(1, 1, 28, 28)
    y = layer(x)[0, 0]
    assert y.shape == (14, 14)
    assert y[0].abs().sum() == 0  # above the image
    assert torch.equal(y[1:, 1:], x[0, 0, 1:27:2, 1:27:2])


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    stride=st.integers(1, 3),
    wider=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_transposed_convolution_is_the_gradient_of_the_convolution(height, width, stride, wider, seed):
    up = SameConvTranspose(3, 2, stride + wider, stride, bias=False).double()
    x = normal(2, 3, height, width, seed=seed)
    image = normal(2, 2, stride * height, stride * width).requires_grad_()
    down = SameConv(2, 3, stride + wider, stride, bias=False).double()
    down.weight = up.weight
    (expected,) = torch.autograd.grad(down(image), image, x)
    torch.testing.assert_close(up(x), expected, **EXACT)


@pytest.mark.parametrize("shape", [(2, 5), (32, 5), (2, 5, 3, 4)])
def test_batch_norm_normalises_and_averages_the_biased_variance(shape):
    layer = BatchNorm(5).double()
    with torch.no_grad():
        layer.weight.copy_(normal(5, seed=1))
        layer.bias.copy_(normal(5, seed=2))
    x = 3 * normal(*shape) + 2
    axes = (0, *range(2, len(shape)))
    mean, variance = x.numpy().mean(axes), x.numpy().var(axes)  # NumPy's variance is the biased one
    across = (1, 5, *[1] * (len(shape) - 2))

    def expected(centre, spread):
        scaled = (x - torch.tensor(centre).view(across)) / torch.tensor(np.sqrt(spread + 1e-3)).view(across)
        return scaled * layer.weight.view(across) + layer.bias.view(across)

    torch.testing.assert_close(layer(x), expected(mean, variance), **EXACT)
    layer(x)
    moving_mean, moving_variance = (1 - 0.99**2) * mean, 0.99**2 + (1 - 0.99**2) * variance
    np.testing.assert_allclose(layer.running_mean.numpy(), moving_mean, **EXACT)
    np.testing.assert_allclose(layer.running_var.numpy(), moving_variance, **EXACT)
    layer.eval()
    torch.testing.assert_close(layer(x), expected(moving_mean, moving_variance), **EXACT)
    np.testing.assert_allclose(layer.running_mean.numpy(), moving_mean, **EXACT)


def test_batch_norm_passes_gradients_through_the_batch_statistics():
    layer = BatchNorm(2).double()
    assert torch.autograd.gradcheck(layer, (normal(3, 2, 2, 1).requires_grad_(),))


def kingma_and_ba(theta, gradients, rate, beta1=0.9):
    """Section 2's efficient form, with epsilon-hat beside the uncorrected sqrt(v)."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, gradient in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * gradient
        v = 0.999 * v + 0.001 * gradient**2
        theta = theta - rate * math.sqrt(1 - 0.999**t) / (1 - beta1**t) * m / (np.sqrt(v) + ADAM_EPSILON)
    return theta


@pytest.mark.parametrize("beta1", [0.9, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_adam_is_kingma_and_bas_with_epsilon_hat(steps, beta1):
    scales = torch.tensor([1.0, 1e-3, 1e-6, 1e-8, 0.0], dtype=torch.float64)  # epsilon rules the last ones
    gradients = [normal(4, 5, seed=seed) * scales for seed in range(steps)]
    start = normal(4, 5, seed=99)
    parameter = nn.Parameter(start.clone())
    adam = KerasAdam([parameter], 1e-2, beta1)
    for gradient in gradients:
        adam.step((gradient,))
    moves = [gradient.numpy() for gradient in gradients]
    expected = kingma_and_ba(start.numpy(), moves, 1e-2, beta1)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, **EXACT)
    assert parameter.grad is None


@pytest.mark.parametrize("beta1", [0.9, 0.5])
def test_the_steady_adam_is_the_same(beta1):
    """Its rates may come in parts; what has no slope stays as it is."""
    scales = torch.tensor([1.0, 1e-3, 1e-6, 1e-8, 0.0], dtype=torch.float64)
    gradients = [normal(4, 5, seed=seed) * scales for seed in range(7)]
    start = normal(4, 5, seed=99)
    parameters = [start.clone().requires_grad_(), normal(3).requires_grad_()]
    adam = SteadyAdam(parameters, beta1)
    rates = torch.cat([keras_rates(0, 3, 1e-2, beta1), keras_rates(3, 4, 1e-2, beta1)])
    for gradient, rate in zip(gradients, rates, strict=True):
        adam.step((gradient, torch.zeros(3, dtype=torch.float64)), rate)
    expected = kingma_and_ba(start.numpy(), [gradient.numpy() for gradient in gradients], 1e-2, beta1)
    np.testing.assert_allclose(parameters[0].detach().numpy(), expected, **EXACT)
    assert torch.equal(parameters[1].detach(), normal(3))


def test_adam_takes_gradients_of_another_memory_layout():
    start, gradient = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1)
    parameter = nn.Parameter(start.clone(memory_format=torch.channels_last))
    assert parameter.stride() != gradient.stride()
    KerasAdam([parameter], 1e-2).step((gradient,))
    expected = kingma_and_ba(start.numpy(), [gradient.numpy()], 1e-2)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, **EXACT)


@pytest.mark.parametrize("done", [0, 1, 3])
def test_adam_goes_on_bitwise_from_its_state(done):
    def network():
        weight = normal(4, 3, 5, 5).clone(memory_format=torch.channels_last)
        return [nn.Parameter(weight), nn.Parameter(normal(7))]

    def train(adam, steps):
        for seed in steps:
            adam.step((normal(4, 3, 5, 5, seed=seed), normal(7, seed=seed)))

    whole, first, second = network(), network(), network()
    train(KerasAdam(whole, 1e-2), range(6))
    interrupted = KerasAdam(first, 1e-2)
    train(interrupted, range(done))
    stored = {name: tensor.contiguous() for name, tensor in interrupted.state().items()}
    for parameter, value in zip(second, first, strict=True):
        parameter.data.copy_(value.data)
    resumed = KerasAdam(second, 1e-2)
    resumed.restore(stored)
    train(resumed, range(done, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole, second, strict=True))


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Linear(300, 100), 300 + 100),
        (nn.Conv2d(16, 32, 5), 25 * (16 + 32)),
        (SameConvTranspose(32, 16, 5, 2), 25 * (32 + 16)),
    ],
)
def test_kernels_start_glorot_uniform_and_biases_at_zero(layer, fans):
    glorot_uniform_(layer, torch.Generator().manual_seed(0))
    limit, count = math.sqrt(6 / fans), layer.weight.numel()
    values = layer.weight.detach()
    assert values.abs().max() <= limit
    assert values.abs().max() >= limit * (1 - 20 / count)  # e⁻²⁰: the chance that none lies so far out
    # A uniform's spread is limit / √3, with relative standard error sqrt(0.2 / n) (kurtosis 1.8).
    assert float(values.std()) == pytest.approx(limit / math.sqrt(3), rel=5 * math.sqrt(0.2 / count))
    assert layer.bias.abs().max() == 0


def test_initial_values_come_from_the_generator_alone():
    before = torch.get_rng_state()
    layers = [nn.Linear(4, 4) for _ in range(3)]
    torch.set_rng_state(before)
    for layer, seed in zip(layers, (1, 1, 2), strict=True):
        glorot_uniform_(layer, torch.Generator().manual_seed(seed))
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_zeroes_at_its_rate_and_scales_the_rest():
    x, rate = torch.full((1000, 100), 2.0), 0.3
    before = torch.get_rng_state()
    layers = [Dropout(rate, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    first, same, other = (layer(x) for layer in layers)
    assert set(first.unique().tolist()) == {0.0, float(torch.tensor(2.0) * (1 / torch.tensor(1 - rate)))}
    standard_error = math.sqrt(rate * (1 - rate) / x.numel())
    assert float((first == 0).float().mean()) == pytest.approx(rate, abs=5 * standard_error)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, layers[0](x))  # the next mask is another
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_does_nothing_in_inference():
    rng = torch.Generator().manual_seed(0)
    before, x = rng.get_state(), torch.ones(8)
    assert torch.equal(Dropout(0.5, rng).eval()(x), x)
    assert torch.equal(before, rng.get_state())
