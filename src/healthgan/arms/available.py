"""Which arms a source can have."""

from healthgan.protocol_sound import OTHER_FINDINGS, OTHER_SOURCE


def why_not(arm: str, *, fresh: bool, findings: bool, other: bool) -> str:
    """Why an arm can't run; empty if it can.

    Args:
        arm: its name.
        fresh: whether rare images were held back from training.
        findings: whether the training split has images of a third class.
        other: whether another source was named.
    """
    if arm == "oracle" and not fresh:
        return "no rare images were held back from training (--rare-count)"
    if arm in OTHER_FINDINGS and not findings:
        return "the source has no third class or other finding"
    if arm in OTHER_SOURCE and not other:
        return "no other source was named"
    return ""
