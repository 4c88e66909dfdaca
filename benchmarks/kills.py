"""Small studies harmed again and again; their records must be untouched ones', bit for bit, none lost, none twice.

    python benchmarks/kills.py --out runs/kills                    # 200 kills, 20 each of the others
    python benchmarks/kills.py --out runs/kills --only torn=5      # fewer, of one kind
    python benchmarks/kills.py --out runs/kills --forked           # in a small part of the processor time

With ``--forked`` workers are forked from a process that has the libraries loaded, where the program's server loads them first: all
else is the same. Two small studies take turns, the published one and a sound one with generators of its own. The same command goes on
where it was stopped; what was tried stands in OUT/tried.jsonl. A disk fills up on a small tmpfs, which needs root;
without it that kind is left out and said so.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["OMP_NUM_THREADS"] = "1"  # equal bits are promised on one thread

from kills_deeds import (
    BALLAST,
    DONE,
    FULL,
    KILLED,
    KINDS,
    SUCCEEDS,
    Deed,
    Place,
    damage,
    disk,
    start,
)
from small_studies import STUDIES, small_generator, warm, write_inputs

if __name__ == "__mp_main__":  # a worker of a study
    small_generator()

A_STUDY = 8
"""Times that something is done to one study, at most."""
EARLY = 4
"""It is done within the first of so many parts of a study's events, so that a study is harmed several times on its way."""


