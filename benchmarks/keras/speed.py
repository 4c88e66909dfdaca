"""Training speed of the study's networks, Keras and here, side by side.

    python benchmarks/keras/speed.py --keras-python keras-venv/bin/python [--rounds 7] [--json FILE]

Runs in the project's environment; Keras runs in its own. Every worker is a process that stays loaded and
trains one block when told to. In each round all variants take their turn, in an order that rotates, so what
else the machine does falls on all alike; ratios are taken within rounds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from healthgan.classifiers.fit import Recipe, fit, new_classifier
from healthgan.executors import keep_freed_memory
from healthgan.generators import dcgan_state, fit_dcgan

HERE = Path(__file__).parent
CPU = torch.device("cpu")
BATCH = 32
SIZES = {"cnn": 4096, "gan": 2, "product": 8}
UNITS = {"cnn": "images/s", "gan": "steps/s"}
TARGETS = {"cnn": 4.0, "gan": 2.0}
SIDE = 1024
PRODUCT = "matrix products, 2 processes × 1 thread"
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
PAIRS = (
    ("ours, 2 processes × 1 thread", "Keras, its own threads"),
    ("ours, 2 processes × 1 thread", "Keras, 2 processes × 1 thread"),
    ("ours, 1 thread", "Keras, 1 thread"),
    ("ours, 1 thread", "ours, 1 thread, memory handed back"),
)


def train_cnn(images: int) -> Callable[[], object]:
    """Build the CNN; the returned function trains it for one epoch."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(0, 2, images)
    classifier = new_classifier((28, 28), 1, Recipe(False, 1e-3, BATCH), 0, CPU)
    return lambda: fit(classifier, pixels, labels, 1, lambda _: None)


