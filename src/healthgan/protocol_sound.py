"""What a sound study does: its design, its arms, and how their classifiers are trained."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from healthgan.protocol import Count, Name, Rate, Settings, Share, Times

Kind = Literal["reference", "synthetic", "control"]

ARMS: Mapping[str, tuple[Kind, str]] = MappingProxyType(
    {
        "real": ("reference", "real images, both classes in equal parts"),
        "real-again": ("reference", "real images, both classes in equal parts, with other seeds"),
        "weighted": ("reference", "natural frequencies, the loss weighted by class"),
        "smote": ("reference", "SMOTE: rare images between neighbours, pixel by pixel"),
        "mixup": ("reference", "mixup: pairs of a batch blended, with their labels"),
        "classical": ("reference", "classical augmentation"),
        "classical-mixup": ("reference", "classical augmentation and mixup"),
        "transfer": ("reference", "trained on the source's other findings first"),
        "transfer-classical": (
            "reference",
            "trained on the source's other findings first, with classical augmentation",
        ),
        "transfer-other": ("reference", "trained on another source first"),
        "coral": ("reference", "domain adaptation from another source (Deep CORAL)"),
        "weights": ("reference", "initial weights from a file"),
        "synthetic-25": ("synthetic", "25 % of the rare half synthetic"),
        "synthetic-50": ("synthetic", "50 % of the rare half synthetic"),
        "synthetic-75": ("synthetic", "75 % of the rare half synthetic"),
        "synthetic-100": ("synthetic", "all of the rare half synthetic"),
        "both-25": ("synthetic", "25 % of both halves synthetic"),
        "both-50": ("synthetic", "50 % of both halves synthetic"),
        "both-75": ("synthetic", "75 % of both halves synthetic"),
        "both-100": ("synthetic", "all images synthetic"),
        "floor-50": ("synthetic", "50 % of the rare half, kept by the study's floor"),
        "faithful-50": ("synthetic", "50 % of the rare half, kept by class faithfulness"),
        "unfiltered-50": ("synthetic", "50 % of the rare half, nothing left out"),
        "synthetic-classical": ("synthetic", "25 % of the rare half, classical augmentation"),
        "both-classical": ("synthetic", "25 % of both halves, classical augmentation"),
        "both-mixup": ("synthetic", "25 % of both halves, classical augmentation and mixup"),
        "pretrain": ("synthetic", "trained on synthetic images first, then on real ones"),
        "pretrain-classical": (
            "synthetic",
            "trained on synthetic images first, then on real ones, with classical augmentation",
        ),
        "transfer-both": (
            "synthetic",
            "other findings first, then 25 % of both halves, classical augmentation",
        ),
        "noise": ("control", "noise in place of synthetic images: must not help"),
        "copies": ("control", "altered copies of training images in place of synthetic ones"),
        "oracle": ("control", "fresh real patients in place of synthetic images: must help"),
    }
)
"""Every arm: its kind, and what it is in a few words. Shares are of the images drawn in training."""

BOTH_CLASSES = frozenset(name for name in ARMS if "both" in name) | {"pretrain", "pretrain-classical"}
"""Arms that need synthetic images of the reference class too."""
OTHER_FINDINGS = frozenset({"transfer", "transfer-classical", "transfer-both"})
"""Arms that need images of a third class, or other labels, in the training split."""
OTHER_SOURCE = frozenset({"transfer-other", "coral"})
"""Arms that need another source."""


MOST = 100_000
"""Trainings that one study may ask for: more are a mistyped number."""


class Design(Settings):
    """On which patients arms are compared, and how often anything is trained.

    Attributes:
        kind: ``own-test``: trained on the training split, compared on the test split; ``cross-validation``: on
            all splits; ``tuning``: on training and validation split, the test split left out, to choose settings;
            ``auto``: by the test split where the source has one, else by cross-validation.
        folds: of a cross-validation.
        repeats: of a cross-validation.
        generators: trainings of the generator, with different seeds.
        seeds: classifiers a generator and arm.
        reference_seeds: classifiers of an arm without a generator.
        equivalence: differences in AUROC up to this are of no practical interest.
    """

    kind: Literal["auto", "own-test", "cross-validation", "tuning"]
    folds: Annotated[int, Field(ge=2, le=20)]
    repeats: Times
    generators: Times
    seeds: Times
    reference_seeds: Annotated[int, Field(ge=2, le=1000)]
    equivalence: Annotated[float, Field(gt=0, lt=0.5)]


class Images(Settings):
    """Of the rare class: how many training images are kept; absent, all."""

    rare_count: Annotated[int, Field(ge=3)] | None = None


class Synthesis(Settings):
    """The generator and what is kept of its images.

    Attributes:
        preset: a name in ``healthgan.generators.presets``.
        candidates: images a class and generator.
        floor: likeness that the arm ``floor-50`` asks for.
        measure: measure fidelity and privacy of the first generator.
    """

    preset: Literal["edm", "edm-quick"]
    candidates: Annotated[int, Field(ge=20, le=10**6)]
    floor: Share
    measure: bool


class Training(Settings):
    """How every classifier is trained, whatever its arm.

    Attributes:
        network: a name in ``healthgan.classifiers.networks`` or 'package.module:factory'.
        steps: of the optimiser, all phases of an arm together.
        batch: images a step.
        learning_rate: the highest.
        first_phase: share of the steps that an arm with two phases spends in the first.
        mixup: α of the arms with mixup.
        weights: a .safetensors file for the arm ``weights``.
    """

    network: str
    steps: Count
    batch: Annotated[int, Field(ge=8, le=2**14, multiple_of=2)]
    learning_rate: Rate
    first_phase: Rate
    mixup: Annotated[float, Field(gt=0)]
    weights: str | None = None


class Strengths(Settings):
    """Strengths of classical augmentation, as in ``healthgan.classifiers.recipes.Augmentation``."""

    rotate: Annotated[float, Field(ge=0, le=180)]
    shift: Annotated[float, Field(ge=0, lt=1)]
    scale: Annotated[float, Field(ge=0, lt=1)]
    brightness: Share
    contrast: Share
    mirror: bool


class Arms(Settings):
    """The arms that are compared, by their names in ``ARMS``; those that a source can't have are left out."""

    reference: tuple[str, ...]
    synthetic: tuple[str, ...]
    control: tuple[str, ...]

    @field_validator("*", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _known(self) -> "Arms":
        for kind in ("reference", "synthetic", "control"):
            known = [name for name, (own, _) in ARMS.items() if own == kind]
            wrong = [name for name in getattr(self, kind) if name not in known]
            if wrong:
                raise ValueError(f"'{wrong[0]}' is no {kind} arm; there are {', '.join(known)}")
        if "real" not in self.reference:
            raise ValueError("the reference arm 'real' is needed")
        if len(set(self.all)) != len(self.all):
            raise ValueError("an arm is named twice")
        return self

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, in the order of tables."""
        return (*self.reference, *self.synthetic, *self.control)


class Curve(Settings):
    """The learning curve: with fewer rare images, what does each arm reach?

    Attributes:
        counts: rare training images; all of them are added.
        draws: times that images are drawn for each count, at least 3.
        reference: the arm without synthetic images that others are held against.
        synthetic: the arm with them.
        seeds: classifiers a draw and arm.
        independent: whether synthetic images that are brought were made from none of the source's images; where they
            were made from its training images, no curve can be had of them.
    """

    counts: tuple[Annotated[int, Field(ge=20)], ...]
    draws: Annotated[int, Field(ge=3, le=1000)]
    reference: str
    synthetic: str
    seeds: Times
    independent: bool = False

    @field_validator("counts", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _known(self) -> "Curve":
        for name, kind in ((self.reference, "reference"), (self.synthetic, "synthetic")):
            if name not in ARMS or ARMS[name][0] != kind:
                raise ValueError(f"'{name}' is no {kind} arm")
        if list(self.counts) != sorted(set(self.counts)) or not self.counts:
            raise ValueError("counts must rise and not repeat")
        return self


class Other(Settings):
    """Another labelled source, for the arms that learn from one."""

    source: Annotated[str, Field(min_length=1)]
    rare: str | None = None
    reference: str | None = None


class Onward(Settings):
    """The study's second question: does a classifier that learnt from synthetic images transfer better to other data?

    Attributes:
        source: the other data.
        rare: its rare class.
        reference: the class beside it.
        synthetic: the arm whose classifiers are fine-tuned, beside those of ``real`` and new ones.
    """

    source: Annotated[str, Field(min_length=1)]
    rare: str | None = None
    reference: str | None = None
    synthetic: str = "both-25"


class Sound(Settings):
    """All settings of a sound study."""

    name: Name
    summary: str
    design: Design
    images: Images = Images()
    generator: Synthesis
    training: Training
    augmentation: Strengths
    arms: Arms
    curve: Curve | None = None
    other: Other | None = None
    onward: Onward | None = None

    @property
    def weights_file(self) -> Path | None:
        """Initial weights for the arm ``weights``."""
        return None if self.training.weights is None else Path(self.training.weights)

    @model_validator(mode="after")
    def _complete(self) -> "Sound":
        named = set(self.arms.all)
        trainings = (
            self.design.folds * self.design.repeats * self.design.generators * self.design.seeds * len(named)
        )
        if trainings > MOST:
            raise ValueError(
                f"folds, repeats, generators, seeds and arms come to {trainings:,} trainings; {MOST:,} are allowed"
            )
        if OTHER_SOURCE & named and self.other is None:
            raise ValueError(f"the arm '{min(OTHER_SOURCE & named)}' needs the table [other]")
        if "weights" in named and self.training.weights is None:
            raise ValueError("the arm 'weights' needs training.weights, a .safetensors file")
        if self.curve is not None and not {self.curve.reference, self.curve.synthetic} <= named:
            raise ValueError("the arms of [curve] must stand in [arms]")
        if self.onward is not None and self.onward.synthetic not in self.arms.synthetic:
            raise ValueError("the arm of [onward] must stand in arms.synthetic")
        return self
