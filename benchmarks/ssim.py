"""Time ``healthgan.ssim.best_match`` against scikit-image's loop, side by side, and how its cost grows.

Each round times both, one after the other: best_match over all pairs on ``--threads`` threads (one a core), and
scikit-image's ``structural_similarity`` in a loop over a random sample of the same pairs. Load from other
programs so falls on both, and the ratio is taken within the round; the ratio of processor times is that of one
thread to one thread and depends less on them. Also checked: that the sampled pairs have
the same value. How much best_match can leave out depends on the images, so it is timed on three kinds: low-pass
noise (the figure to quote: it was chosen before anything was left out), chests of the phantom, and noise, where hardly
anything can be left out. Cold start and peak memory are measured in processes of their own. Runs on Linux.

    python benchmarks/ssim.py                       # 12,000 × 1,950 images of 28×28
    python benchmarks/ssim.py --size 64 --queries 500 --references 500 --pairs 500
    python benchmarks/ssim.py --device cuda         # on a GPU; scikit-image beside it on the CPU
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import linregress
from skimage.metrics import structural_similarity

from healthgan.sources.phantom import Counts, phantom_images
from healthgan.ssim import best_match

Pixels = NDArray[np.uint8]


def smooth_images(seed: int, count: int, size: int) -> Pixels:
    """Low-pass noise over the whole range of uint8, (count, size, size)."""
    noise = np.random.default_rng(seed).normal(size=(count, size, size)).astype(np.float32)
    field = gaussian_filter(noise, (0, size / 14, size / 14))
    low, high = field.min(axis=(1, 2), keepdims=True), field.max(axis=(1, 2), keepdims=True)
    return np.uint8(255 * (field - low) / (high - low))


def chests(seed: int, count: int, size: int) -> Pixels:
    """The phantom's cardiomegaly images, those of other patients for another seed."""
    return phantom_images(Counts(0, count), size=size, seed=seed).pixels[..., 0]


