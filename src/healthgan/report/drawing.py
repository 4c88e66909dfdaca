"""Draws and writes a run's figures, as far as its artefacts are at hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from healthgan.report import figures, pictures
from healthgan.report.comparison import Comparison
from healthgan.report.html import Material
from healthgan.report.published import Published
from healthgan.report.reading import CANDIDATES, Run, history_file
from healthgan.report.results import STAGES, figure_4
from healthgan.report.tables import write_csv


def draw(run: Run, published: Published, comparison: Comparison) -> Material:
    """Write figures/ (and the tables of what two of the charts plot) and give what the page needs of them."""
    folder, tables = run.folder.path / "figures", run.folder.path / "tables"
    charts = _accuracies(run, published, folder)
    if comparison.differences:
        charts["differences"] = figures.save(figures.difference_chart(comparison), folder, "differences")
    likeness = run.array(CANDIDATES, "likeness")
    if likeness is not None and not np.isnan(likeness).all():
        charts["likeness"] = _likeness(run, likeness, folder, tables)
    losses = {number: run.array(history_file(number), "losses") for number in run.rounds()}
    known = {number: values for number, values in losses.items() if values is not None}
    if known:
        charts["losses"] = _losses(known, folder, tables)
    shown, strips = pictures.examples(run), pictures.strips(run)
    if shown:
        figures.save(pictures.example_figure(shown), folder, "figure-3")
    if strips:
        figures.save(pictures.strip_figure(strips), folder, "figure-3-epochs")
    animation = pictures.animation(run)
    if animation is not None:
        pictures.save_animation(animation, folder, "figure-3")
    return Material(charts, shown, strips, animation)


def _accuracies(run: Run, published: Published, folder: Path) -> dict[str, str]:
    rows = figure_4(run, published)
    charts = {}
    for number, stage in enumerate(STAGES, start=5):
        if any(row[f"{stage}_{arm}"] is not None for row in rows for arm in run.arms):
            chart = figures.accuracy_chart(rows, run.arms, stage)
            charts[f"figure-{number}"] = figures.save(chart, folder, f"figure-{number}")
    return charts


def _likeness(run: Run, likeness: NDArray[np.float32], folder: Path, tables: Path) -> str:
    """The histogram of likeness in steps of 0.01, to which the floors' own steps fit."""
    known = likeness[~np.isnan(likeness)].astype(np.float64)
    low, high = int(np.floor(known.min() * 100)), int(np.floor(known.max() * 100)) + 1
    edges = np.arange(low, high + 1) / 100
    counts = np.bincount(
        np.clip(np.floor(known * 100 + 1e-6).astype(int) - low, 0, high - low - 1), minlength=high - low
    )
    rows = [
        {"from": float(start), "to": float(end), "candidates": int(count)}
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    write_csv(tables / "likeness.csv", rows)
    return figures.save(figures.likeness_chart(counts, edges, run.floors), folder, "likeness")


def _losses(losses: dict[int, NDArray[np.floating]], folder: Path, tables: Path) -> str:
    rows = [
        {"round": number, "epoch": epoch, "generator": float(pair[0]), "discriminator": float(pair[1])}
        for number, values in losses.items()
        for epoch, pair in enumerate(values, start=1)
    ]
    write_csv(tables / "losses.csv", rows)
    return figures.save(figures.loss_chart(losses), folder, "losses")
