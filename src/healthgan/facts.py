"""What a record and a report may say of a task: counts and origins, no pixel and no identifier."""

import hashlib
from typing import Any

import numpy as np

from healthgan.images import SPLITS, Collection
from healthgan.splits import duplicates
from healthgan.task import Task


def task_facts(collection: Collection, task: Task) -> dict[str, Any]:
    """Counts, origins and overlaps, ready for JSON."""
    overlaps = duplicates(collection)
    told = collection["train"].patients is not None
    counts = {}
    for split in SPLITS:
        rares, references = task.balanced(split)
        counts[split] = {
            "images": len(collection[split]),
            "rare": len(task.rares[split]),
            "rare_patients": len(set(task.rares[split].patient.tolist())) if told else None,
            "reference": len(task.references[split]),
            "balanced": len(rares) + len(references),
        }
    train = collection["train"]
    return {
        "source": collection.name,
        "md5": collection.md5,
        "digest": collection_digest(collection),
        "notes": list(collection.notes),
        "rare": task.rare,
        "reference": task.reference,
        "size": list(train.size),
        "channels": train.channels,
        "patients_known": told,
        "counts": counts,
        "duplicates_inside": dict(overlaps.inside),
        "duplicates_across": {f"{a}-{b}": count for (a, b), count in overlaps.across.items()},
        "patients_across": None
        if overlaps.patients is None
        else {f"{a}-{b}": count for (a, b), count in overlaps.patients.items()},
    }


def collection_digest(collection: Collection) -> str:
    """SHA-256 over pixels, labels and patients of all splits."""
    digest = hashlib.sha256()
    for split in collection:
        images = collection[split]
        for array in (images.pixels, images.labels, images.patients):
            if array is not None:
                digest.update(repr((split, array.shape, array.dtype.str)).encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
