"""What the source itself shows of the promises in docs/threat-model.md: no file is unpickled, one place may download."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "healthgan"
FILES = sorted(SOURCE.rglob("*.py"))

PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NETWORK = {
    "aiohttp",
    "asyncio",
    "ftplib",
    "http",
    "httpx",
    "pooch",
    "requests",
    "smtplib",
    "socket",
    "urllib",
}
RUNNING = {"code", "runpy", "subprocess", "webbrowser"}
MAY = {
    "sharing.py": PICKLING,  # from a process to those that it starts
    "sources/medmnist.py": {"pooch"},
    "cluster/connection.py": {"socket"},  # to the address that the user gave
    "result.py": {"webbrowser"},  # a report that the user asks to open
}
"""The files that may import some of these."""


def imported(tree: ast.AST) -> Iterator[str]:
    """The outermost packages that are imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Calls that run or unpickle what they read."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        said = {word.arg: ast.unparse(word.value) for word in node.keywords}
        reads = re.fullmatch(r"(np|numpy|npy)\.(load|read_array)", name)
        if (
            name in ("eval", "exec", "os.system", "torch.hub.load", "yaml.load", "yaml.unsafe_load")
            or (reads and said.get("allow_pickle") != "False")
            or (name == "torch.load" and said.get("weights_only") != "True")
        ):
            yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_unpickles_runs_or_downloads_but_where_it_is_said(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    may = MAY.get(path.relative_to(SOURCE).as_posix(), set())
    assert set(imported(tree)) & (PICKLING | NETWORK | RUNNING) <= may
    assert list(unsafe(tree)) == []


def test_what_is_looked_for_would_be_found() -> None:
    tree = ast.parse(
        "def f():\n import pickle, urllib.request\n from http import client\n np.load(x)\n"
        "np.load(x, allow_pickle=False)\ntorch.load(x)\ntorch.load(x, weights_only=True)\neval(x)"
    )
    assert set(imported(tree)) == {"pickle", "urllib", "http"}
    assert sorted(unsafe(tree)) == ["eval", "np.load", "torch.load"]
    assert all((SOURCE / name).exists() for name in MAY)


def test_the_threat_model_names_tests_that_are_there() -> None:
    """Every ``tests/….py::test_…`` on the page, with whatever follows after a further ``::`` or in brackets."""
    page = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for file, test in named:
        text = (ROOT / file).read_text("utf-8")
        assert not test or re.search(rf"def {test}\b", text), f"{file} has no {test}"
