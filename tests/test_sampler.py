"""GANSampler: what fit_resample promises, inside and outside a pipeline, and the checks of both libraries."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from imblearn.pipeline import make_pipeline
from imblearn.utils import estimator_checks as imblearn_checks
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as sklearn_checks
from sklearn.utils._testing import SkipTest

from healthgan import GANSampler
from healthgan.errors import InputError
from healthgan.generators import presets
from healthgan.generators.diffusion import Settings
from healthgan.likeness import Verdict, calibrate, judge
from healthgan.sources.phantom import Counts, phantom_images


class GaussianImages:
    """A small generator: a normal distribution with the mean and the covariance of each class.

    Drawn wider than the images are, so that some of what it makes is unlike any.
    """

    def __init__(self, spread=1.8):
        self.spread = spread

    def fit(self, images, labels):
        self.seen = (len(images), sorted(set(labels.tolist())))
        self.pools = {int(label): images[labels == label].astype(float) for label in np.unique(labels)}
        return self

    def sample(self, n, label, seed):
        pool = self.pools[label]
        mean = pool.mean(axis=0)
        weights = np.stack([np.random.default_rng([seed, i]).normal(size=len(pool)) for i in range(n)])
        drawn = np.tensordot(self.spread / np.sqrt(len(pool)) * weights, pool - mean, axes=1)
        return np.rint(mean + drawn).clip(0, 255).astype(np.uint8)


class Copier:
    def fit(self, images, labels):
        self.pools = {int(label): images[labels == label] for label in np.unique(labels)}

    def sample(self, n, label, seed):
        return np.random.default_rng(seed).choice(self.pools[label], n)


@pytest.fixture(scope="module")
def data():
    found = phantom_images(Counts(90, 50))
    return found.pixels[..., 0], found.labels, found.patients


def sampler(**changes):
    return GANSampler(**{"generator": GaussianImages(), "random_state": 0, **changes})


@pytest.fixture(scope="module")
def fitted(data):
    X, y, patients = data
    found = sampler()
    return found, *found.fit_resample(X, y, patients=patients)


def test_originals_come_first_unchanged_and_the_classes_are_equal(data, fitted):
    X, y, _ = data
    _, X2, y2 = fitted
    np.testing.assert_array_equal(X2[: len(X)], X)
    np.testing.assert_array_equal(y2[: len(y)], y)
    assert np.bincount(y2).tolist() == [90, 90]
    assert (X2.dtype, X2.shape, y2.dtype) == (np.uint8, (180, 28, 28), y.dtype)
    assert set(y2[140:]) == {1}


def test_every_added_image_is_one_the_band_accepts(data, fitted):
    X, y, patients = data
    found, X2, _ = fitted
    band = calibrate(X[y == 1][..., None], patients[y == 1])
    assert found.bands_ == {1: band}
    verdict = judge(X2[140:, ..., None], X[y == 1][..., None], band).verdict
    assert (verdict == Verdict.ACCEPTED).all()
    assert len(np.unique(X2[140:], axis=0)) == 40


def test_kept_and_rejected_are_counted_by_reason(data, fitted):
    X, y, _ = data
    found, X2, _ = fitted
    assert found.sampling_strategy_ == {1: 40}
    assert found.kept_ == {1: 40}
    assert set(found.rejected_[1]) == {verdict.label for verdict in Verdict} - {"accepted"}
    assert sum(found.rejected_[1].values()) > 0
    # the candidates of a batch are the generator's own for its seed: the verdicts can be repeated
    reals = X[y == 1][..., None]
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    first = int(np.random.SeedSequence([seed, 1, 0]).generate_state(1)[0])
    made = found.generator_.sample(40, 1, first)
    judged = judge(made, reals, found.bands_[1])
    kept = made[judged.accepted][..., 0]
    np.testing.assert_array_equal(X2[140 : 140 + len(kept)], kept)


def test_equal_seeds_give_equal_images_and_others_do_not(data, fitted):
    X, y, patients = data
    _, X2, _ = fitted
    again, _ = sampler().fit_resample(X, y, patients=patients)
    np.testing.assert_array_equal(again, X2)
    state, _ = sampler(random_state=np.random.RandomState(0)).fit_resample(X, y, patients=patients)
    np.testing.assert_array_equal(state, X2)
    other, _ = sampler(random_state=1).fit_resample(X, y, patients=patients)
    assert not (other[140:] == X2[140:]).all(axis=(1, 2)).any()


def test_the_generator_given_stays_as_it_was(data):
    X, y, _ = data
    given = GaussianImages()
    found = sampler(generator=given)
    found.fit_resample(X, y)
    assert not hasattr(given, "seen")
    assert found.generator_.seen == (140, [0, 1])
    assert found.get_params()["generator"] is given
    assert clone(found).generator is not given


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28, 3), (28, 20)], ids=str)
def test_shapes_are_kept(data, shape):
    X, y, _ = data
    X = X[:, :, : shape[1]]
    images = X if len(shape) == 2 else np.repeat(X[..., None], shape[2], axis=3)
    X2, _ = sampler(filter=0.3).fit_resample(images, y)
    assert X2.shape == (180, *shape)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("not minority", {"ill": 50, "well": 90}),
        ("all", {"ill": 90, "well": 90}),
        (0.8, {"ill": 72, "well": 90}),
        ({"ill": 51, "well": 93}, {"ill": 51, "well": 93}),
        (lambda _: {"ill": 60}, {"ill": 60, "well": 90}),
    ],
    ids=["not minority", "all", "ratio", "dict", "callable"],
)
def test_sampling_strategies_and_words_as_classes(data, strategy, expected):
    X, y, _ = data
    words = np.array(["well", "ill"])[y]
    found = sampler(sampling_strategy=strategy, filter="none")
    _, y2 = found.fit_resample(X, words)
    assert dict(zip(*np.unique(y2, return_counts=True), strict=True)) == expected
    assert found.kept_ == {n: c - (words == n).sum() for n, c in expected.items() if c > (words == n).sum()}
    assert found.generator_.seen[1] == [0, 1]


def test_the_filters(data):
    X, y, _ = data
    reals = X[y == 1][..., None]
    for level in (0.5, 0.6):
        found = sampler(filter=level)
        X2, _ = found.fit_resample(X, y)
        assert (judge(X2[140:, ..., None], reals, None).likeness >= level).all()
        assert set(found.rejected_[1].values()) - {found.rejected_[1]["unlike"]} <= {0}
        assert found.bands_ == {}
    found = sampler(filter="none")
    X2, _ = found.fit_resample(X, y)
    assert set(found.rejected_[1].values()) == {0}
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    first = int(np.random.SeedSequence([seed, 1, 0]).generate_state(1)[0])
    np.testing.assert_array_equal(X2[140:], found.generator_.sample(40, 1, first)[..., 0])


def test_too_few_accepted_is_an_error_that_says_why(data):
    X, y, patients = data
    found = sampler(generator=Copier(), max_tries=3)
    message = r"Of 120 candidates of class 1, 0 passed the filter; 40 are wanted\. Rejected: 120 copy suspect\. Use a"
    with pytest.raises(InputError, match=message):
        found.fit_resample(X, y, patients=patients)
    assert (found.kept_, found.rejected_[1]["copy suspect"]) == ({1: 0}, 120)
    with pytest.raises(InputError, match=r"Of 40 candidates .* unlike"):
        sampler(filter=1.0, max_tries=1).fit_resample(X, y)


def test_a_class_too_small_for_a_band_is_named(data):
    X, y, _ = data
    few = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:19]])
    with pytest.raises(InputError, match=r"Class 1: 19 different real images .*filter=0\.8"):
        sampler().fit_resample(X[few], y[few])
    X2, _ = sampler(filter=0.3).fit_resample(X[few], y[few])
    assert len(X2) == 180


def test_nothing_to_add_adds_nothing(data):
    X, y, _ = data
    X2, y2 = sampler(sampling_strategy={1: 50}).fit_resample(X, y)
    np.testing.assert_array_equal(X2, X)
    np.testing.assert_array_equal(y2, y)


class BadSample(GaussianImages):
    def sample(self, n, label, seed):
        return super().sample(n, label, seed) / 255


BAD = {
    "rows": (
        lambda X, y: (X.reshape(140, -1), y),
        r"shape \(140, 784\), rows of features; .*reshape\(-1, height",
    ),
    "floats": (lambda X, y: (X / 255, y), r"type float64; uint8"),
    "large numbers in a list": (lambda X, y: ((X + np.int64(200)).tolist(), y), r"type int64; uint8"),
    "channels": (lambda X, y: (np.stack([X, X], axis=3), y), r"shape \(140, 28, 28, 2\)"),
    "one": (lambda X, y: (X[:, 0, 0], y), r"shape \(140,\)"),
    "sparse": (
        lambda X, y: (sparse.csr_array(X.reshape(140, -1)), y),
        r"csr_array, which is sparse; a dense",
    ),
    "something else": (lambda X, y: ({"images": X}, y), r"X is dict"),
    "lengths": (lambda X, y: (X, y[:-1]), r"140 images and y 139 labels"),
    "lengths, though of one class": (lambda X, y: (X, y[:1]), r"140 images and y 1 labels"),
    "one class": (lambda X, y: (X, np.zeros_like(y)), r"one class only"),
    "small": (lambda X, y: (X[:, :5], y), r"5×28 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(data, name):
    change, message = BAD[name]
    with pytest.raises(InputError, match=message):
        sampler().fit_resample(*change(*data[:2]))


def test_bad_patients_and_generators(data):
    X, y, patients = data
    for wrong in (patients[:-1], patients / 1, np.stack([patients] * 2, 1)):
        with pytest.raises(InputError, match=r"patients are .*; integers or strings \(140,\)"):
            sampler().fit_resample(X, y, patients=wrong)
    with pytest.raises(InputError, match="gave images of float64"):
        sampler(generator=BadSample()).fit_resample(X, y)
    with pytest.raises(
        InputError, match=r"no generator 'nonsuch'\. Take one of default, edm, .* or an object"
    ):
        sampler(generator="nonsuch").fit_resample(X, y)
    with pytest.raises(
        ValueError, match=r"'generator' parameter of GANSampler must be .* 'fit' and 'sample'"
    ):
        sampler(generator=3).fit_resample(X, y)


def test_it_works_in_a_pipeline_and_sees_training_images_only(data):
    X, y, patients = data
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255)
    model = make_pipeline(sampler(), flat, LogisticRegression(max_iter=200))
    with config_context(
        enable_metadata_routing=True
    ):  # without it imbalanced-learn drops what a sampler is passed
        model.named_steps["gansampler"].set_fit_resample_request(patients=True)
        found = cross_validate(
            model,
            X,
            y,
            cv=GroupKFold(3),
            params={"patients": patients, "groups": patients},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    assert len(found["test_score"]) == 3
    for model, train in zip(found["estimator"], found["indices"]["train"], strict=True):
        step = model.named_steps["gansampler"]
        assert step.generator_.seen == (len(train), [0, 1])
        ill = train[y[train] == 1]
        assert step.bands_[1] == calibrate(X[ill][..., None], patients[ill])
        assert step.kept_[1] == (y[train] == 0).sum() - len(ill)


def test_a_fitted_sampler_survives_pickling(fitted):
    found, _, _ = fitted
    again = pickle.loads(pickle.dumps(found))
    assert (again.bands_, again.kept_, again.rejected_) == (found.bands_, found.kept_, found.rejected_)
    np.testing.assert_array_equal(again.generator_.sample(3, 1, 5), found.generator_.sample(3, 1, 5))


def test_bars_are_drawn_on_stderr_and_only_when_asked(data, capsys):
    X, y, _ = data
    sampler(filter="none").fit_resample(X, y)
    assert capsys.readouterr() == ("", "")
    sampler(filter="none", verbose=1).fit_resample(X, y)
    said = capsys.readouterr()
    assert said.out == ""
    assert "images of 1" in said.err


def test_the_default_generator_is_trained_on_all_classes_and_told_the_patients(data, monkeypatch):
    """With settings so small that it learns little; that it learns is its own tests' matter."""
    X, y, patients = data
    some = np.concatenate([np.flatnonzero(y == 0)[:12], np.flatnonzero(y == 1)[:8]])
    X, y, patients = X[some, 6:22, 6:22], y[some], patients[some]
    monkeypatch.setitem(presets.DIFFUSION, presets.DEFAULT, Settings(steps=4, batch=8, width=8, checks=1))
    found = GANSampler(filter="none", random_state=3, device="cpu", verbose=1)
    X2, y2 = found.fit_resample(X, y, patients=patients)
    assert np.bincount(y2).tolist() == [12, 12]
    trained = found.generator_.trained
    assert (trained.classes, trained.size, trained.channels) == (2, (16, 16), 1)
    seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max))
    same = presets.DiffusionGenerator(presets.DIFFUSION[presets.DEFAULT], seed=seed)
    same.fit(X[..., None], y, np.unique(patients, return_inverse=True)[1])
    first = int(np.random.SeedSequence([seed, 1, 0]).generate_state(1)[0])
    np.testing.assert_array_equal(X2[20:, ..., None], same.sample(4, 1, first))
    assert len(pickle.dumps(found)) > 0


