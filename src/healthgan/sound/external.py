"""Images from elsewhere, such as another hospital's: to test on, or to learn from; no picture is both."""

from collections.abc import Collection as Many
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from healthgan.errors import InputError
from healthgan.facts import collection_digest
from healthgan.images import Collection, Split
from healthgan.sound.cells import external_members
from healthgan.sound.feasible import check_tested
from healthgan.splits import Pictures, pixel_hashes
from healthgan.task import Members, Task


@dataclass(frozen=True)
class External:
    """A test set from elsewhere.

    Attributes:
        rares: its rare images.
        references: its reference images.
        columns: further facts, rare images first.
    """

    rares: Members
    references: Members
    columns: dict[str, Any]


def external_set(
    source: Collection, collection: Collection, task: Task, learnt: Sequence[Pictures] = ()
) -> tuple[External, dict[str, Any]]:
    """The images of the other source that the study's own does not hold, and the facts about them.

    Args:
        source: the other one.
        collection: the study's own.
        task: of the study.
        learnt: what else the study learns from; none of these pictures is tested on either.

    Raises:
        InputError: a class is missing, has a single patient, or stands in the study's source altogether; or the images
            are of another size.
    """
    rares, references, columns = external_members(source, task.rare, task.reference)
    check_shape(rares, task, source.name)
    known = pictures_of(*(collection[split] for split in collection), *learnt)
    stays = [
        np.array([value not in known for value in pixel_hashes(members)], bool)
        for members in (rares, references)
    ]
    if not all(found.any() for found in stays):
        raise InputError(f"All test images of a class in '{source.name}' stand in '{collection.name}' too.")
    both = np.concatenate(stays)
    kept = External(
        rares.take(np.flatnonzero(stays[0])),
        references.take(np.flatnonzero(stays[1])),
        {name: values[both] for name, values in columns.items()},
    )
    told = all(source[split].patients is not None for split in source)
    where = f"the test source '{source.name}'"
    check_tested(kept.rares, task.rare, told, where)
    check_tested(kept.references, task.reference, told, where)
    return kept, {
        "source": source.name,
        "md5": source.md5,
        "digest": collection_digest(source),
        "rare": len(kept.rares),
        "rare_patients": len(np.unique(kept.rares.patient)) if told else None,
        "reference": len(kept.references),
        "patients_known": told,
        "columns": sorted(columns),
        "dropped": int((~both).sum()),
    }


def pictures_of(*images: Pictures) -> frozenset[bytes]:
    """Hashes of all these pictures."""
    return frozenset(value for one in images for value in pixel_hashes(one))


def without(
    source: Collection, splits: Sequence[Split], known: Many[bytes], owner: str
) -> tuple[Collection, int]:
    """A source without those pictures in some of its splits that the study's own source has, and how many these were.

    Args:
        source: of any number of splits.
        splits: to take them out of.
        known: hashes of the pictures that must not stand there.
        owner: whose they are, for the message.

    Raises:
        InputError: a split would lose all its images.
    """
    kept, dropped = dict(source.splits), 0
    for split in splits:
        stays = np.array([value not in known for value in pixel_hashes(source[split])], bool)
        if not stays.any():
            raise InputError(
                f"All pictures in the {split} split of '{source.name}' stand in '{owner}' too. Name a source with images "
                "of its own."
            )
        if not stays.all():
            kept[split] = source[split].take(np.flatnonzero(stays))
        dropped += int((~stays).sum())
    return replace(source, splits=kept), dropped


def check_shape(members: Members, task: Task, name: str) -> None:
    """Make sure that images from elsewhere are of the task's size and channels.

    Raises:
        InputError: they are not.
    """
    ours, theirs = task.rares["train"].pixels.shape[1:], members.pixels.shape[1:]
    if ours != theirs:
        raise InputError(
            f"'{name}' has images of {theirs} (height, width, channels), '{task.source}' of {ours}; they must be equal. "
            "Bring both to one size with --size N."
        )
