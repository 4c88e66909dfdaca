"""The networks that a recipe can name: ours, and any that the user can import."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from healthgan.classifiers.pooled import pooled
from healthgan.classifiers.resnet import ResNetSmall
from healthgan.errors import InputError
from healthgan.keras_semantics import Dropout, glorot_uniform_


class Network(nn.Module):
    """Images (B, C, H, W) float32 in 0…1 → features (B, D) → logits (B, K).

    Attributes:
        body: images → features.
        between: features → what the last layer sees.
        head: the last layer.
    """

    channels_last = True
    """Whether images and kernels lie with their channels last in memory, which is fastest on a CPU."""

    def __init__(self, body: nn.Module, between: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body, self.between, self.head = body, between, head

    @property
    def dtype(self) -> torch.dtype:
        """What images have to be."""
        return self.head.weight.dtype

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        features: Tensor = self.body(x)
        return features, self.head(self.between(features))

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.both(x)[1]

    def renew_head(self, outputs: int, rng: torch.Generator) -> None:
        """Put a new last layer in place, Glorot-uniform."""
        old = self.head.weight
        head = nn.Linear(self.head.in_features, outputs)
        glorot_uniform_(head, rng)
        self.head = head.to(old)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return dict(self.state_dict())


class CnnBody(nn.Module):
    """The 2023 study's convolutions and its dense layer of 64, before the ReLU; see ``cnn2023``."""

    width = 64

    def __init__(self, size: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        height, width = (((side - 2) // 2 - 2) // 2 for side in size)
        self.dense = nn.Linear(height * width * 32, self.width)

    def forward(self, x: Tensor) -> Tensor:
        """The features."""
        x = pooled(self.conv2, pooled(self.conv1, x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # free where the channels lie last
        features: Tensor = self.dense(x)
        return features


def _cnn_2023(
    channels: int, size: tuple[int, int], outputs: int, rng: torch.Generator, device: torch.device
) -> Network:
    masks = rng if device.type == "cpu" else torch.Generator(device).manual_seed(rng.initial_seed())
    between = nn.Sequential(nn.ReLU(), Dropout(0.5, masks))
    network = Network(CnnBody(size, channels), between, nn.Linear(CnnBody.width, outputs))
    glorot_uniform_(network, rng)
    return network


def _resnet_small(
    channels: int, size: tuple[int, int], outputs: int, rng: torch.Generator, device: torch.device
) -> Network:
    del size, device  # it takes any, and draws nothing when it is applied
    body = ResNetSmall(channels, rng)
    network = Network(body, nn.Identity(), nn.Linear(body.width, outputs))
    glorot_uniform_(network.head, rng)
    return network


NETWORKS: Mapping[str, Callable[[int, tuple[int, int], int, torch.Generator, torch.device], Network]] = {
    "cnn-2023": _cnn_2023,
    "resnet-small": _resnet_small,
}
"""By name: channels, size (height, width), outputs, a CPU generator, the device → a network on the CPU."""


class Imported(Network):
    """A module of the user's own; its last ``nn.Linear``, in the order of ``modules()``, counts as its head.

    Features are what goes into the head. The module's memory layout is left alone: it may rely on it.

    Raises:
        InputError: (``both``, ``renew_head``) there is no such layer.
    """

    channels_last = False

    def __init__(self, module: nn.Module, name: str) -> None:
        nn.Module.__init__(self)
        self.module, self.name = module, name

    @property
    def dtype(self) -> torch.dtype:
        """What images are, whatever the module computes in."""
        return torch.float32

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        seen: list[Tensor] = []
        hook = self._last_linear()[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            logits: Tensor = self.module(x)
        finally:
            hook.remove()
        if not seen or len(seen[-1]) != len(x):
            raise InputError(
                f"The last nn.Linear of the network '{self.name}' is not applied once to every image, so that the network has "
                "no features. Let it be the network's last layer."
            )
        return seen[-1].flatten(1), logits

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.module(x)
        return logits

    def renew_head(self, outputs: int, rng: torch.Generator) -> None:
        """Put a new last layer in place; its initial values are PyTorch's and come from the global generator."""
        del rng
        path, old = self._last_linear()
        new = nn.Linear(old.in_features, outputs, old.bias is not None)
        parent, _, last = path.rpartition(".")
        setattr(self.module.get_submodule(parent), last, new.to(old.weight.device))

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by the names that they have in the user's module."""
        return dict(self.module.state_dict())

    def _last_linear(self) -> tuple[str, nn.Linear]:
        linear = [(path, part) for path, part in self.module.named_modules() if isinstance(part, nn.Linear)]
        if not linear or not linear[-1][0]:
            raise InputError(
                f"The network '{self.name}' holds no nn.Linear that could be exchanged or whose inputs could serve as features. "
                "Let an nn.Linear be its last layer, or leave out the arms that need one (transfer, domain adaptation)."
            )
        return linear[-1]


def build(
    name: str,
    channels: int,
    size: tuple[int, int],
    outputs: int,
    rng: torch.Generator,
    device: torch.device,
) -> Network:
    """A fresh network on a device.

    Args:
        name: in ``NETWORKS``, or 'package.module:factory' with a callable ``(channels, size, outputs)`` →
            ``nn.Module`` that maps (B, C, H, W) float32 in 0…1 to (B, outputs). It may draw from PyTorch's global
            generator, which the caller seeds.
        channels: 1 or 3.
        size: height and width.
        outputs: K.
        rng: a CPU generator for the initial values and dropout of the networks in ``NETWORKS``.
        device: where it shall live.

    Raises:
        InputError: there is no such network, or it does not do what it has to.
    """
    if name in NETWORKS:
        network = NETWORKS[name](channels, size, outputs, rng, device)
    else:
        network = _imported(name, channels, size, outputs)
    network = network.to(device)
    if network.channels_last:
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
    check_outputs(network, name, channels, size, outputs, device)
    return network


def check_outputs(
    network: Network,
    name: str,
    channels: int,
    size: tuple[int, int],
    outputs: int,
    device: torch.device,
) -> None:
    """Apply a network to two black images.

    Raises:
        InputError: it fails, or its output is not (2, outputs) float32.
    """
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            found = network(torch.zeros(2, channels, *size, device=device))
    except Exception as error:  # the user's own code: it may raise anything
        raise InputError(
            f"The network '{name}' fails on images of {channels} × {size[0]} × {size[1]} (channels, height, width): "
            f"{_first_line(error)}. Mend it, or take another size (--size)."
        ) from error
    network.train(training)
    if not isinstance(found, Tensor) or found.shape != (2, outputs) or found.dtype != torch.float32:
        what = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"The network '{name}' gives {what} for two images; it must give torch.float32 (2, {outputs}), one logit an "
            "output. Mend it."
        )


def _imported(name: str, channels: int, size: tuple[int, int], outputs: int) -> Network:
    """Import a factory and call it."""
    path, colon, attribute = name.partition(":")
    if not (path and colon and attribute):
        raise InputError(
            f"There is no network '{name}'. Name one of {', '.join(NETWORKS)}, or a factory of your own as "
            "'package.module:factory'."
        )
    try:
        factory: Any = importlib.import_module(path)
    except Exception as error:  # the user's own code: it may raise anything
        raise InputError(
            f"The module '{path}' of the network '{name}' can't be imported: {_first_line(error)}. Install it, or put its "
            "folder into PYTHONPATH."
        ) from error
    for part in attribute.split("."):
        factory = getattr(factory, part, None)
    if not callable(factory):
        raise InputError(
            f"'{path}' has no callable '{attribute}'. Name a function or class that takes (channels, size, outputs) and "
            "gives an nn.Module."
        )
    try:
        module = factory(channels, size, outputs)
    except Exception as error:  # the user's own code: it may raise anything
        raise InputError(
            f"'{name}' fails when it is called with ({channels}, {size}, {outputs}): {_first_line(error)}. Mend it; it must "
            "take (channels, size, outputs) and give an nn.Module."
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(f"'{name}' gives a {type(module).__name__}; it must give an nn.Module. Mend it.")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError(f"The network '{name}' has no parameter that could be trained. Mend it.")
    return Imported(module, name)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + text[0][:200].rstrip('.') if text else ''}"
