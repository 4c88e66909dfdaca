"""The phantom's patients: chests as people have them, healthy or with a heart too large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from healthgan.sources.thorax import WAVES, Chest, Floats

RATIO_LIMIT = 0.5
"""A cardiothoracic ratio above this is cardiomegaly."""

_RATIO = ((0.425, 0.040), (0.575, 0.045))
"""Mean and standard deviation before the cut at the limit: healthy, ill."""
_AGES = ("18-44", "45-64", "65-90")

_AGE_LIMITS = (0.35, 0.75)  # shares of patients younger
_WOMEN = 0.45
_CONGESTION = np.float32(0.4)  # haze over the lower lungs for each unit of the ratio above a healthy one

_NORMALS, _UNIFORMS = 26, 5  # numbers a patient takes


def patient_draws(rng: np.random.Generator) -> NDArray[np.float32]:
    """All the random numbers of one patient: standard normal ones, then uniform ones."""
    return np.concatenate(
        [
            rng.standard_normal(_NORMALS, dtype=np.float32),
            rng.random(_UNIFORMS + 3 * WAVES, dtype=np.float32),
        ]
    )


@dataclass(frozen=True)
class Patients:
    """P chests, and facts on each patient as text: name → (P,) str."""

    chest: Chest
    columns: Mapping[str, NDArray[np.str_]]


def make_patients(draws: Sequence[NDArray[np.float32]], label: int, label_noise: float) -> Patients:
    """Turn the numbers of P patients, all of one label, into patients.

    Args:
        draws: P times :func:`patient_draws`.
        label: 1 says that the ratio is above the limit.
        label_noise: share of patients of whom the label is not true.
    """
    table = np.array(draws, np.float32).reshape(len(draws), _NORMALS + _UNIFORMS + 3 * WAVES)
    normals, uniforms, waves = np.split(table, (_NORMALS, _NORMALS + _UNIFORMS), axis=1)
    error, place, sex, years, stomach = uniforms.T
    ill = (error < label_noise) != bool(label)
    ratio = _ratio(ill, place)
    female = sex < _WOMEN
    age = np.digitize(years, _AGE_LIMITS)
    chest = _chest(
        normals,
        ratio.astype(np.float32),
        female.astype(np.float32),
        age.astype(np.float32),
        (np.float32(0.25) * (stomach - np.float32(0.4))).clip(0),
        _waves(waves.reshape(-1, WAVES, 3)),
    )
    columns = {
        "ctr": np.array([f"{r:.3f}" for r in ratio], np.str_),
        "sex": np.where(female, "F", "M"),
        "age_band": np.array(_AGES, np.str_)[age],
    }
    return Patients(chest, columns)


def _ratio(ill: NDArray[np.bool_], uniform: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cardiothoracic ratios with three decimals: normal distributions cut at the limit."""
    mean, sd = (np.where(ill, high, low) for low, high in zip(*_RATIO, strict=True))
    limit = ndtr((RATIO_LIMIT - mean) / sd)
    low, high = np.where(ill, limit, 0.0), np.where(ill, 1.0, limit)
    place = np.clip(low + (high - low) * uniform, 1e-4, 1 - 1e-4)
    ratio = np.round(mean + sd * ndtri(place), 3)
    cut: NDArray[np.float64] = np.where(
        ill, np.maximum(ratio, RATIO_LIMIT + 0.001), np.minimum(ratio, RATIO_LIMIT)
    )
    return cut


def _waves(uniform: NDArray[np.float32]) -> Floats:
    """Plane waves of 1 to 12 cycles a unit in all directions, coarse ones more often than fine ones."""
    cycles = 12.0 ** (uniform[..., 0] ** 1.4)
    angle = 2 * np.pi * uniform[..., 1]
    waves = np.stack([cycles * np.cos(angle), cycles * np.sin(angle), uniform[..., 2]], axis=-1)
    result: Floats = waves.astype(np.float32)
    return result


def _chest(
    normals: Floats, ratio: Floats, female: Floats, age: Floats, stomach: Floats, waves: Floats
) -> Chest:
    """Chests of people; the order of the measures decides which random number each gets."""
    column = iter(normals.T)

    def vary(mean: float, sd: float) -> Floats:
        measures: Floats = (mean + sd * np.clip(next(column), -2.5, 2.5)).astype(np.float32)
        return measures

    habitus = vary(0, 1)  # thin … stout
    thorax = vary(0.66, 0.045) - np.float32(0.02) * female
    heart_width = 2 * thorax * ratio
    heart_height = vary(0.60, 0.04) + np.float32(0.25) * (heart_width - np.float32(0.6))
    return Chest(
        thorax=thorax,
        apex=vary(-0.74, 0.05),
        diaphragm=vary(0.36, 0.085),
        dome=vary(0.62, 0.15),
        tilt=vary(0.065, 0.02),
        heart_width=heart_width,
        heart_height=heart_height,
        heart_slant=np.minimum(vary(0.35, 0.10), np.float32(0.7) * heart_width / heart_height),
        heart_left=vary(0.635, 0.03),
        mediastinum=vary(0.115, 0.015) + np.float32(0.008) * age,
        knob=vary(0.065, 0.01) + np.float32(0.012) * age,
        neck=vary(0.24, 0.025) + np.float32(0.02) * habitus,
        shoulder=vary(-0.80, 0.05),
        body=np.float32(0.18) + np.float32(0.05) * habitus,
        arms=vary(0.20, 0.15),
        fat=vary(0.62, 0.03) + np.float32(0.03) * habitus,
        breast=female * vary(0.10, 0.04),
        breast_low=vary(0.28, 0.07),
        stomach=stomach,
        gas=vary(0.03, 0.04).clip(0),
        rib_gap=vary(0.175, 0.012),
        rib_phase=vary(0, 1),
        rib_slope=vary(0.14, 0.03),
        bone=vary(0.085, 0.02),
        collar=vary(-0.55, 0.04),
        lung_air=vary(0.33, 0.035),
        haze=(vary(0.03, 0.05) + _CONGESTION * (ratio - np.float32(0.44))).clip(0),
        texture=vary(0.033, 0.008),
        waves=waves,
    )
