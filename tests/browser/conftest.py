"""A headless Chromium of the system's; nothing is downloaded.

Where there is none, the tests are skipped with a line that says so; with ``HEALTHGAN_BROWSER=required``, as in CI, that
is a failure.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))  # the run folders that need no training

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        message = "there is no Chromium: install the package 'chromium' to test the report in a browser"
        if os.environ.get("HEALTHGAN_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield found
        found.close()


@dataclass
class Opened:
    """A page in the browser.

    Attributes:
        page: it.
        said: errors and warnings of its console.
        asked: addresses that it asked for, but the page itself.
    """

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


class Reader:
    """Opens files as a reader would, by their ``file://`` address, and watches what they do."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.opened: list[Opened] = []

    def open(self, path: Path, *, width: int = 1400, colours: str = "light", script: bool = True) -> Page:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=colours, java_script_enabled=script
        )
        context.set_default_timeout(30_000)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._contexts.append(context)
        found = Opened(context.new_page())
        self.opened.append(found)
        page, address = found.page, path.as_uri()

        def ask(request: Request) -> None:
            if request.url != address and not request.url.startswith("data:"):
                found.asked.append(request.url)

        page.on(
            "console",
            lambda line: found.said.append(line.text) if line.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: found.said.append(str(error)))
        page.on("request", ask)
        page.goto(address)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def reader(browser) -> Iterator[Reader]:
    """Opens pages; once a test is over, none may have complained or asked for anything."""
    found = Reader(browser)
    yield found
    watched = [(each.said, each.asked) for each in found.opened]
    found.close()
    assert watched == [([], [])] * len(watched), "console messages, or requests"
