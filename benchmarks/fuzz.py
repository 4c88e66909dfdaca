"""The readers against files that are almost right: how many were tried, and what but InputError came out.

    python benchmarks/fuzz.py --seconds 600

Each reader gets an equal share of the time. Memory is limited to 1 GiB over what the libraries take.
"""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))

from bad_input_table import warm_up
from fuzzing import READERS, Read, prepared
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from healthgan.errors import InputError

ROOM = 2**30
BATCH = 200
"""Examples that hypothesis draws before it starts afresh with another seed."""


def tried(
    path: Path, files: st.SearchStrategy[bytes], read: Read, seconds: float
) -> tuple[int, int, dict[str, str]]:
    """How many files were tried in that time, how many were refused, and the crashes: message → first file."""
    count, refused, crashes = 0, 0, {}
    end = time.monotonic() + seconds

    @settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate],
    )
    @given(data=files)
    def fuzz(data: bytes) -> None:
        nonlocal count, refused
        count += 1
        path.write_bytes(data)
        try:
            read(path)
        except InputError:
            refused += 1
        except Exception as error:  # noqa: BLE001 # what must not come out
            crashes.setdefault(f"{type(error).__name__}: {error}"[:200], repr(data[:2000]))

    while time.monotonic() < end:
        fuzz()
    return count, refused, crashes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args().seconds / len(READERS)
    warnings.simplefilter("error")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm_up()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, resource.RLIM_INFINITY))
    print("| reader | files tried | refused with a message | read | crashes |\n|---|---:|---:|---:|---:|")
    total = 0
    for reader, (name, files, read) in READERS.items():
        with tempfile.TemporaryDirectory() as place:
            path = prepared(Path(place)) / name
            count, refused, crashes = tried(path, files(), read, seconds)
        total += len(crashes)
        print(
            f"| {reader} | {count:,} | {refused:,} | {count - refused - len(crashes):,} | {len(crashes)} |",
            flush=True,
        )
        for message, data in crashes.items():
            print(f"{message}\n  {data}", file=sys.stderr)
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
