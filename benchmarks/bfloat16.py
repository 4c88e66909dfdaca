"""Whether a generator trained in bfloat16 is another one than in float32, and how much sooner it is there.

    python benchmarks/bfloat16.py SOURCE --rare CLASS [--rare-count N] [--steps 800] [--seeds 2] [--json FILE]

Each seed trains twice on the training split, in turn, on one thread: same start, same batches, same noise. Printed
are the losses on the held-out patient fold of the training split, how far the two types lie apart, how far two seeds
do, and processor seconds. Where the processor has no bfloat16 the program trains in float32 and this says so.
"""

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from healthgan.executors import keep_freed_memory
from healthgan.generators.diffusion import Settings, trains_in
from healthgan.generators.fit_diffusion import fit_diffusion
from healthgan.sources import load
from healthgan.task import Task, make_task

CPU = torch.device("cpu")


def losses(task: Task, settings: Settings, seed: int) -> tuple[list[float], float]:
    """Held-out loss at each check, and processor seconds."""
    members = [task.references["train"], task.rares["train"]]
    started = time.process_time()
    trained = fit_diffusion(
        np.concatenate([one.pixels for one in members]),
        np.repeat(np.arange(2), [len(one) for one in members]),
        np.concatenate([one.patient for one in members]),
        settings=settings,
        seed=seed,
        device=CPU,
    )
    return [check.heldout for check in trained.checks], time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--rare")
    parser.add_argument("--rare-count", type=int)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = Settings(steps=options.steps, checks=4)
    if trains_in(settings, CPU) != torch.bfloat16:
        raise SystemExit("This processor has no bfloat16: the generator trains in float32 here.")
    torch.set_num_threads(1)
    keep_freed_memory()
    task = make_task(
        load(options.source, seed=0),
        rare=options.rare,
        reference=None,
        rare_count=options.rare_count,
        order="first",
        seed=0,
    )
    found: dict[str, list[list[float]]] = {"float32": [], "bfloat16": []}
    seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    print("| seed | type | held-out losses | processor seconds |\n|---|---|---|---|")
    for seed in range(options.seeds):
        for name in found:
            values, spent = losses(task, replace(settings, bfloat16=name == "bfloat16"), seed)
            found[name].append(values)
            seconds[name].append(spent)
            print(
                f"| {seed} | {name} | {', '.join(f'{value:.5f}' for value in values)} | {spent:.0f} |",
                flush=True,
            )
    single, half = np.array(found["float32"]), np.array(found["bfloat16"])
    facts = {
        "types_apart": float(np.max(np.abs(half / single - 1))),
        "seeds_apart": float(np.max(np.ptp(single, axis=0) / single.min(axis=0))),
        "times_faster": [a / b for a, b in zip(seconds["float32"], seconds["bfloat16"], strict=True)],
        "steps": options.steps,
        "heldout": found,
        "seconds": seconds,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
    }
    print(
        f"\nTypes apart by at most {facts['types_apart']:.2%}, seeds by {facts['seeds_apart']:.1%}; bfloat16 "
        f"{np.median(facts['times_faster']):.2f} times as fast ({min(facts['times_faster']):.2f} to "
        f"{max(facts['times_faster']):.2f}, n = {options.seeds})."
    )
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
