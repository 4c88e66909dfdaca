"""The time that is left of a study: exact where jobs take what they did before, whatever their kinds cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.executors import Job, Step
from healthgan.pace import Course, Pace, makespan, until_end


def job(key: str, *needs: str, kind: str = "fit") -> Job:
    return Job(key, kind, {}, needs)


def test_makespan_of_one_worker_is_the_sum_and_of_many_the_longest_chain() -> None:
    jobs = [job("g"), job("p", "g"), job("a"), job("b", "p")]
    seconds = {"g": 100.0, "p": 5.0, "a": 3.0, "b": 1.0}
    assert makespan(jobs, seconds, 1) == 109
    assert makespan(jobs, seconds, 4) == 106


def test_makespan_starts_jobs_in_their_order_as_workers_get_free() -> None:
    """Two workers: a and b at once, c when b ends, so 4 + 3 and not 4 + 4."""
    seconds = {"a": 6.0, "b": 4.0, "c": 3.0}
    assert makespan([job("a"), job("b"), job("c")], seconds, 2) == 7


def test_makespan_counts_only_what_a_running_job_still_needs() -> None:
    jobs = [job("a"), job("b", "a")]
    assert makespan(jobs, {"a": 10.0, "b": 5.0}, 2, {"a": 4.0}) == 9


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.integers(1, 5))
def test_makespan_lies_between_the_two_bounds_of_list_scheduling(times: list[float], workers: int) -> None:
    """Graham, Bell System Technical Journal 45 (1966): no more than work/m + (1 − 1/m) of the longest."""
    jobs = [job(str(number)) for number in range(len(times))]
    found = makespan(jobs, {str(number): time for number, time in enumerate(times)}, workers)
    whole, longest = sum(times), max(times)
    assert found >= max(whole / workers, longest) - 1e-9
    assert found <= whole / workers + (1 - 1 / workers) * longest + 1e-9


def test_jobs_done_together_come_after_the_others() -> None:
    jobs = [job("g", kind="generator"), job("f1", "g"), job("f2")]
    assert until_end(jobs, {"g": 10.0, "f1": 2.0, "f2": 3.0}, 4, together="fit") == 15


def two_kinds() -> tuple[list[Job], dict[str, float]]:
    """Two generators of 100 s and twenty classifiers of 1 s, by what they should take."""
    generators = [job(f"g{number}", kind="generator") for number in range(2)]
    fits = [job(f"f{number}", f"g{number % 2}") for number in range(20)]
    return [*generators, *fits], {g.key: 100.0 for g in generators} | {f.key: 1.0 for f in fits}


def test_before_anything_is_measured_nothing_is_said() -> None:
    pace = Pace(*two_kinds(), workers=1)
    assert pace.left(0) is None
    pace.step(Step("g0", 0, 50, {}), 0)
    assert pace.left(1) is None


def test_a_running_job_tells_how_far_the_expectation_is_off() -> None:
    """Half of the first generator took 100 s, not 50: everything is taken to need twice its time."""
    pace = Pace(*two_kinds(), workers=1)
    pace.step(Step("g0", 0, 50, {}), 0)
    pace.step(Step("g0", 25, 50, {}), 100)
    assert pace.left(100) == pytest.approx(100 + 200 + 2 * 20)
    assert pace.left(110) == pytest.approx(90 + 200 + 2 * 20), "time passes between two steps"
    assert pace.share == pytest.approx(50 / 220)


def test_kinds_are_measured_apart() -> None:
    """Generators take half of what was expected, classifiers three times as much."""
    pace = Pace(*two_kinds(), workers=1)
    pace.finished("g0", 50)
    pace.finished("f0", 3)
    assert pace.left(0) == pytest.approx(50 + 3 * 19)
    assert pace.share == pytest.approx(53 / 160)


def test_what_goes_on_from_a_checkpoint_is_not_taken_for_fast() -> None:
    """It was at 40 of 50 when it was first heard of, and made 5 more in 50 s."""
    pace = Pace([job("g0", kind="generator")], {"g0": 100.0}, workers=1)
    pace.step(Step("g0", 40, 50, {}), 0)
    pace.step(Step("g0", 45, 50, {}), 50)
    assert pace.left(50) == pytest.approx(50)


def test_a_study_that_is_done_needs_nothing() -> None:
    jobs, expected = two_kinds()
    pace = Pace(jobs, expected, workers=3)
    for one in jobs:
        pace.finished(one.key, 1.0)
    assert (pace.left(0), pace.share, pace.done) == (0, 1, len(jobs))


def test_jobs_of_another_study_are_not_counted() -> None:
    pace = Pace([job("a")], {"a": 1.0}, workers=1)
    pace.finished("task", 0.0)
    assert pace.step(Step("other", 1, 2, {}), 0) is None
    assert (pace.done, pace.left(0)) == (0, None)


def test_a_course_that_begins_anew_forgets_its_speed() -> None:
    course = Course(0, 100, now=0)
    course.advance(100, 100, now=10)
    assert course.rate == 10
    course.advance(5, 100, now=11)
    assert course.rate is None
    course.advance(10, 100, now=12)
    assert course.left(now=12) == pytest.approx(18)


def test_a_course_without_a_total_has_no_end() -> None:
    course = Course(0, 0, now=0)
    assert course.left(now=5) is None
    assert course.share == 0
