"""Whether the comparison's claims hold: whole studies made up at the level of predictions, with known truths.

    python benchmarks/honesty.py [--studies 1000] [--seed 0] [--json FILE]

FILE keeps what is done as each part ends; the same command goes on from there.

Null: no arm differs. How often is one said to help or to hurt, and do the intervals hold the truth?
Power: one synthetic arm is 0.03 AUROC better. How large a test set finds it in 80 % of studies?
Cross-validation: the same as null, over splits that share their images.
Exchange rate: a known learning curve, and synthetic images worth a known number of real ones.

A made-up study has 7 reference and 6 synthetic arms, a test set of 66 positive images of 50 patients and 1,692
negative ones. *Usual* classifiers differ by 0.006 AUROC between seeds and 0.004 between generators, and two arms'
means by 0.008 over test patients. *Restless* ones are as was measured with the study's CNN on 2,407 chest X-rays
(100 positives; 24 to 32 classifiers): 0.012 between seeds, 0.010 over test patients.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from healthgan.files import write_text
from healthgan.statistics import Verdict, exchange_rates
from healthgan.statistics.comparison import compare_pairs, design_of
from healthgan.statistics.cross_validation import compare_splits, mean_aurocs
from healthgan.statistics.fold_arms import mean_aurocs_over_splits
from healthgan.statistics.pairs import Pair, answers_of
from healthgan.statistics.simulation import Layout, Study, World, simulate
from healthgan.statistics.simulation_curve import Pool, simulate_curve
from healthgan.statistics.simulation_splits import SET, Folding, simulate_splits
from healthgan.statistics.verdicts import Headline, headline

USUAL = World()
RESTLESS = World(seed_sd=0.006, generator_sd=0.004, arm=0.07, generator=0.01, fit=0.125)
SMALL = Layout(generators=2, seeds=2, reference_seeds=4)
FULL = Layout(generators=5, seeds=10, reference_seeds=10)
GAIN = 0.03
LITTLE = World(positives=50, positive_patients=40, negatives=150, patients=150)
LIMIT = 0.064


def studies(world: World, layout: Layout, gains: list[float], count: int, seed: list[int]) -> Iterator[Study]:
    for number in range(count):
        yield simulate(world, layout, gains, np.random.default_rng([*seed, number]))


def pairs_of(study: Study) -> list[Pair]:
    return compare_pairs(design_of(study.arms, study.labels, study.patients))


def answer_of(pairs: list[Pair]) -> Headline:
    return headline(answers_of(pairs), "real")[0]


def decided(pair: Pair) -> bool:
    return pair.verdict in (Verdict.HELPS, Verdict.HURTS)


def share(hits: list[bool]) -> dict[str, float]:
    """A share with its Wilson interval."""
    interval = stats.binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return {"share": sum(hits) / len(hits), "low": interval.low, "high": interval.high}


def over_studies(held: NDArray[np.float64]) -> dict[str, float]:
    """A mean share with its standard error."""
    return {"share": float(held.mean()), "standard error": float(held.std(ddof=1) / np.sqrt(len(held)))}


@dataclass
class Tally:
    """What is counted over studies without any difference."""

    covered: list[float]
    together: list[bool]
    decided: list[bool]
    references: list[bool]
    answers: list[Headline]

    def add(self, pairs: list[Pair], truth: dict[str, float]) -> None:
        """Count a study."""
        synthetic = [pair for pair in pairs if pair.kind == "synthetic"]
        true = {pair: truth[pair.arm] - truth[pair.reference] for pair in synthetic}
        against_real = [pair for pair in synthetic if pair.reference == "real"]
        self.covered.append(float(np.mean([p.marginal_low <= true[p] <= p.marginal_high for p in synthetic])))
        self.together.append(all(pair.low <= true[pair] <= pair.high for pair in against_real))
        self.decided.append(any(decided(pair) for pair in against_real))
        self.references.append(any(decided(pair) for pair in pairs if pair.kind == "reference"))
        self.answers.append(answer_of(pairs))

    def summary(self) -> dict[str, Any]:
        """Shares, with what they should be."""
        covered = np.array(self.covered)
        return {
            "studies": len(covered),
            "a synthetic arm helps or hurts against real": share(self.decided),
            "limit of that": LIMIT,
            "a reference arm helps or hurts against real": share(self.references),
            "intervals of single arms hold the truth": over_studies(covered),
            "intervals of all arms hold the truth": share(self.together),
            "headlines": {answer.value: self.answers.count(answer) for answer in sorted(set(self.answers))},
        }


def null(world: World, layout: Layout, count: int, seed: list[int]) -> dict[str, Any]:
    tally = Tally([], [], [], [], [])
    for study in studies(world, layout, [0.0] * layout.synthetic, count, seed):
        tally.add(pairs_of(study), study.truth)
    return {"fits": layout.fits, **tally.summary()}


def power(world: World, layout: Layout, count: int, seed: list[int]) -> dict[str, Any]:
    """The size at which the components of some studies promise the power, and what it is there."""
    gains = [GAIN] + [0.0] * (layout.synthetic - 1)
    pilot = [
        next(pair for pair in pairs_of(study) if (pair.arm, pair.reference) == ("synthetic-0", "real"))
        for study in studies(world, layout, gains, max(4, count // 5), [*seed, 0])
    ]
    width = np.mean([pair.detectable / pair.se for pair in pilot])
    patients = np.mean([pair.variance.cases + pair.variance.crossed for pair in pilot])
    trainings = np.mean([pair.variance.trainings for pair in pilot])
    factor = patients / ((GAIN / width) ** 2 - trainings)
    found: dict[str, Any] = {"gain": GAIN, "fits": layout.fits, "sizes": []}
    for number, times in enumerate((1.0, float(factor), 1.5 * float(factor))):
        sized = world.times(times)
        hits, heads = [], []
        for study in studies(sized, layout, gains, count, [*seed, 1 + number]):
            pairs = pairs_of(study)
            first = [pair for pair in pairs if pair.arm == "synthetic-0"]
            hits.append(any(p.reference == "real" and p.verdict is Verdict.HELPS for p in first))
            heads.append(answer_of(pairs) is Headline.HELPS)
        found["sizes"].append(
            {
                "times": times,
                "positives": sized.positives,
                "positive patients": sized.positive_patients,
                "negatives": sized.negatives,
                "studies": count,
                "found against real": share(hits),
                "headline helps (better than all references)": share(heads),
            }
        )
    return found


def cross_validation(folding: Folding, count: int, seed: list[int], world: World = SET) -> dict[str, Any]:
    layout = Layout(references=2, synthetic=6, generators=1, seeds=2, reference_seeds=2)
    tally = Tally([], [], [], [], [])
    held, widths = [], []
    for number in range(count):
        rng = np.random.default_rng([*seed, number])
        splits, truth = simulate_splits(world, layout, folding, [0.0] * layout.synthetic, rng)
        if min(len(np.unique(split.patients[split.labels == 1])) for split in splits) < 2:
            continue  # the program refuses a test part with one rare patient
        names = [(arm.name, arm.kind) for arm in splits[0].arms]
        share_tested = 1 / (folding.folds - 1)
        values = mean_aurocs(splits)
        tally.add(compare_splits(names, values, share_tested), truth)
        single = [found.estimate for found in mean_aurocs_over_splits(splits, values, share_tested)]
        held.append(
            np.mean(
                [one.low <= truth[name] <= one.high for one, (name, _) in zip(single, names, strict=True)]
            )
        )
        widths.append(np.mean([one.high - one.low for one in single]))
    return {
        "images": world.positives + world.negatives,
        "positives": world.positives,
        **tally.summary(),
        "AUROCs of single arms hold the truth": over_studies(np.array(held)),
        "mean width of these": float(np.mean(widths)),
    }


def exchange(pool: Pool, count: int, seed: list[int]) -> dict[str, Any]:
    """Draws from one training set, which overlap, and all of it once; the worth that is true in it is to be held."""
    held = []
    for number in range(count):
        points, truth = simulate_curve(pool, np.random.default_rng([*seed, number]))
        rates = exchange_rates(points)
        held.append([rate.low <= worth <= rate.high for rate, worth in zip(rates, truth, strict=True)])
    columns = list(zip(*held, strict=True))
    return {
        f"at {images} images": share(list(column))
        for images, column in zip(pool.counts, columns, strict=True)
    } | {"studies": count, **asdict(pool)}


def plan(count: int, seed: int) -> dict[str, Callable[[], dict[str, Any]]]:
    few = max(count // 4, 4)
    more = Folding(training_sd=0.01, training=0.1)
    return {
        "null, usual, G = 2, S = 2": lambda: null(USUAL, SMALL, count, [seed, 0]),
        "null, restless, G = 2, S = 2": lambda: null(RESTLESS, SMALL, count, [seed, 1]),
        "null, uneven arms, G = 2, S = 2": lambda: null(replace(RESTLESS, uneven=0.5), SMALL, few, [seed, 2]),
        "null, usual, G = 5, S = 10": lambda: null(USUAL, FULL, count, [seed, 3]),
        "null, usual, one synthetic arm, G = 2, S = 2": lambda: null(
            USUAL, replace(SMALL, synthetic=1), count, [seed, 14]
        ),
        "power, usual, G = 2, S = 2": lambda: power(USUAL, SMALL, few, [seed, 4]),
        "power, restless, G = 2, S = 2": lambda: power(RESTLESS, SMALL, few, [seed, 5]),
        "power, usual, G = 5, S = 10": lambda: power(USUAL, FULL, max(few // 2, 4), [seed, 6]),
        "cross-validation, 5 folds, 3 times": lambda: cross_validation(Folding(), count, [seed, 7]),
        "cross-validation, 5 folds, once": lambda: cross_validation(Folding(repeats=1), few, [seed, 8]),
        "cross-validation, training sets matter more": lambda: cross_validation(more, few, [seed, 9]),
        "cross-validation, 3 folds, once": lambda: cross_validation(
            Folding(folds=3, repeats=1), few, [seed, 11]
        ),
        "cross-validation, 50 positives, 5 folds, 3 times": lambda: cross_validation(
            Folding(training_sd=0.015), few, [seed, 12], LITTLE
        ),
        "cross-validation, 50 positives, 3 folds, once": lambda: cross_validation(
            Folding(folds=3, repeats=1, training_sd=0.015), few, [seed, 13], LITTLE
        ),
        "exchange rate": lambda: exchange(Pool(), count, [seed, 10]),
        "exchange rate, 200 images": lambda: exchange(Pool(counts=(25, 50, 100, 200)), count, [seed, 15]),
    }


def show(title: str, found: dict[str, Any], indent: int = 0) -> None:
    print(f"{'  ' * indent}{title}", flush=True)
    for name, value in found.items():
        lead = "  " * (indent + 1)
        if isinstance(value, dict) and "share" in value and "low" in value:
            print(
                f"{lead}{name:50s} {100 * value['share']:5.1f} %  "
                f"[{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
            )
        elif isinstance(value, dict) and "share" in value:
            print(f"{lead}{name:50s} {100 * value['share']:5.1f} %  ± {100 * value['standard error']:.1f}")
        elif isinstance(value, dict):
            show(name, value, indent + 1)
        elif isinstance(value, list) and isinstance(value[0], dict):
            for entry in value:
                show(f"{name}:", entry, indent + 1)
        else:
            print(
                f"{lead}{name:50s} {value:.3g}" if isinstance(value, float) else f"{lead}{name:50s} {value}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep the results here, and go on from them")
    options = parser.parse_args()
    asked = {"studies": options.studies, "seed": options.seed}
    found = kept(options.json, asked)
    for title, work in plan(options.studies, options.seed).items():
        if title not in found:
            began = time.process_time()
            found[title] = work()
            found[title]["processor seconds"] = time.process_time() - began
            if options.json:
                keep(options.json, asked, found)
        show(title, found[title])
    seconds = sum(part["processor seconds"] for part in found.values())
    print(
        f"{seconds:.0f} processor seconds, NumPy {np.__version__}, {platform.processor() or platform.machine()}"
    )


def kept(file: Path | None, asked: dict[str, int]) -> dict[str, Any]:
    """The parts that a run with the same options has done."""
    if file is None or not file.exists():
        return {}
    before = json.loads(file.read_text("utf-8"))
    if before["asked"] != asked:
        raise SystemExit(f"{file} is of {before['asked']}, not of {asked}. Name another file.")
    found: dict[str, Any] = before["found"]
    return found


def keep(file: Path, asked: dict[str, int], found: dict[str, Any]) -> None:
    """Write all that is done so far."""
    worlds = {"usual": asdict(USUAL), "restless": asdict(RESTLESS)}
    write_text(file, json.dumps({"asked": asked, "worlds": worlds, "found": found}, indent=1))


if __name__ == "__main__":
    main()
