"""The search for copies: what it compares, its false alarms, and the copies it finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from healthgan.errors import InputError
from healthgan.privacy.alignment import band_pass, best_pose, reduced
from healthgan.privacy.copies import Evidence, calibrate, gather_evidence
from healthgan.privacy.planted import WITHIN, averaged, shifted
from healthgan.sources.phantom import Counts, phantom_images


@pytest.fixture(scope="module")
def training():
    return phantom_images(Counts(300, 100))


@pytest.fixture(scope="module")
def heldout():
    return phantom_images(Counts(900, 300), split="test")


@pytest.fixture(scope="module")
def evidence(training, heldout):
    return gather_evidence(heldout.pixels, training.pixels, training.patients)


@pytest.fixture(scope="module")
def detector(evidence, heldout):
    return calibrate(evidence, heldout.patients, np.random.default_rng(0), classes=1 - heldout.labels)


def test_evidence_is_what_a_direct_search_finds():
    """Every shift, both sides, every patient, by loops and NumPy's own correlation."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 16, 18, 1), np.uint8)
    training = rng.integers(0, 256, (5, 16, 18, 1), np.uint8)
    patients = np.array([7, 3, 7, 9, 3])
    found = gather_evidence(images, training, patients)

    def best(image, other, fine, coarse):
        a, b = (ndimage_band(side.astype(float), fine, coarse) for side in (image, other))
        return max(
            np.corrcoef(side[2:14, 2:16].ravel(), b[2 + down : 14 + down, 2 + right : 16 + right].ravel())[
                0, 1
            ]
            for side in (a, a[:, ::-1])
            for down in range(-2, 3)
            for right in range(-2, 3)
        )

    for number, image in enumerate(images[..., 0]):
        detail = np.arctanh([best(image, other, 0, 0.5) for other in training[..., 0]])
        band = np.arctanh([best(image, other, 1, 3) for other in training[..., 0]])
        assert found.detail[number] == pytest.approx(detail.max(), abs=1e-4)
        assert found.detail_match[number] == detail.argmax()
        each = np.sort([band[patients == name].max() for name in (3, 7, 9)])
        # float32 sums of 168 products: 168 · 6e-8 = 1e-5, as large again in the filters; z is at most
        # four times as steep as the correlation here
        assert found.margin[number] == pytest.approx(each[2] - each[1], abs=1e-4)
        assert found.margin_match[number] == band.argmax()


def ndimage_band(image, fine, coarse):
    """By the definition: a sum over frequencies of the image continued as its own mirror image."""
    whole = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    down, right = (np.fft.fftfreq(side) for side in whole.shape)
    squares = down[:, None] ** 2 + right**2
    gain = np.exp(-2 * np.pi**2 * fine**2 * squares) - np.exp(-2 * np.pi**2 * coarse**2 * squares)
    return np.fft.ifft2(np.fft.fft2(whole) * gain).real[: image.shape[0], : image.shape[1]]


def test_band_is_a_difference_of_gaussian_blurs():
    """SciPy samples the Gaussian at whole pixels, which adds its aliases: at most exp(−π²/2) = 0.7 % of a wave."""
    image = phantom_images(Counts(1, 0)).pixels.astype(np.float32)
    fine, coarse = (
        ndimage.gaussian_filter(image[0, :, :, 0].astype(float), sigma, mode="reflect", truncate=8)
        for sigma in (1, 3)
    )
    found = band_pass(image, 1, 3)[0, :, :, 0]
    assert found == pytest.approx(fine - coarse, abs=255 * np.exp(-(np.pi**2) / 2))
    assert (
        np.corrcoef(found.ravel(), (fine - coarse).ravel())[0, 1] > 0.999
    )  # the aliases are all that differs


