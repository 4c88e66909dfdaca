"""Bad generator files, and bad files of initial weights."""

import json
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from bad_npz import real
from cases import Case, Make, pipe

NAME = "g.safetensors"


@cache
def good() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the tensors of a small generator."""
    import tempfile

    from safetensors import safe_open

    from healthgan.generators.diffusion import Settings
    from healthgan.generators.presets import DiffusionGenerator
    from healthgan.generators.store import save_generator

    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), np.uint8)
    made = DiffusionGenerator(Settings(steps=2, batch=4, width=8, checks=1), seed=1).fit(
        images, np.arange(20) % 2
    )
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / NAME
        save_generator(made, {"class_names": ["normal", "rare"], "trained_on": {"source": "made up"}}, path)
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # it is no dict
            return json.loads(file.metadata()["healthgan"]), tensors


def written(change: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> Make:
    """The small generator with its description or its tensors changed, and a checksum that fits."""

    def make(folder: Path) -> None:
        import torch
        from safetensors.numpy import save_file

        from healthgan.generators.store import checksum

        described, tensors = good()
        described, tensors = json.loads(json.dumps(described)), dict(tensors)
        change(described, tensors)
        if {"build", "facts"} <= described.keys():
            described["sha256"] = checksum(
                described, {name: torch.from_numpy(value) for name, value in tensors.items()}
            )
        save_file(tensors, folder / NAME, metadata={"healthgan": json.dumps(described)})

    return make


def raw(header: bytes, body: bytes = b"", length: int | None = None) -> Make:
    """A file with this header, whose length it says rightly or not."""
    said = len(header) if length is None else length
    return lambda folder: (folder / NAME).write_bytes(struct.pack("<Q", said) + header + body)


def bytes_of(change: Callable[[bytes], bytes]) -> Make:
    def make(folder: Path) -> None:
        written(lambda *_: None)(folder)
        (folder / NAME).write_bytes(change((folder / NAME).read_bytes()))

    return make


def tensor(shape: tuple[int, ...], dtype: str = "F32", end: int = 0) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()


def changed(place: tuple[str, ...], value: object) -> Make:
    def change(described: dict[str, Any], _: Mapping[str, np.ndarray]) -> None:
        for key in place[:-1]:
            described = described[key]
        described[place[-1]] = value

    return written(change)


def _nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"in": inner}
    return inner


FILES: dict[str, tuple[Make, str]] = {
    "missing": (lambda _: None, r"There is no file"),
    "empty": (lambda folder: (folder / NAME).touch(), r"is empty"),
    "text": (lambda folder: (folder / NAME).write_text("no tensors here"), r"is no generator, but"),
    "a folder": (lambda folder: (folder / NAME).mkdir(), r"is a folder"),
    "a pickle of PyTorch's": (
        lambda folder: (folder / NAME).write_bytes(b"\x80\x02}q\x00X\x01\0\0\0aq\x01K\x01s." * 9),
        r"is no generator, but",
    ),
    "cut off": (bytes_of(lambda data: data[:-100]), r"is cut off or damaged"),
    "longer than it says": (bytes_of(lambda data: data + b"more"), r"is cut off or damaged"),
    "a byte of the weights flipped": (
        bytes_of(lambda data: data[:-9] + bytes([data[-9] ^ 64]) + data[-8:]),
        r"does not fit its checksum",
    ),
    "header of 2 GiB": (raw(b"{}", length=2**31), r"has a header of 2,147,483,648 bytes"),
    "header of 90 MiB": (
        raw(b'{"__metadata__":{"healthgan":"' + b"x" * (90 * 2**20) + b'"}}'),
        r"has a header of 94,371,873 bytes",
    ),
    "a million tensors": (
        raw(
            b"{"
            + b",".join(
                b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % number for number in range(10**6)
            )
            + b"}"
        ),
        r"has a header of 57,888,891 bytes",
    ),
    "no JSON": (raw(b"{no"), r"is cut off or damaged"),
    "a tensor of 2^60 values": (raw(tensor((2**30, 2**30))), r"is cut off or damaged"),
    "a tensor past the end": (raw(tensor((2**20,), end=2**22)), r"is cut off or damaged"),
    "of another program": (raw(tensor((1,), end=4), bytes(4)), r"holds no generator of this program"),
    "of another format": (changed(("format",), "other"), r"holds no generator of this program"),
    "nothing built": (changed(("build",), None), r"holds no generator of this program"),
    "facts without bottom": (changed(("facts", "trained_on"), _nested(400)), r"facts cannot be used"),
    "names that are a number": (changed(("facts", "class_names"), 2), r"class_names cannot be used"),
    "one class": (changed(("facts", "class_names"), ["a"]), r"does not name its two classes"),
    "another kind": (changed(("build", "kind"), "gan"), r"no kind 'gan'"),
    "an unknown setting": (changed(("build", "settings", "nonsense"), 1), r"nonsense"),
    "a spread of NaN": (changed(("build", "spread"), float("nan")), r"out of range"),
    "a mean without end": (changed(("build", "mean"), float("inf")), r"out of range"),
    "a width of 10^9": (changed(("build", "settings", "width"), 10**9), r"out of range"),
    "the largest network, without its weights": (
        written(
            lambda described, _: described["build"].update(
                settings={**described["build"]["settings"], "width": 512}, size=[224, 224], channels=3
            )
        ),
        r"does not hold the weights",
    ),
    "images of 10^6 pixels": (changed(("build", "size"), [10**6, 28]), r"out of range"),
    "a number without end": (changed(("build", "mean"), 10**400), r"says wrongly how"),
    "steps of words": (changed(("build", "settings", "steps"), "many"), r"steps is 'many'"),
    "a pipe": (pipe(NAME), r"is a pipe, a socket or a device"),
    "control characters": (changed(("build", "kind"), "\x1b[31m"), r"no kind '\\x1b\[31m'"),
    "a tensor too many": (
        written(lambda _, tensors: tensors.update(more=np.zeros(1, np.float32))),
        r"1 tensor differs, 'more'",
    ),
    "a tensor missing": (
        written(lambda _, tensors: tensors.pop("last.bias")),
        r"1 tensor differs, 'last\.bias'",
    ),
    "another shape": (
        written(lambda _, tensors: tensors.update({"last.bias": np.zeros(3, np.float32)})),
        r"'last\.bias'",
    ),
    "another type": (
        written(lambda _, tensors: tensors.update({"last.bias": np.zeros(4, np.float64)})),
        r"'last\.bias'",
    ),
    "weights of NaN": (
        written(lambda _, tensors: tensors.update({"last.bias": np.full_like(tensors["last.bias"], np.nan)})),
        r"no finite numbers",
    ),
}

WEIGHTS: dict[str, tuple[Make, str]] = {
    "missing": (lambda _: None, r"can't be read"),
    "no safetensors": (lambda folder: (folder / NAME).write_text("weights"), r"can't be read"),
    "a pipe": (pipe(NAME), r"is a pipe, a socket or a device"),
    "header of 90 MiB": (raw(b"{}" + b" " * (90 << 20)), r"have a header of 94,371,842 bytes"),
    "of another network": (raw(tensor((1,), end=4), bytes(4)), r"None of the 1 tensors? of"),
}


def _with_protocol(make: Make) -> Make:
    """A protocol beside the file, whose classifiers begin with it."""

    def both(folder: Path) -> None:
        from healthgan.protocol import load_protocol, to_toml

        settings = load_protocol("sound-quick").model_dump(exclude_none=True)
        settings["training"] |= {"weights": NAME}
        settings["arms"] |= {"reference": ["real", "weights"]}
        (folder / "p.toml").write_text(to_toml(type(load_protocol("sound-quick")).model_validate(settings)))
        real(folder)
        make(folder)

    return both


CASES = [
    *[
        Case(f"generator: {name}", make, ("sample", NAME, "--count", "2", "--out", "out.npz"), says, NAME)
        for name, (make, says) in FILES.items()
    ],
    *[
        Case(
            f"initial weights: {name}",
            _with_protocol(make),
            ("study", "real.npz", "--protocol", "p.toml", "--out", "run"),
            says,
            NAME,
        )
        for name, (make, says) in WEIGHTS.items()
    ],
]
