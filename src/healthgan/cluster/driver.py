"""Hand the jobs of a study to a cluster and write what comes back into its run folder."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from healthgan.cluster.node import (
    Alive,
    Ended,
    Given,
    HasFolder,
    Kept,
    checkpoints_in,
    do_on_node,
    get_bytes,
    put_bytes,
    versions,
)
from healthgan.cluster.pace import Pace
from healthgan.executors import (
    LOSSES,
    SILENT,
    Job,
    Report,
    Result,
    Step,
    Together,
    Work,
    ready,
    whole,
    with_far_needs,
)
from healthgan.files import sha256
from healthgan.run import RunFolder

SHARED_GPU = 0.25
"""What a job takes of a GPU that it does not need for itself."""


class LostError(RuntimeError):
    """A job can't be done on this cluster."""


@dataclass(frozen=True)
class GpuNeeds:
    """What jobs take, beside one processor each.

    Attributes:
        any: whether jobs compute on a GPU at all.
        whole: kinds of jobs that take a GPU for themselves; the others share one, four at a time.
    """

    any: bool = False
    whole: frozenset[str] = frozenset()

    def of(self, kind: str) -> float:
        """GPUs of a job of this kind."""
        return 0.0 if not self.any else 1.0 if kind in self.whole else SHARED_GPU


@dataclass
class _Going:
    """Jobs that were handed out, and what they say."""

    jobs: list[Job]
    words: Any
    lost: int = 0
    checkpoints: set[str] = field(default_factory=set)
    heard: float | None = None
    """By ``time.monotonic``; None while they wait for a place."""


def run_on_cluster(
    jobs: list[Job],
    done: set[str],
    work: "Work[Any]",
    context: HasFolder,
    report: Report,
    workers: int | None = None,
    together: "Together[Any] | None" = None,
    gpus: GpuNeeds = GpuNeeds(),
    outside: tuple[Path, ...] = (),
    notice: Callable[[str], None] = lambda _: None,
    silent: float = SILENT,
) -> Iterator[Result]:
    """Run the jobs that are not done on the cluster that this process is part of (``connection.connected``).

    Jobs start in the order of the list as far as there is room. Records come as jobs end, and their artefacts are in the
    run folder by then. A job whose worker or node is lost is done again elsewhere, from its last checkpoint. A job that
    fails ends the whole, as in ``executors.run_jobs``; however this ends, no job is left running.

    Args:
        jobs: all of them.
        done: keys of jobs that are finished already.
        work: a function of a module, which all nodes have.
        context: a dataclass; it lies once in the memory of each node. Its run folder is replaced there.
        report: called in this process as running jobs report steps.
        workers: jobs at once; None for as many as the cluster has room for.
        together: which jobs are done in one go, and by what.
        gpus: what jobs take of them.
        outside: files of the user's that jobs read.
        notice: called with what the user should know of the cluster.
        silent: seconds without a sign of life after which a job at work counts as lost.

    Raises:
        LostError: a job was lost ``executors.LOSSES`` times without a checkpoint in between.
    """
    waiting = [job for job in with_far_needs(jobs) if job.key not in done]
    if not waiting:
        return
    driver = _Driver(work, context, together, gpus, outside, notice, silent)
    finished, going = set(done), driver.going
    try:
        while waiting or going:
            room = len(waiting) if workers is None else workers - len(going)
            for some in ready(waiting, finished, [lot.jobs for lot in going], together)[:room]:
                waiting = [job for job in waiting if job not in some]
                driver.hand_out(some)
            for lot, word in driver.heard():
                if isinstance(word, Step):
                    report(word)
                elif isinstance(word, Kept):
                    driver.keep(lot, word)
                elif driver.take(lot, word):
                    finished |= {job.key for job in lot.jobs}
                    yield from whole(word.results)
            driver.pace.tell()
        notice(driver.pace.summary())
    finally:
        driver.cancel()


