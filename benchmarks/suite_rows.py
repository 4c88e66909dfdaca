"""The figures that the benchmarks' JSON files hold, as rows of one table: what, how often, median, range, goal."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Found = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: it is of.
        unit: of the values.
        n: how often it was measured.
        median: of the values; of an exponent, the fitted one.
        low: the lowest value; of an exponent, less a standard error.
        high: the highest value; of an exponent, more a standard error.
        goal: that it should reach; None where there is none.
        most: whether the goal is the most that it may be.
    """

    what: str
    unit: str
    n: int
    median: float
    low: float
    high: float
    goal: float | None = None
    most: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in a word; empty without one."""
        if self.goal is None:
            return ""
        return "met" if (self.median <= self.goal if self.most else self.median >= self.goal) else "missed"

    def as_json(self) -> Found:
        """For a file."""
        return asdict(self) | {"verdict": self.verdict}


def rows(parts: dict[str, Found]) -> list[Row]:
    """All figures of the parts that were measured."""
    makers = {
        "likeness": _likeness,
        "keras": _keras,
        "classifiers": _classifiers,
        "batched": _batched,
        "growth": _growth,
        "limits": _limits,
        "studies": _studies,
    }
    return [row for name, found in parts.items() for row in makers[name](found)]


def spread(
    what: str, unit: str, values: list[float], goal: float | None = None, *, most: bool = False
) -> Row:
    """A row of measured values."""
    return Row(what, unit, len(values), float(np.median(values)), min(values), max(values), goal, most)


def _likeness(found: Found) -> Iterator[Row]:
    size = f"{found['setting']['queries']:,} × {found['setting']['references']:,}"
    kinds = (
        ("low-pass noise", found, 600.0),
        ("phantom", found["phantom"], None),
        ("white noise", found["noise"], None),
    )
    for kind, one, goal in kinds:
        for name, unit in (
            ("times_faster", "× scikit-image, wall"),
            ("times_less_cpu", "× scikit-image, processor"),
        ):
            row = one[name]
            yield Row(
                f"likeness {size}, {kind}", unit, row["n"], row["median"], row["min"], row["max"],
                goal if name == "times_faster" else None,
            )  # fmt: skip
    for name, one in found["growth"].items():
        yield _exponent(f"likeness over {name}", one)
    for size, one in found["memory_mib"].items():
        value = one["beyond_the_images"]
        yield spread(f"likeness {size.replace('x', ' × ')}, memory beyond the images", "MiB", [value])


def _exponent(what: str, one: Found) -> Row:
    value, error = one["exponent"], one["standard_error"]
    return Row(
        f"{what}, exponent ± standard error", "", one["n"], value, value - error, value + error, 1.05, True
    )


def _keras(found: Found) -> Iterator[Row]:
    goals = {"cnn": 4.0, "gan": 2.0}
    for one in found["results"]:
        name = one["what"].upper()
        for number, (pair, values) in enumerate(one["ratios"].items()):
            yield spread(f"{name}: {pair}", "×", values, goals[one["what"]] if number == 0 else None)
        each = one["operations"][one["what"]] / 1e9
        for way in ("ours, 2 processes × 1 thread", "Keras, its own threads"):
            shares = [
                100 * rate * each / limit
                for rate, limit in zip(one["rates"][way], one["limit_gflops"], strict=True)
            ]
            yield spread(f"{name}: {way}, share of the matrix-product peak", "%", shares)


def _classifiers(found: Found) -> Iterator[Row]:
    plain = np.array(found["images_a_second"]["plain"])
    for name, speeds in found["images_a_second"].items():
        told = {"PyTorch's own": "the loop of PyTorch's tutorials"}.get(name, name)
        yield spread(f"classifier, {told}", "images/s", speeds)
        if name != "plain":
            yield spread(f"classifier, plain over {told}", "×", (plain / np.array(speeds)).tolist())


def _batched(found: Found) -> Iterator[Row]:
    for row in found["rows"]:
        pairs = zip(row["seconds"]["one_by_one"], row["seconds"]["together"], strict=True)
        what = f"{found['asked']['network']}, {row['models']} at once over one by one, on the CPU"
        yield spread(what, "×", [one / together for one, together in pairs])
    for way, told in (("one_by_one", "one by one, as a CPU trains them"), ("together", "together")):
        value, n = found["exponents"][way], sum(len(row["seconds"][way]) for row in found["rows"])
        yield Row(f"classifiers {told}, over models, exponent", "", n, value, value, value, 1.05, True)


def _growth(found: Found) -> Iterator[Row]:
    for name, one in found.items():
        if isinstance(one, dict) and "exponent" in one:
            yield _exponent(name.replace(", ", " over "), one)
    if "workers" in found:
        yield spread("two workers over one", "×", found["workers"]["times as fast"])


def _limits(found: Found) -> Iterator[Row]:
    for name, one in found["works"].items():
        seconds = np.array(one["seconds"])
        for amount, unit in (("operations", "GFLOP/s"), ("bytes", "GB/s")):
            if one[amount]:
                yield spread(f"one thread, {name}", unit, (one[amount] / seconds / 1e9).tolist())


def _studies(found: Found) -> Iterator[Row]:
    for study, several in found["studies"].items():
        default = "--protocol" not in study
        for name, unit, goal in (
            ("seconds", "min", 20.0),
            ("processor_seconds", "processor min", None),
            ("memory_mib", "MiB", 2048.0),
        ):
            scale = 1 if unit == "MiB" else 60
            values = [one[name] / scale for one in several]
            yield spread(f"study {study}", unit, values, goal if default else None, most=True)


def table(found: list[Row]) -> str:
    """As Markdown."""
    lines = ["| what | unit | n | median | lowest – highest | goal | |", "|---|---|---:|---:|---:|---:|---|"]
    for row in found:
        goal = "" if row.goal is None else f"{'≤' if row.most else '≥'} {row.goal:g}"
        lines.append(
            f"| {row.what} | {row.unit} | {row.n} | {_number(row.median)} | {_number(row.low)} – {_number(row.high)} "
            f"| {goal} | {row.verdict} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
