"""The study's networks in Keras and here, on the same weights and inputs: are they equal?

    python benchmarks/keras/parity.py --keras-python keras-venv/bin/python [--json FILE]

Runs in the project's environment; Keras runs in its own and hands over its weights and results as files.
The error of a tensor is max |a − b| / max(1, max |b|), b being Keras's; for gradients, which may be small
throughout, max |a − b| / max |b| too. In float64 rounding is far below 1e-10, so anything that is defined
otherwise shows; in float32 the bound is 1e-5.
"""

import argparse
import copy
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers.cnn2023 import Cnn2023
from healthgan.generators import dcgan_state, fit_dcgan
from healthgan.generators.dcgan import Generator, build
from healthgan.keras_semantics import BatchNorm, Dropout, KerasAdam

BOUNDS = {"float64": 1e-10, "float32": 1e-5}
STEPS, BATCH, LAST, FIT = 5, 32, 13, 80
RELATIVE = "gradients, relative to the tensor's largest"
LATER = f"after {STEPS} steps"
HERE = Path(__file__).parent
CPU = torch.device("cpu")

Arrays = dict[str, NDArray]
Errors = dict[str, list[float]]

KERAS_NAMES = {
    "weight": "kernel", "bias": "bias", "running_mean": "moving_mean", "running_var": "moving_variance"
}  # fmt: skip
BN_NAMES = KERAS_NAMES | {"weight": "gamma", "bias": "beta"}


class RecordingAdam(KerasAdam):
    """Ours, keeping the gradients of its first step."""

    gradients: tuple[Tensor, ...] = ()

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Note the gradients, then step."""
        self.gradients = self.gradients or tuple(gradient.clone() for gradient in gradients)
        super().step(gradients)


def named(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Our tensors under Keras's names: ``7/kernel``."""
    layers = [module for module in network.modules() if list(module.parameters(recurse=False))]
    for number, layer in enumerate(layers):
        names = BN_NAMES if isinstance(layer, BatchNorm) else KERAS_NAMES
        for name, tensor in layer.state_dict(keep_vars=True).items():
            yield f"{number}/{names[name]}", tensor


def from_keras(array: NDArray) -> Tensor:
    """A kernel of Keras in PyTorch's order; (h, w, in, out) and, transposed, (h, w, out, in) turn alike."""
    order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(array.ndim)
    return torch.from_numpy(array if order is None else array.transpose(order))


def take_over(network: nn.Module, arrays: Arrays, prefix: str) -> None:
    """Copy Keras's weights into ours and switch dropout off."""
    with torch.no_grad():
        for name, tensor in named(network):
            tensor.copy_(from_keras(arrays[f"{prefix}/{name}"]))
    for module in network.modules():
        if isinstance(module, Dropout):
            module.keep = 1.0
        if isinstance(module, nn.LeakyReLU):  # TensorFlow holds the slope as float32 whatever the data's type
            module.negative_slope = float(np.float32(module.negative_slope))


def error(ours: Tensor | float, keras: NDArray, floor: float = 1.0) -> float:
    """The largest difference over max(floor, max |b|); shapes must agree."""
    a, b = torch.as_tensor(ours, dtype=torch.float64).detach().numpy(), from_keras(keras).double().numpy()
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(np.abs(a - b).max() / max(floor, float(np.abs(b).max())))


def compare(errors: Errors, network: nn.Module, keras: Arrays, prefix: str, kind: str) -> None:
    """Our weights and moving statistics against Keras's."""
    for name, tensor in named(network):
        moving = "moving statistics" if "moving" in name else "parameters"
        errors.setdefault(f"{moving} {kind}", []).append(error(tensor, keras[f"{prefix}/{name}"]))


def compare_gradients(
    errors: Errors, network: nn.Module, gradients: tuple[Tensor, ...], keras: Arrays, prefix: str
) -> None:
    names = [name for name, tensor in named(network) if isinstance(tensor, nn.Parameter)]
    for name, gradient in zip(names, gradients, strict=True):
        theirs = keras[f"{prefix}/{name}"]
        errors.setdefault("gradients", []).append(error(gradient, theirs))
        errors.setdefault(RELATIVE, []).append(error(gradient, theirs, floor=0.0))


def keras_step(errors: Errors, network: nn.Module, keras: Arrays, part: str, rate: float) -> None:
    """One step of our Adam along Keras's own gradients: the optimiser alone."""
    alone = copy.deepcopy(network)
    gradients = [
        from_keras(keras[f"gradient{part}/{name}"])
        for name, tensor in named(alone)
        if isinstance(tensor, nn.Parameter)
    ]
    KerasAdam(list(alone.parameters()), rate).step(tuple(gradients))
    for name, tensor in named(alone):
        if isinstance(tensor, nn.Parameter):
            found = error(tensor, keras[f"after1{part}/{name}"])
            errors.setdefault("parameters after 1 step along Keras's gradients", []).append(found)


