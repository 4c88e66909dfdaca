"""Simulated frontal chest X-rays: images for which the truth is known, with no data and no network.

A patient is a schematic chest (:mod:`healthgan.sources.thorax`) with a seed of its own; an image is that chest in
one pose, breath and exposure, with the noise of a detector. The label follows from the cardiothoracic
ratio, the heart's largest width over the inner width of the thorax: more than 0.5 is cardiomegaly (Danzer, The
cardiothoracic ratio, Am J Med Sci 157, 1919). ``benchmarks/phantom.py`` measures how hard the task is and how
alike the images are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE, SPLITS, Collection, ImageSet, Split
from healthgan.sources.phantom_patients import make_patients, patient_draws
from healthgan.sources.thorax import Chest, Floats, Pose, attenuation

CLASSES = ("normal", "cardiomegaly")
LABEL_NOISE = 0.05
"""Share of patients with the wrong label."""
IMAGES_PER_PATIENT = 1.7

_PATIENT, _IMAGE = 0, 1  # what a seed is for
_IMAGE_DRAWS = 10  # what an image takes besides its noise
_MOTTLE = np.float32(0.004)  # standard deviation of the noise at 28 pixels, in units of attenuation
_BLUR = 96  # pixels a side beyond which the detector's own blur limits the noise


@dataclass(frozen=True)
class Counts:
    """How many images of each label one split has."""

    normal: int
    cardiomegaly: int


DEFAULT_COUNTS: Mapping[Split, Counts] = MappingProxyType(
    {"train": Counts(1000, 200), "val": Counts(200, 40), "test": Counts(1600, 400)}
)


def phantom(
    *,
    size: int = 28,
    seed: int = 0,
    counts: Mapping[Split, Counts] = DEFAULT_COUNTS,
    label_noise: float = LABEL_NOISE,
    images_per_patient: float = IMAGES_PER_PATIENT,
) -> Collection:
    """Simulate training, validation and test images.

    Args:
        size: pixels a side.
        seed: of everything random; another seed gives other patients.
        counts: the splits and how many images of each label they have.
        label_noise: share of patients with the wrong label.
        images_per_patient: the mean.

    Raises:
        InputError: as :func:`phantom_images`.
    """
    splits: dict[Split, ImageSet] = {
        split: phantom_images(
            counts[split],
            split=split,
            size=size,
            seed=seed,
            label_noise=label_noise,
            images_per_patient=images_per_patient,
        )
        for split in SPLITS
        if split in counts
    }
    return Collection(name="phantom", splits=splits)


def phantom_images(
    counts: Counts,
    *,
    split: Split = "train",
    size: int = 28,
    seed: int = 0,
    label_noise: float = LABEL_NOISE,
    images_per_patient: float = IMAGES_PER_PATIENT,
) -> ImageSet:
    """Simulate the images of one split.

    The first images of a label do not depend on how many follow, nor on the count of the other label. The two
    labels are spread evenly over the set.

    Args:
        counts: images of each label; exact.
        split: patients of different splits are different.
        size: pixels a side; the same chests are drawn at any size.
        seed: of everything random.
        label_noise: share of patients whose label contradicts their cardiothoracic ratio.
        images_per_patient: the mean; the number is geometrically distributed.

    Returns:
        Grey images, labels 0 (normal) and 1 (cardiomegaly), patients, and the columns ``ctr`` (the true
        cardiothoracic ratio, three decimals), ``sex`` (F, M) and ``age_band``.

    Raises:
        InputError: a count, the size, the seed or a rate is out of range.
    """
    _check(counts, size, seed, label_noise, images_per_patient)
    parts = [
        _label_images(label, number, SPLITS.index(split), size, seed, label_noise, images_per_patient)
        for label, number in enumerate((counts.normal, counts.cardiomegaly))
    ]
    whole = ImageSet(
        pixels=np.concatenate([p.pixels for p in parts]),
        labels=np.concatenate([p.labels for p in parts]).astype(np.int64),
        class_names=CLASSES,
        patients=np.concatenate([p.patients for p in parts if p.patients is not None]),
        columns={name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns},
    )
    place = np.concatenate([(np.arange(len(p)) + 0.5) / max(len(p), 1) for p in parts])
    return whole.take(np.argsort(place, kind="stable"))


def _check(counts: Counts, size: int, seed: int, label_noise: float, images_per_patient: float) -> None:
    for name in CLASSES:
        if (number := getattr(counts, name)) < 0:
            raise InputError(f"{number} {name} phantom images are asked for; 0 or more are allowed.")
    if counts.normal + counts.cardiomegaly == 0:
        raise InputError("No phantom images are asked for; give at least one label a count of 1 or more.")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(
            f"Phantom images of {size} pixels a side are asked for; {MIN_SIZE} to {MAX_SIZE} are allowed."
        )
    if seed < 0:
        raise InputError(f"The seed is {seed}; 0 or more is allowed.")
    if not 0 <= label_noise <= 1:
        raise InputError(f"The label noise is {label_noise}; it is a share, from 0 to 1.")
    if not 1 <= images_per_patient < np.inf:
        raise InputError(f"{images_per_patient} images a patient are asked for; 1 or more are allowed.")


def _label_images(
    label: int, count: int, split: int, size: int, seed: int, label_noise: float, images_per_patient: float
) -> ImageSet:
    """The first ``count`` images with that label; patient by patient, the last one's cut off."""
    draws: list[NDArray[np.float32]] = []
    owners: list[int] = []
    while len(owners) < count:
        rng = _generator(seed, split, label, _PATIENT, len(draws))
        draws.append(patient_draws(rng))
        owners += [len(draws) - 1] * int(rng.geometric(1 / images_per_patient))
    owner = np.array(owners[:count], np.int64)
    patients = make_patients(draws, label, label_noise)
    views = np.empty((count, _IMAGE_DRAWS), np.float32)
    noise = np.empty((count, size, size), np.float32)
    for i in range(count):
        rng = _generator(seed, split, label, _IMAGE, i)
        rng.standard_normal(out=views[i], dtype=np.float32)
        rng.standard_normal(out=noise[i], dtype=np.float32)
    return ImageSet(
        pixels=_films(patients.chest, owner, views, noise, size)[..., None],
        labels=np.full(count, label, np.int64),
        class_names=CLASSES,
        patients=(owner * len(CLASSES) + label) * len(SPLITS) + split,
        columns={name: values[owner] for name, values in patients.columns.items()},
    )


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


