"""Make a set of images with a trained generator."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from healthgan.errors import InputError
from healthgan.generators.interface import LABELS

if TYPE_CHECKING:
    from healthgan.sources.synthetic import SyntheticSet


def sample_generator(path: Path, count: int, class_name: str | None, seed: int) -> "SyntheticSet":
    """New images of one class, with a card.

    Args:
        path: the generator's file.
        count: how many.
        class_name: by default the rare class.
        seed: another one gives other images; image i depends on it and on i only.

    Raises:
        InputError: the file is no generator, it does not know the class, or the count or the seed is negative.
    """
    if count < 1 or seed < 0:
        raise InputError(f"{count} images by seed {seed}: one image or more, and a seed from 0, are needed.")

    import torch

    from healthgan.exports import make_card
    from healthgan.generators.store import load_generator
    from healthgan.sources.synthetic import SyntheticSet

    torch.set_num_threads(1)
    stored = load_generator(path)
    names: list[str] = stored.facts.get("class_names", [])
    if len(names) != len(LABELS) or len(set(names)) != len(names):
        raise InputError(
            f"'{path}' does not name its two classes: it was not finished. Repeat the 'healthgan train' that wrote it."
        )
    label = LABELS["rare"] if class_name is None else names.index(class_name) if class_name in names else -1
    if label < 0:
        raise InputError(f"'{path}' knows no class '{class_name}'; {' and '.join(names)} are there.")
    pixels = stored.generator.sample(count, label, seed)
    labels = np.full(count, label, np.int64)
    facts = stored.facts
    card = make_card(
        pixels,
        labels,
        names,
        name=path.stem,
        trained_on=facts.get("trained_on", {}),
        generator={**facts.get("generator", {}), "sampling_seed": seed},
        fidelity=facts.get("fidelity"),
        privacy=facts.get("privacy"),
    )
    return SyntheticSet(pixels, labels, tuple(names), path.stem, card)
