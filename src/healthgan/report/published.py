"""The published figures, and whether they may stand beside a run's own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from healthgan.report.reading import Run

Row = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """What was published about the sets and classifiers of a run.

    Attributes:
        source: who published it; empty where nothing fits the run.
        figure_1: by floor.
        figure_2: by split; empty where the run's control is another one.
        figure_4: by floor: accuracies in %, ``training``, ``validation`` and ``test``, each by arm.
    """

    source: str
    figure_1: Mapping[float, Row]
    figure_2: Mapping[str, Row]
    figure_4: Mapping[float, Row]

    def __bool__(self) -> bool:
        return bool(self.source)


NOTHING = Published("", {}, {}, {})


def published_for(run: Run) -> Published:
    """The published figures if the run uses the published study's images and trains a GAN as it did, else nothing."""
    if run.task is None or run.brought:
        return NOTHING
    text = (resources.files("healthgan.report") / "published.toml").read_text("utf-8")
    data = tomllib.loads(text)
    main, control = run.task["main"], run.task.get("control")
    if not _same(main, data["task"]):
        return NOTHING
    same_control = control is not None and _same(control, data["control"])
    arms = ("real", "generated", "control") if same_control else ("real", "generated")
    figure_4 = {
        row["floor"]: {
            stage: dict(zip(arms, row[stage], strict=False)) for stage in ("training", "validation", "test")
        }
        for row in data["figure_4"]
    }
    return Published(
        source=data["source"],
        figure_1={row["floor"]: row for row in data["figure_1"]},
        figure_2={row["split"]: row for row in data["figure_2"]} if same_control else {},
        figure_4=figure_4,
    )


def _same(facts: Row, wanted: Row) -> bool:
    name = facts["source"].casefold().partition("@")[0]
    return name == wanted["source"] and all(
        facts[key] == value for key, value in wanted.items() if key != "source"
    )
