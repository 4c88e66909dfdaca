"""Results as pandas frames: the figures of the report's tables, one observation a row."""

import html
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import write_run
from fake_sound import CURVE, ONWARD, FakeStudy, sound
from sklearn.metrics import roc_auc_score

from healthgan.errors import InputError
from healthgan.report import build
from healthgan.result import Report, Study
from healthgan.statistics.measures import MEASURES

TESTED = {"own": "", "external": "external-", "onward": "onward-"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """A sound study with everything that one can have."""
    path = tmp_path_factory.mktemp("runs") / "sound"
    FakeStudy(path, protocol=sound(curve=CURVE, onward=ONWARD), columns={"site": ["A", "B"] * 160})
    build(path)
    return Study(path)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Study:
    path = tmp_path_factory.mktemp("runs") / "paper"
    write_run(path)
    build(path)
    return Study(path)


def csv(study: Study, name: str) -> pd.DataFrame:
    return pd.read_csv(study.folder / "tables" / f"{name}.csv")


@pytest.mark.parametrize("tested", TESTED)
def test_arms_agree_with_the_tables(study, tested) -> None:
    table = csv(study, f"{TESTED[tested]}arms").set_index("arm")
    frame = study.arms[study.arms["tested"] == tested].set_index(["arm", "measure"])
    known = 0
    for arm, row in table.iterrows():
        for measure in ("auroc", *MEASURES):
            if pd.isna(row[measure]):
                assert (arm, measure) not in frame.index
                continue
            found = frame.loc[(arm, measure)]
            assert [found["value"], found["low"], found["high"]] == [
                row[measure],
                row[f"{measure}_low"],
                row[f"{measure}_high"],
            ]
            assert found["images"] == row["images"]
            known += 1
    assert known == len(frame) > len(table)


@pytest.mark.parametrize("tested", TESTED)
def test_differences_agree_with_the_tables(study, tested) -> None:
    table = csv(study, f"{TESTED[tested]}differences")
    frame = study.differences[study.differences["tested"] == tested].drop(columns="tested")
    assert len(frame) == len(table) > 1
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), table[list(frame)], check_dtype=False)


def test_curve_agrees_with_its_table(study) -> None:
    pd.testing.assert_frame_equal(study.curve, csv(study, "curve"), check_dtype=False)


def test_images_are_counted_as_in_the_table_of_pools(study) -> None:
    table = csv(study, "pools").set_index(["cell", "generator", "class"])
    counts = study.images.groupby(["cell", "generator", "class", "verdict"], observed=True).size()
    total = 0
    for place, row in table.iterrows():
        for column in (name for name in table if name.startswith("verdict_")):
            verdict = column.removeprefix("verdict_").replace("_", " ")
            assert counts.get((*place, verdict), 0) == row[column]
            total += row[column]
    assert total == len(study.images)
    constant = study.images[study.images["verdict"] == "constant"]
    assert len(constant)
    assert constant["nearest"].isna().all()
    assert constant["likeness"].isna().all()


def test_predictions_give_the_mean_auroc_of_every_arm(study) -> None:
    """By scikit-learn; the tables round to four digits."""
    here = study.predictions.query("cell == 'main' and split == 'test'")
    single = here.groupby(["arm", "generator", "seed"], observed=True, dropna=False).apply(
        lambda rows: roc_auc_score(rows["label"], rows["logit"])
    )
    mean = single.groupby("arm", observed=True).mean()
    table = csv(study, "arms").set_index("arm")
    assert set(mean.index) == set(table.index)
    assert np.abs(mean - table["auroc"]).max() <= 0.5e-4 + 1e-12
    assert here.groupby(["arm", "generator", "seed"], observed=True, dropna=False).ngroups == len(single)
    assert set(study.predictions["split"]) == {"val", "test", "external"}


def test_an_arm_without_generator_has_none(study) -> None:
    real = study.predictions.query("arm == 'real'")
    assert real["generator"].isna().all()
    assert study.predictions.query("arm == 'both-25'")["generator"].notna().all()


