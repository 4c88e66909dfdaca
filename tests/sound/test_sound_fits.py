"""All classifiers of a study in one go: the records of one after the other, and a stop that costs little."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from healthgan import studies
from healthgan.executors import Job, Step
from healthgan.protocol import load_protocol
from healthgan.protocol_sound import Onward, Sound
from healthgan.run import RunFolder, without_times
from healthgan.sound import external, fits, prepare
from healthgan.sound.context import SoundContext
from healthgan.sound.fits import fit_many
from healthgan.sound.jobs import do_sound_job
from healthgan.sound.prepare import SoundStudy
from healthgan.sources.phantom import Counts, phantom

COUNTS = {"train": Counts(60, 30), "val": Counts(20, 10), "test": Counts(30, 15)}
STEPS = 6
NEAR = 2e-4
"""Of logits near 1 after 6 steps of 3e-3: some ulp, and 1e-5 where a rounding turns a ReLU on (test_batched.py has where
differences come from). A wrong dropout mask in one step moves them by 7e-3 at least, one wrong
image of a batch by 3e-4."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def small(*reference: str, **tables: Any) -> Sound:
    sound = load_protocol("sound")
    assert isinstance(sound, Sound)
    return sound.model_copy(
        update={
            "design": sound.design.model_copy(update={"reference_seeds": 2}),
            "training": sound.training.model_copy(update={"steps": STEPS}),
            "arms": sound.arms.model_copy(
                update={"reference": reference, "synthetic": (), "control": ("noise", "copies")}
            ),
            **tables,
        }
    )


def prepared(monkeypatch: pytest.MonkeyPatch, protocol: Sound, **asked: Any) -> SoundStudy:
    found = {
        "here": phantom(size=16, seed=2, counts=COUNTS),
        "there": phantom(size=16, seed=9, counts=COUNTS),
    }
    for module in (prepare, external):
        monkeypatch.setattr(module, "load", lambda name, **_: found[name])
    study = studies.prepare(studies.Request("here", protocol, **asked))
    assert isinstance(study, SoundStudy)
    return study


def of_kind(study: SoundStudy, kind: str) -> list[Job]:
    return [job for job in study.jobs if job.kind == kind]


def test_together_as_one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Equal keys, fields, training sets and steps; logits to rounding. Two cells, every kind of arm, an external set."""
    protocol = small(
        "real",
        "weighted",
        "smote",
        "mixup",
        "classical-mixup",
        onward=Onward(source="there", synthetic="both-25"),
    )
    study = prepared(monkeypatch, protocol, test="there")
    alone, together = (SoundContext(study, RunFolder(tmp_path / name), "cpu", 60.0) for name in ("1", "2"))
    jobs = [job for job in of_kind(study, "fit") if not job.needs]
    assert {job.parameters["cell"] for job in jobs} == {"main", "onward"}
    singly = [do_sound_job(alone, job, lambda _: None) for job in jobs]
    steps: list[Step] = []
    at_once = fit_many(together, jobs, steps.append)
    assert (steps[-1].done, steps[-1].total) == (STEPS * len(jobs), STEPS * len(jobs))
    for job, one, many in zip(jobs, singly, at_once, strict=True):
        assert not isinstance(many, FloatingPointError)
        assert many.pop("time_seconds") > 0
        assert one.keys() == many.keys()
        varying = {"weights_digest", "artifacts"}
        assert {name: one[name] for name in one.keys() - varying} == {
            name: many[name] for name in many.keys() - varying
        }
        (file,) = one["artifacts"]
        assert many["artifacts"].keys() == {file}
        with np.load(alone.folder.artifact(file)) as first, np.load(together.folder.artifact(file)) as second:
            assert (
                set(first)
                == set(second)
                == ({"val", "test", "external"} if "main" in job.key else {"val", "test"})
            )
            for name in first:
                np.testing.assert_allclose(second[name], first[name], rtol=0, atol=NEAR, err_msg=job.key)
    assert len({record["weights_digest"] for record in at_once if isinstance(record, dict)}) == len(jobs)


def test_an_arm_without_images_is_skipped_and_a_diverged_one_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = prepared(monkeypatch, small("real", "smote"))
    context = SoundContext(study, RunFolder(tmp_path), "cpu", 60.0)
    make = fits.make_training

    def kept(arm: str, materials: Any, settings: Any, seed: int) -> Any:
        if arm == "noise":
            raise fits.NothingKeptError("3 synthetic rare images passed the filter; 10 are needed")
        if arm == "copies":
            settings = context.settings
            settings = type(settings)(**{**vars(settings), "learning_rate": 1e30})
        return make(arm, materials, settings, seed)

    monkeypatch.setattr(fits, "make_training", kept)
    jobs = of_kind(study, "fit")
    found = dict(zip((job.key for job in jobs), fit_many(context, jobs, lambda _: None), strict=True))
    for key, record in found.items():
        assert isinstance(record, FloatingPointError) == ("copies" in key)
        if isinstance(record, dict):
            assert ("passed the filter" in record.get("skipped", "")) == ("noise" in key)
            assert (record["time_seconds"] == 0) == ("noise" in key)
            assert bool(record["artifacts"]) == ("noise" not in key)


@pytest.mark.slow
def test_a_study_that_trains_together_stops_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What has a record is not trained again; what is missing is; a second start finds nothing to do."""
    study = prepared(monkeypatch, small("real", "smote"))
    monkeypatch.setattr(studies, "TOGETHER_ON", {"cpu"})

    def run(out: Path, on_record: Any, on_found: Any = lambda _: None) -> None:
        told = {"report": lambda _: None, "on_record": on_record, "on_found": on_found}
        studies.run(study, out, device="cpu", workers=1, **told)

    def stop(record: dict[str, Any]) -> None:
        seen.append(record["key"])
        if sum(key.startswith("fit/") for key in seen) == 3:
            raise KeyboardInterrupt

    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop)
    before = RunFolder(tmp_path / "stopped").records()
    run(tmp_path / "stopped", lambda _: None)
    run(tmp_path / "whole", lambda _: None)
    after, whole = (RunFolder(tmp_path / name).records() for name in ("stopped", "whole"))
    assert after[: len(before)] == before
    keys = [record["key"] for record in after]
    assert len(keys) == len(set(keys)) == len(study.jobs) + 1
    assert {key for key in keys if key.startswith("fit/")} == {job.key for job in of_kind(study, "fit")}
    varying = ("weights_digest", "artifacts")
    plain = [
        [
            {name: value for name, value in record.items() if name not in varying}
            for record in without_times(records)
        ]
        for records in (after, whole)
    ]
    assert plain[0] == plain[1]
    told: list[str] = []
    found: list[str] = []
    run(
        tmp_path / "stopped",
        lambda record: told.append(record["key"]),
        lambda records: found.extend(record["key"] for record in records),
    )
    assert (told, sorted(found)) == ([], sorted(keys))
    assert RunFolder(tmp_path / "stopped").records() == after
