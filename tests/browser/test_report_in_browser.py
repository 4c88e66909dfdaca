"""The report as a reader has it: opened from a file, in both colours, on a telephone, by keyboard, read by machines."""

import csv
import io
import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from explored_runs import explored_sound_run
from hostile import FORMULA
from page_clock import PageClock

from healthgan.report import build

HOSTILE = [
    "<script>document.title = 'broken'</script>",
    "\"'><img src=x onerror=\"document.title = 'broken'\">",
    "\u202eright to left\u202c",
    "</style></script>{{ 7 * 7 }}",
    "a" * 300,
]
COLUMNS = {"sex": ["f", "m"] * 160, HOSTILE[0]: [HOSTILE[1]] * 160 + [HOSTILE[4]] * 160}
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")

CUT = """() => [...document.querySelectorAll(".plot svg")].filter((svg) => svg.checkVisibility()).flatMap((svg) => {
  const edge = svg.getBoundingClientRect();
  const beyond = (box) => box.left < edge.left - 2 || box.right > edge.right + 2;
  return [...svg.querySelectorAll("text")].filter((one) => beyond(one.getBoundingClientRect())).map((one) => one.textContent);
})"""

MAIN_THREAD_SECONDS = 2.0
"""Within which a page has to stand: of the browser's work, which does not depend on what else the machine does."""


@pytest.fixture(scope="session")
def sound_report(sound_run) -> Path:
    return sound_run.path / "report.html"


@pytest.fixture(scope="session")
def published_report(published_run) -> Path:
    return published_run.path / "report.html"


@pytest.fixture(scope="session", params=["sound", "published"])
def report(request, sound_report, published_report) -> Path:
    return sound_report if request.param == "sound" else published_report


def until(page, expression: str) -> None:
    """Wait for something to come true, without the eval that the page's policy forbids."""
    deadline = time.monotonic() + 300
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        page.wait_for_timeout(25)


