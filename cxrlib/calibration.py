"""Temperature scaling: one number that makes probabilities more modest or bolder (Guo et al., ICML 2017)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from .inputs import check_labels, probabilities
from .validate import array, number, whole

RANGE = (0.05, 20.0)  # the temperatures that are searched


def logits_of(probs: np.ndarray) -> np.ndarray:
    """Give logits (N, K) that belong to the probabilities (N, K), for example those of ``predict``: their logarithm.

    Logits are only known up to a number added to a whole row, which changes neither ``temperature`` nor ``apply``.
    """
    return np.log(np.maximum(probabilities("probs", probs, sums=False), np.finfo(float).tiny))


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature T at which softmax(logits / T) has the lowest mean negative log likelihood.

    ``logits`` (N, K) belong to *validation* images with the true classes ``labels`` (N,); ``logits_of`` makes them from
    probabilities. T lies from 0.05 to 20. Above 1 the model was too sure of itself, below 1 too modest. At an end of
    the range the likelihood has no minimum inside: for example when every image is classified correctly.
    """
    logits = _checked(logits)
    n, k = logits.shape
    labels = check_labels(array("labels", labels, (n,), "iu"), k)

    def loss(log_t: float) -> float:
        return float(-log_softmax(logits / np.exp(log_t), axis=1)[np.arange(n), labels].mean())

    # The loss is convex in 1 / T, so it has a single valley in log T as well.
    ends = np.log(RANGE)
    found = float(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x)
    return float(np.exp(min((found, *ends), key=loss)))


def apply(logits: np.ndarray, T: float) -> np.ndarray:
    """Give the probabilities softmax(logits / T), (N, K); the order of an image's classes stays as it is."""
    return softmax(_checked(logits) / number("T", T, 0, open_low=True), axis=1)


def _checked(logits: object) -> np.ndarray:
    found = array("logits", logits, ("images", "classes")).astype(float)
    whole("logits (their number of classes)", found.shape[1], 2)
    return found
