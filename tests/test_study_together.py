"""A study after the published one whose generators and classifiers are trained together: the same records."""

from pathlib import Path

import numpy as np
import pytest

from healthgan import studies
from healthgan.jobs import load_npz
from healthgan.run import RunFolder
from tiny import tiny_protocol


def run(source: Path, out: Path) -> RunFolder:
    prepared = studies.prepare(studies.Request(str(source), tiny_protocol()))
    studies.run(prepared, out, device="cpu", workers=2)
    return RunFolder(out)


def outline(value: object) -> object:
    """The fields and types of a record, without its numbers."""
    if isinstance(value, dict):
        return {key: outline(entry) for key, entry in value.items()}
    return [outline(entry) for entry in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.slow
def test_together_a_study_leaves_what_it_leaves_one_by_one(blobs, tmp_path, monkeypatch) -> None:
    """What rests on generated images may differ by roundings; the classifiers of real ones hardly do."""
    alone = run(blobs, tmp_path / "alone")
    monkeypatch.setattr(studies, "TOGETHER_ON", {"cpu"})
    together = run(blobs, tmp_path / "together")
    found, expected = ({record["key"]: record for record in folder.records()} for folder in (together, alone))
    assert found.keys() == expected.keys()
    for key, record in expected.items():
        ours = {name: value for name, value in found[key].items() if name != "artifacts"}
        theirs = {name: value for name, value in record.items() if name != "artifacts"}
        assert outline(ours) == outline(theirs), key
        assert list(found[key].get("artifacts", {})) == list(record.get("artifacts", {}))
        for name in record.get("artifacts", {}):
            if name.endswith(".npz"):
                one, other = (load_npz(folder.artifact(name)) for folder in (together, alone))
                assert one.keys() == other.keys()
                assert [array.dtype for array in one.values()] == [array.dtype for array in other.values()]
    for key in ("classifier/real/0.00", "classifier/real/0.99"):
        judged, known = (
            load_npz(folder.artifact(f"predictions/{key.replace('/', '-')}.npz"))
            for folder in (together, alone)
        )
        assert np.array_equal(judged["image"], known["image"])
        np.testing.assert_allclose(judged["score"], known["score"], rtol=0, atol=1e-3)
    histories = [
        load_npz(folder.artifact("synthetic/round-0.npz"))["history"] for folder in (together, alone)
    ]
    assert np.array_equal(histories[0][0], histories[1][0])
    assert np.abs(histories[0].astype(int) - histories[1]).mean() < 1
    assert not list(tmp_path.glob("*/generator/*checkpoint*"))
