"""Generators as files: safetensors, and what is in them is checked before it is used."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from healthgan.classifiers.weights import MOST_HEADER, header_bytes
from healthgan.errors import InputError
from healthgan.generators.dcgan import Generator
from healthgan.generators.diffusion import Check, Diffusion, Settings
from healthgan.generators.presets import DcganGenerator, DcganSettings, DiffusionGenerator
from healthgan.generators.tensor_files import add_tensors, write_tensors
from healthgan.generators.unet import UNet

FORMAT = "healthgan-generator-2"
_WITHOUT_CHECKSUM = "healthgan-generator-1"
_MOST_FACTS = 1 << 20  # bytes of metadata
_DEEPEST = 32  # tables and lists inside one another
_GIVE = "Give a .safetensors file that 'healthgan train' wrote."
_COPY = "Copy it again from where it was whole, or train it again."

Kind = TypeVar("Kind", Settings, DcganSettings)


@dataclass(frozen=True)
class Stored:
    """A generator that was read, and what its file says about it.

    Attributes:
        generator: ready to sample.
        facts: ``class_names``, ``trained_on``, ``settings``, ``fidelity`` and ``privacy`` as it was saved.
    """

    generator: DiffusionGenerator | DcganGenerator
    facts: dict[str, Any]


def save_generator(generator: DiffusionGenerator | DcganGenerator, facts: dict[str, Any], path: Path) -> None:
    """Write a trained generator's weights, how to build it again, and facts about it (ready for JSON)."""
    trained = generator.trained
    assert trained is not None, "fit first"
    if isinstance(trained, Diffusion):
        network: torch.nn.Module = trained.network
        build: dict[str, Any] = {
            "kind": "diffusion",
            "settings": asdict(trained.settings),
            "size": list(trained.size),
            "channels": trained.channels,
            "classes": trained.classes,
            "mean": trained.mean,
            "spread": trained.spread,
            "checks": [list(asdict(check).values()) for check in trained.checks],
            "chosen": trained.chosen,
            "stopped": trained.stopped,
        }
    else:
        network = trained
        build = {"kind": "dcgan-2023", "settings": asdict(generator.settings)}
    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    described = {"build": build, "facts": facts}
    text = json.dumps({"format": FORMAT, "sha256": checksum(described, tensors), **described})
    # One entry: safetensors writes several in a random order, and equal generators shall be equal files.
    write_tensors(path, tensors, {"healthgan": text})


