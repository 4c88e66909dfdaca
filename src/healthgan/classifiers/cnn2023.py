"""The small network of the 2023 study."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers.pooled import pooled
from healthgan.keras_semantics import Dropout, glorot_uniform_


class Cnn2023(nn.Module):
    """Two convolutions and two dense layers: (B, C, H, W) float32 → logits (B,), above zero for the rare class.

    Conv 16 3×3 ReLU, max-pool 2, conv 32 3×3 ReLU, max-pool 2, dense 64 ReLU, dropout 0.5, dense 1; 'valid'
    padding. It is initialised as Keras does it.

    Args:
        size: height and width of the images in pixels.
        channels: 1 or 3.
        rng: a CPU generator; it sets the initial values and, on a CPU, the dropout masks.
        device: where the network lives.
    """

    def __init__(
        self, size: tuple[int, int], channels: int, rng: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        masks = rng if device.type == "cpu" else torch.Generator(device).manual_seed(rng.initial_seed())
        self.conv1 = nn.Conv2d(channels, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        height, width = (_after_two(side) for side in size)
        self.dense = nn.Linear(height * width * 32, 64)
        self.dropout = Dropout(0.5, masks)
        self.logit = nn.Linear(64, 1)
        glorot_uniform_(self, rng)
        self.to(device)
        for convolution in (self.conv1, self.conv2):
            convolution.weight.data = convolution.weight.data.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Judge images; channels last in memory is fastest."""
        x = pooled(self.conv2, pooled(self.conv1, x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # Keras's order, and free when the channels lie last
        x = self.dropout(F.relu(self.dense(x)))
        logits: Tensor = self.logit(x)
        return logits.squeeze(1)


def _after_two(side: int) -> int:
    """What two rounds of 3×3 convolution and pooling leave of a side."""
    for _ in range(2):
        side = (side - 2) // 2
    return side
