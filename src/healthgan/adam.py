"""PyTorch's Adam, without its optimiser class, which loads PyTorch's compiler into every worker."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """As ``torch.optim.Adam`` (Kingma and Ba, ICLR 2015), to the bit.

    Attributes:
        parameters: that are moved.
        learning_rate: of the next step; may be set at any time.
        epsilon: likewise.
        state: of each parameter, ``step`` (), ``exp_avg`` and ``exp_avg_sq`` (as the parameter) by PyTorch's names; empty
            before its first step.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        *,
        fused: bool,
    ) -> None:
        """Nothing is done yet.

        Args:
            parameters: all on one device.
            learning_rate: α.
            betas: β₁ and β₂.
            epsilon: ε.
            fused: by PyTorch's fused kernels, else by those over lists; they round differently.
        """
        self.parameters = list(parameters)
        self.learning_rate, self.betas, self.epsilon, self.fused = learning_rate, betas, epsilon, fused
        self.state: list[dict[str, Tensor]] = [{} for _ in self.parameters]

    def descend(self, loss: Tensor) -> None:
        """Take one step down a loss () that autograd can differentiate."""
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call] # PyTorch has no type for it
        self.step([parameter.grad for parameter in self.parameters])

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take one step along the gradients, given in the parameters' order; one without a gradient stays.

        The fused kernels walk memory as it lies: gradients must be laid out as their parameters are.
        """
        parameters, slopes, states = [], [], []
        for parameter, gradient, state in zip(self.parameters, gradients, self.state, strict=True):
            if gradient is None:
                continue
            if not state:
                state |= self._begun(parameter)
            parameters.append(parameter)
            slopes.append(gradient)
            states.append(state)
        with torch.no_grad():
            adam(
                list[Tensor](parameters),
                slopes,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                foreach=not self.fused,
                fused=self.fused,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=self.learning_rate,
                weight_decay=0.0,
                eps=self.epsilon,
                maximize=False,
            )

    def restore(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Take over a ``state``, whatever device it is on.

        Raises:
            ValueError: it is of other parameters.
            KeyError: a part of it is missing.
        """
        for parameter, given, state in zip(self.parameters, states, self.state, strict=True):
            state.clear()
            if not given:
                continue
            begun = self._begun(parameter)
            for name, value in begun.items():
                if given[name].shape != value.shape:
                    raise ValueError(f"Adam's {name} has shape {tuple(given[name].shape)}")
                value.copy_(given[name])
            state |= begun

    def _begun(self, parameter: Tensor) -> dict[str, Tensor]:
        """The state before the first step. The kernels over lists read the step count, so it is on the CPU there."""
        return {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device if self.fused else "cpu"),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }
