"""Sound studies as Markdown, for docs/results: every arm's figure and interval, beside every reference arm.

healthgan study SOURCE --rare CLASS --out RUN
python benchmarks/sound.py RUN [RUN …]
"""

import csv
import json
import sys
from pathlib import Path

from healthgan.report import build
from healthgan.report.reading import read_run
from healthgan.report.sound.comparison import examine
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import hardest
from healthgan.report.tables import summary

Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def between(row: Row, low: str, high: str) -> str:
    return f"{float(row[low]):.3f} to {float(row[high]):.3f}"


def signed(row: Row) -> str:
    return f"{float(row['difference']):+.3f} ({float(row['low']):+.3f} to {float(row['high']):+.3f})"


def page(run: Path) -> str:
    """One study."""
    read = read_run(run)
    assert isinstance(read, SoundRun), f"{run} is no sound study"
    build(run)
    found, compared = summary(run), examine(read).main
    assert compared is not None, f"{run} is not finished"
    arms, pairs = rows(run / "tables" / "arms.csv"), rows(run / "tables" / "differences.csv")
    references = [arm["arm"] for arm in arms if arm["kind"] == "reference" and arm["unsteady"] != "True"]
    lines = [f"## {found['source']}, {found['rare']}, {read.asked['rare_images']} training images", ""]
    lines += [found["answer"][0], "", *(f"{line}\n" for line in found["answer"][1:3])]
    lines += [f"Left out: {name} ({reason}).\n" for name, reason in found["left_out"].items()]
    lines += [
        "| arm | classifiers | AUROC | 95 % interval | − real | verdict | against the hardest reference arm |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in arms:
        own = [pair for pair in pairs if pair["arm"] == arm["arm"]]
        to_real = next((pair for pair in own if pair["reference"] == "real"), None)
        against = [pair for pair in own if pair["reference"] in references]
        least = hardest(compared, arm["arm"]).reference if len(against) > 1 else None
        hard = next((pair for pair in against if pair["reference"] == least), None)
        cells = [
            arm["arm"],
            arm["classifiers"],
            f"{float(arm['auroc']):.3f}" + " (unsteady)" * (arm["unsteady"] == "True"),
            between(arm, "auroc_low", "auroc_high"),
            "" if to_real is None else signed(to_real),
            "" if to_real is None else to_real["verdict"],
            "" if hard is None else f"{hard['reference']}: {signed(hard)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    seconds = sum(record.get("time_seconds", 0) for record in read.records.values())
    starts = json.loads((run / "manifest.json").read_text("utf-8"))["starts"]
    ended = max(
        record["time_started"] + record["time_seconds"]
        for record in read.records.values()
        if "time_started" in record
    )
    began = min(record["time_started"] for record in read.records.values() if "time_started" in record)
    lines += [
        "",
        f"{len(read.planned)} jobs, {seconds / 60:.0f} minutes of jobs on {starts[-1]['workers']} workers, "
        f"{(ended - began) / 60:.0f} minutes from the first to the last ({len(starts)} start{'s' * (len(starts) > 1)}).",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n\n".join(page(Path(name)) for name in sys.argv[1:]))
