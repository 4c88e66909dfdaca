"""What a reader of a sound study should know before believing it, the gravest first."""

from collections.abc import Iterator
from dataclasses import dataclass

from healthgan.report import brought
from healthgan.report.sound.comparison import Answers
from healthgan.report.sound.reading import SoundRun
from healthgan.statistics.words import few_splits_sentence, no_curve_sentence
from healthgan.terminal import plain

ANSWER_STEPS = 2000
"""Of a classifier, as protocol ``sound`` has them; below, a study is for looking."""

FEW_GENERATORS = 5
"""Trainings of the generator below which their spread is hardly known."""

PLACES = ("arms", "curve", "pools", "external")
"""Sections of the page beside which cautions stand."""

SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Caution:
    """One thing to keep in mind.

    Attributes:
        title: in a few words.
        text: what it means.
        place: the section of the page that it stands beside.
    """

    title: str
    text: str
    place: str = "arms"


def cautions(run: SoundRun, answers: Answers) -> list[Caution]:
    """All of a run."""
    return [
        *_brought(run),
        *_sets(run),
        *_other_sources(run),
        *_left_out(run),
        *_short(run),
        *_folds(run),
        *_few_splits(answers),
        *_unsteady(answers),
        *_power(run, answers),
        *_pools(run),
        *_generators(run),
        *_external(run),
    ]


def _brought(run: SoundRun) -> Iterator[Caution]:
    for text in brought.warnings(run):
        yield Caution("The synthetic images that were brought are in doubt", text)


def _sets(run: SoundRun) -> Iterator[Caution]:
    if run.task is None:
        return
    facts = run.task["main"]
    if not facts["patients_known"]:
        yield Caution(
            "The source does not tell its patients",
            "Every image counts as a patient of its own: images of one person may stand in training and test, and true "
            "intervals may be wider.",
        )
    moved = {
        split: lost for split, lost in run.task["removed"].items() if lost["patient"] or lost["duplicate"]
    }
    if moved:
        parts = [
            f"{SPLITS[split]}: {_count(lost['patient'], 'image')} of patients of an earlier split, {_count(lost['duplicate'], 'duplicate')}"
            for split, lost in moved.items()
        ]
        yield Caution(
            "Images were taken out of later splits",
            f"{'; '.join(parts)}. No patient and no picture stands in two.",
        )


def _other_sources(run: SoundRun) -> Iterator[Caution]:
    for name in ("other", "onward"):
        facts = (run.task or {}).get(name)
        if facts and facts.get("dropped"):
            yield Caution(
                "Pictures were left out of another source",
                f"{_count(facts['dropped'], 'picture')} of '{plain(facts['source'])}' ([{name}]) {_stand(facts['dropped'])} in the "
                "study's own source.",
            )


def _stand(number: int) -> str:
    return "stands" if number == 1 else "stand"


def _left_out(run: SoundRun) -> Iterator[Caution]:
    if run.left_out:
        reasons = "; ".join(f"{arm}: {plain(reason).rstrip('.')}" for arm, reason in run.left_out.items())
        yield Caution("Arms were left out", f"{reasons}.")
    curve = run.protocol.curve
    if curve is not None and run.cells and all(cell["kind"] != "curve" for cell in run.cells):
        why = no_curve_sentence(brought=run.brought, independent=curve.independent)
        yield Caution("There is no learning curve", why)
    main = {cell["name"] for cell in run.main_cells}
    draws = {
        record["cell"]: plain(record["skipped"])
        for record in run.by_kind("fit")
        if "skipped" in record and record["cell"] not in main
    }
    if draws:
        cell = min(draws)
        yield Caution(
            "Some draws of the learning curve are not used",
            f"In {len(draws)} of them too few synthetic images pass their filter, such as in {cell}: {draws[cell].rstrip('.')}.",
            "curve",
        )


def _folds(run: SoundRun) -> Iterator[Caution]:
    if run.design != "own-test":
        yield Caution(
            "The folds share their training patients",
            "Intervals allow for it after Nadeau and Bengio. Where the choice of training patients matters more than they "
            "assume, a difference is claimed where there is none in about one study of ten, not of twenty (simulated, "
            "docs/method.md). A test split of its own is safer.",
        )


