"""The protocol of ``make demo`` on the phantom gives enough images for a report worth reading."""

from dataclasses import replace

import pytest

from healthgan import study as studies
from healthgan.protocol import load_protocol
from healthgan.run import RunFolder


@pytest.mark.slow
def test_quick_accepts_at_least_a_hundred_images(tmp_path) -> None:
    prepared = studies.prepare(studies.Request("phantom", load_protocol("quick")))
    until_likeness = tuple(job for job in prepared.jobs if job.kind in ("generator", "likeness"))
    studies.run(
        replace(prepared, jobs=until_likeness),
        tmp_path / "run",
        device="cpu",
        workers=2,
        report=lambda _: None,
        on_record=lambda _: None,
    )
    likeness = {record["key"]: record for record in RunFolder(tmp_path / "run").records()}["likeness"]
    assert likeness["accepted"]["0.80"] >= 100
    assert likeness["accepted"]["0.80"] >= likeness["accepted"]["0.86"]
