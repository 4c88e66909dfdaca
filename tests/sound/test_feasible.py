"""What a sound study refuses, or warns of, before anything is trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from healthgan.errors import InputError
from healthgan.images import Collection, ImageSet, Split
from healthgan.protocol import load_protocol
from healthgan.protocol_sound import Curve, Onward, Other, Sound
from healthgan.request import Request
from healthgan.sound import external
from healthgan.sound import prepare as preparing
from healthgan.sound.cells import external_members, fold_patients
from healthgan.sound.prepare import SoundStudy, prepare_sound
from healthgan.sources.phantom import Counts, phantom
from healthgan.splits import Pictures
from healthgan.statistics.words import BROUGHT_CURVE, NO_CURVE

COUNTS: dict[Split, Counts] = {"train": Counts(120, 60), "val": Counts(30, 12), "test": Counts(60, 30)}


def small(synthetic: tuple[str, ...] = ("synthetic-25",), **design: Any) -> Sound:
    """The default protocol with few arms."""
    sound = load_protocol("sound")
    assert isinstance(sound, Sound)
    return sound.model_copy(
        update={
            "design": sound.design.model_copy(update={"folds": 3, **design}),
            "arms": sound.arms.model_copy(
                update={"reference": ("real", "smote"), "synthetic": synthetic, "control": ()}
            ),
        }
    )


def here() -> Collection:
    return phantom(size=16, seed=2, counts=COUNTS)


def whole(collection: Collection, rares: int, patients: bool = True) -> Collection:
    """Unsplit, with so many rare images of as many patients."""
    images = collection["train"]
    rare = np.flatnonzero(images.members("cardiomegaly"))
    assert images.patients is not None
    _, first = np.unique(images.patients[rare], return_index=True)
    chosen = np.concatenate([rare[np.sort(first)][:rares], np.flatnonzero(images.members("normal"))])
    part = images.take(chosen)
    return replace(collection, splits={"train": part if patients else replace(part, patients=None)})


def prepared(
    monkeypatch: pytest.MonkeyPatch,
    protocol: Sound,
    collection: Collection | None = None,
    other: Collection | None = None,
    **asked: Any,
) -> SoundStudy:
    sources = {"here": here() if collection is None else collection, "elsewhere": other}
    for module in (preparing, external):
        monkeypatch.setattr(module, "load", lambda name, **_: sources[name])
    return prepare_sound(Request("here", protocol, **asked), protocol)


def test_too_few_rare_images_for_the_band_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError,
        match=r"19 different images of 'cardiomegaly' .* needs 20 of several patients\. .*--rare-count",
    ):
        prepared(monkeypatch, small(), rare_count=19)
    assert prepared(monkeypatch, small(), rare_count=20).arms == ("real", "smote", "synthetic-25")


def test_without_synthetic_arms_few_rare_images_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"3 different images .*synthetic = \[\] under \[arms\]"):
        prepared(monkeypatch, small(), rare_count=3)
    assert prepared(monkeypatch, small(synthetic=()), rare_count=3).arms == ("real", "smote")


def test_a_picture_that_stands_there_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = here()
    images = found["train"]
    rare = np.flatnonzero(images.members("cardiomegaly"))[:24]
    pixels = images.pixels[np.concatenate([rare, np.flatnonzero(images.members("normal"))])].copy()
    pixels[12:24] = pixels[:12]
    few = ImageSet(
        pixels, np.repeat([1, 0], (24, len(pixels) - 24)), ("normal", "cardiomegaly"), np.arange(len(pixels))
    )
    others = {
        split: replace(found[split], patients=10**6 + np.asarray(found[split].patients)) for split in found
    }
    order = found.class_names
    few = replace(
        few,
        class_names=order,
        labels=np.where(few.labels == 1, order.index("cardiomegaly"), order.index("normal")),
    )
    with pytest.raises(InputError, match="12 different images"):
        prepared(monkeypatch, small(), replace(found, splits={**others, "train": few}))


def test_a_part_of_the_learning_curve_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture of a patient stands there twice: of 20 images, 10 differ."""
    found = here()
    images = found["train"]
    twice = images.take(np.repeat(np.arange(len(images)), 2))
    doubled = replace(found, splits={**found.splits, "train": twice})
    curve = Curve(counts=(20,), draws=3, reference="real", synthetic="synthetic-25", seeds=1)
    with pytest.raises(InputError, match=r"of the learning curve at 20"):
        prepared(monkeypatch, small().model_copy(update={"curve": curve}), doubled)


@pytest.mark.parametrize(("folds", "needed"), [(2, 16), (3, 12), (5, 10), (8, 16)])
def test_folds_need_patients(folds: int, needed: int) -> None:
    """Two in every test part; eight left for the validation folds."""
    assert fold_patients(folds) == needed


