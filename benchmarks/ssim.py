"""Time ``healthgan.ssim.best_match`` against scikit-image's loop, side by side.

Each round times both, one after the other: best_match over all pairs on ``--threads`` threads (one a core), and
scikit-image's ``structural_similarity`` in a loop over a random sample of the same pairs. Load from other
programs so falls on both, and the ratio is taken within the round. Also checked: that the sampled pairs have
the same value. Cold start and peak memory are measured in processes of their own. Runs on Linux.

    python benchmarks/ssim.py                       # 12,000 × 1,950 images of 28×28
    python benchmarks/ssim.py --size 64 --queries 500 --references 500 --pairs 500
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

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from healthgan.ssim import best_match

Pixels = NDArray[np.uint8]


def smooth_images(seed: int, count: int, size: int) -> Pixels:
    """Low-pass noise over the whole range of uint8, (count, size, size)."""
    noise = np.random.default_rng(seed).normal(size=(count, size, size)).astype(np.float32)
    field = gaussian_filter(noise, (0, size / 14, size / 14))
    low, high = field.min(axis=(1, 2), keepdims=True), field.max(axis=(1, 2), keepdims=True)
    return np.uint8(255 * (field - low) / (high - low))


def scikit_image(x: Pixels, y: Pixels, pairs: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Seconds a pair, and the values, of scikit-image's loop on float64 images."""
    queries, references = x.astype(np.float64), y.astype(np.float64)
    values = np.empty(len(pairs))
    start = time.perf_counter()
    for row, (i, j) in enumerate(pairs):
        query = queries[i]
        span = query.max() - query.min()
        values[row] = structural_similarity(query, references[j], data_range=span)
    return (time.perf_counter() - start) / len(pairs), values


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


def extra_mib(queries: int, references: int, size: int, threads: int) -> float:
    """Peak memory of one call beyond what the process held before it (images, libraries, kernel)."""
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
best_match(x[:1], y[:1], threads={threads})
Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
before = kib("VmRSS")
best_match(x, y, threads={threads})
print((kib("VmHWM") - before) / 1024)
"""
    return in_own_process(code)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def spread(values: list[float]) -> dict[str, float]:
    return {"n": len(values), "median": float(np.median(values)), "min": min(values), "max": max(values)}


def compare(options: argparse.Namespace) -> dict[str, object]:
    x = smooth_images(0, options.queries, options.size)
    y = smooth_images(1, options.references, options.size)
    best_match(x[:1], y[:1], threads=options.threads)  # compiles, or loads the compiled code
    rng = np.random.default_rng(2)
    ours, cpu, theirs, ratios, worst = [], [], [], [], 0.0
    for _ in range(options.rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        best_match(x, y, threads=options.threads)
        ours.append((time.perf_counter() - start) / (len(x) * len(y)) * 1e6)
        cpu.append((time.process_time() - start_cpu) / (len(x) * len(y)) * 1e6)
        pairs = rng.integers(0, (len(x), len(y)), (options.pairs, 2))
        seconds, values = scikit_image(x, y, pairs)
        theirs.append(seconds * 1e6)
        ratios.append(theirs[-1] / ours[-1])
        for (i, j), value in zip(pairs[:50], values, strict=False):
            worst = max(worst, abs(float(best_match(x[i : i + 1], y[j : j + 1])[0][0]) - value))
    return {
        "best_match_us_per_pair": spread(ours),
        "best_match_cpu_us_per_pair": spread(cpu),
        "scikit_image_us_per_pair": spread(theirs),
        "times_faster": spread(ratios),
        "largest_difference": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=12_000)
    parser.add_argument("--references", type=int, default=1_950)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of scikit-image's loop, a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()

    load = os.getloadavg()[0]
    result: dict[str, object] = {
        "setting": vars(options),
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "load_before": load},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("healthgan", "numba", "numpy", "scikit-image")},
        **compare(options),
        "first_call_seconds": first_call_seconds(),
        "extra_mib": {
            f"{queries}x{references}": extra_mib(queries, references, options.size, options.threads)
            for queries, references in (
                (options.queries // 10, options.references),
                (options.queries, options.references),
                (options.queries // 10, options.references * 10),
            )
        },
    }
    print(json.dumps(result, indent=2))
    print(f"\n{'':34}{'n':>4}{'median':>12}{'min':>12}{'max':>12}")
    for name, row in result.items():
        if isinstance(row, dict) and "median" in row:
            print(f"{name:34}{row['n']:>4}{row['median']:>12.3f}{row['min']:>12.3f}{row['max']:>12.3f}")


if __name__ == "__main__":
    main()
