"""Prints docs/bad-input.md: every bad input, the command that meets it and what it says."""

import os
import re
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from bad_npz import real
from cases import Case, Outcome, faults_of, run_command
from corpus import CASES
from odd_but_right import CASES as RIGHT

from healthgan.protocol import load_protocol
from healthgan.studies import Request, prepare

DOCUMENT = Path(__file__).parents[2] / "docs" / "bad-input.md"
HEAD = """# Bad input

What the program says to input that it can't use: exit code 2, one message on stderr that names the file and what to do,
nothing written, and at most 500 MiB of memory over what the process held before. Every case is made by code (tests/faults)
and tried in `make test`. `python tests/faults/bad_input_table.py > docs/bad-input.md` writes this page; (…) stands where a
library's own words, which differ between its versions, are quoted.
"""
ODD = "\n## Odd, but right\n\nThese are read:"


def warm_up() -> None:
    """Load the libraries that commands load, so that what a case takes is the case's own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        real(folder)
        images = np.random.default_rng(0).integers(0, 256, (9, 16, 16), dtype=np.uint8)
        np.savez(folder / "m.npz", images=images)
        prepare(Request(str(folder / "real.npz"), load_protocol("sound-quick")))
        for command in (
            ("audit", "m.npz", "--train", "real.npz", "--heldout", "real.npz"),
            ("likeness", "m.npz", "real.npz"),
        ):
            outcome = run_command(command, folder, room=2**40)
            assert outcome.code == 0, outcome
    import pydicom.pixels.processing  # noqa: F401 # loaded, like all above, before memory is counted
    from bad_generators import good

    good()


def tried(case: Case) -> Outcome:
    """How a case ends, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        case.make(Path(place))
        return run_command(case.command, Path(place))


_QUOTED = re.compile(
    r"(an \.npz file|cannot be read|as PNG, JPEG or TIFF|NumPy array|cut off or damaged|is not JSON|valid TOML|UTF-8 text"
    r"|plain CSV|says wrongly how its generator is built|is damaged or of another version of the program"
    r"|can't be read) (\(.*\)|: .*)(?=\. [A-Z])"
)


def told(outcome: Outcome) -> str:
    """The message as the table has it."""
    here = re.sub(
        rf"{re.escape(tempfile.gettempdir())}/\w+/", "", outcome.err.removeprefix("Error: ").strip()
    )
    return _QUOTED.sub(r"\1 (…)", here)


def row(case: Case, outcome: Outcome) -> str:
    """A line of the table."""
    command = " ".join(_short(part) for part in ("healthgan", *case.command))
    return f"| {_cell(case.name)} | `{_cell(command)}` | {_cell(told(outcome))} |"


def _short(part: str) -> str:
    text = part.encode("unicode_escape").decode()
    return text if len(text) <= 40 else f"{text[:20]}…"


def _cell(text: str) -> str:
    text = re.sub(r"(.)\1{40,}", r"\1\1\1…", text)
    return (
        text.replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("*", "\\*")
        .replace("_", "\\_" if "`" not in text else "_")
    )


def table(rows: list[str]) -> str:
    """The whole page."""
    lines = [HEAD, f"{len(rows)} cases.", "", "| case | command | message |", "|---|---|---|", *rows, ODD, ""]
    return "\n".join([*lines, *(f"- {_cell(name)}" for name in RIGHT)]) + "\n"


if __name__ == "__main__":
    warm_up()
    rows, most = [], (0, "")
    for one in CASES:
        outcome = tried(one)
        most = max(most, (outcome.taken, one.name))
        for fault in faults_of(one, outcome):
            print(f"{one.name}: {fault}", file=sys.stderr)
        rows.append(row(one, outcome))
    print(f"{len(rows)} cases; most memory: {most[0] / 2**20:.0f} MiB, by '{most[1]}'", file=sys.stderr)
    print(table(rows), end="")
