"""The published study's question with its faults mended one after the other: what was each fault worth?

    python benchmarks/mended.py SOURCE --rare CLASS --out DIR [--run PAPER_RUN_FOLDER] [--seeds 5]
        [--floors 0.80 0.81 ...] [--gan-epochs 500] [--control pneumoniamnist] [--seed 0] [--report]

Real images against real and filtered images of the study's GAN, by the study's CNN, at each floor of likeness that at
least ten images of either class reach. Rung 0 is the comparison as published; each rung mends one more fault: the
network is reset between folds; no synthetic images in validation folds; both classes synthetic (a second GAN, trained
on as many reference images as there are rare ones); equal optimiser steps in every arm and fold; patients kept
together. All rungs are trained with the same seeds. Then the control, shrunk to the rare class's n, against all of it
and against the rare class. The report goes to stdout as Markdown; the test images decide nothing.

One GAN a class is trained (published: three rounds of the rare class's), or the rare class's first one is taken from
a run of the protocol `paper` (--run). Resumes where it was stopped, and more seeds or floors can be added; --report
trains nothing and prints what is there.
"""

import argparse
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.executors import keep_freed_memory
from healthgan.facts import collection_digest
from healthgan.files import sha256
from healthgan.generators.fit_dcgan import fit_dcgan
from healthgan.images import Split
from healthgan.jobs import generator_files, load_npz, save_npz, seed_for
from healthgan.likeness import score_candidates
from healthgan.protocol import Protocol, load_protocol
from healthgan.run import Record, RunFolder, environment, open_run
from healthgan.sources import load
from healthgan.splits import in_splits, keep_apart
from healthgan.task import Members, Task, check_rare, make_task
from mended_arms import CLASSES, CPU, Made, Study
from mended_figures import CONTROLS, RUNGS, Results, training_key
from mended_report import report, truth, words

FEWEST = 10
"""Accepted images of either class that a floor needs."""
STRANGERS = 10**9
"""Added to the control's patients, who are not those of the main source."""


def read_study(options: argparse.Namespace) -> Study:
    """The images, in both kinds of splits."""
    protocol = load_protocol("paper")
    assert isinstance(protocol, Protocol)
    assert protocol.control is not None
    if options.gan_epochs <= protocol.generator.harvest_after:
        raise InputError(
            f"--gan-epochs must be above {protocol.generator.harvest_after}, where harvest begins."
        )
    collection = in_splits(load(options.source, seed=options.seed), options.seed)
    parted, lost = keep_apart(collection)
    published, apart = (
        make_task(
            one,
            rare=options.rare,
            reference=None,
            rare_count=None,
            order=protocol.data.balance,
            seed=options.seed,
        )
        for one in (collection, parted)
    )
    check_rare(published)
    other, _ = keep_apart(in_splits(load(options.control, seed=options.seed), options.seed))
    names = protocol.control.rare, protocol.control.reference
    control = make_task(
        other,
        rare=names[0],
        reference=names[1],
        rare_count=None,
        order=protocol.data.balance,
        seed=options.seed,
    )
    published = replace(
        published,
        rares={**published.rares, "test": apart.rares["test"]},
        references={**published.references, "test": apart.references["test"]},
    )
    return Study(
        protocol,
        published,
        apart,
        as_strangers(control),
        lost,
        collection_digest(collection),
        options.seed,
    )


def as_strangers(task: Task) -> Task:
    """The task with patients who can't be taken for those of the main source."""

    def moved(classes: Mapping[Split, Members]) -> dict[Split, Members]:
        return {
            split: replace(members, patient=members.patient + STRANGERS) for split, members in classes.items()
        }

    return replace(task, rares=moved(task.rares), references=moved(task.references))


def harvest(study: Study, name: str, epochs: int, run: Path | None, folder: RunFolder) -> NDArray[np.uint8]:
    """All images (epochs + 1, 16, H, W, C) of a class's GAN: trained, or the first of a run."""
    if run is not None and name == "rare":
        history = load_npz(RunFolder(run).artifact(generator_files(0)[1]))["history"]
        if len(history) <= epochs:
            raise InputError(
                f"The GAN of '{run}' was trained for {len(history) - 1} epochs; give --gan-epochs."
            )
        return history[: epochs + 1]
    file = folder.artifact(f"generator/{name}.npz")
    if not file.exists():
        settings, started = study.protocol.generator, time.time()

        def progress(epoch: int, _: dict[str, float]) -> None:
            if epoch % 10 == 0:
                say(f"GAN of the {name} class: epoch {epoch} of {epochs}, {time.time() - started:.0f} s")

        found = fit_dcgan(
            study.reals(name),
            preset=settings.preset,
            epochs=epochs,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=seed_for(study.seed, f"generator/{name}"),
            device=CPU,
            checkpoint=folder.artifact(f"generator/{name}.checkpoint.safetensors"),
            checkpoint_seconds=300,
            progress=progress,
        )
        save_npz(file, history=found.history[: epochs + 1], losses=found.losses[:epochs])
    return load_npz(file)["history"]


