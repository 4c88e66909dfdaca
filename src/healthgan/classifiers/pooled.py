"""A 3×3 convolution, max-pooling and a ReLU in one, faster on a CPU than one after the other."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def pooled(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """ReLU of the largest of each 2×2 window of a convolution: (B, I, H, W) → (B, O, (H − 2) // 2, (W − 2) // 2).

    ``relu(max_pool2d(convolution(x), 2))``, up to the order in which a convolution's products are summed. Where two
    values of a window are equal the first has the gradient, as in PyTorch. On a CPU and in float32 it runs in
    :mod:`healthgan.classifiers._pooled_kernel`, anywhere else as written; so it does where the numbers of channels are not
    multiples of 16 (in, only if the images' own gradient is asked for).

    Args:
        convolution: 3×3, stride 1, no padding.
        x: images; channels last in memory is fastest.
    """
    fast = (
        x.device.type == "cpu"
        and x.dtype == convolution.weight.dtype == torch.float32
        and convolution.out_channels % _kernel().LANES == 0
        and (convolution.in_channels % _kernel().LANES == 0 or not x.requires_grad)
    )
    if not fast:
        return F.relu(F.max_pool2d(convolution(x), 2))
    return cast(Tensor, cast(Any, _Pooled).apply(x, convolution.weight, convolution.bias))


@cache
def _kernel() -> Any:  # noqa: ANN401 # a module
    """The compiled loops, where they are needed: on a GPU nothing of Numba's is."""
    from healthgan.classifiers import _pooled_kernel

    return _pooled_kernel


class _Pooled(torch.autograd.Function):
    """As ``pooled``; its gradient has none of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401  # PyTorch has no type for it
        pixels = _channels_last(x.detach())
        count, height, width, _ = pixels.shape
        shape = (count, (height - 2) // 2, (width - 2) // 2, len(weight))
        out, largest = torch.empty(shape), torch.empty(shape, dtype=torch.uint8)
        by_output = weight.detach().permute(2, 3, 1, 0).contiguous()  # (3, 3, I, O)
        _run(_kernel().forward, pixels, by_output, bias.detach(), out, largest)
        ctx.save_for_backward(x, weight, largest)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:  # noqa: ANN401  # as above
        x, weight, largest = ctx.saved_tensors
        pixels, slopes, to_bias = _channels_last(x.detach()), _channels_last(slope), torch.zeros(len(weight))
        if not ctx.needs_input_grad[0]:
            to_weight = torch.zeros(*weight.shape[2:], weight.shape[1], len(weight))  # (3, 3, I, O)
            _run(_kernel().backward_first, pixels, slopes, largest, to_weight, to_bias)
            return None, to_weight.permute(3, 2, 0, 1), to_bias
        taps = _channels_last(weight.detach())
        to_taps, to_pixels = torch.zeros_like(taps), torch.zeros_like(pixels)
        _run(_kernel().backward, pixels, taps, slopes, largest, to_taps, to_bias, to_pixels)
        return to_pixels.permute(0, 3, 1, 2), to_taps.permute(0, 3, 1, 2), to_bias


def _run(loops: Callable[..., None], *arrays: Tensor) -> None:
    loops(*(array.numpy() for array in arrays))


def _channels_last(tensor: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H, W, C), whole; free where the channels lie last in memory."""
    return tensor.permute(0, 2, 3, 1).contiguous()
