"""Studies one after another in one process: its memory and open files must stay where they are.

    python benchmarks/soak.py --seconds 1800
    python benchmarks/soak.py --seconds 1800 --forked    # several times as many studies on a busy machine

With ``--forked`` workers are forked from this process, which has the libraries loaded, where the program's server loads them first. Two small studies take turns, each from its source to its report and read back, in a new folder that is removed after. After
each, garbage is collected and the process looked at. The first ``WARM`` of each load libraries and fill caches and don't
count. The rule, set before anything was measured: the process has grown if

- the memory that it holds rises by more than ``MOST`` MiB a study by the upper end of the 95 % interval of the slope (least
  squares; 400 studies then stay within 100 MiB), or
- more files, threads or child processes are open after any study than were after the last that doesn't count, or
- a file is left where temporary ones go, a folder of this process's own.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["OMP_NUM_THREADS"] = "1"

from small_studies import STUDIES, fork_workers, request, small_generator, warm, write_inputs

if __name__ == "__mp_main__":  # a worker of a study
    small_generator()

WARM = 3
MOST = 0.25


@dataclass(frozen=True)
class State:
    """Of this process after a study.

    Attributes:
        study: which.
        seconds: since the first began.
        memory: resident, MiB.
        files: open.
        threads: of this process.
        children: processes that it started and that are there.
        temporary: files in its own folder for them.
    """

    study: str
    seconds: float
    memory: float
    files: int
    threads: int
    children: int
    temporary: int


def states(root: Path, seconds: float, *, forked: bool) -> Iterator[State]:
    """The states after one study after the other, for so long."""
    from healthgan import studies
    from healthgan.report import build
    from healthgan.report.tables import summary

    write_inputs(root)
    if forked:
        for study in STUDIES:
            warm(root, study)
        fork_workers()
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        study = STUDIES[number % len(STUDIES)]
        number += 1
        with tempfile.TemporaryDirectory(dir=root) as place:  # not in the folder that is looked at
            run = studies.run(
                studies.prepare(request(root, study)),
                Path(place) / "run",
                device="cpu",
                workers=1,
                report=lambda _: None,
                on_record=lambda _: None,
            )
            build(run)
            summary(run)
        gc.collect()
        yield now(study, time.monotonic() - began)


def now(study: str, seconds: float) -> State:
    """As Linux tells it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = _count("/proc/self/task")
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return State(
        study,
        round(seconds, 1),
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        _count("/proc/self/fd"),
        threads,
        len(children),
        _count(tempfile.gettempdir()),
    )


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def slope(values: list[float]) -> tuple[float, float, float]:
    """What is added from one to the next by least squares, with its 95 % interval."""
    from scipy import stats

    found = stats.linregress(np.arange(len(values)), values)
    half = float(stats.t.ppf(0.975, len(values) - 2) * found.stderr)
    return float(found.slope), float(found.slope) - half, float(found.slope) + half


def faults_of(found: list[State]) -> list[str]:
    """What has grown; empty where nothing has. The first ones don't count."""
    last, rest = found[WARM * len(STUDIES) - 1], found[WARM * len(STUDIES) :]
    rise, low, high = slope([state.memory for state in rest])
    faults = []
    if high > MOST:
        faults.append(f"memory rises by {rise:.3f} MiB a study ({low:.3f} to {high:.3f})")
    for what in ("files", "threads", "children", "temporary"):
        before, most = getattr(last, what), max(getattr(state, what) for state in rest)
        if most > before:
            faults.append(f"{what}: {before} before, up to {most}")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--forked", action="store_true", help="fork workers from this process")
    asked = parser.parse_args()
    found: list[State] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as root:
        tempfile.tempdir = str(Path(root) / "temporary")
        Path(tempfile.tempdir).mkdir()
        small_generator()
        for state in states(Path(root), asked.seconds, forked=asked.forked):
            found.append(state)
            print(json.dumps(asdict(state)), flush=True)
    counted = found[WARM * len(STUDIES) :]
    if len(counted) < 3:
        sys.exit(f"{len(found)} studies are too few to tell; give more --seconds")
    memory = [state.memory for state in counted]
    rise, low, high = slope(memory)
    print(
        f"{len(counted)} studies after {WARM * len(STUDIES)} that don't count: {min(memory):.1f} to {max(memory):.1f} MiB, "
        f"{rise:+.3f} MiB a study ({low:+.3f} to {high:+.3f}); {counted[-1].files} files, {counted[-1].threads} threads, "
        f"{counted[-1].children} children"
    )
    for fault in (faults := faults_of(found)):
        print(f"GROWN: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