def test_import_is_lazy():
    code = "import sys, healthgan; assert 'numpy' not in sys.modules; assert hasattr(healthgan, 'GANSampler')"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nonsuch'"):
        sys.modules["healthgan"].nonsuch  # noqa: B018 # asking for it is what fails


COLUMN = "takes y from a column of X: an image has none"
FEATURES = "makes rows of features itself"
NOT_FOR_IMAGES = {
    # imbalanced-learn
    "check_samplers_fit": FEATURES,
    "check_samplers_preserve_dtype": "wants float32 kept: images are uint8",
    # scikit-learn
    "check_dont_overwrite_parameters": COLUMN,
    "check_f_contiguous_array_estimator": COLUMN,
    "check_methods_sample_order_invariance": COLUMN,
    "check_methods_subset_invariance": COLUMN,
    "check_dict_unchanged": COLUMN,
    "check_fit2d_1sample": COLUMN,
    "check_fit2d_1feature": COLUMN,
    "check_fit2d_predict1d": COLUMN,
    "check_estimators_dtypes": "wants float and integer features: images are uint8",
    "check_dtype_object": "wants features of any object: images are uint8",
    "check_estimators_nan_inf": "wants NaN refused: uint8 has none",
    "check_estimators_empty_data_messages": "wants features counted: images have a shape",
    "check_n_features_in": "wants n_features_in_: images have a shape, image_shape_",
    "check_estimator_sparse_tag": "sparse arrays have two dimensions",
    "check_estimator_sparse_array": "sparse arrays have two dimensions",
    "check_estimator_sparse_matrix": "sparse arrays have two dimensions",
    "check_array_api_input": "runs only where SCIPY_ARRAY_API is set",
}
"""The estimator checks that can't pass on arrays of images, and why."""


