"""Verdicts and headlines from intervals; what would settle them, against the formulas turned round."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from healthgan.statistics.verdicts import (
    Answer,
    Headline,
    Needed,
    Variance,
    Verdict,
    detectable,
    headline,
    needed,
    verdict,
)
from healthgan.statistics.words import needed_sentence

HELPS, HURTS, SAME, UNKNOWN = Verdict.HELPS, Verdict.HURTS, Verdict.NO_DIFFERENCE, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.009, 0.009, SAME),
        (0.001, 0.009, SAME),  # above zero, but too little to matter: the region comes first
        (-0.009, -0.001, SAME),
        (-0.01, 0.01, SAME),
        (0.001, 0.02, HELPS),
        (-0.02, -0.001, HURTS),
        (-0.001, 0.02, UNKNOWN),
        (-0.02, 0.009, UNKNOWN),
        (0.0, 0.02, UNKNOWN),
        (0.0, 0.0, UNKNOWN),  # two perfect arms on an easy test set say nothing
    ],
)
def test_verdicts_in_their_order(low, high, expected) -> None:
    assert verdict(low, high) is expected


def test_the_region_can_be_set() -> None:
    assert verdict(-0.015, 0.015, 0.02) is SAME
    assert verdict(-0.004, 0.009, 0.005) is UNKNOWN


@given(st.floats(-0.1, 0.1), st.floats(0, 0.1), st.floats(0.001, 0.05))
def test_turning_the_difference_turns_the_verdict(middle, half, region) -> None:
    turned = {HELPS: HURTS, HURTS: HELPS, SAME: SAME, UNKNOWN: UNKNOWN}
    one = verdict(middle - half, middle + half, region)
    assert verdict(-(middle + half), -(middle - half), region) is turned[one]


def answers(table: dict[str, list[Verdict]], clear: bool = True) -> list[Answer]:
    """Rows are arms; columns are real, weighted, smote."""
    references = ("real", "weighted", "smote")
    return [
        Answer(arm, reference, what, clear)
        for arm, row in table.items()
        for reference, what in zip(references, row, strict=True)
    ]


@pytest.mark.parametrize(
    ("table", "expected", "because"),
    [
        ({"a": [HELPS, HELPS, HELPS], "b": [HURTS, HURTS, HURTS]}, Headline.HELPS, ("a",)),
        ({"a": [HELPS, HELPS, SAME], "b": [SAME, SAME, HELPS]}, Headline.UNKNOWN, ()),
        ({"a": [HELPS, HELPS, UNKNOWN], "b": [HELPS, UNKNOWN, HELPS]}, Headline.UNKNOWN, ()),
        ({"a": [HURTS, SAME, HELPS], "b": [HURTS, UNKNOWN, HURTS]}, Headline.HURTS, ("a", "b")),
        ({"a": [HELPS, SAME, HURTS], "b": [SAME, HURTS, HURTS]}, Headline.NOT_NEEDED, ("smote",)),
        ({"a": [SAME, HURTS, UNKNOWN], "b": [SAME, HELPS, HURTS]}, Headline.NO_DIFFERENCE, ("a", "b")),
        ({"a": [SAME, HURTS, UNKNOWN], "b": [UNKNOWN, HELPS, HURTS]}, Headline.UNKNOWN, ()),
        ({}, Headline.UNKNOWN, ()),
    ],
)
def test_headlines(table, expected, because) -> None:
    assert headline(answers(table), "real") == (expected, because)


def test_one_of_several_references_must_be_clearly_better() -> None:
    """Real images are named beforehand; any of the others may turn out to be the one that is better."""
    table = {"a": [UNKNOWN, SAME, HURTS]}
    assert headline(answers(table), "real") == (Headline.NOT_NEEDED, ("smote",))
    assert headline(answers(table, clear=False), "real") == (Headline.UNKNOWN, ())
    assert headline(answers({"a": [HURTS, SAME, HURTS]}, clear=False), "real")[0] is Headline.HURTS


@given(st.lists(st.lists(st.sampled_from(Verdict), min_size=3, max_size=3), min_size=1, max_size=4))
def test_help_is_never_said_against_an_undecided_reference(rows) -> None:
    found, because = headline(answers({f"arm-{n}": row for n, row in enumerate(rows)}), "real")
    always = [f"arm-{n}" for n, row in enumerate(rows) if set(row) == {HELPS}]
    assert (found is Headline.HELPS) == bool(always)
    if always:
        assert because == tuple(always)


variances = st.builds(Variance, *[st.floats(1e-6, 1e-3)] * 3)


@given(st.floats(-0.05, 0.05), variances, st.floats(1.9, 4))
def test_what_is_needed_settles_it(difference, variance, critical) -> None:
    """With so many more, the interval just leaves out zero or just fits into the region."""

    def settled(patients: float, trainings: float) -> bool:
        total = (
            variance.cases / patients
            + variance.trainings / trainings
            + variance.crossed / (patients * trainings)
        )
        half = critical * np.sqrt(total)
        return verdict(difference - half, difference + half) is not UNKNOWN

    assume(not settled(1, 1))
    found = needed(difference, variance, critical)
    assert found is not None
    more, less = 1 + 1e-6, 1 - 1e-3
    assert settled(more * found.both, more * found.both)
    if found.patients is None:
        assert not settled(1e12, 1)
    else:
        assert settled(more * found.patients, 1)
        assert not settled(less * found.patients, 1)
    if found.trainings is None:
        assert not settled(1, 1e12)
    else:
        assert settled(1, more * found.trainings)
        assert not settled(1, less * found.trainings)


def test_no_variance_needs_nothing() -> None:
    assert needed(0.0, Variance(0, 0, 0), 2.0) is None


def test_80_per_cent_of_estimates_at_the_detectable_difference_are_found() -> None:
    """With a t distributed estimate: (critical + t at 80 %) standard errors, for many df the textbook's 2.80."""
    assert detectable(1.0, stats.norm.isf(0.025), np.inf) == pytest.approx(2.8016, abs=1e-4)
    rng = np.random.default_rng(0)
    shift = detectable(1.0, stats.t.isf(0.025, 12), 12)
    estimates = shift + rng.standard_t(12, 40_000)
    found = np.mean(estimates > stats.t.isf(0.025, 12))
    assert found == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / 40_000))


FULL = Needed(patients=2.34, trainings=5.0, both=2.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (FULL, "About 2.3 times the test patients would tell, or 5 times the trainings."),
        (
            replace(FULL, trainings=None),
            "About 2.3 times the test patients would tell; more trainings alone would not.",
        ),
        (
            replace(FULL, patients=None),
            "About 5 times the trainings would tell; more test patients alone would not.",
        ),
        (
            Needed(None, None, 3.0),
            "About 3 times both the test patients and the trainings would tell; neither alone would.",
        ),
        (
            Needed(1000.0, None, 900.0),
            "The two are too alike for any study of this kind to tell them apart.",
        ),
    ],
)
def test_needs_in_words(found, expected) -> None:
    assert needed_sentence(found) == expected
