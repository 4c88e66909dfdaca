"""How good a trained generator is, for its card: fidelity and privacy, measured on the validation split."""

from collections.abc import Callable
from typing import Any

import torch

from healthgan.fidelity import RealImages, fidelity_report, summary
from healthgan.generators.interface import LABELS, ImageGenerator
from healthgan.privacy.audit import audit
from healthgan.privacy.summary import conclusion, rows
from healthgan.task import Task

MOST = 400
"""Images of a class that are made to measure a generator, at most; twice its training images if that is less."""


def times_told(both: bool) -> int:
    """How often ``progress`` of ``measure_generator`` is told, at most."""
    return summary.times_told(2 if both else 1) + 2


def measure_generator(
    generator: ImageGenerator,
    task: Task,
    *,
    patients_known: bool,
    both: bool,
    seed: int,
    device: str,
    steps: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measure what a generator makes against the training split and the validation split, which decided nothing.

    Args:
        generator: trained on the training split of ``task``.
        task: its classes; the test split is not read.
        patients_known: whether the source tells its patients; where it does not, no patients are counted.
        both: whether it makes images of the reference class, too.
        seed: of the images and of everything random.
        device: of the classifiers.
        steps: of each classifier.
        progress: told what is done, at the start of each part and after each classifier.

    Returns:
        ``fidelity`` and ``privacy``, ready for JSON.

    Raises:
        InputError: there are too few images of a class.
    """
    progress("making images")
    trained, unseen = (
        RealImages(
            rare.pixels,
            reference.pixels,
            rare.patient if patients_known else None,
            reference.patient if patients_known else None,
        )
        for rare, reference in ((task.rares[split], task.references[split]) for split in ("train", "val"))
    )
    count = min(MOST, 2 * len(trained.rare))
    rare = generator.sample(count, LABELS["rare"], seed)
    reference = generator.sample(count, LABELS["reference"], seed) if both else None
    fidelity = fidelity_report(
        trained,
        unseen,
        rare,
        reference,
        seed=seed,
        device=torch.device(device),
        steps=steps,
        progress=progress,
    )
    progress("privacy audit")
    found = audit(
        rare,
        trained.rare,
        trained.rare_patients,
        unseen.rare,
        unseen.rare_patients,
        seed,
        others=unseen.reference,
        other_patients=unseen.reference_patients,
    )
    privacy = {
        "class": task.rare,
        "audit": [row._asdict() for row in rows(found)],
        "conclusion": conclusion(found),
    }
    return {"fidelity": fidelity.as_dict(), "privacy": privacy}
