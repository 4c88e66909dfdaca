"""The harvest with the likeness that scikit-image gives; the band of real images and the verdicts it leads to."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from healthgan.errors import InputError
from healthgan.likeness import REASONS, Band, Verdict, calibrate, judge, score_candidates
from healthgan.sources.phantom import Counts, phantom_images
from healthgan.ssim import best_match


@pytest.fixture
def rounds() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 4, 12, 12, 1), np.uint8)
    images[1, 2, 3] = images[0, 0, 1]  # a duplicate
    images[1, 0, 0] = 7  # a constant image
    return list(images)


def test_duplicates_are_dropped_and_origins_kept(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=51)
    assert (found.harvested, len(found.images)) == (24, 23)
    for image, number, epoch, vector in zip(
        found.images, found.round, found.epoch, found.vector, strict=True
    ):
        assert np.array_equal(image, rounds[number][epoch - 51, vector])


def test_likeness_is_scikit_images_best(rounds) -> None:
    reals = np.random.default_rng(1).integers(0, 256, (5, 12, 12, 1), np.uint8)
    found = score_candidates(rounds, reals, first_epoch=1)
    for number in (0, 9, 20):
        image = found.images[number, ..., 0].astype(float)
        values = [
            structural_similarity(image, real[..., 0].astype(float), data_range=np.ptp(image))
            for real in reals
        ]
        assert found.likeness[number] == pytest.approx(max(values), abs=1e-6)
        assert found.nearest[number] == int(np.argmax(values))


def test_a_constant_image_is_never_accepted(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=1)
    constant = np.ptp(found.images.reshape(23, -1), axis=1) == 0
    assert constant.sum() == 1
    assert np.isnan(found.likeness[constant]).all()
    assert not found.accepted(-1.0)[constant].any()


def test_a_stricter_floor_keeps_a_subset_and_the_shown_ones_reach_it(rounds) -> None:
    found = score_candidates(rounds, rounds[0][0], first_epoch=1)
    assert not (found.accepted(0.5) & ~found.accepted(0.0)).any()
    shown = found.spread(0.5, 3)
    assert len(shown) == 3
    assert found.accepted(0.5)[shown].all()
    assert len(found.spread(2.0, 3)) == 3


def chests(normal, cardiomegaly, *, split="train", seed=0):
    images = phantom_images(Counts(normal, cardiomegaly), split=split, seed=seed)
    return images.pixels, images.patients


def by_hand(candidates, reals, band):
    """The verdicts as the docs tell them, one candidate after the other."""
    said, kept = [], []
    for image in candidates:
        value = float(best_match(image[None], reals)[0][0])
        verdict = Verdict.ACCEPTED
        if np.isnan(value):
            verdict = Verdict.CONSTANT
        elif value < band.low:
            verdict = Verdict.UNLIKE
        elif value > band.copy:
            verdict = Verdict.COPY_SUSPECT
        elif value > band.high:
            verdict = Verdict.TOO_ALIKE
        elif kept and float(best_match(image[None], np.stack(kept))[0][0]) > band.copy:
            verdict = Verdict.DUPLICATE
        if verdict == Verdict.ACCEPTED:
            kept.append(image)
        said.append(verdict)
    return said


@pytest.fixture(scope="module")
def reals():
    return chests(0, 120)


@pytest.fixture(scope="module")
def band(reals):
    return calibrate(*reals)


@pytest.fixture(scope="module")
def candidates(reals):
    """New patients, twins of some of them, copies, exact and noisy, noise and a constant image, mixed."""
    new, _ = chests(0, 80, split="test")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (5, *new.shape[1:]), np.uint8)
    twins = (new[:20] + rng.integers(0, 3, new[:20].shape)).clip(0, 255).astype(np.uint8)
    spoiled = reals[0][:40] + rng.normal(0, 1, new[:40].shape) * np.linspace(1, 20, 40)[:, None, None, None]
    copies = np.concatenate([reals[0][:10], spoiled.clip(0, 255).astype(np.uint8)])
    mixed = np.concatenate([new, twins, copies, noise, np.full((1, *new.shape[1:]), 9, np.uint8)])
    return mixed[rng.permutation(len(mixed))]


def test_the_band_is_the_percentiles_of_scikit_images_best_to_other_patients():
    pixels, patients = chests(0, 40)
    pixels = pixels[:, 4:20, 4:20]
    best = []
    for image, patient in zip(pixels[..., 0].astype(float), patients, strict=True):
        others = pixels[patients != patient][..., 0].astype(float)
        best.append(max(structural_similarity(image, o, data_range=np.ptp(image)) for o in others))
    band = calibrate(pixels, patients)
    # ssim.py: every value is within 1e-6 of scikit-image's, so is every percentile
    assert (band.low, band.high, band.copy) == pytest.approx(np.percentile(best, [5, 95, 99]), abs=1e-6)
    assert (band.images, band.patients) == (40, len(np.unique(patients)))


def test_real_images_of_other_patients_score_what_the_percentiles_say(reals, band):
    pixels, patients = reals
    likeness, _ = best_match(pixels, pixels, query_groups=patients, reference_groups=patients)
    # of n ordered values, a linear percentile leaves at most p·(n − 1) + 1 below it, and at least p·(n − 1)
    for share, beyond in ((5, likeness < band.low), (5, likeness > band.high), (1, likeness > band.copy)):
        assert share / 100 * 119 <= beyond.sum() <= share / 100 * 119 + 1


def test_an_image_that_stands_twice_does_not_widen_the_band(reals, band):
    pixels, patients = reals
    twice = np.concatenate([pixels, pixels[:30]])
    strangers = np.concatenate([patients, patients.max() + 1 + np.arange(30)])
    assert calibrate(twice, strangers) == band


def test_unknown_patients_are_one_an_image_where_no_likeness_stands_out(reals):
    pixels, _ = reals
    unknown = calibrate(pixels, None)
    assert not unknown.patients_known
    assert unknown == replace(calibrate(pixels, np.arange(len(pixels))), patients_known=False)
    assert (unknown.images, unknown.patients) == (120, 120)


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_near_duplicates_of_unknown_patients_do_not_widen_the_band(share):
    """One image a patient, and of some a second film that differs by noise only."""
    pixels, patients = chests(0, 300)
    single = pixels[np.unique(patients, return_index=True)[1]]
    count = round(share * len(single))
    noise = np.random.default_rng(0).normal(0, 2, single[:count].shape)
    again = np.rint(single[:count] + noise).clip(0, 255).astype(np.uint8)
    both = np.concatenate([single, again])
    same = np.concatenate([np.arange(len(single)), np.arange(count)])
    assert calibrate(both, np.arange(len(both))).copy > 0.95  # taken for patients of their own
    assert calibrate(both, None) == replace(calibrate(both, same), patients_known=False)


def test_too_few_images_for_a_band_are_refused(reals):
    pixels, patients = reals
    with pytest.raises(InputError, match=r"19 different real images .*; 20 are needed\. .*takes a floor"):
        calibrate(np.repeat(pixels[:19], 2, axis=0), None)
    with pytest.raises(InputError, match="0 different real images of several patients"):
        calibrate(pixels, np.zeros_like(patients))
    with pytest.raises(InputError, match="0 different real images"):
        calibrate(np.full_like(pixels, 7), None)


def test_every_verdict_is_the_one_told_in_the_table(candidates, reals, band):
    found = judge(candidates, reals[0], band)
    assert found.verdict.tolist() == by_hand(candidates, reals[0], band)
    assert {Verdict(code) for code in found.verdict} == set(Verdict)
    assert found.counts() == {v.label: (found.verdict == v).sum() for v in REASONS}
    assert sum(found.counts().values()) == len(candidates)
    score, nearest = best_match(candidates, reals[0])
    np.testing.assert_array_equal(found.likeness, score)
    np.testing.assert_array_equal(found.nearest, nearest)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_judging_in_batches_gives_what_judging_at_once_gives(data):
    new, _ = chests(0, 40, split="test")
    pixels = np.random.default_rng(0).integers(
        0, 256, new.shape, np.uint8
    )  # unlike any chest: only twins matter
    limit = data.draw(st.floats(0.2, 0.95))
    band = Band(-1.0, limit, limit, 40, 40, True)
    count = data.draw(st.integers(0, len(new)))
    first = judge(new[:count], pixels, band)
    second = judge(new[count:], pixels, band, earlier=new[:count][first.accepted])
    whole = judge(new, pixels, band)
    np.testing.assert_array_equal(np.concatenate([first.verdict, second.verdict]), whole.verdict)
    assert whole.verdict.tolist() == by_hand(new, pixels, band)


def test_copies_are_not_kept_and_mild_changes_do_not_hide_them(reals, band):
    pixels, _ = reals
    assert (judge(pixels, pixels, band).verdict == Verdict.COPY_SUSPECT).all()
    lighter = (pixels * 0.9 + 10).astype(np.uint8)
    assert not judge(lighter, pixels, band).accepted.any()


def test_the_studys_floor_and_no_rule(candidates, reals):
    score, _ = best_match(candidates, reals[0])
    found = judge(candidates, reals[0], 0.8)
    np.testing.assert_array_equal(found.accepted, score >= np.float64(0.8))
    assert found.counts()["constant"] == 1
    assert found.counts()["unlike"] == np.sum(score < 0.8)
    stricter = judge(candidates, reals[0], 0.85)
    assert not (stricter.accepted & ~found.accepted).any()
    assert judge(candidates, reals[0], None).accepted.all()


def test_nothing_to_judge(reals, band):
    found = judge(reals[0][:0], reals[0], band)
    assert (len(found.verdict), sum(found.counts().values())) == (0, 0)


def test_every_verdict_has_its_words():
    assert list(REASONS) == list(Verdict)
    assert [v.label for v in Verdict][3:] == ["too alike", "copy suspect", "duplicate"]
