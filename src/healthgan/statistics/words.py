"""Verdicts in plain language."""

from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair
from healthgan.statistics.verdicts import Headline, Needed, Verdict

MOST = 100
"""Times as many of something that nobody will collect or train."""


def pair_sentence(pair: Pair, equivalence: float) -> str:
    """What a comparison of two arms comes to, with its figures.

    Args:
        pair: the arm against the reference arm.
        equivalence: differences below this are of no practical use.
    """
    figures = f"{pair.difference:+.3f} AUROC, interval {pair.low:+.3f} to {pair.high:+.3f}"
    if pair.verdict is Verdict.HELPS:
        return f"{pair.arm} is better than {pair.reference} ({figures})."
    if pair.verdict is Verdict.HURTS:
        return f"{pair.arm} is worse than {pair.reference} ({figures})."
    if pair.verdict is Verdict.NO_DIFFERENCE:
        return f"{pair.arm} and {pair.reference} differ by less than {equivalence:g} ({figures})."
    found = f"Can't tell yet whether {pair.arm} is better or worse than {pair.reference} ({figures})."
    return found if pair.needed is None else f"{found} {needed_sentence(pair.needed)}"


def needed_sentence(found: Needed) -> str:
    """How much more would settle a verdict."""
    patients, trainings = _times(found.patients), _times(found.trainings)
    if patients and trainings:
        return f"About {patients} the test patients would tell, or {trainings} the trainings."
    if patients:
        return f"About {patients} the test patients would tell; more trainings alone would not."
    if trainings:
        return f"About {trainings} the trainings would tell; more test patients alone would not."
    both = _times(found.both)
    if both:
        return f"About {both} both the test patients and the trainings would tell; neither alone would."
    return "The two are too alike for any study of this kind to tell them apart."


def headline_sentence(comparison: Comparison) -> str:
    """The study's answer in a sentence or two."""
    names = ", ".join(comparison.because)
    references = list(dict.fromkeys(pair.reference for pair in comparison.pairs if pair.kind == "synthetic"))
    if comparison.headline is Headline.HELPS:
        return (
            f"Synthetic images help: {names} is better than every recipe without them "
            f"({', '.join(references)}), each time with an interval above zero."
        )
    if comparison.headline is Headline.HURTS:
        return f"Synthetic images hurt: every way of using them is worse than {comparison.real}."
    if comparison.headline is Headline.NOT_NEEDED:
        return f"A recipe without synthetic images is better than every one with them: {names}."
    if comparison.headline is Headline.NO_DIFFERENCE:
        return (
            f"Synthetic images make no practical difference: whichever way they are used, the AUROC stays "
            f"within {comparison.equivalence:g} of {comparison.real}."
        )
    found = "Can't tell yet whether synthetic images help."
    if comparison.detectable is None:
        return found
    return (
        f"{found} This study finds a difference of {comparison.detectable:.3f} AUROC from {comparison.real} with "
        f"80 % chance; its test patients would allow {comparison.detectable_at_best:.3f} with any number of "
        "trainings."
    )


def _times(factor: float | None) -> str:
    """'3 times', or nothing where it is out of reach."""
    if factor is None or factor > MOST:
        return ""
    return f"{factor:.0f} times" if factor >= 3 else f"{factor:.1f} times"
