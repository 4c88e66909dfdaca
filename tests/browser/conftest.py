"""A headless Chromium of the system's, one for all tests; nothing is downloaded.

Where there is none, the tests are skipped with a line that says so; with ``HEALTHGAN_BROWSER=required``, as in CI, that
is a failure.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))  # the run folders that need no training

from explored_runs import explored_published_run, explored_sound_run
from fake_sound import CURVE, ONWARD, sound
from hostile import COLUMNS, HARM

from healthgan.report import build
from healthgan.run import RunFolder

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
PATIENCE = 300_000
"""Milliseconds: a browser on a busy machine may need minutes for what takes it a second of its own time."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        message = "there is no Chromium: install the package 'chromium' to test the report in a browser"
        if os.environ.get("HEALTHGAN_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=ARGUMENTS, timeout=PATIENCE)
        yield found
        found.close()


@pytest.fixture(scope="session")
def sound_run(tmp_path_factory) -> RunFolder:
    """A sound study with everything a study can have."""
    folder = explored_sound_run(
        tmp_path_factory.mktemp("browser") / "sound",
        protocol=sound(curve=CURVE, onward=ONWARD),
        rare=HARM,
        columns=COLUMNS,
        left_out={"copies": "made up to be left out"},
    )
    build(folder.path)
    return folder


@pytest.fixture(scope="session")
def published_run(tmp_path_factory) -> RunFolder:
    """A study after the published protocol, with the published figures beside its own."""
    folder = explored_published_run(
        tmp_path_factory.mktemp("browser") / "published", source="chestmnist", rare=HARM
    )
    build(folder.path)
    return folder


class Window:
    """A page of the browser, with what its console said and which addresses, but its own, it asked for."""

    def __init__(self, browser: Browser, *, script: bool = True) -> None:
        self._context: BrowserContext = browser.new_context(java_script_enabled=script)
        self._context.set_default_timeout(PATIENCE)
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page: Page = self._context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self._address = ""
        self.page.on(
            "console", lambda line: self.said.append(line.text) if line.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url != self._address and not request.url.startswith("data:"):
            self.asked.append(request.url)

    def show(self, path: Path, width: int, colours: str) -> Page:
        """Open a file by its ``file://`` address, as a reader would."""
        self._address = path.as_uri()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(media="screen", color_scheme=colours)
        self.page.goto(self._address)
        return self.page

    def forget(self) -> None:
        """Leave the page, and what it has stored."""
        self.page.evaluate("localStorage.clear()")
        self._address = "about:blank"
        self.page.goto(self._address)

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="session")
def window(browser) -> Iterator[Window]:
    """One for all tests: to open one takes the browser longer than to show a page."""
    found = Window(browser)
    yield found
    found.close()


class Reader:
    """Opens pages, and remembers what they said and asked for."""

    def __init__(self, browser: Browser, window: Window) -> None:
        self._browser, self._window = browser, window
        self._others: list[Window] = []

    def open(self, path: Path, *, width: int = 1400, colours: str = "light", script: bool = True) -> Page:
        """Show a file as if it were the first that this reader opens."""
        if script:
            if self._window.page.url.startswith("file:"):
                self._window.forget()
            return self._window.show(path, width, colours)
        self._others.append(Window(self._browser, script=False))
        return self._others[-1].show(path, width, colours)

    def close(self) -> None:
        """No page may have complained or asked for anything."""
        if self._window.page.url.startswith("file:"):
            self._window.forget()
        windows = [self._window, *self._others]
        watched = [(each.said[:], each.asked[:]) for each in windows]
        self._window.said.clear()
        self._window.asked.clear()
        for other in self._others:
            other.close()
        assert watched == [([], [])] * len(watched), "console messages, or requests"


@pytest.fixture
def reader(browser, window) -> Iterator[Reader]:
    found = Reader(browser, window)
    yield found
    found.close()
