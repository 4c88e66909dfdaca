"""The whole report, small."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from healthgan.errors import InputError
from healthgan.fidelity import RealImages, features, fidelity_report
from healthgan.fidelity.features import SPACES
from healthgan.fidelity.metrics import METRICS
from healthgan.fidelity.summary import times_told
from healthgan.sources.phantom import Counts, phantom_images

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def _hurried():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(features, "IN_DOMAIN_STEPS", 5)
        yield


def chests(rare, reference, split):
    found = phantom_images(Counts(reference, rare), split=split, size=16, seed=1)
    is_rare = found.labels == 1
    return RealImages(
        found.pixels[is_rare], found.pixels[~is_rare], found.patients[is_rare], found.patients[~is_rare]
    )


TRAINING, HELDOUT, MADE = chests(40, 60, "train"), chests(20, 30, "val"), chests(80, 90, "test")


def report(reference=MADE.reference, training=TRAINING, heldout=HELDOUT, rare=MADE.rare, **changes):
    settings = {"seed": 5, "device": CPU, "halves": 6, "classifiers": 2, "steps": 5} | changes
    return fidelity_report(training, heldout, rare, reference, **settings)


@pytest.fixture(scope="module")
def whole():
    """A report and what it told on the way."""
    told = []
    return report(progress=told.append), told


@pytest.fixture(scope="module")
def without_reference():
    return report(reference=None)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, list | tuple) else [value]


def test_everything_is_there_and_goes_into_json(whole):
    found, told = whole[0].as_dict(), whole[1]
    assert json.loads(json.dumps(found, allow_nan=False))["seed"] == 5
    assert {type(leaf) for leaf in leaves(found)} <= {int, float, str, bool, type(None)}
    assert list(found["classes"]) == ["rare", "reference"]
    for name, part in found["classes"].items():
        assert set(part["spaces"]) == set(SPACES)
        assert all(set(measures) == set(METRICS) for measures in part["spaces"].values())
        images, patients = TRAINING.of(name)
        assert (part["training_images"], part["training_patients"]) == (
            len(images),
            len(set(patients.tolist())),
        )
        assert part["heldout_images"] == len(HELDOUT.of(name)[0])
        assert part["real_or_real"]["heldout_images"] < part["real_or_synthetic"]["heldout_images"]
    tested = found["classes"]["rare"]["real_or_synthetic"]
    assert (tested["real_images"], tested["generated_images"], tested["fresh_images"]) == (40, 40, 40)
    assert found["learnt"]["synthetic_reference"]
    assert (found["learnt"]["rare_images"], found["learnt"]["reference_images"]) == (40, 60)
    assert found["learnt"]["real"]["images"] == 50
    assert len(told) == times_told(2, classifiers=2)


def test_without_synthetic_reference_images(whole, without_reference):
    """The rare class is measured as before; to learn from, the reference images are real ones."""
    found = without_reference
    assert list(found.classes) == ["rare"]
    assert found.classes["rare"] == whole[0].classes["rare"]
    assert found.learnt.synthetic_reference is False
    assert found.learnt.reference_images == 60
    assert set(found.faithfulness.by_class) == {"rare"}


def test_the_seed_decides(without_reference):
    torch.manual_seed(2)
    assert without_reference == report(reference=None)
    first = without_reference.classes["rare"]
    other = report(reference=None, seed=6, floor=False).classes["rare"]
    assert first.spaces != other.spaces
    assert first.real_or_synthetic != other.real_or_synthetic


def test_unknown_patients_are_taken_apart_and_never_counted():
    """Every image counts as of another patient, as where each is known to be, but nothing gives that as a number."""
    alone = {f"{name}_patients": np.arange(len(TRAINING.of(name)[0])) for name in ("rare", "reference")}
    held_alone = {name: np.arange(len(HELDOUT.of(name.split("_")[0])[0])) for name in alone}
    known = report(
        training=replace(TRAINING, **alone), heldout=replace(HELDOUT, **held_alone), reference=None
    )
    unknown = report(
        reference=None,
        training=RealImages(TRAINING.rare, TRAINING.reference),
        heldout=RealImages(HELDOUT.rare, HELDOUT.reference),
    )

    def without_patients(value):
        if isinstance(value, dict):
            return {k: without_patients(v) for k, v in value.items() if not k.endswith("patients")}
        return value

    def patients(value):
        if not isinstance(value, dict):
            return []
        return [v for k, v in value.items() if k.endswith("patients")] + [
            count for part in value.values() for count in patients(part)
        ]

    one, other = known.as_dict(), unknown.as_dict()
    assert without_patients(one) == without_patients(other)
    assert patients(one)[:2] == [40, 20]
    assert patients(other) == [None] * len(patients(one)) == [None] * 4


def test_one_patient_has_no_floor():
    one = replace(HELDOUT, rare_patients=np.zeros(20, np.int64))
    assert report(heldout=one, reference=None).classes["rare"].real_or_real is None


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="9 synthetic images of the rare class; 14 or more"):
        report(rare=MADE.rare[:9])
    with pytest.raises(InputError, match="1 held-out real images of the reference class"):
        report(heldout=replace(HELDOUT, reference=HELDOUT.reference[:1], reference_patients=None))
    with pytest.raises(InputError, match=r"synthetic images of the reference class are \(16, 15, 1\)"):
        report(reference=MADE.reference[:, :, 1:])
