"""The jobs of a sound study."""

from healthgan.executors import Job
from healthgan.protocol_sound import ARMS, Sound
from healthgan.sound.cells import Cell

ONWARD = "onward"
"""The name of the cell of the second question."""


def plan_jobs(protocol: Sound, cells: list[Cell], arms: tuple[str, ...], brought: bool) -> list[Job]:
    """All jobs, generators first, as they take longest and others wait for them."""
    jobs: list[list[Job]] = [[], [], [], [], []]
    for cell in cells:
        if cell.kind == "onward":
            jobs[4] += _onward_jobs(protocol, brought)
            continue
        names = _arms_of(cell, arms, protocol)
        synthetic = [arm for arm in names if ARMS[arm][0] == "synthetic"]
        count = 0 if not synthetic else 1 if brought or cell.kind == "curve" else protocol.design.generators
        measured = protocol.generator.measure and cell is cells[0] and bool(count) and not brought
        where = {"cell": cell.name}
        band = f"band/{cell.name}"
        jobs[0] += [
            Job(f"generator/{cell.name}/{number}", "generator", {**where, "number": number})
            for number in range(0 if brought else count)
        ]
        jobs[1] += [Job(f"truth/{cell.name}", "truth", where)] + [Job(band, "band", where)] * bool(count)
        jobs[2] += [
            Job(
                f"pool/{cell.name}/{number}",
                "pool",
                {**where, "number": number},
                needs=(band,) if brought else (band, f"generator/{cell.name}/{number}"),
            )
            for number in range(count)
        ]
        jobs[3] += [
            Job(f"quality/{cell.name}", "quality", where, needs=(f"generator/{cell.name}/0",))
        ] * measured
        jobs[4] += _fit_jobs(protocol, cell, names, count)
    return [job for stage in jobs for job in stage]


def _fit_jobs(protocol: Sound, cell: Cell, arms: list[str], generators: int) -> list[Job]:
    jobs = []
    design, curve = protocol.design, protocol.curve
    for arm in arms:
        synthetic = ARMS[arm][0] == "synthetic"
        seeds = design.seeds if synthetic else design.reference_seeds
        if cell.kind == "curve":
            assert curve is not None
            seeds = curve.seeds
        numbers: list[int | None] = list(range(generators)) if synthetic else [None]
        jobs += [fit_job(cell.name, arm, number, seed) for number in numbers for seed in range(seeds)]
    return jobs


def fit_job(cell: str, arm: str, generator: int | None, seed: int, pool_of: str | None = None) -> Job:
    """The training of one classifier; it waits for the pool of its generator.

    Args:
        cell: where.
        arm: which.
        generator: None for an arm without one.
        seed: number of the classifier.
        pool_of: the cell whose pool it takes, if not its own.
    """
    place = str(seed) if generator is None else f"{generator}-{seed}"
    needs = () if generator is None else (f"pool/{pool_of or cell}/{generator}",)
    parameters = {"cell": cell, "arm": arm, "generator": generator, "seed": seed}
    return Job(f"fit/{cell}/{arm}/{place}", "fit", parameters, needs)


def _onward_jobs(protocol: Sound, brought: bool) -> list[Job]:
    assert protocol.onward is not None
    design = protocol.design
    count = 1 if brought else design.generators
    return [
        Job(f"truth/{ONWARD}", "truth", {"cell": ONWARD}),
        *(
            fit_job(ONWARD, arm, None, seed)
            for arm in ("scratch", "real")
            for seed in range(design.reference_seeds)
        ),
        *(
            fit_job(ONWARD, protocol.onward.synthetic, number, seed, pool_of="main")
            for number in range(count)
            for seed in range(design.seeds)
        ),
    ]


def _arms_of(cell: Cell, arms: tuple[str, ...], protocol: Sound) -> list[str]:
    """In a cell of the learning curve only what it compares: the real images, the best reference and a synthetic arm."""
    if cell.kind != "curve":
        return list(arms)
    assert protocol.curve is not None
    wanted = {"real", protocol.curve.reference, protocol.curve.synthetic}
    return [arm for arm in arms if arm in wanted]
