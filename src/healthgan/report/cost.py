"""What a run took: jobs, processor time, workers and machines; what its energy can be told from."""

from collections.abc import Mapping
from dataclasses import dataclass

from healthgan.report.grid import Cell, Column, Grid, Row, head
from healthgan.report.page import duration
from healthgan.report.reading import Content


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        work: seconds of all its jobs, one after the other.
        passed: seconds from the first job's start to the last one's end, stops included; None where not known.
        grid: by kind of job.
        device: that it computed on, as far as its starts tell.
    """

    work: float
    passed: float | None
    grid: Grid
    device: str

    @property
    def sentence(self) -> str:
        """The cost in a sentence or two."""
        hours = self.work / 3600
        told = f"{hours:.1f} hours" if hours >= 0.95 else duration(self.work)
        over = "" if self.passed is None else f", within {duration(self.passed)}"
        if self.device == "cpu":
            unit = (
                "Every job computes with one thread, so that this is about the processor time of one core: times the watts "
                "that a core draws, it is the energy."
            )
        else:
            unit = f"Jobs computed on {self.device or 'a device that is not recorded'}: times the watts that it draws, it is about the energy."
        return f"{told} of work{over}. {unit}"


def cost(run: Content, kinds: Mapping[str, str]) -> Cost | None:
    """What a run took; None before a job is finished.

    Args:
        run: what its folder holds.
        kinds: of jobs, with their names in words.
    """
    rows: list[Row] = []
    for kind, title in kinds.items():
        seconds = [
            record["time_seconds"]
            for record in run.records.values()
            if record.get("kind") == kind and "time_seconds" in record
        ]
        if seconds:
            rows.append({"work": title, "jobs": len(seconds), "seconds": round(sum(seconds), 1)})
    if not rows:
        return None
    work = sum(row["seconds"] for row in rows)
    cells = [
        [
            head(row["work"]),
            Cell(f"{row['jobs']:,}", value=row["jobs"]),
            Cell(duration(row["seconds"]), value=row["seconds"]),
            Cell(f"{100 * row['seconds'] / work if work else 0:.0f} %", value=row["seconds"]),
        ]
        for row in rows
    ]
    columns = [Column("work"), Column("jobs"), Column("time of work"), Column("share")]
    total = [Cell("all"), Cell(f"{sum(row['jobs'] for row in rows):,}"), Cell(duration(work)), Cell("")]
    grid = Grid("time", "Time by kind of work", columns, cells, foot=total)
    devices = {str(start.get("device", "")) for start in run.starts}
    return Cost(work, _passed(run), grid, " and ".join(sorted(devices - {""})))


def _passed(run: Content) -> float | None:
    spans = [
        (record["time_started"], record["time_started"] + record["time_seconds"])
        for record in run.records.values()
        if "time_started" in record and "time_seconds" in record
    ]
    return max(end for _, end in spans) - min(start for start, _ in spans) if spans else None
