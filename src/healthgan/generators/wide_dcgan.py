"""Several DCGANs of one layout side by side: each layer is one for all of them, by grouped or batched products."""

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from healthgan.generators.dcgan import Discriminator, Generator
from healthgan.keras_semantics import BatchNorm, Dropout, SameConv, SameConvTranspose

Net = TypeVar("Net", Generator, Discriminator)


class _Dense(nn.Module):
    """Dense layers side by side: (B, E·D) → (B, E·D')."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight for layer in layers]).detach())
        biases: list[Tensor | None] = [
            layer.bias for layer in layers
        ]  # PyTorch's stub knows no layer without
        known = [bias.detach() for bias in biases if bias is not None]
        self.bias = nn.Parameter(torch.stack(known)) if known else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply each to its part."""
        parts = torch.unflatten(x, 1, (len(self.weight), -1)).transpose(0, 1)
        y = torch.bmm(parts, self.weight.mT)
        y = y if self.bias is None else y + self.bias[:, None]
        return y.transpose(0, 1).flatten(1)


class _Masked(nn.Module):
    """Dropout by a mask that is given."""

    mask: Tensor

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """As ``Dropout``, in training."""
        return x * self.mask.to(x.dtype).div_(self.keep)


def side_by_side(networks: Sequence[Net]) -> Net:
    """One network for all: channels, noise and images of each model lie beside those of the next.

    (B, E·100) → (B, E·C, H, W) → (B, E). Every parameter and every statistic has the models as the outermost part of
    its first axis.
    """
    wide = copy.deepcopy(networks[0])
    wide.models = len(networks)
    for name, part in networks[0].named_modules():
        parts = [network.get_submodule(name) for network in networks]
        merged = _merged(parts) if not list(part.children()) else None
        if merged is not None:
            parent, _, last = name.rpartition(".")
            setattr(wide.get_submodule(parent), last, merged)
    return wide


def give_back(wide: Net, networks: Sequence[Net]) -> None:
    """Copy each model's part of all parameters and statistics into its network."""
    with torch.no_grad():
        alone = [_tensors(network) for network in networks]
        for values, *each in zip(_tensors(wide), *alone, strict=True):
            for part, value in zip(parts_of(values, each[0]), each, strict=True):
                value.copy_(part)


def parts_of(values: Tensor, alike: Tensor) -> Tensor:
    """(E, …): what each model has of a parameter, or of what belongs to one, in the shape that it has alone."""
    return values.detach().view(-1, *alike.shape)


def mask_shapes(network: Discriminator, size: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of what is dropped out, layer by layer, of one model."""
    shapes, side = [], size
    for part in network.blocks:
        if isinstance(part, SameConv):
            side = -(-side // part.stride[0])
            shapes.append((part.out_channels, side, side))
    return shapes


def set_masks(wide: Discriminator, masks: Tensor, shapes: Sequence[tuple[int, int, int]]) -> None:
    """Give each dropout its mask, of (B, E, D) that hold those of all layers one after the other."""
    sizes = [channels * height * width for channels, height, width in shapes]
    layers = [part for part in wide.blocks if isinstance(part, _Masked)]
    for layer, mask, shape in zip(layers, torch.split(masks, sizes, dim=2), shapes, strict=True):
        layer.mask = torch.unflatten(mask, 2, shape).flatten(1, 2)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _merged(parts: Sequence[nn.Module]) -> nn.Module | None:
    """Layers as one; None for what has nothing of its own."""
    first, count = parts[0], len(parts)
    if isinstance(first, nn.Linear):
        return _Dense([part for part in parts if isinstance(part, nn.Linear)])
    if isinstance(first, Dropout):
        return _Masked(first.keep)
    if isinstance(first, BatchNorm):
        return _filled(BatchNorm(count * len(first.weight), first.momentum, first.epsilon), parts)
    if isinstance(first, SameConv | SameConvTranspose):
        wide = type(first)(
            count * first.in_channels,
            count * first.out_channels,
            first.kernel_size[0],
            first.stride[0],
            groups=count,
            bias=first.bias is not None,
        )
        return _filled(wide, parts)
    return None


def _filled(wide: nn.Module, parts: Sequence[nn.Module]) -> nn.Module:
    """A layer with the parameters and statistics of several, one after the other."""
    wide.to(_tensors(parts[0])[0])
    with torch.no_grad():
        for values, *each in zip(_tensors(wide), *map(_tensors, parts), strict=True):
            values.copy_(torch.cat(each))
    return wide
