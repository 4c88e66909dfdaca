"""Two studies of seconds, which have all kinds of jobs between them; for kills.py and soak.py."""

import multiprocessing
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from healthgan.request import Request

STUDIES = ("published", "sound")


def small_generator() -> None:
    """Let the preset of the sound one take seconds, in this process; its workers need it as well."""
    from healthgan.generators import presets
    from healthgan.generators.diffusion import Settings

    presets.DIFFUSION = {
        **presets.DIFFUSION,
        "edm-quick": Settings(steps=24, batch=16, width=16, checks=3),
    }


def write_inputs(root: Path) -> None:
    """Write the source and the protocols, where they are not there."""
    from healthgan.protocol import load_protocol, to_toml
    from healthgan.protocol_sound import Sound
    from tiny import tiny_protocol, write_blobs

    root.mkdir(parents=True, exist_ok=True)
    if (root / "blobs.npz").exists():
        return
    sound = load_protocol("sound-quick").model_dump(exclude_none=True)
    sound["design"] |= {"reference_seeds": 2}
    sound["generator"] |= {"candidates": 40}
    sound["training"] |= {"steps": 30}
    sound["arms"] = {"reference": ("real", "smote"), "synthetic": ("unfiltered-50",), "control": ()}
    (root / "sound.toml").write_text(to_toml(Sound.model_validate(sound)))
    (root / "published.toml").write_text(to_toml(tiny_protocol()))
    write_blobs(root / "blobs.npz")


def request(root: Path, study: str) -> "Request":
    """What is asked for, of what ``write_inputs`` wrote."""
    from healthgan.protocol import load_protocol
    from healthgan.request import Request

    return Request(str(root / "blobs.npz"), load_protocol(str(root / f"{study}.toml")))


def fork_workers() -> None:
    """From now on workers are forked from this process, where the program forks them from a server that has to load first."""
    from healthgan import executors, studies

    for module in (executors, studies):
        module.load_ahead = lambda: multiprocessing.get_context("fork")


def warm(root: Path, study: str) -> None:
    """Do every job of a study in this process, so that all that libraries compile is there for what is forked from it."""
    from healthgan import studies
    from healthgan.run import RunFolder

    with tempfile.TemporaryDirectory(dir=root) as folder:
        prepared = studies.prepare(request(root, study))
        work, context, _ = studies._work(prepared, RunFolder(Path(folder)), "cpu", 1, 1, 60.0)
        for job in prepared.jobs:
            work(context, job, lambda _: None)
