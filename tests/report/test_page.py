"""The files of a report: what is written, that it is whole, safe, small and the same every time."""

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from explored_runs import explored_published_run
from fake_run import FLOORS, paper, write_run
from PIL import Image

from healthgan.report import build, pictures
from healthgan.report.brought import warnings
from healthgan.report.palette import LIGHT
from healthgan.report.reading import read_run
from healthgan.run import RunFolder

CHARTS = (
    "figure-3",
    "figure-3-epochs",
    "figure-5",
    "figure-6",
    "figure-7",
    "differences",
    "likeness",
    "losses",
    "roc",
    "calibration",
)
TABLES = ("figure-1", "figure-2", "figure-4", "likeness", "losses", "roc", "calibration")
EMPTY = {"meta", "img", "br", "source", "link", "hr", "input"}

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "numba", "matplotlib"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from healthgan.cli import main
sys.argv = ["healthgan", "report", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> RunFolder:
    folder = write_run(tmp_path_factory.mktemp("page") / "run")
    assert build(folder.path) == folder.path / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(built) -> str:
    return (built.path / "report.html").read_text("utf-8")


class Reader(HTMLParser):
    """Checks that elements close in order, and gathers ids, text and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset") and value
        ]
        if tag == "img":
            self.images.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "text"):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_all_files_are_there(built) -> None:
    for name in CHARTS:
        svg = (built.path / f"figures/{name}.svg").read_text("utf-8")
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert "var(" not in svg, "other programs know no style sheets"
    for name in TABLES:
        assert (built.path / f"tables/{name}.csv").read_text("utf-8").count("\n") > 2
    assert not list(built.path.rglob("*.part"))


def test_every_table_that_can_be_copied_is_a_file(built, page) -> None:
    cells = r'data-csv="([^"]*)">Copy as CSV</button><span>\d+ rows?, as in tables/([a-z0-9-]+).csv'
    copied = {name: unescape(content) for content, name in re.findall(cells, page)}
    assert copied.keys() == {*TABLES, "differences"}
    for name, content in copied.items():
        assert content == (built.path / "tables" / f"{name}.csv").read_text("utf-8")


def test_the_page_stands_alone(page) -> None:
    stands_alone(page)


def stands_alone(page: str) -> None:
    """Nothing is loaded, and nothing runs but the scripts that the page's own policy names to the letter."""
    reader = read(page)
    outside = [address for address in reader.addresses if not address.startswith(("data:image/", "#"))]
    assert outside == []
    assert "url(" not in re.sub(r"url\(#", "", page)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1].replace(
        "&#39;", "'"
    )
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert digests == set(re.findall(r"'sha256-([^']+)'", policy))
    assert re.findall(r"<script(?![^>]*application/json)[^>]+>", page) == []
    assert not re.search(r"<[a-z][^>]* on[a-z]+=", re.sub(r'"[^"]*"', '""', page)), (
        "no handler in an attribute"
    )
    assert len(page.encode()) < 5_000_000


def test_the_page_is_well_formed(page) -> None:
    well_formed(page)


def well_formed(page: str) -> None:
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', page)) <= set(reader.ids)
    named = {name for names in re.findall(r'aria-labelledby="([^"]+)"', page) for name in names.split()}
    assert named <= set(reader.ids)
    assert all(image.get("alt") for image in reader.images)
    drawn = re.findall(r"<svg [^>]*>", page)
    assert drawn
    assert [one for one in drawn if 'role="img" aria-label' not in one] == []
    assert all(description for description in re.findall(r"<desc [^>]*>([^<]*)</desc>", page))


def test_figures_stand_in_their_order(page) -> None:
    assert page.index('class="verdict') < page.index('<section id="differences">')
    places = [page.index(f'<section id="figure-{number}"') for number in range(1, 8)]
    assert places == sorted(places)
    assert places[-1] < page.index('id="real-or-synthetic"') < page.index('id="settings"')


def test_faults_stand_beside_their_figure(page) -> None:
    sections = dict(re.findall(r'<section id="([^"]+)"[^>]*>(.*?)</section>', page, re.DOTALL))
    assert "One network goes on from fold to fold" in sections["figure-6"]
    assert "Only the rare class holds generated images" in sections["figure-4"]
    assert "first in the file" in sections["figure-1"]
    assert "two sources" in sections["figure-2"]
    assert page.count("One network goes on from fold to fold") == 1


def test_settings_seed_and_versions_are_told(built, page) -> None:
    text = "".join(read(page).text)
    assert (built.path / "study.toml").read_text("utf-8").strip() in text
    for fact in ("a" * 32, "d" * 64, "c" * 64, "torch 2.13.0", "seed 7"):
        assert fact in text


