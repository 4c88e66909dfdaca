"""Imports point one way, and the light parts of the program stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "healthgan"

LAYERS: list[set[str]] = [
    {"errors", "files", "stopping", "devices", "adam"},
    {"images", "ssim", "_ssim_kernel", "scores", "keras_semantics", "dropout_masks"},
    {"sources", "splits"},
    {"task", "facts"},
    {"classifiers"},
    {"likeness", "nearest", "fidelity", "privacy"},
    {"generators", "datasets", "exports", "card_text"},
    {"arms"},
    {"jobs", "published_context", "published_classifiers", "sound", "request"},
    {"studies", "study_names", "generate", "sampling"},
    {"estimate", "calibrate", "timings"},
    {
        "api",
        "frames",
        "result",
        "sampler",
        "cli_data",
        "cli_generator",
        "cli_audit",
        "cli_likeness",
        "cli_reals",
        "cli_complete",
        "cli_end",
        "cli_plan",
        "cli_study",
    },
    {"cli"},
    {"__main__"},
]
"""A module may import from its own layer and from those above it in this list."""

ASIDE = {
    "protocol",
    "protocol_sound",
    "run",
    "executors",
    "worker",
    "records",
    "lock",
    "cluster",
    "comparing",
    "sharing",
    "statistics",
    "report",
    "pace",
    "progress",
    "terminal",
    "tracking",
}
"""Import no stage; studies and the command line import them."""

STAGES = set().union(*LAYERS[1:-5]) - {"scores"}


def module_name(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The healthgan modules that a file imports, wherever in the file, by their first part."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("healthgan.")}
    return found - {"__version__"}


FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT)


def rank(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def allowed(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if importer in ASIDE:
        return imported not in STAGES
    if imported in ASIDE:
        return rank(importer) >= rank("jobs") or (importer, imported) == ("arms", "protocol_sound")
    return rank(imported) <= rank(importer)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    module = module_name(path)
    assert module in set().union(*LAYERS) | ASIDE, f"give {module} a place in LAYERS"
    wrong = {name for name in imports(path) if not allowed(module, name)}
    assert not wrong, f"{module} must not import {wrong}"


def test_the_rule_can_fail() -> None:
    assert not allowed("images", "studies")
    assert not allowed("report", "task")
    assert not allowed("likeness", "protocol")
    assert allowed("studies", "task")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import healthgan", ["numpy", "torch", "pandas"]),
        ("import healthgan.result", ["torch"]),
        ("import healthgan.comparing", ["torch", "numba", "pandas"]),
        ("import healthgan.cli", ["torch", "numba", "numpy", "matplotlib"]),
        ("import healthgan.studies", ["torch", "numba", "matplotlib"]),
        ("import healthgan.report", ["torch", "numba"]),
        ("import healthgan.sources", ["torch", "numba"]),
    ],
)
def test_import_is_light(statement: str, absent: list[str]) -> None:
    code = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
