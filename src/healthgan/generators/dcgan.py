"""The networks of the DCGAN: the published one and a small one of the same kind.

Radford, Metz and Chintala, ICLR 2016. The 2023 study's layers are listed in docs/method.md.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.errors import InputError
from healthgan.keras_semantics import (
    LEAKY_SLOPE,
    BatchNorm,
    Dropout,
    SameConv,
    SameConvTranspose,
    glorot_uniform_,
)

Preset = Literal["dcgan-2023", "dcgan-small"]


@dataclass(frozen=True)
class Up:
    """A transposed convolution: the width of its output and its stride."""

    width: int
    stride: int


@dataclass(frozen=True)
class Squeeze:
    """Flatten all, one dense layer down to a grid of the first size with this many channels."""

    width: int


@dataclass(frozen=True)
class Layers:
    """The layers of a generator (after the dense one of ``stem`` channels) and of its discriminator.

    Attributes:
        stem: channels of the first grid, a quarter of the image a side.
        up: what follows it.
        down: widths of the discriminator's convolutions, all of stride 2.
        kernel: pixels a side of all kernels but the last one's, which has 5.
        beta1: of Adam.
    """

    stem: int
    up: tuple[Up | Squeeze, ...]
    down: tuple[int, ...]
    kernel: int
    beta1: float


LAYERS: dict[Preset, Layers] = {
    "dcgan-2023": Layers(
        stem=256,
        up=(Up(128, 1), Up(64, 2), Up(32, 2), Up(16, 2), Squeeze(16), Up(8, 2), Up(4, 2)),
        down=(16, 32, 64, 128, 256),
        kernel=5,
        beta1=0.9,
    ),
    # Kernels that the stride divides leave no checkerboard, and Radford's β₁ steadies a short training.
    "dcgan-small": Layers(stem=64, up=(Up(32, 2), Up(16, 2)), down=(16, 32, 64), kernel=4, beta1=0.5),
}


class _DenseBlock(nn.Sequential):
    def __init__(self, width: int, wider: int) -> None:
        super().__init__(nn.Linear(width, wider, bias=False), BatchNorm(wider), nn.LeakyReLU(LEAKY_SLOPE))


class _UpBlock(nn.Sequential):
    def __init__(self, width: int, wider: int, kernel: int, stride: int) -> None:
        convolution = SameConvTranspose(width, wider, kernel, stride, bias=False)
        super().__init__(convolution, BatchNorm(wider), nn.LeakyReLU(LEAKY_SLOPE))


class Generator(nn.Module):
    """Noise (B, 100) → images (B, C, size, size) in −1…1.

    Raises:
        InputError: the preset cannot make images of this size.
    """

    def __init__(self, preset: Preset, size: int, channels: int, noise: int = 100) -> None:
        super().__init__()
        _check_size(preset, size)
        layers, self.grid, self.noise = LAYERS[preset], size // 4, noise
        self.stem = _DenseBlock(noise, layers.stem * self.grid**2)
        self.stages = nn.ModuleList()
        width, side = layers.stem, self.grid
        for layer in layers.up:
            if isinstance(layer, Up):
                self.stages.append(_UpBlock(width, layer.width, layers.kernel, layer.stride))
                side *= layer.stride
            else:
                self.stages.append(_DenseBlock(width * side**2, layer.width * self.grid**2))
                side = self.grid
            width = layer.width
        self.image = SameConvTranspose(width, channels, 5, 1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Render noise as images."""
        x = self.stem(z)
        for stage in self.stages:
            x = stage(_flatten(x) if isinstance(stage, _DenseBlock) else self._as_grid(x))
        return torch.tanh(self.image(self._as_grid(x)))

    def _as_grid(self, x: Tensor) -> Tensor:
        """(B, g·g·C), channels last as Keras reshapes, → (B, C, g, g); grids pass through."""
        return x if x.ndim == 4 else x.view(len(x), self.grid, self.grid, -1).permute(0, 3, 1, 2)


class Discriminator(nn.Module):
    """Images (B, C, size, size) in −1…1 → logits (B,): above zero for real."""

    def __init__(self, preset: Preset, size: int, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        width, side, kernel = channels, size, LAYERS[preset].kernel
        for wider in LAYERS[preset].down:
            blocks += [SameConv(width, wider, kernel, 2), nn.LeakyReLU(LEAKY_SLOPE), Dropout(0.3, generator)]
            width, side = wider, -(-side // 2)
        self.blocks = nn.Sequential(*blocks)
        self.logit = nn.Linear(width * side**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Judge images."""
        logits: Tensor = self.logit(_flatten(self.blocks(x)))
        return logits.squeeze(1)


def build(
    preset: Preset, size: int, channels: int, rng: torch.Generator, device: torch.device
) -> tuple[Generator, Discriminator]:
    """Both networks with Keras's initial values, on the device, channels last in memory.

    Args:
        preset: which layers.
        size: height and width of the images in pixels.
        channels: 1 or 3.
        rng: a CPU generator; it sets the initial values and, on a CPU, the dropout masks.
        device: where the networks live.
    """
    generator = Generator(preset, size, channels)
    dropout = rng if device.type == "cpu" else torch.Generator(device).manual_seed(rng.initial_seed())
    discriminator = Discriminator(preset, size, channels, dropout)
    for network in (generator, discriminator):
        glorot_uniform_(network, rng)
        network.to(device)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return generator, discriminator


def gan_losses(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of the generator (non-saturating) and of the discriminator (real + generated).

    Goodfellow et al., NeurIPS 2014, section 3.
    """
    ones, zeros = torch.ones_like(fake_logits), torch.zeros_like(fake_logits)
    bce = F.binary_cross_entropy_with_logits
    return bce(fake_logits, ones), bce(real_logits, torch.ones_like(real_logits)) + bce(fake_logits, zeros)


def _check_size(preset: Preset, size: int) -> None:
    if preset == "dcgan-2023" and size != 28:
        raise InputError(
            f"The generator 'dcgan-2023' makes 28×28 images only, as published; these are {size}×{size}. "
            "Use --size 28, or a protocol with the preset 'dcgan-small'."
        )
    if size % 4:
        raise InputError(
            f"The generator '{preset}' needs a size divisible by 4, not {size}. Use --size {size // 4 * 4}."
        )


def _flatten(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H·W·C): Keras's order, and free when the channels lie last in memory."""
    return x.permute(0, 2, 3, 1).flatten(1)
