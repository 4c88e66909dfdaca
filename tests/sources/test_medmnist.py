"""MedMNIST sets by name: found, checked, downloaded."""

import hashlib
import http.server
import io
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from healthgan.errors import InputError
from healthgan.sources import load, medmnist
from healthgan.sources.medmnist import File
from real_data import needs_data


def official_layout():
    """A file of PneumoniaMNIST's layout, made of noise, as bytes."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 12), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, np.newaxis]
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@contextmanager
def serving(answer):
    """A server on this machine; ``answer(handler)`` writes the reply. Yields address and requests so far."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            answer(self)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/set.npz?download=1", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sends(body, *, declared=None, status=200):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(declared or len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path / "data"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data"


def official_at(monkeypatch, url, body):
    """Let the official file of pneumoniamnist be this one."""
    known = medmnist.datasets()
    file = File(url, hashlib.md5(body).hexdigest())
    known["pneumoniamnist"] = replace(known["pneumoniamnist"], files=dict.fromkeys(medmnist.SIZES, file))
    monkeypatch.setattr(medmnist, "datasets", lambda: known)
    return file.md5


def test_the_twelve_sets_are_complete():
    known = medmnist.datasets()
    assert len(known) == 12
    for name, facts in known.items():
        assert facts.name == name
        assert tuple(facts.files) == medmnist.SIZES
        assert facts.channels in (1, 3)
        assert set(facts.counts) == {"train", "val", "test"}
        assert len(set(facts.class_names)) == len(facts.class_names) >= 2
        for size, file in facts.files.items():
            suffix = "" if size == 28 else f"_{size}"
            assert file.url.split("?")[0].endswith(f"/{name}{suffix}.npz")
            assert len(file.md5) == 32
            int(file.md5, 16)
    assert len({file.md5 for facts in known.values() for file in facts.files.values()}) == 48
    assert [name for name, facts in known.items() if facts.multi_label] == ["chestmnist"]
    assert known["chestmnist"].class_names[1] == "cardiomegaly"
    assert known["chestmnist"].files[28].md5 == "02c8a6516a18b556561a56cbdd36c4a8"


def test_names_and_sizes():
    assert medmnist.parse("chestmnist") == ("chestmnist", 28)
    assert medmnist.parse("chestmnist@28") == ("chestmnist", 28)
    assert medmnist.parse("octmnist@224") == ("octmnist", 224)


def test_where_files_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path))
    assert medmnist.local_path("chestmnist", 28) == tmp_path / "chestmnist.npz"
    assert medmnist.local_path("chestmnist", 64) == tmp_path / "chestmnist_64.npz"
    monkeypatch.setenv("HEALTHGAN_DATA", "~/x")
    assert medmnist.data_folder() == Path.home() / "x"
    monkeypatch.setenv("HEALTHGAN_DATA", "")
    assert medmnist.data_folder().name == "healthgan"


def test_missing_file_is_downloaded_once_and_said_on_stderr(folder, monkeypatch, capsys):
    body = official_layout()
    with serving(sends(body)) as (url, requests):
        md5 = official_at(monkeypatch, url, body)
        found = load("pneumoniamnist")
        said = capsys.readouterr()
        again = load("pneumoniamnist")
        assert requests == ["/set.npz?download=1"]
    assert said.out == ""
    assert said.err == f"Downloading pneumoniamnist.npz ({len(body) / 1e6:.1f} MB) from {url} to {folder}\n"
    assert capsys.readouterr().err == ""
    assert (folder / "pneumoniamnist.npz").read_bytes() == body
    assert found.name == "pneumoniamnist"
    assert found.md5 == md5
    assert found.class_names == ("normal", "pneumonia")
    assert [len(found[split]) for split in found] == [12, 4, 6]
    np.testing.assert_array_equal(found["test"].pixels, again["test"].pixels)