def noise_images(seed: int, count: int, size: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def scikit_image(x: Pixels, y: Pixels, pairs: NDArray[np.int64]) -> tuple[float, float, NDArray[np.float64]]:
    """Seconds a pair, the processor's, and the values, of scikit-image's loop on float64 images."""
    queries, references = x.astype(np.float64), y.astype(np.float64)
    values = np.empty(len(pairs))
    start, start_cpu = time.perf_counter(), time.process_time()
    for row, (i, j) in enumerate(pairs):
        query = queries[i]
        span = query.max() - query.min()
        values[row] = structural_similarity(query, references[j], data_range=span)
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return wall / len(pairs), cpu / len(pairs), values


def in_own_process(code: str, **environment: str) -> float:
    """The number that ``code`` prints, run by a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    return float(done.stdout)


def first_call_seconds() -> dict[str, float]:
    """Importing and calling best_match once, with an empty and with a filled compiler cache."""
    code = (
        "import time; s = time.perf_counter(); import numpy as np; from healthgan.ssim import best_match\n"
        "x = np.eye(7, dtype=np.uint8)[None]; best_match(x, x); print(time.perf_counter() - s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        cold = in_own_process(code, NUMBA_CACHE_DIR=folder)
        return {"cold": cold, "cached": in_own_process(code, NUMBA_CACHE_DIR=folder)}


def memory_mib(queries: int, references: int, size: int, threads: int | None) -> dict[str, float]:
    """Peak memory of one call beyond what the process held before it (images, libraries, kernel), and in all."""
    code = f"""
import numpy as np
from pathlib import Path
from healthgan.ssim import best_match

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

rng = np.random.default_rng(0)
x = rng.integers(0, 256, ({queries}, {size}, {size}), dtype=np.uint8)
y = rng.integers(0, 256, ({references}, {size}, {size}), dtype=np.uint8)
best_match(x[:1], y[:1], threads={threads}, device="cpu")
Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
before = kib("VmRSS")
best_match(x, y, threads={threads}, device="cpu")
print(PRINTED)
"""
    return {
        "beyond_the_images": in_own_process(code.replace("PRINTED", "(kib('VmHWM') - before) / 1024")),
        "in_all": in_own_process(code.replace("PRINTED", "kib('VmHWM') / 1024")),
    }


def seconds(x: Pixels, y: Pixels, options: argparse.Namespace) -> tuple[float, float]:
    """Wall time and processor time of one call."""
    start, start_cpu = time.perf_counter(), time.process_time()
    best_match(x, y, threads=options.threads, device=options.device)
    return time.perf_counter() - start, time.process_time() - start_cpu


def exponent(
    jobs: list[tuple[float, Pixels, Pixels]], options: argparse.Namespace
) -> dict[str, float | list[float]]:
    """Fit b in seconds ~ amount^b over (amount, queries, references), by least squares in logarithms.

    On the CPU seconds are the processor's, which other programs disturb less.
    """
    amounts: list[float] = []
    times: list[float] = []
    for _ in range(options.rounds):
        for amount, x, y in jobs:
            wall, cpu = seconds(x, y, options)
            amounts.append(amount)
            times.append(wall if options.device == "cuda" else cpu)
    line = linregress(np.log(amounts), np.log(times))
    return {
        "exponent": float(line.slope),
        "standard_error": float(line.stderr),
        "n": len(times),
        "amounts": amounts,
        "seconds": times,
    }


def growth(options: argparse.Namespace) -> dict[str, dict[str, float | list[float]]]:
    """How time grows with queries, with references and with the windows of an image."""
    x, y = smooth_images(3, 8000, 28), smooth_images(4, 8000, 28)
    doubled = (1000, 2000, 4000, 8000)
    sizes = {size: (smooth_images(5, 512, size), smooth_images(6, 256, size)) for size in (28, 64, 128)}
    return {
        "queries": exponent([(n, x[:n], y[:1000]) for n in doubled], options),
        "references": exponent([(n, x[:1000], y[:n]) for n in doubled], options),
        "windows": exponent([((size - 6) ** 2, *images) for size, images in sizes.items()], options),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def spread(values: list[float]) -> dict[str, float]:
    return {"n": len(values), "median": float(np.median(values)), "min": min(values), "max": max(values)}


def compare(x: Pixels, y: Pixels, options: argparse.Namespace) -> dict[str, object]:
    """Both programs on the same images, ``options.rounds`` times."""
    seconds(x[:1], y[:1], options)  # compiles, or loads the compiled code
    rng = np.random.default_rng(2)
    walls, ours, cpu, theirs, theirs_cpu, worst = [], [], [], [], [], 0.0
    for _ in range(options.rounds):
        wall, used = seconds(x, y, options)
        walls.append(wall)
        ours.append(wall / (len(x) * len(y)) * 1e6)
        cpu.append(used / (len(x) * len(y)) * 1e6)
        pairs = rng.integers(0, (len(x), len(y)), (options.pairs, 2))
        each, each_cpu, values = scikit_image(x, y, pairs)
        theirs.append(each * 1e6)
        theirs_cpu.append(each_cpu * 1e6)
        for (i, j), value in zip(pairs[:50], values, strict=False):
            score, _ = best_match(x[i : i + 1], y[j : j + 1], device=options.device)
            worst = max(worst, abs(float(score[0]) - value))
    return {
        "seconds": spread(walls),
        "best_match_us_per_pair": spread(ours),
        "best_match_cpu_us_per_pair": spread(cpu),
        "scikit_image_us_per_pair": spread(theirs),
        "scikit_image_cpu_us_per_pair": spread(theirs_cpu),
        "times_faster": spread([slow / fast for slow, fast in zip(theirs, ours, strict=True)]),
        "times_less_cpu": spread([slow / fast for slow, fast in zip(theirs_cpu, cpu, strict=True)]),
        "largest_difference": worst,
    }


def hardware(options: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }
    if options.device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=12_000)
    parser.add_argument("--references", type=int, default=1_950)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of scikit-image's loop, a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()

    count, references, size = options.queries, options.references, options.size
    result: dict[str, Any] = {
        "setting": {name: value for name, value in vars(options).items() if name != "json"},
        "hardware": hardware(options),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("healthgan", "numba", "numpy", "scikit-image", "torch")},
        **compare(smooth_images(0, count, size), smooth_images(1, references, size), options),
        "phantom": compare(chests(0, count, size), chests(1, references, size), options),
        "noise": compare(noise_images(0, count, size), noise_images(1, references, size), options),
        "growth": growth(options),
        "first_call_seconds": first_call_seconds(),
        "memory_mib": {
            f"{n}x{m}": memory_mib(n, m, size, options.threads)
            for n, m in ((count // 10, references), (count, references), (count // 10, references * 10))
        },
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    for name, found in result["growth"].items():
        print(
            f"{name}: seconds ~ amount^{found['exponent']:.3f} ± {found['standard_error']:.3f} (n = {found['n']})"
        )
    print(
        json.dumps(
            {name: result[name] for name in ("hardware", "versions", "first_call_seconds", "memory_mib")}
        )
    )
    print(f"\n{'':42}{'n':>4}{'median':>12}{'min':>12}{'max':>12}")
    rows = [("low-pass noise", result), ("phantom", result["phantom"]), ("noise", result["noise"])]
    for kind, found in rows:
        assert isinstance(found, dict)
        for name, row in found.items():
            if isinstance(row, dict) and "median" in row:
                numbers = f"{row['n']:>4}{row['median']:>12.3f}{row['min']:>12.3f}{row['max']:>12.3f}"
                print(f"{kind + ', ' + name:42}{numbers}")


if __name__ == "__main__":
    main()
