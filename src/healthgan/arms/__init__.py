"""Ways to train on a rare class, each as a recipe."""

from healthgan.arms.bench import Findings, Materials, Settings, Training
from healthgan.arms.table import NothingKeptError, make_training, onward

__all__ = ["Findings", "Materials", "NothingKeptError", "Settings", "Training", "make_training", "onward"]