def clipboard(page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


def column(page, table: str, title: str) -> list[str]:
    """The first lines of a column's cells, from top to bottom."""
    grid = page.locator(f"#table-{table}")
    titles = [text.strip() for text in grid.locator("thead tr:last-child th").all_inner_texts()]
    cells = f"rows => rows.map(row => row.cells[{titles.index(title)}].innerText)"
    texts = grid.locator("tbody tr").evaluate_all(cells)
    return [text.splitlines()[0].strip() for text in texts]


def test_a_page_stands_at_once_with_the_answer_on_top(reader, report) -> None:
    page = reader.open(report)
    assert page.locator(".verdict .word").bounding_box()["y"] < 450
    assert page.locator(".verdict .next").is_visible()
    clock = PageClock(page)
    spent, allowed = clock.spent_and_allowed(lambda: clock.opening(".verdict .word"), MAIN_THREAD_SECONDS)
    assert 0 < spent < allowed, "nothing measured, or more than promised"


def test_no_width_makes_the_page_scroll_sideways(reader, report) -> None:
    page = reader.open(report, width=400)
    box = "box.scrollWidth > box.clientWidth + 1"
    boxes = "[...document.querySelectorAll('.scroll')].filter(box => box.checkVisibility())"
    for width in (400, 800, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        until(page, f"{boxes}.every(box => ({box}) === (box.tabIndex === 0))")
        shown = page.locator("#chart-forest svg:visible, #chart-differences svg:visible")
        assert shown.get_attribute("class") == ("narrow" if width == 400 else "wide")
        assert shown.bounding_box()["width"] <= width
        assert page.evaluate(CUT) == [], "text of figures beyond their edges"


def test_a_click_sorts_by_the_full_numbers_and_back(reader, sound_report) -> None:
    page = reader.open(sound_report)
    table = page.locator("#table-arms")
    head = table.get_by_role("columnheader", name="AUROC", exact=True)
    before = column(page, "arms", "arm")
    head.get_by_role("button").click()
    falling = [float(text) for text in column(page, "arms", "AUROC")]
    assert falling == sorted(falling, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert "Sorted by AUROC, falling" in page.locator("#said").inner_text()
    head.get_by_role("button").click()
    assert [float(text) for text in column(page, "arms", "AUROC")] == falling[::-1]
    table.get_by_role("button", name="arm", exact=True).click()
    assert column(page, "arms", "arm") == sorted(before)
    assert head.get_attribute("aria-sort") is None


def test_what_is_missing_stays_last(reader, sound_report) -> None:
    page = reader.open(sound_report)
    button = page.locator("#table-arms").get_by_role("button", name="minus real images alone")
    for _ in range(2):
        button.click()
        assert column(page, "arms", "minus real images alone")[-1] == "–"


def test_sorting_works_by_keyboard(reader, published_report) -> None:
    page = reader.open(published_report)
    button = page.locator("#table-figure-1").get_by_role("button", name="reached")
    button.focus()
    page.keyboard.press("Enter")
    counts = [int(text.replace(",", "")) for text in column(page, "figure-1", "reached")]
    assert counts == sorted(counts, reverse=True)
    page.keyboard.press("Space")
    assert [int(text.replace(",", "")) for text in column(page, "figure-1", "reached")] == counts[::-1]


def test_a_table_is_copied_as_the_file_beside_the_page(reader, sound_report) -> None:
    page = reader.open(sound_report)
    button = page.locator("#table-arms").get_by_role("button", name="Copy as CSV")
    button.click()
    until(page, "document.getElementById('said').textContent === 'Copied'")
    copied = clipboard(page)
    assert copied == (sound_report.parent / "tables/arms.csv").read_text("utf-8")
    shown = column(page, "arms", "arm")
    assert {row["arm"] for row in csv.DictReader(io.StringIO(copied))} == set(shown)


def test_text_that_a_spreadsheet_would_compute_is_copied_as_text(reader, sound_report) -> None:
    page = reader.open(sound_report)
    values: list[str] = []
    for table in ("external-subgroups", "differences"):
        text = page.locator(f"#table-{table} button.copy").get_attribute("data-csv")
        values += [value for row in csv.reader(io.StringIO(text)) for value in row]
    assert f"'{FORMULA}" in values
    assert not [value for value in values if value.startswith(tuple("=+-@")) and not NUMBER.fullmatch(value)]
    assert sum(float(value) < 0 for value in values if NUMBER.fullmatch(value)) > 5, "numbers stay numbers"


def test_the_keyboard_reaches_the_answer_the_sections_and_the_theme(reader, sound_report) -> None:
    page = reader.open(sound_report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer"
    page.get_by_role("link", name="Learning curve").focus()
    page.keyboard.press("Enter")
    assert abs(page.locator("#curve").bounding_box()["y"]) < 120
    page.get_by_role("button", name="Theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def background(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_colours_follow_the_system_or_the_readers_choice(reader, sound_report) -> None:
    light, dark = "rgb(251, 250, 247)", "rgb(20, 24, 29)"
    page = reader.open(sound_report, colours="dark")
    assert background(page) == dark
    switch = page.get_by_role("button", name="Theme")
    switch.click()
    switch.click()
    assert (switch.inner_text(), background(page)) == ("Theme: light", light)
    page.reload()
    assert background(page) == light, "the choice is kept"
    page.emulate_media(media="print")
    assert background(page) == "rgb(255, 255, 255)"
    page = reader.open(sound_report)
    assert background(page) == light
    page.get_by_role("button", name="Theme").click()
    assert background(page) == dark


def test_on_paper_nothing_is_folded_or_cut(reader, sound_report) -> None:
    page = reader.open(sound_report, colours="dark")
    assert page.locator("details:not([open])").count() > 0
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator(".bar").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.set_viewport_size({"width": 680, "height": 900})  # A4 less its margins
    cut = "[...document.querySelectorAll('.scroll')].filter(box => box.offsetParent && box.scrollWidth > box.clientWidth + 1)"
    assert page.evaluate(f"{cut}.map(box => box.getAttribute('aria-label'))") == []


def test_without_scripts_all_numbers_are_there(reader, sound_report) -> None:
    page = reader.open(sound_report, script=False)
    assert page.locator("#table-arms tbody tr").count() == 6
    assert not page.locator("#table-arms .copy").is_visible()
    assert not page.locator("#theme").is_visible()


def test_names_of_the_users_are_shown_as_text(reader, tmp_path) -> None:
    rare, source = " ".join(HOSTILE[:4]), HOSTILE[4] + HOSTILE[1]
    folder = explored_sound_run(tmp_path / HOSTILE[2], count=40, rare=rare, source=source, columns=COLUMNS)
    page = reader.open(build(folder.path), width=400)
    told = rare.replace("\u202e", "\\x202e").replace("\u202c", "\\x202c")
    assert told in page.locator("h1").inner_text()
    assert source in page.locator(".kicker").inner_text()
    assert page.title() == f"HealthGAN: {told} in {source}"
    assert HOSTILE[1] in page.locator("#table-external-subgroups").inner_text()
    assert "\\x202eright to left" in page.locator("footer").inner_text()
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 400


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(reader, report, colours) -> None:
    page = reader.open(report, colours=colours)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    options = {"resultTypes": ["violations"]}
    if colours == "dark":
        options["runOnly"] = ["color-contrast"]  # all that colours decide
    found = Axe().run(page, options=options).response
    grave = [
        (one["id"], one["impact"], [node["html"][:160] for node in one["nodes"]][:4])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == []
    looked = {one["id"] for one in found["passes"]}
    assert "color-contrast" in looked
    assert len(looked) > 20 or colours == "dark"
