"""How fast this machine does what a study is made of: measured for seconds, on made-up images of the study's size."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from healthgan.arms import Materials
from healthgan.estimate import Rates, What, completed
from healthgan.executors import Job, Report, Result, Step, run_jobs
from healthgan.generators.dcgan import Generator
from healthgan.generators.presets import DIFFUSION
from healthgan.generators.unet import UNet
from healthgan.protocol_sound import Sound
from healthgan.timings import EnoughError, Trial, parts_of

LIMIT, END = 20.0, 30.0
"""After so many seconds nothing more is begun, and what is being measured ends with its next stretch; then all ends."""
IMAGES = 256
"""Made-up images of a class, at most."""


@dataclass(frozen=True)
class Machine:
    """What was measured.

    Attributes:
        rates: seconds that one of each thing takes in one of the workers, all of them at work.
        presumed: those of them that there was no time to measure (``estimate.completed``).
        start: seconds until workers can begin.
        weights: bytes of a generator's file.
        seconds: that measuring took.
    """

    rates: Rates
    presumed: tuple[What, ...]
    start: float
    weights: int
    seconds: float


def calibrate(trial: Trial, workers: int) -> Machine:
    """Measure in as many workers at once as the study will have: they share memory and cores as its jobs do.

    Args:
        trial: what to measure.
        workers: processes of one thread each.
    """
    began = time.monotonic()
    jobs = [Job(f"calibration/{number}", "calibration", {}) for number in range(workers)]
    limited = replace(trial, until=began + LIMIT)
    started: dict[str, float] = {}
    found: dict[str, dict[str, float]] = {}

    def note(step: Step) -> None:
        started.setdefault(step.key, time.monotonic() - began)
        found[step.key] = step.facts

    others = set(multiprocessing.active_children())
    with suppress(EnoughError), _at_most(END):  # what was told by then is what is known
        for _ in run_jobs(jobs, set(), measure, limited, workers, note):
            pass
    for worker in set(multiprocessing.active_children()) - others:
        worker.kill()  # the alarm may ring while one is being started, before anyone else knows of it
    wanted = [what for names in parts_of(trial) for what in names]
    each = {what: [rates[what] for rates in found.values() if what in rates] for what in wanted}
    known: dict[What, float] = {what: float(np.mean(rates)) for what, rates in each.items() if rates}
    seconds = time.monotonic() - began
    return Machine(
        rates=completed(known, wanted),
        presumed=tuple(what for what in wanted if what not in known),
        start=max(started.values(), default=seconds),
        weights=_weights(trial),
        seconds=seconds,
    )


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End the block with an EnoughError after so many seconds, where the system has an alarm: not on Windows."""

    def ring(_number: int, _frame: object) -> None:
        raise EnoughError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(trial: Trial, job: Job, report: Report) -> Result:
    """What one worker measures, the most telling first, and reports: one thing at least, others while there is time."""
    torch.set_num_threads(1)
    parts = parts_of(trial)
    report(Step(job.key, 0, len(parts), {}))
    rng = np.random.default_rng(0)
    rare, reference = (
        rng.integers(0, 256, (min(count, IMAGES), *trial.shape), np.uint8) for count in trial.counts
    )
    materials, rates = Materials(rare, reference), dict[What, float]()
    for number, part in enumerate(parts.values(), start=1):
        if not rates or time.monotonic() < trial.until:
            rates |= part(trial, materials, rates)
            report(Step(job.key, number, len(parts), {str(what): rate for what, rate in rates.items()}))
    return {"rates": rates}


def _weights(trial: Trial) -> int:
    """Bytes of one generator; 0 where none is trained."""
    if trial.brought:
        return 0
    height, width, channels = trial.shape
    if isinstance(trial.protocol, Sound):
        settings = DIFFUSION[trial.protocol.generator.preset]
        return _bytes(UNet((height, width), channels, 2, settings.width, torch.Generator()))
    return _bytes(Generator(trial.protocol.generator.preset, height, channels))


def _bytes(network: torch.nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())
