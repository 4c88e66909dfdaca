"""What the pages of all studies are made with: templates, style sheet, script, and what a page may load: nothing."""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from jinja2 import BaseLoader, Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from healthgan.report.palette import variables
from healthgan.report.words import floor_text, points
from healthgan.terminal import plain


@dataclass(frozen=True)
class Advice:
    """The answer in a word, and what to do with it.

    Attributes:
        word: the answer.
        mark: a sign for it, so that it is told without its colour.
        tone: ``good``, ``bad``, ``plain`` or ``open``.
        then: what to do.
    """

    word: str
    mark: str
    tone: str
    then: str


@dataclass(frozen=True)
class Notice:
    """What has to be read before the answer.

    Attributes:
        title: in a few words.
        text: what it means.
        names: jobs or files that it is about.
        then: what to do.
    """

    title: str
    text: str
    names: tuple[str, ...] = ()
    then: str = ""


def environment() -> Environment:
    """Templates of the package, and the filters that they write numbers and the user's text with."""
    found = Environment(
        loader=_package(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= {
        "count": lambda value: "–" if value is None else f"{value:,}",
        "percent": lambda value: "–" if value is None else f"{value:.1f}",
        "exact": lambda value: "–" if value is None else f"{value:.3f}",
        "floor": floor_text,
        "points": points,
        "prose": lambda text: re.sub(r" (%|=|±|points)|(?<=[=±]) ", "\u00a0\\1", text),
        "plain": plain,
        "signed": lambda value: f"{value:+.3f}".replace("-", "−"),
    }
    return found


def frame(*others: Markup) -> dict[str, Markup | str]:
    """Style sheet, script and policy of a page.

    Args:
        others: parts of the page that bring scripts of their own.
    """
    script = package_file("page.js")
    return {
        "style": Markup(variables()) + package_file("style.css"),  # noqa: S704 - our own colours
        "script": script,
        "policy": policy([script, *(body for part in others for body in scripts_in(part))]),
    }


def policy(scripts: Iterable[str]) -> str:
    """What the page may do: run these scripts to the letter, show pictures that it holds, and load nothing."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )


def scripts_in(part: Markup) -> list[str]:
    """The scripts of a part of a page that a browser would run; data in JSON are none."""
    return re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", part, re.DOTALL)


def package_file(name: str) -> Markup:
    """The text of a file of the package."""
    text = (resources.files("healthgan.report") / name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of the package


def data_uri(content: bytes, kind: str) -> str:
    """A file inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if seconds < 86400 else f"{seconds / 3600:.0f} h"


def _package() -> BaseLoader:
    folder = resources.files("healthgan.report")
    return FunctionLoader(lambda name: (folder / name).read_text("utf-8"))