def test_alarms_on_unseen_patients_are_one_percent(detector, training):
    """Other patients than those of training and calibration; the counted rate holds for them as well."""
    fresh = phantom_images(Counts(900, 300), split="val")
    alarms = detector.copies(gather_evidence(fresh.pixels, training.pixels, training.patients))
    assert detector.certified
    assert detector.images == 1200
    assert detector.false_alarms.total == 1200
    assert detector.false_alarms.low <= 0.01 <= detector.false_alarms.high
    # thresholds from 1,200 images: the rate's own standard deviation is about sqrt(2 · 0.005 / 1200) = 0.3 points
    # and the count's as much again, so that 0.01 + 3 · sqrt(2) · 0.003 is exceeded once in 700 times
    assert alarms.mean() <= 0.023


@pytest.mark.parametrize("kind", WITHIN)
def test_planted_copies_are_found(kind, detector, training):
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(training), 60, replace=False)
    copies = WITHIN[kind](training.pixels[chosen], rng)
    found = gather_evidence(copies, training.pixels, training.patients)
    assert detector.copies(found).mean() >= 0.95  # 99 % is the goal: fewer than 57 of 60 once in 300 times
    same = detector.match(found) == chosen
    twins = training.patients[detector.match(found)] == training.patients[chosen]
    assert (same | twins).all()


def test_two_images_in_one_are_found_by_their_detail(detector, training):
    copies = averaged(training.pixels[:100], np.random.default_rng(0))
    found = gather_evidence(copies, training.pixels, training.patients)
    assert (found.detail > detector.detail).mean() > 0.6
    assert (found.margin > detector.margin).mean() < 0.5


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.3, 1), level=st.integers(0, 60), mirror=st.booleans(), seed=st.integers(0, 1000))
def test_brightness_contrast_and_side_change_nothing(factor, level, mirror, seed):
    """Up to the rounding to whole grey levels, so that the detail of an image scaled down is left out."""
    both = phantom_images(Counts(8, 4), seed=seed)
    image, training = both.pixels[:1], both.pixels[1:]
    patients = both.patients[1:]
    changed = np.rint(image * factor * 0.7 + level).astype(np.uint8)
    changed = changed[:, :, ::-1] if mirror else changed
    before, after = (gather_evidence(x, training, patients) for x in (image, changed))
    assert after.margin == pytest.approx(before.margin, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 100))
def test_a_copy_among_the_images_adds_one(count, seed):
    """Each image is judged by itself, so a copy never lowers the count."""
    both = phantom_images(Counts(20, 10), seed=seed)
    generated, training = both.pixels[:10], both.pixels[10:]
    patients = np.arange(len(training))
    evidence = gather_evidence(generated, training, patients)
    detector = calibrate(evidence, np.arange(10), np.random.default_rng(seed))
    more = gather_evidence(np.concatenate([generated, training[:count]]), training, patients)
    assert more.detail[:10] == pytest.approx(evidence.detail, abs=1e-5)
    assert detector.copies(more)[10:].all()


def test_thresholds_are_conformal_quantiles():
    """Of n values the ceil((n + 1) · 0.995)-th; a stricter one would be exceeded too often."""
    values = np.random.default_rng(0).permutation(np.arange(399.0))
    nothing = np.zeros(399, np.int64)
    detector = calibrate(
        Evidence(values, nothing, -values, nothing), np.arange(399), np.random.default_rng(0)
    )
    assert detector.detail == 397  # the 398th of 399: one value, 1 / 400 < 0.5 %, lies above
    assert detector.margin == -1
    assert not detector.certified


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_rate_holds_in_every_class(seed, count):
    """Thresholds are the larger ones of the classes calibrated apart, statistic by statistic."""
    rng = np.random.default_rng(seed)
    nothing = np.zeros(60, np.int64)
    both = Evidence(rng.normal(size=60), nothing, rng.normal(size=60), nothing)
    classes = np.repeat([0, 1], (count, 60 - count))
    found = calibrate(both, np.arange(60), rng, classes=classes)
    assert found.detail == max(both.detail[:count].max(), both.detail[count:].max())
    assert found.margin == max(both.margin[:count].max(), both.margin[count:].max())
    assert found.class_alarms.total == count
    rare_only = calibrate(both.take(np.arange(20)), np.arange(20), rng)
    assert rare_only.false_alarms == rare_only.class_alarms


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_false_alarms_are_counted_apart_from_calibration(seed):
    """Values without ties: the thresholds of four folds are exceeded in the fifth by whatever tops them all."""
    rng = np.random.default_rng(seed)
    values = rng.permutation(50).astype(float)
    patients = rng.integers(0, 5, 50)
    nothing = np.zeros(50, np.int64)
    flat = np.zeros(50)
    detector = calibrate(Evidence(values, nothing, flat, nothing), patients, rng)
    owner = patients[values.argmax()]  # with one patient a fold, each fold is judged by the others' largest
    others = values[patients != owner].max()
    assert detector.false_alarms.count == np.sum(values[patients == owner] > others)


