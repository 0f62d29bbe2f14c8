"""Temperature scaling: one number that makes probabilities more modest or bolder (Guo et al., ICML 2017)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

RANGE = (0.05, 20.0)  # the temperatures that are searched


def logits_of(probs) -> np.ndarray:
    """Logits (N, K) that give the probabilities ``probs`` (N, K), for example those of ``predict``: their logarithm.

    Logits are only known up to a number added to a whole row, which changes neither ``temperature`` nor ``apply``.
    Raises ValueError for anything but a table of numbers from 0 to 1.
    """
    probs = _table("probs", probs)
    if (probs < 0).any() or (probs > 1 + 1e-6).any():
        raise ValueError(
            f"probs must lie between 0 and 1, got {probs.min():.3g} to {probs.max():.3g}; these may already be logits"
        )
    return np.log(np.maximum(probs, np.finfo(float).tiny))


def temperature(logits, labels) -> float:
    """The temperature T at which softmax(logits / T) has the lowest mean negative log likelihood.

    Parameters
    ----------
    logits : (N, K), of *validation* images. ``logits_of`` makes them from probabilities.
    labels : (N,) int, the true classes.

    Returns
    -------
    float
        From 0.05 to 20. Above 1 the model was too sure of itself, below 1 too modest. At an end of the range the
        likelihood has no minimum inside: for example when every image is classified correctly.

    Raises
    ------
    ValueError
        Arrays that do not fit together, no image, NaN, labels that are no classes.
    """
    logits, labels = _table("logits", logits), np.asarray(labels)
    n, k = logits.shape
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be {n} whole numbers, one an image, got {labels.dtype} of shape {labels.shape}")
    if n == 0:
        raise ValueError("logits is empty: a temperature is fitted on validation images")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"labels must lie in 0..{k - 1} for {k} classes, got {labels.min()}..{labels.max()}")

    def loss(log_t: float) -> float:
        return float(-log_softmax(logits / np.exp(log_t), axis=1)[np.arange(n), labels].mean())

    # The loss is convex in 1 / T, so it has a single valley in log T as well.
    ends = np.log(RANGE)
    found = float(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x)
    return float(np.exp(min((found, *ends), key=loss)))


def apply(logits, T: float) -> np.ndarray:
    """Probabilities (N, K): softmax(logits / T). The order of the classes of an image stays as it is, so the accuracy
    does, too. Raises ValueError for T that is not a number above 0."""
    if not np.isfinite(T) or T <= 0:
        raise ValueError(f"T: a temperature is a number above 0, got {T!r}")
    return softmax(_table("logits", logits) / T, axis=1)


def _table(name: str, values) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"{name} must have the shape (images, classes) with at least 2 classes, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity: the model's training has probably diverged")
    return values
