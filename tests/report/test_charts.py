"""Figures drawn by hand: what must be in them, that nothing touches or leaves them, and that colours can be read."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.report.charts.axes import APART, Scale, fits, plain, signed, thinned, ticks_across, ticks_up
from healthgan.report.charts.forest import Forest, Line
from healthgan.report.charts.published import loss_figure
from healthgan.report.charts.svg import NARROW, SMALL, WIDE, element, text, width_of
from healthgan.report.palette import DARK, LIGHT, PRINT

STEADY = Line("both-25", "synthetic", 0.01, -0.01, 0.03, (-0.005, 0.025))
UNSTEADY = Line("synthetic-50", "synthetic", -0.1, -0.9, 0.7, (-0.5, 0.3), steady=False)
CONTROL = Line("noise", "control", -0.3, -0.35, -0.25, (-0.33, -0.27))


def forest(*lines: Line, **more: object) -> Forest:
    titles = {"synthetic": "with", "reference": "without", "control": "controls"}
    return Forest(lines, "difference in AUROC to 'classical'", 0.01, titles, **more)


def drawn(found: Forest, width: float) -> tuple[ElementTree.Element, float]:
    body, height = found.draw(width)
    return ElementTree.fromstring(f"<svg>{body}</svg>"), height


def test_a_failed_training_does_not_stretch_the_axis() -> None:
    assert forest(STEADY, UNSTEADY).limits() == forest(STEADY).limits()
    low, high = forest(UNSTEADY).limits()
    assert (low, high) == pytest.approx((-0.948, 0.748)), "where there is no other it is all there is"


def test_a_control_far_off_stretches_the_axis_only_so_far() -> None:
    low, high = forest(STEADY, CONTROL).limits()
    assert low > -0.1
    assert high == pytest.approx(forest(STEADY).limits()[1], abs=0.01)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_what_lies_beyond_the_axis_ends_in_an_arrow(width) -> None:
    arrows = dict.fromkeys(("steady", "both sides", "one side"), 0)
    for name, lines in (
        ("steady", (STEADY,)),
        ("both sides", (STEADY, UNSTEADY)),
        ("one side", (STEADY, CONTROL)),
    ):
        root, _ = drawn(forest(*lines), width)
        arrows[name] = sum(one.get("stroke") is None for one in root.iter("polygon"))
    assert arrows == {"steady": 0, "both sides": 2, "one side": 1}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("label", ["real", "synthetic-classical − transfer-classical"])
def test_nothing_of_a_forest_plot_leaves_it(width, label) -> None:
    lines = [Line(label, kind, 0.01, -0.02, 0.04, None) for kind in ("synthetic", "reference")]
    root, height = drawn(forest(*lines), width)
    for one in root.iter("text"):
        x, length = float(one.get("x")), width_of(one.text, float(one.get("font-size")))
        left = {"end": x - length, "middle": x - length / 2}.get(one.get("text-anchor"), x)
        assert left >= -1, one.text
        assert left + length <= width + 1, one.text
        assert 0 < float(one.get("y")) < height
    ends = [float(one.get(name)) for one in root.iter("line") for name in ("x1", "x2")]
    assert min(ends) >= 0
    assert max(ends) <= width


def test_a_mark_is_filled_where_zero_is_left_out() -> None:
    for line, fill in ((STEADY, "var(--paper)"), (CONTROL, "var(--control)")):
        root, _ = drawn(forest(line), WIDE)
        marks = [one for one in root.iter() if one.get("stroke-width") == "1.6"]
        assert [one.get("fill") for one in marks] == [fill]


def test_all_numbers_of_a_forest_plot_can_be_heard_and_pointed_at() -> None:
    found = forest(STEADY, UNSTEADY)
    svg = found.figure("forest", "All arms").file()
    assert "both-25 +0.010 (−0.010 to +0.030); synthetic-50 −0.100 (−0.900 to +0.700)." in svg
    assert "<title>synthetic-50: −0.100 (−0.900 to +0.700)</title>" in svg


@given(st.floats(-1e4, 1e4), st.floats(1e-4, 1e4), st.sampled_from([WIDE, NARROW]))
def test_labels_of_an_axis_never_touch(low, span, width) -> None:
    scale = Scale(low, low + span, 50, width - 10)
    for label in (plain, signed):
        labels = ticks_across(scale, label)
        assert fits(scale, labels)
        assert all(low - span / 1e6 <= value <= low + span * (1 + 1e-6) for value, _ in labels)
        ends = [
            (scale(value) - width_of(name, SMALL) / 2, scale(value) + width_of(name, SMALL) / 2)
            for value, name in labels
        ]
        assert all(one[1] + APART <= other[0] for one, other in itertools.pairwise(ends))
    up = ticks_up(Scale(low, low + span, 300, 0), plain)
    assert len(up) >= 1
    assert len(up) <= 10


@given(st.lists(st.integers(10, 5000), min_size=2, max_size=12, unique=True).map(sorted))
def test_uneven_ticks_keep_first_or_last_and_never_touch(counts) -> None:
    scale = Scale(counts[0], counts[-1], 50, 350, np.log)
    kept = thinned(scale, [(float(count), f"{count:,}") for count in counts])
    assert kept[-1][0] == counts[-1]
    assert fits(scale, kept)


def test_zero_has_no_sign_and_minus_is_a_minus() -> None:
    assert [signed(value, 2) for value in (0, -0.001, -0.25, 0.5)] == ["0", "0", "−0.25", "+0.50"]
    assert plain(-1.5, 1) == "−1.5"


def test_text_is_escaped_and_numbers_are_short() -> None:
    assert str(text(1, 2.345678, '<script> & "')) == (
        '<text x="1" y="2.35" fill="var(--ink)" font-size="13">&lt;script&gt; &amp; &#34;</text>'
    )
    assert str(element("rect", x=-0.001, width=100.0, fill=None)) == '<rect x="0" width="100"/>'


def test_long_trainings_are_thinned_and_short_ones_drawn() -> None:
    rng = np.random.default_rng(0)
    for epochs, points in ((1, 2), (60, 60), (500, 125)):
        svg = loss_figure({0: rng.random((epochs, 2)).astype(np.float32)}).file()
        drawn = [path for path in re.findall(r'd="M([^"]+)"', svg) if path.count("L") > 0]
        assert {path.count("L") + 1 for path in drawn} == {points}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_text_and_lines_have_the_contrast_that_wcag_asks_for(colours) -> None:
    words = ("ink", "muted", "real", "generated", "control", "helps", "hurts", "alarm")
    for ground in ("paper", "card", "wash", "alarm-wash"):
        assert min(contrast(colours[name], colours[ground]) for name in words) >= 4.5
    assert contrast(colours["edge"], colours["paper"]) >= 3
    for name in ("real", "generated", "control"):
        assert contrast(colours[name], colours["band"]) >= 3
