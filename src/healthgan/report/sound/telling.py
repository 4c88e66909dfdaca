"""The few arms that matter to the verdict, and their curves."""

from healthgan.report.curves import Telling, mean_curves
from healthgan.report.sound.reading import SoundRun
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair


def hardest(found: Comparison, arm: str) -> Pair:
    """An arm against the reference arm that it is least sure to be better than.

    A reference arm whose trainings are unsteady is taken only where there is no other: its wide interval says
    nothing about the arm.
    """
    pairs = [pair for pair in found.pairs if pair.arm == arm]
    steady = [pair for pair in pairs if not found.arm(pair.reference).auroc.unsteady]
    return min(steady or pairs, key=lambda pair: pair.low)


def nearest(found: Comparison) -> Pair | None:
    """The synthetic arm that comes nearest to being better than every reference arm, against its hardest one."""
    arms = [arm.name for arm in found.arms if arm.kind == "synthetic"]
    worst = [hardest(found, arm) for arm in arms]
    return max(worst, key=lambda pair: pair.low, default=None)


def telling_names(found: Comparison) -> list[str]:
    """Real images alone; the nearest synthetic arm and its hardest reference arm; the oracle, where there is one."""
    pair = nearest(found)
    names = [found.real, *(() if pair is None else (pair.reference, pair.arm))]
    names += [arm.name for arm in found.arms if arm.name == "oracle"]
    return list(dict.fromkeys(names))


def telling(run: SoundRun, found: Comparison) -> list[Telling]:
    """The curves of these arms over all cells of the comparison."""
    return [_curves(run, found, name) for name in telling_names(found)]


def _curves(run: SoundRun, found: Comparison, name: str) -> Telling:
    judged = (
        (run.tested(cell).label, scores) for cell in run.main_cells for scores in run.arm(cell, name).scores
    )
    arm = found.arm(name)
    return Telling(name, arm.kind, *mean_curves(judged), arm.reliability)
