"""Ways to train on a rare class: one short function an arm, from an empty bench to its stages."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from healthgan.arms.bench import EMPTY, Bench, Materials, Pixels, Settings, Stage, Training
from healthgan.arms.smote import smote
from healthgan.classifiers.recipes import Augmentation, Part
from healthgan.errors import InputError
from healthgan.privacy.planted import WITHIN

FEWEST = 10
"""Synthetic images that an arm needs."""
CONTROL_SHARE = 0.5
"""Of the rare half, in the control arms."""
CLASSICAL_SHARE = 0.25
"""Of synthetic images in the arms that also do something else; a choice, not tuned."""


class NothingKeptError(Exception):
    """Too few synthetic images passed an arm's filter."""


def make_training(arm: str, materials: Materials, settings: Settings, seed: int) -> Training:
    """The recipe of an arm.

    Args:
        arm: a name in ``healthgan.protocol_sound.ARMS``.
        materials: what there is to train on.
        settings: how.
        seed: of the classifier, and of what the arm itself draws.

    Raises:
        NothingKeptError: too few synthetic images passed the arm's filter.
        InputError: the arm has no other findings, other source or fresh images to be made of.
    """
    bench = Bench(materials, settings, seed)
    stages = MAKERS[arm](bench)
    return bench.training(stages, seed, settings.weights if arm == "weights" else None)


def onward(
    arm: str | None, materials: Materials, second: Materials, settings: Settings, seed: int
) -> Training:
    """Trained by an arm first, or not at all, then fine-tuned on a second task, with equal steps in all.

    Args:
        arm: None begins with the second task, and stays there.
        materials: of the first task.
        second: of the second task; real images only are used.
        settings: how.
        seed: of the classifier.
    """
    if arm is None:
        return make_training("real", second, settings, seed)
    bench = Bench(materials, settings, seed)
    first = MAKERS[arm](bench)
    rare, reference = (bench.add(pixels, synthetic=False) for pixels in (second.rare, second.reference))
    last = bench.stage((rare, EMPTY, 0.0), (reference, EMPTY, 0.0))
    share = settings.first_phase / sum(stage.share for stage in first)
    begun = tuple(replace(stage, share=stage.share * share) for stage in first)
    return bench.training((*begun, replace(last, share=1 - settings.first_phase, new_head=True)), seed)


def _real(bench: Bench) -> tuple[Stage, ...]:
    return (bench.real(),)


def _augmented(bench: Bench, mixup: bool = False, augment: bool = True) -> tuple[Stage, ...]:
    return (_altered(bench, bench.real(), mixup=mixup, augment=augment),)


def _weighted(bench: Bench) -> tuple[Stage, ...]:
    """Natural frequencies; the loss of a class counts in inverse proportion to its images, as scikit-learn's 'balanced'."""
    stage = bench.real()
    rare, reference = len(bench.rare), len(bench.reference)
    whole = Part(bench.settings.batch, np.concatenate([bench.rare, bench.reference]))
    weights = ((rare + reference) / (2 * reference), (rare + reference) / (2 * rare))
    return (replace(stage, parts=(whole,), class_weights=weights),)


def _smote(bench: Bench) -> tuple[Stage, ...]:
    made = bench.add(smote(bench.materials.rare, len(bench.reference) - len(bench.rare), bench.rng))
    share = len(made) / (len(made) + len(bench.rare))
    return (bench.stage((bench.rare, made, share)),)


def _transfer(bench: Bench, *, augment: bool = False, share: float = 0.0) -> tuple[Stage, ...]:
    """The other findings first, as many outputs as there are findings, half of each batch of the reference class."""
    findings = bench.materials.findings
    if findings is None:
        raise InputError(
            "There are no other findings to train on. Leave the arm 'transfer' out of the protocol."
        )
    index = bench.add(findings.pixels, synthetic=False)
    first = Stage(
        (Part(bench.half, index), Part(bench.half, bench.reference)),
        ((index, findings.targets), (bench.reference, findings.reference)),
        bench.settings.first_phase,
    )
    last = _both_stage(bench, share) if share else bench.real()
    last = replace(last, share=1 - bench.settings.first_phase, new_head=True)
    return tuple(_altered(bench, stage, augment=augment) for stage in (first, last))


def _other(bench: Bench, align: bool = False) -> tuple[Stage, ...]:
    """Another source first; with its features drawn towards those of our images if asked for."""
    if bench.materials.other is None:
        raise InputError("There is no other source to learn from. Name one in the protocol's table [other].")
    rare, reference = (bench.add(pixels, synthetic=False) for pixels in bench.materials.other)
    first = replace(
        bench.stage((rare, EMPTY, 0.0), (reference, EMPTY, 0.0)),
        share=bench.settings.first_phase,
        align=Part(bench.settings.batch, np.concatenate([bench.rare, bench.reference])) if align else None,
    )
    return first, replace(bench.real(), share=1 - bench.settings.first_phase)


