"""What the user asked of a study."""

from dataclasses import dataclass

from healthgan.protocol import Protocol
from healthgan.protocol_sound import Sound


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        source: as in ``healthgan.sources.load``.
        protocol: all settings of the study.
        rare: the rare class; None for the default.
        reference: the class to tell it from; None for the default.
        rare_count: keep that many rare training images; None for the protocol's.
        size: resample to that many pixels a side; None for the source's size.
        seed: every random choice derives from it.
        synthetic: a file or folder of synthetic images of the rare class that take the generator's place; as in
            ``healthgan.sources.synthetic.load_synthetic``.
        test: another source to test on as well, in sound studies.
    """

    source: str
    protocol: Protocol | Sound
    rare: str | None = None
    reference: str | None = None
    rare_count: int | None = None
    size: int | None = None
    seed: int = 0
    synthetic: str | None = None
    test: str | None = None
