"""A bad input as a case: how it is made, the command that meets it, what the user must be told."""

import os
import re
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], object]

ROOM = 500 * 2**20
"""Bytes over what the process held before that a command may take to refuse an input."""
LONGEST = 1000
"""Characters of a message, at most."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        name: unique, ``reader: what is wrong``.
        make: writes it into an empty folder.
        command: arguments of ``healthgan``, run in that folder.
        says: a pattern that the message must match.
        names: what the message must name: a file, an option, a key.
    """

    name: str
    make: Make
    command: tuple[str, ...]
    says: str
    names: str


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: the exit code; 1 where an exception came out, as Python would have it.
        out: what it wrote on stdout.
        err: on stderr, libraries in C included.
        taken: bytes that the process held at most, over what it held before; 0 where the system does not tell.
        written: paths that are new, gone or changed.
    """

    code: int
    out: str
    err: str
    taken: int
    written: tuple[str, ...]


def pipe(name: str) -> Make:
    """A pipe under the name of a file: who opens it waits for ever."""

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / name)

    return make


def run_command(arguments: tuple[str, ...], folder: Path, room: int = ROOM) -> Outcome:
    """``healthgan ARGUMENTS`` in this process and in ``folder``, with no more than ``room`` bytes of new memory."""
    from healthgan import cli

    before, here, argv = _listing(folder), Path.cwd(), sys.argv
    code = 1
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        os.chdir(folder)
        sys.argv = ["healthgan", *arguments]
        try:
            with _into(1, out), _into(2, err), warnings.catch_warnings(), _at_most(room) as taken:
                warnings.simplefilter("default")
                try:
                    cli.main()
                except SystemExit as end:
                    code = int(end.code or 0)
                except BaseException as error:  # noqa: BLE001 # what Python would print is what is looked at
                    print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os.chdir(here)
            sys.argv = argv
        out.seek(0)
        err.seek(0)
        return Outcome(code, out.read(), err.read(), taken(), _differences(before, _listing(folder)))


def faults_of(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with how a command ended; empty where the user was told well."""
    message = outcome.err.removeprefix("Error: ").removesuffix("\n")
    last = re.split(r"(?<=[.!?]) (?=[A-Z'\"(])", message)[-1]
    checks = {
        f"exit code {outcome.code}": outcome.code == 2,
        f"stdout has {outcome.out[:200]!r}": outcome.out == "",
        f"not one message: {outcome.err[:2000]!r}": outcome.err.startswith("Error: ") and "\n" not in message,
        "a traceback": "Traceback" not in outcome.err,
        f"control characters: {message!r}": message.isprintable(),
        f"{len(message)} characters: {message[:300]}": len(message) <= LONGEST,
        f"does not name {case.names!r}: {message}": case.names in message,
        f"does not say {case.says!r}: {message}": re.search(case.says, message) is not None,
        f"no remedy: {message}": _is_remedy(last),
        f"written: {outcome.written}": outcome.written == (),
        f"{outcome.taken / 2**20:.0f} MiB taken": outcome.taken <= ROOM,
    }
    return [fault for fault, well in checks.items() if not well]


REMEDIES = frozenset(
    [
        "Add",
        "Bring",
        "Check",
        "Choose",
        "Convert",
        "Copy",
        "Correct",
        "Did",
        "Divide",
        "Draw",
        "Fill",
        "Give",
        "Install",
        "Keep",
        "Leave",
        "Make",
        "Mend",
        "Name",
        "Number",
        "Pack",
        "Pip",
        "Put",
        "Quote",
        "Remove",
        "Rename",
        "Repair",
        "Repeat",
        "Resample",
        "Restore",
        "Run",
        "Save",
        "Scale",
        "Set",
        "Shrink",
        "Swap",
        "Take",
        "Train",
        "Try",
        "Use",
        "Wait",
        "Write",
    ]
)
"""How the last sentence of a message begins: with what to do."""


def _is_remedy(sentence: str) -> bool:
    if re.match(r"(Its|The) classes are: ", sentence):  # the names to choose from
        return True
    words = re.findall(r"[A-Za-z]+", sentence)
    return sentence.endswith((".", "?")) and bool(words) and words[0] in REMEDIES


@contextmanager
def _into(descriptor: int, file: object) -> Iterator[None]:
    """Send what Python and libraries in C write to a file descriptor into a file."""
    name = {1: "stdout", 2: "stderr"}[descriptor]
    before, stream = os.dup(descriptor), getattr(sys, name)
    stream.flush()
    os.dup2(file.fileno(), descriptor)
    setattr(sys, name, file)
    try:
        yield
    finally:
        file.flush()
        setattr(sys, name, stream)
        os.dup2(before, descriptor)
        os.close(before)


@contextmanager
def _at_most(room: int) -> Iterator[Callable[[], int]]:
    """Refuse this process more address space than it has and ``room``; afterwards, the memory it took at most."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        yield lambda: 0
        return

    def held(what: str) -> int:
        return 1024 * int(re.search(rf"{what}:\s+(\d+) kB", status.read_text())[1])

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    reset.write_text("5")  # the peak starts again from what is held now
    before, after = held("VmRSS"), []
    resource.setrlimit(resource.RLIMIT_AS, (held("VmSize") + room, hard))
    try:
        yield lambda: after[0]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        after.append(max(0, held("VmHWM") - before))


def _listing(folder: Path) -> dict[str, tuple[int, ...]]:
    """Size, time and mode of everything below a folder, by path."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        changes = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
        found[str(path.relative_to(folder))] = (*changes, status.st_mode)
    return found


def _differences(before: dict[str, object], after: dict[str, object]) -> tuple[str, ...]:
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))