@pytest.mark.parametrize("known", [True, False])
def test_too_few_rare_patients_for_the_folds_are_named(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    unit = "patients with images" if known else "different images"
    with pytest.raises(
        InputError,
        match=rf"has 9 {unit} of 'cardiomegaly'; a cross-validation of 3 folds.* needs 12.*into train, val",
    ):
        prepared(monkeypatch, small(), whole(here(), 9, known), rare="cardiomegaly")
    with pytest.raises(InputError, match=r"take 5 folds \(design.folds"):
        prepared(monkeypatch, small(folds=8), whole(here(), 11, known), rare="cardiomegaly")


def test_a_test_part_of_one_rare_patient_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = here()
    test = found["test"]
    rare = np.flatnonzero(test.members("cardiomegaly"))
    people = np.asarray(test.patients).copy()
    people[rare] = people[rare[0]]
    lonely = replace(found, splits={**found.splits, "test": replace(test, patients=people)})
    with pytest.raises(
        InputError, match=r"is 1 patient of 'cardiomegaly' in the test part; an interval needs 2"
    ):
        prepared(monkeypatch, small(), lonely)


def test_few_splits_are_warned_of_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    few = prepared(monkeypatch, small(()), whole(here(), 40))
    assert [warning.startswith("A cross-validation of 3 splits") for warning in few.warnings] == [True]
    assert prepared(monkeypatch, small((), folds=5, repeats=2), whole(here(), 40)).warnings == []
    assert prepared(monkeypatch, small(())).warnings == []


def test_an_external_set_is_judged_in_a_cross_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    study = prepared(
        monkeypatch, small(()), whole(here(), 40), phantom(size=16, seed=9, counts=COUNTS), test="elsewhere"
    )
    facts = study.facts["external"]
    assert (study.design, facts["rare"]) == ("cross-validation", 30)
    assert 1 < facts["rare_patients"] <= 30


def test_tuning_takes_no_external_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="reads no test image"):
        prepared(monkeypatch, small(kind="tuning"), other=phantom(size=16, seed=9), test="elsewhere")


def test_tuning_needs_a_test_split_to_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else settings are chosen by the very images that the comparison then tests on."""
    with pytest.raises(InputError, match="no test split to leave out"):
        prepared(monkeypatch, small(kind="tuning"), whole(here(), 40))


def mixed(images: ImageSet, others: ImageSet) -> ImageSet:
    """Both one after the other, of different patients."""
    assert images.patients is not None
    assert others.patients is not None
    return replace(
        images,
        pixels=np.concatenate([images.pixels, others.pixels]),
        labels=np.concatenate([images.labels, others.labels]),
        patients=np.concatenate([images.patients, others.patients + 10**6]),
        columns={},
    )


def shown(*images: Pictures) -> set[bytes]:
    return {image.tobytes() for one in images for image in one.pixels}


def test_another_source_teaches_no_picture_of_the_study_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms learn from it and are judged on the study's test images: a leak that would flatter transfer."""
    own, there = here(), phantom(size=16, seed=9, counts=COUNTS)
    leaky = replace(there, splits={**there.splits, "train": mixed(there["train"], own["test"])})
    protocol = small().model_copy(update={"other": Other(source="elsewhere")})
    study = prepared(monkeypatch, protocol, own, leaky)
    assert study.other is not None
    assert shown(*study.other) == shown(there["train"])
    assert study.facts["other"]["dropped"] == len(own["test"])
    with pytest.raises(InputError, match="All pictures in the train split of"):
        prepared(monkeypatch, protocol, own, replace(there, splits={**there.splits, "train": own["val"]}))


def test_another_source_of_another_size_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protocol = small().model_copy(update={"other": Other(source="elsewhere")})
    with pytest.raises(InputError, match="they must be equal"):
        prepared(monkeypatch, protocol, other=phantom(size=20, seed=9, counts=COUNTS))