def test_charts_follow_the_theme(page) -> None:
    follows_the_theme(page)


def follows_the_theme(page: str) -> None:
    charts = "".join(re.findall(r"<svg [^>]*xmlns.*?</svg>", page, re.DOTALL))
    colours = set(re.findall(r"var\(--([a-z-]+)\)", charts))
    assert {"ink", "real", "generated", "paper"} <= colours <= set(LIGHT)
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", charts)) == set()
    assert [text for text in re.findall(r"<text [^>]*>", charts) if 'fill="var(--' not in text] == []


def test_the_same_records_give_the_same_files(built, tmp_path) -> None:
    again = write_run(tmp_path / "run")
    build(again.path)
    for folder in ("figures", "tables"):
        files = sorted(file.name for file in (built.path / folder).iterdir())
        assert files == sorted(file.name for file in (again.path / folder).iterdir())
        for name in files:
            one, two = (
                hashlib.sha256((path / folder / name).read_bytes()).hexdigest()
                for path in (built.path, again.path)
            )
            assert one == two, name
    assert (again.path / "report.html").read_bytes() == (built.path / "report.html").read_bytes()


def test_an_unfinished_run_says_so(tmp_path) -> None:
    folder = write_run(tmp_path / "run", keep=lambda key: key in ("task", "generator/1"))
    page = build(folder.path).read_text("utf-8")
    assert "Unfinished: 1 of 19 jobs" in page
    assert "<code>likeness</code>" in page
    text = "".join(read(page).text)
    assert "Not known yet" in text
    assert "epoch 30" in text, "the one finished training is shown"
    assert not (folder.path / "figures/figure-7.svg").exists()


def test_no_record_at_all(tmp_path) -> None:
    page = build(write_run(tmp_path / "run", keep=lambda _: False).path).read_text("utf-8")
    assert "Unfinished: 0 of 19 jobs" in page
    read(page)


def test_names_of_the_users_do_no_harm(tmp_path) -> None:
    name = '<script>alert("x")</script> $\\frac$ \x1b'
    folder = write_run(tmp_path / "run", rare=name, source="</style><b>")
    page = build(folder.path).read_text("utf-8")
    assert "<script>alert" not in page
    assert "</style><b>" not in page
    assert "\x1b" not in page
    stands_alone(page)
    well_formed(page)


def test_without_patients_images_no_real_one_is_left_anywhere(tmp_path) -> None:
    folder = explored_published_run(tmp_path / "run")
    with_them = build(folder.path).read_text("utf-8")
    assert "This page shows real training images" in with_them
    assert with_them.count('alt="Real training image of') == 8
    reals = reals_of(read_run(folder.path).array("synthetic/examples.npz", "real"))
    assert any(real in with_them for real in reals)
    assert any(real in (folder.path / "figures/figure-3.svg").read_text("utf-8") for real in reals)
    page = build(folder.path, patient_images=False).read_text("utf-8")
    assert "This page was made without real images" in page
    for text in (page, (folder.path / "figures/figure-3.svg").read_text("utf-8")):
        assert not any(real in text for real in reals)
    assert "Real training image of" not in page
    assert "nearest real" not in (folder.path / "figures/figure-3.svg").read_text("utf-8")


def reals_of(pixels: np.ndarray) -> list[str]:
    """Real images as pages hold them."""
    return [base64.b64encode(pictures.png(image)).decode() for image in pixels]


def test_figures_of_an_earlier_report_go_where_this_one_has_none(tmp_path) -> None:
    folder = write_run(tmp_path / "run")
    for name in ("figure-3.png", "of-the-user.txt"):
        (folder.path / "figures").mkdir(exist_ok=True)
        (folder.path / "figures" / name).write_text("old")
    build(folder.path)
    assert not (folder.path / "figures/figure-3.png").exists()
    assert (folder.path / "figures/of-the-user.txt").exists()


def test_colour_images_and_no_control(tmp_path) -> None:
    folder = write_run(tmp_path / "run", channels=3, protocol=paper(control=None))
    page = build(folder.path).read_text("utf-8")
    assert "This protocol has no control." in page
    assert not (folder.path / "tables/figure-2.csv").exists()
    read(page)


def test_published_figures_beside_ours(tmp_path) -> None:
    folder = write_run(tmp_path / "run", source="chestmnist")
    page = build(folder.path).read_text("utf-8")
    assert "published 11,415" in page
    assert "pub. 68.0" in page
    assert "Benavidez" in page
    assert "published 2023" in (folder.path / "figures/figure-7.svg").read_text("utf-8")


