"""The command line: what it prints, where, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import Ended, tiny_protocol
from healthgan import __version__
from healthgan.protocol import to_toml


def healthgan(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "healthgan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("protocol") / "tiny.toml"
    path.write_text(to_toml(tiny_protocol()))
    return path


def test_help_names_the_commands_quickly() -> None:
    result = healthgan("--help")
    assert result.returncode == 0
    commands = ("study", "report", "data", "train", "sample", "likeness", "audit")
    assert all(name in result.stdout for name in commands)
    seconds = []
    for _ in range(5):  # processor time, since other processes may be busy; coverage would slow it down
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        process = subprocess.Popen(
            [sys.executable, "-m", "healthgan", "--help"], stdout=subprocess.DEVNULL, env=quiet
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(usage.ru_utime + usage.ru_stime)
    assert min(seconds) < 0.4


def test_version() -> None:
    assert healthgan("--version").stdout == f"healthgan {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["study", "chestmnst"], "chestmnist"),
        (["study", "phantom", "--protocol", "papre"], "There is no protocol 'papre'"),
        (["study", "phantom", "--protocol", "quick", "--rare", "pneumonia"], "no class 'pneumonia'"),
        (["study", "phantom", "--protocol", "quick", "--size", "7"], "16 to 224"),
        (["report", "/no/such/run"], "/no/such/run"),
        (["data", "show", "no.npz"], "no.npz"),
        (["likeness", "no.npz", "phantom"], "no.npz"),
        (["audit", "no.npz", "--train", "phantom", "--heldout", "phantom"], "no.npz"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(arguments, says, main, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    one_line_and_exit_2(main(*arguments), says)


def test_the_process_ends_with_it() -> None:
    one_line_and_exit_2(healthgan("report", "/no/such/run"), "/no/such/run")


def one_line_and_exit_2(result: Ended | subprocess.CompletedProcess[str], says: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_dry_run_writes_nothing(blobs, tiny, main, tmp_path) -> None:
    result = main("study", blobs, "--protocol", tiny, "--out", tmp_path / "run", "--dry-run", "--json")
    assert result.returncode == 0
    plan = json.loads(result.stdout)
    assert plan["figure_1"]["real"]["training"]["balanced"] == 48
    assert "classifier/generated/0.00" in plan["jobs"]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_study_ends_with_a_report(blobs, tiny, tmp_path) -> None:
    out = tmp_path / "run"
    result = healthgan("study", blobs, "--protocol", tiny, "--out", out, "--jobs", "2", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["report"] == str(out / "report.html")
    page = (out / "report.html").read_text()
    assert page.startswith("<!")
    assert "likeness" in result.stderr
    (out / "report.html").unlink()
    again = healthgan("report", out)
    assert again.returncode == 0
    assert (out / "report.html").read_text() == page


@pytest.mark.slow
def test_ctrl_c_ends_with_130(blobs, tiny, tmp_path) -> None:
    command = [
        sys.executable,
        "-m",
        "healthgan",
        "study",
        blobs,
        "--protocol",
        tiny,
        "--out",
        tmp_path / "run",
    ]
    heard = signal.signal(signal.SIGINT, signal.SIG_DFL)  # where tests run in the background it is ignored,
    try:  # and a process starts with what its parent ignores
        study = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, heard)
    deadline = time.monotonic() + 300
    while not (tmp_path / "run" / "records.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    study.send_signal(signal.SIGINT)
    _, errors = study.communicate(timeout=300)
    assert study.returncode == 130
    assert "Traceback" not in errors
