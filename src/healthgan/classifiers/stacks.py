"""Many networks of one architecture as one program: their parameters lie in one tensor, a row a network."""

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers.networks import CnnBody, Imported, Network
from healthgan.keras_semantics import Dropout

_ROWS = 512
"""Terms that are summed at once in the gradient of a kernel, about."""
_TRIAL = 3
"""Images that a network of the user's own is tried with, alone and beside another."""


class Stack:
    """E networks of one architecture, through ``torch.func.vmap``.

    Attributes:
        flat: (E, P), the parameters, a row a network; what an optimiser moves.
        dropout: (width, share that is kept) of the masks that ``both`` wants in training, if any.
        steady: whether a call is nothing but its kernels, so that these can be recorded and played again.
    """

    dropout: tuple[int, float] | None = None

    def __init__(self, networks: Sequence[Network], device: torch.device) -> None:
        self._pattern = copy.deepcopy(networks[0])
        self._shapes = {name: value.shape for name, value in self._pattern.named_parameters()}
        rows = [
            torch.cat([self._packed(value).flatten() for value in _parameters(network)])
            for network in networks
        ]
        self.flat = torch.stack(rows).to(device)
        self.steady = not isinstance(networks[0], Imported)

    @staticmethod
    def _packed(value: Tensor) -> Tensor:
        """A parameter as it lies in ``flat``."""
        return value.detach()

    @staticmethod
    def _unpacked(row: Tensor, shape: torch.Size) -> Tensor:
        """A parameter as the network holds it, from its place in a row."""
        return row.view(shape)

    def parameters(self, flat: Tensor) -> dict[str, Tensor]:
        """(E, …) each, by name: views into ``flat``."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        return dict(zip(self._shapes, torch.split(flat, sizes, dim=1), strict=True))

    def some(self, places: Sequence[int]) -> Self:
        """The networks in these places as a stack of their own."""
        found = copy.copy(self)
        found.flat = self.flat.detach()[list(places)]
        return found

    def train(self, mode: bool) -> None:
        """As ``nn.Module.train``."""
        self._pattern.train(mode)

    def both(self, flat: Tensor, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features (E, B, D) and logits (E, B, K).

        Args:
            flat: (E, P), ``self.flat`` or what has its shape.
            x: (E, B, H, W, C) in 0…1.
            mask: (E, B, width) of 0 and 1, where ``dropout`` says so and in training.
        """
        del mask
        named = {
            f"network.{name}": torch.unflatten(value, 1, self._shapes[name])
            for name, value in self.parameters(flat).items()
        }
        both = _Both(self._pattern)

        def apply(parameters: dict[str, Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
            return torch.func.functional_call(both, parameters, (images,))  # type: ignore[no-any-return] # what the module gives is not known to it

        features, logits = torch.vmap(apply)(named, x.permute(0, 1, 4, 2, 3))
        return features, logits

    def write_to(self, networks: Sequence[Network]) -> None:
        """Copy the rows into networks."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        with torch.no_grad():
            for row, network in zip(self.flat.detach().cpu(), networks, strict=True):
                for part, value in zip(torch.split(row, sizes), _parameters(network), strict=True):
                    value.copy_(self._unpacked(part, value.shape))


class CnnStack(Stack):
    """E of the 2023 study's networks by hand: each convolution is one batched matrix product over all of them.

    Kernels lie in ``flat`` as (out, height, width, in), images with their channels last, so that the patches of a
    convolution are runs of memory and its output needs no new layout.
    """

    def __init__(self, networks: Sequence[Network], device: torch.device) -> None:
        super().__init__(networks, device)
        (dropout,) = (part for part in networks[0].between.modules() if isinstance(part, Dropout))
        self.dropout = CnnBody.width, dropout.keep

    @staticmethod
    def _packed(value: Tensor) -> Tensor:
        return value.detach().permute(0, 2, 3, 1) if value.ndim == 4 else value.detach()

    @staticmethod
    def _unpacked(row: Tensor, shape: torch.Size) -> Tensor:
        if len(shape) < 4:
            return row.view(shape)
        outputs, inputs, height, width = shape
        return row.view(outputs, height, width, inputs).permute(0, 3, 1, 2)

    def both(self, flat: Tensor, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features and logits; see ``Stack.both``."""
        named = self.parameters(flat)
        for layer in ("body.conv1", "body.conv2"):
            x = _pooled(_convolved(x, named[f"{layer}.weight"], named[f"{layer}.bias"]))
        features = _linear(x.flatten(2), named, "body.dense")
        between = F.relu(features)
        if mask is not None:
            assert self.dropout is not None
            between = between * mask.to(between.dtype).div_(self.dropout[1])
        return features, _linear(between, named, "head")


def stack_of(networks: Sequence[Network], shape: tuple[int, int, int], device: torch.device) -> Stack | None:
    """The networks as one, for images (H, W, C); None where they have to be applied one by one.

    A network of the user's own can be stacked if all of it is trainable, of one type, without buffers, and gives in
    a stack of two what it gives alone; one that draws random numbers, for instance, fails there.
    """
    first = networks[0]
    if isinstance(first.body if not isinstance(first, Imported) else None, CnnBody):
        return CnnStack(networks, device)
    if isinstance(first, Imported) and not _stackable(networks, shape):
        return None
    return Stack(networks, device)


def architecture(network: Network) -> object:
    """Equal for networks that may stand in one stack."""
    name = network.name if isinstance(network, Imported) else type(network.body).__qualname__
    return type(network), name, tuple((key, value.shape) for key, value in network.tensors().items())


class _Both(nn.Module):
    """``Network.both`` as a module's call."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(self.network, Imported):
            return self.network.both(x)
        logits: Tensor = self.network(x)
        return logits, logits


class _Convolution(torch.autograd.Function):
    """3×3 'valid' convolutions of E networks: x (E, B, H, W, C), weight (E, K, 9·C), bias (E, K) → (E, B, H−2, W−2, K)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        E, B, H, W, C = x.shape
        x = x.contiguous()
        # The three pixels of a patch's row lie one after the other: 3·C values at a time.
        runs = x.as_strided(
            (E * B, H - 2, W - 2, 3, 3 * C), (H * W * C, W * C, C, W * C, 1), x.storage_offset()
        )
        patches = runs.reshape(E, B * (H - 2) * (W - 2), 9 * C)
        weight = weight.view(E, -1, 9 * C)
        ctx.save_for_backward(patches, weight)
        ctx.inputs = x.shape  # type: ignore[attr-defined] # PyTorch's contexts are not typed
        return torch.baddbmm(bias[:, None], patches, weight.mT).view(E, B, H - 2, W - 2, -1)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        patches, weight = ctx.saved_tensors  # type: ignore[attr-defined] # PyTorch's contexts are not typed
        E, B, H, W, C = ctx.inputs  # type: ignore[attr-defined] # as above
        gradient = gradients[0].reshape(E, B * (H - 2) * (W - 2), -1)
        to_x = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined] # as above
            parts = torch.bmm(gradient, weight).view(E * B, (H - 2) * (W - 2), 9, C)
            summed = F.fold(parts.permute(0, 3, 2, 1).flatten(1, 2), (H, W), 3)  # (E·B, C, H, W)
            to_x = torch.unflatten(summed.permute(0, 2, 3, 1), 0, (E, B))
        return to_x, _summed_products(gradient, patches, B), gradient.sum(dim=1)


def _summed_products(gradient: Tensor, patches: Tensor, images: int) -> Tensor:
    """(E, K·9·C): gradientᵀ · patches of (E, N, K) and (E, N, 9·C), whose long sums are taken in pieces of some images.

    A GPU has one block of threads for each small product; one for each network would take all N terms in a row.
    """
    rows = gradient.shape[1] // images
    together = max(
        count
        for count in range(1, images + 1)
        if images % count == 0 and (count * rows <= _ROWS or count == 1)
    )
    pieces = [values.reshape(-1, together * rows, values.shape[2]) for values in (gradient, patches)]
    products = torch.bmm(pieces[0].mT, pieces[1])
    return products.view(len(gradient), images // together, -1).sum(dim=1)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    found: Tensor = _Convolution.apply(x, weight, bias)  # type: ignore[no-untyped-call] # PyTorch has no type for it
    return found


def _pooled(x: Tensor) -> Tensor:
    """Max-pool 2, then ReLU: (E, B, H, W, C) → (E, B, ⌊H / 2⌋, ⌊W / 2⌋, C)."""
    y = F.relu(F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 2))
    return torch.unflatten(y.permute(0, 2, 3, 1), 0, x.shape[:2])


def _linear(x: Tensor, named: dict[str, Tensor], layer: str) -> Tensor:
    """(E, B, D) → (E, B, D')."""
    bias = named[f"{layer}.bias"]
    weight = named[f"{layer}.weight"].view(*bias.shape, x.shape[2])
    return torch.baddbmm(bias[:, None], x, weight.mT)


def _parameters(network: Network) -> list[Tensor]:
    return list(network.parameters())


def _stackable(networks: Sequence[Network], shape: tuple[int, int, int]) -> bool:
    """Whether networks of the user's own give in a stack what they give alone, with their gradients."""
    first, last = (copy.deepcopy(network).train() for network in (networks[0], networks[-1]))
    if any(True for _ in first.buffers()) or architecture(first) != architecture(last):
        return False
    if any(not value.requires_grad or value.dtype != first.dtype for value in first.parameters()):
        return False
    images = torch.rand(_TRIAL, *shape, generator=torch.Generator().manual_seed(0))
    try:
        stack = Stack([first, last], torch.device("cpu"))
        flat = stack.flat.requires_grad_()
        _, together = stack.both(flat, images.expand(2, *images.shape), None)
        (gradient,) = torch.autograd.grad(together.sum(), flat)
        alone = torch.stack([network(images.permute(0, 3, 1, 2).contiguous()) for network in (first, last)])
        slopes = [
            torch.autograd.grad(logits.sum(), list(network.parameters()))
            for logits, network in zip(alone, (first, last), strict=True)
        ]
    except Exception:  # noqa: BLE001 - whatever a user's own code raises where it meets batches of networks
        return False
    expected = torch.stack([torch.cat([slope.flatten() for slope in row]) for row in slopes])
    return _near(together, alone) and _near(gradient, expected)


def _near(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool(
        (found - expected).abs().max() <= 1e-4 * (1 + expected.abs().max())
    )
