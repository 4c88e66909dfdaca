"""What the benchmarks of speed print: rows, goals and figures from made-up measurements, and two of them really run."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from suite_plots import figures  # noqa: E402 # found from here on
from suite_rows import Row, rows, spread, table  # noqa: E402 # likewise

GROWN = {"exponent": 1.02, "standard_error": 0.01, "n": 4}
PARTS = {
    "growth": {
        "load": 0.1,
        "classifier, images": {"seconds": {"100": [1.0, 1.1], "200": [2.0, 2.3]}, **GROWN},
        "workers": {"times as fast": [1.8, 1.9]},
    },
    "limits": {
        "works": {
            "matrix product": {"seconds": [0.5, 0.4, 0.5], "operations": 5e10, "bytes": 0},
            "copy": {"seconds": [1.0, 1.0, 2.0], "operations": 0, "bytes": 2e10},
            "the study's CNN": {"seconds": [1.0, 1.0, 1.0], "operations": 4e10, "bytes": 1e9},
        }
    },
    "studies": {
        "studies": {
            "phantom --protocol quick": [{"seconds": 60, "processor_seconds": 90, "memory_mib": 800}],
            "mine.npz --rare 1": [{"seconds": 1500, "processor_seconds": 2900, "memory_mib": 1024}],
        }
    },
}


def found(what: str) -> Row:
    return next(row for row in rows(PARTS) if row.what == what)


def test_rows_hold_medians_ranges_and_goals() -> None:
    assert (found("two workers over one").median, found("two workers over one").n) == (pytest.approx(1.85), 2)
    product = found("one thread, matrix product")
    assert (product.unit, product.median, product.low, product.high) == ("GFLOP/s", 100, 100, 125)
    exponent = found("classifier over images, exponent ± standard error")
    assert (exponent.median, exponent.low, exponent.goal, exponent.verdict) == (1.02, 1.01, 1.05, "met")


def test_only_the_default_study_has_goals() -> None:
    minutes = {row.what: row for row in rows(PARTS) if row.unit == "min"}
    assert minutes["study phantom --protocol quick"].verdict == ""
    assert minutes["study mine.npz --rare 1"].verdict == "missed"
    memory = next(row for row in rows(PARTS) if row.what == "study mine.npz --rare 1" and row.unit == "MiB")
    assert (memory.median, memory.verdict) == (1024, "met")


def test_a_goal_is_met_from_itself_on() -> None:
    assert spread("a", "×", [1, 4, 9], 4).verdict == "met"
    assert spread("a", "×", [1, 3.9, 9], 4).verdict == "missed"
    assert spread("a", "min", [1, 4, 9], 4, most=True).verdict == "met"


def test_the_table_has_a_line_a_figure() -> None:
    lines = table(rows(PARTS)).splitlines()
    assert len(lines) == 2 + len(rows(PARTS))
    assert "| two workers over one | × | 2 | 1.85 | 1.8 – 1.9 |  |  |" in lines


def test_figures_say_what_was_measured() -> None:
    drawn = {figure.name: figure.file() for figure in figures(PARTS, rows(PARTS))}
    assert drawn.keys() == {"performance-ratios", "performance-roofline", "performance-growth"}
    for svg in drawn.values():
        ElementTree.fromstring(svg)
    assert "matrix products: 100 GFLOP/s" in drawn["performance-roofline"]
    assert "memory: 20 GB/s" in drawn["performance-roofline"]
    assert "classifier: images, s — exponent 1.02" in drawn["performance-growth"]


def test_the_suite_measures_and_goes_on_where_it_was_stopped(tmp_path) -> None:
    command = [
        sys.executable,
        BENCHMARKS / "suite.py",
        "--out",
        tmp_path,
        "--quick",
        "--only",
        "classifiers",
        "keras",
    ]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "keras: left out" in first.stderr
    bench = json.loads((tmp_path / "bench.json").read_text())
    assert bench["quick"] is True
    speeds = [row for row in bench["figures"] if row["unit"] == "images/s"]
    assert len(speeds) == 6
    assert all(row["n"] == 1 and row["median"] > 0 for row in speeds)
    assert "classifier, plain" in (tmp_path / "bench.md").read_text()
    written = (tmp_path / "classifiers.json").read_bytes()
    subprocess.run(command, capture_output=True, check=True)
    assert (tmp_path / "classifiers.json").read_bytes() == written
