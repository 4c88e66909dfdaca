"""Where a study goes unless told otherwise, and what its sources are called."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from healthgan import studies
from healthgan.request import Request
from healthgan.sources import load
from healthgan.study_names import default_folder
from tiny import Ended, tiny_protocol, write_blobs


@pytest.fixture(scope="module")
def blobs_study(blobs: Path) -> studies.Study:
    found = studies.prepare(Request(str(blobs), tiny_protocol()))
    assert isinstance(found, studies.Study)
    return found


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({}, "blobs-tiny"),
        ({"rare": "wide"}, "blobs-tiny-wide"),
        ({"rare": "wide", "reference": "rest"}, "blobs-tiny-wide-vs_rest"),
        ({"rare_count": 20}, "blobs-tiny-rare20"),
        ({"seed": 3, "size": 28}, "blobs-tiny-size28-seed3"),
    ],
)
def test_what_differs_from_the_defaults_stands_in_the_name(
    blobs_study: studies.Study, asked: dict[str, object], name: str
) -> None:
    request = replace(blobs_study.request, **asked)
    assert default_folder(replace(blobs_study, request=request)) == Path("runs") / name


def test_a_class_of_any_name_makes_a_folder_of_its_own_inside_runs(blobs_study: studies.Study) -> None:
    odd = replace(
        blobs_study,
        request=replace(blobs_study.request, rare="../x y"),
        task=replace(blobs_study.task, rare="../x y"),
    )
    folder = default_folder(odd)
    assert folder.parent == Path("runs")
    assert folder.name == "blobs-tiny-x_y"


def manifest(folder: Path, name: str) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for number in range(4):
        Image.fromarray(rng.integers(0, 255, (16, 16), np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]}")
    path = folder / name
    path.write_text("\n".join(rows))
    return path


def test_a_manifest_is_called_after_its_folder_where_its_name_says_nothing(tmp_path: Path) -> None:
    assert load(str(manifest(tmp_path / "hospital-a", "manifest.csv"))).name == "hospital-a"
    assert load(str(manifest(tmp_path / "hospital-b", "chests.csv"))).name == "chests"


def test_two_sources_of_one_name_are_told_apart(main: Callable[..., Ended], tmp_path: Path) -> None:
    counts = {"train": (24, 60), "val": (8, 16), "test": (16, 24)}
    for place, seed in (("here", 0), ("there", 1)):
        (tmp_path / place).mkdir()
        write_blobs(tmp_path / place / "set.npz", seed=seed, counts=counts)
    found = main(
        "study", tmp_path / "here/set.npz", "--test", tmp_path / "there/set.npz", "--dry-run", "--json"
    )
    assert found.returncode == 0, found.stderr
    assert '"source": "there/set"' in found.stdout