def _films(
    chest: Chest, owner: NDArray[np.int64], views: NDArray[np.float32], noise: NDArray[np.float32], size: int
) -> NDArray[np.uint8]:
    """Expose one film an image, (N, size, size), each of the chest ``owner`` says."""
    breath, right, down, turn, scale, dose, level, width, fog, top = views.T
    seen = chest.take(owner)
    seen = replace(seen, diaphragm=seen.diaphragm + _of(breath, 0.035), apex=seen.apex - _of(breath, 0.007))
    pose = Pose(_of(right, 0.08), _of(down, 0.10), _of(turn, 0.05), np.exp(_of(scale, 0.09)))
    film = attenuation(seen, pose, size)
    # behind denser tissue fewer quanta arrive, and a smaller pixel catches fewer
    grain = _MOTTLE * (size / 28) / math.sqrt(1 + (size / _BLUR) ** 2)
    film += noise * np.exp(film + _of(dose, 0.3)[:, None, None]) * np.float32(grain)
    return _develop(film, level, width, fog, top)


def _of(normal: Floats, sd: float) -> Floats:
    """Standard normal numbers, cut at ± 3, times ``sd``."""
    return np.clip(normal, -3, 3) * np.float32(sd)


def _develop(film: Floats, level: Floats, width: Floats, fog: Floats, top: Floats) -> NDArray[np.uint8]:
    """Attenuation → grey value, by the S-shaped curve of a film that was exposed so."""
    middle = (np.float32(0.385) + _of(level, 0.09))[:, None, None]
    slope = (np.float32(5) * np.exp(_of(width, 0.25)))[:, None, None]
    dark = np.clip(8 + _of(fog, 6), 0, None)[:, None, None]
    bright = np.clip(225 + _of(top, 18), None, 255)[:, None, None]
    grey = 1 / (1 + np.exp(-slope * (film - middle)))
    air = 1 / (1 + np.exp(slope * middle))
    grey = dark + (bright - dark) * (grey - air) / (1 - air)
    pixels: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return pixels