def test_what_arms_learn_from_elsewhere_is_not_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its pictures, nor the patients of its training split."""
    there = phantom(size=16, seed=9, counts=COUNTS)
    test, patients = there["test"], there["test"].patients
    assert patients is not None
    assert there["train"].patients is not None
    known = patients.copy()
    known[:4] = there["train"].patients[0]
    leaky = replace(there, splits={**there.splits, "test": replace(test, patients=known)})
    protocol = small().model_copy(update={"other": Other(source="elsewhere")})
    study = prepared(monkeypatch, protocol, other=leaky, test="elsewhere")
    assert study.external is not None
    assert study.other is not None
    assert shown(study.external.rares, study.external.references) == shown(test) - {
        image.tobytes() for image in test.pixels[:4]
    }


def test_a_patient_who_teaches_one_finding_elsewhere_is_not_tested_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a source that is not split, under any name: its training pictures may show other classes of the same patients."""
    images = phantom(size=16, seed=9, counts=COUNTS)["train"]
    assert images.patients is not None
    both = replace(
        images,
        pixels=np.concatenate([images.pixels, 255 - images.pixels]),
        labels=np.concatenate([images.labels, np.full(len(images), 2)]),
        patients=np.concatenate([images.patients, images.patients]),
        class_names=(*images.class_names, "inverted"),
        columns={},
    )
    unsplit = replace(here(), name="elsewhere", splits={"train": both})
    protocol = small().model_copy(
        update={"other": Other(source="./elsewhere", rare="inverted", reference="normal")}
    )
    sources = {"here": here(), "elsewhere": unsplit, "./elsewhere": unsplit}
    for module in (preparing, external):
        monkeypatch.setattr(module, "load", lambda name, **_: sources[name])
    study = prepare_sound(Request("here", protocol, test="elsewhere"), protocol)
    assert study.external is not None
    assert study.other is not None
    taught = set(np.concatenate([members.patient for members in study.other]).tolist())
    tested = np.concatenate([study.external.rares.patient, study.external.references.patient])
    assert len(study.external.rares) > 1
    assert not taught & set(tested.tolist())


def test_the_second_question_is_judged_on_no_picture_that_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    own, there = here(), phantom(size=16, seed=9, counts=COUNTS)
    leaky = replace(there, splits={**there.splits, "test": mixed(there["test"], own["train"])})
    protocol = small().model_copy(update={"onward": Onward(source="elsewhere", synthetic="synthetic-25")})
    study = prepared(monkeypatch, protocol, own, leaky)
    assert study.onward is not None
    assert study.facts["onward"]["dropped"] == len(own["train"])
    judged = shown(study.onward.rares["test"], study.onward.references["test"])
    assert judged == shown(there["test"])


def test_the_second_question_is_judged_on_no_synthetic_picture_that_taught(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = phantom(size=16, seed=9, counts=COUNTS)
    rare = there["test"].pixels[there["test"].members("cardiomegaly")][:10]
    np.savez(tmp_path / "made.npz", images=rare)
    protocol = small().model_copy(update={"onward": Onward(source="elsewhere", synthetic="synthetic-25")})
    study = prepared(monkeypatch, protocol, None, there, synthetic=str(tmp_path / "made.npz"))
    assert study.onward is not None
    assert study.facts["onward"]["dropped"] == 10
    judged = shown(study.onward.rares["test"], study.onward.references["test"])
    assert judged == shown(there["test"]) - {image.tobytes() for image in rare}


def test_a_learning_curve_that_can_t_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve(counts=(25, 50), draws=3, reference="smote", synthetic="synthetic-25", seeds=2)
    protocol = small().model_copy(update={"curve": curve})
    assert NO_CURVE not in prepared(monkeypatch, protocol).warnings
    assert NO_CURVE in prepared(monkeypatch, protocol, rare_count=25).warnings
    unsplit = replace(here(), splits={"train": here()["train"]})
    assert NO_CURVE in prepared(monkeypatch, protocol, unsplit).warnings


@pytest.mark.parametrize("independent", [False, True])
def test_brought_images_have_a_learning_curve_only_where_they_are_independent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, independent: bool
) -> None:
    """Made from all training images, they would teach at 25 real ones what all of them taught."""
    made = phantom(size=16, seed=9, counts=COUNTS)["train"]
    np.savez(tmp_path / "made.npz", images=made.pixels[made.members("cardiomegaly")])
    curve = Curve(
        counts=(25,), draws=3, reference="smote", synthetic="synthetic-25", seeds=2, independent=independent
    )
    protocol = small().model_copy(update={"curve": curve})
    study = prepared(monkeypatch, protocol, synthetic=str(tmp_path / "made.npz"))
    assert sum(cell.kind == "curve" for cell in study.cells) == (3 if independent else 0)
    assert (BROUGHT_CURVE in study.warnings) == (not independent)


def test_a_class_that_the_test_source_lacks_is_said_of_that_source() -> None:
    outside = replace(phantom(size=16, seed=9, counts=COUNTS), name="hospital-b")
    with pytest.raises(
        InputError, match="The test source 'hospital-b' has no class 'pneumonia'; its classes are"
    ):
        external_members(outside, "pneumonia", "normal")


def test_patients_that_are_not_known_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = here()
    strange = replace(found, splits={split: replace(found[split], patients=None) for split in found})
    study = prepared(monkeypatch, small(), strange, phantom(size=16, seed=9), test="elsewhere")
    assert {row["rare_patients"] for row in study.facts["main"]["counts"].values()} == {None}
    assert study.facts["external"]["rare_patients"] > 1
