"""Whole studies as a user runs them: wall-clock and processor seconds, and memory of all their processes together.

    python benchmarks/whole_studies.py --out FOLDER [--rounds 3] [--json FILE] [STUDY ...]

A STUDY is what follows ``healthgan study`` (in quotes); without any, `phantom --protocol quick` (the published study in
small) and `phantom --protocol sound-quick`. Each is run ``--rounds`` times, in turn, into new folders below FOLDER.
Memory is the proportional set size (a page that processes share counts once), looked at every half second: a peak between
two looks is missed. Processor seconds are those of all processes, also of workers, which a server of the study's starts and
which outlives it for a moment. Linux only.
"""

import argparse
import ctypes
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from batched import versions

SMALL = ("phantom --protocol quick", "phantom --protocol sound-quick")
LOOK = 0.5
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def memory_mib(session: int) -> float:
    """Proportional set size of all processes of a session."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[3]) != session:
                continue
            lines = (folder / "smaps_rollup").read_text("utf-8").splitlines()
        except OSError:
            continue  # it has ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def run(study: str, folder: Path) -> dict[str, float]:
    """One study from its start to its report."""
    before, started, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    command = [sys.executable, "-m", "healthgan", "study", *shlex.split(study), "--out", str(folder)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None:
            peak = max(peak, memory_mib(process.pid))
            time.sleep(LOOK)
        _wait_for_all()
        log.seek(0)
        told = log.read()
    if process.returncode:
        raise SystemExit(f"healthgan study {study} ended with {process.returncode}:\n{told[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": time.perf_counter() - started,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory_mib": peak,
    }


def _adopt() -> None:
    """Let processes whose parent ends become this one's, so that they can be waited for and their time is counted."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _wait_for_all() -> None:
    with suppress(ChildProcessError):
        while True:
            os.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", default=SMALL)
    parser.add_argument("--out", type=Path, required=True, help="holds the run folders")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    _adopt()
    found = {"date": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0], **versions()}
    runs: dict[str, list[dict[str, float]]] = {study: [] for study in options.studies}
    for number in range(options.rounds):
        for place, study in enumerate(options.studies):
            runs[study].append(run(study, options.out / f"study-{place}-{number}"))
            print(f"{study}: {runs[study][-1]}", file=sys.stderr, flush=True)
    print(f"{found['processor']}, load {found['load']:.1f} before")
    print("| study | n | seconds | processor seconds | MiB in all processes |\n|---|---|---|---|---|")
    for study, rows in runs.items():
        cells = [
            _spread([row[name] for row in rows]) for name in ("seconds", "processor_seconds", "memory_mib")
        ]
        print(f"| {study} | {len(rows)} | {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(found | {"studies": runs}, indent=1) + "\n")


def _spread(values: list[float]) -> str:
    return f"{np.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


if __name__ == "__main__":
    main()
