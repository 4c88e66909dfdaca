"""Dropout masks: PyTorch's draws on a CPU beside the same bits drawn here (healthgan.dropout_masks), one thread.

    python benchmarks/masks.py [--rounds 30] [--json FILE]

In turn, round after round: the masks of a step of the study's discriminator (64 images), and of 1,024 steps of its
classifier. Processor seconds; the ratio is taken within rounds.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from batched import versions
from healthgan.dropout_masks import _our_rows, _pytorch_rows, like_pytorch

WORKS = {"a step of the discriminator": (64, 6496, 0.7), "1,024 steps of the classifier": (1024, 2048, 0.5)}
"""Rows, values of a row, share that is kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not like_pytorch():
        raise SystemExit("The PyTorch that is installed draws masks otherwise; nothing is timed.")
    found: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], **versions()}
    print(f"{found['processor']}, load {found['load']:.1f}, PyTorch {found['packages']['torch']}")
    print("| masks | PyTorch, ms | here, ms | times as fast: median (range), n |\n|---|---|---|---|")
    for name, (rows, values, keep) in WORKS.items():
        out, counts = np.zeros((rows, values), np.uint8), np.full(rows, values)
        generator = torch.Generator().manual_seed(0)
        seconds: dict[str, list[float]] = {"pytorch": [], "here": []}
        for _ in range(options.rounds + 1):
            for way, draw in (("pytorch", _pytorch_rows), ("here", _our_rows)):
                started = time.process_time()
                draw(generator, keep, out, counts)
                seconds[way].append(time.process_time() - started)
        theirs, ours = (np.array(several[1:]) for several in seconds.values())  # the first warms up
        ratio = theirs / ours
        found[name] = {"seconds": {way: several[1:] for way, several in seconds.items()}}
        print(
            f"| {name} | {1e3 * np.median(theirs):.2f} | {1e3 * np.median(ours):.2f} | "
            f"{np.median(ratio):.1f} ({ratio.min():.1f} to {ratio.max():.1f}), {len(ratio)} |"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
