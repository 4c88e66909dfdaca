"""The denoising network: shapes at every size, and what it is before training."""

import pytest
import torch

from healthgan.generators.unet import Block, UNet, layout


def build(size: tuple[int, int], channels: int = 1) -> UNet:
    return UNet(size, channels, 2, 16, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (28, 28), (33, 45), (64, 64), (128, 128), (224, 200)])
def test_images_keep_their_size(size, channels) -> None:
    network = build(size, channels)
    x = torch.randn(2, channels, *size)
    out = network(x, torch.tensor([0.1, -0.5]), torch.tensor([0, 2]))
    assert out.shape == x.shape
    assert float(out.detach().abs().max()) == 0, "an untrained network must say nothing"


@pytest.mark.parametrize("side", range(16, 225))
def test_every_size_has_small_grids(side) -> None:
    patch, levels = layout(side)
    finest = -(-side // patch)
    assert 8 <= finest <= 32
    assert 4 <= -(-finest // 2 ** (levels - 1)) <= 8


def test_equal_seeds_build_equal_networks() -> None:
    one, two = build((28, 28)).state_dict(), build((28, 28)).state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_class_and_noise_level_reach_every_block_and_no_image_reaches_another() -> None:
    network = build((28, 28))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Block):
                module.steer.weight.normal_(generator=torch.Generator().manual_seed(1))
                module.narrow.weight.normal_(generator=torch.Generator().manual_seed(2))
        network.last.weight.normal_(generator=torch.Generator().manual_seed(3))
    x = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(4)).repeat(3, 1, 1, 1)
    out = network(x, torch.tensor([0.2, 0.2, 0.3]), torch.tensor([0, 1, 0])).detach()
    assert float((out[0] - out[1]).abs().max()) > 0.01
    assert float((out[0] - out[2]).abs().max()) > 0.01
    x[1:] = 0
    again = network(x, torch.tensor([0.2, 0.2, 0.3]), torch.tensor([0, 1, 0])).detach()
    torch.testing.assert_close(again[0], out[0])
