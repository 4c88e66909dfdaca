"""Damaged run folders, and folders that are none."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from bad_npz import real
from bad_synthetic import deep
from cases import Case, Make

from healthgan.protocol import load_protocol, to_toml
from healthgan.run import RunFolder

ASKED = {
    "source": "blobs",
    "rare": "a",
    "reference": "b",
    "rare_images": 9,
    "height": 28,
    "width": 28,
    "seed": 0,
    "data": "d" * 64,
}


def run(damage: Callable[[Path], object]) -> Make:
    """A run folder with two records, damaged."""

    def make(folder: Path) -> None:
        real(folder)
        path = folder / "run"
        path.mkdir()
        lines = [f"{key} = {json.dumps(value)}" for key, value in ASKED.items()]
        (path / "study.toml").write_text(
            to_toml(load_protocol("paper")) + "\n[study]\n" + "\n".join(lines) + "\n"
        )
        (path / "manifest.json").write_text('{"starts": []}')
        for key in ("generator/0", "generator/1"):
            RunFolder(path).append({"key": key, "artifacts": {}})
        damage(path)

    return make


def written(name: str, content: str | bytes) -> Make:
    return run(
        lambda path: (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    )


def _flip(path: Path) -> None:
    data = bytearray((path / "records.jsonl").read_bytes())
    data[10] ^= 1
    (path / "records.jsonl").write_bytes(data)


def _cut_study(path: Path) -> None:
    text = (path / "study.toml").read_text()
    (path / "study.toml").write_text(text[: len(text) // 2])


def _sparse(name: str) -> Make:
    return run(lambda path: os.truncate(path / name, 10 * 2**30))


def _linked(name: str) -> Make:
    """In place of a folder that a report is written into, a link to one with a picture of the user's."""

    def link(path: Path) -> None:
        (path.parent / "mine").mkdir()
        (path.parent / "mine" / "holiday.png").touch()
        (path / name).symlink_to("../mine")

    return run(link)


FOLDERS: dict[str, tuple[Make, str, str]] = {
    "missing": (lambda _: None, r"There is no folder 'run'", "'run'"),
    "a file": (lambda folder: (folder / "run").touch(), r"There is no folder 'run'", "'run'"),
    "empty": (lambda folder: (folder / "run").mkdir(), r"holds no study", "'run'"),
    "settings cut off": (run(_cut_study), r"is damaged or of another version", "run/study.toml"),
    "settings empty": (written("study.toml", ""), r"is damaged or of another version", "run/study.toml"),
    "settings not UTF-8": (
        written("study.toml", b"\xff"),
        r"is damaged or of another version",
        "run/study.toml",
    ),
    "settings without bottom": (
        written("study.toml", "a = " + "[" * 5000),
        r"is damaged or of another version",
        "run/study.toml",
    ),
    "settings of 10 GiB": (_sparse("study.toml"), r"has 10\.0 GiB", "run/study.toml"),
    "[study] is a number": (
        written("study.toml", to_toml(load_protocol("paper")).replace("name =", "study = 3\nname =", 1)),
        r"is damaged",
        "run/study.toml",
    ),
    "a flipped bit in a record": (run(_flip), r"line 1: damaged", "run/records.jsonl"),
    "record no JSON": (written("records.jsonl", "{\n"), r"line 1: damaged", "run/records.jsonl"),
    "record a number": (written("records.jsonl", "3\n"), r"line 1: damaged", "run/records.jsonl"),
    "record without key": (written("records.jsonl", '{"a": 1}\n'), r"line 1: damaged", "run/records.jsonl"),
    "record whose key is a list": (
        written("records.jsonl", '{"key": []}\n'),
        r"line 1: damaged",
        "run/records.jsonl",
    ),
    "record without bottom": (
        written("records.jsonl", deep(50000) + "\n"),
        r"line 1: damaged",
        "run/records.jsonl",
    ),
    "record of zeros": (
        written("records.jsonl", bytes(4096) + b"\n"),
        r"line 1: damaged",
        "run/records.jsonl",
    ),
    "record whose artefact lies elsewhere": (
        written(
            "records.jsonl", json.dumps({"key": "a", "artifacts": {"../../../etc/hostname.npz": "0"}}) + "\n"
        ),
        r"line 1: damaged",
        "run/records.jsonl",
    ),
    "records of 10 GiB": (_sparse("records.jsonl"), r"has 10\.0 GiB", "run/records.jsonl"),
    "figures linked out": (_linked("figures"), r"is a link", "run/figures"),
    "tables linked out": (_linked("tables"), r"is a link", "run/tables"),
    "manifest of 10 GiB": (_sparse("manifest.json"), r"is damaged", "run/manifest.json"),
    "manifest no JSON": (written("manifest.json", "{"), r"is damaged", "run/manifest.json"),
    "manifest a list": (written("manifest.json", "[]"), r"is damaged", "run/manifest.json"),
    "manifest without bottom": (written("manifest.json", deep(50000)), r"is damaged", "run/manifest.json"),
    "manifest whose starts are a number": (
        written("manifest.json", '{"starts": 3}'),
        r"is damaged",
        "run/manifest.json",
    ),
}


_QUICK = ("study", "real.npz", "--protocol", "sound-quick", "--out", "run")
RESUMED: dict[str, tuple[Make, str]] = {
    "another study": (run(lambda _: None), r"'run' holds a study with other settings"),
    "a foreign folder": (
        lambda folder: (real(folder), (folder / "run").mkdir(), (folder / "run" / "thesis.doc").touch()),
        r"holds no study",
    ),
    "a file in the way": (lambda folder: (real(folder), (folder / "run").touch()), r"'run' cannot be used"),
    "a link to nowhere": (
        lambda folder: (real(folder), (folder / "run").symlink_to("nowhere/run")),
        r"'run' cannot be used",
    ),
    "settings not UTF-8": (written("study.toml", b"\xff"), r"'run/study\.toml' is damaged"),
    "settings a folder": (
        lambda folder: (real(folder), (folder / "run" / "study.toml").mkdir(parents=True)),
        r"'run' cannot be used",
    ),
}

CASES = [
    *[
        Case(f"report: {name}", make, ("report", "run"), says, names)
        for name, (make, says, names) in FOLDERS.items()
    ],
    *[Case(f"run folder: {name}", make, _QUICK, says, "run") for name, (make, says) in RESUMED.items()],
]
