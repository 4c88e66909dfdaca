"""The likeness explorer's section: true to its run, the same every time, small, safe, and plain about what is missing."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explored_runs import explored_published_run, explored_sound_run
from fake_sound import FakeStudy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from healthgan.likeness import Verdict
from healthgan.report.explorer import explorer_section
from healthgan.report.explorer_data import LABELS, TEXTS, Explored, Rule, explored
from healthgan.report.explorer_sheets import choose, draw, draw_all, sheet
from healthgan.report.reading import read_run
from healthgan.run import RunFolder

HOSTILE = "</script><script>alert(1)</script> \x1b"


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> RunFolder:
    return explored_sound_run(tmp_path_factory.mktemp("sound") / "run", rare=HOSTILE)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> RunFolder:
    return explored_published_run(tmp_path_factory.mktemp("published") / "run", rare=HOSTILE)


def section(folder: RunFolder, **asked: bool) -> str:
    found = explorer_section(read_run(folder.path), **asked)
    assert found is not None
    return str(found)


def data_of(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def pictures(address: str, columns: int, count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """The images of a sheet: (count, H, W, C)."""
    with Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))) as image:
        pixels = np.asarray(image)
    height, width, channels = shape
    rows = pixels.reshape(-1, height, columns, width, channels).swapaxes(1, 2)
    return rows.reshape(-1, height, width, channels)[:count]


def record(folder: RunFolder, key: str) -> dict[str, Any]:
    return {found["key"]: found for found in folder.records()}[key]


def text_of(html: str) -> str:
    return re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)


def test_a_pool_is_told_as_its_record_has_it(sound) -> None:
    rare = record(sound, "pool/main/0")["rare"]
    band = record(sound, "band/main")["rare"]
    for pool in data_of(section(sound))["pools"]:
        verdict = numbers(pool["verdict"], "u1")
        assert {label: int((verdict == code).sum()) for code, label in enumerate(LABELS)} == rare["verdicts"]
        assert all(rare["verdicts"].values()), "every reason is tried"
        bands, floor = pool["rules"]
        assert (bands["values"], bands["copy"], bands["kept"]) == (
            [band["low"], band["high"]],
            band["copy"],
            [rare["kept"]["band"]],
        )
        assert (floor["values"], floor["kept"]) == ([0.8], [rare["kept"]["floor"]])
        assert len(numbers(pool["likeness"], "<f4")) == rare["candidates"]


def test_every_reason_has_its_place_and_its_meaning() -> None:
    assert tuple(verdict.label for verdict in Verdict) == LABELS
    assert len(TEXTS["band"]) == len(LABELS)
    assert len(TEXTS["floor"]) == Verdict.UNLIKE + 1


def test_floors_keep_what_the_record_says(published) -> None:
    (pool,) = data_of(section(published))["pools"]
    likeness, (floors,) = numbers(pool["likeness"], "<f4"), pool["rules"]
    accepted = record(published, "likeness")["accepted"]
    assert {
        f"{value:.2f}": kept for value, kept in zip(floors["values"], floors["kept"], strict=True)
    } == accepted
    assert len(set(accepted.values())) > 2
    for value, kept in zip(floors["values"], floors["kept"], strict=True):
        assert (likeness >= np.float32(value)).sum() == kept


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_the_images_and_those_they_are_most_like(tmp_path, channels) -> None:
    folder = explored_sound_run(tmp_path / "run", channels=channels, size=20, count=60)
    with np.load(folder.artifact("synthetic/main-0.npz")) as file:
        stored = {key: file[f"rare_{key}"] for key in ("images", "nearest")}
    with np.load(folder.artifact("reals/main.npz")) as file:
        reals = dict(zip(file["rare_image"].tolist(), file["rare_pixels"], strict=True))
    pool = data_of(section(folder))["pools"][0]
    shown, slot, nearest = (
        numbers(pool["shown"], "<u4"),
        numbers(pool["slot"], "<i4"),
        numbers(pool["nearest"], "<i4"),
    )
    assert shown.tolist() == list(range(60))
    synthetic = pictures(pool["synthetic"], pool["columns"], 60, pool["shape"])
    assert np.array_equal(synthetic, stored["images"])
    beside = pictures(pool["real"], pool["real_columns"], slot.max() + 1, pool["shape"])
    assert len(beside) == len(set(slot[slot >= 0].tolist())) == len(set(nearest[nearest >= 0].tolist()))
    assert np.array_equal(nearest, stored["nearest"])
    for place in np.flatnonzero(slot >= 0):
        assert np.array_equal(beside[slot[place]], reals[nearest[place]])
    assert (slot < 0).sum() == (nearest < 0).sum() == 1


def test_the_same_run_gives_the_same_section(sound, published, tmp_path) -> None:
    again = explored_sound_run(tmp_path / "run", rare=HOSTILE)
    assert section(again) == section(sound)
    assert section(published) == section(published)


def test_without_patients_images_no_trace_of_them_is_left(sound) -> None:
    text = section(sound, patient_images=False)
    for pool in data_of(text)["pools"]:
        assert [pool[key] for key in ("real", "slot", "nearest")] == [None] * 3
        assert pool["heldout"] is not None, "scores are no images"
    assert "Real patients&#39; images are left out of this page" in text
    assert "Real patients" not in section(sound)
    assert "training image</span> right" not in text_of(text)


def test_names_of_the_users_do_no_harm(sound, published) -> None:
    for folder in (sound, published):
        text = section(folder)
        assert "alert(1)</script>" not in text
        assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
        assert "\x1b" not in text
        assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 2


def test_a_run_of_an_earlier_version_is_shown_and_says_what_it_lacks(tmp_path) -> None:
    text = section(explored_sound_run(tmp_path / "run", earlier=True))
    pool = data_of(text)["pools"][0]
    assert (pool["real"], pool["heldout"]) == (None, None)
    assert text.count("a version that did not keep") == 2
    assert len(numbers(pool["shown"], "<u4")) == 150


def test_lost_real_images_are_named(tmp_path) -> None:
    folder = explored_sound_run(tmp_path / "run")
    folder.artifact("reals/main.npz").unlink()
    text = section(folder)
    assert "artifacts/reals/main.npz is missing or was changed" in text
    assert "did not keep" not in text


@pytest.mark.parametrize("done", [(), ("task",), ("task", "band", "generator", "truth")])
def test_a_study_without_images_yet_has_no_explorer(tmp_path, done) -> None:
    folder = FakeStudy(tmp_path / "run", keep=lambda key: key.split("/")[0] in done).folder
    assert explorer_section(read_run(folder.path)) is None


def test_lost_candidates_leave_no_explorer(tmp_path) -> None:
    folder = explored_published_run(tmp_path / "run")
    folder.artifact("synthetic/candidates.npz").write_bytes(b"damaged")
    assert explorer_section(read_run(folder.path)) is None


def test_of_many_or_large_images_some_are_drawn_and_all_are_counted(sound) -> None:
    classes = explored(read_run(sound.path))
    whole = sum(one.size for one in draw_all(classes))
    drawn = draw_all(classes, budget=whole // 3)
    assert sum(one.size for one in drawn) <= whole // 3
    for found, one in zip(classes, drawn, strict=True):
        assert 30 < len(one.shown) < len(found.images)
        assert set(found.verdict[one.shown]) == set(range(len(LABELS)))


def test_a_picture_of_each_class_is_drawn_however_large(sound) -> None:
    assert [len(one.shown) for one in draw_all(explored(read_run(sound.path)), budget=1)] == [1, 1]


def of_noise(count: int, seed: int = 0) -> Explored:
    """Images that no file format makes smaller."""
    rng = np.random.default_rng(seed)
    likeness = rng.uniform(0, 1, count).astype(np.float32)
    likeness[rng.uniform(size=count) < 0.1] = np.nan
    verdict = np.where(np.isnan(likeness), 1, rng.choice([0, 0, 0, 2, 3], count)).astype(np.uint8)
    images = rng.integers(0, 256, (count, 28, 28, 1), np.uint8)
    rules = (Rule("band", (0.2, 0.8), (0,), 0.9),)
    return Explored("x", images, likeness, verdict, np.full(count, -1), None, None, None, rules)


def test_four_thousand_images_of_noise_stay_small() -> None:
    (drawn,) = draw_all([of_noise(4000)])
    assert 2500 < len(drawn.shown) < 4000
    assert drawn.size <= 3_200_000


@settings(deadline=None)
@given(total=st.integers(1, 60), count=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_choice_is_as_large_as_can_be_and_even(total: int, count: int, seed: int) -> None:
    found = of_noise(total, seed)
    chosen = choose(found, count)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == min(total, count)
    sizes = {code: int((found.verdict == code).sum()) for code in set(found.verdict.tolist())}
    picked = {code: int((found.verdict[chosen] == code).sum()) for code in sizes}
    short = [code for code in sizes if picked[code] < sizes[code]]
    assert all(picked[code] >= max(picked.values()) - 1 for code in short)


def test_a_floor_study_draws_images_above_each_of_its_floors(published) -> None:
    (found,) = explored(read_run(published.path))
    floors = np.array(found.rules[0].values, np.float32)
    reached = (found.likeness[:, None] >= floors).sum(axis=1)
    shown = draw(found, 20).shown
    assert set(reached[shown]) == set(reached)


def test_one_image_makes_a_sheet() -> None:
    image = np.arange(49, dtype=np.uint8).reshape(1, 7, 7, 1)
    content, columns = sheet(image)
    address = "data:image/png;base64," + base64.b64encode(content).decode()
    assert columns == 1
    assert np.array_equal(pictures(address, 1, 1, (7, 7, 1)), image)


def test_brought_images_are_named_so(tmp_path) -> None:
    facts = {"name": "theirs.npz", "warnings": []}
    text = section(explored_sound_run(tmp_path / "run", brought=facts))
    assert "The synthetic images that were brought" in text


def test_files_of_the_section_end_nothing_early() -> None:
    folder = Path(explorer_section.__code__.co_filename).parent
    for file in folder.glob("explorer*.js"):
        assert "</" not in file.read_text("utf-8"), file.name
