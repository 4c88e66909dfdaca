"""What one GPU does for the published study: one command, under 8 minutes, correctness first.

    python benchmarks/gpu.py [--out FILE] [--limit SECONDS]    # from the sources; no installation is needed
    python benchmarks/gpu.py --device cpu --small              # the same program in small, without a GPU

First each kind of training and the likeness search are held against the CPU; what does not agree is not timed, and the
exit code is 1. Then: what the device can do at all (matrix products, a copy); 270 classifiers together and a sample of
them one after the other; likeness of 12,000 × 1,950; the whole published protocol at ChestMNIST's size, which says how
far it came where the limit ends it; and several generators together. TF32 is as PyTorch has it unless said otherwise: on
in convolutions, off in matrix products but for likeness, where it is exact. The JSON is written anew as each part ends.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # from the sources, where it is not installed

import numpy as np
import torch

import gpu_checks
from gpu_bench import Bench, EnoughError, Phantoms
from gpu_paper import SMALL, Sizes, paper
from gpu_parts import ceilings, classifiers, likeness, precision, several_diffusions, several_generators
from healthgan.classifiers import recording

Part = Callable[[], dict[str, Any]]
CHECKS = {
    "chains": gpu_checks.chains,
    "generators": gpu_checks.generators,
    "diffusion": gpu_checks.diffusion,
    "likeness": gpu_checks.likeness,
}


def versions(device: torch.device) -> dict[str, Any]:
    """Of what computes."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {"torch": torch.__version__, "numpy": np.__version__},
        "system": platform.platform(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": None,
    }
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": facts.name,
            "gpu_memory_bytes": facts.total_memory,
            "gpu_multiprocessors": facts.multi_processor_count,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="small inputs, to try this program itself")
    parser.add_argument("--limit", type=float, default=450.0, help="seconds after which the last part ends")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "There is no CUDA device that PyTorch can use here: nothing is timed. Run this on a machine with one, or try it "
            "with --device cpu --small."
        )
    return options


def main() -> int:
    """Run all parts; the exit code."""
    options = asked()
    sizes = SMALL if options.small else Sizes()
    phantoms = Phantoms(*sizes.images)  # forked before CUDA is in use
    torch.set_num_threads(1)
    bench = Bench(torch.device(options.device), options.small, options.limit)
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "small": options.small,
        "limit": options.limit,
        **versions(bench.device),
        "checks": {},
        "parts": {},
    }
    checks = (
        CHECKS if options.small else CHECKS | {"recipes": gpu_checks.recipes}
    )  # the tests hold these on a CPU
    with precision(matmul=False, convolutions=False):
        for name, check in checks.items():
            tried(found["checks"], name, lambda check=check: check(bench.device), options.out, found)
    images: list[Any] = []

    def taken() -> dict[str, Any]:
        images.extend(phantoms.taken())
        return {"rare": len(images[0]), "normal": len(images[1])}

    parts: list[tuple[str, Part, tuple[str, ...]]] = [
        ("ceilings", lambda: ceilings(bench), ()),
        ("likeness", lambda: likeness(bench), ("likeness",)),
        ("phantom images", taken, ()),
        ("classifiers", lambda: classifiers(bench, *images), ("chains",)),
        ("paper", lambda: paper(bench, sizes, *images), ("chains", "generators", "likeness")),
        ("generators", lambda: several_generators(bench, images[0]), ("generators",)),
        ("diffusion", lambda: several_diffusions(bench, *images), ("diffusion",)),
    ]
    for name, part, needs in parts:
        wrong = [need for need in needs if "error" in found["checks"][need]]
        if wrong:
            found["parts"][name] = {"error": f"not timed: the check of {', '.join(wrong)} failed"}
            continue
        tried(found["parts"], name, part, options.out, found)
    found["shares"] = shares(found["parts"])
    found["seconds_in_all"] = time.perf_counter() - bench.started
    write(options.out, found)
    return int(any("error" in entry for entry in (*found["checks"].values(), *found["parts"].values())))


def tried(into: dict[str, Any], name: str, part: Part, out: Path, found: dict[str, Any]) -> None:
    """Do a part, note what it found or how it failed, tell and write it.

    Where one fails with recorded steps on a CUDA device and does not without, all that follow go on without, and that is noted.
    """
    begun = time.perf_counter()
    into[name] = attempted(part)
    if "traceback" in into[name] and torch.cuda.is_available() and recording.GRAPHS:
        recording.GRAPHS, failed = False, into[name]
        into[name] = attempted(part)
        if "traceback" in into[name]:
            recording.GRAPHS = True
        else:
            found["recorded_steps_failed"] = {"in": name, **failed}
    into[name]["part_seconds"] = time.perf_counter() - begun
    print(f"{name}: {json.dumps(into[name], default=str)[:1500]}", flush=True)
    write(out, found)


def attempted(part: Part) -> dict[str, Any]:
    """What a part found, or how it failed."""
    try:
        return part()
    except EnoughError:
        return {"error": "the limit came before its end"}
    except Exception as error:  # noqa: BLE001 - the other parts are worth having
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def write(out: Path, found: dict[str, Any]) -> None:
    """The JSON as it is so far."""
    out.write_text(json.dumps(found, indent=1) + "\n")


def shares(parts: dict[str, Any]) -> dict[str, float]:
    """Of what a float32 product of large matrices reaches."""
    try:
        peak = parts["ceilings"]["float32_operations_a_second"]["median"]
    except KeyError:
        return {}
    rates = {
        "270 classifiers": parts["classifiers"].get("together", {}).get("graph", {}),
        "likeness": parts["likeness"],
        "paper's classifiers": parts["paper"],
        **{
            f"{count} generators": entry
            for count, entry in parts["generators"].get("seconds_of_a_step", {}).items()
        },
    }
    return {
        name: rate["operations_a_second"] / peak
        for name, rate in rates.items()
        if "operations_a_second" in rate
    }


if __name__ == "__main__":
    sys.exit(main())
