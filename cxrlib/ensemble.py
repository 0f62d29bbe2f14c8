"""Several models: the mean of their probabilities. Several views of one image are an option of ``predict``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .inputs import probabilities
from .validate import array


def average(
    probs: Sequence[np.ndarray], weights: Sequence[float] | None = None, multilabel: bool = False
) -> np.ndarray:
    """Average the probabilities of several models or views: float64 (N, K).

    ``probs`` are M arrays (N, K), of the same images and classes in the same order; ``weights`` are M numbers of at
    least 0, chosen on validation images and divided by their sum. None weighs all the same.
    ``multilabel`` says that they are of findings, so that a row may have any sum.
    """
    shape, arrays = ("images", "classes"), []
    for m, values in enumerate(probs):
        arrays.append(probabilities(f"probs[{m}]", values, shape, sums=not multilabel))
        shape = arrays[0].shape
    if not arrays:
        raise ValueError("probs: give the probabilities of at least one model, got none")
    w = array("weights", np.ones(len(arrays)) if weights is None else weights, (len(arrays),))
    if (w < 0).any() or w.sum() == 0:
        raise ValueError(f"weights: give numbers of at least 0, not all 0; got {weights!r}")
    return np.tensordot(w / w.sum(), np.stack(arrays), 1)