def test_the_pose_undoes_what_was_done(training):
    image = training.pixels[0]
    moved = np.roll(image[:, ::-1], (1, -2), axis=(0, 1))
    assert best_pose(moved, image) == (1, -2, True)
    assert best_pose(image, image) == (0, 0, False)


def test_the_pose_of_a_large_image_is_in_its_own_pixels():
    image = phantom_images(Counts(1, 0), size=112).pixels[0]
    assert best_pose(np.roll(image, (4, -8), axis=(0, 1)), image) == (4, -8, False)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_large_images_are_found_wherever_they_are_moved(pixels):
    """One pixel of 56 is half a pixel of the 28 that are compared: the farthest from whole ones."""
    training = phantom_images(Counts(60, 60), size=56)
    unseen = phantom_images(Counts(150, 150), split="test", size=56)
    evidence = gather_evidence(unseen.pixels, training.pixels, training.patients)
    detector = calibrate(evidence, unseen.patients, np.random.default_rng(0))
    copies = shifted(pixels)(training.pixels[:40], np.random.default_rng(0))
    found = gather_evidence(copies, training.pixels, training.patients)
    assert detector.copies(found).all()
    assert best_pose(copies[0], training.pixels[0]) in [
        (down, right, False) for down in (-pixels, pixels) for right in (-pixels, pixels)
    ]


def test_large_images_are_averaged_by_area():
    image = np.random.default_rng(0).integers(0, 256, (2, 56, 84, 3), np.uint8)
    small = reduced(image)
    assert small.shape == (2, 19, 28, 3)
    assert small.mean(axis=(1, 2)) == pytest.approx(image.mean(axis=(1, 2)), rel=1e-5)
    square = np.random.default_rng(0).integers(0, 256, (2, 56, 56, 1), np.uint8)
    assert reduced(square) == pytest.approx(square.reshape(2, 28, 2, 28, 2, 1).mean(axis=(2, 4)), abs=1e-3)
    assert np.array_equal(reduced(square[:, :32, :32]), square[:, :32, :32])


def test_constant_images_look_like_nothing(training):
    flat = np.full((1, 28, 28, 1), 99, np.uint8)
    found = gather_evidence(flat, training.pixels, training.patients)
    assert found.detail == pytest.approx(0)
    assert found.margin == pytest.approx(0)
    gather_evidence(training.pixels[:2], np.concatenate([flat, flat]), np.arange(2))


def test_misfit_input_is_refused(training):
    with pytest.raises(InputError, match="equal height"):
        gather_evidence(training.pixels[:, :20], training.pixels, training.patients)
    with pytest.raises(InputError, match="two patients"):
        gather_evidence(training.pixels, training.pixels, np.zeros(len(training), np.int64))
    one = gather_evidence(training.pixels[:5], training.pixels, training.patients)
    with pytest.raises(InputError, match="1 patient"):
        calibrate(one, np.zeros(5, np.int64), np.random.default_rng(0))


def test_strength_orders_by_the_nearer_threshold(detector, evidence):
    strict = replace(detector, detail=detector.detail + 0.1, margin=detector.margin + 0.1)
    assert strict.strength(evidence) == pytest.approx(detector.strength(evidence) - 0.1)
    assert not (strict.copies(evidence) & ~detector.copies(evidence)).any()
