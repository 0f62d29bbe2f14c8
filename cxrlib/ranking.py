"""Areas under ROC and precision-recall curves, for one set of image weights or for thousands of them at once."""

from __future__ import annotations

import numpy as np


def auc_of(labels: np.ndarray, probs: np.ndarray) -> float:
    """Give the area under the ROC curve: of class 1 for two classes, else the mean of one class against the rest.

    ``labels`` (N,), or (N, K) of findings, whose mean it is; ``probs`` (N, K). NaN where a class has no image (or every
    image), and where probabilities are not finite.
    """
    labels, probs = np.asarray(labels), np.asarray(probs)
    if not np.isfinite(probs).all() or not len(labels):
        return np.nan
    which = [1] if probs.shape[1] == 2 and labels.ndim == 1 else range(probs.shape[1])
    one = np.ones((1, len(labels)))
    there = [labels == k if labels.ndim == 1 else labels[:, k] for k in which]
    return float(np.mean([weighted_auc(it, probs[:, k], one)[0] for k, it in zip(which, there, strict=True)]))


def _by_score(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (B, S) of the positive and of the negative images at each of S distinct scores, the lowest first."""
    positive, scores, weights = np.asarray(positive, bool), np.asarray(scores), np.asarray(weights, float)
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # where each distinct score begins
    pos = np.add.reduceat(weights[:, order] * positive[order], first, axis=1)
    return pos, np.add.reduceat(weights[:, order] * ~positive[order], first, axis=1)


def weighted_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give the areas (B,) under B ROC curves at once: ``positive`` (N,) bool, ``scores`` (N,), ``weights`` (B, N).

    Each is the weighted fraction of pairs (positive, negative) in the right order, ties counting one half (Hanley and
    McNeil 1982), as scikit-learn's ``roc_auc_score`` gives it for one set of weights; NaN without such a pair.
    """
    pos, neg = _by_score(positive, scores, weights)
    below = np.cumsum(neg, axis=1) - neg
    with np.errstate(invalid="ignore", divide="ignore"):
        return (pos * (below + neg / 2)).sum(1) / (pos.sum(1) * neg.sum(1))


def weighted_average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give B average precisions at once; arguments as for ``weighted_auc``.

    The mean precision at the scores of the positive images, as scikit-learn's ``average_precision_score`` gives it for
    one set of weights; NaN without a positive image.
    """
    pos, neg = _by_score(positive, scores, weights)
    hits, called = (np.cumsum(x[:, ::-1], axis=1)[:, ::-1] for x in (pos, pos + neg))  # at this score and above
    with np.errstate(invalid="ignore", divide="ignore"):
        return (pos * np.where(called > 0, hits / called, 0)).sum(1) / pos.sum(1)
