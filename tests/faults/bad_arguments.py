"""Bad names, sizes, classes and places for results; and one bad source at every place where a command takes one."""

from pathlib import Path

import numpy as np
from bad_npz import IMAGES, real, saved
from bad_pictures import picture, tree
from cases import Case, Make


def nothing(_: Path) -> None:
    """Write nothing."""


SOURCES: dict[str, tuple[str, str, str]] = {
    "nothing": ("", r"'' is neither a name nor a file or folder that exists", "''"),
    "typing error": ("pneumonamnist", r"Did you mean pneumoniamnist\?", "pneumonamnist"),
    "capitals": ("ChestMNIST", r"Did you mean chestmnist\?", "ChestMNIST"),
    "beginning": ("organ", r"Did you mean organamnist or organcmnist or organsmnist\?", "organ"),
    "unknown size": ("chestmnist@32", r"asks for size '32'; MedMNIST has 28, 64, 128, 224", "chestmnist@32"),
    "size of the phantom": ("phantom@64", r"Did you mean phantom\?", "phantom@64"),
    "no such path": (
        "no/such/folder",
        r"is neither a name nor a file or folder that exists",
        "no/such/folder",
    ),
    "5,000 characters": ("a" * 5000, r"'a+…a+' is neither a name nor", "aaa"),
    "NUL": ("a\0b", r"'a\\x00b' is neither a name nor", "a\\x00b"),
    "escape sequence": ("\x1b[31mred\n", r"'\\x1b\[31mred\\x0a' is neither a name nor", "red"),
    "device": ("/dev/null", r"is a file of another kind", "/dev/null"),
    "a web address": ("https://example.org/a.npz", r"There is no file|is neither", "example.org"),
}


def task(**counts: tuple[int, int]) -> Make:
    """``a.npz`` with so many reference and rare images a split; by default enough of both."""
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "val", "test"):
        labels = np.repeat([0, 1], counts.get(split, (90, 30)))
        arrays[f"{split}_images"] = rng.integers(0, 256, (len(labels), 16, 16), dtype=np.uint8)
        arrays[f"{split}_labels"] = labels
    return saved(**arrays)


def repeated(what: str) -> Make:
    """``a.npz`` whose validation and test images, or the patients of these, all stand in training, too."""
    rng, arrays = np.random.default_rng(0), {}
    images = rng.integers(0, 256, (120, 16, 16), dtype=np.uint8)
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = images if what == "images" else rng.permuted(images)
        arrays[f"{split}_labels"] = np.arange(120) % 3 // 2
        arrays[f"{split}_patients"] = np.array(
            [f"{'' if what == 'patients' else split}{n}" for n in range(120)]
        )
    return saved(**arrays)