def check_cnn(inputs: Arrays, keras: Arrays, dtype: torch.dtype) -> Errors:
    """The CNN on pixels 0…255: five steps, then one epoch of ``fit`` with a smaller last batch."""
    network = Cnn2023((28, 28), 1, torch.Generator(), CPU).to(dtype)
    take_over(network, keras, "initial")
    errors: Errors = {}
    keras_step(errors, network, keras, "", 1e-3)
    adam = RecordingAdam(list(network.parameters()), 1e-3)
    x = torch.from_numpy(inputs["cnn_x"]).permute(0, 1, 4, 2, 3).to(dtype)
    y = torch.from_numpy(inputs["cnn_y"]).to(dtype)
    accuracies = errors.setdefault("accuracy in training", [])
    for step in range(STEPS):
        logits, loss = cnn_step(network, adam, x[step], y[step])
        accuracies.append(error(right(logits, y[step]) / BATCH, keras[f"fit_accuracy/{step}"]))
        if step == 0:
            errors["forward pass"] = [
                error(logits, keras["forward/logits"]),
                error(logits.sigmoid(), keras["forward/probability"]),
            ]
            errors["loss"] = [error(loss, keras["loss/0"])]
            compare_gradients(errors, network, adam.gradients, keras, "gradient")
            compare(errors, network, keras, "after1", "after 1 step")
    compare(errors, network, keras, f"after{STEPS}", LATER)
    epoch = x.flatten(0, 1)[:FIT].split(BATCH), y.flatten()[:FIT].split(BATCH)
    correct = sum(right(cnn_step(network, adam, *pair)[0], pair[1]) for pair in zip(*epoch, strict=True))
    accuracies.append(error(correct / FIT, keras["fit_accuracy/epoch"]))
    compare(errors, network, keras, "after_fit", f"{LATER} and an epoch of fit")
    return errors


