"""Bad protocol files."""

import os
from importlib import resources
from pathlib import Path

from bad_npz import real
from cases import Case, Make, pipe


def _text(name: str) -> str:
    return (resources.files("healthgan") / "protocols" / f"{name}.toml").read_text("utf-8")


def replaced(before: str, after: str, name: str = "sound-quick") -> str:
    text = _text(name)
    assert before in text, before
    return text.replace(before, after, 1)


def holding(content: str | bytes) -> Make:
    return lambda folder: (folder / "p.toml").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def _sparse(folder: Path) -> None:
    (folder / "p.toml").touch()
    os.truncate(folder / "p.toml", 10 * 2**30)


FILES: dict[str, tuple[Make, str]] = {
    "missing": (lambda _: None, r"There is no file"),
    "a folder": (lambda folder: (folder / "p.toml").mkdir(), r"cannot be read"),
    "empty": (holding(""), r"is missing"),
    "10 GiB of zeros": (_sparse, r"has 10\.0 GiB"),
    "no TOML": (holding("name: sound"), r"is not valid TOML"),
    "not UTF-8": (holding(b"name = '\xff'"), r"cannot be read as UTF-8"),
    "UTF-16": (holding("name = 'x'".encode("utf-16")), r"cannot be read as UTF-8"),
    "key twice": (holding("name = 'a'\nname = 'b'\n"), r"is not valid TOML"),
    "lists without bottom": (holding("a = " + "[" * 5000), r"is not valid TOML"),
    "tables without bottom": (holding("a = " + "{b = " * 5000), r"is not valid TOML"),
    "a number without end": (holding("name = " + "9" * 10000), r"is not valid TOML"),
    "a date that is none": (holding("name = 2020-99-99"), r"is not valid TOML"),
    "control characters": (holding('"\\u001b[31m" = 1\n'), r"no key '\\x1b\[31m'"),
    "key of a megabyte": (holding(f"{'a' * 10**6} = 1\n"), r"no key 'aaa"),
    "mistyped key": (
        holding(replaced("floor =", "flor =")),
        r"no key 'generator\.flor'. The nearest valid one is 'floor'",
    ),
    "mistyped table": (
        holding(replaced("[training]", "[trainig]")),
        r"no key 'trainig'. The nearest valid one is 'training'",
    ),
    "unknown key": (holding("colour = 3\n" + _text("sound-quick")), r"no key 'colour'"),
    "missing key": (holding(replaced("steps = 500\n", "")), r"'training\.steps' is missing"),
    "word for a number": (holding(replaced("steps = 500", "steps = 'many'")), r"'training\.steps' is 'many'"),
    "half a step": (holding(replaced("steps = 500", "steps = 0.5")), r"'training\.steps' is 0\.5"),
    "no steps": (holding(replaced("steps = 500", "steps = 0")), r"'training\.steps' is 0"),
    "true for a number": (holding(replaced("steps = 500", "steps = true")), r"'training\.steps' is True"),
    "number past 64 bits": (holding(replaced("steps = 500", f"steps = {2**70}")), r"'training\.steps' is"),
    "rate of NaN": (
        holding(replaced("learning_rate = 3e-3", "learning_rate = nan")),
        r"'training\.learning_rate' is nan",
    ),
    "rate without end": (
        holding(replaced("learning_rate = 3e-3", "learning_rate = inf")),
        r"'training\.learning_rate' is inf",
    ),
    "negative floor": (holding(replaced("floor = 0.80", "floor = -1.0")), r"'generator\.floor' is -1"),
    "unknown arm": (holding(replaced('"smote"', '"smot"')), r"'smot' is no reference arm"),
    "without the arm real": (holding(replaced('"real", ', "")), r"'real' is needed"),
    "arm twice": (holding(replaced('"smote"', '"classical"')), r"an arm is named twice"),
    "table for a list": (holding(replaced('["noise", "copies", "oracle"]', "{a = 1}")), r"arms\.control"),
    "list in a list": (holding(replaced('["noise", "copies", "oracle"]', "[[1]]")), r"arms\.control"),
    "unknown preset": (
        holding(replaced('preset = "edm-quick"', 'preset = "edm2"')),
        r"'generator\.preset' is 'edm2'",
    ),
    "a million generators": (
        holding(replaced("generators = 2", "generators = 1000000")),
        r"'design\.generators' is 1000000",
    ),
    "a million trainings": (
        holding(replaced("generators = 2\nseeds = 2", "generators = 999\nseeds = 999")),
        r"trainings; 100,000 are",
    ),
    "no name": (
        holding(replaced('name = "sound-quick"', 'name = ""')),
        r"name: '' can't stand in a folder's name",
    ),
    "name that leads out": (
        holding(replaced('name = "sound-quick"', 'name = "../../x"')),
        r"'\.\./\.\./x' can't stand",
    ),
    "a pipe": (pipe("p.toml"), r"is a pipe, a socket or a device"),
    "name of control characters": (
        holding(replaced('name = "sound-quick"', 'name = "\\u001b[31m"')),
        r"can't stand in a folder's name",
    ),
    "floors that fall": (holding(replaced("floors = [", "floors = [0.99, ", "quick")), r"floors"),
    "no floors": (
        holding(
            "\n".join(
                line if not line.startswith("floors") else "floors = []"
                for line in _text("quick").splitlines()
            )
        ),
        r"floors",
    ),
}

NETWORKS = {
    "unknown network": ("cnn", r"There is no network 'cnn'"),
    "network of a missing module": ("no_such_module:make", r"can't be imported"),
    "network that is no network": ("json:loads", r"fails when it is called"),
}


def _network(name: str) -> Make:
    def make(folder: Path) -> None:
        real(folder)
        holding(replaced('"cnn-2023"', f'"{name}"'))(folder)

    return make


_STUDY = ("study", "real.npz", "--protocol", "p.toml")
CASES = [
    *[Case(f"protocol: {name}", make, _STUDY, says, "p.toml") for name, (make, says) in FILES.items()],
    *[
        Case(f"protocol: {name}", _network(network), _STUDY, says, network)
        for name, (network, says) in NETWORKS.items()
    ],
]