def scored(study: Study, name: str, history: NDArray[np.uint8]) -> Made:
    """The harvest as published: rendered after every epoch past the 50th, each image once."""
    after = study.protocol.generator.harvest_after + 1
    found = score_candidates([history[after:]], study.reals(name), first_epoch=after, threads=1)
    codes = -1 - (2 * np.arange(len(found.images)) + CLASSES.index(name))
    return Made(found.images, found.likeness, codes)


def common_floors(made: dict[str, Made], floors: list[float]) -> list[float]:
    """Those that enough images of either class reach."""
    return [floor for floor in floors if min(len(one.accepted(floor)) for one in made.values()) >= FEWEST]


Training = tuple[str, Callable[[], Record]]
"""Key, and what makes the record."""


def real_trainings(study: Study, seeds: int) -> Iterator[Training]:
    """Those that need no GAN."""
    for number in range(seeds):
        for rung in range(len(RUNGS)):
            yield training_key("real", 0.0, rung, number), lambda r=rung, n=number: study.real(r, n)  # type: ignore[misc] # mypy cannot infer a lambda with a default
        for arm in CONTROLS:
            key = training_key(arm, 0.0, len(RUNGS) - 1, number)
            yield key, lambda a=arm, n=number: study.control_arm(a, n)  # type: ignore[misc]


def generated_trainings(
    study: Study, made: dict[str, Made], floors: list[float], seeds: int
) -> Iterator[Training]:
    """The others, seed after seed, so that what is there is a ladder of fewer seeds."""
    for number in range(seeds):
        for rung in range(len(RUNGS)):
            for floor in floors:
                key = training_key("generated", floor, rung, number)
                yield key, lambda f=floor, r=rung, n=number: study.generated(made, f, r, n)  # type: ignore[misc]


def work(folder: RunFolder, trainings: Iterator[Training], finished: dict[str, Record]) -> None:
    """Do what has no record yet, one JSON line a training."""
    for key, train in trainings:
        if key not in finished:
            started = time.process_time()
            record = train() | {"time_processor": time.process_time() - started}
            folder.append(record)
            finished[key] = record
            say(f"{key}: {record['time_processor']:.1f} processor seconds")


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def made_images(study: Study, options: argparse.Namespace, folder: RunFolder) -> dict[str, Made]:
    """The generated images of both classes."""
    return {
        name: scored(study, name, harvest(study, name, options.gan_epochs, options.run, folder))
        for name in CLASSES
    }


def summary(
    study: Study, options: argparse.Namespace, folder: RunFolder, made: dict[str, Made] | None
) -> str:
    """The report on what is there; without the GANs' images, these are read if both are there."""
    own = [name for name in CLASSES if options.run is None or name != "rare"]
    if made is None and all(folder.artifact(f"generator/{name}.npz").exists() for name in own):
        made = made_images(study, options, folder)
    made = made or {}
    floors = common_floors(made, options.floors) if made else []
    tests = {"main": truth(study.apart), "control": truth(study.control)}
    results = Results(folder.finished(), floors, tests, options.seeds)
    accepted = {name: [len(one.accepted(floor)) for floor in options.floors] for name, one in made.items()}
    facts = {"floors": options.floors, "accepted": accepted}
    return report(results, facts | {"words": words(study, options.gan_epochs, results)})


def settings(study: Study, options: argparse.Namespace) -> str:
    """What must not change between starts: seeds and floors may."""
    rare = "own"
    if options.run is not None:
        file = options.run / "study.toml"
        if not file.exists():
            raise InputError(f"'{options.run}' is no run folder of the protocol 'paper'.")
        of_run = tomllib.loads(file.read_text("utf-8"))["study"]
        if (of_run["data"], of_run["rare"]) != (study.digest, study.published.rare):
            raise InputError(f"'{options.run}' is a study of other images, or of another class.")
        rare = sha256(RunFolder(options.run).artifact(generator_files(0)[1]))
    control = f"{study.control.source}, {len(study.control.rares['train'])}"
    lines = {"data": study.digest, "rare": study.published.rare, "gan": rare, "control": control}
    numbers = {"gan_epochs": options.gan_epochs, "seed": options.seed}
    return "".join(
        [
            *(f'{key} = "{value}"\n' for key, value in lines.items()),
            *(f"{k} = {v}\n" for k, v in numbers.items()),
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--rare", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--floors", type=float, nargs="+", default=[round(0.80 + 0.01 * k, 2) for k in range(10)]
    )
    parser.add_argument("--gan-epochs", type=int, default=500)
    parser.add_argument("--control", default="pneumoniamnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    keep_freed_memory()
    study = read_study(options)
    if options.report:
        print(summary(study, options, RunFolder(options.out), made=None))
        return
    started = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **environment()}
    with open_run(options.out, settings(study, options), started) as folder:
        finished = folder.finished()
        work(folder, real_trainings(study, options.seeds), finished)
        made = made_images(study, options, folder)
        floors = common_floors(made, options.floors)
        work(folder, generated_trainings(study, made, floors, options.seeds), finished)
        print(summary(study, options, folder, made))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
