"""What README.md and docs/ show can be run: Python blocks run in order, commands parse, cheap ones run.

A block is fenced with its language, or indented and told by its first line. An HTML comment before a block says what
the reader is not shown: ``<!-- runs after: CODE -->`` runs Python first, ``<!-- runs with: THIS for: THAT -->`` puts
smaller settings in, ``<!-- not run: REASON -->`` leaves the block out (of a shell block, that it isn't parsed either).
"""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from typer.main import get_command

from healthgan.cli import app
from healthgan.generators import presets

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"python": "python", "py": "python", "sh": "shell", "bash": "shell", "console": "shell", "": ""}
PROGRAM = re.compile(r"(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?healthgan (?P<arguments>.*)")
NOTE = re.compile(r"<!-- (?P<kind>runs after|runs with|not run):\s*(?P<text>.*?)\s*-->", re.DOTALL)

CHEAP = {
    "healthgan data show SOURCE",
    "healthgan study SOURCE --rare CLASS --dry-run",
}
"""Commands that run here, on the phantom."""
PHANTOM = {"SOURCE": "phantom", "CLASS": "cardiomegaly"}


@dataclass(frozen=True)
class Block:
    """Code in a page."""

    place: str
    language: str
    code: str
    before: str = ""
    skipped: str = ""


def blocks(path: Path) -> Iterator[Block]:
    before = changed = skipped = ""
    for token in MarkdownIt().parse(path.read_text("utf-8")):
        if token.type == "html_block":
            for note in NOTE.finditer(token.content):
                before += note["text"] + "\n" if note["kind"] == "runs after" else ""
                changed = note["text"] if note["kind"] == "runs with" else changed
                skipped = note["text"] if note["kind"] == "not run" else skipped
        elif token.type in ("fence", "code_block"):
            assert token.map is not None
            language = LANGUAGES.get(token.info.strip(), token.info.strip())
            place = f"{path.relative_to(ROOT)}:{token.map[0] + 1}"
            code = token.content
            if changed:
                small, shown = changed.split(" for: ")
                assert shown in code, f"{place} has no {shown}"
                code = code.replace(shown, small)
            yield Block(place, language or guess(code), code, before, skipped)
            before = changed = skipped = ""


def guess(code: str) -> str:
    """The language of an indented block, by its first line that is no comment."""
    code = re.sub(r"\A(#.*\n|\s)*", "", code)
    if re.match(r"(from \S+ )?import ", code):
        return "python"
    return "shell" if PROGRAM.match(code) or re.match(r"(make|pip|tensorboard) ", code) else ""


def commands(code: str) -> Iterator[str]:
    """The lines that call this program, a line that goes on joined, comments left out."""
    for line in code.replace("\\\n", " ").splitlines():
        found = PROGRAM.fullmatch(line.split("  #")[0].strip())
        if found:
            yield f"healthgan {found['arguments'].strip()}"


def mentioned(path: Path) -> Iterator[tuple[str, str]]:
    """Whole commands in running text, and where they stand: a command's name alone, or one with a gap, is none."""
    for token in MarkdownIt().parse(path.read_text("utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and "…" not in child.content:
                for command in commands(child.content):
                    name = 3 if command.startswith("healthgan data ") else 2
                    if len(command.split()) > name and token.map is not None:
                        yield f"{path.relative_to(ROOT)}:{token.map[0] + 1}", command


PYTHON = [path for path in FILES if any(block.language == "python" for block in blocks(path))]
SHELL = [
    pytest.param(command, id=f"{block.place} {command}")
    for path in FILES
    for block in blocks(path)
    if block.language == "shell" and not block.skipped
    for command in commands(block.code)
]
SHELL += [
    pytest.param(command, id=f"{place} {command}") for path in FILES for place, command in mentioned(path)
]


@pytest.mark.slow
@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run_in_order(path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    # In this process; a study's workers know the preset as it is.
    few = replace(presets.DIFFUSION["edm-quick"], steps=60, checks=2)
    monkeypatch.setitem(presets.DIFFUSION, "edm-quick", few)
    names: dict[str, object] = {"__name__": "docs"}
    for block in blocks(path):
        if block.language == "python" and not block.skipped:
            for code in (block.before, block.code):
                exec(compile(code, block.place, "exec"), names)  # our own pages


@pytest.mark.parametrize("command", SHELL)
def test_commands_have_only_arguments_that_there_are(command) -> None:
    parse(shlex.split(command)[1:])


def parse(arguments: list[str]) -> None:
    """Let the command line read its arguments, without doing anything."""
    name, command, rest, context = "healthgan", get_command(app), arguments, None
    while True:
        context = command.make_context(name, list(rest), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        name, command, rest = command.resolve_command(context, rest)


def test_a_wrong_command_is_found() -> None:
    parse(["study", "phantom", "--rare", "cardiomegaly"])
    parse(["data", "show", "phantom"])
    for wrong in (
        ["study", "phantom", "--rarest", "x"],
        ["studi", "phantom"],
        ["data", "shows", "x"],
        ["study"],
    ):
        with (
            contextlib.redirect_stderr(io.StringIO()),
            pytest.raises(Exception, match=r"(?i)no such|missing"),
        ):
            parse(wrong)


def test_cheap_commands_are_among_them() -> None:
    shown = {parameters.values[0] for parameters in SHELL}
    assert shown >= CHEAP


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(CHEAP))
def test_cheap_commands_run(command, main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [PHANTOM.get(word, word) for word in shlex.split(command)[1:]]
    ended = main(*words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert not list(tmp_path.iterdir())


def test_every_block_is_of_a_known_language() -> None:
    """What no test knows what to do with would drift."""
    unknown = {
        block.place: block.language
        for path in FILES
        for block in blocks(path)
        if block.language not in ("python", "shell", "text", "toml", "json", "") and not block.skipped
    }
    assert not unknown
