"""The protocol of ``make demo`` on the phantom gives enough images for a report worth reading."""

from dataclasses import replace

import pytest

from healthgan import studies
from healthgan.protocol import Protocol, load_protocol
from healthgan.run import RunFolder


@pytest.mark.slow
def test_quick_accepts_at_least_a_hundred_images(tmp_path) -> None:
    """Already the first 400 epochs of its first round do, whose images are among those of the whole."""
    protocol = load_protocol("quick")
    assert isinstance(protocol, Protocol)
    assert protocol.generator.epochs >= 400 > protocol.generator.harvest_after
    part = protocol.generator.model_copy(update={"rounds": 1, "epochs": 400})
    prepared = studies.prepare(studies.Request("phantom", protocol.model_copy(update={"generator": part})))
    until_likeness = tuple(job for job in prepared.jobs if job.kind in ("generator", "likeness"))
    assert [job.key for job in until_likeness] == ["generator/0", "likeness"]
    studies.run(replace(prepared, jobs=until_likeness), tmp_path / "run", device="cpu", workers=1)
    likeness = {record["key"]: record for record in RunFolder(tmp_path / "run").records()}["likeness"]
    assert likeness["accepted"]["0.80"] >= 100
    assert likeness["accepted"]["0.80"] >= likeness["accepted"]["0.86"]
