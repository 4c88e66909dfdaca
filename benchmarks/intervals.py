"""Which variance of trainings makes intervals that hold the truth, with two to five generators.

    python benchmarks/intervals.py [--studies 4000] [--program 400] [--failing 0] [--seed 0]

AUROCs of 6 synthetic and 7 reference arms are drawn from a normal model, without predictions; the variance over test
patients is known up to a χ² with 60 degrees of freedom. Four rules for the variance of an arm's generators (or
seeds, in reference arms), each with Satterthwaite's degrees of freedom:

    own       of the arm itself (Obuchowski and Rockette; Hillis 2007)
    pooled    over arms
    larger    of both
    halfway   pooled, and half of what the arm's own exceeds it by
    program   what healthgan.statistics.readers does, in the first --program studies of each kind: halfway, but an
              arm whose trainings differ far more than the others' counts by itself

--failing SD lets the trainings of the last reference arm differ by that much, as where some of them fail.

For each: coverage of the 95 % interval over all arms, coverage of the arm that varies most, mean half-width in
thousandths of AUROC.
"""

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from healthgan.statistics.cases import Influence
from healthgan.statistics.readers import Units, training_variances

Values = NDArray[np.float64]
SYNTHETIC, REFERENCES, CASE_DF = 6, 7, 60
LAYOUTS = [(2, 2, 2), (2, 2, 4), (2, 10, 10), (3, 3, 9), (5, 2, 10), (5, 10, 10)]
"""Generators, seeds nested in them, seeds of a reference arm."""
SDS = {
    "patients": (0.008, 0.004, 0.006),
    "restless": (0.009, 0.004, 0.012),
    "trainings": (0.003, 0.010, 0.010),
}
"""Of a difference over test patients, over generators, over seeds; named by what decides the width."""
RULES = ("own", "pooled", "larger", "halfway")
Found = dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Drawn:
    """Studies without any difference: AUROCs (M, 6, G, S), those of a reference arm and the other ones (M, 7, R)."""

    synthetic: Values
    references: Values
    cases: Values  # (M, 1) estimated variance of a difference over test patients
    most: NDArray[np.int64]  # (M,) the synthetic arm that varies most


def draw(
    layout: tuple[int, int, int],
    sds: tuple[float, float, float],
    alike: float,
    uneven: float,
    studies: int,
    rng: np.random.Generator,
    failing: float,
) -> Drawn:
    generators, seeds, reference_seeds = layout
    case, generator_sd, seed_sd = sds
    width = np.sqrt(np.log(1 + uneven**2))

    def factors(arms: int) -> Values:  # mean square 1
        scale: Values = np.exp(width * rng.standard_normal((studies, arms)) - width**2)
        return scale

    of_generators, of_seeds = generator_sd * factors(SYNTHETIC), seed_sd * factors(SYNTHETIC)
    common = rng.standard_normal((studies, 1, generators))
    apart = rng.standard_normal((studies, SYNTHETIC, generators))
    effects = (np.sqrt(alike) * common + np.sqrt(1 - alike) * apart) * of_generators[..., None]
    single = rng.standard_normal((studies, SYNTHETIC, generators, seeds)) * of_seeds[..., None, None]
    arms = rng.standard_normal((studies, SYNTHETIC + REFERENCES, 1)) * case / np.sqrt(2)
    references = rng.standard_normal((studies, REFERENCES, reference_seeds)) * seed_sd
    references *= factors(REFERENCES)[..., None]
    references[:, -1] *= failing / seed_sd if failing else 1.0
    return Drawn(
        synthetic=arms[:, :SYNTHETIC, :, None] + effects[..., None] + single,
        references=arms[:, SYNTHETIC:] + references,
        cases=case**2 * rng.chisquare(CASE_DF, (studies, 1)) / CASE_DF,
        most=np.argmax(of_generators**2 + of_seeds**2 / seeds, axis=1),
    )


