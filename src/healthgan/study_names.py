"""By what a study is known again: its settings as a file, and its folder."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from healthgan.protocol import to_toml
from healthgan.sound.prepare import SoundStudy

if TYPE_CHECKING:
    from healthgan.studies import Study


def settings_toml(study: "Study | SoundStudy") -> str:
    """The resolved settings as TOML: the request, then the protocol. Equal settings mean the same study."""
    request = study.request
    asked = {
        "source": study.facts["main"]["source"],
        "rare": study.task.rare,
        "reference": study.task.reference,
        "rare_images": len(study.task.rares["train"]),
        "height": study.facts["main"]["size"][0],
        "width": study.facts["main"]["size"][1],
        "seed": request.seed,
        "data": study.facts["main"]["digest"],
    }
    if isinstance(study, SoundStudy):
        asked |= {"design": study.design}
        named = {name: study.facts[name] for name in ("external", "other", "onward")}
        asked |= {name: facts["digest"] for name, facts in named.items() if facts is not None}
    elif study.control is not None:
        asked["control_data"] = study.facts["control"]["digest"]
    if study.brought is not None:
        asked["synthetic"] = study.facts["synthetic"]["digest"]
    lines = [f"{key} = {value if isinstance(value, int) else _quoted(value)}" for key, value in asked.items()]
    return to_toml(study.protocol) + "\n[study]\n" + "\n".join(lines) + "\n"


def default_folder(study: "Study | SoundStudy") -> Path:
    """Where a study goes unless told otherwise: named after its source, its protocol and what was asked beside the defaults."""
    request = study.request
    facts = study.facts
    asked = {
        "": study.task.rare if request.rare is not None else None,
        "vs_": study.task.reference if request.reference is not None else None,
        "rare": request.rare_count,
        "size": request.size,
        "synthetic_": facts["synthetic"]["name"] if "synthetic" in facts else None,
        "test_": facts["external"]["source"] if facts.get("external") else None,
        "seed": request.seed or None,
    }
    parts = [study.task.source, study.protocol.name]
    parts += [f"{what}{value}" for what, value in asked.items() if value is not None]
    return Path("runs") / "-".join(re.sub(r"[^\w.@-]+", "_", part).strip("._-") for part in parts)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)