def train_gan(steps: int) -> Callable[[], object]:
    """Build the GAN; the returned function trains it for some steps."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (steps * BATCH, 28, 28, 1), dtype=np.uint8)
    state = dcgan_state.start(images, "dcgan-2023", 1e-4, 0, CPU)
    pool = torch.from_numpy(images)
    return lambda: fit_dcgan._epoch(state, pool, BATCH, lambda: False)


def multiply(count: int) -> Callable[[], object]:
    """Build two matrices; the returned function multiplies them some times."""
    a, b = torch.rand(2, SIDE, SIDE)
    return lambda: [a @ b for _ in range(count)]


def operations(what: str) -> float:
    """Floating-point operations of a unit of work as PyTorch counts them: of dense products, forward and backward.

    Ours leaves some out (a convolution's gradients where max-pooling passes none on), and does not count them twice.
    """
    if what == "product":
        return 2.0 * SIDE**3
    with FlopCounterMode(display=False) as counter:
        if what == "cnn":  # in float64: layer by layer, as PyTorch has them
            classifier = new_classifier((28, 28), 1, Recipe(False, 1e-3, BATCH), 0, CPU)
            network = classifier.network.double()
            logits = network(torch.rand(BATCH, 1, 28, 28, dtype=torch.float64))
            F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()
            return counter.get_total_flops() / BATCH
        train_gan(1)()
        return float(counter.get_total_flops())


def work(what: str, size: int, memory: str) -> None:
    """Our worker: one block of training, or of matrix products, for every line on stdin."""
    torch.set_num_threads(1)
    if memory == "keep":
        keep_freed_memory()  # as a study's workers do
    block = {"cnn": train_cnn, "gan": train_gan, "product": multiply}[what](size)
    block()
    print(f"ready torch {torch.__version__}", flush=True)
    for _ in sys.stdin:
        start, used = time.perf_counter(), time.process_time()
        block()
        print(time.perf_counter() - start, time.process_time() - used, flush=True)


class Worker:
    """A process that trains a block when told to."""

    def __init__(self, command: list[str | Path], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.tell, self.answers = self.process.stdin, self.process.stdout

    def version(self) -> str:
        """Wait until it has built and warmed up; what it runs on."""
        line = self.answers.readline()
        assert line.startswith("ready "), f"a worker ended: {self.process.args}"
        return line.removeprefix("ready ").strip()

    def start(self) -> None:
        """Begin a block."""
        self.tell.write("go\n")
        self.tell.flush()

    def seconds(self) -> tuple[float, float]:
        """Wait for the block's end; what it took, and what all its threads took of the processor."""
        taken, used = self.answers.readline().split()
        return float(taken), float(used)


def measure(what: str, keras_python: Path, rounds: int) -> dict[str, object]:
    """Rates of all variants in every round: units of work a second, over all processes of a variant.

    Beside them the work a second of processor time, which what else the machine does hardly touches.
    """
    size = str(SIZES[what])
    theirs: list[str | Path] = [keras_python, HERE / "speed_keras.py", what, size]
    ours: list[str | Path] = [sys.executable, __file__, "--worker", what, size]
    ours_workers = [Worker([*ours, "keep"], {}) for _ in range(2)]
    hands_back = Worker([*ours, "hand back"], {})
    single = [Worker(theirs, ONE_THREAD) for _ in range(2)]
    default = Worker(theirs, {})
    product: list[str | Path] = [
        sys.executable,
        __file__,
        "--worker",
        "product",
        str(SIZES["product"]),
        "keep",
    ]
    products = [Worker(product, {}) for _ in range(2)]
    everyone = [*ours_workers, hands_back, *single, default, *products]
    versions = sorted({worker.version() for worker in everyone})
    variants = {
        "Keras, its own threads": [default],
        "ours, 2 processes × 1 thread": ours_workers,
        "Keras, 2 processes × 1 thread": single,
        "ours, 1 thread": ours_workers[:1],
        "ours, 1 thread, memory handed back": [hands_back],
        "Keras, 1 thread": single[:1],
        PRODUCT: products,
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    efficiency: dict[str, list[float]] = {name: [] for name in variants}
    loads = []
    for turn in range(rounds):
        names = list(variants)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for worker in variants[name]:
                worker.start()
            times = [worker.seconds() for worker in variants[name]]
            units = SIZES["product" if name == PRODUCT else what]
            rates[name].append(sum(units / taken for taken, _ in times))
            efficiency[name].append(len(times) * units / sum(used for _, used in times))
        loads.append(os.getloadavg()[0])
    for worker in everyone:
        worker.tell.close()
        worker.process.wait()
    return {
        "what": what, "unit": UNITS[what], "versions": versions, "load": loads,
        "rates": rates, "rates_a_processor_second": efficiency,
        "operations": {name: operations(name) for name in (what, "product")},
    }  # fmt: skip


def show(found: dict) -> bool:
    """Print rates and ratios; whether the target is met."""
    rates, rounds = found["rates"], len(found["load"])
    print(
        f"\n{found['what'].upper()}, batch {BATCH}, 28×28, n = {rounds} rounds; {'; '.join(found['versions'])}"
    )
    print(f"1-minute load average {min(found['load']):.1f}–{max(found['load']):.1f}")
    print(f"{found['unit']:62}{'median':>9}   {'min–max':18}a processor second")
    for name, values in rates.items():
        if name == PRODUCT:
            continue
        spread = f"{min(values):.4g}–{max(values):.4g}"
        alone = statistics.median(found["rates_a_processor_second"][name])
        print(f"{name:62}{statistics.median(values):9.4g}   {spread:18}{alone:.4g}")
    found["ratios"] = {}
    for first, second in PAIRS:
        values = [a / b for a, b in zip(rates[first], rates[second], strict=True)]
        found["ratios"][f"{first} / {second}"] = values
        name = f"{first} / {second}"
        print(f"{name:62}{statistics.median(values):9.3g}   {min(values):.3g}–{max(values):.3g}")
    limit = [rate * found["operations"]["product"] / 1e9 for rate in rates.pop(PRODUCT)]
    print(f"{PRODUCT}: {statistics.median(limit):.0f} GFLOP/s ({min(limit):.0f}–{max(limit):.0f})")
    each = found["operations"][found["what"]] / 1e9
    for name in ("ours, 2 processes × 1 thread", "Keras, its own threads", "Keras, 2 processes × 1 thread"):
        shares = [100 * rate * each / most for rate, most in zip(rates[name], limit, strict=True)]
        print(f"{name}: {statistics.median(shares):.0f} % of it ({min(shares):.0f}–{max(shares):.0f})")
    found["limit_gflops"] = limit
    target, reached = TARGETS[found["what"]], statistics.median(found["ratios"][" / ".join(PAIRS[0])])
    print(f"target {target} against Keras's own threads: {'met' if reached >= target else 'missed'}")
    return reached >= target


def processor() -> str:
    """The processor's name and the cores that may be used."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(os.sched_getaffinity(0))} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras-python", type=Path, help="python with requirements.txt installed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=UNITS, help="one of the two")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--worker", nargs=3, metavar=("WHAT", "SIZE", "MEMORY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], int(options.worker[1]), options.worker[2])
        return
    if not options.keras_python:
        parser.error("--keras-python is needed: see README.md")
    print(f"{processor()}; Python {platform.python_version()}")
    chosen = [options.only] if options.only else list(UNITS)
    results = [measure(what, options.keras_python, options.rounds) for what in chosen]
    met = [show(found) for found in results]
    if options.json:
        facts = {"processor": processor(), "date": time.strftime("%Y-%m-%d"), "results": results}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