def judge(drawn: Drawn) -> Found:
    """Against the first reference arm."""
    _, arms, generators, seeds = drawn.synthetic.shape
    reference_seeds = drawn.references.shape[2]
    means = drawn.synthetic.mean(axis=3)
    difference = means.mean(axis=2) - drawn.references[:, :1].mean(axis=2)
    own = means.var(axis=2, ddof=1), drawn.references[:, :1].var(axis=2, ddof=1)
    seed_df = REFERENCES * (reference_seeds - 1) + arms * generators * (seeds - 1)
    squares = (reference_seeds - 1) * drawn.references.var(axis=2, ddof=1).sum(axis=1)
    squares = squares + (seeds - 1) * drawn.synthetic.var(axis=3, ddof=1).sum(axis=(1, 2))
    seed = (squares / seed_df)[:, None]
    overall = means.mean(axis=1)
    common = overall.var(axis=1, ddof=1)[:, None]
    rest = means - overall[:, None] - (means.mean(axis=2) - overall.mean(axis=1)[:, None])[..., None]
    apart = (rest**2).sum(axis=(1, 2))[:, None] / (generators - 1) / arms
    generator = common + apart
    generator_df = generator**2 / (common**2 / (generators - 1) + apart**2 / ((generators - 1) * (arms - 1)))
    least = seed / seeds
    df = np.where(generator >= least, generator_df, seed_df)
    pooled = np.maximum(generator, least), seed
    excess = [np.maximum(one - other, 0) for one, other in zip(own, pooled, strict=True)]
    found = {}
    for rule in RULES:
        if rule == "own":
            parts, freedom = list(own), [generators - 1, reference_seeds - 1]
        else:
            weight = {"pooled": 0.0, "larger": 1.0, "halfway": 0.5}[rule]
            parts = [one + weight * more for one, more in zip(pooled, excess, strict=True)]
            freedom = [df, seed_df]
        parts = [parts[0] / generators, parts[1] / reference_seeds]
        total = drawn.cases + sum(parts)
        squared = drawn.cases**2 / CASE_DF + sum(
            part**2 / one for part, one in zip(parts, freedom, strict=True)
        )
        half = -special.stdtrit(total**2 / squared, 0.025) * np.sqrt(total)
        found[rule] = covered(difference, half, drawn.most)
    return found


def covered(difference: Values, half: Values, most: NDArray[np.int64]) -> tuple[float, float, float]:
    """Share of intervals that hold 0, of all arms and of the one that varies most, and their mean half-width."""
    held = np.abs(difference) <= half
    return (
        float(held.mean()),
        float(held[np.arange(len(held)), most].mean()),
        1000 * float(half.mean()),
    )


def judge_by_program(drawn: Drawn, studies: int) -> Found:
    """The same by the program's own function, in the first studies."""
    halves, differences = [], []
    for synthetic, references, cases in zip(
        drawn.synthetic[:studies], drawn.references[:studies], drawn.cases[:studies, 0], strict=True
    ):
        units = [unit(f"reference-{number}", arm[:, None], None) for number, arm in enumerate(references)]
        units += [unit(f"synthetic-{number}", arm, len(arm)) for number, arm in enumerate(synthetic)]
        trainings = training_variances(units)
        real, others = trainings[0], trainings[REFERENCES:]
        total = np.array([cases + real.variance + one.variance for one in others])
        squared = np.array(
            [cases**2 / CASE_DF + sum(part.variance**2 / part.df for part in (real, one)) for one in others]
        )
        halves.append(-special.stdtrit(total**2 / squared, 0.025) * np.sqrt(total))
        differences.append(synthetic.mean(axis=(1, 2)) - references[0].mean())
    return {"program": covered(np.array(differences), np.array(halves), drawn.most[:studies])}


def unit(name: str, aurocs: Values, generators: int | None) -> Units:
    """An arm with these AUROCs (units, classifiers)."""
    count, size = aurocs.shape
    single = aurocs if generators else aurocs.T
    none = np.zeros((count, 0))
    return Units(
        name=name,
        kind="synthetic" if generators else "reference",
        generators=tuple(range(count)) if generators else None,
        sizes=np.full(count, size),
        influence=Influence(aurocs.mean(axis=1), none, none, CASE_DF, CASE_DF),
        seed_variance=float(single.var(axis=1, ddof=1).mean()),
        seed_df=len(single) * (single.shape[1] - 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--program", type=int, default=400)
    parser.add_argument("--failing", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    every: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    print("G  S  R   decided by  alike uneven   " + "".join(f"{rule:^22s}" for rule in (*RULES, "program")))
    for layout, (name, sds), alike, uneven in itertools.product(LAYOUTS, SDS.items(), (0, 0.5, 1), (0, 0.5)):
        drawn = draw(layout, sds, alike, uneven, options.studies, rng, options.failing)
        found = judge(drawn) | judge_by_program(drawn, options.program)
        cells = [f"{100 * a:5.1f} {100 * m:5.1f} {w:5.1f}     " for a, m, w in found.values()]
        print("{:<3d}{:<3d}{:<4d}".format(*layout) + f"{name:12s}{alike:<6g}{uneven:<9g}" + "".join(cells))
        for rule, value in found.items():
            every.setdefault((rule, name), []).append(value)
    for (rule, name), values in every.items():
        low, high = 100 * np.min(values, axis=0), 100 * np.max(values, axis=0)
        print(
            f"{rule:8s} where {name:10s} decide: all arms {low[0]:.1f}-{high[0]:.1f} %, "
            f"most variable arm {low[1]:.1f}-{high[1]:.1f} %, mean half-width {np.mean(values, axis=0)[2]:.1f}"
        )


if __name__ == "__main__":
    main()
