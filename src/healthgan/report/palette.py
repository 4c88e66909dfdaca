"""The colours of a report, light and dark: one table for its style sheet and for the figures beside it."""

import re
from collections.abc import Mapping
from types import MappingProxyType

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#fbfaf7",
        "card": "#ffffff",
        "ink": "#1c2430",
        "muted": "#59626f",
        "rule": "#dfe3e8",
        "edge": "#868f9a",
        "wash": "#f1efe9",
        "band": "#e4e6e8",
        "real": "#0068a8",
        "generated": "#b24b00",
        "control": "#666b72",
        "helps": "#0b6623",
        "hurts": "#9a3412",
        "alarm": "#9a3412",
        "alarm-wash": "#fdf3ea",
    }
)
"""``real`` and ``generated`` are the study's blue and orange, told apart with any colour vision (Okabe and Ito)."""

DARK: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#14181d",
        "card": "#1a2026",
        "ink": "#e8e6e1",
        "muted": "#a3adb8",
        "rule": "#323a44",
        "edge": "#75808c",
        "wash": "#1f262d",
        "band": "#29313a",
        "real": "#5cb8ec",
        "generated": "#f2953f",
        "control": "#a8adb3",
        "helps": "#7fd18b",
        "hurts": "#f0a875",
        "alarm": "#f0a875",
        "alarm-wash": "#2a211a",
    }
)

PRINT: Mapping[str, str] = MappingProxyType(
    {**LIGHT, "paper": "#ffffff", "wash": "#ffffff", "ink": "#000000", "alarm-wash": "#ffffff"}
)


def variables() -> str:
    """Style rules that set every colour: by the reader's system, by the page's own switch, and on paper always light."""
    light, dark, paper = (
        "".join(f"--{name}:{value};" for name, value in colours.items()) for colours in (LIGHT, DARK, PRINT)
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f'@media (prefers-color-scheme:dark){{:root:not([data-theme="light"]){{color-scheme:dark;{dark}}}}}\n'
        f':root[data-theme="dark"]{{color-scheme:dark;{dark}}}\n'
        f"@media print{{:root:root:root{{color-scheme:light;{paper}}}}}\n"
    )


def on_white(svg: str) -> str:
    """A figure with the page's variables replaced by the light colours, for programs that know no style sheets."""
    return re.sub(r"var\(--([a-z-]+)\)", lambda found: LIGHT[found[1]], svg)
