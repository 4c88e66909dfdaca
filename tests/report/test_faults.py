"""A fault stands beside its figure if, and only if, the run has it."""

from pathlib import Path

import pytest
from fake_run import paper, write_run

from healthgan.report.faults import Fault, find_faults
from healthgan.report.reading import read_run

ALWAYS = {"likeness_prefers_copies", "synthetic_in_one_class", "one_training", "no_other_remedy"}
"""What the study does whatever its settings."""

BY_SETTING = {
    "first_references": {"data": {"balance": "random"}},
    "folds_leak": {"folds": {"reset_between_folds": True}},
    "synthetic_in_validation": {"folds": {"synthetic_in_validation": False}},
    "patients_across_folds": {"folds": {"keep_patients_together": True}},
    "control_topped_up": {"control": {"top_up": False}},
    "control_larger": {"control": None},
    "test_set_reused": {"likeness": {"floors": (0.80,)}},
}
"""Fault → settings that turn it right."""


def faults(path: Path, **options: object) -> dict[str, Fault]:
    found = find_faults(read_run(write_run(path / "run", **options).path))
    assert len({fault.key for fault in found}) == len(found)
    return {fault.key: fault for fault in found}


def test_the_paper_protocol_has_them_all(tmp_path) -> None:
    found = faults(tmp_path)
    assert found.keys() == {*ALWAYS, *BY_SETTING, "unequal_epochs", "unequal_steps"}
    assert all(fault.place in {f"figure-{n}" for n in range(1, 8)} for fault in found.values())


@pytest.mark.parametrize("key", BY_SETTING)
def test_a_setting_turned_right_is_not_listed(key, tmp_path) -> None:
    found = faults(tmp_path, protocol=paper(**BY_SETTING[key]))
    assert key not in found
    assert found.keys() >= ALWAYS


def test_equal_epochs_are_no_fault(tmp_path) -> None:
    """With up to 30 kept images the fixture trains both arms for 40 epochs, on sets up to 1.75 times as large."""
    found = faults(tmp_path, protocol=paper(likeness={"floors": (0.84, 0.86)}))
    assert "unequal_epochs" not in found
    assert "1.8 times" in found["unequal_steps"].text
    found = faults(tmp_path / "small", protocol=paper(likeness={"floors": (0.86, 0.88)}))
    assert "unequal_steps" not in found


def test_counts_come_from_the_records(tmp_path) -> None:
    found = faults(tmp_path, shared=8)
    assert found["duplicates"].place == "figure-1"
    assert "8 of validation also in training" in found["duplicates"].text
    assert "50 in training, 8 in validation, 10 in test" in found["control_topped_up"].text
    assert found["control_larger"].title == "The control has 2.5 times as many images"
    assert "40 rare training images are of 25 patients" in found["patients_across_folds"].text


def test_unknown_patients_are_told(tmp_path) -> None:
    found = faults(tmp_path, patients_known=False)
    assert found["patients_unknown"].place == "figure-1"
    assert "are of" not in found["patients_across_folds"].text


def test_nothing_of_the_records_before_there_are_any(tmp_path) -> None:
    found = faults(tmp_path, keep=lambda _: False)
    assert found.keys() == {
        *ALWAYS,
        *("first_references", "folds_leak", "synthetic_in_validation", "test_set_reused"),
    }
