"""Whether a sound study can be believed, in words, from its controls and what is known of its data."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from healthgan.report.brought import warnings
from healthgan.report.sound.cautions import ANSWER_STEPS
from healthgan.report.sound.checks import Check, checks
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.words import listed, signed, span
from healthgan.statistics.conclusion import Comparison

Answer = Literal["Yes", "In part", "No"]

CONTROLS = {
    "real-again": "the same recipe with other seeds",
    "noise": "noise in place of synthetic images",
    "copies": "altered copies in place of synthetic images",
    "oracle": "fresh real patients in place of synthetic images",
}


@dataclass(frozen=True)
class Belief:
    """The answer and what it rests on.

    Attributes:
        answer: ``Yes``: every control came out as it should and nothing speaks against the study; ``No``: one of them
            rings an alarm; ``In part``: none does, but something is not settled or not known.
        against: why it is not ``Yes``, the gravest first.
        controls: what each control showed.
    """

    answer: Answer
    against: tuple[str, ...]
    controls: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in sentences, the answer first."""
        starts = {
            "Yes": "Yes: every control came out as it should.",
            "In part": "In part: no control rings an alarm, but not all is settled.",
            "No": "No: do not rest a claim on this study.",
        }
        showed = (f"{_capital('; '.join(self.controls))}.",) if self.controls else ()
        given = "How right the labels are is not tested: they are taken as they were given."
        return (starts[self.answer], *self.against, *showed, given)


def belief(run: SoundRun, answers: Answers) -> Belief | None:
    """The answer; None before anything is compared."""
    found = answers.main
    if found is None:
        return None
    made = checks(found)
    alarms = [*_alarms(made), *warnings(run)]
    doubts = list(_doubts(run, found, made))
    answer: Answer = "No" if alarms else "In part" if doubts else "Yes"
    return Belief(answer, (*alarms, *doubts), tuple(_showed(check) for check in made))


def _alarms(made: list[Check]) -> Iterator[str]:
    for check in made:
        if check.state == "alarm":
            yield f"'{check.arm}' rings an alarm. {check.meaning}"


def _doubts(run: SoundRun, found: Comparison, made: list[Check]) -> Iterator[str]:
    open_checks = [check for check in made if check.state == "not settled" and check.arm != "oracle"]
    if open_checks:
        names = listed(f"'{check.arm}'" for check in open_checks)
        yield f"The intervals of {names} are too wide to say that there is no difference of practical interest."
    oracle = next((check for check in made if check.arm == "oracle"), None)
    if oracle is None:
        yield (
            "Whether it would see help is not shown: there is no oracle, as no rare images were held back (--rare-count) or "
            "the protocol has none."
        )
    elif oracle.state == "not settled":
        yield oracle.meaning
    missing = [f"'{arm}'" for arm in ("real-again", "noise") if arm not in {check.arm for check in made}]
    if missing:
        yield f"It has no control {listed(missing)}."
    unsteady = [f"'{arm.name}'" for arm in found.arms if arm.auroc.unsteady]
    if unsteady:
        yield f"The trainings of {listed(unsteady)} differ far more than those of the other arms."
    if found.few_splits:
        yield f"It has only {found.splits} splits, whose spread is hardly known."
    if not run.patients_known:
        yield "Its source does not tell patients: images of one person may stand in training and test."
    if run.protocol.training.steps < ANSWER_STEPS:
        yield f"Its classifiers were trained for {run.protocol.training.steps:,} steps only, which can turn a difference's sign."
    if run.design == "tuning":
        yield "It is for choosing settings: no test image was read."


def _showed(check: Check) -> str:
    """What a control showed."""
    should = {"real-again": "no difference was due", "oracle": "a gain was due"}.get(
        check.arm, "no gain was due"
    )
    state = {"as it should": "as it should be", "not settled": "not settled", "alarm": "an alarm"}[
        check.state
    ]
    return (
        f"'{check.arm}' ({CONTROLS[check.arm]}) differs from real images alone by {signed(check.difference)} "
        f"({span(check.low, check.high)}), where {should}: {state}"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
