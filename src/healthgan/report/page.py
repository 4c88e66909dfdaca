"""What the pages of all studies are made with: templates, styles, pictures inside the page."""

import base64
import re
import time
from importlib import resources

from jinja2 import BaseLoader, Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from healthgan.report.figures import COLOURS, GRID, INK, MUTED
from healthgan.report.words import floor_text, interval, points
from healthgan.terminal import plain

PAPER = "#fbfaf7"
"""Behind what lies on a line: the page's own colour."""

VARIABLES = {
    PAPER: "var(--paper)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--rule)",
    **{colour: f"var(--{arm})" for arm, colour in COLOURS.items()},
}


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
        "estimate": lambda value: "–" if value is None else interval(value),
    }
    return found


def stylesheet(*names: str) -> Markup:
    """Files of the package, one after the other."""
    folder = resources.files("healthgan.report")
    texts = [(folder / name).read_text("utf-8") for name in names]
    return Markup("".join(texts))  # noqa: S704 - files of the package


def inline_svg(svg: str, name: str, label: str) -> Markup:
    """A chart for a page: colours by the page's theme, width by its column, names of its own.

    Args:
        svg: a file of Matplotlib's, with nothing of the user's in it.
        name: goes before every id, so that two charts do not share one.
        label: read out to those who cannot see it.
    """
    body = svg[svg.index("<svg") :]
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    for mark in (' id="', "url(#", 'href="#'):
        body = body.replace(mark, f"{mark}{name}-")
    body = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" ROLE>', body, count=1)
    role = Markup('xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="{}"').format(label)
    return Markup(body.replace("ROLE", role, 1))  # noqa: S704 - our own drawing, no text of the user's


def data_uri(content: bytes, kind: str) -> str:
    """A file inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return (
        time.strftime("%H h %M min", time.gmtime(seconds)) if seconds < 86400 else f"{seconds / 3600:.0f} h"
    )


def _package() -> BaseLoader:
    folder = resources.files("healthgan.report")
    return FunctionLoader(lambda name: (folder / name).read_text("utf-8"))
