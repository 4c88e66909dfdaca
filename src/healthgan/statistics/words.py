"""What would settle a verdict, in plain language."""

from healthgan.statistics.verdicts import Needed

MOST = 100
"""Times as many of something that nobody will collect or train."""


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


def _times(factor: float | None) -> str:
    """'3 times', or nothing where it is out of reach."""
    if factor is None or factor > MOST:
        return ""
    return f"{factor:.0f} times" if factor >= 3 else f"{factor:.1f} times"
