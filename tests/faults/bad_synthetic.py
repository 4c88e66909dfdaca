"""Bad synthetic sets, and good ones that do not go with the real images."""

from pathlib import Path

import numpy as np
from bad_npz import LABELS, content, header, packed, real
from bad_pictures import picture, tree
from cases import Case, Make

SHAPE = np.random.default_rng(1).integers(0, 256, (20, 16, 16), dtype=np.uint8)
"""In the real images' size."""


def made(**arrays: object) -> Make:
    return beside_real(lambda folder: np.savez(folder / "made.npz", **arrays))


def beside_real(make: Make) -> Make:
    def both(folder: Path) -> None:
        real(folder)
        make(folder)

    return both


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def card(text: str) -> Make:
    return made(images=SHAPE, card=np.array(text))


FILES: dict[str, tuple[Make, str]] = {
    "missing": (lambda _: None, r"There is no file|does not exist"),
    "empty": (content("made.npz", b""), r"damaged or not an \.npz file"),
    "pickled": (made(images=np.array([{}], object)), r"'images' holds Python objects"),
    "pickled names": (
        made(images=SHAPE, labels=LABELS, class_names=np.array([{}], object)),
        r"'class_names' holds Python",
    ),
    "no images": (made(x=SHAPE), r"no 'images'; it holds: x"),
    "both layouts": (made(images=SHAPE, train_images=SHAPE), r"both 'images' and 'train_images'"),
    "labels of the other layout": (
        made(images=SHAPE, train_labels=LABELS),
        r"'train_labels', which doesn't go with",
    ),
    "real set": (made(train_images=SHAPE, test_images=SHAPE), r"synthetic images are not split"),
    "none": (made(images=SHAPE[:0]), r"holds no image"),
    "floats": (made(images=SHAPE / 255), r"type float64; uint8"),
    "NaN": (made(images=np.full((3, 16, 16), np.nan)), r"type float64; uint8"),
    "one image": (made(images=SHAPE[0]), r"shape \(16, 16\); \(N, H, W\)"),
    "too large": (made(images=np.zeros((2, 300, 300), np.uint8)), r"300×300 pixels"),
    "promises gigabytes": (
        content("made.npz", packed({"images": header((2**23, 28, 28)) + bytes(10)})),
        r"declares shape",
    ),
    "labels past the names": (
        made(images=SHAPE, labels=np.arange(20), class_names=np.array(["a"])),
        r"'class_names' are 1, but",
    ),
    "several labels": (
        made(images=SHAPE, labels=np.ones((20, 2), int)),
        r"shape \(20, 2\); \(20,\) is needed",
    ),
    "float labels": (made(images=SHAPE, labels=np.ones(20)), r"type float64; whole numbers"),
    "labels out of range": (made(images=SHAPE, labels=np.arange(20) * 10**9), r"0 to 999 are allowed"),
    "names without labels": (
        made(images=SHAPE, class_names=np.array(["a"])),
        r"'class_names' but no 'labels'",
    ),
    "card of numbers": (made(images=SHAPE, card=np.arange(3)), r"'card' is int64"),
    "card no JSON": (card("{"), r"'card' is not JSON"),
    "card a list": (card("[]"), r"'card' is a JSON list; an object"),
    "card without bottom": (card(deep(50000)), r"'card' is not JSON"),
    "card with a number without end": (card('{"a": ' + "9" * 10000 + "}"), r"'card' is not JSON"),
    "card too long": (card(" " * (2**20 + 1)), r"longer than 1048576"),
}

FOLDERS: dict[str, tuple[dict[str, object], str, str]] = {
    "empty": ({}, r"holds no picture", "'s'"),
    "split": ({"train/a/1.png": picture()}, r"divided into train, val or test", "'s'"),
    "card no JSON": ({"1.png": picture(), "card.json": b"nope"}, r"is not JSON", "s/card.json"),
    "card no UTF-8": ({"1.png": picture(), "card.json": b"\xff"}, r"is not UTF-8", "s/card.json"),
    "card too long": (
        {"1.png": picture(), "card.json": b" " * (2**20 + 1)},
        r"larger than 1048576",
        "s/card.json",
    ),
    "card linked out": ({"1.png": picture(), "card.json": "/etc/hostname"}, r"leads out of", "s/card.json"),
    "card a pipe": ({"1.png": picture(), "card.json": None}, r"is a pipe", "s/card.json"),
    "metadata a pipe": ({"1.png": picture(), "metadata.csv": None}, r"is a pipe", "s/metadata.csv"),
    "metadata linked out": (
        {"1.png": picture(), "metadata.csv": "/etc/hostname"},
        r"leads out of",
        "s/metadata.csv",
    ),
    "picture linked out": ({"1.png": "/etc/hostname"}, r"leads out of", "s/1.png"),
}


def _test_images(folder: Path) -> None:
    real(folder)
    with np.load(folder / "real.npz") as file:
        np.savez(folder / "made.npz", images=file["test_images"][file["test_labels"] == 1][:5])


_STUDY = ("study", "real.npz", "--protocol", "sound-quick", "--synthetic")
OTHER = np.random.default_rng(1).integers(0, 256, (20, 20, 20), dtype=np.uint8)
AGAINST: dict[str, tuple[Make, tuple[str, ...], str, str]] = {
    "of another size": (made(images=OTHER), (*_STUDY, "made.npz"), r"\(20, 20, 1\).*\(16, 16, 1\)", "made"),
    "of another size, likeness": (
        made(images=OTHER),
        ("likeness", "made.npz", "real.npz"),
        r"\(20, 20, 1\)",
        "made",
    ),
    "of another class": (
        made(images=SHAPE, labels=np.zeros(20, int), class_names=np.array(["a"])),
        (*_STUDY, "made.npz"),
        r"no class '.*'; its classes are: a",
        "made",
    ),
    "two images": (made(images=SHAPE[:2]), (*_STUDY, "made.npz"), r"2 images .*at least 3", "made"),
    "held-out images": (
        _test_images,
        (*_STUDY, "made.npz"),
        r"5 of them are validation or test images",
        "made",
    ),
    "a file of another kind": (
        beside_real(content("made.txt", b"x")),
        (*_STUDY, "made.txt"),
        r"is a file of another kind",
        "made.txt",
    ),
}

CASES = [
    *[
        Case(f"synthetic .npz: {name}", make, ("likeness", "made.npz", "real.npz"), says, "made")
        for name, (make, says) in FILES.items()
    ],
    *[
        Case(
            f"synthetic folder: {name}", beside_real(tree(files)), ("likeness", "s", "real.npz"), says, names
        )
        for name, (files, says, names) in FOLDERS.items()
    ],
    *[
        Case(f"synthetic: {name}", make, command, says, names)
        for name, (make, command, says, names) in AGAINST.items()
    ],
]
