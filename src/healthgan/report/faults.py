"""What is wrong with the protocol of a run, each fault beside the figure that it spoils.

A fault is listed only where the run's settings, or what the records counted, have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from healthgan.report.brought import warnings
from healthgan.report.reading import Run
from healthgan.report.results import repeats, topped_up
from healthgan.terminal import plain

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        key: its name in JSON.
        place: the figure it stands beside, such as ``figure-4``.
        title: in a few words.
        text: what it does to the numbers.
    """

    key: str
    place: str
    title: str
    text: str


LIKENESS = Fault(
    "likeness_prefers_copies",
    "figure-3",
    "A likeness floor prefers copies and blurs to new patients",
    "Likeness is the best structural similarity to any one training image. It is highest for a copy or a "
    "slightly blurred training image, which adds nothing, and lower for a convincing new patient. It does "
    "not measure the class either: an image of the other class can reach the same likeness.",
)


def find_faults(run: Run) -> list[Fault]:
    """All faults of a run, in the order of the figures."""
    found = [*_of_the_sets(run), *_of_the_control(run), LIKENESS]
    found += [*_of_what_was_brought(run), *_of_the_comparison(run)]
    return [*found, *_of_training(run), *_of_validation(run), *_of_the_test(run)]


def _of_the_sets(run: Run) -> Iterator[Fault]:
    if run.protocol.data.balance == "first":
        yield Fault(
            "first_references",
            "figure-1",
            "The reference images are the first in the file",
            "Every balanced set takes the first n reference images of its split, not a random draw. "
            "If the file has an order (by patient, date or hospital), the sets inherit it.",
        )
    if run.task is None:
        return
    facts = run.task["main"]
    yield from _shared(facts["duplicates_across"], "figure-1", "duplicates", "the main source")
    people = {pair: count for pair, count in (facts["patients_across"] or {}).items() if count}
    if people:
        yield Fault(
            "patients_across",
            "figure-1",
            "Patients stand in more than one split",
            f"Patients in both: {_pairs(people)}. A model may recognise the person instead of the finding, "
            "which flatters validation and test.",
        )
    if not facts["patients_known"]:
        yield Fault(
            "patients_unknown",
            "figure-1",
            "The source does not tell its patients",
            "Whether images of one patient stand in two splits or folds cannot be checked, and every interval "
            "here takes each image as a patient of its own: the true ones may be wider.",
        )


def _of_the_control(run: Run) -> Iterator[Fault]:
    facts = (run.task or {}).get("control")
    if facts is None or run.task is None:
        return
    added = topped_up(run)
    if added:
        counts = ", ".join(f"{count:,} in {SPLIT_WORDS[split]}" for split, count in added.items())
        source = plain(run.task["main"]["source"])
        yield Fault(
            "control_topped_up",
            "figure-2",
            "The control's reference images come from two sources",
            f"Reference images taken from {source}: {counts}. Images of the rare class all come from "
            f"{plain(facts['source'])}, so that how a source looks (age of the patients, device, processing) "
            "gives the label away. The control's accuracy is flattered.",
        )
    rare, own = facts["counts"]["train"]["rare"], run.task["main"]["counts"]["train"]["rare"]
    if rare > 2 * own:
        yield Fault(
            "control_larger",
            "figure-2",
            f"The control has {rare / own:.2g} times as many images",
            f"It is trained on {rare:,} images of {plain(facts['rare'])}, the main task on {own:,} of "
            f"{plain(run.task['main']['rare'])}. A higher accuracy may come from the number alone; it does not "
            "show that the finding is easier to see.",
        )
    yield from _shared(facts["duplicates_across"], "figure-2", "control_duplicates", "the control")


def _shared(overlaps: dict[str, int], place: str, key: str, where: str) -> Iterator[Fault]:
    counted = {pair: count for pair, count in overlaps.items() if count}
    if counted:
        yield Fault(
            key,
            place,
            "The same image stands in two splits",
            f"Images of {where} that are equal, pixel by pixel: {_pairs(counted)}. "
            "They are learned in one split and scored in the other.",
        )


def _pairs(counts: dict[str, int]) -> str:
    parts = []
    for pair, count in counts.items():
        earlier, later = pair.split("-")
        parts.append(f"{count:,} of {SPLIT_WORDS[later]} also in {SPLIT_WORDS[earlier]}")
    return ", ".join(parts)