def checksum(described: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over what a file says of its generator (``build`` and ``facts``) and over its tensors.

    It tells damage, not forgery: who can write the file can write a new checksum.

    Args:
        described: what is ready for JSON; other entries than these two play no part.
        tensors: on the CPU, contiguous.
    """
    said = {key: described[key] for key in ("build", "facts")}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    add_tensors(digest, tensors)
    return digest.hexdigest()


def load_generator(path: Path, device: str = "cpu") -> Stored:
    """Read a generator; nothing is unpickled.

    Raises:
        InputError: there is no such file, or it is not a generator's, or it is damaged.
    """
    try:
        _check_header(path)
        with safe_open(path, "pt") as file:
            described = _described(path, file.metadata())
            _check_facts(path, described["facts"])
            network, generator = _build(path, described["build"])
            _check_tensors(path, network, file)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # it is no dict
    except FileNotFoundError:
        raise InputError(
            f"There is no file '{path}'. Make one with 'healthgan train SOURCE --out {path}'."
        ) from None
    except (OSError, SafetensorError) as error:
        raise InputError(_unreadable(path, error)) from None
    _check_values(path, described, tensors)
    network.load_state_dict(tensors)
    network.to(device).eval()
    generator.device = device
    return Stored(generator, described["facts"])


def _check_header(path: Path) -> None:
    """Refuse a header of more bytes than any generator's, with its facts, has."""
    if (length := header_bytes(path)) > MOST_HEADER:
        raise InputError(f"'{path}' has a header of {length:,} bytes; {MOST_HEADER:,} are read. {_COPY}")


def _unreadable(path: Path, error: Exception) -> str:
    """Why a file cannot be read: it is another kind of file, or a damaged one."""
    if path.is_dir():
        return f"'{path}' is a folder. {_GIVE}"
    try:
        with path.open("rb") as file:
            start = file.read(9)  # the header's length in 8 bytes, then its JSON
    except OSError as refused:
        return f"'{path}' cannot be read: {refused.strerror or refused}. {_GIVE}"
    if not start:
        return f"'{path}' is empty. {_GIVE}"
    if start[8:] != b"{":
        return f"'{path}' is no generator, but a file of another kind. {_GIVE}"
    return f"'{path}' is cut off or damaged ({error}). {_COPY}"


def _described(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    text = (metadata or {}).get("healthgan", "null")
    try:
        found = json.loads(text[:_MOST_FACTS])
    except (ValueError, RecursionError):
        raise InputError(
            f"'{path}' is damaged: what it says of its generator cannot be read. {_COPY}"
        ) from None
    if isinstance(found, dict) and found.get("format") == _WITHOUT_CHECKSUM:
        raise InputError(
            f"'{path}' was written by an earlier version, without the checksum that would show damage. Train it again."
        )
    if (
        not isinstance(found, dict)
        or found.get("format") != FORMAT
        or not isinstance(found.get("facts"), dict)
        or not isinstance(found.get("build"), dict)
        or not _is_flat(found["build"], _DEEPEST)
    ):
        raise InputError(
            f"'{path}' holds no generator of this program: it is another one's, or an unfinished training, which the same "
            f"'healthgan train' goes on with. {_GIVE}"
        )
    return found


def _check_facts(path: Path, facts: dict[str, Any]) -> None:
    """Types of what the program reads; whatever else there is, cards repeat as it is."""
    names = facts.get("class_names", [])
    wrong = [key for key in ("trained_on", "generator") if not isinstance(facts.get(key, {}), dict)]
    wrong += [key for key in ("fidelity", "privacy") if not isinstance(facts.get(key), dict | None)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        wrong.append("class_names")
    if not _is_flat(facts, _DEEPEST):
        wrong.append("facts")
    if wrong:
        raise InputError(
            f"'{path}' says wrongly what its generator is: {' and '.join(wrong)} cannot be used as they stand there. "
            f"{_COPY}"
        )


def _is_flat(value: object, deepest: int) -> bool:
    """Whether tables and lists stand no deeper than that inside one another."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest >= 0 and all(_is_flat(part, deepest - 1) for part in inner)


def _checked(settings: type[Kind], given: Mapping[str, Any]) -> Kind:
    """The settings, each of the type of its default and none negative."""
    found = settings(**given)
    for field in fields(settings):
        value: Any = getattr(found, field.name)
        kinds = (float, int) if isinstance(field.default, float) else (type(field.default),)
        if type(value) not in kinds:
            raise TypeError(f"{field.name} is {value!r}")
        if not 0 <= value < math.inf:
            raise ValueError(f"{field.name} is out of range")
    return found


def _build(
    path: Path, build: Mapping[str, Any]
) -> tuple[torch.nn.Module, DiffusionGenerator | DcganGenerator]:
    """The network and the generator around it, with values still to be filled in."""
    try:
        if build["kind"] not in ("diffusion", "dcgan-2023"):
            raise ValueError(f"no kind {build['kind']!r}")
        if build["kind"] == "dcgan-2023":
            published = DcganGenerator(_checked(DcganSettings, build["settings"]), checkpoint=path)
            published.trained = Generator("dcgan-2023", 28, 1)
            return published.trained, published
        settings = _checked(Settings, build["settings"])
        size = (int(build["size"][0]), int(build["size"][1]))
        channels, classes = int(build["channels"]), int(build["classes"])
        possible = (
            16 <= min(size) <= max(size) <= 224
            and channels in (1, 3)
            and 1 <= classes <= 1000
            and 1 <= settings.width <= 512
            and math.isfinite(build["mean"])
            and 0 < build["spread"] < math.inf
            and int(build["chosen"]) >= 0
        )
        if not possible:
            raise ValueError("a value is out of range")
        _check_size(path, size, channels, settings.width)
        generator = DiffusionGenerator(settings)
        generator.trained = Diffusion(
            network=UNet(size, channels, classes, settings.width, torch.Generator()),
            settings=settings,
            size=size,
            channels=channels,
            classes=classes,
            mean=float(build["mean"]),
            spread=float(build["spread"]),
            checks=tuple(Check(int(row[0]), *map(float, row[1:])) for row in build["checks"]),
            chosen=int(build["chosen"]),
            stopped=str(build["stopped"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"'{path}' says wrongly how its generator is built ({error}). {_COPY}") from None
    return generator.trained.network, generator


def _check_size(path: Path, size: tuple[int, int], channels: int, width: int) -> None:
    """Refuse a file too small for the weights of its network, before memory is taken for them.

    Weights between two layers grow with the square of the width, so that a narrow network of the same kind tells how
    many a wide one has at least.
    """
    narrow = 8
    weights = UNet(size, channels, 1, narrow, torch.Generator()).named_parameters()
    inner = sum(
        value.numel()
        for name, value in weights
        if value.ndim == 4 and not name.startswith(("first.", "last."))
    )
    least, held = int(4 * inner * (width / narrow) ** 2), path.stat().st_size
    if held < least:
        raise InputError(
            f"'{path}' does not hold the weights of its generator: it has {held:,} bytes, and they need {least:,} or more. "
            f"{_COPY}"
        )


def _check_tensors(path: Path, network: torch.nn.Module, file: Any) -> None:  # noqa: ANN401 # safetensors has no types
    """Names, shapes and types, before a tensor is read."""
    expected = {name: (list(value.shape), value.dtype) for name, value in network.state_dict().items()}
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 # it is no dict
    differing = sorted(expected.keys() ^ found.keys())
    types = {torch.float32: "F32", torch.int64: "I64"}
    differing += [
        name
        for name in sorted(expected.keys() & found.keys())
        if (found[name].get_shape(), found[name].get_dtype()) != (expected[name][0], types[expected[name][1]])
    ]
    if differing:
        many = "1 tensor differs" if len(differing) == 1 else f"{len(differing)} tensors differ"
        raise InputError(
            f"'{path}' does not hold the weights of its generator: {many}, '{differing[0]}' first. {_COPY}"
        )


def _check_values(path: Path, described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Whether all is as it was written, and the weights are numbers."""
    if described.get("sha256") != checksum(described, tensors):
        raise InputError(f"'{path}' is damaged: its content does not fit its checksum. {_COPY}")
    wrong = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if wrong:
        raise InputError(
            f"'{path}' holds weights that are no finite numbers, in '{wrong[0]}' first: its training failed. Train again "
            "with another --seed."
        )
