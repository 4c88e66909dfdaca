"""Simulated frontal chest X-rays: images for which the truth is known, with no data and no network.

A patient is a schematic chest (:mod:`healthgan.sources.thorax`) drawn from a seed of its own; an image is that
chest in one pose, breath and exposure, with the noise of a detector. The label follows from the cardiothoracic
ratio, the heart's largest width over the inner width of the thorax: more than 0.5 is cardiomegaly (Danzer, The
cardiothoracic ratio, Am J Med Sci 157, 1919). ``benchmarks/phantom.py`` measures how hard the task is and how
alike the images are; docs/phantom.md has the figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from healthgan.errors import InputError
from healthgan.images import MAX_SIZE, MIN_SIZE, SPLITS, Collection, ImageSet, Split
from healthgan.sources.thorax import WAVES, Chest, Pose, attenuation

CLASSES = ("normal", "cardiomegaly")
RATIO_LIMIT = 0.5
"""A cardiothoracic ratio above this is cardiomegaly."""
LABEL_NOISE = 0.05
"""Share of patients with the wrong label."""
IMAGES_PER_PATIENT = 1.7

_RATIO = ((0.42, 0.040), (0.58, 0.045))  # mean and standard deviation before the cut at 0.5, by true class
_PATIENT, _IMAGE = 0, 1  # what a seed is for
_AGES = ("18-44", "45-64", "65-90")


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
        owners += [len(draws)] * int(rng.geometric(1 / images_per_patient))
        draws.append(_patient_draw(rng))
    owner = np.array(owners[:count], np.int64)
    patients = _patients(np.reshape(draws, (-1, _PATIENT_DRAWS)), label, label_noise)
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


_NORMALS, _UNIFORMS = 26, 5
_PATIENT_DRAWS = _NORMALS + _UNIFORMS + 3 * WAVES
_IMAGE_DRAWS = 12


def _patient_draw(rng: np.random.Generator) -> NDArray[np.float32]:
    """Standard normal numbers, then uniform ones."""
    return np.concatenate(
        [
            rng.standard_normal(_NORMALS, dtype=np.float32),
            rng.random(_UNIFORMS + 3 * WAVES, dtype=np.float32),
        ]
    )


@dataclass(frozen=True)
class _Patients:
    chest: Chest
    columns: Mapping[str, NDArray[np.str_]]


def _patients(draws: NDArray[np.float32], label: int, label_noise: float) -> _Patients:
    """Turn (P, draws) into P patients of one label."""
    uniform = iter(draws[:, _NORMALS : _NORMALS + _UNIFORMS].T)
    ill = (next(uniform) < label_noise) != bool(label)
    ratio = _ratio(ill, next(uniform))
    female = next(uniform) < 0.45
    age = np.digitize(next(uniform), (0.35, 0.75))
    gas = next(uniform)
    waves = draws[:, _NORMALS + _UNIFORMS :].reshape(-1, WAVES, 3)
    chest = _chest(draws[:, :_NORMALS], ratio.astype(np.float32), female, age, gas, _wave_vectors(waves))
    columns = {
        "ctr": np.array([f"{r:.3f}" for r in ratio], np.str_),
        "sex": np.where(female, "F", "M"),
        "age_band": np.array(_AGES, np.str_)[age],
    }
    return _Patients(chest, columns)


def _ratio(ill: NDArray[np.bool_], uniform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cardiothoracic ratios with three decimals: normal distributions cut at the limit."""
    mean, sd = (np.where(ill, high, low) for low, high in zip(*_RATIO, strict=True))
    limit = ndtr((RATIO_LIMIT - mean) / sd)
    low, high = np.where(ill, limit, 0.0), np.where(ill, 1.0, limit)
    place = np.clip(low + (high - low) * uniform, 1e-4, 1 - 1e-4)
    ratio = np.round(mean + sd * ndtri(place), 3)
    return np.where(ill, np.maximum(ratio, RATIO_LIMIT + 0.001), np.minimum(ratio, RATIO_LIMIT))


