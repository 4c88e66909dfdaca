"""The whole audit: fresh images pass, planted copiers don't; what it refuses; its notes, rows and gallery."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from healthgan.errors import InputError
from healthgan.privacy.audit import audit
from healthgan.privacy.gallery import difference, moved, write_gallery
from healthgan.privacy.intervals import Share
from healthgan.privacy.planted import noisy
from healthgan.privacy.summary import conclusion, rows
from healthgan.sources.phantom import Counts, phantom_images


@pytest.fixture(scope="module")
def sets():
    train = phantom_images(Counts(0, 150))
    heldout = phantom_images(Counts(0, 250), split="test")
    others = phantom_images(Counts(800, 0), split="test")
    return train, heldout, others


def run(sets, generated, seed=0, **changes):
    train, heldout, others = sets
    return audit(
        generated,
        train.pixels,
        train.patients,
        heldout.pixels,
        heldout.patients,
        seed,
        **{"others": others.pixels, "other_patients": others.patients, **changes},
    )


@pytest.fixture(scope="module")
def fresh(sets):
    return run(sets, phantom_images(Counts(0, 200), split="val").pixels)


@pytest.fixture(scope="module")
def copied(sets):
    return run(sets, noisy(10)(sets[0].pixels, np.random.default_rng(0)))


def test_fresh_images_pass(fresh):
    assert fresh.closer.low <= 0.5 <= fresh.closer.high
    assert fresh.c_t.low <= fresh.c_t.c_t <= fresh.c_t.high
    assert fresh.membership.low <= 0.5 <= fresh.membership.high
    assert fresh.copies.low <= 0.01 <= fresh.copies.high
    # both shares have standard deviations below 0.05; the difference of independent ones below 0.07
    assert abs(fresh.authenticity.share - fresh.heldout_authenticity.share) < 0.2


def test_a_copier_fails_everywhere(copied):
    assert copied.closer.low > 0.7
    assert copied.c_t.c_t < -3
    assert copied.membership.low > 0.8
    assert copied.copies.share > 0.95
    assert copied.authenticity.share < 0.05
    assert [pair.training_image for pair in copied.pairs[:5]] == [pair.image for pair in copied.pairs[:5]]


def test_every_figure_has_its_counts(fresh, sets):
    facts = json.loads(json.dumps(fresh.as_dict()))
    assert facts == json.loads(
        json.dumps(run(sets, phantom_images(Counts(0, 200), split="val").pixels).as_dict())
    )
    assert (facts["generated"], facts["training"], facts["heldout"]) == (200, 150, 250)
    assert facts["training_patients"] == len(np.unique(sets[0].patients))
    assert facts["detector"]["images"] == 1050
    assert facts["detector"]["class_alarms"]["total"] == 250
    assert facts["detector"]["certified"]
    assert facts["copies"]["total"] == 200
    assert set(facts["power"]) == {"exact", "blur 1", "noise 10", "shift 2"}
    assert all(kind["share"] > 0.9 for kind in facts["power"].values())
    assert len(facts["pairs"]) == 24
    strength = [pair["strength"] for pair in facts["pairs"]]
    assert strength == sorted(strength, reverse=True)
    assert sum(value > 0 for value in strength) == facts["copies"]["count"]


def test_notes_say_what_cannot_be_said(fresh, sets):
    (note,) = fresh.notes()
    assert note.startswith("Membership: true positives at 1 % false positives are not computable")
    train, heldout, _ = sets
    bare = audit(heldout.pixels[:20], train.pixels, None, heldout.pixels[20:], None, 0)
    assert bare.training_patients is None
    notes = "\n".join(bare.notes())
    assert "calibrated on 230 held-out images; 1 % false alarms can't be certified below 1,000" in notes
    assert "Patients of the training images are not known" in notes
    assert "Patients of the held-out images are not known" in notes


def test_held_out_twins_of_training_images_are_left_out(sets):
    """One pixel changed: other bytes, the same picture. They would put the threshold out of reach."""
    train, heldout, others = sets
    twins = train.pixels[:40].copy()
    twins[:, 0, 0] ^= 1
    mixed = np.concatenate([twins, heldout.pixels])
    owners = np.concatenate([train.patients[:40] + 100_000, heldout.patients])
    found = audit(train.pixels[:20], train.pixels, train.patients, mixed, owners, 0)
    without = audit(train.pixels[:20], train.pixels, train.patients, heldout.pixels, heldout.patients, 0)
    assert found.heldout_twins == 40
    assert "40 held-out images show the same pictures as training images" in next(found.notes())
    assert {**found.as_dict(), "heldout_twins": 0} == without.as_dict()
    with pytest.raises(InputError, match=r"^40 of 40 held-out images show the same pictures"):
        audit(train.pixels[:20], train.pixels, train.patients, twins, owners[:40], 0)
    again = run(sets, train.pixels[:20], others=np.concatenate([twins, others.pixels]), other_patients=None)
    assert again.detector.images == 1050


def test_a_weak_search_says_so(sets):
    """Real images that look like training images under noise: their margins are those of copies."""
    train, _, _ = sets
    alike = noisy(15)(train.pixels, np.random.default_rng(0))
    weak = audit(train.pixels[:20], train.pixels, train.patients, alike, train.patients + 1000, 0)
    assert weak.heldout > 50
    assert any("misses more than 10 % of planted copies of these kinds: blur 1" in n for n in weak.notes())


def test_overlap_is_refused_with_counts(sets):
    train, heldout, _ = sets
    generated = heldout.pixels[:5]
    mixed = np.concatenate([heldout.pixels, train.pixels[:3]])
    with pytest.raises(InputError, match=r"^3 held-out images are training images too, and 0 patients"):
        audit(generated, train.pixels, None, mixed, None, 0)
    shared = heldout.patients.copy()
    shared[0] = train.patients[0]
    with pytest.raises(
        InputError, match=r"^0 held-out images .* 1 patients have images in both. Leave them out"
    ):
        audit(generated, train.pixels, train.patients, heldout.pixels, shared, 0)
    with pytest.raises(InputError, match=r"^150 held-out images"):
        run(sets, generated, others=train.pixels, other_patients=None)
    with pytest.raises(InputError, match="at least two of each"):
        audit(generated, train.pixels, None, heldout.pixels[:1], None, 0)
    with pytest.raises(InputError, match="equal height"):
        audit(generated[:, :20], train.pixels, None, heldout.pixels, None, 0)


def test_rows_are_text_of_every_figure(fresh, copied):
    table = {row.measure: row for row in rows(fresh)}
    assert table["copy suspects"].images == f"{fresh.copies.count} of 200"
    assert table["closer to training than to held-out"].value == f"{fresh.closer.share:.2f}"
    assert table["membership, true positives at 1 % false"].value == "not computable"
    assert all(row.images for row in table.values())
    assert rows(copied)[0].value == f"{100 * copied.copies.share:.1f} %"


def test_no_cell_of_the_rows_is_empty(fresh, copied):
    assert all(all(row) for found in (fresh, copied) for row in rows(found))


def test_the_conclusion_of_fresh_images_and_what_it_leaves_open(fresh):
    clean = replace(fresh, copies=Share.of(0, 200))
    said = conclusion(clean)
    assert said.startswith(
        "No sign that training images were copied or remembered: none of 200 images is a copy suspect; "
    )
    assert f"membership test (AUROC {fresh.membership.auroc:.2f}, " in said
    assert "That is no proof" in said
    assert (
        "This can't rule out: copies among up to 1.8 % of such images, as 200 were looked at" in said
    )  # 1 - 0.025^(1/200)
    weak = conclusion(replace(clean, power={**fresh.power, "blur 1": Share.of(43, 100)}))
    assert "copies of kinds that the search often misses, as planted ones show: blur 1 (43 % found)" in weak
    assert "often misses" not in said


def test_the_conclusion_of_copies(copied):
    said = conclusion(copied)
    count = copied.copies.count
    assert said.startswith(f"Training images were copied: {count} of 150 images are copy suspects (")
    assert "more than of real images of other patients (" in said
    assert "not clearly" not in said
    for trace in TRACES.values():
        assert trace in said
    assert "don't share images or generator" in said


def test_a_suspect_or_two_is_no_verdict_and_is_to_be_looked_at(fresh):
    """As many as real images of other patients give."""
    few = conclusion(replace(fresh, copies=Share.of(1, 200)))
    assert few.startswith(
        "No sign of memory, but single images that look like copies: 1 of 200 images is a copy suspect ("
    )
    assert "not clearly more than of real images" in few
    assert "Look at each suspect" in few


TRACES = {
    "closer": "lie nearer to a training image",
    "c_t": "C_T is -",
    "authenticity": "count as authentic",
    "membership": "are told from others by their distance",
}


@pytest.mark.parametrize("part", TRACES)
def test_each_trace_of_memory_is_told_by_itself(fresh, copied, part):
    found = replace(fresh, copies=Share.of(0, 200), **{part: getattr(copied, part)})
    said = conclusion(found)
    assert said.startswith("The images carry traces of the training images: none of 200 images")
    assert [name for name, words in TRACES.items() if words in said] == [part]
    assert "more freely than the training images" in said


def test_a_c_t_that_is_not_computable_is_said(fresh):
    reason = (
        "not computable: none of 2 cells of the training images has 20 generated images and a held-out one"
    )
    none = replace(fresh.c_t, c_t=None, low=None, high=None, cells=0, not_computable=reason)
    found = replace(fresh, c_t=none)
    (row,) = (row for row in rows(found) if row.measure.startswith("C_T"))
    assert row[1:] == ("not computable", "–", "around 0", f"200; {none.heldout} held out; 0 cells")
    assert f"C_T is {reason}." in list(found.notes())
    assert not any(note.startswith("C_T") for note in fresh.notes())
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_gallery_is_a_picture_of_the_pairs(copied, sets, tmp_path):
    train = sets[0].pixels
    images = noisy(10)(train, np.random.default_rng(0))
    write_gallery(tmp_path / "few.png", copied, images, train, rows=2)
    write_gallery(tmp_path / "more.png", copied, images, train, rows=7)
    sizes = []
    for name in ("few.png", "more.png"):
        with Image.open(tmp_path / name) as picture:
            sizes.append(picture.size)
            assert np.asarray(picture.convert("L")).std() > 10
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] < sizes[1][1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.png", "more.png"]


def test_moving_and_differences():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1) * 20
    assert np.array_equal(moved(image, 0, 0, True), image[:, ::-1])
    assert np.array_equal(moved(image, 1, 0, False)[1:], image[:-1])
    assert np.array_equal(moved(image, 0, -1, False)[:, :-1], image[:, 1:])
    assert np.array_equal(moved(image, 0, -1, False)[:, -1], image[:, -1])
    assert (difference(image, image) == 128).all()
    assert np.abs(difference(image, image // 2).astype(int) - 128).max() <= 1  # the rounding of // 2, doubled
    assert (difference(image, np.full_like(image, 3)) != 128).any()


def test_training_patients_may_be_unknown_where_others_are_known(sets):
    train, heldout, others = sets
    found = audit(
        phantom_images(Counts(0, 40), split="val").pixels,
        train.pixels,
        None,
        heldout.pixels,
        heldout.patients,
        0,
        others=others.pixels,
        other_patients=others.patients,
    )
    assert found.training_patients is None
    assert found.membership.low <= 0.5 <= found.membership.high
