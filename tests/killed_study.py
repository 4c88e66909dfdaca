"""A study that kills itself at some event; run as a program, it is that study."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from healthgan import studies
from healthgan.protocol import Protocol, load_protocol, to_toml
from healthgan.run import RunFolder


def killed(
    folder: Path, source: Path, protocol: Protocol, event: str, *, workers: int, synthetic: Path | None = None
) -> RunFolder:
    """The run folder of a study, in ``folder``, that SIGKILL ended.

    Args:
        folder: an empty one.
        source: of the study.
        protocol: its settings.
        event: when it dies: ``KEY at STEP`` or ``KEY done`` of a job, or ``KEY found`` of a record at the start.
        workers: that it has.
        synthetic: images that are brought.
    """
    settings, out = folder / "protocol.toml", folder / "run"
    settings.write_text(to_toml(protocol))
    command = [sys.executable, __file__, event, str(workers), out, settings, source]
    ended = subprocess.run(command if synthetic is None else [*command, synthetic], timeout=1800)
    assert ended.returncode == -signal.SIGKILL, "the study was not killed"
    return RunFolder(out)


def main(
    event: str, workers: str, out: str, protocol: str, source: str, synthetic: str | None = None
) -> None:
    def happened(what: str) -> None:
        if what == event:
            os.kill(os.getpid(), signal.SIGKILL)

    request = studies.Request(source, load_protocol(protocol), synthetic=synthetic)
    studies.run(
        studies.prepare(request),
        Path(out),
        device="cpu",
        workers=int(workers),
        report=lambda step: happened(f"{step.key} at {step.done}"),
        on_record=lambda record: happened(f"{record['key']} done"),
        on_found=lambda records: [happened(f"{record['key']} found") for record in records],
        checkpoint_seconds=0,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
