"""What a study should take: the amounts by hand, and that all that is asked for is measured."""

import multiprocessing
import signal

import numpy as np
import pytest

from healthgan import calibrate, studies, timings
from healthgan.calibrate import Machine, measure
from healthgan.cli_plan import _basis, _how_known
from healthgan.estimate import MEASURING, USUAL, Rates, amounts, completed, disk, expected
from healthgan.executors import Job
from healthgan.protocol import load_protocol
from healthgan.timings import Trial, Watch
from tiny import tiny_protocol


@pytest.fixture(scope="module")
def sound():
    return studies.prepare(studies.Request("phantom", load_protocol("sound")))


@pytest.fixture(scope="module")
def tiny(blobs):
    return studies.prepare(studies.Request(str(blobs), tiny_protocol()))


def one(study, kind: str) -> Job:
    return next(job for job in study.jobs if job.kind == kind)


def test_amounts_of_a_sound_study(sound) -> None:
    """200 rare and 1,000 reference training images of 28×28 pixels, patients known; 800 candidates a class."""
    fits = {job.parameters["arm"]: amounts(sound, job) for job in sound.jobs if job.kind == "fit"}
    assert fits["real"] == {"step": 2000}
    assert fits["classical"] == fits["pretrain-classical"] == {"altered step": 2000}
    assert amounts(sound, one(sound, "generator")) == {"generator step": 2400, "check": 8}
    assert amounts(sound, one(sound, "band")) == {"pair": (200**2 + 1000**2) * 28 * 28}
    assert amounts(sound, one(sound, "pool")) == {"image": 1600, "pair": 800 * 1200 * 28 * 28, "step": 0}
    assert amounts(sound, one(sound, "quality")) == {"image": 800, "step": MEASURING}
    assert amounts(sound, one(sound, "truth")) == {}


def test_amounts_of_a_published_study(tiny) -> None:
    """24 rare and 60 reference training images, 8 and 16 for validation, 2 rounds of 3 epochs, 2 harvested, 3 folds."""
    assert amounts(tiny, one(tiny, "generator")) == {"gan step": 3}
    assert amounts(tiny, one(tiny, "likeness")) == {"pair": 2 * 16 * 2 * 24 * 16 * 16}
    real = next(job for job in tiny.jobs if job.key == "classifier/real/0.00")
    assert amounts(tiny, real) == {"fold step": 2 * 3 * 2}  # 64 images, two thirds of them in 2 batches
    generated = next(job for job in tiny.jobs if job.key == "classifier/generated/0.00")
    assert amounts(tiny, generated) == {
        "fold step": 2 * 3 * 3
    }  # half of 64 reach a floor: 24 + 32 of either class
    assert amounts(tiny, one(tiny, "real-or-synthetic")) == {"fold step": 2 * 2 * 2}


@pytest.mark.parametrize("name", ["quick", "sound-quick", "sound", "sound-full"])
def test_every_job_of_every_protocol_has_its_time(name: str) -> None:
    study = studies.prepare(studies.Request("phantom", load_protocol(name), rare_count=100))
    found = expected(study)
    assert found.keys() == {job.key for job in study.jobs}
    assert all(seconds > 0 for key, seconds in found.items() if not key.startswith("truth/"))


def test_expected_times_are_amounts_times_rates(sound) -> None:
    rates = dict.fromkeys(USUAL, 0.0) | {"generator step": 0.5, "check": 2.0}
    assert expected(sound, rates)["generator/main/0"] == 0.5 * 2400 + 2.0 * 8


def test_disk_grows_with_generators_and_only_those_at_work_keep_checkpoints(sound) -> None:
    none, one_at_a_time, both = disk(sound, 0, 1), disk(sound, 1000, 1), disk(sound, 1000, 8)
    assert one_at_a_time.kept == both.kept == none.kept + 2 * 1000
    assert both.most - one_at_a_time.most == one_at_a_time.most - none.most - 2 * 1000


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setattr(timings, "SECONDS", 0.02)
    monkeypatch.setattr(calibrate, "LIMIT", 600.0)
    monkeypatch.setattr(calibrate, "END", 600.0)


@pytest.mark.parametrize("together", [0, 3])
def test_all_that_a_sound_study_is_made_of_is_measured(together: int, short: None) -> None:
    protocol = load_protocol("sound-quick")
    study = studies.prepare(studies.Request("phantom", protocol))
    trial = Trial(protocol, (16, 16, 1), (24, 60), "cpu", brought=False, together=together)
    found = measure(trial, Job("calibration/0", "calibration", {}), lambda _: None)
    assert found["rates"].keys() >= {what for job in study.jobs for what in amounts(study, job)}
    assert all(seconds > 0 for what, seconds in found["rates"].items() if what != "check")