def _share(bench: Bench, share: float, kept: str = "band", *, augment: bool = False) -> tuple[Stage, ...]:
    made = bench.add(_some(bench.materials.synthetic.get(kept), "rare"))
    return (_altered(bench, bench.stage((bench.rare, made, share)), augment=augment),)


def _both(bench: Bench, share: float, *, augment: bool = False, mixup: bool = False) -> tuple[Stage, ...]:
    return (_altered(bench, _both_stage(bench, share), augment=augment, mixup=mixup),)


def _both_stage(bench: Bench, share: float) -> Stage:
    made = bench.add(_some(bench.materials.synthetic.get("band"), "rare"))
    others = bench.add(_some(bench.materials.synthetic_reference, "reference"))
    return bench.stage((bench.rare, made, share), (bench.reference, others, share))


def _pretrain(bench: Bench, *, augment: bool = False) -> tuple[Stage, ...]:
    first = replace(_both_stage(bench, 1.0), share=bench.settings.first_phase)
    last = replace(bench.real(), share=1 - bench.settings.first_phase)
    return tuple(_altered(bench, stage, augment=augment) for stage in (first, last))


def _noise(bench: Bench) -> tuple[Stage, ...]:
    shape = bench.materials.rare.shape
    made = bench.add(bench.rng.integers(0, 256, shape, dtype=np.uint8))
    return (bench.stage((bench.rare, made, CONTROL_SHARE)),)


def _copies(bench: Bench) -> tuple[Stage, ...]:
    """Each training image once, altered in one of the ways that the search for copies is meant to find."""
    rare = bench.materials.rare
    kind = bench.rng.integers(len(WITHIN), size=len(rare))
    made = rare.copy()
    for number, change in enumerate(WITHIN.values()):
        chosen = np.flatnonzero(kind == number)
        if len(chosen):
            made[chosen] = change(rare[chosen], bench.rng)
    return (bench.stage((bench.rare, bench.add(made), CONTROL_SHARE)),)


def _oracle(bench: Bench) -> tuple[Stage, ...]:
    """All real rare images that there are, each as often as the other."""
    if bench.materials.fresh is None:
        raise InputError(
            "No rare images were held back. The arm 'oracle' needs --rare-count, or a learning curve."
        )
    fresh = bench.add(bench.materials.fresh)
    return (bench.stage((bench.rare, fresh, len(fresh) / (len(fresh) + len(bench.rare)))),)


MAKERS: Mapping[str, Callable[[Bench], tuple[Stage, ...]]] = MappingProxyType(
    {
        "real": _real,
        "real-again": _real,
        "weighted": _weighted,
        "smote": _smote,
        "mixup": partial(_augmented, mixup=True, augment=False),
        "classical": _augmented,
        "classical-mixup": partial(_augmented, mixup=True),
        "transfer": _transfer,
        "transfer-classical": partial(_transfer, augment=True),
        "transfer-other": _other,
        "coral": partial(_other, align=True),
        "weights": _real,
        **{f"synthetic-{percent}": partial(_share, share=percent / 100) for percent in (25, 50, 75, 100)},
        **{f"both-{percent}": partial(_both, share=percent / 100) for percent in (25, 50, 75, 100)},
        "floor-50": partial(_share, share=0.5, kept="floor"),
        "faithful-50": partial(_share, share=0.5, kept="faithful"),
        "unfiltered-50": partial(_share, share=0.5, kept="none"),
        "synthetic-classical": partial(_share, share=CLASSICAL_SHARE, augment=True),
        "both-classical": partial(_both, share=CLASSICAL_SHARE, augment=True),
        "both-mixup": partial(_both, share=CLASSICAL_SHARE, augment=True, mixup=True),
        "pretrain": _pretrain,
        "pretrain-classical": partial(_pretrain, augment=True),
        "transfer-both": partial(_transfer, augment=True, share=CLASSICAL_SHARE),
        "noise": _noise,
        "copies": _copies,
        "oracle": _oracle,
    }
)
"""One function an arm, from an empty bench to its stages."""


def _altered(bench: Bench, stage: Stage, *, augment: bool = False, mixup: bool = False) -> Stage:
    return replace(
        stage,
        augmentation=bench.settings.augmentation if augment else Augmentation(),
        mixup=bench.settings.mixup if mixup else 0.0,
    )


def _some(pixels: Pixels | None, name: str) -> Pixels:
    found = 0 if pixels is None else len(pixels)
    if pixels is None or found < FEWEST:
        raise NothingKeptError(f"{found} synthetic {name} images passed the filter; {FEWEST} are needed")
    return pixels
