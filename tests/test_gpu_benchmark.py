"""The command that measures a GPU runs through on the CPU, in small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_all_parts_are_checked_timed_and_written(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    ended = subprocess.run(
        [sys.executable, BENCHMARK, "--device", "cpu", "--small", "--out", out],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    found = json.loads(out.read_text())
    failed = [
        entry for part in (found["checks"], found["parts"]) for entry in part.values() if "error" in entry
    ]
    assert not failed
    assert ended.returncode == 0, ended.stderr
    assert (found["gpu"], found["small"], found["packages"]["torch"] != "") == (None, True, True)
    assert found["checks"].keys() == {"chains", "generators", "diffusion", "likeness"}
    paper = found["parts"]["paper"]
    assert paper["finished"]
    assert paper["longest_chain"]["steps"] == paper["longest_chain"]["of"] == 3 * 3 * 3
    assert found["parts"]["classifiers"]["models"] == 2 * 3 * 2
    assert found["shares"].keys() >= {"270 classifiers", "likeness", "paper's classifiers", "1 generators"}


@pytest.mark.slow
def test_a_part_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    """The last part ends at its limit and says how far it came."""
    out = tmp_path / "gpu.json"
    ended = subprocess.run(
        [sys.executable, BENCHMARK, "--device", "cpu", "--small", "--limit", "0", "--out", out],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    found = json.loads(out.read_text())
    assert ended.returncode == 1
    assert found["parts"]["classifiers"]["error"] == "the limit came before its end"
    assert not found["parts"]["paper"]["finished"]
    assert found["parts"]["paper"]["gan_epochs"] == 1