@pytest.mark.parametrize("kind", ["study", "published"])
def test_frames_have_the_documented_columns(kind, request) -> None:
    found = request.getfixturevalue(kind)
    assert set(found.columns) == {"arms", "differences", "predictions", "curve", "images"}
    for name, columns in found.columns.items():
        assert list(getattr(found, name)) == list(columns)


def test_published_arms_agree_with_figure_4(published) -> None:
    table, arms = csv(published, "figure-4").set_index("floor"), published.arms
    for row in arms.itertuples():
        assert row.accuracy == table.loc[row.floor, f"{row.stage}_{row.arm}"]
        if row.stage == "test":
            ends = table.loc[row.floor, [f"test_{row.arm}_low", f"test_{row.arm}_high", f"n_test_{row.arm}"]]
            assert [row.low, row.high, row.images] == list(ends)
    names = [f"{stage}_{arm}" for stage in arms["stage"].unique() for arm in arms["arm"].unique()]
    assert len(arms) == table[names].notna().sum().sum()


def test_published_predictions_give_the_test_accuracies(published) -> None:
    found = published.predictions
    right = (found["score"] > 0.5) == (found["label"] == 1)
    accuracy = 100 * right.groupby([found["arm"], found["floor"]], observed=True).mean()
    test = published.arms.query("stage == 'test'").set_index(["arm", "floor"])["accuracy"]
    assert len(accuracy) == len(test)
    assert np.abs(accuracy - test).max() <= 0.5e-3  # figure 4 rounds to three digits
    assert len(published.differences) == len(csv(published, "figure-4")) - 1  # one floor has no image
    assert len(published.curve) == 0
    assert published.images["likeness"].isna().sum() == 1


def test_what_is_lost_has_no_rows(study, tmp_path) -> None:
    path = tmp_path / "run"
    whole = FakeStudy(path, protocol=sound(design={"generators": 1, "seeds": 1}))
    everything = len(Study(path).predictions)
    name = next(record for record in whole.records if record["kind"] == "fit")["artifacts"]
    whole.folder.artifact(next(iter(name))).unlink()
    found = Study(path)
    assert 0 < len(found.predictions) < everything
    assert len(found.arms) == len(found.differences) == 0
    assert list(found.arms) == list(found.columns["arms"])


def test_verdict_and_repr(study, published) -> None:
    assert "interval" in study.verdict
    assert study.verdict in repr(study)
    assert "accuracy" in published.verdict


def test_tables_by_name(study) -> None:
    pd.testing.assert_frame_equal(study.table("roc"), csv(study, "roc"))
    with pytest.raises(InputError, match=r"no table 'rocs'.*arms.*roc"):
        study.table("rocs")


def test_no_study(tmp_path) -> None:
    with pytest.raises(InputError, match="no folder"):
        Study(tmp_path / "none")


class Tags(HTMLParser):
    """Every tag with its attributes, and text outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_stands_in_a_frame_of_its_own_origin(study) -> None:
    report = study.report(height=500)
    page = Path(report.path).read_text("utf-8")
    tags = Tags(report._repr_html_())
    ((tag, attributes),) = tags.found
    assert tag == "iframe"
    assert tags.text == ""
    assert attributes["srcdoc"] == page
    assert attributes["sandbox"] == "allow-scripts"  # never with allow-same-origin
    assert "500px" in str(attributes["style"])


def test_nothing_of_a_hostile_page_leaves_the_frame(tmp_path) -> None:
    page = """<p title='"></iframe><script>alert(1)</script>'>&quot;&amp;"></p>"""
    (tmp_path / "report.html").write_text(page)
    tags = Tags(Report(tmp_path / "report.html")._repr_html_())
    assert [tag for tag, _ in tags.found] == ["iframe"]
    assert tags.found[0][1]["srcdoc"] == page
    assert html.unescape(html.escape(page, quote=True)) == page


def test_open_shows_the_file(study, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    study.open()
    assert shown == [(study.folder / "report.html").resolve().as_uri()]