def _short(run: SoundRun) -> Iterator[Caution]:
    steps = run.protocol.training.steps
    if steps < ANSWER_STEPS:
        yield Caution(
            "Short trainings: a look, not an answer",
            f"Every classifier was trained for {steps:,} steps; protocol sound takes {ANSWER_STEPS:,}. What a recipe is worth "
            "depends on that budget: augmentation, classical as well as synthetic, may hurt in a short training and help in a "
            "longer one. Take the sign of a difference from sound.",
        )


def _few_splits(answers: Answers) -> Iterator[Caution]:
    if answers.main is not None and answers.main.few_splits:
        yield Caution("The cross-validation has few splits", few_splits_sentence(answers.main.splits))


def _unsteady(answers: Answers) -> Iterator[Caution]:
    for arm in [] if answers.main is None else answers.main.arms:
        if arm.auroc.unsteady:
            yield Caution(
                f"The trainings of {arm.name} differ far more than those of other arms",
                "Some of them may have failed. The arm counts by itself, with wide intervals; those of the other arms leave "
                "its spread out.",
            )


def _power(run: SoundRun, answers: Answers) -> Iterator[Caution]:
    found = answers.main
    if found is None or found.detectable_at_best is None or found.detectable is None or found.few_splits:
        return
    if found.detectable_at_best > 5 * found.equivalence:
        count, whose = (
            (found.rare_images, "images")
            if found.rare_patients is None
            else (found.rare_patients, "patients")
        )
        yield Caution(
            "The test set is small",
            f"Its {count:,} {whose} of {plain(run.asked['rare'])} can't settle a difference of AUROC below "
            f"{found.detectable_at_best:.3f}, however many classifiers are trained. Smaller gains may be there unseen.",
        )


def _pools(run: SoundRun) -> Iterator[Caution]:
    named = set(run.arms)
    rules = {"band": True, "floor": "floor-50" in named, "faithful": "faithful-50" in named}
    for rule in (rule for rule, used in rules.items() if used):
        counts = [
            record["rare"]["kept"][rule] for record in run.by_kind("pool") if record["rare"] is not None
        ]
        if counts and min(counts) < run.asked["rare_images"]:
            yield Caution(
                f"Few synthetic images are kept by the {rule}",
                f"As few as {min(counts):,} in a pool, for {run.asked['rare_images']:,} real ones: the arms that use them see "
                "each one often.",
                "pools",
            )


def _generators(run: SoundRun) -> Iterator[Caution]:
    trained = run.protocol.design.generators
    if run.design == "own-test" and not run.brought and trained == 1:
        yield Caution(
            "Only 1 generator",
            "The intervals of synthetic arms speak of this one: what another training of it would give is not in them. "
            f"Two show some of that, {FEW_GENERATORS} or more a good part (design.generators in a protocol of your own).",
        )
    elif run.design == "own-test" and not run.brought and trained < FEW_GENERATORS:
        yield Caution(
            f"Only {trained} generators",
            "How much a generator's training matters is hardly known from so few, so the intervals of synthetic arms are "
            f"kept on the wide side. {FEW_GENERATORS} or more narrow them.",
        )
    stopped = [record for record in run.by_kind("generator") if record["stopped"]]
    if stopped:
        reasons = "; ".join(sorted({plain(str(record["stopped"])) for record in stopped}))
        yield Caution(f"{len(stopped)} generator trainings were stopped early", f"{reasons}.")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _external(run: SoundRun) -> Iterator[Caution]:
    facts = (run.task or {}).get("external")
    if not facts:
        return
    if run.design != "own-test":
        yield Caution(
            "Every fold's classifiers judge the images from elsewhere",
            "Each has learnt from a part of this source only. The claim there is about classifiers that learn from such a "
            "part, and its intervals count the choice of the part, of the external patients and the luck of training.",
            "external",
        )
    if facts["dropped"]:
        yield Caution(
            "Pictures were left out of the external test set",
            f"{facts['dropped']:,} of them stand in the study's own source, or in other images that it learns from.",
            "external",
        )
    if not facts["patients_known"]:
        yield Caution(
            "The external test set does not tell its patients",
            "Every image counts as a patient of its own; true intervals may be wider.",
            "external",
        )
