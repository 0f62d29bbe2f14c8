"""Several views of one image, several models: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .metrics import predict

SHIFT = 0.04  # of the side, by the four shifted views


def _moved(down: int, right: int) -> Callable[[np.ndarray], np.ndarray]:
    def move(images: np.ndarray) -> np.ndarray:
        height, width = images.shape[2:]
        dy, dx = round(SHIFT * height) * down, round(SHIFT * width) * right
        out = np.zeros_like(images)  # black outside, as in Augment
        out[:, :, max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = images[
            :, :, max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
        return out

    return move


#: name -> function from uint8 images (B, 1, H, W) to uint8 images of the same shape
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda images: images,
    "flip": lambda images: images[:, :, :, ::-1],
    "shift-left": _moved(0, -1),
    "shift-right": _moved(0, 1),
    "shift-up": _moved(-1, 0),
    "shift-down": _moved(1, 0),
}


class _Seen:
    """A data set whose images pass through a view on their way to the model."""

    def __init__(self, data, view):
        self.data, self.view, self.classes = data, view, data.classes

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, rows) -> np.ndarray:
        images = self.data.batch(rows)
        seen = np.asarray(self.view(images))
        if seen.shape != images.shape or seen.dtype != np.uint8:
            raise ValueError(
                f"views: a view must return uint8 images of the shape {images.shape}, got {seen.dtype} {seen.shape}"
            )
        return seen


def predict_views(
    model, data, views: Sequence = ("identity", "shift-left", "shift-right", "shift-up", "shift-down"), **options
) -> np.ndarray:
    """Test-time augmentation: the mean of the class probabilities (N, K) over several views of every image.

    Parameters
    ----------
    model : from ``build_model``, trained.
    data : a CxrDataset of N images.
    views : names from ``VIEWS`` ("identity", "flip", "shift-left", "shift-right", "shift-up", "shift-down"), or
        functions from uint8 (B, 1, H, W) to the same. A shift moves by 4 % of the side; what comes in is black. The
        flip is a claim about anatomy: it says that a mirrored chest, with the heart on the right, has the same
        diagnosis. It is not used unless named.
    options : go to ``predict``: ``batch_size``, ``precision``, ``progress``.

    Returns
    -------
    ndarray, float64 (N, K)
        Probabilities are averaged, not logits and not votes. A model costs as many passes as there are views.

    Raises
    ------
    ValueError
        No view, an unknown name, or a function that returns something else than images.
    """
    views = [views] if isinstance(views, str) or callable(views) else list(views)
    if not views:
        raise ValueError('views: give at least one, for example ("identity",)')
    for view in views:
        if not callable(view) and view not in VIEWS:
            raise ValueError(f"views: there is no view {view!r}; there are {', '.join(VIEWS)}, or give a function")
    return average([predict(model, _Seen(data, v if callable(v) else VIEWS[v]), **options) for v in views])


def average(probs: Sequence, weights: Sequence[float] | None = None) -> np.ndarray:
    """The mean (N, K) of the probabilities of several models or views.

    Parameters
    ----------
    probs : M arrays (N, K), each of class probabilities for the same images and classes in the same order.
    weights : M numbers of at least 0; they are divided by their sum. None weighs all the same. Weights are chosen on
        validation images, like everything else.

    Raises
    ------
    ValueError
        Nothing to average, arrays that do not fit together, rows that are no probabilities, impossible weights.
    """
    arrays = [np.asarray(p, dtype=float) for p in probs]
    if not arrays:
        raise ValueError("probs is empty: give the probabilities of at least one model")
    shape = arrays[0].shape
    if len(shape) != 2 or any(a.shape != shape for a in arrays):
        raise ValueError(
            "probs: give arrays of one shape (images, classes), got " + ", ".join(str(a.shape) for a in arrays)
        )
    for m, a in enumerate(arrays):
        if not np.isfinite(a).all() or (a < 0).any() or not np.allclose(a.sum(1), 1, atol=1e-4):
            raise ValueError(
                f"probs[{m}] holds no probabilities: every row must be at least 0 and have the sum 1; "
                "apply softmax to logits first"
            )
    w = np.ones(len(arrays)) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (len(arrays),) or not np.isfinite(w).all() or (w < 0).any() or w.sum() == 0:
        raise ValueError(f"weights: give {len(arrays)} numbers of at least 0, not all 0; got {weights!r}")
    return np.tensordot(w / w.sum(), np.stack(arrays), 1)