def one_study(
    place: Place, kind: str, rng: random.Random, events: int, left: int, *, forked: bool
) -> Iterator[dict[str, Any]]:
    """A study from its start to its end; yields what was done to it, at most ``left`` times, and then what became of it."""
    with disk(place, kind):
        while True:
            least = events // 5 if kind == "worker" else 1
            deed = Deed(
                kind,
                rng.randrange(least, events // EARLY + 1),
                rng.expovariate(5),
                rng.randrange(2**31),
                rng.choice([1, 2]),
                forked,
            )
            ended = start(place, deed if left else replace(deed, kind="none"))
            (place.disk / BALLAST).unlink(missing_ok=True)
            stages = place.marked()[1] if ended == SUCCEEDS[kind] else []
            for stage in stages:
                left = max(0, left - 1)
                more = {"disk": damage(place.run, deed.seed)} if kind == "damaged" else {}
                yield {**asdict(deed), **more, "study": place.study, "stage": stage}
            if ended == DONE:
                break
            if ended not in (KILLED, FULL):
                raise SystemExit(f"{kind}: the study in '{place.run}' ended with {ended}")
        yield {"kind": kind, "study": place.study, "name": place.name, **checked(place)}


def checked(place: Place) -> dict[str, Any]:
    """What became of a study that ended, beside the untouched one."""
    from healthgan.run import RunFolder, without_times

    folder, untouched = RunFolder(place.run), RunFolder(reference(place).run)
    records, expected = folder.records(), untouched.records()
    keys = Counter(record["key"] for record in records)
    return {
        "equal": without_times(records) == without_times(expected)
        and folder.finished().keys() == keys.keys(),
        "lost": len({record["key"] for record in expected} - keys.keys()),
        "twice": sum(count > 1 for count in keys.values()),
        "left": sorted(_files(place) - _files(reference(place)) - {"records.damaged"}),
    }


def _files(place: Place) -> set[str]:
    return {path.relative_to(place.run).as_posix() for path in place.run.rglob("*")}


def is_well(row: dict[str, Any]) -> bool:
    """Whether it is as it should be; a job whose artefact was damaged runs twice, and should."""
    return row["equal"] and not (row["lost"] or row["left"] or (row["twice"] and row["kind"] != "damaged"))


def reference(place: Place) -> Place:
    """The untouched study."""
    return replace(place, name=f"untouched-{place.study}")


def prepare(root: Path) -> dict[str, int]:
    """Write source and protocols and run the untouched studies; how many events each has."""
    write_inputs(root)
    events = {}
    for study in STUDIES:
        place = reference(Place(root, study, ""))
        ready = root / f"{place.name}.events"
        if not ready.exists():
            with disk(place, "none"):
                if start(place, Deed("none", 0, 0, 0, 2, forked=False)) != DONE:
                    raise SystemExit(f"the untouched study in '{place.run}' did not end")
            shutil.copy(place.mark, ready)
        events[study] = json.loads(ready.read_text())[0]
    return events


def go_on(
    root: Path, kinds: dict[str, int], seed: int, say: Callable[[str], None], *, forked: bool
) -> list[dict[str, Any]]:
    """Do what is left to be done; all that was tried so far, and now."""
    from healthgan import jobs, studies  # noqa: F401 # forked processes have them then, PyTorch included

    small_generator()
    events, log = prepare(root), root / "tried.jsonl"
    tried = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for study in STUDIES if forked else ():
        warm(root, study)
    for kind, wanted in kinds.items():
        while (left := wanted - len(deeds(tried, kind))) > 0:
            number = len(ends(tried, kind))
            place = Place(root, STUDIES[number % len(STUDIES)], f"{kind}-{number}")
            rng = random.Random(f"{seed} {place.name}")
            started = time.monotonic()
            rows = list(one_study(place, kind, rng, events[place.study], min(left, A_STUDY), forked=forked))
            tried += rows
            with log.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            say(
                f"{time.strftime('%H:%M:%S')} {kind}: {left - len(rows) + 1} left, {rows[-1]}, "
                f"{time.monotonic() - started:.0f} s"
            )
            if is_well(rows[-1]):
                shutil.rmtree(place.disk)
                place.mark.unlink(missing_ok=True)
    return tried


def deeds(tried: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """What was done of a kind."""
    return [row for row in tried if row["kind"] == kind and "at" in row]


def ends(tried: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """What became of the studies of a kind."""
    return [row for row in tried if row["kind"] == kind and "equal" in row]


def table(tried: list[dict[str, Any]]) -> str:
    """What was tried and what came out, as Markdown."""
    lines = [
        "| done to a study | times | studies | equal to an untouched one, bit for bit | records lost | recorded twice "
        "| files left behind |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, (_, words) in KINDS.items():
        found = ends(tried, kind)
        counts = [sum(row[what] for row in found) for what in ("equal", "lost", "twice")]
        cells = [
            words,
            len(deeds(tried, kind)),
            len(found),
            *counts,
            sum(len(row["left"]) for row in found),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    every = [row for kind in KINDS for row in deeds(tried, kind)]
    stages = Counter(row["stage"].split("/")[0] for row in every)
    disks = Counter(row["disk"] for row in deeds(tried, "damaged"))
    starts = Counter("forked" if row.get("forked") else "by the program" for row in every)
    for title, counts in (("By stage", stages), ("Damaged", disks), ("Workers", starts)):
        lines += ["", f"{title}: {', '.join(f'{what} {count}' for what, count in counts.most_common())}."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], metavar="KIND=TIMES", help="such as kill=10 torn=2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--forked", action="store_true", help="fork workers from a process with the libraries"
    )
    arguments = parser.parse_args()
    asked = dict(one.split("=") for one in arguments.only)
    kinds = {kind: int(times) for kind, times in asked.items()} or {
        kind: times for kind, (times, _) in KINDS.items()
    }
    if os.geteuid() != 0 and kinds.pop("full", None):
        print("Left out, for want of root: the full disk.", file=sys.stderr)
    tried = go_on(
        arguments.out.resolve(),
        kinds,
        arguments.seed,
        lambda line: print(line, file=sys.stderr, flush=True),
        forked=arguments.forked,
    )
    print(table(tried))
    sys.exit(0 if all(is_well(row) for row in tried if "equal" in row) else 1)


if __name__ == "__main__":
    main()
