"""healthgan data list, show and fetch."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from healthgan.cli_data import app
from healthgan.errors import InputError
from healthgan.sources import medmnist
from healthgan.terminal import shown
from real_data import needs_data


def run(*arguments):
    """The result of a command that must succeed; user mistakes come through as InputError."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def pixels(*values):
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None], (len(values), 20, 16)).copy()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        train_images=pixels(1, 1, 2, 3, 4),
        train_labels=np.array([0, 0, 1, 1, 1]),
        train_patients=np.array([1, 1, 2, 3, 4]),
        test_images=pixels(5, 4, 4),
        test_labels=np.array([0, 1, 1]),
        test_patients=np.array([9, 4, 2]),
        class_names=np.array(["fine", "ill"]),
    )
    return path


def test_json_has_every_fact_under_stable_keys(path):
    assert json.loads(run("show", str(path), "--json").stdout) == {
        "name": "mine",
        "md5": hashlib.md5(path.read_bytes()).hexdigest(),
        "size": [20, 16],
        "channels": 1,
        "multi_label": False,
        "splits": {
            "train": {"images": 5, "classes": {"fine": 2, "ill": 3}, "patients": 4, "duplicates": 1},
            "test": {"images": 3, "classes": {"fine": 1, "ill": 2}, "patients": 3, "duplicates": 1},
        },
        "duplicates_across": {"test_in_train": 2},
        "patients_across": {"test_in_train": 2},
        "columns": [],
        "notes": [],
    }


def test_table_for_people(path):
    text = run("show", str(path), "--size", "32").stdout
    assert "mine: 32×32 pixels, grey" in text
    rows = {
        line.split("│")[1].strip(): line.split("│")[2:4] for line in text.splitlines() if line.startswith("│")
    }
    assert {name: [int(cell) for cell in cells] for name, cells in rows.items()} == {
        "fine": [2, 1],
        "ill": [3, 2],
        "all": [5, 3],
        "duplicates of these": [1, 1],
        "patients": [4, 3],
    }
    assert "Images of test that also stand in train: 2." in text
    assert "Patients of test that also stand in train: 2." in text
    assert "Note: 20×16 pixels padded to a square with black, then interpolated linearly to 32×32." in text


def test_multi_label_counts_normal_too(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, train_images=pixels(1, 2, 3), train_labels=np.array([[1, 1], [0, 0], [0, 1]]))
    facts = json.loads(run("show", str(path), "--json").stdout)
    assert facts["splits"]["train"]["classes"] == {"0": 1, "1": 2, "normal": 1}
    assert facts["splits"]["train"]["patients"] is None
    assert facts["patients_across"] is None
    text = run("show", str(path)).stdout
    assert "An image may have several labels and counts in each." in text
    assert "Patients are not known." in text
    assert "Not split; a study splits it itself." in text


def test_names_cannot_write_to_the_terminal(tmp_path):
    """Class names, columns and notes are the user's text: no escape sequence and no markup gets through."""
    root = tmp_path / "a[red]b"
    for number, name in enumerate(["[bold]x", "\x1b[31mred", "a\nb", "\u202edlo"]):
        (root / name).mkdir(parents=True)
        Image.fromarray(pixels(number)[0]).save(root / name / "1.png")
    text = run("show", str(root)).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    for name in ("[bold]x", r"\x1b[31mred", r"a\x0ab", r"\x202edlo", "a[red]b: 20×16"):
        assert name in text
    assert shown("plain – Ödem") == "plain – Ödem"
    assert list(json.loads(run("show", str(root), "--json").stdout)["splits"]["train"]["classes"]) == [
        "\x1b[31mred",
        "[bold]x",
        "a\nb",
        "\u202edlo",
    ]


def test_phantom_follows_its_seed():
    zero, one = (
        run("show", "phantom", "--size", "16", *seed, "--json").stdout for seed in ([], ["--seed", "1"])
    )
    assert json.loads(zero)["name"] == "phantom"
    assert json.loads(zero)["size"] == [16, 16]
    assert zero != one


