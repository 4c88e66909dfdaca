"""Text for a terminal: nothing is wider than it, nothing of the user's steers it, JSON is JSON."""

import io
import json
import sys

import pytest
from rich.table import Table

from healthgan import terminal
from healthgan.terminal import as_text, echo, plain, print_json, shown


def arms() -> Table:
    table = Table(title="Arms")
    table.add_column("arm", no_wrap=True)
    table.add_column("mean\nAUROC", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_row("real", "0.880", "")
    table.add_row("synthetic-classical", "0.913", "−0.024 to +0.089")
    return table


def test_a_table_that_fits_stays_a_table() -> None:
    text = as_text([arms()], 60)
    assert "┃" in text
    assert max(map(len, text.splitlines())) <= 60


@pytest.mark.parametrize("width", [30, 40, 49])
def test_a_table_that_is_too_wide_becomes_a_paragraph_a_row(width: int) -> None:
    text = as_text([arms()], width)
    assert max(map(len, text.splitlines())) <= width
    assert " ".join(text.split()) == (
        "Arms real: mean AUROC 0.880 synthetic-classical: mean AUROC 0.913, 95 % interval −0.024 to +0.089"
    )


def test_cells_that_may_wrap_do_not_make_a_table_too_wide() -> None:
    table = Table()
    table.add_column("arm", no_wrap=True)
    table.add_column("what it is")
    table.add_row("noise", "noise in place of synthetic images: must not help")
    text = as_text([table], 40)
    assert "┃" in text
    assert max(map(len, text.splitlines())) <= 40


class Screen(io.StringIO):
    """A terminal to write on."""

    def isatty(self) -> bool:
        return True


def test_lines_end_between_words_in_a_terminal_and_paths_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Screen())
    monkeypatch.setenv("COLUMNS", "20")
    echo("The report of this study lies in runs/a-long-name-of-a-folder/report.html", error=True)
    echo("    healthgan study phantom --out run", error=True)
    assert sys.stderr.getvalue().splitlines() == [
        "The report of this",
        "study lies in",
        "runs/a-long-name-of-a-folder/report.html",
        "    healthgan study phantom --out run",
    ]


def test_elsewhere_a_paragraph_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    echo("A line that is longer than twenty columns.")
    assert capsys.readouterr().out == "A line that is longer than twenty columns.\n"
    assert terminal.terminal_width() == terminal.WIDTH


def test_what_is_no_number_is_null_in_json(capsys) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (1, None)}, 5: "ü"})
    text = capsys.readouterr().out
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, 1.5],
        "c": {"d": [1, None]},
        "5": "ü",
    }


def test_names_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[31mb\n") == "a\\x1b[31mb\\x0a"
    assert shown("[bold]x") == "\\[bold]x"