def test_all_that_a_published_study_is_made_of_is_measured(tiny, short: None) -> None:
    trial = Trial(tiny_protocol(), (16, 16, 1), (24, 60), "cpu", brought=False, together=0)
    found = measure(trial, Job("calibration/0", "calibration", {}), lambda _: None)
    assert found["rates"].keys() >= {what for job in tiny.jobs for what in amounts(tiny, job)}
    assert all(seconds > 0 for seconds in found["rates"].values())


def test_a_watch_leaves_the_first_stretch_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 s until the first of them, then 2 s each: 2 s each."""
    now = iter([10.0, 12.0, 14.0, 16.0])
    monkeypatch.setattr(timings.time, "perf_counter", lambda: next(now))
    watch = Watch()
    assert [watch.seen(done) for done in (1, 2, 3, 4)] == [False, False, True, True]
    assert watch.each == pytest.approx(2.0)


def test_a_watch_without_time_sees_one_stretch() -> None:
    watch = Watch(until=0.0)
    assert [watch.seen(done) for done in (1, 2)] == [False, True]


def test_what_was_not_measured_is_as_much_slower_as_what_was() -> None:
    """Twice and eight times the usual: four times."""
    rates = {"step": 2 * USUAL["step"], "pair": 8 * USUAL["pair"]}
    found = completed(rates, ("step", "pair", "image"))
    assert found == {**rates, "image": pytest.approx(4 * USUAL["image"])}
    assert completed({}, ("image",)) == {"image": USUAL["image"]}


def test_without_time_one_thing_is_measured_and_the_estimate_says_so(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "LIMIT", 0.0)
    trial = Trial(tiny_protocol(), (16, 16, 1), (24, 60), "cpu", brought=False, together=0)
    found = calibrate.calibrate(trial, 1)
    assert found.presumed == ("fold step", "pair")
    assert found.weights > 10_000
    slower = found.rates["gan step"] / USUAL["gan step"]
    assert found.rates["fold step"] == pytest.approx(slower * USUAL["fold step"])


@pytest.mark.parametrize(
    ("missing", "told", "basis"),
    [
        (
            (),
            "measured here for 8 s (100 ms a step of the GAN, 10 ms of a classifier), times",
            "a measurement",
        ),
        (
            ("pair",),
            "Rougher than usual, as this machine is busy or slow: measuring ended before pair;",
            "in part",
        ),
        (("gan step", "pair"), "measured here for 8 s (10 ms of a classifier), times", "in part"),
        (("gan step", "fold step", "pair"), "nothing could be measured in 8 s", "what is usual"),
    ],
)
def test_the_plan_says_what_its_estimate_rests_on(missing, told: str, basis: str) -> None:
    rates: Rates = {"gan step": 0.1, "fold step": 0.01, "pair": 1e-9}
    machine = Machine(rates, missing, 1.0, 0, 8.0)
    facts = {"not_measured": list(missing), "measured_for_seconds": 8.0, "seconds_each": rates}
    assert told in _how_known(facts)
    assert _basis(machine).startswith(basis)


def test_measuring_ends_also_where_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm rings while workers are started or have measured nothing; none is left behind."""
    monkeypatch.setattr(calibrate, "END", 0.2)
    trial = Trial(tiny_protocol(), (16, 16, 1), (24, 60), "cpu", brought=True, together=0)
    found = calibrate.calibrate(trial, 2)
    assert found.presumed == ("fold step", "pair")
    assert found.rates == {what: USUAL[what] for what in found.presumed}
    for worker in multiprocessing.active_children():
        worker.join(60)  # it was killed, and the system may be slow to see to that
    assert not multiprocessing.active_children()
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_the_machine_is_measured_in_as_many_workers_as_there_will_be(short: None) -> None:
    """Not shorter: the workers are new processes, where ``SECONDS`` is what it is."""
    trial = Trial(tiny_protocol(), (16, 16, 1), (24, 60), "cpu", brought=True, together=0)
    found = calibrate.calibrate(trial, 2)
    assert set(found.rates) == {"pair", "fold step"}
    assert found.weights == 0
    assert 0 < found.start < found.seconds
    assert np.isfinite(list(found.rates.values())).all()
