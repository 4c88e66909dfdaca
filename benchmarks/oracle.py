"""Does the sound comparison see help where there is help, and none where there is none? On the phantom, end to end.

    python benchmarks/oracle.py [--out runs/oracle] [--jobs N] [--fresh 60] [--seed 0]

Two studies with real training, through the program's own jobs and report. In the first, 50 rare images stay and the
others are held back: the oracle, which trains on them as if they were synthetic, must help; noise, copies and the
real images with other seeds must not. In the second, images of FRESH patients, which no split of the source knows,
are brought as if they were synthetic, and the learning curve has to find how many real images they are worth: FRESH
of them. Resumes where it was stopped.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from healthgan import studies
from healthgan.protocol import load_protocol
from healthgan.protocol_sound import Sound
from healthgan.report import build
from healthgan.report.reading import read_run
from healthgan.report.sound.comparison import examine
from healthgan.report.sound.curve import learning_curve
from healthgan.report.sound.reading import SoundRun
from healthgan.run import Record
from healthgan.sources.phantom import Counts, phantom

KEPT = 50
CURVE = {
    "counts": [25, 50, 100],
    "draws": 5,
    "reference": "real",
    "synthetic": "synthetic-50",
    "seeds": 3,
    "independent": True,
}


def settings(arms: dict[str, list[str]], **changes: object) -> Sound:
    """The default protocol's trainings with other arms."""
    sound = load_protocol("sound")
    assert isinstance(sound, Sound)
    values = sound.model_dump()
    values["arms"] = {"reference": ["real"], "synthetic": [], "control": []} | arms
    values["design"] |= {"kind": "own-test", "reference_seeds": 10, "seeds": 10}
    return Sound.model_validate(values | changes)


def fresh_images(path: Path, count: int, seed: int) -> None:
    """Rare images, each of another patient of a phantom that the study's source is not."""
    images = phantom(seed=seed + 1000, counts={"train": Counts(0, 4 * count)})["train"]
    assert images.patients is not None
    _, first = np.unique(images.patients, return_index=True)
    chosen = np.sort(first)[:count]
    assert len(chosen) == count
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        train_images=images.pixels[chosen],
        train_labels=np.zeros(count, np.int64),
        class_names=np.array(["cardiomegaly"]),
    )


def do(request: studies.Request, out: Path, jobs: int) -> SoundRun:
    prepared = studies.prepare(request)
    started, total = time.time(), len(prepared.jobs)
    done = 0

    def ended(record: Record) -> None:
        nonlocal done
        done += 1
        print(f"{time.time() - started:6.0f} s {done}/{total} {record['key']}", file=sys.stderr, flush=True)

    studies.run(prepared, out, device="cpu", workers=jobs, report=lambda _: None, on_record=ended)
    build(out)
    run = read_run(out)
    assert isinstance(run, SoundRun)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/oracle"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fresh", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    controls = settings(
        {"reference": ["real", "real-again", "classical"], "control": ["noise", "copies", "oracle"]},
        name="oracle-controls",
    )
    request = studies.Request("phantom", controls, rare_count=KEPT, seed=options.seed)
    answers = examine(do(request, options.out / "controls", options.jobs))
    assert answers.main is not None
    print(f"With {KEPT} rare training images, against them alone (AUROC, 95 % interval):")
    for pair in answers.main.pairs:
        if pair.reference == "real":
            print(json.dumps(asdict(pair), default=str))
    file = options.out / "fresh.npz"
    if not file.exists():
        fresh_images(file, options.fresh, options.seed)
    curve = settings({"synthetic": ["synthetic-50"]}, name="oracle-curve", curve=CURVE)
    request = studies.Request("phantom", curve, seed=options.seed, synthetic=str(file))
    found = learning_curve(do(request, options.out / "curve", options.jobs))
    assert found is not None
    print(f"{options.fresh} fresh patients were worth (real rare images, 95 % interval):")
    for rate in (
        rate for rate in found.rates["real"] if rate.beyond
    ):  # at its end the curve can tell no number
        print(f"at {rate.count}: {rate.words(rate.more)} ({rate.words(rate.low)} to {rate.words(rate.high)})")


if __name__ == "__main__":
    main()
