"""The whole published protocol at ChestMNIST's size on phantom images, as far as the time goes."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_bench import Bench, EnoughError, Pixels
from gpu_checks import PUBLISHED, best
from gpu_parts import CNN_OPERATIONS
from healthgan.classifiers.folds import Examples, FoldTraining, run_many_folds
from healthgan.generators.dcgan import Preset
from healthgan.generators.fit_dcgan import DcganRun
from healthgan.generators.fit_dcgans import DcganTraining, fit_dcgans
from healthgan.splits import stratified_folds

ROUNDS = 3


@dataclass(frozen=True)
class Sizes:
    """Of the study: positives of each split, generated images let in by each floor, epochs.

    Attributes:
        rare: training, validation and test.
        pneumonia: of the control.
        generated: by floor, from the lowest (the paper's Figure 1).
        gan_epochs: of each round.
        harvest_after: epochs whose images are no candidates.
        epochs: a fold, without generated images.
        epochs_generated: (training images, epochs) of larger sets with generated images.
    """

    preset: Preset = "dcgan-2023"
    rare: tuple[int, int, int] = (1950, 240, 582)
    pneumonia: tuple[int, int, int] = (3494, 389, 390)
    generated: tuple[int, ...] = (11415, 9103, 6850, 4612, 2906, 1588, 701, 240, 66, 17)
    gan_epochs: int = 500
    harvest_after: int = 50
    epochs: int = 40
    epochs_generated: tuple[tuple[int, int], ...] = ((20000, 200), (10000, 100), (5000, 80))

    @property
    def images(self) -> tuple[int, int]:
        """Rare (of both findings) and normal images that are needed."""
        return sum(self.rare) + sum(self.pneumonia), sum(self.rare) + self.generated[0]


SMALL = Sizes(
    preset="dcgan-small",
    rare=(24, 6, 6),
    pneumonia=(20, 6, 6),
    generated=(20, 6),
    gan_epochs=4,
    harvest_after=1,
    epochs=2,
    epochs_generated=((80, 3),),
)


def paper(bench: Bench, sizes: Sizes, rare: Pixels, normal: Pixels) -> dict[str, Any]:
    """Seconds of each stage; where the time is up before the end, how far it came."""
    found: dict[str, Any] = {"finished": False, "seconds": {}, "positives": sizes.rare[0]}
    with TemporaryDirectory() as folder:
        run = _Run(bench, sizes, Path(folder), rare, normal, found)
        try:
            for stage in (run.generators, run.likeness, run.classifiers):
                found["seconds"][stage.__name__] = bench.seconds(stage)
            found["seconds_of_all"] = sum(found["seconds"].values())
            found["finished"] = True
        except EnoughError:
            found["stopped_by_the_limit_after"] = bench.limit
    return found


@dataclass
class _Run:
    """The stages, each of which leaves what the next one needs."""

    bench: Bench
    sizes: Sizes
    folder: Path
    rare: Pixels
    normal: Pixels
    found: dict[str, Any]

    def generators(self) -> None:
        """Three rounds of the GAN, together."""
        sizes, found = self.sizes, self.found

        def told(epoch: int, _: object) -> None:
            found["gan_epochs"] = epoch
            self.bench.stop_if_late()

        reals = self.rare[: sizes.rare[0]]
        found["gan_steps_of_each"] = sizes.gan_epochs * -(-len(reals) // PUBLISHED.batch)
        runs = fit_dcgans(
            [DcganTraining(reals, seed, self.folder / str(seed), told) for seed in range(ROUNDS)],
            preset=sizes.preset,
            epochs=sizes.gan_epochs,
            batch=PUBLISHED.batch,
            learning_rate=1e-4,
            device=self.bench.device,
            checkpoint_seconds=1e9,
        )
        self.runs = [run for run in runs if isinstance(run, DcganRun)]
        found["gan_losses"] = [run.losses[-1].tolist() for run in self.runs]

    def likeness(self) -> None:
        """Candidates without duplicates, most alike first."""
        harvest = np.concatenate([run.history[self.sizes.harvest_after + 1 :] for run in self.runs])
        images = np.unique(harvest.reshape(-1, *harvest.shape[2:]), axis=0)
        scores = best(images, self.rare[: self.sizes.rare[0]], str(self.bench.device))
        self.candidates = images[np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")]
        known = scores[~np.isnan(scores)]
        self.found |= {
            "candidates": len(images),
            "likeness_quantiles": np.quantile(known, [0.05, 0.5, 0.95]).tolist(),
        }

    def classifiers(self) -> None:
        """All arms at all floors, together: sets of the paper's sizes, by rank of likeness."""
        sizes, found = self.sizes, self.found
        trainings = []
        for floor, count in enumerate(sizes.generated):
            made = self.candidates[np.arange(count) % len(self.candidates)]
            set_size = 2 * (sizes.rare[0] + count)
            epochs = next((more for above, more in sizes.epochs_generated if set_size > above), sizes.epochs)
            trainings.append(self._training(self.rare, sizes.rare, made, epochs, 10 * floor))
            trainings.append(self._training(self.rare, sizes.rare, made[:0], sizes.epochs, 10 * floor + 1))
            trainings.append(
                self._training(
                    self.rare[sum(sizes.rare) :], sizes.pneumonia, made[:0], sizes.epochs, 10 * floor + 2
                )
            )
        done = np.zeros(len(trainings), np.int64)
        begun = self.bench.left

        def told(place: int, steps: int, total: int) -> None:
            done[place] = steps
            seconds = begun - self.bench.left
            found["trainings"] = len(trainings)
            found["steps_of_all"] = int(done.sum())
            found["operations_a_second"] = float(done.sum()) * PUBLISHED.batch * CNN_OPERATIONS / seconds
            if steps == done.max():
                found["longest_chain"] = {
                    "steps": steps,
                    "of": max(total, found.get("longest_chain", {}).get("of", 0)),
                    "microseconds_a_step": 1e6 * seconds / steps,
                }
            self.bench.stop_if_late()

        outcomes = run_many_folds(
            trainings,
            recipe=PUBLISHED,
            reset_between_folds=False,
            synthetic_in_validation=True,
            device=self.bench.device,
            progress=told,
        )
        found["accuracies"] = [
            [round(float(np.mean([getattr(fold, name) for fold in scores])), 4) for name in _SHOWN]
            + [round(float(((judged > 0.5) == (np.arange(len(judged)) < len(judged) // 2)).mean()), 4)]
            for scores, judged in outcomes
        ]

    def _training(
        self, rare: Pixels, counts: tuple[int, int, int], made: Pixels, epochs: int, seed: int
    ) -> FoldTraining:
        """Sets balanced with the first normal images of each split, in the study's order."""
        train, val, test = counts
        splits = np.cumsum([0, self.sizes.rare[0] + self.sizes.generated[0], self.sizes.rare[1]])
        normal = [self.normal[begin:] for begin in splits]
        parts = [
            rare[:train],
            made,
            normal[0][: train + len(made)],
            rare[train : train + val],
            normal[1][:val],
        ]
        labels = np.repeat(np.array([1, 1, 0, 1, 0]), [len(part) for part in parts])
        synthetic = np.repeat(np.array([False, True, False, False, False]), [len(part) for part in parts])
        folds: NDArray[np.int64] = stratified_folds(labels, None, 3, 42)
        examples = Examples(np.concatenate(parts), labels, synthetic, folds)
        tests = np.concatenate([rare[train + val : train + val + test], normal[2][:test]])
        return FoldTraining(examples, tests, epochs, seed)


_SHOWN = ("train_accuracy", "val_accuracy")