def _of_what_was_brought(run: Run) -> Iterator[Fault]:
    if run.brought:
        yield Fault(
            "origin_declared",
            "figure-3",
            "Where the synthetic images come from is only declared",
            "They were brought. Had they been made with the help of validation or test images, the test would flatter "
            "them. Only copies of these can be found, not what a model learned from them.",
        )
    against = warnings(run)
    if against:
        yield Fault(
            "synthetic_doubtful",
            "figure-4",
            "The synthetic images do not fit what is declared",
            " ".join(against),
        )


def _of_the_comparison(run: Run) -> Iterator[Fault]:
    yield Fault(
        "synthetic_in_one_class",
        "figure-4",
        "Only the rare class holds generated images",
        "All reference images are real. Whatever marks an image as generated therefore predicts the rare class "
        "in training, and is no help on the test set, where nothing is generated.",
    )
    real = repeats(run, "real")
    spread = ""
    if real["runs"] > 1:
        spread = (
            f" The {real['runs']} rows 'real' repeat one condition with other seeds, and their test accuracy "
            f"still spreads by {real['test_sd']:.1f} points (standard deviation)."
        )
    yield Fault(
        "one_training",
        "figure-4",
        "One training a floor",
        f"A row shows one network with one seed.{spread} The intervals tell what other test patients would do, "
        "not what another training would.",
    )
    yield Fault(
        "no_other_remedy",
        "figure-4",
        "No other remedy for a rare class is compared",
        "Classical augmentation, oversampling and class weights cost next to nothing. Without them beside it, a "
        "gain by generated images would not show that they are worth their trouble.",
    )


def _of_training(run: Run) -> Iterator[Fault]:
    pairs = [
        (floor, record, real)
        for floor, record in run.trained("generated")
        if (real := run.classifier("real", floor)) is not None
    ]
    unequal = [(floor, record, real) for floor, record, real in pairs if record["epochs"] != real["epochs"]]
    if unequal:
        _, record, real = max(unequal, key=lambda case: case[1]["epochs"])
        yield Fault(
            "unequal_epochs",
            "figure-5",
            "The arms are trained for different times",
            f"With generated images up to {record['epochs']} epochs a fold, with real ones {real['epochs']}: at "
            f"{len(unequal)} of {len(pairs)} floors the two differ in training time as well as in images.",
        )
    ratios = [
        record["epochs"] * record["train_images"] / (real["epochs"] * real["train_images"])
        for _, record, real in pairs
    ]
    if ratios and max(ratios) > 1.5:
        yield Fault(
            "unequal_steps",
            "figure-5",
            "More images also mean more steps",
            f"An epoch over a larger set has more optimiser steps: with generated images up to "
            f"{max(ratios):.1f} times as many as with real ones alone. What more steps do is not told apart from "
            "what the images do.",
        )


def _of_validation(run: Run) -> Iterator[Fault]:
    folds = run.protocol.folds
    if not folds.reset_between_folds:
        yield Fault(
            "folds_leak",
            "figure-6",
            "One network goes on from fold to fold",
            f"It is not reset, so that from the second of {folds.count} folds on it is validated on images that "
            "it was trained on. That lifts validation accuracy in every arm, the more the longer a fold is trained.",
        )
    if folds.synthetic_in_validation:
        yield Fault(
            "synthetic_in_validation",
            "figure-6",
            "Generated images stand in the validation folds",
            "They come from the same generator as those in training, and may be recognised by what marks them. That lifts validation "
            "accuracy with generated images further, the more of them there are.",
        )
    facts = (run.task or {}).get("main")
    if not folds.keep_patients_together and facts is not None and _patients_may_repeat(facts):
        train = facts["counts"]["train"]
        known = (
            f" The {train['rare']:,} rare training images are of {train['rare_patients']:,} patients."
            if facts["patients_known"]
            else ""
        )
        yield Fault(
            "patients_across_folds",
            "figure-6",
            "Images of one patient may lie in several folds",
            f"The folds do not keep patients together.{known} A patient seen in training is easier in validation.",
        )


def _patients_may_repeat(facts: dict[str, object]) -> bool:
    """Whether a patient may have several images; where patients are not known, it may be."""
    counts = facts["counts"]
    assert isinstance(counts, dict)
    return not facts["patients_known"] or counts["train"]["rare_patients"] < counts["train"]["rare"]


def _of_the_test(run: Run) -> Iterator[Fault]:
    if len(run.floors) > 1:
        yield Fault(
            "test_set_reused",
            "figure-7",
            f"One test set judges all {len(run.floors)} floors",
            "Choosing the floor that does best here, and quoting its accuracy, would flatter it: no images are "
            "left over to confirm the choice. All rows share the same test images, so they rise and fall together.",
        )
