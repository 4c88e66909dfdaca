"""The site's pages: references equal what the program says now, and the navigation names every page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import healthgan
from reference_pages import PAGES, cli_page, python_page

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("name", "written"), [("cli.md", cli_page), ("python.md", python_page)])
def test_reference_is_of_this_version(name, written) -> None:
    page = (PAGES / name).read_text("utf-8")
    assert page == written(), "run: python tests/reference_pages.py"


def test_reference_names_what_there_is() -> None:
    cli, python = cli_page(), python_page()
    for command in ("study", "report", "train", "sample", "likeness", "audit", "data list", "data fetch"):
        assert f"\n## healthgan {command}\n" in cli
    assert "| `--rare-count` | Keep this many rare training images. *(whole number, 3 or more)* |" in cli
    assert "*(auto, cpu, cuda; default `auto`)*" in cli
    for name in set(healthgan.__all__) - {"__version__"}:
        assert f"\n## healthgan.{name}\n" in python


def pages(nav: object) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages(part)


def test_navigation_names_every_page_once_and_no_missing_one() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    there = sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
    assert sorted(pages(settings["nav"])) == there


def test_nothing_of_the_site_comes_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert settings["theme"]["font"] is False
    assert settings["plugins"] == ["search"], "'offline' would load a script from elsewhere"
    assert not {"extra", "extra_javascript", "repo_url"} & set(settings)
    assert all((ROOT / "docs" / file).is_file() for file in settings["extra_css"])
