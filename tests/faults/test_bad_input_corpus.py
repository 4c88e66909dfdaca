"""Every bad input: exit 2, one message that names it and says what to do, nothing written, little memory taken."""

import re

import pytest
from bad_input_table import DOCUMENT, row, table, tried, warm_up
from cases import ROOM, Case, Outcome, faults_of, run_command
from corpus import CASES
from odd_but_right import CASES as RIGHT

_rows: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    warm_up()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_input_is_told_well(case: Case) -> None:
    outcome = tried(case)
    _rows[case.name] = row(case, outcome)
    assert faults_of(case, outcome) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_odd_but_right_is_read(name, tmp_path) -> None:
    make, command, says = RIGHT[name]
    make(tmp_path)
    outcome = run_command(command, tmp_path)
    assert (outcome.code, outcome.err, outcome.written) == (0, "", ())
    assert says in outcome.out
    assert outcome.taken <= ROOM


@pytest.mark.slow
def test_the_page_says_what_the_program_says() -> None:
    if len(_rows) < len(CASES):
        pytest.skip(f"needs all {len(CASES)} cases to have run in this process; {len(_rows)} have")
    assert DOCUMENT.read_text("utf-8") == table([_rows[case.name] for case in CASES])


def test_there_are_enough_and_each_has_a_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 100


CASE = Case("x", lambda _: None, ("data",), "bad", "a.npz")
WELL = Outcome(2, "", "Error: 'a.npz' is bad. Remove it.\n", 0, ())


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"code": 1}, "exit code 1"),
        ({"out": "x"}, "stdout has"),
        ({"err": "Error: 'a.npz' is bad. Remove it.\nmore\n"}, "not one message"),
        ({"err": "Error: 'b.npz' is bad. Remove it.\n"}, "does not name"),
        ({"err": "Error: 'a.npz' is odd. Remove it.\n"}, "does not say"),
        ({"err": "Error: 'a.npz' is bad.\n"}, "no remedy"),
        ({"err": f"Error: 'a.npz' is bad {'x' * 1000}. Remove it.\n"}, "characters"),
        ({"written": ("a",)}, "written"),
        ({"taken": ROOM + 1}, "MiB taken"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_would_be_seen(changes, fault) -> None:
    assert faults_of(CASE, WELL) == []
    found = faults_of(CASE, Outcome(**{**vars(WELL), **changes}))
    assert re.search(fault, found[0])
