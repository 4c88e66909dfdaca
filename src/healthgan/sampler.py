"""``GANSampler``: imbalanced-learn's ``fit_resample`` for arrays of images, with a generator and a likeness filter."""

import copy
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from healthgan.errors import InputError
from healthgan.generators.interface import ImageGenerator, check_generated, check_generator
from healthgan.likeness import Band, Pixels, Verdict, calibrate, judge
from healthgan.progress import Tell, stages

Labels = NDArray[Any]
DEFAULT = "default"
REJECTED = tuple(verdict for verdict in Verdict if verdict != Verdict.ACCEPTED)
_LEAST_ASKED = 32  # candidates at a time at least, so that few wanted images don't take many calls


class GANSampler(BaseOverSampler):  # type: ignore[misc] # imbalanced-learn has no types
    """Over-sample image classes with synthetic images.

    The generator learns from all images and labels that are given. Candidates are then made of each class that
    needs more images until enough of them pass the filter; they come after the originals, which stay first, in
    their order and unchanged. Give it training images only: inside ``imblearn.pipeline.Pipeline`` that is what a
    cross-validation passes.

    Args:
        sampling_strategy: as for every over-sampler of imbalanced-learn: "auto" brings each class up to the
            largest; a ratio, a dict of class → number, and so on.
        generator: "default" or the name of a diffusion preset (:mod:`healthgan.generators.presets`), or an object
            with ``fit(images, labels)`` and ``sample(n, label, seed)``
            (:class:`healthgan.generators.interface.ImageGenerator`), of which a copy is fitted.
        filter: "band" keeps candidates that are as like real images of their class as real images of different
            patients are (:func:`healthgan.likeness.judge`); a number is the least likeness (the 2023
            study's floor); "none" keeps all.
        random_state: seed, or NumPy's RandomState; equal seeds give equal images.
        device: "auto", "cpu" or "cuda", for the generators known by name.
        verbose: 0 is silent; from 1 on, stderr tells how far it is: bars in a terminal, elsewhere a line now and then.
        max_tries: candidates to make at most for each image that is wanted.

    Attributes:
        generator_: the fitted generator.
        sampling_strategy_: class → number of images to add.
        kept_: class → number of images added.
        rejected_: class → reason → number of candidates rejected.
        bands_: class → :class:`healthgan.likeness.Band`, where the filter is "band".
        image_shape_: (H, W, C).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "generator": [str, HasMethods(["fit", "sample"])],
        "filter": [StrOptions({"band", "none"}), Interval(Real, -1, 1, closed="both")],
        "random_state": ["random_state"],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "verbose": ["verbose"],
        "max_tries": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        sampling_strategy: float | str | Mapping[Any, int] | Callable[..., Any] = "auto",
        generator: str | ImageGenerator = DEFAULT,
        filter: str | float = "band",  # noqa: A002 # what it does, as users call it
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        verbose: int = 0,
        max_tries: int = 20,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.generator = generator
        self.filter = filter
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.max_tries = max_tries

    def fit_resample(self, X: ArrayLike, y: ArrayLike, *, patients: ArrayLike | None = None) -> Any:  # noqa: ANN401 # of the types that were given
        """Learn from the images and give them back with synthetic ones after them.

        Args:
            X: (N, H, W) or (N, H, W, C) uint8, C = 1 or 3; training images only.
            y: (N,) classes.
            patients: (N,) whose image each is, integers or strings, for the band; where it is not given, the
                band presumes it.

        Returns:
            X and y with the synthetic images after the originals, in the order of the classes; the shapes and types
            that were given.

        Raises:
            InputError: an argument has another shape, type or value, a class is too small for the band, or
                too few candidates passed the filter: there are never silently fewer images than asked for.
        """
        return super().fit_resample(X, y, patients=patients)

    def _check_X_y(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.uint8], Labels, bool]:  # noqa: N802 # imbalanced-learn's name
        """The images, the (N,) labels, and whether those were one column a class."""
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        labels = column_or_1d(y)
        if np.shape(X)[:1] == labels.shape and len(np.unique(labels)) < 2:
            raise InputError("y has one class only; at least two are needed.")
        images = _check_images(X)
        if len(labels) != len(images):
            raise InputError(f"X has {len(images)} images and y {len(labels)} labels; one each is needed.")
        self.image_shape_ = (*images.shape[1:3], images.shape[3] if images.ndim == 4 else 1)
        return images, labels, binarize_y

    def _fit_resample(
        self, X: NDArray[np.uint8], y: Labels, patients: ArrayLike | None = None
    ) -> tuple[NDArray[np.uint8], Labels]:
        images: Pixels = X.reshape(len(X), *self.image_shape_)
        classes, labels = np.unique(y, return_inverse=True)
        names = classes.tolist()
        people = _check_patients(patients, len(images))
        base = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.bands_: dict[Any, Band] = {}
        self.kept_: dict[Any, int] = {}
        self.rejected_: dict[Any, dict[str, int]] = {}
        rules = {}
        for number, name in enumerate(names):
            if self.sampling_strategy_.get(name, 0) > 0:
                members = labels == number
                rules[number] = self._rule(name, images[members], None if people is None else people[members])
        with stages(quiet=not self.verbose) as report:
            self.generator_ = self._fit_generator(images, labels.astype(np.int64), people, base, report)
            more = [images[:0]]
            for number, rule in rules.items():
                reals = images[labels == number]
                more.append(self._make(names[number], number, reals, rule, base, report))
        added = np.repeat(classes[list(rules)], [len(part) for part in more[1:]])
        synthetic = np.concatenate(more).reshape(-1, *X.shape[1:])
        return np.concatenate([X, synthetic]), np.concatenate([y, added.astype(y.dtype)])

    def _rule(self, name: object, reals: Pixels, patients: NDArray[np.int64] | None) -> Band | float | None:
        if self.filter == "none":
            return None
        if self.filter != "band":
            return float(self.filter)
        try:
            self.bands_[name] = calibrate(reals, patients)
        except InputError as error:
            raise InputError(f"Class {name!r}: {error} (filter=0.8 or filter='none')") from error
        return self.bands_[name]

    def _make(
        self, name: object, number: int, reals: Pixels, rule: Band | float | None, base: int, report: Tell
    ) -> Pixels:
        """The images of a class that are wanted, each accepted by the filter."""
        wanted, tried, kept = self.sampling_strategy_[name], 0, reals[:0]
        rejected = {reason.label: 0 for reason in REJECTED}
        report(f"images of {name}", 0, wanted)
        for batch in range(wanted * self.max_tries):  # a bound; the budget of candidates ends it sooner
            missing, left = wanted - len(kept), wanted * self.max_tries - tried
            if not missing or not left:
                break
            pace = tried / max(len(kept), 1) if tried else 1.0
            asked = min(max(int(np.ceil(missing * pace)), _LEAST_ASKED), left)
            seed = int(np.random.SeedSequence([base, number, batch]).generate_state(1)[0])
            made = check_generated(
                self.generator_.sample(asked, number, seed), n=asked, shape=self.image_shape_
            )
            verdict = judge(made, reals, rule, earlier=kept).verdict
            used = np.cumsum(verdict == Verdict.ACCEPTED) - (verdict == Verdict.ACCEPTED) < missing
            made, verdict = made[used], verdict[used]  # what follows the last wanted one was not needed
            kept = np.concatenate([kept, made[verdict == Verdict.ACCEPTED]])
            tried += len(made)
            for reason in REJECTED:
                rejected[reason.label] += int((verdict == reason).sum())
            report(f"images of {name}", len(kept), wanted)
        self.kept_[name], self.rejected_[name] = len(kept), rejected
        if len(kept) < wanted:
            why = ", ".join(f"{count} {reason}" for reason, count in rejected.items() if count)
            raise InputError(
                f"Of {tried} candidates of class {name!r}, {len(kept)} passed the filter; {wanted} are wanted. Rejected: "
                f"{why}. Use a generator that is trained longer, a larger max_tries, a smaller sampling_strategy or "
                "filter='none'."
            )
        return kept

    def _fit_generator(
        self,
        images: Pixels,
        labels: NDArray[np.int64],
        patients: NDArray[np.int64] | None,
        seed: int,
        report: Tell,
    ) -> ImageGenerator:
        if not isinstance(self.generator, str):
            given = copy.deepcopy(check_generator(self.generator))
            given.fit(images, labels)
            return given
        import torch

        from healthgan.generators import presets

        names = {DEFAULT: presets.DIFFUSION[presets.DEFAULT]}
        names |= {str(name): settings for name, settings in presets.DIFFUSION.items()}
        if self.generator not in names:
            raise InputError(
                f"There is no generator {self.generator!r}. Take one of {', '.join(names)}, or an object."
            )
        auto = "cuda" if torch.cuda.is_available() else "cpu"
        made = presets.DiffusionGenerator(
            names[self.generator],
            seed=seed,
            device=auto if self.device == "auto" else self.device,
            progress=lambda step, total, _: report("training steps", step, total),
        )
        made.fit(images, labels, patients)
        made.progress = None  # it belongs to this call; without it the fitted generator can be pickled
        return made

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 # scikit-learn has no types
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = tags.input_tags.dataframe = False
        return tags


def _check_images(X: ArrayLike) -> NDArray[np.uint8]:
    """(N, H, W) or (N, H, W, C) uint8, in the shape given."""
    if not isinstance(X, np.ndarray | list | tuple):
        kind = f"{type(X).__name__}, which is sparse" if issparse(X) else type(X).__name__
        raise InputError(f"X is {kind}; a dense array (N, H, W) or (N, H, W, C) of uint8 is needed.")
    images: NDArray[Any] = np.asarray(X)
    if images.ndim == 2:
        raise InputError(
            f"X has shape {images.shape}, rows of features; GANSampler takes images, (N, H, W) or (N, H, W, C) of uint8. "
            "Reshape rows of pixels with X.reshape(-1, height, width); for other features use SMOTE."
        )
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise InputError(f"X has shape {images.shape}; (N, H, W), (N, H, W, 1) or (N, H, W, 3) is needed.")
    whole = not isinstance(X, np.ndarray) and images.dtype.kind in "iu"  # a list has no type of its own
    if whole and images.size and images.min() >= 0 and images.max() <= 255:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8:
        raise InputError(f"X has type {images.dtype}; uint8 (0…255) is needed. Scale and convert it first.")
    return images


def _check_patients(patients: ArrayLike | None, count: int) -> NDArray[np.int64] | None:
    if patients is None:
        return None
    found: NDArray[Any] = np.asarray(patients)
    if found.shape != (count,) or found.dtype.kind not in "iuU":
        raise InputError(
            f"patients are {found.dtype} of shape {found.shape}; integers or strings ({count},) are needed."
        )
    codes: NDArray[np.int64] = np.unique(found, return_inverse=True)[1]
    return codes
