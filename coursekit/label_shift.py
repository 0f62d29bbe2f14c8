"""Label shift: classes that are more or less frequent than in training, estimated and corrected without new labels.

Assumed is that only the frequencies differ: an image of a class looks as one of that class did in training. Where the
images come from another hospital, that does not hold, and the estimates can be far off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cxrlib.inputs import check_labels, probabilities
from cxrlib.validate import array


def em(probs: np.ndarray, prior: ArrayLike, steps: int = 10_000) -> np.ndarray:
    """Estimate how frequent the classes are by expectation maximization (Saerens et al., Neural Computation 14, 2002).

    Parameters
    ----------
    probs : ndarray, (N, K)
        Calibrated probabilities of images without labels.
    prior : array_like, (K,)
        The frequencies that the network takes for granted: the mean of its probabilities of validation images. That of
        the training labels is another one where the loss had class weights.
    steps : int
        At most so many.

    Returns
    -------
    ndarray, (K,)
        Sums to 1; ``prior`` itself where the mean of ``probs`` is ``prior``.
    """
    probs = probabilities("probs", probs, ("at least one image", "classes"))
    prior = _frequencies("prior", prior, probs, above=0)
    found = prior
    for _ in range(steps):
        last, found = found, adjust(probs, prior, found).mean(0)
        if np.abs(found - last).max() < 1e-9:
            break
    return found


def bbse(labels: np.ndarray, probs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Estimate how frequent the classes are from the confusion matrix (BBSE: Lipton et al., ICML 2018).

    Parameters
    ----------
    labels, probs : ndarray, (N,) and (N, K)
        True classes and probabilities of validation images, some of every class; calibrated or not.
    others : ndarray, (M, K)
        Probabilities of images without labels.

    Returns
    -------
    ndarray, (K,)
        Sums to 1; negative estimates are cut to 0. NaN where the network cannot tell: it calls images of two classes
        alike.
    """
    probs, others = probabilities("probs", probs), probabilities("others", others, ("images", "classes"))
    n, k = probs.shape
    labels = check_labels(array("labels", labels, (n,), "iu"), k)
    if others.shape[1] != k or not len(others):
        raise ValueError(f"others: give probabilities of at least one image and {k} classes, got {others.shape}")
    count = np.bincount(labels, minlength=k)
    if (count == 0).any():
        raise ValueError(f"labels: give validation images of all {k} classes, class {count.argmin()} has none")
    called = np.zeros((k, k))  # fraction of a true class (column) that is called a class (row)
    np.add.at(called, (probs.argmax(1), labels), 1 / count[labels])
    if np.linalg.matrix_rank(called) < k:
        return np.full(k, np.nan)
    found = np.linalg.solve(called, np.bincount(others.argmax(1), minlength=k) / len(others)).clip(0)
    return found / found.sum()


def adjust(probs: np.ndarray, prior: ArrayLike, new: ArrayLike) -> np.ndarray:
    """Correct probabilities (N, K) that take the frequencies ``prior`` for granted to the frequencies ``new``.

    An image for which nothing is left, because ``new`` is 0 where its probability is not, is NaN.
    """
    probs = probabilities("probs", probs)
    weighted = probs * (_frequencies("new", new, probs) / _frequencies("prior", prior, probs, above=0))
    with np.errstate(invalid="ignore"):
        return weighted / weighted.sum(1, keepdims=True)


def _frequencies(name: str, values: ArrayLike, probs: np.ndarray, above: float = -1e-12) -> np.ndarray:
    found = array(name, values, (probs.shape[1],)).astype(float)
    if not len(probs) or (found <= above).any() or not np.isclose(found.sum(), 1, atol=1e-4):
        least = "positive" if above == 0 else "non-negative"
        raise ValueError(f"{name}: give {least} frequencies that sum to 1, for at least one image, got {values}")
    return found
