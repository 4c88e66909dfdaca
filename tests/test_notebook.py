"""The example notebook runs as it stands there, and finds what its outputs say."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[1] / "examples" / "phantom.ipynb"
ROW = re.compile(
    r"^\d+ +(?P<arm>\S+) +\S+ +(?P<value>0\.\d+) +(?P<low>0\.\d+) +(?P<high>0\.\d+) +(?P<classifiers>\d+)$",
    re.MULTILINE,
)


def texts(notebook: NotebookNode) -> Iterator[str]:
    """What the cells printed, and the plain form of their last values."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if "image/png" not in output.get("data", {}):
                yield text


def aurocs(notebook: NotebookNode) -> dict[str, re.Match[str]]:
    return {row["arm"]: row for text in texts(notebook) for row in ROW.finditer(text)}


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_file_is_small_and_was_run_from_top_to_bottom(kept) -> None:
    assert NOTEBOOK.stat().st_size < 300_000
    nbformat.validate(kept)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert not any(output.get("name") == "stderr" for cell in code for output in cell.outputs)
    assert set(aurocs(kept)) == {"real", "classical", "synthetic-25", "copies"}


def test_it_tells_nothing_of_the_machine_it_ran_on(kept) -> None:
    assert not re.search(r"/(home|root|tmp|Users|work)\b", NOTEBOOK.read_text("utf-8"))
    assert set(kept.metadata) == {"kernelspec", "language_info"}
    assert not any("execution" in cell.metadata for cell in kept.cells)


@pytest.mark.slow
def test_it_finds_again_what_it_says(kept, tmp_path, monkeypatch) -> None:
    """Counts are equal. AUROCs lie within their intervals, which cover other trainings: processors round differently."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    work = tmp_path / "work"
    work.mkdir()
    again = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        again,
        timeout=1200,
        startup_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
    ).execute()
    assert next(texts(again)) == next(texts(kept))  # images and patients
    found, said = aurocs(again), aurocs(kept)
    assert set(found) == set(said)
    for arm, row in said.items():
        assert found[arm]["classifiers"] == row["classifiers"]
        assert float(row["low"]) <= float(found[arm]["value"]) <= float(row["high"])
    assert (work / "runs" / "minute" / "report.html").is_file()
