"""An audit in a few lines and in words, for the terminal, the report and a generator's card."""

from collections.abc import Iterator
from typing import NamedTuple

from healthgan.privacy.audit import Audit
from healthgan.privacy.distances import DataCopying
from healthgan.privacy.intervals import Share


class Row(NamedTuple):
    """One figure as text: what it is, its interval, what it is where nothing was copied, and of how many."""

    measure: str
    value: str
    interval: str
    best: str
    images: str


def rows(audit: Audit) -> list[Row]:
    """Every figure of an audit, the most telling first."""
    alarms = audit.detector.class_alarms
    closer = audit.closer
    return [
        _share("copy suspects", audit.copies, f"1 % (real: {100 * alarms.share:.1f} %)"),
        Row(
            "closer to training than to held-out",
            f"{closer.share:.2f}",
            _interval(closer.low, closer.high),
            "0.5",
            f"{closer.generated}; {closer.images} real a side",
        ),
        _share(
            "authenticity", audit.authenticity, f"held out: {100 * audit.heldout_authenticity.share:.1f} %"
        ),
        _data_copying(audit.c_t),
        *_membership(audit),
        *(_share(f"planted and found: {kind}", found, "all: 100 %") for kind, found in audit.power.items()),
    ]


def conclusion(audit: Audit) -> str:
    """What was found, what it means and what it can't rule out, in sentences.

    A trace is a 95 % interval that lies wholly on the side of memory: with nothing copied, one figure in 40 does.
    """
    beyond_chance = audit.copies.low > audit.detector.class_alarms.high
    traces = list(_traces(audit))
    if beyond_chance:
        verdict = "Training images were copied"
        advice = "Leave the suspects out of any use, and don't share images or generator."
    elif traces:
        verdict = "The images carry traces of the training images"
        advice = (
            "What was learnt is partly who was trained on: share neither images nor generator more freely than the "
            "training images."
        )
    elif audit.copies.count:
        verdict = "No sign of memory, but single images that look like copies"
        advice = "Look at each suspect (audit --gallery) before the images are used or shared."
    else:
        verdict = "No sign that training images were copied or remembered"
        advice = "That is no proof: treat the images with the care that the training images need."
    found = "; ".join([_copies(audit, beyond_chance), *(traces or [_no_trace(audit)])])
    return f"{verdict}: {found}. {advice} {_not_ruled_out(audit)}"


_FOUND = 0.9  # of the planted copies of a kind, below which the search is said to miss it


def _copies(audit: Audit, beyond_chance: bool) -> str:
    found, alarms = audit.copies, audit.detector.class_alarms
    if not found.count:
        return f"none of {found.total} images is a copy suspect"
    than = "more than" if beyond_chance else "not clearly more than"
    be = "is a copy suspect" if found.count == 1 else "are copy suspects"
    return (
        f"{found.count} of {found.total} images {be} ({_percent(found)}), {than} of real images of other patients "
        f"({_percent(alarms)})"
    )


def _traces(audit: Audit) -> Iterator[str]:
    """Each figure whose interval lies on the side of memory."""
    closer, member, c_t = audit.closer, audit.membership, audit.c_t
    if closer.low > 0.5:
        yield (
            f"{100 * closer.share:.0f} % lie nearer to a training image than to a held-out one "
            f"({100 * closer.low:.0f} to {100 * closer.high:.0f}; 50 without memory)"
        )
    if c_t.c_t is not None and c_t.low is not None and c_t.c_t < c_t.low:
        yield f"C_T is {c_t.c_t:+.2f}, below {c_t.low:+.2f}"
    if audit.authenticity.high < audit.heldout_authenticity.low:
        yield (
            f"{_percent(audit.authenticity)} count as authentic, of held-out real images "
            f"{_percent(audit.heldout_authenticity)}"
        )
    if member.low > 0.5:
        yield (
            f"training images are told from others by their distance to the images, AUROC {member.auroc:.2f} "
            f"({_interval(member.low, member.high)}; 0.5 without memory)"
        )


def _no_trace(audit: Audit) -> str:
    member = audit.membership
    return (
        f"distances and the membership test (AUROC {member.auroc:.2f}, {_interval(member.low, member.high)}) agree with a "
        "generator that remembers nobody"
    )


def _not_ruled_out(audit: Audit) -> str:
    missed = [
        f"{kind} ({100 * found.share:.0f} % found)"
        for kind, found in audit.power.items()
        if found.share < _FOUND
    ]
    kinds = (
        f"copies of kinds that the search often misses, as planted ones show: {', '.join(missed)}; "
        * bool(missed)
    )
    return (
        f"This can't rule out: copies among up to {100 * audit.copies.high:.1f} % of such images, as {audit.copies.total} "
        f"were looked at; {kinds}copies that are altered more than the planted ones, or of parts of an image; and what "
        "other attacks would find."
    )


def _percent(share: Share) -> str:
    return f"{100 * share.share:.1f} %, 95 % interval {100 * share.low:.1f} to {100 * share.high:.1f}"


def _data_copying(found: DataCopying) -> Row:
    name = "C_T (negative: copying)"
    images = f"{found.generated}; {found.heldout} held out; {found.cells} cell{'s' * (found.cells != 1)}"
    if found.c_t is None or found.low is None or found.high is None:
        return Row(name, "not computable", "–", "around 0", images)
    return Row(name, f"{found.c_t:+.2f}", "–", _interval(found.low, found.high), images)


def _membership(audit: Audit) -> list[Row]:
    member = audit.membership
    images = f"{member.members}; {member.nonmembers} held out"
    rate = member.tpr_at_1_percent
    name = "membership, true positives at 1 % false"
    return [
        Row("membership AUROC", f"{member.auroc:.2f}", _interval(member.low, member.high), "0.5", images),
        Row(name, "not computable", "–", "1 %", images)
        if rate is None
        else Row(
            name, f"{100 * rate.value:.1f} %", _interval(100 * rate.low, 100 * rate.high), "1 %", images
        ),
    ]


def _share(measure: str, share: Share, best: str) -> Row:
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
    return Row(measure, f"{100 * share.share:.1f} %", interval, best, f"{share.count} of {share.total}")


def _interval(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"
