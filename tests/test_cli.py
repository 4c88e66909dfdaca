"""The command line: what it prints, where, and with which exit code."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from healthgan import __version__
from healthgan.protocol import to_toml
from starts import taken_and_allowed
from tiny import Ended, descendants, tiny_protocol

PATIENCE = 900
"""Seconds after which something hangs; a busy machine needs many for a study that takes an idle one half a minute."""


def healthgan(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "healthgan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


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
    taken, allowed = taken_and_allowed(0.3, "-m", "healthgan", "--help")
    assert taken < allowed


def test_the_package_is_imported_quickly() -> None:
    """Beyond what Python itself needs."""
    taken, allowed = taken_and_allowed(0.05, "-c", "import healthgan", less=("-c", "pass"))
    assert taken < allowed


@pytest.mark.parametrize("arguments", [["--help"], ["study", "--help"], ["data", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments) -> None:
    code = (
        f"import sys; sys.argv[1:] = {arguments}\n"
        "from healthgan.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'numba', 'matplotlib', 'rich') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_version() -> None:
    assert healthgan("--version").stdout == f"healthgan {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("study", "Missing argument 'source'"),
        ("study chestmnst", "Did you mean chestmnist"),
        ("study chestmnist@63", "28, 64, 128, 224"),
        ("study {tmp}/empty", "has no sub-folder"),
        ("study phantom extra", "extra"),
        ("study phantom --protcol quick", "--protocol"),
        ("study phantom --protocol sond-quick", "Did you mean 'sound-quick'?"),
        ("study phantom --protocol none.toml", "There is no file 'none.toml'"),
        ("study phantom --protocol quick --rare Cardiomegalie", "Did you mean 'cardiomegaly'?"),
        ("study phantom --protocol quick --size 7", "16 to 224"),
        (
            "study phantom --rare-count -4",
            "'--rare-count -4': the value should be greater than or equal to 3",
        ),
        ("study phantom --rare-count 100000", "200 training images"),
        ("study phantom --jobs 0", "'--jobs 0': the value should be greater than or equal to 1"),
        ("study phantom --seed x", "'--seed x': the value should be a valid integer."),
        ("study phantom --device gpu", "'auto', 'cpu', 'cuda'"),
        ("study phantom --protocol quick --out {tmp}/file/run", "{tmp}/file"),
        ("study phantom --protocol quick --out {tmp}/file", "{tmp}/file"),
        ("study phantom --protocol quick --synthetic no.npz", "no.npz"),
        ("studdy phantom", "Did you mean 'study'?"),
        ("data shw phantom", "Did you mean 'show'?"),
        ("data show no.npz", "no.npz"),
        ("data fetch chestmnst", "chestmnist"),
        ("train phantom --preset edmm --out {tmp}/g.safetensors", "Did you mean 'edm'?"),
        ("train phantom --out {tmp}/file/g.safetensors", "{tmp}/file"),
        ("sample no.safetensors --count 0 --out x.npz", "--count 0"),
        ("report /no/such/run", "/no/such/run"),
        ("report {tmp}/empty", "holds no study"),
        ("likeness no.npz phantom", "no.npz"),
        ("audit no.npz --train phantom --heldout phantom", "no.npz"),
        ("--verzion", "--version"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(arguments, says, main, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    words = [word.format(tmp=tmp_path) for word in arguments.split()]
    one_line_and_exit_2(main(*words), says.format(tmp=tmp_path))


def test_the_process_ends_with_it() -> None:
    one_line_and_exit_2(healthgan("report", "/no/such/run"), "/no/such/run")


def one_line_and_exit_2(result: Ended | subprocess.CompletedProcess[str], says: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def plan(blobs, tiny, tmp_path_factory) -> dict:
    """What ``--dry-run --json`` prints."""
    out = tmp_path_factory.mktemp("plan") / "run"
    result = healthgan("study", blobs, "--protocol", tiny, "--out", out, "--dry-run", "--json", "--jobs", "2")
    assert result.returncode == 0, result.stderr
    assert not out.exists(), "nothing is written"
    return json.loads(result.stdout)


def test_a_dry_run_tells_sets_jobs_time_and_disk(plan) -> None:
    assert plan["figure_1"]["real"]["training"]["balanced"] == 48
    assert "classifier/generated/0.00" in plan["jobs"]
    assert plan["jobs_by_arm"] == {"generated": 3, "real": 3}
    assert {kind: found["jobs"] for kind, found in plan["jobs_by_kind"].items()} == {
        "generator": 2,
        "likeness": 1,
        "real-or-synthetic": 1,
        "classifier": 6,
    }
    assert 0 < plan["disk"]["kept"] < plan["disk"]["most"] < plan["disk"]["free"]
    assert plan["warnings"] == []


def test_the_estimate_is_what_was_measured_times_what_there_is_to_do(plan) -> None:
    """Two rounds of 3 epochs with one batch of 24 images each; two workers do them at once."""
    each, time_ = plan["time"]["seconds_each"], plan["time"]
    assert plan["jobs_by_kind"]["generator"]["seconds"] == pytest.approx(2 * 3 * each["gan step"])
    whole = sum(found["seconds"] for found in plan["jobs_by_kind"].values())
    assert whole / 2 <= time_["seconds"] - time_["start_seconds"] <= whole
    assert time_["workers"] == 2
    assert time_["measured_for_seconds"] > 0


@pytest.mark.slow
def test_a_study_ends_with_a_report(blobs, tiny, tmp_path) -> None:
    out = tmp_path / "run"
    result = healthgan("study", blobs, "--protocol", tiny, "--out", out, "--jobs", "2", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["report"] == str(out / "report.html")
    page = (out / "report.html").read_text()
    assert page.startswith("<!")
    assert re.search(r"10 jobs are done, in \d+ ", result.stderr)
    (out / "report.html").unlink()
    again = healthgan("report", out)
    assert again.returncode == 0
    assert (out / "report.html").read_text() == page


def test_what_is_our_fault_is_said_and_kept_in_the_run_folder(
    blobs, tiny, main, monkeypatch, tmp_path
) -> None:
    def fail(_study, folder, **_options):
        folder.mkdir()
        raise ZeroDivisionError("something nobody thought of")

    monkeypatch.setattr("healthgan.studies.run", fail)
    result = main("study", blobs, "--protocol", tiny, "--out", tmp_path / "run")
    assert (result.returncode, result.stdout) == (1, "")
    log = tmp_path / "run" / "error.log"
    assert result.stderr.splitlines()[-1] == (
        "Error: This is a fault of healthgan, not of your input (ZeroDivisionError: something nobody thought of). "
        f"The details are in '{log}'."
    )
    assert "Traceback" not in result.stderr
    assert "Traceback" in log.read_text()
    assert f"--out {tmp_path / 'run'}" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0, "it may name paths of the source"


def test_without_a_run_folder_the_details_stand_above(main, monkeypatch) -> None:
    def fail(*_arguments, **_options):
        raise ZeroDivisionError

    monkeypatch.setattr("healthgan.sources.load", fail)
    result = main("data", "show", "phantom")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("Error: This is a fault of healthgan")


def test_a_full_disk_is_no_fault_of_ours(main, monkeypatch) -> None:
    def fail(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x")

    monkeypatch.setattr("healthgan.sources.load", fail)
    one_line_and_exit_2(main("data", "show", "phantom"), "'runs/x': No space left on device. Make room")


def test_too_little_memory_is_no_fault_of_ours(main, monkeypatch) -> None:
    monkeypatch.setattr("healthgan.sources.load", lambda *_, **__: np.empty(2**60, np.uint8))
    one_line_and_exit_2(main("data", "show", "phantom"), "There is too little memory. Take fewer or smaller")


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def start(*arguments: object) -> subprocess.Popen[str]:
    """``healthgan ARGUMENTS`` in a group of its own, as a terminal starts it."""
    heard = signal.signal(signal.SIGINT, signal.SIG_DFL)  # where tests run in the background it is ignored,
    try:  # and a process starts with what its parent ignores
        return subprocess.Popen(
            [sys.executable, "-m", "healthgan", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, heard)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_says_what_is_kept_and_goes_on(number, blobs, tiny, tmp_path) -> None:
    """Ctrl-C reaches all processes, SIGTERM the first. No worker is left; the command that is printed finishes the study."""
    out = tmp_path / "run"
    study = start("study", blobs, "--protocol", tiny, "--out", out, "--jobs", "2")
    deadline = time.monotonic() + PATIENCE
    records = out / "records.jsonl"
    while not records.exists() or "time_seconds" not in records.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = descendants(study.pid)
    begun = time.monotonic()
    os.killpg(study.pid, number) if number == signal.SIGINT else study.send_signal(number)
    printed, errors = study.communicate(timeout=PATIENCE)
    assert time.monotonic() - begun < 120  # a hundred times what it takes an idle machine
    assert (study.returncode, printed) == (130, "")
    assert len(children) >= 4
    while left := [child for child in children if alive(child)]:  # the tracker of shared memory ends last
        assert time.monotonic() - begun < PATIENCE, left
        time.sleep(0.05)
    assert "Traceback" not in errors
    kept = re.search(rf"^Stopped\. (\d+) of (\d+) jobs are done and kept in '{out}'\.", errors, re.MULTILINE)
    command = re.search(r"Go on with:\n    python -m healthgan (study .*)$", errors, re.MULTILINE)
    assert kept, errors
    assert int(kept[1]) < int(kept[2]), "it was done before it could be stopped"
    assert command, errors
    again = healthgan(*shlex.split(command[1]))
    assert again.returncode == 0, again.stderr
    assert f"Going on: {kept[1]} of {kept[2]} jobs are done." in again.stderr
    assert again.stdout.splitlines()[-1] == f"Report: {out / 'report.html'}"


def test_a_stop_before_anything_is_written_says_so(main, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("healthgan.studies.run", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr("healthgan.cli_end._end_in_time", lambda *_: None)  # it would end the tests too
    result = main("study", "phantom", "--protocol", "sound-quick", "--out", tmp_path / "run")
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == (
        "Stopped. Nothing was written. Start again with:\n"
        f"    healthgan study phantom --protocol sound-quick --out {tmp_path}/run\n"
    )


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("study ph", {"phantom"}),
        ("study pneumoniamnist@", {f"pneumoniamnist@{size}" for size in (64, 128, 224)}),
        ("study {tmp}/so", {"{tmp}/some/", "{tmp}/some.npz"}),
        ("study chestmnist --rare c", {"cardiomegaly", "consolidation"}),
        ("study {tmp}/some --jobs 2 --reference ", {"cat", "dog", "rest"}),
        ("study phantom --protocol sound", {"sound", "sound-full", "sound-quick"}),
        ("study phantom --device c", {"cpu", "cuda"}),
        ("train phantom --preset edm", {"edm", "edm-quick"}),
        ("likeness made.npz phantom --rare card", {"cardiomegaly"}),
        ("audit made.npz --train phantom --rare n", {"normal"}),
        ("data fetch o", {"octmnist", "organamnist", "organcmnist", "organsmnist"}),
        ("da", {"data"}),
    ],
)
def test_tab_offers_what_can_stand_there(words, offered, main, monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "some" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "some" / "train" / "dog").mkdir()
    (tmp_path / "some.npz").touch()
    (tmp_path / "some.txt").touch()
    typed = f"healthgan {words}".format(tmp=tmp_path)
    monkeypatch.setenv("_HEALTHGAN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    assert {word.format(tmp=tmp_path) for word in offered} == set(main().stdout.split())


def test_what_is_offered_is_what_there_is() -> None:
    """The lists of completion are their own, so that Tab imports nothing heavy."""
    from healthgan import cli_complete
    from healthgan.generators.presets import DIFFUSION
    from healthgan.sources import medmnist, phantom

    assert (*DIFFUSION, "dcgan-2023") == cli_complete.PRESETS
    assert (28, *cli_complete.SIZES) == medmnist.SIZES
    assert cli_complete.PHANTOM == phantom.CLASSES


def test_the_script_for_a_shell_is_given() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "healthgan", "--show-completion", "zsh"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert "complete_zsh" in result.stdout
