"""How long the rest takes, where jobs differ in cost: from what was measured, as soon as something was."""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence

from healthgan.executors import Job, Step


class Course:
    """One thing under way, heard of from time to time.

    Args:
        done: how far it is when it is first heard of; what went on from a checkpoint doesn't begin at 0.
        total: how far it goes; 0 where that is not known.
        now: in seconds, by a clock that only ever advances.
    """

    def __init__(self, done: float, total: float, now: float) -> None:
        self.first, self.done, self.total = done, done, total
        self.since = self.at = now

    def advance(self, done: float, total: float, now: float) -> None:
        """It is so far now; where that is less than before, something new has begun."""
        if done < self.done:
            self.first, self.since = done, now
        self.done, self.total, self.at = done, total, now

    @property
    def share(self) -> float:
        """How much is done, 0 to 1; 0 where the total is not known."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def measured(self) -> float:
        """How much of it was seen to be done, 0 to 1."""
        return (self.done - self.first) / self.total if self.total else 0.0

    @property
    def rate(self) -> float | None:
        """Units a second; None before anything was seen to advance."""
        seconds = self.at - self.since
        return (self.done - self.first) / seconds if self.done > self.first and seconds > 0 else None

    def left(self, now: float, otherwise: float | None = None) -> float | None:
        """Seconds it still needs, by its own speed, else of ``otherwise`` seconds in all; None where neither is known."""
        if not self.total:
            return None
        whole = otherwise if self.rate is None else self.total / self.rate
        return None if whole is None else max(whole * (1 - self.share) - (now - self.at), 0.0)


class Pace:
    """Knows of each job what it should take, and learns from the finished and the running ones how wrong that is.

    Each kind of job has a factor: seconds measured over seconds expected. A kind that nothing is known of yet gets
    that of all kinds together.

    Args:
        jobs: all of a study, in the order in which they start.
        expected: key → seconds that the job should take; only their ratios matter once something was measured.
        workers: jobs at a time, at least; more where more are seen to run.
        together: a kind whose jobs are done in one go.
    """

    def __init__(
        self, jobs: Sequence[Job], expected: Mapping[str, float], workers: int, together: str | None = None
    ) -> None:
        self._jobs = tuple(jobs)
        self._kind = {job.key: job.kind for job in jobs}
        self._expected = {job.key: max(expected.get(job.key, 1.0), 1e-6) for job in jobs}
        self._workers, self._together = workers, together
        self._ended: dict[str, float] = {}
        self.courses: dict[str, Course] = {}

    def step(self, step: Step, now: float) -> Course | None:
        """A job has advanced; None if it is none of these, or has ended."""
        if step.key not in self._kind or step.key in self._ended:
            return None
        if step.key in self.courses:
            self.courses[step.key].advance(step.done, step.total, now)
        return self.courses.setdefault(step.key, Course(step.done, step.total, now))

    def finished(self, key: str, seconds: float) -> None:
        """A job has ended, now or in an earlier start of the study, after so many seconds."""
        self.courses.pop(key, None)
        if key in self._kind:
            self._ended[key] = seconds

    @property
    def done(self) -> int:
        """Jobs that have ended."""
        return len(self._ended)

    @property
    def share(self) -> float:
        """Of all work, how much is done: 0 to 1, jobs weighed by what they should take."""
        factors = self._factors()
        weight = {key: value * factors[self._kind[key]] for key, value in self._expected.items()}
        done = sum(weight[key] for key in self._ended)
        done += sum(weight[key] * course.share for key, course in self._alone())
        return done / sum(weight.values()) if weight else 1.0

    def left(self, now: float) -> float | None:
        """Seconds until the last job ends; None where nothing was measured yet."""
        if not self._ended and not any(course.rate for course in self.courses.values()):
            return None
        factors = self._factors()
        rest = [job for job in self._jobs if job.key not in self._ended]
        seconds = {job.key: self._expected[job.key] * factors[job.kind] for job in rest}
        under_way = {key: course.left(now, seconds[key]) or 0.0 for key, course in self._alone()}
        return until_end(rest, seconds, max(self._workers, len(under_way)), self._together, under_way)

    def _alone(self) -> list[tuple[str, Course]]:
        """What is under way by itself."""
        return [(key, course) for key, course in self.courses.items() if self._kind[key] != self._together]

    def _factors(self) -> dict[str, float]:
        took: dict[str, float] = defaultdict(float)
        expected: dict[str, float] = defaultdict(float)
        for key, seconds in self._ended.items():
            took[self._kind[key]] += seconds
            expected[self._kind[key]] += self._expected[key]
        for key, course in self._alone():
            if course.rate is not None:
                took[self._kind[key]] += course.at - course.since
                expected[self._kind[key]] += self._expected[key] * course.measured
        overall = sum(took.values()) / sum(expected.values()) if took else 1.0
        kinds = set(self._kind.values())
        return {kind: took[kind] / expected[kind] if kind in took else overall for kind in kinds}


def until_end(
    jobs: Sequence[Job],
    seconds: Mapping[str, float],
    workers: int,
    together: str | None = None,
    under_way: Mapping[str, float] | None = None,
) -> float:
    """As ``makespan``; jobs of the kind ``together`` are done in one go after all others."""
    alone = [job for job in jobs if job.kind != together]
    lot = sum(seconds[job.key] for job in jobs if job.kind == together)
    return makespan(alone, seconds, workers, under_way) + lot


def makespan(
    jobs: Sequence[Job],
    seconds: Mapping[str, float],
    workers: int,
    under_way: Mapping[str, float] | None = None,
) -> float:
    """Seconds until all jobs have ended, started in their order as workers get free and their needs are met.

    Args:
        jobs: all that have not ended, the running ones among them; what they need beside these has ended.
        seconds: key → what each takes.
        workers: jobs at a time.
        under_way: key → seconds that a running job still needs.
    """
    here = {job.key for job in jobs}
    missing = {job.key: here.intersection(job.needs) for job in jobs}
    waiting: dict[str, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for need in missing[job.key]:
            waiting[need].append(number)
    busy = [(left, key) for key, left in (under_way or {}).items()]
    heapq.heapify(busy)
    running = {key for _, key in busy}
    free = [number for number, job in enumerate(jobs) if not missing[job.key] and job.key not in running]
    now = 0.0
    while free or busy:
        while free and len(busy) < workers:
            key = jobs[heapq.heappop(free)].key
            heapq.heappush(busy, (now + seconds[key], key))
        now, ended = heapq.heappop(busy)
        for number in waiting[ended]:
            missing[jobs[number].key].discard(ended)
            if not missing[jobs[number].key]:
                heapq.heappush(free, number)
    return now
