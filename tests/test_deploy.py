"""The files in deploy/: the SLURM script with stand-ins for SLURM's commands, on a real Ray cluster; what the other one asks for."""

import itertools
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from healthgan.protocol import to_toml
from ray_nodes import Node
from tiny import tiny_protocol

DEPLOY = Path(__file__).parents[1] / "deploy"
STAND_INS = {
    # On this machine, whatever the node. Ray gives up now and then where a machine is very busy, and is started again.
    "srun": 'while [[ $1 == -* ]]; do shift; done\nuntil "$@"; do sleep 1; done\n',
    "scontrol": "echo here; sleep 1; echo there\n",  # slowly: whoever reads the first name only must wait for the last
    # The study could be done before the second node is there.
    "venv/bin/healthgan": 'until (($(grep -c "Ray runtime started" "$LOG") >= 2)); do sleep 1; done\n'
    f'exec {sys.prefix}/bin/healthgan "$@"\n',
}
ALLOCATION = {
    "SLURM_JOB_NODELIST": "here,there",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "1",
    "HEAD_IP": "127.0.0.1",
}


def job_number() -> int:
    """Of a SLURM job; the script makes a port of it, which must be free here."""
    for number in itertools.count(os.getpid()):
        with socket.socket() as free, suppress(OSError):  # taken
            free.bind(("127.0.0.1", 20_000 + number % 20_000))
            return number
    raise AssertionError


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("ray") is None or shutil.which("bash") is None, reason="needs the extra 'cluster' and bash"
)
def test_the_slurm_script_runs_a_study_on_its_nodes(blobs, tmp_path) -> None:
    """Ray's processes are those of one session, as SLURM's are of one job, and end with it."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "ray").symlink_to(f"{sys.prefix}/bin/ray")
    for name, script in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tiny.toml").write_text(to_toml(tiny_protocol()))
    number = job_number()
    job = {"SLURM_JOB_ID": str(number), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    job |= {"VENV": str(tmp_path / "venv"), "LOG": str(tmp_path / "log")}
    arguments = [blobs, "--protocol", tmp_path / "tiny.toml", "--out", tmp_path / "run"]
    with (tmp_path / "log").open("wb") as log:
        node = Node(
            subprocess.Popen(
                ["bash", DEPLOY / "slurm.sbatch", *arguments],
                env=os.environ | ALLOCATION | job,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )
    try:
        code = node.process.wait(1800)
    finally:
        node.kill()
        shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)  # where the script puts it
    said = (tmp_path / "log").read_text()
    assert code == 0, said
    (start,) = json.loads((tmp_path / "run" / "manifest.json").read_text())["starts"]
    assert start["cluster"]["ray"]
    assert (tmp_path / "run" / "report.html").exists()
    assert re.search(r"2 nodes, \S+ of 2 CPUs busy; 10 jobs done", said), said


def test_kubernetes_is_asked_for_what_there_is(main) -> None:
    """The command's options are the program's, the two images and the versions one, the volume the one that is mounted."""
    job = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())["spec"]
    program, command, *arguments = shlex.split(job["entrypoint"])
    assert (program, command) == ("healthgan", "study")
    asked = {word for word in arguments if word.startswith("--")}
    assert asked <= set(re.findall(r"--[a-z-]+", main("study", "--help").stdout))
    cluster = job["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (head, workers)]
    assert len({container["image"] for pod in pods for container in pod["containers"]}) == 1
    (mounted,) = (mount for container in pods[0]["containers"] for mount in container["volumeMounts"])
    assert mounted["name"] in {volume["name"] for volume in pods[0]["volumes"]}
    out = arguments[arguments.index("--out") + 1]
    assert out.startswith(f"{mounted['mountPath']}/")
    pinned = re.search(r"^ray==(\S+)", (DEPLOY.parent / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert cluster["rayVersion"] == pinned[1]
