"""Differences, trends, intervals and verdicts. Nothing here knows of images or networks."""

from healthgan.statistics.calibration import (
    Calibration,
    ReliabilityBin,
    calibration,
    reliability,
    shift_to_prevalence,
)
from healthgan.statistics.cases import auc_influence, case_covariance
from healthgan.statistics.comparison import MeanAuroc
from healthgan.statistics.conclusion import ArmResult, Comparison, compare
from healthgan.statistics.cross_validation import Split, compare_cross_validation
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
from healthgan.statistics.exchange import (
    Cell,
    Exchange,
    Point,
    exchange_rates,
    points_of,
)
from healthgan.statistics.measures import MEASURES, Measured
from healthgan.statistics.pairs import Pair
from healthgan.statistics.readers import Arm, Kind
from healthgan.statistics.verdicts import Headline, Needed, Variance, Verdict, verdict
from healthgan.statistics.words import needed_sentence

__all__ = [
    "EXACT_UP_TO",
    "MEASURES",
    "Arm",
    "ArmResult",
    "Calibration",
    "Cell",
    "Comparison",
    "Estimate",
    "Exchange",
    "Headline",
    "Kind",
    "MeanAuroc",
    "Measured",
    "Needed",
    "Pair",
    "Point",
    "RankCorrelation",
    "ReliabilityBin",
    "Split",
    "Variance",
    "Verdict",
    "auc_influence",
    "calibration",
    "case_covariance",
    "compare",
    "compare_cross_validation",
    "exchange_rates",
    "independent_difference",
    "needed_sentence",
    "paired_difference",
    "percentile_estimate",
    "points_of",
    "reliability",
    "resample_patients",
    "shift_to_prevalence",
    "slope",
    "spearman",
    "verdict",
]