def brought(path: Path, **options: object) -> RunFolder:
    """A run as it would be had its images been brought."""
    folder = write_run(path, keep=lambda key: not key.startswith("generator"), **options)
    with (folder.path / "study.toml").open("a") as file:
        file.write(f'synthetic = "{"e" * 64}"\n')
    return folder


def test_published_figures_are_not_set_beside_images_that_were_brought(tmp_path) -> None:
    page = build(brought(tmp_path / "run", source="chestmnist").path).read_text("utf-8")
    assert "Unfinished" not in page
    assert "pub. 68.0" not in page
    assert "Benavidez" not in page


def test_altered_held_out_images_are_warned_of_where_there_are_more_than_by_chance(tmp_path) -> None:
    run = read_run(brought(tmp_path / "run").path)
    suspects = {"suspects": 30, "images": 400, "expected": 4.0, "calibrated_on": 2000, "beyond_chance": True}
    facts = {"synthetic": {"warnings": ["\x1b first."]}}
    for beyond in (True, False):
        likeness = run.records["likeness"] | {"heldout_suspects": suspects | {"beyond_chance": beyond}}
        found = warnings(
            replace(run, records=run.records | {"likeness": likeness, "task": run.records["task"] | facts})
        )
        assert found[0] == "\\x1b first."
        assert [warning[:46] for warning in found[1:]] == [
            "30 of 400 synthetic images look like altered c"
        ] * beyond


def test_a_floor_without_images_has_a_row_and_n(page) -> None:
    section = re.search(r'<section id="figure-4"[^>]*>(.*?)</section>', page, re.DOTALL)[1]
    row = re.search(r"≥ 0.88</th>(.*?)</tr>", section, re.DOTALL)[1]
    assert row.count("n = 0") == 3


def test_examples_are_found_again_with_their_noise(built) -> None:
    run = read_run(built.path)
    found = pictures.examples(run)
    assert len(found) == 8
    for example in found:
        assert example.round == 1
        history = run.array("synthetic/round-1.npz", "history")
        assert np.array_equal(history[example.epoch, example.vector], example.generated)
        noise = run.array("synthetic/round-1.npz", "noise")
        assert np.array_equal(noise[example.vector], example.noise)


def test_the_animation_goes_over_all_epochs(built) -> None:
    path = built.path / "figures/figure-3.gif"
    assert path.stat().st_size <= pictures.GIF_BYTES
    with Image.open(path) as gif:
        assert 10 <= gif.n_frames <= 31


@pytest.mark.parametrize(("last", "expected"), [(0, [0]), (5, [0, 1, 2, 3, 4, 5]), (500, None)])
def test_chosen_epochs_begin_and_end_with_the_training(last, expected) -> None:
    found = pictures.chosen_epochs(last)
    assert expected is None or found == expected
    assert (found[0], found[-1]) == (0, last)
    assert found == sorted(set(found))
    assert len(found) <= 10


@pytest.mark.parametrize("size", [28, 64, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_of_images_is_bounded(size, channels) -> None:
    images = np.full((16, size, size, channels), 7, np.uint8)
    row = pictures.row_of(images)
    side = min(size, pictures.LARGEST)
    assert row.shape == (side, 16 * side + 15, channels)
    assert np.array_equal(row[:, :side], np.full((side, side, channels), 7))
    assert pictures.png(row).startswith(b"\x89PNG")


def test_noise_is_drawn_with_zero_in_the_middle() -> None:
    picture = pictures.noise_picture(np.array([-9, 0, 3], np.float32))
    assert picture[..., 0].tolist() == [[0, 128], [255, 128]]


def test_a_report_needs_neither_torch_nor_numba(tmp_path) -> None:
    folder = write_run(tmp_path / "run")
    command = [sys.executable, "-c", BLOCKED, folder.path, "--no-patient-images"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Figure 4" in result.stdout
    page = (folder.path / "report.html").read_bytes()
    assert b"This page was made without real images" in page
    build(folder.path, patient_images=False)
    assert (folder.path / "report.html").read_bytes() == page, (
        "the same bytes, with those packages and without"
    )


def test_the_histogram_counts_every_candidate(built) -> None:
    lines = (built.path / "tables/likeness.csv").read_text("utf-8").splitlines()[1:]
    rows = [line.split(",") for line in lines]
    run = read_run(built.path)
    likeness = run.array("synthetic/candidates.npz", "likeness")
    assert sum(int(row[2]) for row in rows) == np.isfinite(likeness).sum()
    for floor in FLOORS:
        above = sum(int(count) for start, _, count in rows if float(start) >= floor - 1e-9)
        assert above == (likeness >= floor).sum()


def test_paths_may_be_relative(built, monkeypatch) -> None:
    monkeypatch.chdir(built.path.parent)
    assert build(Path("run")) == Path("run/report.html")
