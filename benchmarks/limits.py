"""How near training comes to what the processor and its memory can do at all: the points of a roofline.

    python benchmarks/limits.py [--rounds 9] [--json FILE]

On one thread, in turn, round after round: a product of two large float32 matrices (the peak), a copy of an array far
larger than any cache (the bandwidth; bytes read and bytes written), and steps of the study's CNN, of the study's GAN and
of the default generator. Rates are of processor seconds. Operations are those of the products that the layers define,
forward and backward, as PyTorch counts them; ours leaves some out and does not count them twice. Bytes are the fewest that
a step must move were nothing kept in a cache: every layer's output written and read forward and backward, with its
gradient (5 times), and every weight with its gradient and Adam's two moments (8 times).
(Williams, Waterman and Patterson: Roofline, Communications of the ACM 52(4):65, 2009.)
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent / "keras"))

from speed import BATCH, SIDE, multiply, operations, train_cnn, train_gan

from batched import versions
from growth import denoised
from healthgan.classifiers.fit import Recipe, new_classifier
from healthgan.executors import keep_freed_memory
from healthgan.generators import dcgan_state, fit_dcgan
from healthgan.generators.unet import UNet

CPU = torch.device("cpu")
COPIED = 1 << 28
"""Bytes of the array that is copied."""
OUTPUTS, WEIGHTS = 5, 8
"""How often a step moves every number of a layer's output, and every weight."""


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        name: in words.
        run: does it once.
        operations: of one run; 0 where only bytes matter.
        bytes: that one run moves; 0 where only operations matter.
    """

    name: str
    run: Callable[[], object]
    operations: float
    bytes: float


def least_bytes(networks: list[nn.Module], run: Callable[[], object]) -> float:
    """The fewest bytes of a step, from the outputs that ``run`` makes the networks' innermost layers give, in float32."""
    outputs = 0
    inner = [one for network in networks for one in network.modules() if not list(one.children())]

    def count(_: nn.Module, __: object, output: torch.Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    hooks = [one.register_forward_hook(count) for one in inner]
    run()
    for hook in hooks:
        hook.remove()
    weights = sum(one.numel() for network in networks for one in network.parameters())
    return 4.0 * (OUTPUTS * outputs + WEIGHTS * weights)


def works() -> list[Work]:
    """The limits and what is held against them."""
    source, target = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    cnn = new_classifier((28, 28), 1, Recipe(False, 1e-3, BATCH), 0, CPU).network.double()
    images = torch.rand(BATCH, 1, 28, 28, dtype=torch.float64)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 28, 28, 1), dtype=np.uint8)
    state, pool = dcgan_state.start(pixels, "dcgan-2023", 1e-4, 0, CPU), torch.from_numpy(pixels)
    gan = [state.generator, state.discriminator]
    unet = UNet((28, 28), 1, 2, 48, torch.Generator().manual_seed(0))
    noisy = (
        torch.rand(16, 1, 28, 28),
        torch.rand(16),
        torch.zeros(16, dtype=torch.int64),
    )  # as many as in ``denoised``
    step = denoised(28)
    cnn_steps, gan_steps = 64, 1
    return [
        Work("matrix product", multiply(4), 4 * operations("product"), 0),
        Work("copy", lambda: np.copyto(target, source), 0, 2.0 * COPIED),
        Work(
            "the study's CNN",
            train_cnn(cnn_steps * BATCH),
            cnn_steps * BATCH * operations("cnn"),
            cnn_steps * least_bytes([cnn], lambda: cnn(images)),
        ),
        Work(
            "the study's GAN",
            train_gan(gan_steps),
            operations("gan"),
            least_bytes(gan, lambda: fit_dcgan._epoch(state, pool, BATCH, lambda: False)),
        ),
        Work("the default generator", step, counted(step), least_bytes([unet], lambda: unet(*noisy))),
    ]


def counted(step: Callable[[], object]) -> float:
    """Operations of products as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    everything = works()
    seconds: dict[str, list[float]] = {work.name: [] for work in everything}
    for work in everything:
        work.run()
    for _ in range(options.rounds):
        for work in everything:
            started = time.process_time()
            work.run()
            seconds[work.name].append(time.process_time() - started)
    found = {
        "date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], **versions(), "side": SIDE, "batch": BATCH,
        "works": {
            work.name: {"seconds": seconds[work.name], "operations": work.operations, "bytes": work.bytes}
            for work in everything
        },
    }  # fmt: skip
    print(f"{found['processor']}, load {found['load']:.1f}, one thread, n = {options.rounds}")
    print("| what | GFLOP/s: median (range) | GB/s: median (range) | operations a byte |\n|---|---|---|---|")
    for work in everything:
        rates = [
            _rate(amount, seconds[work.name]) if amount else "" for amount in (work.operations, work.bytes)
        ]
        intensity = f"{work.operations / work.bytes:.1f}" if work.operations and work.bytes else ""
        print(f"| {work.name} | {rates[0]} | {rates[1]} | {intensity} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _rate(amount: float, seconds: list[float]) -> str:
    rates = amount / np.array(seconds) / 1e9
    return f"{np.median(rates):.1f} ({rates.min():.1f}–{rates.max():.1f})"


if __name__ == "__main__":
    main()
