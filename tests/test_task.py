"""The rare class against its reference: who is in, in which order, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.images import SPLITS, Collection, ImageSet
from healthgan.sources import load
from healthgan.task import Task, check_rare, make_task, top_up
from tiny import write_blobs


def image_set(labels: np.ndarray, names: tuple[str, ...], patients: np.ndarray | None = None) -> ImageSet:
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 1), np.uint8)
    return ImageSet(pixels, labels, names, patients)


def multi_label() -> Collection:
    labels = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
    return Collection("xray", {split: image_set(labels, ("big heart", "fluid", "mass")) for split in SPLITS})


def make(collection: Collection, **changes: object) -> Task:
    arguments = {"rare": None, "reference": None, "rare_count": None, "order": "first", "seed": 0} | changes
    return make_task(collection, **arguments)


def test_multi_label_rare_is_every_image_with_the_label_and_normal_every_one_without_any() -> None:
    task = make(multi_label(), rare="big heart")
    assert (task.rare, task.reference) == ("big heart", "normal")
    assert task.rares["train"].image.tolist() == [0, 2]
    assert task.references["train"].image.tolist() == [1, 4]


def test_multi_label_rest_and_other_class() -> None:
    assert make(multi_label(), rare="big heart", reference="rest").references["val"].image.tolist() == [
        1,
        3,
        4,
    ]
    assert make(multi_label(), rare="big heart", reference="fluid").references["val"].image.tolist() == [3]


def test_a_class_may_be_given_by_its_number() -> None:
    assert make(multi_label(), rare="1").rare == "fluid"


def test_multi_label_needs_the_rare_class() -> None:
    with pytest.raises(InputError, match=r"--rare.*big heart, fluid, mass"):
        make(multi_label())


def test_the_smallest_class_is_rare_by_default(tmp_path) -> None:
    task = make(load(str(write_blobs(tmp_path / "x.npz"))))
    assert (task.rare, task.reference, len(task.rares["train"])) == ("wide", "rest", 24)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"rare": "heart"},
            "no class 'heart'. Did you mean 'big heart'? Its classes are: big heart, fluid, mass, normal",
        ),
        ({"rare": "7"}, "no class '7'"),
        ({"rare": "fluid", "reference": "fluid"}, "two different ones"),
        ({"rare": "mass"}, "no image of 'mass' in its train split"),
        ({"rare": "big heart", "rare_count": 3}, "--rare-count 3 is more than the 2"),
    ],
)
def test_refused(changes, says) -> None:
    with pytest.raises(InputError) as error:
        make(multi_label(), **changes)
    assert says in str(error.value)


def test_more_rare_than_reference_is_refused(tmp_path) -> None:
    source = write_blobs(tmp_path / "x.npz", counts={"train": (30, 10), "val": (3, 3), "test": (3, 3)})
    task = make(load(str(source)), rare="wide")
    with pytest.raises(InputError, match="30 training images of 'wide' but only 10"):
        check_rare(task)


def test_balanced_takes_the_first_and_as_many_more_as_asked(tmp_path) -> None:
    task = make(load(str(write_blobs(tmp_path / "x.npz"))))
    rares, references = task.balanced("train")
    assert (len(rares), references.image.tolist()) == (24, list(range(24, 48)))
    assert len(task.balanced("train", extra=10)[1]) == 34
    assert task.test_labels.tolist() == [1] * 16 + [0] * 16


def test_random_order_is_a_permutation_that_the_seed_decides(tmp_path) -> None:
    collection = load(str(write_blobs(tmp_path / "x.npz")))
    first, one, again, two = (
        make(collection, order=order, seed=seed).references["train"].image.tolist()
        for order, seed in (("first", 0), ("random", 1), ("random", 1), ("random", 2))
    )
    assert one == again != two
    assert first == sorted(one) != one


@given(
    patients=st.lists(st.integers(0, 8), min_size=4, max_size=30),
    share=st.floats(0.1, 1.0),
    seed=st.integers(0, 2**32),
)
def test_shrinking_parts_one_patient_at_most(patients, share, seed) -> None:
    labels = np.repeat(np.array([0, 1], np.int64), (40, len(patients)))
    codes = np.concatenate([np.arange(100, 140), np.array(patients)])
    collection = Collection("x", {split: image_set(labels, ("no", "yes"), codes) for split in SPLITS})
    count = max(1, int(share * len(patients)))
    kept = make(collection, rare="yes", rare_count=count, seed=seed).rares["train"]
    assert len(kept) == count
    whole = {code: patients.count(code) for code in set(patients)}
    parted = [code for code in set(kept.patient.tolist()) if (kept.patient == code).sum() < whole[code]]
    assert len(parted) <= 1
    assert np.all(np.diff(kept.image) > 0)


def test_images_of_unknown_patients_share_no_patient_with_any_split() -> None:
    labels = np.repeat(np.array([0, 1]), [4, 2])
    task = make(Collection("x", {split: image_set(labels, ("big", "small")) for split in SPLITS}))
    everyone = np.concatenate(
        [side[split].patient for side in (task.rares, task.references) for split in SPLITS]
    )
    assert len(np.unique(everyone)) == 3 * len(labels)


def test_patients_that_top_up_are_nobody_of_the_control(tmp_path) -> None:
    main = make(load(str(write_blobs(tmp_path / "x.npz"))))
    counts = {"train": (24, 20), "val": (8, 6), "test": (16, 12)}
    control = make(load(str(write_blobs(tmp_path / "y.npz", seed=1, counts=counts))), rare="wide")
    topped = top_up(control, main)
    own, strange = set(), set()
    for split in SPLITS:
        added = topped.references[split].image < 0
        strange |= set(topped.references[split].patient[added].tolist())
        own |= set(topped.references[split].patient[~added].tolist()) | set(
            control.rares[split].patient.tolist()
        )
    assert strange
    assert not strange & own


def test_topping_up_leaves_a_full_class_alone(tmp_path) -> None:
    main = make(load(str(write_blobs(tmp_path / "x.npz"))))
    topped = top_up(main, main)
    for split in SPLITS:
        assert np.array_equal(topped.references[split].image, main.references[split].image)
