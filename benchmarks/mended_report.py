"""What the trainings of ``mended.py`` come to, as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from healthgan.statistics import Estimate
from healthgan.task import Task
from mended_arms import Study
from mended_figures import CONTROLS, RUNGS, Figures, Measured, Results, Truth


def truth(task: Task) -> Truth:
    """Labels and patients of the balanced test set."""
    return Truth(task.test_labels, np.concatenate([members.patient for members in task.balanced("test")]))


def words(study: Study, epochs: int, results: Results) -> str:
    """How many of what, for the report."""
    task, control = study.published, study.control
    rares, _ = task.balanced("train")
    val, _ = task.balanced("val")
    tests = {name: (len(one.labels), len(np.unique(one.units))) for name, one in results.tests.items()}
    lost = {split: sum(counts.values()) for split, counts in study.lost.items() if sum(counts.values())}
    apart = (
        f"{lost} left the splits for being of an earlier one's patients or pictures"
        if lost
        else "none shared"
    )
    return (
        f"{task.source}: {len(rares)} / {len(val)} images of {task.rare} in training / validation, as many of "
        f"{task.reference}; balanced test set of {tests['main'][0]} images of {tests['main'][1]} patients; patients "
        f"or pictures in two splits: {apart}. One GAN a class, {epochs} epochs. Steps a fold where they are equal: "
        f"{study.steps}. Control: {control.source}, its own reference images only, "
        f"{len(control.balanced('train')[0])} / {len(control.balanced('val')[0])} of a class, "
        f"{tests['control'][0]} test images."
    )


def points(measured: Measured) -> str:
    """A share or a difference of shares in points, with its interval."""
    return _shown(measured.times(100).estimate(), 1, sign=True)


def share(measured: Measured) -> str:
    """A share in per cent, with its interval."""
    return _shown(measured.times(100).estimate(), 1, sign=False)


def area(measured: Measured, *, sign: bool = False) -> str:
    """An AUROC, or a difference of AUROCs, with its interval."""
    return _shown(measured.estimate(), 3, sign=sign)


def _shown(found: Estimate, digits: int, *, sign: bool) -> str:
    style = f"{'+' if sign else ''}.{digits}f"
    value, low, high = (format(number, style) for number in (found.value, found.low, found.high))
    return value if found.low == found.high else f"{value} ({low} to {high})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def report(results: Results, facts: Mapping[str, Any]) -> str:
    """The whole report, as far as the trainings go."""
    parts = [_sets(facts)]
    if results.seeds and results.floors:
        parts += [_worth(results), _rungs(results), _single_runs(results)]
    else:
        parts.append("No seed has all trainings with generated images yet.")
        parts += [_reals(results)] if results.real_seeds else []
    if results.control_seeds:
        parts.append(_suspicion(results))
    return "\n\n".join(parts) + "\n"


def _sets(facts: Mapping[str, Any]) -> str:
    if not facts["accepted"]:
        return f"**Sets.** {facts['words']} No GAN is trained yet."
    head = (
        "floor",
        *(f"accepted {name}" for name in facts["accepted"]),
        "of each class where both are synthetic",
    )
    rows = [
        (f"{floor:.2f}", *counts, min(counts))
        for floor, *counts in zip(facts["floors"], *facts["accepted"].values(), strict=True)
    ]
    return f"**Sets.** {facts['words']}\n\n" + table(head, rows)


def _worth(results: Results) -> str:
    """What mending each fault changes."""
    parts = []
    named = [("mean over the floors", results.floors)]
    if len(results.floors) > 1:
        named.append((f"floor {results.floors[0]:.2f}, the most images", results.floors[:1]))
    for words, floors in named:
        ladder = results.ladder(floors)
        steps = [(f"{r}. {RUNGS[r].title}", ladder[r - 1], ladder[r]) for r in range(1, len(ladder))]
        rows = [
            (title, *_change(before, after))
            for title, before, after in [*steps, ("all of them", ladder[0], ladder[-1])]
        ]
        head = (
            "mended",
            "validation, generated",
            "validation, real",
            "validation − test, generated",
            "test, generated − real",
            "AUROC, generated − real",
        )
        parts.append(
            f"**What each fault was worth**, {words}: the change that mending it makes, in points of accuracy "
            f"and in AUROC ({len(results.seeds)} seeds; 95 % intervals over seeds and patients).\n\n"
            + table(head, rows)
        )
    return "\n\n".join(parts)


def _change(before: tuple[Figures, Figures], after: tuple[Figures, Figures]) -> tuple[str, ...]:
    (old_real, old), (new_real, new) = before, after
    return (
        points(new.validation - old.validation),
        points(new_real.validation - old_real.validation),
        points(new.inflation - old.inflation),
        points((new.accuracy - new_real.accuracy) - (old.accuracy - old_real.accuracy)),
        area((new.auroc - new_real.auroc) - (old.auroc - old_real.auroc), sign=True),
    )


def _rungs(results: Results) -> str:
    """Every arm's figures in every rung."""
    rows = []
    for rung, asked in enumerate(RUNGS):
        real = results.figures("real", 0.0, rung, results.seeds)
        name = f"{rung}. {asked.title}"
        rows.append((name, "real", *_figures(real), "", ""))
        for floor in results.floors:
            made = results.figures("generated", floor, rung, results.seeds)
            gain = points(made.accuracy - real.accuracy), area(made.auroc - real.auroc, sign=True)
            rows.append(("", f"{floor:.2f}", *_figures(made), *gain))
    head = (
        "rung",
        "arm",
        "validation %",
        "test %",
        "AUROC",
        "validation − test",
        "test − real",
        "AUROC − real",
    )
    return "**Every rung**, mean over seeds.\n\n" + table(head, rows)