def test_quiet_download(folder, monkeypatch, capsys):
    body = official_layout()
    with serving(sends(body)) as (url, _):
        official_at(monkeypatch, url, body)
        assert load("pneumoniamnist@64", progress=False).name == "pneumoniamnist@64"
    assert capsys.readouterr() == ("", "")
    assert [file.name for file in folder.iterdir()] == ["pneumoniamnist_64.npz"]


def test_resampling_points_to_the_official_images_of_that_size(folder, monkeypatch):
    body = official_layout()
    with serving(sends(body)) as (url, _):
        official_at(monkeypatch, url, body)
        assert load("pneumoniamnist", size=64, progress=False).notes == (
            "28×28 pixels interpolated linearly to 64×64",
            "'pneumoniamnist@64' has the official images of this size",
        )
        assert load("pneumoniamnist", size=28).notes == ()


def test_bar_on_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    body = official_layout()
    with serving(sends(body)) as (url, _):
        official_at(monkeypatch, url, body)
        load("pneumoniamnist")
    assert "━" in capsys.readouterr().err


def test_file_at_hand_in_a_read_only_folder_needs_no_network(folder, monkeypatch):
    body = official_layout()
    official_at(monkeypatch, "http://127.0.0.1:9/never-asked", body)
    folder.mkdir()
    (folder / "pneumoniamnist.npz").write_bytes(body)
    folder.chmod(0o555)
    try:
        assert len(load("pneumoniamnist")["train"]) == 12
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("answer", ["other", "half", "error"])
def test_nothing_but_the_whole_official_file_is_ever_kept(folder, monkeypatch, answer):
    body = official_layout()
    replies = {
        "other": sends(body[:-1] + b"x"),
        "half": sends(body[: len(body) // 2], declared=len(body)),
        "error": sends(b"gone", status=404),
    }
    with serving(replies[answer]) as (url, _):
        md5 = official_at(monkeypatch, url, body)
        with pytest.raises(InputError, match=rf"Put 'pneumoniamnist.npz' \(md5 {md5}\) into '.*data'"):
            load("pneumoniamnist", progress=False)
    assert list(folder.iterdir()) == []
    with serving(sends(body)) as (url, _):
        official_at(monkeypatch, url, body)
        assert len(load("pneumoniamnist", progress=False)["train"]) == 12


def test_no_network_says_what_to_do(folder, monkeypatch):
    official_at(monkeypatch, "http://127.0.0.1:9/set.npz", b"")
    with pytest.raises(
        InputError, match=r"could not be downloaded from http://127.0.0.1:9/set.npz .*HEALTHGAN_DATA"
    ):
        load("pneumoniamnist", progress=False)


def test_a_file_with_another_md5_is_refused_and_left_alone(folder, monkeypatch):
    md5 = official_at(monkeypatch, "http://127.0.0.1:9/never-asked", official_layout())
    folder.mkdir()
    path = folder / "pneumoniamnist.npz"
    path.write_bytes(b"the user's own")
    own = hashlib.md5(b"the user's own").hexdigest()
    with pytest.raises(InputError, match=f"md5 {own}; the official file has {md5}.*delete it.*give its path"):
        load("pneumoniamnist")
    assert path.read_bytes() == b"the user's own"


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEALTHGAN_DATA", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"could not be downloaded.*HEALTHGAN_DATA"):
        load("chestmnist", progress=False)


def test_the_noise_of_pooch_is_back_afterwards(folder, monkeypatch):
    import pooch

    before = pooch.get_logger().level
    official_at(monkeypatch, "http://127.0.0.1:9/set.npz", b"")
    with pytest.raises(InputError):
        load("pneumoniamnist", progress=False)
    assert pooch.get_logger().level == before


@needs_data("pneumoniamnist.npz")
def test_real_pneumoniamnist():
    found = load("pneumoniamnist")
    counts = {split: np.bincount(found[split].labels).tolist() for split in found}
    assert counts == {"train": [1214, 3494], "val": [135, 389], "test": [234, 390]}
    assert found.md5 == "28209eda62fecd6e6a2d98b1501bb15f"
