"""An audit in a few lines, for the terminal, the report and a generator's card."""

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
        *(_share(f"planted and found: {kind}", found, "") for kind, found in audit.power.items()),
    ]


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
