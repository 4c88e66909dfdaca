"""The answer in a word, and what to do with it."""

from healthgan.report.brought import warnings
from healthgan.report.page import Advice
from healthgan.report.sound.checks import checks
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import nearest
from healthgan.report.sound.words import about, settles
from healthgan.statistics.verdicts import Headline

WORDS = {
    Headline.HELPS: ("Yes, they help", "▲", "good"),
    Headline.HURTS: ("No, they hurt", "▼", "bad"),
    Headline.NOT_NEEDED: ("No, not needed", "▼", "bad"),
    Headline.NO_DIFFERENCE: ("No practical difference", "=", "plain"),
    Headline.UNKNOWN: ("Not shown that they help", "?", "open"),
}
"""By the study's answer: the word, its mark, its tone."""


def advice(run: SoundRun, answers: Answers) -> Advice:
    """The answer in a word, and the next step."""
    found = answers.main
    if found is None or answers.best is None:
        return Advice(
            "Not known yet", "…", "open", "Repeat the study's command: it goes on where it stopped."
        )
    if nearest(found) is None:
        return Advice(
            "Not asked", "–", "open", f"Train with {_named(answers.best.reference)}: {_best_here(answers)}."
        )
    word, mark, tone = WORDS[found.headline]
    before = _first(run, answers)
    if before:
        return Advice(word, mark, "open", before)
    return Advice(word, mark, tone, _STEPS[found.headline](answers))


def _first(run: SoundRun, answers: Answers) -> str:
    """What has to be done before anything is made of the answer; empty where nothing has."""
    assert answers.main is not None
    if warnings(run):
        return "First clear up what speaks against the synthetic images that were brought; the figures may not hold."
    alarms = [check.arm for check in checks(answers.main) if check.state == "alarm"]
    if alarms:
        names = " and ".join(f"'{name}'" for name in alarms)
        return f"Make nothing of this study yet: its control {names} raises an alarm (see 'Can this study be believed?')."
    if run.design == "tuning":
        return "Choose settings by this, then run a study with them fixed: no test image was read here, so no claim can be made."
    return ""


def _helps(answers: Answers) -> str:
    assert answers.main is not None
    return (
        f"Use them: train with {_named(answers.main.because[0])}. Check before sharing any image that none is a copy "
        "(see 'Are they copies?')."
    )


def _leave(answers: Answers) -> str:
    assert answers.best is not None
    return (
        f"Leave the synthetic images out. Train with {_named(answers.best.reference)}: {_best_here(answers)}."
    )


def _unknown(answers: Answers) -> str:
    assert answers.main is not None
    assert answers.best is not None
    pair = nearest(answers.main)
    more = "" if pair is None else settles(pair.needed)
    return f"Don't rely on them. Train with {_named(answers.best.reference)}: {_best_here(answers)}." + (
        f" To know: {more[:1].lower()}{more[1:]}" if more else ""
    )


def _named(arm: str) -> str:
    return f"'{arm}' ({about(arm)})"


def _best_here(answers: Answers) -> str:
    assert answers.main is not None
    assert answers.best is not None
    auroc = answers.main.arm(answers.best.reference).auroc.estimate
    return f"the best here without synthetic images, AUROC {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})"


_STEPS = {
    Headline.HELPS: _helps,
    Headline.HURTS: _leave,
    Headline.NOT_NEEDED: _leave,
    Headline.NO_DIFFERENCE: _leave,
    Headline.UNKNOWN: _unknown,
}