def test_user_mistakes_are_input_errors():
    with pytest.raises(InputError, match="is neither a name nor"):
        run("show", "no/such.thing")
    with pytest.raises(InputError, match="Size 7 is not possible"):
        run("show", "phantom", "--size", "7")
    with pytest.raises(InputError, match=r"There is no MedMNIST set 'chest'\. .*Did you mean"):
        run("fetch", "chest")
    with pytest.raises(InputError, match="There is no MedMNIST set 'phantom'"):
        run("fetch", "phantom")
    with pytest.raises(InputError, match="asks for size '32'"):
        run("fetch", "chestmnist", "--size", "32")
    with pytest.raises(InputError, match="names a size and --size 64 too; give one"):
        run("fetch", "chestmnist@64", "--size", "64")


def test_list_names_every_set_and_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    (tmp_path / "octmnist.npz").write_bytes(b"")
    (tmp_path / "octmnist_128.npz").write_bytes(b"")
    text = run("list").stdout
    for name, known in medmnist.datasets().items():
        (row,) = (line for line in text.splitlines() if f" {name} " in line)
        assert f"{known.counts['train']:,}" in row
        assert ("@28 @128" in row) == (name == "octmnist")
    assert "phantom" in text
    assert str(tmp_path) in text
    assert max(len(line) for line in text.splitlines() if line.startswith("│")) <= 80


def test_list_works_where_there_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path / "no" / "such"))
    assert "@28 " not in run("list").stdout.split("Sizes")[0]
    assert not (tmp_path / "no").exists()


def test_fetch_prints_the_path_of_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    known = medmnist.datasets()
    body = b"as if official"
    file = medmnist.File("http://127.0.0.1:9/never-asked", hashlib.md5(body).hexdigest())
    known["octmnist"].files.update({64: file})
    monkeypatch.setattr(medmnist, "datasets", lambda: known)
    (tmp_path / "octmnist_64.npz").write_bytes(body)
    expected = f"{tmp_path / 'octmnist_64.npz'}\n"
    assert run("fetch", "octmnist", "--size", "64").stdout == expected
    assert run("fetch", "octmnist@64").stdout == expected


def test_importing_the_commands_is_light():
    code = "import sys, healthgan.cli_data; print([m for m in ('torch', 'numpy', 'pooch', 'PIL') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_show_does_without_torch(path):
    code = (
        "import sys; from healthgan.cli_data import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, "show", str(path)], capture_output=True, check=True)


@needs_data("pneumoniamnist.npz")
def test_real_pneumoniamnist_and_the_eight_images_in_two_splits():
    facts = json.loads(run("show", "pneumoniamnist", "--json").stdout)
    assert [facts["splits"][s]["classes"] for s in ("train", "val", "test")] == [
        {"normal": 1214, "pneumonia": 3494},
        {"normal": 135, "pneumonia": 389},
        {"normal": 234, "pneumonia": 390},
    ]
    assert facts["duplicates_across"] == {"val_in_train": 8, "test_in_train": 0, "test_in_val": 0}


def test_known_sets_as_json(tmp_path, monkeypatch):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    found = json.loads(run("list", "--json").stdout)
    assert found["folder"] == str(tmp_path)
    assert found["sizes"] == [28, 64, 128, 224]
    assert set(found["sets"]) == set(medmnist.datasets())
    breast = found["sets"]["breastmnist"]
    assert breast["classes"] == ["malignant", "normal, benign"]
    assert (breast["channels"], breast["multi_label"], breast["here"]) == (1, False, [])
    assert breast["images"] == {"train": 546, "val": 78, "test": 156}


def test_the_path_of_a_set_as_json(tmp_path, monkeypatch):
    monkeypatch.setattr(medmnist, "fetch", lambda name, size: tmp_path / f"{name}_{size}.npz")
    assert json.loads(run("fetch", "breastmnist", "--size", "64", "--json").stdout) == {
        "name": "breastmnist",
        "size": 64,
        "path": str(tmp_path / "breastmnist_64.npz"),
    }
