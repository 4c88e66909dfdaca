"""The likeness explorer in a browser: counts as in the records, similarity as in healthgan.ssim, keys, and no harm done."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from explored_runs import explored_sound_run
from page_clock import PageClock
from playwright.sync_api import Page
from skimage.metrics import structural_similarity

from healthgan.report import build
from healthgan.report.explorer_data import LABELS
from healthgan.run import RunFolder
from healthgan.ssim import best_match

PAGE = 30


@pytest.fixture(scope="session")
def sound(sound_run) -> RunFolder:
    return sound_run


@pytest.fixture(scope="session")
def published(published_run) -> RunFolder:
    return published_run


@pytest.fixture
def opened(reader):
    """Opens the page of a run and waits for its explorer."""

    def open_page(run: RunFolder, width: int = 1400, colours: str = "light") -> Page:
        page = reader.open(run.path / "report.html", width=width, colours=colours)
        page.wait_for_selector("#explorer[data-ready]")
        return page

    return open_page


def part(page: Page, name: str) -> Any:
    return page.locator(f'#explorer [data-part="{name}"]')


def grid(page: Page) -> Any:
    return part(page, "grid").locator("button")


def counts(page: Page) -> dict[str, int]:
    """By what the filter calls them."""
    texts = "rows => rows.map(row => ['span', 'output'].map(name => row.querySelector(name).innerText))"
    rows = part(page, "reasons").locator("label:visible").evaluate_all(texts)
    return {name: number(count) for name, count in rows}


def attributes(found: Any, name: str) -> list[str]:
    """An attribute of all elements at once."""
    return found.evaluate_all(f"all => all.map(one => one.getAttribute({name!r}))")


def number(text: str) -> int:
    return int(text.replace(",", ""))


def record(folder: RunFolder, key: str) -> dict[str, Any]:
    return {found["key"]: found for found in folder.records()}[key]


def stored(folder: RunFolder, name: str, prefix: str = "") -> dict[str, np.ndarray]:
    with np.load(folder.artifact(name)) as file:
        return {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}


def choose(page: Page, name: str, text: str) -> None:
    part(page, name).locator("label").filter(has=page.get_by_text(text, exact=True)).click()


def press(page: Page, name: str, times: int, key: str) -> None:
    part(page, name).focus()
    for _ in range(times):
        page.keyboard.press(key)


def dialog(page: Page) -> Any:
    return page.locator("#explorer dialog")


def test_at_the_studys_own_settings_counts_are_the_records(sound, opened) -> None:
    page, pool = opened(sound), record(sound, "pool/main/0")
    for number_of, name in enumerate(("rare", "reference")):
        part(page, "pools").locator("label").nth(number_of).click()
        facts = pool[name]
        assert counts(page) == {"all": facts["candidates"], **facts["verdicts"]}
        assert number(part(page, "kept").inner_text()) == facts["kept"]["band"]
        choose(page, "rules", "floor")
        assert number(part(page, "kept").inner_text()) == facts["kept"]["floor"]
        assert set(counts(page)) == {"all", "accepted", "constant", "unlike"}
        choose(page, "rules", "band")
    heldout = stored(sound, "truth/main.npz")["rare_heldout_likeness"].astype(float)
    band = record(sound, "band/main")["rare"]
    kept = ((heldout >= band["low"]) & (heldout <= band["high"])).sum()
    assert (
        f"Of {len(heldout)} held-out real images it would keep {kept}," in part(page, "heldout").inner_text()
    )


def test_every_floor_of_the_published_study_keeps_what_its_record_says(published, opened) -> None:
    page, accepted = opened(published), record(published, "likeness")["accepted"]
    buttons = part(page, "study").locator("button")
    assert buttons.count() == len(accepted)
    for place, kept in enumerate(accepted.values()):
        buttons.nth(place).click()
        assert number(part(page, "kept").inner_text()) == kept
        assert attributes(buttons, "aria-pressed").count("true") == 1


def test_moving_an_end_changes_counts_histogram_and_images_at_once(sound, opened) -> None:
    page, pool = opened(sound), stored(sound, "synthetic/main-0.npz", "rare_")
    band, histogram = record(sound, "band/main")["rare"], part(page, "histogram").locator("path.ex-kept")
    before, likeness = histogram.get_attribute("d"), pool["likeness"].astype(float)
    duplicate = pool["verdict"] == LABELS.index("duplicate")
    press(page, "low", 60, "ArrowRight")
    low = round(1000 * band["low"] + 60) / 1000
    assert part(page, "low-value").inner_text() == f"{low:.3f}"
    inside = (likeness >= low) & (likeness <= band["high"])
    assert counts(page)["accepted"] == (inside & ~duplicate).sum()
    assert counts(page)["unlike"] == (likeness < low).sum()
    assert histogram.get_attribute("d") != before
    choose(page, "reasons", "accepted")
    last = part(page, "order").select_option("least") and grid(page).first.inner_text()
    assert float(last) == pytest.approx(likeness[inside & ~duplicate].min(), abs=5e-4)
    press(page, "low", 60, "ArrowLeft")
    assert counts(page)["accepted"] == record(sound, "pool/main/0")["rare"]["kept"]["band"]


def test_ends_do_not_pass_each_other(sound, opened) -> None:
    page = opened(sound)
    press(page, "low", 1, "End")
    assert part(page, "low-value").inner_text() == part(page, "high-value").inner_text()
    press(page, "high", 1, "Home")
    assert part(page, "low-value").inner_text() == part(page, "high-value").inner_text()
    part(page, "study").locator("button").click()
    assert counts(page)["accepted"] == record(sound, "pool/main/0")["rare"]["kept"]["band"]


def test_a_filter_shows_the_images_of_one_reason(sound, opened) -> None:
    page, pool = opened(sound), stored(sound, "synthetic/main-0.npz", "rare_")
    for code, label in enumerate(LABELS):
        choose(page, "reasons", label)
        wanted = np.flatnonzero(pool["verdict"] == code) + 1
        told = attributes(grid(page), "aria-label")
        assert all(label in text for text in told)
        shown = {int(re.match(r"Synthetic image (\d+)", text)[1]) for text in told}
        assert shown <= set(wanted.tolist())
        assert len(shown) == min(PAGE, len(wanted))
    assert "too like an image that the study kept" in part(page, "meaning").inner_text()


WALK = """() => Array.from({ length: 60 }, () => {
  const box = document.querySelector("#explorer dialog"), map = box.querySelector('[data-part="map"]');
  const found = [box.querySelector('[data-part="title"]').innerText, map.checkVisibility() ? map.dataset.mean : null];
  box.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  return found;
})"""


@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_of_every_pair_has_the_studys_likeness_as_its_mean(tmp_path, opened, channels) -> None:
    size = 28 if channels == 1 else 20
    folder = explored_sound_run(tmp_path / "run", count=60, size=size, channels=channels)
    build(folder.path)
    page, pool = opened(folder), stored(folder, "synthetic/main-0.npz", "rare_")
    grid(page).first.click()
    seen = page.evaluate(WALK)
    means = {int(title.split()[-1]) - 1: float(mean) for title, mean in seen if mean is not None}
    assert len({title for title, _ in seen}) == 60
    constant = np.flatnonzero(np.isnan(pool["likeness"]))
    assert set(means) == set(range(60)) - set(constant.tolist())
    for place, mean in means.items():
        assert mean == pytest.approx(float(pool["likeness"][place]), abs=1e-6)


def test_the_map_is_that_of_scikit_image(sound, opened) -> None:
    page, rng = opened(sound), np.random.default_rng(4)
    for height, width, channels in ((7, 7, 1), (9, 12, 1), (16, 11, 3)):
        query, reference = rng.integers(0, 256 // rng.integers(1, 4), (2, height, width, channels), np.uint8)
        script = "([x, y, h, w, c]) => { const m = LikenessExplorer.ssimMap(x, y, h, w, c); return [[...m.values], m.mean]; }"
        given = [query.ravel().tolist(), reference.ravel().tolist(), height, width, channels]
        values, mean = page.evaluate(script, given)
        _, full = structural_similarity(
            query.astype(float), reference.astype(float), data_range=np.ptp(query), channel_axis=2, full=True
        )
        inside = full[3:-3, 3:-3].mean(axis=2)
        assert np.asarray(values).reshape(inside.shape) == pytest.approx(inside, abs=1e-9)
        assert mean == pytest.approx(float(best_match(query[None], reference[None])[0][0]), abs=1e-6)
    assert (
        page.evaluate("LikenessExplorer.ssimMap(new Uint8Array(49).fill(9), new Uint8Array(49), 7, 7, 1)")
        is None
    )


def test_keys_walk_through_the_images_and_back(sound, opened) -> None:
    page = opened(sound)
    grid(page).first.focus()
    where = "document.activeElement.getAttribute('aria-label')"
    labels = attributes(grid(page), "aria-label")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(where) == labels[1]
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('.ex-grid')).gridTemplateColumns.split(' ').length"
    )
    page.keyboard.press("ArrowDown")
    assert page.evaluate(where) == labels[1 + columns]
    page.keyboard.press("Enter")
    assert dialog(page).is_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    assert dialog(page).is_hidden()
    assert page.evaluate(where) == labels[2 + columns]
    page.keyboard.press("PageDown")
    assert "31–60 of 150" in part(page, "page").first.inner_text()
    page.keyboard.press("End")
    assert "121–150 of 150" in part(page, "page").first.inner_text()
    page.keyboard.press("Home")
    assert page.evaluate(where) == labels[0]
    assert attributes(grid(page), "tabindex").count("0") == 1


def test_a_constant_image_has_no_map(sound, opened) -> None:
    page = opened(sound)
    choose(page, "reasons", "constant")
    grid(page).first.click()
    assert dialog(page).locator("figure:visible").count() == 1
    assert "all its pixels are equal" in dialog(page).inner_text()


def test_without_patients_images_nothing_real_is_drawn(sound, opened, tmp_path) -> None:
    folder = RunFolder(Path(shutil.copytree(sound.path, tmp_path / "run")))
    build(folder.path, patient_images=False)
    page = opened(folder)
    assert part(page, "grid").locator("canvas:visible").count() == PAGE
    grid(page).first.click()
    assert dialog(page).locator("figure:visible").count() == 1
    assert "training image" not in grid(page).first.get_attribute("aria-label")
    assert counts(page)["accepted"] == record(folder, "pool/main/0")["rare"]["kept"]["band"]


MOVES = """async () => {
  const ends = ["low", "high"].map((name) => document.querySelector(`#explorer [data-part="${name}"]`));
  for (let i = 0; i < 60; i++) {
    const end = ends[i % 2], [least, most] = [Number(end.min), Number(end.max)];
    end.value = Math.round(least + (most - least) * (i % 2 ? 1 - i / 140 : i / 140));
    end.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
  }
}"""


@pytest.mark.slow
def test_four_thousand_images_open_and_move_fast(tmp_path, opened) -> None:
    """By the time of the page's own thread, which other processes do not change: < 2 s to open, < 50 ms a move."""
    folder = explored_sound_run(tmp_path / "run", count=2000)
    build(folder.path)
    assert (folder.path / "report.html").stat().st_size < 5_000_000
    here = opened(folder)
    clock = PageClock(here)
    spent, allowed = clock.spent_and_allowed(lambda: clock.opening("#explorer[data-ready]"), 2)
    assert 0 < spent < allowed
    spent, allowed = clock.spent_and_allowed(lambda: clock.spent(lambda: here.evaluate(MOVES)), 60 * 0.05)
    assert spent < allowed


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("study", ["sound", "published"])
def test_everyone_can_use_it(sound, published, opened, study, colours) -> None:
    page = opened(sound if study == "sound" else published, 400, colours)
    for width in (400, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.title() != "harmed"
    page.evaluate("document.querySelectorAll('section:not(#explorer)').forEach(one => one.remove())")
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert violations(page, colours) == []
        grid(page).nth(1).click()
        assert violations(page, colours) == []
        page.keyboard.press("Escape")


def violations(page: Page, colours: str) -> list[str]:
    """What axe finds in the explorer; in the dark, of that which colours decide."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if colours == "dark":
        options["runOnly"] = ["color-contrast"]
    found = Axe().run(page, "#explorer", options).response
    assert "color-contrast" in {one["id"] for one in found["passes"]}
    return [
        f"{one['id']}: {json.dumps([node['html'] for node in one['nodes']])}" for one in found["violations"]
    ]
