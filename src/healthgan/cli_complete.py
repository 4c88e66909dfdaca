"""What a shell offers when Tab is pressed. Nothing heavy is imported: it has to come at once."""

import json
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import typer

PRESETS = ("edm", "edm-quick", "dcgan-2023")
SIZES = (64, 128, 224)
"""Of the larger official files of a MedMNIST set; 28 is the one without a size."""
PHANTOM = ("normal", "cardiomegaly")
_FILES = {".npz", ".csv"}


def sources(incomplete: str) -> list[str]:
    """Names of sources, and files and folders that can be one."""
    names = ["phantom", *_medmnist()]
    if "@" in incomplete:
        names = [f"{name}@{size}" for name in names[1:] for size in SIZES]
    return [*_beginning(names, incomplete), *_paths(incomplete, _FILES)]


def medmnist_names(incomplete: str) -> list[str]:
    """Names of MedMNIST sets."""
    return _beginning(_medmnist(), incomplete)


def protocols(incomplete: str) -> list[str]:
    """Names of protocols, and ``.toml`` files."""
    folder = resources.files("healthgan") / "protocols"
    names = [entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return [*_beginning(sorted(names), incomplete), *_paths(incomplete, {".toml"})]


def presets(incomplete: str) -> list[str]:
    """Names of generators' presets."""
    return _beginning(PRESETS, incomplete)


def classes(
    *options: str, argument: int | None = None, also: Iterable[str] = ()
) -> Callable[[typer.Context, str], list[str]]:
    """Completes the classes of the source that was typed before, where they can be told without reading images.

    Args:
        options: of the command, that may name the source; the first that is there counts.
        argument: which argument of the command names it; while an option waits for its value, arguments have no names.
        also: further words.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        typed = [str(ctx.params[name]) for name in options if ctx.params.get(name)]
        if argument is not None:
            typed += ctx.args[argument : argument + 1]
        return _beginning([*_classes(typed[0] if typed else ""), *also], incomplete)

    return complete


def _classes(source: str) -> list[str]:
    if source == "phantom":
        return list(PHANTOM)
    facts = _medmnist().get(source.partition("@")[0])
    if facts is not None:
        labels = list(facts["labels"])
        return [*labels, "normal"] if facts["task"].startswith("multi-label") else labels
    return _folder_classes(Path(source)) if source and Path(source).is_dir() else []


def _folder_classes(folder: Path) -> list[str]:
    """Names of the sub-folders, below a split if there are splits."""
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    train = [entry for entry in inside if entry.name == "train"]
    return [entry.name for entry in (sorted(train[0].iterdir()) if train else inside) if entry.is_dir()]


def _paths(incomplete: str, endings: set[str]) -> list[str]:
    """Folders, and files with these endings, that go on from what was typed."""
    typed = Path(incomplete)
    folder, begun = (typed, "") if incomplete.endswith("/") else (typed.parent, typed.name)
    start = incomplete[: len(incomplete) - len(begun)]
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        f"{start}{entry.name}{'/' * entry.is_dir()}"
        for entry in entries
        if entry.name.startswith(begun)
        and (not entry.name.startswith(".") or begun)
        and (entry.suffix in endings or entry.is_dir())
    ]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _medmnist() -> dict[str, Any]:
    """What is known of the sets of MedMNIST, by name."""
    found: dict[str, Any] = json.loads(
        (resources.files("healthgan") / "sources" / "medmnist.json").read_text("utf-8")
    )
    return found
