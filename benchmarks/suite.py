"""All benchmarks of speed on this machine: one JSON file, one table, and figures.

    python benchmarks/suite.py --out FOLDER [--keras-python KERAS/bin/python] [--only PART ...] [--quick]
                               [--study 'nihchest_28.npz --rare cardiomegaly']

Parts: likeness, limits, classifiers, keras, batched, growth, studies. Each is a script of its own beside this one; what it
found stands in FOLDER/PART.json, and a part whose file is there is not measured again: the same command goes on where it
was stopped. Without ``--keras-python`` (benchmarks/keras/README.md) there is nothing to say about Keras, and a line says
so. ``--quick`` measures little, to see that all of it works; its figures are not to be quoted. ``--study`` adds whole
studies to the two small ones on the phantom. Put the machine to no other use meanwhile; the load stands beside the figures.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from batched import versions
from healthgan.files import write_text
from suite_plots import figures
from suite_rows import rows, table

HERE = Path(__file__).parent
QUICK = {
    "likeness": "--queries 500 --references 200 --pairs 200 --rounds 1",
    "limits": "--rounds 1",
    "classifiers": "--rounds 1 --steps 20",
    "keras": "--rounds 1",
    "batched": "--rounds 1 --steps 4 --models 1 2",
    "growth": "--rounds 1",
    "studies": "--rounds 1",
}


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Script and arguments by part."""
    scripts = {
        "likeness": ["ssim.py"],
        "limits": ["limits.py"],
        "classifiers": ["classifiers.py"],
        "batched": ["batched.py", "--models", "1", "4", "16", "--steps", "32"],
        "growth": ["growth.py"],
        "studies": [
            "whole_studies.py",
            *_studies(options),
            "--out",
            str(options.out / "runs" / str(int(time.time()))),
        ],
    }
    if options.keras_python:
        scripts["keras"] = ["keras/speed.py", "--keras-python", str(options.keras_python), "--rounds", "9"]
    elif "keras" in options.only:
        print("keras: left out, since --keras-python does not say where it is installed.", file=sys.stderr)
    return {name: scripts[name] for name in options.only if name in scripts}


def _studies(options: argparse.Namespace) -> list[str]:
    small = ["phantom --protocol quick", "phantom --protocol sound-quick"]
    return [*(small[:1] if options.quick else small), *options.study]


def measure(options: argparse.Namespace) -> dict[str, dict]:
    """Run what has no file yet; what all parts found."""
    parts = {}
    for name, (script, *arguments) in commands(options).items():
        file = options.out / f"{name}.json"
        if not file.exists():
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
            more = QUICK[name].split() if options.quick else []
            part = file.with_suffix(".part")
            told = "--out" if name == "batched" else "--json"
            done = subprocess.run([sys.executable, HERE / script, *arguments, *more, told, part])
            if not part.exists():
                raise SystemExit(f"{name}: {script} ended with {done.returncode} and no figures.")
            part.replace(file)
        parts[name] = json.loads(file.read_text("utf-8"))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keras-python", type=Path)
    parser.add_argument("--only", nargs="+", choices=QUICK, default=list(QUICK), metavar="PART")
    parser.add_argument("--study", action="append", default=[])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    parts = measure(options)
    found = rows(parts)
    told = {"quick": options.quick, "written": time.strftime("%Y-%m-%d"), **versions()}
    written = told | {"figures": [row.as_json() for row in found], "parts": parts}
    write_text(options.out / "bench.json", json.dumps(written, indent=1) + "\n")
    write_text(options.out / "bench.md", table(found))
    for figure in figures(parts, found):
        write_text(options.out / f"{figure.name}.svg", figure.file())
    print(table(found))
    print(f"{options.out / 'bench.json'}, bench.md and figures beside it", file=sys.stderr)


if __name__ == "__main__":
    main()
