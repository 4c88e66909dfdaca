"""Generators as files: what was written comes back, and what is not ours is refused before it is used."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save as to_bytes

from healthgan.errors import InputError
from healthgan.generators.dcgan import Generator
from healthgan.generators.diffusion import Settings
from healthgan.generators.presets import DcganGenerator, DcganSettings, DiffusionGenerator, new_generator
from healthgan.generators.store import checksum, load_generator, save_generator
from healthgan.sampling import sample_generator

FACTS = {"class_names": ["normal", "rare"], "trained_on": {"source": "made up"}}


@pytest.fixture(scope="module")
def diffusion() -> DiffusionGenerator:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 20, 17, 3), np.uint8)
    small = Settings(steps=4, batch=4, width=8, checks=2)
    return DiffusionGenerator(small, seed=1).fit(images, np.arange(20) % 2)


@pytest.fixture
def file(diffusion, tmp_path):
    path = tmp_path / "generator.safetensors"
    save_generator(diffusion, FACTS, path)
    return path


def test_what_was_written_comes_back(diffusion, file) -> None:
    stored = load_generator(file)
    assert stored.facts == FACTS
    assert stored.generator.settings == diffusion.settings
    assert stored.generator.trained.checks == diffusion.trained.checks
    assert np.array_equal(stored.generator.sample(5, 1, 9), diffusion.sample(5, 1, 9))


def test_equal_generators_are_equal_files(diffusion, file, tmp_path) -> None:
    save_generator(diffusion, FACTS, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_the_published_gan_comes_back(tmp_path) -> None:
    made = DcganGenerator(DcganSettings(epochs=1), checkpoint=tmp_path / "unused")
    made.trained = Generator("dcgan-2023", 28, 1)
    save_generator(made, FACTS, tmp_path / "gan.safetensors")
    stored = load_generator(tmp_path / "gan.safetensors").generator
    assert isinstance(stored, DcganGenerator)
    images = stored.sample(3, 1, 0)
    assert images.shape == (3, 28, 28, 1)
    assert np.array_equal(images, made.sample(70, 1, 0)[:3])
    with pytest.raises(InputError, match="rare class only"):
        stored.sample(3, 0, 0)


def merge(into: dict, change: dict) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and key in into:
            merge(into[key], value)
        else:
            into[key] = value


def spoil(file, described_change: dict, tensor_change: dict) -> None:
    """Write the file again with its description or tensors changed."""
    with safe_open(file, "pt") as opened:
        described = json.loads(opened.metadata()["healthgan"])
    merge(described, described_change)
    tensors = {k: v for k, v in (load_file(file) | tensor_change).items() if v is not None}
    write_signed(described, tensors, file)


def write_signed(described: dict, tensors: dict, file) -> None:
    """With a checksum that fits, so that what is wrong must be seen in itself."""
    if {"build", "facts"} <= described.keys():
        described["sha256"] = checksum(described, tensors)
    save_file(tensors, file, metadata={"healthgan": json.dumps(described)})


def deep(levels: int) -> dict:
    return {"in": deep(levels - 1)} if levels else {}


# name → a change of the description, a change of the tensors, the message
CHANGES = {
    "another format": ({"format": "other"}, {}, "holds no generator"),
    "facts of another kind": ({"facts": []}, {}, "holds no generator"),
    "nothing built": ({"build": None}, {}, "holds no generator"),
    "a spread without end": ({"build": {"spread": float("inf")}}, {}, "out of range"),
    "a tensor too many": ({}, {"more": torch.zeros(1)}, "1 tensor differs, 'more'"),
    "a tensor missing": ({}, {"last.bias": None}, "1 tensor differs, 'last.bias'"),
    "another shape": ({}, {"last.bias": torch.zeros(3)}, "'last.bias'"),
    "another type": ({}, {"last.bias": torch.zeros(12, dtype=torch.float64)}, "'last.bias'"),
    "an absurd width": ({"build": {"settings": {"width": 10**9}}}, {}, "out of range"),
    "an absurd size": ({"build": {"size": [10**6, 28]}}, {}, "out of range"),
    "a setting unknown": ({"build": {"settings": {"nonsense": 1}}}, {}, "nonsense"),
    "a size of words": ({"build": {"size": "large"}}, {}, "says wrongly how"),
    "a spread of words": ({"build": {"spread": "x"}}, {}, "says wrongly how"),
    "classes missing": ({"build": {"classes": None}}, {}, "says wrongly how"),
    "another kind": ({"build": {"kind": "gan"}}, {}, "no kind 'gan'"),
    "steps of words": ({"build": {"settings": {"steps": "many"}}}, {}, "steps is 'many'"),
    "a width that is true": ({"build": {"settings": {"width": True}}}, {}, "width is True"),
    "a generator of words": ({"facts": {"generator": "edm"}}, {}, "what its generator is: generator cannot"),
    "a list trained on": ({"facts": {"trained_on": [1]}}, {}, "trained_on cannot be used"),
    "names that are a number": ({"facts": {"class_names": 2}}, {}, "class_names cannot be used"),
    "names that are a word": ({"facts": {"class_names": "ab"}}, {}, "class_names cannot be used"),
    "names that are numbers": ({"facts": {"class_names": [0, 1]}}, {}, "class_names cannot be used"),
    "two wrong": ({"facts": {"fidelity": 1, "privacy": "none"}}, {}, "fidelity and privacy cannot"),
    "a build without bottom": ({"build": {"more": deep(200)}}, {}, "holds no generator"),
    "an earlier version": ({"format": "healthgan-generator-1"}, {}, "by an earlier version.*Train it again"),
    "weights that are no numbers": (
        {},
        {"last.bias": torch.full((12,), float("nan"))},
        "no finite numbers, in 'last.bias' first.*another --seed",
    ),
    "endless weights": ({}, {"last.bias": torch.full((12,), float("inf"))}, "no finite numbers"),
    "facts without bottom": ({"facts": {"trained_on": deep(500)}}, {}, "facts cannot be used"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_lies_is_refused(name, file) -> None:
    described, tensors, message = CHANGES[name]
    spoil(file, described, tensors)
    with pytest.raises(InputError, match=message):
        load_generator(file)


SAMPLED = (
    "mean",
    "spread",
    "channels",
    "classes",
    "class_names",
    "trained_on",
    "generator",
    "fidelity",
    "privacy",
)


@pytest.mark.parametrize(
    "value",
    [None, -1, 7.5, 10**400, "x", [], [-1, 2], {"a": [1]}, True],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_any_type_anywhere_is_one_message_or_does_no_harm(value, diffusion, tmp_path) -> None:
    """It is loaded, and images come out where it plays a part in that, or the file is refused."""
    file = tmp_path / "generator.safetensors"
    facts = {**FACTS, "generator": {"preset": "edm", "settings": {}}, "fidelity": {}, "privacy": None}
    save_generator(diffusion, facts, file)
    with safe_open(file, "pt") as opened:
        described = json.loads(opened.metadata()["healthgan"])
    build, tensors, refused = described["build"], load_file(file), []
    for table in (described, build, build["settings"], described["facts"]):
        for key, before in table.items():
            table[key] = value
            if key != "sha256":
                write_signed(described, tensors, file)
            else:
                save_file(tensors, file, metadata={"healthgan": json.dumps(described)})
            try:
                if key in SAMPLED:
                    assert sample_generator(file, 1, None, 0).pixels.shape == (1, 20, 17, 3)
                else:
                    load_generator(file)
            except InputError:
                refused.append(key)
            table[key] = before
    assert value != -1 or {"steps", "learning_rate", "chosen", "mean", "spread"} - set(refused) == {"mean"}
    assert set(refused) >= {"format", "sha256", "build", "kind", "settings", "size", "class_names"}


def test_how_many_and_which_seed(file) -> None:
    assert len(sample_generator(file, 2, "normal", 0)) == 2
    for count, seed in ((0, 0), (-1, 0), (1, -1)):
        with pytest.raises(InputError, match=f"^{count} images by seed {seed}: one image or more"):
            sample_generator(file, count, None, seed)


@given(data=st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=80,
)
def test_any_flipped_bit_is_noticed_or_harmless(file, data) -> None:
    """Harmless is a blank between the header and the tensors, which nothing reads."""
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << bit
    file.write_bytes(flipped)
    try:
        stored = load_generator(file)
    except InputError:
        pass  # noticed
    else:
        assert stored.facts == FACTS
        assert chr(whole[place]).isspace() or chr(flipped[place]).isspace()
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.99])
def test_flipped_bytes_in_the_weights_are_named_with_the_remedy(file, part) -> None:
    content = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[start + int(part * (len(content) - start))] ^= 0x10
    file.write_bytes(content)
    with pytest.raises(
        InputError, match=r"is damaged: .*checksum\. Copy it again.*or train it again"
    ) as caught:
        load_generator(file)
    assert str(file) in str(caught.value)


def test_a_word_of_the_card_changed_is_noticed(file) -> None:
    file.write_bytes(file.read_bytes().replace(b"made up", b"made in"))
    with pytest.raises(InputError, match="is damaged"):
        load_generator(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty. Give a .safetensors file that 'healthgan train' wrote"),
        (b"no safetensors", "is no generator, but a file of another kind. Give"),
        (b"PK\x03\x04" + b"\xff" * 64, "is no generator, but a file of another kind. Give"),
        (to_bytes({"x": torch.zeros(3)}), "holds no generator of this program"),
        (to_bytes({"x": torch.zeros(3)}, {"healthgan": "half a"}), "is damaged: what it says"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_generator(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load_generator(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match=r"is a folder\. Give"):
        load_generator(tmp_path)


@pytest.mark.parametrize("kept", [20, 200, -100])
def test_a_truncated_file_is_refused(file, kept) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"is cut off or damaged .*\. Copy it again"):
        load_generator(file)


def test_unknown_names_and_classes_are_refused(diffusion, tmp_path) -> None:
    with pytest.raises(InputError, match="no preset 'gan'"):
        new_generator("gan", seed=0, device="cpu", checkpoint=tmp_path / "c")
    with pytest.raises(InputError, match="Class number 2"):
        diffusion.sample(1, 2, 0)