def cnn_step(network: Cnn2023, adam: KerasAdam, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """As ``healthgan.classifiers.fit`` does it, in any type; logits and loss before the step."""
    logits = network(x)
    loss = F.binary_cross_entropy_with_logits(logits, y)
    adam.step(torch.autograd.grad(loss, adam.parameters))
    return logits, loss


def right(logits: Tensor, y: Tensor) -> int:
    return int(((logits > 0) == (y == 1)).sum())


def check_gan(inputs: Arrays, keras: Arrays, dtype: torch.dtype) -> Errors:
    """Generator and discriminator through the training's own step; the last real batch is smaller."""
    up, down = build("dcgan-2023", 28, 1, torch.Generator(), CPU)
    up, down = up.to(dtype), down.to(dtype)
    take_over(up, keras, "initial/up")
    take_over(down, keras, "initial/down")
    errors: Errors = {}
    for part, network in (("/up", up), ("/down", down)):
        keras_step(errors, network, keras, part, 1e-4)
    adams = [RecordingAdam(list(network.parameters()), 1e-4) for network in (up, down)]
    state = dcgan_state.State(
        generator=up, discriminator=down, generator_adam=adams[0], discriminator_adam=adams[1],
        rng=torch.Generator(), noise=torch.zeros(0), history=[], losses=[],
        order=torch.zeros(0, dtype=torch.int64), position=0, sums=torch.zeros(2),
    )  # fmt: skip
    noise = torch.from_numpy(inputs["noise"]).to(dtype)
    reals = [torch.from_numpy(inputs[f"real_{step}"]).permute(0, 3, 1, 2).to(dtype) for step in range(STEPS)]
    errors["forward pass"] = [
        image_error(up, noise[0], keras["forward/inference"]),
        error(down(reals[0]), keras["forward/logits"]),
    ]
    for step in range(STEPS):
        losses = fit_dcgan._step(state, reals[step], noise[step])
        when = "loss" if step == 0 else f"loss of steps 2 to {STEPS}"
        errors.setdefault(when, []).append(error(losses, keras[f"loss/{step}"]))
        for part, network, adam in (("up", up, adams[0]), ("down", down, adams[1])):
            if step == 0:
                compare_gradients(errors, network, adam.gradients, keras, f"gradient/{part}")
            if step in (0, STEPS - 1):
                when = "after 1 step" if step == 0 else LATER
                compare(errors, network, keras, f"after{step + 1}/{part}", when)
    errors[f"forward pass {LATER}"] = [image_error(up, noise[0], keras["forward/inference_after"])]
    return errors


def image_error(up: Generator, noise: Tensor, keras: NDArray) -> float:
    """Images in inference mode, from the moving statistics; they lie in −1…1."""
    up.eval()
    images = up(noise).permute(0, 2, 3, 1).detach().double().numpy()
    up.train()
    return float(np.abs(images - keras).max())


def check_limits(facts: dict[str, dict[str, dict[str, float]]]) -> float:
    """Initial values of both sides against Glorot's limit, in standard errors of a uniform sample's spread.

    Raises:
        AssertionError: a value lies outside ± its limit, or something does not start at 0 or 1 as it does there.
    """
    rng, worst = torch.Generator().manual_seed(0), 0.0
    up, down = build("dcgan-2023", 28, 1, rng, CPU)
    networks = {"cnn": Cnn2023((28, 28), 1, rng, CPU), "generator": up, "discriminator": down}
    for part, network in networks.items():
        for name, tensor in named(network):
            values, keras = tensor.detach().double(), facts["limits"][f"{part}/{name}"]
            if "kernel" not in name:
                assert float(values.abs().max()) == keras["highest"], (part, name)
                continue
            field = math.prod(values.shape[2:])
            limit = math.sqrt(6 / (field * (values.shape[0] + values.shape[1])))
            standard_error = math.sqrt(0.2 / values.numel())  # of the spread; a uniform's kurtosis is 1.8
            for highest, spread in (
                (float(values.abs().max()), float(values.std())),
                (keras["highest"], keras["deviation"]),
            ):
                assert highest <= limit * (1 + 1e-6), (part, name)
                worst = max(worst, abs(spread / (limit / math.sqrt(3)) - 1) / standard_error)
    return worst


def write_inputs(folder: Path) -> Arrays:
    rng = np.random.default_rng(0)
    inputs: Arrays = {
        "cnn_x": rng.integers(0, 256, (STEPS, BATCH, 28, 28, 1), dtype=np.uint8),
        "cnn_y": rng.integers(0, 2, (STEPS, BATCH)),
        "noise": rng.normal(size=(STEPS, BATCH, 100)).astype(np.float32),
    }
    for step in range(STEPS):
        count = LAST if step == STEPS - 1 else BATCH
        inputs[f"real_{step}"] = rng.uniform(-1, 1, (count, 28, 28, 1)).astype(np.float32)
    save_file(inputs, folder / "inputs.safetensors")
    return inputs


def run(keras_python: Path, folder: Path) -> dict[str, object]:
    inputs = write_inputs(folder)
    rows: list[dict[str, object]] = []
    for name in BOUNDS:
        subprocess.run([keras_python, HERE / "reference.py", folder, name], check=True, capture_output=True)
        for part, check in (("CNN", check_cnn), ("GAN", check_gan)):
            keras = load_file(folder / f"{part.lower()}-{name}.safetensors")
            errors = check(inputs, keras, getattr(torch, name))
            rows += [
                {"network": part, "type": name, "what": what, "tensors": len(found), "error": max(found)}
                for what, found in errors.items()
            ]
    facts = json.loads((folder / "facts-float64.json").read_text())
    return {
        "rows": rows,
        "initial_values_standard_errors": check_limits(facts),
        "versions": {
            "keras": facts["keras"], "tensorflow": facts["tensorflow"], "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }  # fmt: skip


def show(found: dict) -> bool:
    """Print the table; whether all is within bounds.

    No bound in float32 where rounding grows without one: at a kink of LeakyReLU it turns a slope from 1 to
    0.3, and Adam makes a full step of a gradient that is rounding noise.
    """
    table: dict[tuple[str, str], dict[str, dict]] = {}
    for row in found["rows"]:
        table.setdefault((row["network"], row["what"]), {})[row["type"]] = row
    good = True
    print(f"{'':5}{'what':50}{'tensors':>8}" + "".join(f"{name:>18}" for name in BOUNDS))
    for (part, what), by_type in table.items():
        cells = []
        for name, bound in BOUNDS.items():
            free = name == "float32" and (what == RELATIVE or "steps" in what)
            within = by_type[name]["error"] <= bound
            good &= within or free
            verdict = "" if free else "ok" if within else "NO"
            cells.append(f"{by_type[name]['error']:12.1e} {verdict:5}")
        print(f"{part:5}{what:50}{by_type['float64']['tensors']:>8}" + "".join(cells))
    print("bounds: " + ", ".join(f"{name} {bound:.0e}" for name, bound in BOUNDS.items()))
    spread = found["initial_values_standard_errors"]
    good &= spread <= 5
    print(f"initial values: all within Glorot's limits, spread off by at most {spread:.1f} standard errors")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--keras-python", type=Path, required=True, help="python with requirements.txt installed"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.keras_python, Path(folder))
    good = show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
