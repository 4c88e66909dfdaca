"""A synthetic set's card for people: what the images are, how good, how private, for what use.

Plain sentences first, then small tables. All that a card holds stands in its JSON; what is not known by its name and
type here is left to that, so that cards made elsewhere are told as far as they can be.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from healthgan.generators.interface import LABELS
from healthgan.sources import printable

Facts = Mapping[str, Any]

SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
LICENCE = (
    "Not stated here. The licence of the real images may bind what is made from them: look it up, and state one before "
    "you share the set."
)


def front_matter(card: Facts) -> str:
    """The YAML that Hugging Face reads at the top of a folder's ``README.md``."""
    size = next((text for top, text in SIZE_CATEGORIES.items() if card["images"] < top), "1M<n<10M")
    lines = [
        "---",
        f"pretty_name: {_yaml(card['name'])}",
        "annotations_creators:\n- machine-generated",
        "task_categories:\n- image-classification",
        "tags:\n- synthetic\n- medical\n- healthgan",
        f"size_categories:\n- {_yaml(size)}",
        "---",
    ]
    return "\n".join(lines) + "\n\n"


def card_text(card: Facts, whole: str) -> str:
    """The card as Markdown.

    Args:
        card: of :func:`healthgan.exports.make_card`.
        whole: where its JSON is kept.
    """
    made = [name for name, count in card["counts"].items() if count]
    title = f" of {_listed(map(_code, made))}" if made else ""
    parts = [
        f"# Synthetic images{title}",
        f"**Synthetic images: no camera took them.** {_images(card)}{_generator(card)}",
        f"**Learnt from.** {_learnt_from(card['trained_on'])}",
        f"**Selection.** {_selection(card['selection'])}",
        f"**How good.** {_how_good(card, made)}",
        f"**How private.** {_how_private(card['privacy'])}",
        f"**For.** {_prose(card['intended_use'])}",
        "**Limits, and what they are not for.**",
        "\n".join(f"- {_line(limit)}" for limit in card["limits"]),
        f"**Licence.** {LICENCE}",
        *_fidelity_tables(card, made),
        *_audit_table(card["privacy"]),
        f"All settings and figures, for programs: {_code(whole)}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _images(card: Facts) -> str:
    height, width = card["size"]
    kind = "colour" if card["channels"] == 3 else "grey"
    classes = {name: count for name, count in card["counts"].items() if count}
    told = f"{card['images']} {kind} images of {height}×{width} pixels"
    if not classes:
        return f"{told}; the images have no labels."
    if len(classes) == 1:
        return f"{told}, all of the class {_code(next(iter(classes)))}."
    return f"{told}: {_listed(f'{count} of {_code(name)}' for name, count in classes.items())}."


def _generator(card: Facts) -> str:
    """By what they were made, with a blank before it."""
    facts = card["generator"]
    kind, preset = _text(facts, "kind"), _text(facts, "preset")
    by = "" if kind is None else f" by {_prose(kind)}"
    by += "" if preset is None else f" (preset {_code(preset)})"
    seeds = [
        f"{what} with seed {seed:.0f}"
        for what, key in (("trained", "seed"), ("sampled", "sampling_seed"))
        if (seed := _number(facts, key)) is not None
    ]
    return f" Made with {_code(card['made_by'])}{by}{''.join(f', {seed}' for seed in seeds)}."


def _learnt_from(facts: Facts) -> str:
    images = facts.get("images")
    counts = {n: c for n, c in images.items() if isinstance(c, int)} if isinstance(images, dict) else {}
    source, split, md5 = (_text(facts, key) for key in ("source", "split", "md5"))
    if not counts and source is None:
        return "Not told."
    told = _listed(f"{count} real images of {_code(name)}" for name, count in counts.items()) or "Real images"
    patients = _number(facts, "patients")
    if counts and patients is not None:
        told += f", of {patients:.0f} patients"
    if source is not None:
        part = "" if split is None else f", split {_code(split)}"
        told += f", from {_code(source)}{part}{'' if md5 is None else f' (md5 {_code(md5)})'}"
    if counts and patients is None:
        told += ". Whose images they are is not known: every image counts as one of another patient"
    return f"{told}."


def _selection(facts: Facts | None) -> str:
    if facts is None:
        return "None: all images that were made are here. `healthgan likeness` gives each a verdict."
    rule, verdicts = _text(facts, "rule"), facts.get("verdicts")
    told = "Selected" if rule is None else f"Selected by the rule {_code(rule)}"
    if isinstance(verdicts, dict):
        counts = [
            f"{count} {_prose(str(name))}" for name, count in verdicts.items() if isinstance(count, int)
        ]
        told += f", among the candidates {_listed(counts)}" if counts else ""
    return f"{told}."


def _how_good(card: Facts, made: list[str]) -> str:
    facts = card["fidelity"]
    if facts is None:
        return "Not measured."
    tests = {name: _told_from_real(card, name) for name in made}
    sentences = [_told_sentence(name, test) for name, test in tests.items() if test is not None]
    if not sentences:
        return "Measured; the figures stand in the card's JSON."
    return " ".join(
        [*sentences, "Measured on other images of the same generator; 0.5 is chance, 1 is always right."]
    )


def _told_sentence(name: str, test: Facts) -> str:
    can = "They can" if test["auroc_low"] > 0.5 else "It is not shown that they can"
    return (
        f"{can} be told from real ones: a classifier trained for that reaches AUROC {test['auroc']:.2f} (95 % interval "
        f"{test['auroc_low']:.2f} to {test['auroc_high']:.2f}) for {_code(name)}, on {test['heldout_images']:.0f} real images "
        f"that neither it nor the generator saw and {test['fresh_images']:.0f} synthetic ones."
    )


def _told_from_real(card: Facts, name: str) -> Facts | None:
    """The two-sample test of a class, if all that is told of it is there."""
    test = _inner(card["fidelity"], "classes", _key(card, name), "real_or_synthetic")
    keys = ("auroc", "auroc_low", "auroc_high", "heldout_images", "fresh_images")
    return test if all(_number(test, key) is not None for key in keys) else None


def _how_private(facts: Facts | None) -> str:
    if facts is None:
        return "**Not audited.** Audit the set (`healthgan audit`) before you share it."
    found = _text(facts, "conclusion")
    if found is None:
        return "Audited; the figures stand below or in the card's JSON."
    name = _text(facts, "class")
    of = "" if name is None else f", of the class {_code(name)}"
    return f"{_prose(found)} (Audited: other images of the same generator{of}.)"


def _fidelity_tables(card: Facts, made: list[str]) -> Iterator[str]:
    """A table for each class in the set that was measured."""
    for name in made:
        rows = list(_fidelity_rows(card, _key(card, name)))
        if rows:
            yield f"## Fidelity of {_code(name)}"
            yield (
                "Beside synthetic images, what real images of other patients score in their place: no generator need do "
                "better. In brackets 95 % intervals."
            )
            yield _table(("measure", "synthetic", "real", "n"), rows)


def _fidelity_rows(card: Facts, key: str) -> Iterator[tuple[str, str, str, str]]:
    facts = _inner(card["fidelity"], "classes", key)
    test, floor = _inner(facts, "real_or_synthetic"), _inner(facts, "real_or_real")
    if _number(test, "auroc") is not None:
        images = f"{_said(test.get('heldout_images'))} real, {_said(test.get('fresh_images'))} synthetic"
        yield (
            "told from real, AUROC (0.5 is best)",
            _interval(test, "auroc"),
            _interval(floor, "auroc"),
            images,
        )
    for space, measures in _inner(facts, "spaces").items():
        for measure, found in measures.items() if isinstance(measures, dict) else ():
            if isinstance(found, dict) and _number(found, "value") is not None:
                title = f"{measure.upper() if len(measure) == 3 else measure}, {space}"
                yield (
                    title,
                    _interval(found, "value"),
                    _interval(found, "floor"),
                    f"{_said(found.get('n'))} a side",
                )
    judged = _inner(card["fidelity"], "faithfulness", "by_class").get(key)
    if isinstance(judged, list) and len(judged) == 2 and all(isinstance(each, dict) for each in judged):
        images = f"{_said(judged[1].get('images'))} real, {_said(judged[0].get('images'))} synthetic"
        yield "called its own class", _interval(judged[0], "value"), _interval(judged[1], "value"), images


def _audit_table(facts: Facts | None) -> Iterator[str]:
    rows = [] if facts is None else facts.get("audit")
    keys = ("measure", "value", "interval", "best", "images")
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        yield "## Privacy audit"
        titles = ("measure", "value", "95 % interval", "where nothing is copied", "n")
        yield "Not computable: there are too few images for it. A dash: it has no interval of its own."
        yield _table(titles, [[_said(row.get(key)) for key in keys] for row in rows])


def _key(card: Facts, name: str) -> str:
    """What fidelity calls a class of a generator of two: ``rare`` or ``reference``; of others by its name."""
    names = card["class_names"]
    return {names[number]: key for key, number in LABELS.items()}.get(name, name) if len(names) == 2 else name


def _inner(facts: object, *keys: str) -> Facts:
    """The table that stands there; an empty one where none does."""
    for key in keys:
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts if isinstance(facts, Mapping) else {}


def _number(facts: Facts, key: str) -> float | None:
    value = facts.get(key)
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def _text(facts: Facts, key: str) -> str | None:
    value = facts.get(key)
    return value if isinstance(value, str) and value.strip() else None


def _interval(facts: Facts, name: str) -> str:
    """``0.75 (0.63 to 0.85)``: a value with ``low`` and ``high`` beside it; a dash where there is none."""
    prefix = "" if name == "value" else f"{name}_"
    value, low, high = (_number(facts, key) for key in (name, f"{prefix}low", f"{prefix}high"))
    if value is None:
        return "–"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(titles)
    lines = [head, ["---"] * len(head), *([_prose(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _said(value: object) -> str:
    return "–" if value is None or value == "" else str(value)


def _listed(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = ["", *parts]
    return " and ".join(part for part in (", ".join(most[1:]), last) if part)


def _code(text: str) -> str:
    """A Markdown code span that shows the text as it is, control characters as escapes."""
    shown = printable(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown or not shown.strip() else f"{fence}{shown}{fence}"


def _prose(text: str) -> str:
    """Text as Markdown that shows the same text."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", printable(text).strip())


def _line(text: str) -> str:
    """Likewise where a line begins, which neither a list nor a rule shall."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", _prose(text))


def _yaml(text: str) -> str:
    """A double-quoted YAML scalar."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'
