"""Images from elsewhere, such as another hospital's: to test on, or to learn from; no picture or patient is both."""

from collections.abc import Collection as Many
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from healthgan.errors import InputError
from healthgan.facts import collection_digest, task_facts
from healthgan.images import Collection, Split
from healthgan.protocol_sound import Onward, Other
from healthgan.request import Request
from healthgan.sound.cells import external_members
from healthgan.sound.feasible import check_tested
from healthgan.sources import load
from healthgan.splits import Pictures, in_splits, keep_apart, pixel_hashes
from healthgan.task import Members, Task, make_task


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


def other_images(
    request: Request, asked: Other | None, own: Collection, main: Task
) -> tuple[tuple[Members, Members] | None, dict[str, Any] | None]:
    """Training images of another source; none of its pictures stands in the study's own, on which arms are tested.

    Args:
        request: what the user asked for.
        asked: the source and its classes.
        own: the study's source, divided.
        main: the study's task.

    Returns:
        Rare and reference images, and the facts about them; None and None where none are asked for.
    """
    if asked is None:
        return None, None
    source = load(asked.source, size=request.size, seed=request.seed)
    divided = in_splits(source, request.seed)
    task, facts = _elsewhere(request, asked, divided, ("train",), pictures_of(*own.splits.values()), own.name)
    check_shape(task.rares["train"], main, asked.source)
    return (task.rares["train"], task.references["train"]), {**facts, "digest": collection_digest(source)}


def onward_task(
    request: Request,
    asked: Onward | None,
    own: Collection,
    main: Task,
    brought: Sequence[Pictures] = (),
) -> tuple[Task | None, dict[str, Any] | None]:
    """The second question's task; what it is judged on holds no picture that the study's arms are trained on.

    Args:
        request: what the user asked for.
        asked: the source and its classes.
        own: the study's source, divided.
        main: the study's task.
        brought: synthetic images that arms are trained on.
    """
    if asked is None:
        return None, None
    source, _ = keep_apart(in_splits(load(asked.source, size=request.size, seed=request.seed), request.seed))
    learnt = pictures_of(own["train"], *brought)
    task, facts = _elsewhere(request, asked, source, ("val", "test"), learnt, own.name)
    check_shape(task.rares["train"], main, asked.source)
    for name, members in ((task.rare, task.rares["test"]), (task.reference, task.references["test"])):
        check_tested(members, name, facts["patients_known"], f"the test split of '{asked.source}'")
    return task, facts


def _elsewhere(
    request: Request,
    asked: Other | Onward,
    source: Collection,
    splits: tuple[Split, ...],
    known: frozenset[bytes],
    owner: str,
) -> tuple[Task, dict[str, Any]]:
    """The task of a further source with its facts; the ``owner``'s pictures are left out of ``splits``."""
    collection, dropped = without(source, splits, known, owner)
    task = make_task(
        collection,
        rare=asked.rare,
        reference=asked.reference,
        rare_count=None,
        order="first",
        seed=request.seed,
    )
    return task, {**task_facts(collection, task), "dropped": dropped}


def external_test(
    request: Request, own: Collection, main: Task, learnt: Sequence[Pictures], other: str | None
) -> tuple[External | None, dict[str, Any] | None]:
    """The test set from elsewhere, where one was asked for.

    Args:
        request: what the user asked for.
        own: the study's source, divided.
        main: the study's task.
        learnt: what else the study learns from; none of these pictures is tested on either.
        other: the digest of the source whose training images arms learn from. Where it is this one, only its test
            split is tested on, of patients that are in no other.
    """
    if request.test is None:
        return None, None
    source = load(request.test, size=request.size, seed=request.seed)
    if other == collection_digest(source):
        source, _ = keep_apart(in_splits(source, request.seed))
    if source.name == own.name and Path(request.test).exists():
        folder = Path(request.test).resolve().parent.name
        source = replace(source, name=f"{folder}/{source.name}")  # two files of one name are told apart
    return external_set(source, own, main, learnt)


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
