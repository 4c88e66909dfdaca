"""Training and test parts: no patient in two of them, and nothing of the test part in training."""

from dataclasses import replace

import numpy as np
import pytest

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet, Split
from healthgan.protocol_sound import Curve, Design
from healthgan.sound.cells import (
    Cell,
    Classes,
    all_in_one,
    cell_task,
    external_members,
    fold_collection,
    held_back,
    other_findings,
    plan_cells,
)
from healthgan.sources.phantom import Counts, phantom
from healthgan.splits import pixel_hashes

DESIGN = Design(kind="auto", folds=4, repeats=2, generators=2, seeds=2, reference_seeds=2, equivalence=0.01)
COUNTS: dict[Split, Counts] = {"train": Counts(60, 30), "val": Counts(20, 10), "test": Counts(30, 15)}
CLASSES = Classes("cardiomegaly", "normal", None, 5)


@pytest.fixture(scope="module")
def collection() -> Collection:
    return phantom(size=16, seed=1, counts=COUNTS)


@pytest.fixture(scope="module")
def findings() -> Collection:
    """Multi-label: class a is rare, b and c are other findings."""
    rng = np.random.default_rng(0)

    def part(count: int, first: int) -> ImageSet:
        labels = np.zeros((count, 3), np.uint8)
        labels[: count // 4, 0] = 1
        labels[count // 8 : count // 2, 1] = 1
        labels[count // 2 : 5 * count // 8, 2] = 1
        pixels = rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)
        return ImageSet(pixels, labels, ("a", "b", "c"), first + np.arange(count) // 2)

    return Collection("made-up", {"train": part(80, 0), "val": part(16, 100), "test": part(24, 200)})


def test_every_image_is_tested_once_a_repeat_and_no_patient_is_in_two_splits(collection: Collection) -> None:
    merged = all_in_one(collection, SPLITS)
    everything = sorted(pixel_hashes(merged["train"]))
    for repeat in range(DESIGN.repeats):
        tested = []
        for fold in range(DESIGN.folds):
            parts = fold_collection(merged, CLASSES, DESIGN.folds, repeat, fold)
            people = [set(np.asarray(parts[split].patients).tolist()) for split in SPLITS]
            assert len(set.union(*people)) == sum(map(len, people))
            assert sum(len(parts[split]) for split in SPLITS) == len(everything)
            assert all(parts[split].members("cardiomegaly").any() for split in SPLITS)
            tested += pixel_hashes(parts["test"])
        assert sorted(tested) == everything


def test_repeats_divide_differently(collection: Collection) -> None:
    merged = all_in_one(collection, SPLITS)
    first, second = (
        set(pixel_hashes(fold_collection(merged, CLASSES, 4, repeat, 0)["test"])) for repeat in (0, 1)
    )
    assert first != second


def test_equal_pictures_of_unknown_patients_stay_together(collection: Collection) -> None:
    images = collection["train"]
    twice = replace(images.take(np.tile(np.arange(len(images)), 2)), patients=None)
    parts = fold_collection(replace(collection, splits={"train": twice}), CLASSES, 4, 0, 1)
    hashes = [set(pixel_hashes(parts[split])) for split in SPLITS]
    assert len(set.union(*hashes)) == sum(map(len, hashes))


def test_too_few_rare_patients_for_the_folds_is_said(collection: Collection) -> None:
    merged = all_in_one(collection, SPLITS)
    with pytest.raises(InputError, match=r"a cross-validation of 40 folds.* needs 80"):
        fold_collection(merged, CLASSES, 40, 0, 0)


def test_cells_of_each_design() -> None:
    curve = Curve(counts=(25, 50, 100), draws=3, reference="classical", synthetic="both-25", seeds=2)
    names = [cell.name for cell in plan_cells(DESIGN, "own-test", curve, None, 60)]
    assert names == ["main", "n0025-0", "n0025-1", "n0025-2", "n0050-0", "n0050-1", "n0050-2"]
    folds = plan_cells(DESIGN, "tuning", curve, 40, 60)
    assert [cell.name for cell in folds] == [
        f"cv-{repeat}-{fold}" for repeat in range(2) for fold in range(4)
    ]
    assert {cell.rare_count for cell in folds} == {40}


def test_draws_of_the_learning_curve_differ_and_keep_the_test_split(collection: Collection) -> None:
    tasks = [
        cell_task(collection, CLASSES, DESIGN, Cell(f"n0010-{draw}", "curve", 10, draw=draw))
        for draw in (0, 1, 0)
    ]
    images = [task.rares["train"].image.tolist() for task in tasks]
    assert images[0] == images[2] != images[1]
    assert all(len(task.rares["train"]) == 10 for task in tasks)
    assert len({task.rares["test"].pixels.tobytes() for task in tasks}) == 1
    assert len({task.references["train"].pixels.tobytes() for task in tasks}) == 1


def test_draws_of_the_learning_curve_are_of_the_images_that_a_study_keeps(collection: Collection) -> None:
    kept = replace(CLASSES, rare_count=20)
    main = cell_task(collection, kept, DESIGN, Cell("main", "main", 20)).rares["train"]
    drawn = [
        cell_task(collection, kept, DESIGN, Cell(f"n0010-{draw}", "curve", 10, draw=draw)).rares["train"]
        for draw in range(3)
    ]
    assert len(main) == 20
    assert all(len(members) == 10 and set(members.image) <= set(main.image) for members in drawn)
    assert len({tuple(members.image) for members in drawn}) > 1


def test_held_back_images_are_of_patients_that_training_does_not_know(collection: Collection) -> None:
    cell = Cell("main", "main", 10)
    task = cell_task(collection, CLASSES, DESIGN, cell)
    fresh = held_back(collection, task, cell, CLASSES, DESIGN)
    assert fresh is not None
    assert 0 < len(fresh) <= 20
    known = set(task.rares["train"].patient.tolist()) | set(task.references["train"].patient.tolist())
    assert not known & set(fresh.patient.tolist())
    assert held_back(collection, task, Cell("main", "main"), CLASSES, DESIGN) is None


def test_other_findings_never_show_the_rare_class(findings: Collection) -> None:
    classes, cell = Classes("a", "normal", 6, 0), Cell("main", "main", 6)
    task = cell_task(findings, classes, DESIGN, cell)
    found = other_findings(findings, task, cell, classes, DESIGN)
    assert found is not None
    pixels, targets, of_references = found
    assert not of_references.any()
    train = findings["train"]
    expected = train.pixels[(train.labels[:, 0] == 0) & train.labels[:, 1:].any(axis=1)]
    assert np.array_equal(pixels, expected)
    assert targets.shape == (len(pixels), 2)
    assert targets.any(axis=1).all()


def test_other_findings_of_a_fold_are_of_its_training_part(findings: Collection) -> None:
    classes = Classes("a", "normal", None, 0)
    merged, cell = all_in_one(findings, SPLITS), Cell("cv-0-1", "fold", None, repeat=0, fold=1)
    task = cell_task(merged, classes, DESIGN, cell)
    found = other_findings(merged, task, cell, classes, DESIGN)
    assert found is not None
    part = fold_collection(merged, classes, DESIGN.folds, 0, 1)
    hidden = {image.tobytes() for split in ("val", "test") for image in part[split].pixels}
    assert not hidden & {image.tobytes() for image in found[0]}


def test_two_classes_have_no_other_finding(collection: Collection) -> None:
    cell = Cell("main", "main")
    task = cell_task(collection, CLASSES, DESIGN, cell)
    assert other_findings(collection, task, cell, CLASSES, DESIGN) is None


def test_an_external_set_gives_its_test_split_and_its_columns_in_order(collection: Collection) -> None:
    test = collection["test"]
    sites = np.array([f"site {number % 3}" for number in range(len(test))])
    columns = {"site": sites}
    outside = replace(collection, splits={**collection.splits, "test": replace(test, columns=columns)})
    rares, references, found = external_members(outside, "cardiomegaly", "normal")
    assert len(rares) + len(references) == len(test)
    order = np.concatenate([rares.image, references.image])
    assert np.array_equal(found["site"], sites[order])
    assert np.array_equal(np.concatenate([rares.pixels, references.pixels]), test.pixels[order])


def test_an_external_set_that_is_not_split_is_used_whole(collection: Collection) -> None:
    whole = all_in_one(collection, SPLITS)
    rares, references, _ = external_members(whole, "cardiomegaly", "rest")
    assert len(rares) + len(references) == len(whole["train"])


def test_an_external_set_without_a_class_is_refused(collection: Collection) -> None:
    normal = collection["test"].take(np.flatnonzero(~collection["test"].members("cardiomegaly")))
    outside = replace(collection, splits={"train": normal})
    with pytest.raises(InputError, match="no image of 'cardiomegaly'"):
        external_members(outside, "cardiomegaly", "normal")


def test_no_image_is_taught_as_another_finding_and_as_reference(findings: Collection) -> None:
    """Where images have several labels, one of the reference class may have another finding."""
    train = findings["train"]
    labels = train.labels.copy()
    labels[35:40, 2] = 1  # of class b, the reference, and of c
    several = replace(findings, splits={**findings.splits, "train": replace(train, labels=labels)})
    classes, cell = Classes("a", "b", None, 0), Cell("main", "main")
    task = cell_task(several, classes, DESIGN, cell)
    found = other_findings(several, task, cell, classes, DESIGN)
    assert found is not None
    pixels, targets, of_references = found
    references = {
        image.tobytes(): row
        for image, row in zip(task.references["train"].pixels, of_references, strict=True)
    }
    assert not references.keys() & {image.tobytes() for image in pixels}
    assert targets.shape == (10, 1)
    assert [references[train.pixels[place].tobytes()].tolist() for place in (34, 35, 39)] == [[0], [1], [1]]


def test_an_image_of_an_unknown_patient_is_one_person_in_all_folds_and_repeats(
    collection: Collection,
) -> None:
    merged = all_in_one(collection, SPLITS)
    images = merged["train"]
    unknown = replace(merged, splits={"train": replace(images, patients=None)})
    whose: dict[bytes, set[int]] = {}
    tested = []
    for cell in plan_cells(DESIGN, "cross-validation", None, None, 0):
        task = cell_task(unknown, CLASSES, DESIGN, cell)
        members = [part[split] for part in (task.rares, task.references) for split in SPLITS]
        for one in members:
            for pixels, patient in zip(one.pixels, one.patient.tolist(), strict=True):
                whose.setdefault(pixels.tobytes(), set()).add(patient)
        tested += [set(part["test"].patient.tolist()) for part in (task.rares, task.references)]
    assert len(whose) == len(images)
    assert all(len(found) == 1 for found in whose.values())
    assert sum(map(len, tested)) == DESIGN.repeats * len(images)
    assert unknown["train"].patients is None


def test_against_all_the_rest_no_image_is_another_finding(findings: Collection) -> None:
    """The reference class holds them all: the arm would call the same image a finding and none."""
    classes, cell = Classes("a", "rest", None, 0), Cell("main", "main")
    task = cell_task(findings, classes, DESIGN, cell)
    assert other_findings(findings, task, cell, classes, DESIGN) is None
