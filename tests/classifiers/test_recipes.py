"""Recipes: what is refused, and what the digest of one stands for."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.classifiers.recipes import Augmentation, Part, Phase, Recipe, digest

POOL = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
TARGETS = (np.arange(12) % 2).astype(np.float32)[:, None]
ALL = np.arange(12)


def part(images=2, index=(0, 1, 2), weight=None):
    return Part(images, np.array(index, np.int64), None if weight is None else np.array(weight))


def phase(**changes):
    return Phase(**{"steps": 3, "parts": (part(), part(1, (4, 5))), "targets": TARGETS} | changes)


def recipe(**changes):
    return Recipe((phase(**changes),), "cnn-2023", 1)


@pytest.mark.parametrize("field", ["rotate", "shift", "scale", "brightness", "contrast"])
@pytest.mark.parametrize("value", [-0.01, 181.0, float("nan"), float("inf")])
def test_strengths_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is .*; it must be from 0"):
        Augmentation(**{field: value})


@pytest.mark.parametrize(
    "highest", [{"rotate": 180}, {"shift": 0.99}, {"scale": 0.99}, {"brightness": 1}, {"contrast": 1}]
)
def test_strengths_at_the_edge_are_taken(highest):
    assert not Augmentation(**highest).none
    assert Augmentation().none


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Augmentation(shift=1.0), "shift is 1.0"),
        (lambda: Augmentation(scale=1.0), "scale is 1.0"),
        (lambda: part(images=0), "images is 0"),
        (lambda: part(index=()), "n > 0"),
        (lambda: part(index=(-1, 2)), "-1"),
        (lambda: Part(2, np.arange(3, dtype=np.int32)), "int32"),
        (lambda: Part(2, np.zeros((2, 2), np.int64)), r"\(2, 2\)"),
        (lambda: part(weight=(0.5, 0.5)), r"\(2,\)"),
        (lambda: part(weight=(0.5, 0.5, 0.1)), "probabilities"),
        (lambda: part(weight=(1.5, -0.5, 0.0)), "probabilities"),
        (lambda: part(weight=(float("nan"), 0.5, 0.5)), "probabilities"),
        (lambda: phase(steps=0), "steps is 0"),
        (lambda: phase(steps=1.5), "steps is 1.5"),
        (lambda: phase(parts=()), "parts is empty"),
        (lambda: phase(targets=TARGETS.astype(np.float64)), "float64"),
        (lambda: phase(targets=TARGETS[:, 0]), r"\(12,\)"),
        (lambda: phase(targets=TARGETS[:, :0]), "K > 0"),
        (lambda: phase(targets=TARGETS[:5]), "holds 5, the pool 5"),
        (lambda: phase(targets=TARGETS + 1), "between 0 and 1"),
        (lambda: phase(targets=TARGETS * np.float32(np.nan)), "nothing to learn"),
        (lambda: phase(mixup=-0.1), "mixup is -0.1"),
        (lambda: phase(mixup=float("inf")), "mixup is inf"),
        (lambda: phase(learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: phase(learning_rate=float("nan")), "learning_rate is nan"),
        (lambda: phase(class_weights=(1.0, 0.0)), "class_weights is 0.0"),
        (lambda: phase(align=part()), "go together"),
        (lambda: phase(align_weight=1.0), "go together"),
        (lambda: phase(align=part(1), align_weight=1.0), "two images"),
        (lambda: phase(align=part(2, (12,)), align_weight=1.0), "holds 12"),
        (lambda: Recipe(()), "phases is empty"),
        (lambda: Recipe((phase(),), network=""), "network is empty"),
        (lambda: Recipe((phase(),), seed=-1), "seed is -1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()


def test_targets_of_images_that_are_not_used_may_be_anything():
    targets = np.where(np.isin(ALL, [0, 1, 2, 4, 5])[:, None], TARGETS, np.float32(7))
    assert phase(targets=targets).labelled == 3
    assert Recipe((phase(), phase(steps=4))).steps == 7


def test_a_recipe_needs_no_torch():
    code = "import sys, healthgan.classifiers.recipes; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


OTHER = part(2, (6, 7))
CHANGES = {
    "steps": {"steps": 4},
    "images": {"parts": (part(3), part(1, (4, 5)))},
    "order of parts": {"parts": (part(1, (4, 5)), part())},
    "fewer parts": {"parts": (part(),)},
    "index": {"parts": (part(), part(1, (4, 6)))},
    "order in an index": {"parts": (part(), part(1, (5, 4)))},
    "drawn twice as often": {"parts": (part(2, (0, 0, 1, 2)), part(1, (4, 5)))},
    "weight": {"parts": (part(weight=(1 / 3, 1 / 3, 1 / 3)), part(1, (4, 5)))},
    "other weight": {"parts": (part(weight=(0.5, 0.25, 0.25)), part(1, (4, 5)))},
    "one target": {"targets": np.where(ALL[:, None] == 5, np.float32(0.5), TARGETS)},
    "target unused": {"targets": np.where(ALL[:, None] == 5, np.float32(np.nan), TARGETS)},
    "outputs": {"targets": np.repeat(TARGETS, 2, axis=1)},
    "rotate": {"augmentation": Augmentation(rotate=5)},
    "shift": {"augmentation": Augmentation(shift=0.5)},
    "mirror": {"augmentation": Augmentation(mirror=True)},
    "mixup": {"mixup": 0.2},
    "class weight 0": {"class_weights": (2.0, 1.0)},
    "class weight 1": {"class_weights": (1.0, 2.0)},
    "learning rate": {"learning_rate": 2e-3},
    "align": {"align": OTHER, "align_weight": 1.0},
    "align index": {"align": part(2, (6, 8)), "align_weight": 1.0},
    "align weight": {"align": OTHER, "align_weight": 2.0},
    "new head": {"new_head": True},
}


def test_whatever_decides_the_training_decides_the_digest():
    found = {name: digest(recipe(**change), POOL) for name, change in CHANGES.items()}
    found["itself"] = digest(recipe(), POOL)
    found["seed"] = digest(replace(recipe(), seed=2), POOL)
    found["network"] = digest(replace(recipe(), network="resnet-small"), POOL)
    found["two phases"] = digest(Recipe((phase(), phase()), "cnn-2023", 1), POOL)
    found["shape"] = digest(recipe(), POOL.reshape(12, 2, 8, 1))
    assert len(set(found.values())) == len(found)
    assert found["itself"] == digest(recipe(), POOL.copy())
    assert all(len(value) == 64 for value in found.values())


@given(st.sampled_from(range(12)), st.integers(1, 255))
def test_a_pixel_counts_where_its_image_can_be_drawn(image, change):
    pool = POOL.copy()
    pool[image, 1, 2, 0] ^= np.uint8(change)
    used = image in (0, 1, 2, 4, 5)
    assert (digest(recipe(), pool) != digest(recipe(), POOL)) == used
    domain = recipe(align=part(2, (6, 7)), align_weight=1.0)
    assert (digest(domain, pool) != digest(domain, POOL)) == (used or image in (6, 7))


@given(st.permutations(range(12)), st.integers(0, 5))
def test_where_an_image_stands_in_the_pool_does_not_matter(order, more):
    """Nor do images that no part draws from."""
    order = np.array(order)
    place = np.argsort(order)  # of the old positions in the new pool
    pool = np.concatenate([POOL[order], np.full((more, 4, 4, 1), 9, np.uint8)])
    targets = np.concatenate([TARGETS[order], np.zeros((more, 1), np.float32)])
    moved = recipe(parts=(part(2, place[[0, 1, 2]]), part(1, place[[4, 5]])), targets=targets)
    assert digest(moved, pool) == digest(recipe(), POOL)


def test_nan_is_nan_whatever_its_bits():
    bits = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    one, two = (np.where(ALL[:, None] == 5, nan, TARGETS) for nan in bits)
    assert one.tobytes() != two.tobytes()
    assert digest(recipe(targets=one), POOL) == digest(recipe(targets=two), POOL)


def test_initial_weights_count_by_content(tmp_path: Path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    first, same, other = (digest(replace(recipe(), weights=path), POOL) for path in paths)
    assert first == same
    assert len({first, other, digest(recipe(), POOL)}) == 3
