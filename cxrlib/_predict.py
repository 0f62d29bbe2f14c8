"""predict: from a network and images to class probabilities, with or without test-time augmentation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .device import autocast_dtype
from .inputs import reader, unit
from .models import evaluating
from .multilabel import to_probabilities
from .progress import bar
from .validate import one_of, whole

if TYPE_CHECKING:
    from .data import CxrDataset

SHIFT = 0.04  # of the side, by the four shifted views
PRECISIONS = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}  # dtype of autocast -> its name in a recipe


def _moved(down: int, right: int) -> Callable[[np.ndarray], np.ndarray]:
    def move(images: np.ndarray) -> np.ndarray:
        dy, dx = (round(SHIFT * side) for side in images.shape[2:])
        framed = np.pad(images, ((0, 0), (0, 0), (dy, dy), (dx, dx)))  # black outside, as in Augment
        top, left = dy * (1 - down), dx * (1 - right)
        return framed[:, :, top : top + images.shape[2], left : left + images.shape[3]]

    return move


#: name -> function from images (B, 1, H, W) to images of the same shape and dtype
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda images: images, "flip": lambda images: images[:, :, :, ::-1],
    "shift-left": _moved(0, -1), "shift-right": _moved(0, 1), "shift-up": _moved(-1, 0), "shift-down": _moved(1, 0),
}  # fmt: skip


def predict(
    model: nn.Module, images: CxrDataset | np.ndarray | torch.Tensor, *,
    tta: Sequence[str | Callable] | str | Callable = (), batch_size: int = 64, precision: str = "fp32",
    progress: bool = False,
) -> np.ndarray:  # fmt: skip
    """Compute class probabilities, float64 (N, K), that sum to 1, but for findings; the model is left as it was found.

    Raises ValueError for images of another kind or scale, and an unknown view or precision.

    Parameters
    ----------
    model : CxrNet
        From ``build_model``, trained.
    images : CxrDataset, uint8 array (N, 1, H, W) or (N, H, W), or float array of these shapes in [0, 1]
    tta : sequence of str or callable, optional
        Test-time augmentation: views of each image whose probabilities are averaged (not logits, not votes). Names from
        ``VIEWS`` ("identity", "flip", "shift-left", "shift-right", "shift-up", "shift-down"), or functions from images
        (B, 1, H, W) to the same shape and dtype. A shift moves by 4 % of the side, black outside. The flip claims that
        a mirrored chest, with the heart on the right, has the same diagnosis. Each view costs one pass.
    batch_size, progress
        Images in one pass; show a bar.
    precision : {"fp32", "bf16", "fp16", "auto"}
        float32 gives the same probabilities on every machine, up to rounding. "auto" takes what is fastest here.
    """
    read, count = reader(images)
    given = [tta] if isinstance(tta, str) or callable(tta) else list(tta) or ["identity"]
    views = [view if callable(view) else VIEWS[one_of("tta", view, VIEWS)] for view in given]
    whole("batch_size", batch_size, 1)
    first = next(model.parameters())
    probs, shown = [], bar(total=count, desc="predict", unit="image", show=progress)
    with torch.no_grad(), evaluating(model), computing(precision, first.device), shown:
        for start in range(0, count, batch_size):
            batch = read(range(start, min(start + batch_size, count)))
            seen = (unit(_through(view, batch).to(first.device)).to(first.dtype) for view in views)
            one_each = [to_probabilities(model, model(x).double()) for x in seen]
            probs.append(torch.stack(one_each).mean(0).cpu().numpy())
            shown.update(len(batch))
    return np.concatenate(probs) if probs else np.empty((0, len(getattr(model, "classes", ()))))


def _through(view: Callable, batch: torch.Tensor) -> torch.Tensor:
    if view is VIEWS["identity"]:
        return batch
    images = batch.cpu().numpy()
    seen = np.asarray(view(images))
    if seen.shape != images.shape or seen.dtype != images.dtype:
        wanted = f"{images.dtype} images of the shape {images.shape}"
        raise ValueError(f"tta: a view must return {wanted}, got {seen.dtype} {seen.shape}")
    return torch.from_numpy(np.ascontiguousarray(seen))


def precision_used(precision: str, device: torch.device) -> str:
    """Name what a precision means on a device: "auto" becomes "bf16", "fp16" or "fp32"."""
    return PRECISIONS[autocast_dtype(one_of("precision", precision, ("auto", *PRECISIONS.values())), device)]


@contextlib.contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in this precision for a moment; "fp32" is full float32, without TensorFloat-32 on newer GPUs."""
    precision_used(precision, device)
    dtype, exact = autocast_dtype(precision, device), contextlib.nullcontext()
    if device.type == "cuda" and dtype is None:
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with exact, torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        yield
