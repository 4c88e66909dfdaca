"""The denoising network of the diffusion generator: a small U-Net that a CPU can train.

Most of the work is done where it is cheap: the image is cut into patches of 2×2 pixels or more (Shi et al., CVPR
2016, the other way round), and a block is a 3×3 convolution a channel with two 1×1 convolutions around a
non-linearity (Liu et al., "A ConvNet for the 2020s", CVPR 2022), steered by noise level and class (Perez et al.,
"FiLM", AAAI 2018).
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EMBEDDING = 128
_FREQUENCIES = 16


class Block(nn.Module):
    """(B, C, h, w) and (B, 128) → (B, C, h, w): what is added depends on noise level and class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.steer = nn.Linear(_EMBEDDING, 2 * width)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Add what the block has to say."""
        scale, shift = self.steer(embedding)[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(self.widen(self.norm(self.spatial(x)) * (1 + scale) + shift))
        out: Tensor = x + self.narrow(hidden)
        return out


class UNet(nn.Module):
    """Noisy images (B, C, H, W), ln σ / 4 (B,) and classes (B,) → (B, C, H, W).

    Args:
        size: height and width of the images in pixels; other than multiples of the patch are padded at the right
            and below, and cropped again.
        channels: 1 or 3.
        classes: number of classes; class number ``classes`` stands for "any".
        width: channels on the finest grid; each coarser one has twice as many, 4 × width at most.
        rng: a CPU generator; it sets the initial values.
    """

    frequencies: Tensor
    channels_last = True
    """Whether images lie so in memory, which is fastest on a CPU; several networks at once can't have it."""

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        classes: int,
        width: int,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.patch, levels = layout(max(size))
        widths = [width * min(2**level, 4) for level in range(levels)]
        self.multiple = self.patch * 2 ** (levels - 1)
        self.register_buffer("frequencies", 0.5 * torch.exp(torch.linspace(0, math.log(100), _FREQUENCIES)))
        self.noise = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, _EMBEDDING), nn.SiLU(), nn.Linear(_EMBEDDING, _EMBEDDING)
        )
        self.classes = nn.Embedding(classes + 1, _EMBEDDING)
        self.first = nn.Conv2d(channels * self.patch**2, width, 3, padding=1)
        pairs = list(pairwise(widths))
        self.down_blocks = nn.ModuleList(_blocks(fine, 2) for fine in widths[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.middle = _blocks(widths[-1], 3)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in pairs)
        self.joins = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine in widths[:-1])
        self.up_blocks = nn.ModuleList(_blocks(fine, 2) for fine in widths[:-1])
        self.norm = nn.GroupNorm(1, width)
        self.last = nn.Conv2d(width, channels * self.patch**2, 3, padding=1)
        _initialise(self, rng)

    def forward(self, x: Tensor, level: Tensor, label: Tensor) -> Tensor:
        """Say what is noise; the caller scales input and output."""
        height, width = x.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        x = F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x
        angles = level[:, None] * self.frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        embedding = F.silu(self.noise(waves) + self.classes(label))
        x = F.pixel_unshuffle(x, self.patch)
        x = self.first(x.contiguous(memory_format=torch.channels_last) if self.channels_last else x)
        kept = []
        for blocks, down in zip(self.down_blocks, self.downs, strict=True):
            x = _through(blocks, x, embedding)
            kept.append(x)
            x = down(x)
        x = _through(self.middle, x, embedding)
        for number in reversed(range(len(kept))):
            x = self.joins[number](torch.cat([kept[number], self.ups[number](x)], dim=1))
            x = _through(self.up_blocks[number], x, embedding)
        x = F.pixel_shuffle(self.last(F.silu(self.norm(x))), self.patch)
        return x[:, :, :height, :width]


def layout(side: int) -> tuple[int, int]:
    """Pixels a side of a patch, and the number of grids, for images of ``side`` pixels.

    The finest grid has 8 to 32 patches a side, the coarsest 4 to 8.
    """
    patch = 2 if side <= 64 else 4 if side <= 128 else 8
    return patch, 2 if side <= 32 else 3


def _blocks(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(Block(width) for _ in range(count))


def _through(blocks: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
    for block in blocks.children():
        x = block(x, embedding)
    return x


def _initialise(network: UNet, rng: torch.Generator) -> None:
    """PyTorch's uniform values, zero biases, and zeros where a branch ends: every block starts as identity.

    He et al., ICCV 2015, for the bounds; Goyal et al. 2017 for the zeros.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if module.weight.ndim == 4:
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5, generator=rng)
    for module in network.modules():
        if isinstance(module, Block):
            nn.init.zeros_(module.steer.weight)
            nn.init.zeros_(module.narrow.weight)
    nn.init.zeros_(network.last.weight)