class AsRows(GANSampler):
    """Says that it takes rows, so that scikit-learn lists all its checks; none is run on it."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def as_images(X):
    """Rows of features as 16×16 images: the whole range of the features is 0…255."""
    X = np.asarray(X, float)
    rows = (X - X.min()) / (np.ptp(X) or 1) * 255
    return np.stack([np.resize(row, (16, 16)) for row in rows]).astype(np.uint8)


def test_every_estimator_check_passes_on_images_but_those_listed(monkeypatch):
    """The checks' own data is turned into images where they let it be; each is then run as it is."""
    rows = imblearn_checks.sample_dataset_generator
    monkeypatch.setattr(
        imblearn_checks, "sample_dataset_generator", lambda: (as_images(rows()[0]), rows()[1])
    )
    monkeypatch.setattr(sklearn_checks, "_enforce_estimator_tags_X", lambda _, X, **__: as_images(X))
    given = {"generator": Copier(), "filter": "none", "random_state": 0}
    checks = [check for _, check in imblearn_checks.estimator_checks_generator(GANSampler(**given))]
    checks += [lambda s: imblearn_checks.check_param_validation("GANSampler", s)]
    checks += [check for _, check in sklearn_checks.estimator_checks_generator(AsRows(**given))]
    failed, passed = {}, []
    for check in checks:
        name = check.func.__name__ if hasattr(check, "func") else "check_param_validation"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the checks' own, about their float labels
                check(GANSampler(**given))
            passed.append(name)
        except (Exception, SkipTest) as error:  # noqa: BLE001 # a check may fail in any way; which did is compared below
            failed[name] = error
    assert set(failed) == set(NOT_FOR_IMAGES), {
        name: failed.get(name) for name in set(failed) ^ set(NOT_FOR_IMAGES)
    }
    assert {"check_samplers_list", "check_samplers_multiclass_ova", "check_param_validation"} <= set(passed)
    assert len(passed) >= 30