class _Driver:
    """What is going on in the cluster."""

    def __init__(
        self,
        work: "Work[Any]",
        context: HasFolder,
        together: "Together[Any] | None",
        gpus: GpuNeeds,
        outside: tuple[Path, ...],
        notice: Callable[[str], None],
        silent: float,
    ) -> None:
        import ray

        self.going: list[_Going] = []
        self._ray = ray
        self._folder: RunFolder = context.folder
        self._together, self._gpus, self._notice, self._silent = together, gpus, notice, silent
        self._task = ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")(do_on_node)
        many = None if together is None else together.work
        elsewhere: Any = replace(
            cast("Any", context), folder=RunFolder(Path())
        )  # each node puts its own in its place
        self._given = ray.put(Given(work, many, elsewhere, versions()))
        self._files = {record["key"]: list(record.get("artifacts", {})) for record in self._folder.records()}
        self._held: dict[str, Any] = {str(path): ray.put(get_bytes(path)) for path in outside}
        self._outside = tuple(self._held)
        self._unfinished = set(_checkpoints(self._folder))
        self.pace = Pace(ray, notice)

    def hand_out(self, jobs: list[Job], lost: int = 0, checkpoints: frozenset[str] = frozenset()) -> None:
        """Give jobs to the cluster, with the artefacts of all that they rest on and the checkpoints they may go on from."""
        names = {name for job in jobs for key in job.needs for name in self._files.get(key, ())}
        held = {name: self._hold(name) for name in sorted(names)}
        held |= {name: self._hold(name) for name in sorted(checkpoints or self._unfinished)}
        held |= {name: self._held[name] for name in self._outside}
        kind = jobs[0].kind
        joined = self._together is not None and kind in self._together.kinds
        words = self._task.options(num_gpus=self._gpus.of(kind), name=jobs[0].key).remote(
            self._given.hex(), [self._given], jobs, held, joined, self._silent / 20
        )
        self.going.append(_Going(jobs, words, lost, set(checkpoints)))

    def heard(self) -> Iterator[tuple[_Going, Step | Kept | Ended]]:
        """What running jobs have said since; waits a little for the first word. Lost jobs are handed out again."""
        ray, by_words = self._ray, {id(lot.words): lot for lot in self.going}
        handles = [lot.words for lot in self.going]
        spoke, _ = ray.wait(handles, num_returns=1, timeout=1.0)
        if spoke:
            spoke, _ = ray.wait(handles, num_returns=len(handles), timeout=0)
        for words in spoke:
            lot = by_words[id(words)]
            try:
                word = ray.get(next(words))
                lot.heard = time.monotonic()
                if not isinstance(word, Alive):
                    yield lot, word
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except (StopIteration, ray.exceptions.RayError) as error:
                self._lose(lot, error)
        for lot in list(self.going):
            if lot.heard is not None and time.monotonic() - lot.heard > self._silent:
                ray.cancel(lot.words, force=True)
                self._lose(lot, TimeoutError("it gave no sign of life"))

    def _lose(self, lot: _Going, error: Exception) -> None:
        key, lost = lot.jobs[0].key, lot.lost + 1
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if lost == LOSSES:
            raise LostError(
                f"The job {key} was lost {LOSSES} times, the last time because: {reason} Its workers may run out of memory; "
                "give nodes more, or fewer processors. The same command goes on."
            )
        self._notice(f"{key} was lost ({type(error).__name__}) and is done again")
        self.going.remove(lot)
        self.hand_out(lot.jobs, lost, frozenset(lot.checkpoints))

    def keep(self, lot: _Going, word: Kept) -> None:
        """Write the checkpoints of a running job into the run folder."""
        for name, content in word.files.items():
            put_bytes(self._folder.artifact(name), content)
            self._held.pop(name, None)
        lot.checkpoints |= set(word.files)
        lot.lost = 0

    def take(self, lot: _Going, word: Ended) -> bool:
        """Write the artefacts of ended jobs into the run folder; False where they came damaged and are to be made again."""
        digests = {
            name: digest
            for result in word.results
            if isinstance(result, dict)
            for name, digest in result["artifacts"].items()
        }
        for name, content in word.files.items():
            put_bytes(self._folder.artifact(name), content)
        if any(sha256(self._folder.artifact(name)) != digest for name, digest in digests.items()):
            self._lose(lot, RuntimeError("its files came damaged"))
            return False
        for name in lot.checkpoints | (self._unfinished & word.fetched):
            self._folder.artifact(name).unlink(missing_ok=True)
        self._unfinished -= word.fetched
        for result in word.results:
            if isinstance(result, dict):
                self._files[result["key"]] = list(result["artifacts"])
        self.going.remove(lot)
        self.pace.ended(word.node, len(lot.jobs))
        return True

    def cancel(self) -> None:
        """Leave no job running."""
        for lot in self.going:
            self._ray.cancel(lot.words, force=True)

    def _hold(self, name: str) -> Any:  # noqa: ANN401 # a reference
        """A file of the run folder in Ray's store."""
        if name not in self._held:
            self._held[name] = self._ray.put(get_bytes(self._folder.artifact(name)))
        return self._held[name]


def _checkpoints(folder: RunFolder) -> Iterator[str]:
    root = folder.artifact("")
    return (path.relative_to(root).as_posix() for path in checkpoints_in(root))
