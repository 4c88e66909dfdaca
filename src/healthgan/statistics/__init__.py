"""Differences, trends, intervals and verdicts. Nothing here knows of images or networks."""

from healthgan.statistics.differences import (
    EXACT_UP_TO,
    Estimate,
    RankCorrelation,
    independent_difference,
    paired_difference,
    percentile_estimate,
    resample_patients,
    slope,
    spearman,
)

__all__ = [
    "EXACT_UP_TO",
    "Estimate",
    "RankCorrelation",
    "independent_difference",
    "paired_difference",
    "percentile_estimate",
    "resample_patients",
    "slope",
    "spearman",
]
