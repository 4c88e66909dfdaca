"""The parts of a network that Keras defines otherwise than PyTorch, as the 2023 study used them.

Everything here is checked against Keras itself in ``benchmarks/keras``. Random numbers come from a
generator that is passed in; nothing here touches PyTorch's global one.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adam import adam

from healthgan.adam import Adam

LEAKY_SLOPE = 0.3
"""Keras's default slope of LeakyReLU (PyTorch: 0.01)."""

ADAM_EPSILON = 1e-7
"""Keras's default (PyTorch: 1e-8)."""


_BETA2 = 0.999
"""Adam's, in both."""


def glorot_uniform_(network: nn.Module, generator: torch.Generator) -> None:
    """Set all kernels to Glorot-uniform values and all biases to zero, in the order of the modules.

    Glorot and Bengio, AISTATS 2010, eq. 16: U(±sqrt(6 / (fan_in + fan_out))), where a convolution's fans
    count its receptive field.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class BatchNorm(nn.Module):
    """Batch normalisation over all but the channel axis, (B, C) or (B, C, H, W).

    Keras's momentum 0.99 and epsilon 1e-3; the moving variance averages the *biased* variance of the
    batches, where PyTorch's averages the unbiased one.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.99, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.momentum, self.epsilon = momentum, epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training and by the moving averages else."""
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.epsilon
            )
        mean, unbiased = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
        y = F.batch_norm(x, mean, unbiased, self.weight, self.bias, True, momentum=1.0, eps=self.epsilon)
        count = x.numel() // x.shape[1]
        self.running_mean.lerp_(mean, 1 - self.momentum)
        self.running_var.lerp_(unbiased * ((count - 1) / count), 1 - self.momentum)
        return y


class Dropout(nn.Module):
    """Dropout whose masks come from the generator that is given."""

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.keep = 1 - rate
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Zero each value with the rate and scale the others up, in training only."""
        if not self.training:
            return x
        return x * self.draw(torch.empty_like(x)).div_(self.keep)

    def draw(self, mask: Tensor) -> Tensor:
        """Fill a mask, of any type, with 1 for what stays and 0 for what is zeroed."""
        return mask.bernoulli_(self.keep, generator=self.generator)


class SameConv(nn.Conv2d):
    """A strided convolution with TensorFlow's 'same' padding: the odd pixel goes to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        pads: list[int] = []
        for length in (x.shape[3], x.shape[2]):
            total = max(
                (math.ceil(length / self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - length, 0
            )
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, groups=self.groups)


class SameConvTranspose(nn.ConvTranspose2d):
    """A transposed convolution with TensorFlow's 'same' padding: the output is stride × the input.

    It is the gradient of the 'same' convolution, so the crop is (kernel − stride) split with the odd pixel
    to the right and below. PyTorch crops both sides alike, so one more row and column are cut off here.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) → (B, C', stride·H, stride·W)."""
        assert output_size is None, "the size follows from the stride"
        stride, before = self.stride[0], (self.kernel_size[0] - self.stride[0]) // 2
        y = F.conv_transpose2d(x, self.weight, self.bias, self.stride, before, groups=self.groups)
        return y[:, :, : stride * x.shape[2], : stride * x.shape[3]]


class KerasAdam:
    """Adam with Keras's epsilon, which is added before the bias correction of the second moment.

    Kingma and Ba, ICLR 2015, section 2: α_t = α·sqrt(1 − β₂ᵗ) / (1 − β₁ᵗ), θ ← θ − α_t·m / (sqrt(v) + ε̂).
    PyTorch's ε stands after the correction, so step t takes ε = ε̂ / sqrt(1 − β₂ᵗ).
    """

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float, beta1: float = 0.9) -> None:
        self.adam = Adam(parameters, learning_rate, (beta1, _BETA2), fused=True)
        self.parameters = parameters
        self.steps = 0

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Move the parameters by one step along the gradients, given in their order."""
        self.steps += 1
        self.adam.epsilon = ADAM_EPSILON / math.sqrt(1 - _BETA2**self.steps)
        self.adam.step(
            [
                _laid_out_like(parameter, gradient)
                for parameter, gradient in zip(self.parameters, gradients, strict=True)
            ]
        )

    def state(self) -> dict[str, Tensor]:
        """All that a continued training needs, as tensors by name."""
        tensors = {"steps": torch.tensor(self.steps)}
        for number, moments in enumerate(self.adam.state):
            tensors |= {f"{number}.{name}": value for name, value in moments.items() if name != "step"}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state`` gave."""
        self.steps = int(tensors["steps"])
        if self.steps == 0:
            return
        self.adam.restore(
            [
                {
                    "step": torch.tensor(float(self.steps)),
                    "exp_avg": tensors[f"{number}.exp_avg"],
                    "exp_avg_sq": tensors[f"{number}.exp_avg_sq"],
                }
                for number in range(len(self.parameters))
            ]
        )


class SteadyAdam:
    """``KerasAdam`` as a step that is nothing but kernels: what changes from step to step is read from a tensor.

    PyTorch's fused step has the corrections for averages that begin at zero built in; at a step that lies far off they
    are 1, and the rate that ``keras_rate`` gives holds them instead, as in Kingma and Ba's section 2.
    """

    def __init__(self, parameters: list[Tensor], beta1: float = 0.9) -> None:
        self.parameters, self.beta1 = parameters, beta1
        self.first = [torch.zeros_like(value) for value in parameters]
        self.second = [torch.zeros_like(value) for value in parameters]
        self._far = [torch.full((), 1e9, device=value.device) for value in parameters]

    def step(self, gradients: tuple[Tensor, ...], rate: Tensor) -> None:
        """Move the parameters along the gradients, given in their order, by a rate () of ``keras_rates``."""
        laid_out = [
            _laid_out_like(value, slope) for value, slope in zip(self.parameters, gradients, strict=True)
        ]
        with torch.no_grad():
            adam(
                self.parameters,
                laid_out,
                self.first,
                self.second,
                [],
                self._far,
                fused=True,
                capturable=rate.device.type == "cuda",
                amsgrad=False,
                beta1=self.beta1,
                beta2=_BETA2,
                lr=rate,
                weight_decay=0.0,
                eps=ADAM_EPSILON,
                maximize=False,
            )


def keras_rates(start: int, count: int, learning_rate: float, beta1: float = 0.9) -> Tensor:
    """(count,) float64 rates α_t of the steps behind ``start`` others: what ``SteadyAdam`` reads."""
    steps = torch.arange(start + 1, start + count + 1, dtype=torch.float64)
    return learning_rate * (1 - _BETA2**steps).sqrt() / (1 - beta1**steps)


def _laid_out_like(parameter: Tensor, values: Tensor) -> Tensor:
    """The values in the parameter's memory layout: the fused step walks all of them as flat memory."""
    if values.stride() == parameter.stride():
        return values.detach()
    return torch.empty_like(parameter).copy_(values)
