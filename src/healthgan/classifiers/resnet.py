"""A small residual network: what is usual today, in a size that a few hundred images can train."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)
GROUPS = 8


class Block(nn.Module):
    """Two 3×3 convolutions, each after GroupNorm and ReLU, added to their input (He et al., ECCV 2016).

    GroupNorm (Wu and He, ECCV 2018) knows no batch: an image is judged alike whatever stands beside it, and no
    average over training images is kept.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        changes = stride > 1 or channels != width
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) → (B, width, ⌈H / stride⌉, ⌈W / stride⌉)."""
        y = F.relu(self.norm1(x))
        short = x if self.shortcut is None else self.shortcut(y)
        y = self.conv2(F.relu(self.norm2(self.conv1(y))))
        return torch.add(short, y)


class ResNetSmall(nn.Module):
    """Images (B, C, H, W) float32 in 0…1 → features (B, 64): a stem, three blocks, the mean over all places.

    Args:
        channels: 1 or 3.
        rng: a CPU generator; it sets the initial values, He-normal (He et al., ICCV 2015).
    """

    width = WIDTHS[-1]

    def __init__(self, channels: int, rng: torch.Generator) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, WIDTHS[0], 3, 1, 1, bias=False)
        before = (WIDTHS[0], *WIDTHS[:-1])
        self.blocks = nn.Sequential(
            *(
                Block(narrow, wide, 1 if narrow == wide else 2)
                for narrow, wide in zip(before, WIDTHS, strict=True)
            )
        )
        self.norm = nn.GroupNorm(GROUPS, WIDTHS[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)

    def forward(self, x: Tensor) -> Tensor:
        """The features."""
        x = F.relu(self.norm(self.blocks(self.stem(x))))
        return x.mean(dim=(2, 3))
