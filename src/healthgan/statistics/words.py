"""What would settle a verdict, in plain language."""

from healthgan.statistics.simultaneous import t_quantile
from healthgan.statistics.verdicts import Needed

MOST = 100
"""Times as many of something that nobody will collect or train."""


FEW_SPLITS = 10
"""Of a cross-validation, below which an interval is mostly as wide as it is because they are few."""
ENOUGH_SPLITS = 15
"""Five folds three times: the design whose honesty was simulated (benchmarks/honesty.py)."""

NO_CURVE = (
    "The learning curve is left out: it needs a source with a test split of its own, and more rare training images than "
    "the least of its numbers."
)
"""Of a protocol that has one where none can be made."""


BROUGHT_CURVE = (
    "The learning curve is left out: synthetic images that are brought teach what they were made from, so that with fewer "
    "real images they would seem to be worth those that are missing. Where none of this source's images went into them, "
    "say so (curve.independent = true in a protocol of your own)."
)
"""Of a protocol that has one where synthetic images are brought."""


def no_curve_sentence(*, brought: bool, independent: bool) -> str:
    """Why a learning curve that was asked for is left out.

    Args:
        brought: whether synthetic images are brought.
        independent: whether they are said to be made from none of the source's images.
    """
    return BROUGHT_CURVE if brought and not independent else NO_CURVE


def few_splits_sentence(splits: int) -> str:
    """Why a cross-validation of few splits settles little, and what to do."""
    wider = t_quantile(0.025, splits - 1) / t_quantile(0.025, float("inf"))
    return (
        f"A cross-validation of {splits} splits (folds × repeats) has wide intervals, whatever it finds: Nadeau and "
        f"Bengio's have {splits - 1} degree{'s' * (splits != 2)} of freedom, which alone makes them {wider:.1f} times as "
        f"wide as those of many splits, and more where several arms are compared. Take {ENOUGH_SPLITS} or more: "
        "design.folds = 5 and design.repeats = 3 in a protocol of your own."
    )


def needed_sentence(found: Needed) -> str:
    """How much more would settle a verdict."""
    if found.splits is not None:
        return f"Too few splits to tell what would: first take folds × repeats of {found.splits} or more."
    patients, trainings = _times(found.patients), _times(found.trainings)
    what = "repeats of the folds" if found.repeats else "trainings"
    if patients and trainings:
        return f"About {patients} the test patients would tell, or {trainings} the {what}."
    if patients:
        return f"About {patients} the test patients would tell; more {what} alone would not."
    if trainings:
        return f"About {trainings} the {what} would tell; more test patients alone would not."
    both = _times(found.both)
    if both:
        return f"About {both} both the test patients and the {what} would tell; neither alone would."
    return "The two are too alike for any study of this kind to tell them apart."


def _times(factor: float | None) -> str:
    """'3 times', or nothing where it is out of reach."""
    if factor is None or factor > MOST:
        return ""
    return f"{factor:.0f} times" if factor >= 3 else f"{factor:.1f} times"