def several_labels(folder: Path) -> None:
    rng, arrays = np.random.default_rng(0), {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (60, 16, 16), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.eye(60, 3, dtype=int)
    saved(**arrays)(folder)


def with_good(make: Make) -> Make:
    """Beside good real and good synthetic images."""

    def both(folder: Path) -> None:
        make(folder)
        real(folder)
        np.savez(
            folder / "m.npz", images=np.random.default_rng(0).integers(0, 256, (9, 16, 16), dtype=np.uint8)
        )

    return both


_SHOW, _QUICK = ("data", "show"), ("study", "a.npz", "--protocol", "sound-quick", "--out", "run")
TASKS: dict[str, tuple[Make, tuple[str, ...], str, str]] = {
    "size too small": (
        nothing,
        (*_SHOW, "phantom", "--size", "15"),
        r"Size 15 is not possible\. Choose 16 to 224",
        "15",
    ),
    "size without end": (
        nothing,
        (*_SHOW, "phantom", "--size", str(10**9)),
        r"Size 1000000000 is not",
        "1000000000",
    ),
    "class that is none": (task(), (*_QUICK, "--rare", "7"), r"no class '7'\. Its classes are: 0, 1", "'7'"),
    "class of control characters": (task(), (*_QUICK, "--rare", "\x1b[31m"), r"no class '\\x1b\[31m'", "x1b"),
    "class against itself": (
        task(),
        (*_QUICK, "--rare", "1", "--reference", "1"),
        r"as rare and as reference",
        "'1'",
    ),
    "several labels, none named": (several_labels, _QUICK, r"name the rare class with --rare", "'a'"),
    "too few images to divide": (saved(), _QUICK, r"'a' has 2 different images of '0'; .* needs 12", "'a'"),
    "one image a class": (
        task(train=(1, 1), val=(1, 1), test=(1, 1)),
        _QUICK,
        r"There is 1 image of '0'",
        "'0'",
    ),
    "one rare image": (task(train=(90, 1)), _QUICK, r"", "'a'"),
    "split without the rare class": (task(test=(9, 0)), _QUICK, r"no image of '1' in its test split", "'1'"),
    "more rare than others": (
        task(train=(30, 90)),
        (*_QUICK, "--rare", "1"),
        r"is not the rare class",
        "'1'",
    ),
    "more rare images kept than there are": (
        task(),
        (*_QUICK, "--rare-count", "999"),
        r"--rare-count 999 is more than",
        "999",
    ),
    "every test image in training": (
        repeated("images"),
        _QUICK,
        r"every image of 'val' belongs to a patient of",
        "'a'",
    ),
    "every patient in two splits": (
        repeated("patients"),
        _QUICK,
        r"every image of 'val' belongs to a patient of",
        "'a'",
    ),
    "audit held out against itself": (
        saved(),
        ("audit", "a.npz", "--train", "a.npz", "--heldout", "a.npz"),
        r"is not split",
        "'a'",
    ),
    "generator without a suffix": (
        nothing,
        ("train", "phantom", "--out", "g"),
        r"ends in \.safetensors",
        "'g'",
    ),
    "generator that is there": (
        lambda folder: (folder / "g.safetensors").touch(),
        ("train", "phantom", "--out", "g.safetensors"),
        r"is there already",
        "g.safetensors",
    ),
    "generator in a file": (
        lambda folder: (task()(folder), (folder / "f").touch()),
        ("train", "a.npz", "--preset", "edm-quick", "--out", "f/g.safetensors"),
        r"can't be written",
        "f",
    ),
    "unknown preset": (
        task(),
        ("train", "a.npz", "--preset", "gan", "--out", "g.safetensors"),
        r"no preset 'gan'",
        "'gan'",
    ),
    "table of scores in a file": (
        with_good(lambda folder: (folder / "f").touch()),
        ("likeness", "m.npz", "real.npz", "--out", "f/s.csv"),
        r"can't be written",
        "f",
    ),
    "gallery in a file": (
        with_good(lambda folder: (folder / "f").touch()),
        ("audit", "m.npz", "--train", "real.npz", "--heldout", "real.npz", "--gallery", "f/g.png"),
        r"can't be written",
        "f",
    ),
}

BAD = {
    "an absent .npz": (nothing, "a.npz", r"There is no file 'a\.npz'"),
    "floats": (saved(train_images=IMAGES / 255), "a.npz", r"type float64; uint8"),
    "half a picture": (
        tree({"a/1.png": b"\x89PNG\r\n\x1a\n", "b/1.png": picture()}),
        "s",
        r"cannot be read as PNG",
    ),
}
PLACES: dict[str, tuple[str, ...]] = {
    "study SOURCE": ("study", "BAD"),
    "study --test": ("study", "real.npz", "--protocol", "sound-quick", "--test", "BAD"),
    "train SOURCE": ("train", "BAD", "--out", "g.safetensors"),
    "likeness REAL": ("likeness", "m.npz", "BAD"),
    "likeness --heldout": ("likeness", "m.npz", "real.npz", "--heldout", "BAD"),
    "audit --train": ("audit", "m.npz", "--train", "BAD", "--heldout", "real.npz"),
    "audit --heldout": ("audit", "m.npz", "--train", "real.npz", "--heldout", "BAD"),
}


CASES = [
    *[
        Case(f"source: {name}", nothing, (*_SHOW, source), says, names)
        for name, (source, says, names) in SOURCES.items()
    ],
    *[
        Case(f"task: {name}", make, command, says, names)
        for name, (make, command, says, names) in TASKS.items()
    ],
    *[
        Case(
            f"{place}: {name}",
            with_good(make),
            tuple(path if part == "BAD" else part for part in command),
            says,
            path,
        )
        for place, command in PLACES.items()
        for name, (make, path, says) in BAD.items()
    ],
]
