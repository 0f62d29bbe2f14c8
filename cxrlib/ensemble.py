"""Several views of one image, several models: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from ._predict import VIEWS, predict
from .inputs import probabilities

if TYPE_CHECKING:
    from .data import CxrDataset

__all__ = ["VIEWS", "average", "predict_views"]


def predict_views(
    model: nn.Module,
    data: CxrDataset,
    tta: Sequence[str | Callable] = ("identity", "shift-left", "shift-right", "shift-up", "shift-down"),
    **options: object,
) -> np.ndarray:
    """Predict with test-time augmentation: ``predict(model, data, tta=tta, **options)``, by default all but the flip.

    Returns
    -------
    ndarray, float64 (N, K)

    Raises
    ------
    ValueError
        No view, and as ``predict``.
    """
    if not callable(tta) and not len(tta):
        raise ValueError('tta: give at least one view, for example ("identity",)')
    return predict(model, data, tta=tta, **options)


def average(probs: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Average the probabilities of several models or views.

    Parameters
    ----------
    probs : sequence of M arrays (N, K)
        Class probabilities of the same images and classes, in the same order.
    weights : sequence of M numbers, optional
        At least 0; they are divided by their sum. None weighs all the same. Weights are chosen on validation images,
        like everything else.

    Returns
    -------
    ndarray, float64 (N, K)

    Raises
    ------
    ValueError
        Nothing to average, arrays that do not fit together, rows that are no probabilities, impossible weights.
    """
    shape, arrays = ("images", "classes"), []
    for m, values in enumerate(probs):
        arrays.append(probabilities(f"probs[{m}]", values, shape))
        shape = arrays[0].shape
    if not arrays:
        raise ValueError("probs: give the probabilities of at least one model, got none")
    w = np.ones(len(arrays)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(arrays),) or not np.isfinite(w).all() or (w < 0).any() or w.sum() == 0:
        raise ValueError(f"weights: give {len(arrays)} numbers of at least 0, not all 0; got {weights!r}")
    return np.tensordot(w / w.sum(), np.stack(arrays), 1)