def _reals(results: Results) -> str:
    """Real images alone, while there are no generated ones."""
    seeds = results.real_seeds
    found = [results.figures("real", 0.0, rung, seeds) for rung in range(len(RUNGS))]
    rows = [
        (
            f"{rung}. {RUNGS[rung].title}",
            *_figures(figures),
            f"{100 * figures.accuracy.values.min():.1f} to {100 * figures.accuracy.values.max():.1f}",
            points(figures.validation - found[max(rung - 1, 0)].validation) if rung else "",
        )
        for rung, figures in enumerate(found)
    ]
    head = (
        "rung",
        "validation %",
        "test %",
        "AUROC",
        "validation − test",
        "one run: test %",
        "validation − before",
    )
    return f"**Real images alone** ({len(seeds)} seeds; 95 % intervals over seeds and patients).\n\n" + table(
        head, rows
    )


def _figures(found: Figures) -> tuple[str, ...]:
    return share(found.validation), share(found.accuracy), area(found.auroc), points(found.inflation)


def _single_runs(results: Results) -> str:
    """What one training of each arm, as published, would have shown."""
    rows = []
    for rung, asked in enumerate(RUNGS):
        real = results.figures("real", 0.0, rung, results.seeds)
        for floor in results.floors:
            made = results.figures("generated", floor, rung, results.seeds)
            accuracy, auroc = (made.accuracy - real.accuracy).values, (made.auroc - real.auroc).values
            rows.append(
                (
                    f"{rung}. {asked.title}" if floor == results.floors[0] else "",
                    f"{floor:.2f}",
                    f"{100 * accuracy.min():+.1f} to {100 * accuracy.max():+.1f}",
                    f"{auroc.min():+.3f} to {auroc.max():+.3f}",
                    points(made.accuracy - real.accuracy),
                )
            )
    head = ("rung", "floor", "one run: test − real", "one run: AUROC − real", "mean over seeds: test − real")
    words = "6. **Several seeds**: the range of what a single run of either arm would have shown."
    return f"{words}\n\n" + table(head, rows)


def _suspicion(results: Results) -> str:
    """Is it the number of images or the task?"""
    last, seeds = len(RUNGS) - 1, results.control_seeds
    found = {arm: results.figures(arm, 0.0, last, seeds) for arm in ("real", *CONTROLS)}
    rows = [
        ("rare class" if arm == "real" else CONTROLS[arm], *_figures(figures)[:3])
        for arm, figures in found.items()
    ]
    small = found["control-small"]
    compared = (
        ("the number of images: control, all − shrunk, the same steps", found["control-steps"], small),
        (
            "and its steps: control, published epochs − the same steps",
            found["control-full"],
            found["control-steps"],
        ),
        ("the task at the same n and steps: shrunk control − rare class", small, found["real"]),
    )
    gains = [
        (words, points(one.accuracy - other.accuracy), area(one.auroc - other.auroc, sign=True))
        for words, one, other in compared
    ]
    return (
        f"**Is it the small n or the task?** Real images only, mended as in rung {last} ({len(seeds)} seeds).\n\n"
        + table(("trained on", "validation %", "test %", "AUROC"), rows)
        + "\n\n"
        + table(("what differs", "test accuracy, points", "AUROC"), gains)
    )
