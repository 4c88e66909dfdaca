"""What a report says of synthetic images that were brought instead of made by the study's own generator."""

from collections.abc import Iterator
from typing import Any

from healthgan.report.reading import Content
from healthgan.run import Record
from healthgan.terminal import plain


def facts_of(run: Content) -> Record | None:
    """The record's facts about the images that were brought; None where none were, or nothing is known yet."""
    facts: Record | None = (run.task or {}).get("synthetic")
    return facts


def warnings(run: Content) -> list[str]:
    """What speaks against the images, the gravest first."""
    facts = facts_of(run)
    if facts is None:
        return []
    found = [plain(warning) for warning in facts["warnings"]]
    suspects = _suspects(run)
    if suspects is not None and suspects["beyond_chance"]:
        found.append(
            f"{suspects['suspects']:,} of {suspects['images']:,} synthetic images look like altered copies of validation or "
            f"test images, where about {suspects['expected']:.1f} would by chance: the comparison may not be valid."
        )
    return found


def origin(run: Content) -> str:
    """Where the synthetic images come from, in a sentence or two; empty where the study made them."""
    facts = facts_of(run)
    if facts is None:
        return "The synthetic images were brought, not made here." if run.brought else ""
    left_out = facts["left_out"]
    verb = "equals" if left_out == 1 else "equal"
    lost = f" ({left_out:,} that {verb} a validation or test image not used)" if left_out else ""
    return (
        f"No generator was trained: {facts['images']:,} synthetic images were brought as '{plain(facts['name'])}'{lost}. "
        f"They are {facts['declared']}."
    )


def details(run: Content) -> list[str]:
    """Lines for the page's list of data: counts, digest, checks and what the card says."""
    facts = facts_of(run)
    if facts is None:
        return []
    checks, card = facts["heldout"], facts["card"]
    labels = "by its labels" if facts["labelled"] else "without labels, all taken for the rare class"
    others = facts["images_of_other_classes"]
    lines = [
        f"brought: {facts['images']:,} images, {labels}"
        + (f"; {others:,} of other classes not used" if others else ""),
        f"SHA-256 of their pixels {facts['digest']}",
        f"of {checks['heldout']:,} validation and test images, {checks['heldout_found']:,} stand among them pixel by pixel, "
        f"{checks['heldout_found_mirrored']:,} mirrored",
    ]
    suspects = _suspects(run)
    if suspects is not None:
        lines.append(
            f"like altered copies of validation or test images: {suspects['suspects']:,}, by chance about "
            f"{suspects['expected']:.1f} (thresholds from {suspects['calibrated_on']:,} training images)"
        )
    lines.append("no card" if card is None else _card(card))
    return lines


def _suspects(run: Content) -> Record | None:
    """Counts of images that look like altered copies; None before they are known, or where none were brought."""
    told: Iterator[Record] = (
        record["heldout_suspects"] for record in run.records.values() if "heldout_suspects" in record
    )
    return next(told, None)


def _card(card: dict[str, Any]) -> str:
    told = ", ".join(
        f"{name.replace('_', ' ')} {plain(str(value))}" for name, value in card.items() if value is not None
    )
    return f"their card says: {told}" if told else "their card says nothing of their origin"