def _wave_vectors(uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Waves of 1 to 12 cycles a unit in all directions, coarse ones more often: about 1 / f³ a unit of area."""
    cycles = 12.0 ** (uniform[..., 0] ** 1.4)
    angle = 2 * np.pi * uniform[..., 1]
    return np.stack([cycles * np.cos(angle), cycles * np.sin(angle), uniform[..., 2]], axis=-1).astype(
        np.float32
    )


def _chest(
    normals: NDArray[np.float32],
    ratio: NDArray[np.float32],
    female: NDArray[np.bool_],
    age: NDArray[np.int64],
    gas: NDArray[np.float32],
    waves: NDArray[np.float32],
) -> Chest:
    column = iter(normals.T)

    def vary(mean: float, sd: float, reach: float = 2.5) -> NDArray[np.float32]:
        return (mean + sd * np.clip(next(column), -reach, reach)).astype(np.float32)

    thorax = vary(0.66, 0.045) - np.float32(0.02) * female
    heart_width = 2 * thorax * ratio
    diaphragm = vary(0.36, 0.085)
    habitus = np.clip(next(column), -2, 2.5)
    return Chest(
        thorax=thorax,
        apex=vary(-0.74, 0.05),
        diaphragm=diaphragm,
        dome=vary(0.62, 0.15),
        tilt=vary(0.065, 0.02),
        heart_width=heart_width,
        heart_height=vary(0.60, 0.04) + np.float32(0.25) * (heart_width - np.float32(0.6)),
        heart_slant=vary(0.35, 0.10, 2),
        heart_left=vary(0.635, 0.03),
        mediastinum=vary(0.115, 0.015) + np.float32(0.008) * age,
        knob=vary(0.065, 0.01) + np.float32(0.012) * age,
        neck=vary(0.24, 0.025) + np.float32(0.02) * habitus,
        shoulder=vary(-0.80, 0.05),
        body=np.float32(0.18) + np.float32(0.05) * habitus,
        arms=vary(0.20, 0.15),
        fat=vary(0.62, 0.03) + np.float32(0.03) * habitus,
        breast=(female * vary(0.10, 0.04)).clip(0),
        breast_low=vary(0.28, 0.07),
        stomach=(np.float32(0.25) * (gas - np.float32(0.4))).clip(0),
        gas=vary(0.03, 0.04).clip(0),
        rib_gap=vary(0.175, 0.012),
        rib_phase=vary(0.0, 1.0),
        rib_slope=vary(0.14, 0.03),
        bone=vary(0.085, 0.02),
        collar=vary(-0.55, 0.04),
        lung_air=vary(0.33, 0.035),
        haze=vary(0.04, 0.05).clip(0),
        texture=vary(0.033, 0.008),
        waves=waves,
    )


def _films(
    chest: Chest,
    owner: NDArray[np.int64],
    views: NDArray[np.float32],
    noise: NDArray[np.float32],
    size: int,
) -> NDArray[np.uint8]:
    """Expose the films: (N, size, size)."""
    column = iter(views.T)
    breath = np.float32(0.035) * next(column)
    right, down, turn, scale = (next(column) * np.float32(sd) for sd in (0.08, 0.10, 0.05, 0.09))
    level, width, fog, top, dose = (next(column) for _ in range(5))
    one = {f.name: getattr(chest, f.name)[owner] for f in fields(chest)}
    seen = Chest(**one)
    seen = replace(seen, diaphragm=seen.diaphragm + breath, apex=seen.apex - np.float32(0.2) * breath)
    film = attenuation(seen, Pose(right, down, turn, np.exp(scale)), size)
    film += noise * (_quanta(film, size) * np.exp(np.float32(0.3) * dose)[:, None, None])
    return _develop(film, level, width, fog, top)


def _quanta(film: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Standard deviation of the noise: fewer quanta reach a smaller pixel behind denser tissue."""
    return np.float32(_MOTTLE * size / 28) * np.exp(film)


def _develop(
    film: NDArray[np.float32],
    level: NDArray[np.float32],
    width: NDArray[np.float32],
    fog: NDArray[np.float32],
    top: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """The film's S-shaped curve: attenuation → grey value."""
    middle = (0.385 + 0.09 * level)[:, None, None]
    slope = (5.0 * np.exp(0.25 * width))[:, None, None]
    dark = (np.clip(8 + 6 * fog, 0, 40))[:, None, None]
    bright = (np.clip(225 + 18 * top, 160, 255))[:, None, None]
    grey = 1 / (1 + np.exp(-slope * (film - middle)))
    air = 1 / (1 + np.exp(slope * middle))
    grey = dark + (bright - dark) * (grey - air) / (1 - air)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


_MOTTLE = 0.002
