"""Whether predicted probabilities can be taken at their word."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from healthgan.scores import wilson_interval


def shift_to_prevalence(
    logits: NDArray[np.floating], prevalence: float, trained_at: float = 0.5
) -> NDArray[np.float64]:
    """Logits of a classifier that saw one prevalence, corrected to another: the order stays.

    Adds the difference of the log odds (King and Zeng, Political Analysis 9:137, 2001; Saerens, Latinne and
    Decaestecker, Neural Computation 14:21, 2002).

    Args:
        logits: any shape.
        prevalence: share of rare images to correct to, above 0 and below 1.
        trained_at: their share in the batches that the classifier was trained on.
    """
    shifted: NDArray[np.float64] = (
        logits.astype(np.float64) + special.logit(prevalence) - special.logit(trained_at)
    )
    return shifted


def brier(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    """Mean squared distance of the probabilities from what happened (Brier 1950); lower is better.

    Args:
        labels: (N,) 0 or 1.
        logits: (N,).
    """
    return float(np.mean((special.expit(logits.astype(np.float64)) - labels) ** 2))


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be taken at their word (Cox, Biometrika 45:562, 1958).

    Attributes:
        intercept: what to add to all logits so that they are right on the average: 0 is right, below it the
            probabilities are too high.
        slope: what to multiply the logits by, with an intercept of its own: 1 is right, below it they are too
            extreme. None where the classes are apart, so that no finite slope fits best.
    """

    intercept: float
    slope: float | None


def calibration(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> Calibration:
    """Intercept (at slope 1) and slope of a logistic regression of the labels on the logits.

    Args:
        labels: (N,) 0 or 1, both present.
        logits: (N,) finite.
    """
    inputs = logits.astype(np.float64)
    intercept = _logistic(np.ones((1, len(inputs))), labels, inputs)[0]
    line = None if _apart(labels, inputs) else _logistic(_line(inputs), labels, np.zeros_like(inputs))
    return Calibration(float(intercept), None if line is None else float(line[1] / inputs.std()))


def resampled_calibration(
    labels: NDArray[np.int64], logits: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Intercept and slope (B, 2) for other choices of images: one step of Newton's method from ``calibration``.

    Args:
        labels: (N,) 0 or 1, both present.
        logits: (N,) finite.
        weights: (B, N) how often each image counts.

    Returns:
        None where there is no slope.
    """
    inputs = logits.astype(np.float64)
    if _apart(labels, inputs):
        return None
    found = []
    for design, offset in ((np.ones((1, len(inputs))), inputs), (_line(inputs), np.zeros_like(inputs))):
        full = _logistic(design, labels, offset)
        probability = special.expit(full @ design + offset)
        slope = weights @ (design * (labels - probability)).T  # (B, K)
        products = design[:, np.newaxis] * design * (probability * (1 - probability))  # (K, K, N)
        curvature = np.tensordot(weights, products, axes=(1, 2))
        found.append(full + np.linalg.solve(curvature, slope[:, :, np.newaxis])[:, :, 0])
    return np.stack([found[0][:, 0], found[1][:, 1] / inputs.std()], axis=1)


def _apart(labels: NDArray[np.int64], inputs: NDArray[np.float64]) -> bool:
    """Whether a threshold parts the classes, so that no finite slope fits best."""
    positives, negatives = inputs[labels == 1], inputs[labels == 0]
    return bool(positives.min() >= negatives.max() or positives.max() <= negatives.min())


def _line(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, N): ones, and the inputs in units of their spread."""
    return np.stack([np.ones_like(inputs), (inputs - inputs.mean()) / inputs.std()])


def _logistic(
    design: NDArray[np.float64], labels: NDArray[np.int64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients (K,) of most likelihood, by Newton's method with halved steps; ``design`` is (K, N)."""

    def loss(at: NDArray[np.float64]) -> float:
        logits = at @ design + offset
        return float(np.sum(np.logaddexp(0, logits) - labels * logits))

    found = np.zeros(len(design))
    now = loss(found)
    for _ in range(100):
        probability = special.expit(found @ design + offset)
        slope = design @ (labels - probability)
        curvature = (design * (probability * (1 - probability))) @ design.T
        step = np.linalg.solve(curvature, slope)
        while (after := loss(found + step)) > now and np.abs(step).max() > 1e-12:
            step = step / 2
        found, now = found + step, min(after, now)
        if np.abs(step).max() < 1e-10:
            break
    return found


@dataclass(frozen=True)
class ReliabilityBin:
    """Images of about equal predicted probability.

    Attributes:
        images: how many.
        predicted: their mean probability.
        observed: the share that is rare.
        low: of the Wilson interval of that share.
        high: of it.
    """

    images: int
    predicted: float
    observed: float
    low: float
    high: float


def reliability(
    labels: NDArray[np.int64], logits: NDArray[np.floating], bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Predicted against observed, in bins of equally many predictions from the lowest probability up.

    Args:
        labels: (N,) 0 or 1.
        logits: (N,), or (F, N) of several classifiers, in whose bins an image counts once for all of them.
        bins: how many; fewer where there are fewer images.
    """
    rows = np.atleast_2d(logits).astype(np.float64)
    probabilities, happened = special.expit(rows).ravel(), np.tile(labels, len(rows))
    order = np.argsort(probabilities, kind="stable")
    found = []
    for chosen in np.array_split(order, min(bins, len(labels))):
        images = round(len(chosen) / len(rows))
        observed = float(happened[chosen].mean())
        low, high = wilson_interval(round(observed * images), images)
        found.append(ReliabilityBin(images, float(probabilities[chosen].mean()), observed, low, high))
    return tuple(found)
