"""The arguments that many functions share: images, the class that is asked for, probabilities."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable

import numpy as np
import torch

from .models import CxrNet
from .validate import array, one_of, short, whole

SLACK = 0.01  # by which float pixels may leave [0, 1]: rounding, interpolation


def network(name: str, model: object, findings: bool = True) -> CxrNet:
    """Check that ``model`` is a network of this library; without ``findings`` a multi-label one is refused, too."""
    if not isinstance(model, CxrNet):
        raise ValueError(f"{name}: give a network made by build_model, got {type(model).__name__}")
    if model.multilabel and not findings:
        what = f"with mutually exclusive classes; {model.name!r} is a multi-label network"
        raise ValueError(f"{name}: give a network {what} ({', '.join(model.classes)})")
    return model


def reader(images: object) -> tuple[Callable[[range], torch.Tensor], int]:
    """Find out how to read images batch by batch: from a data set, or an array or tensor (N, 1, H, W) or (N, H, W).

    Returns a function from a range of positions to their pixels (B, 1, H, W) as they are stored, and the number N.
    """
    if hasattr(images, "batch") and hasattr(images, "labels"):
        return lambda rows: torch.from_numpy(np.ascontiguousarray(images.batch(list(rows)))), len(images)
    values = images if isinstance(images, torch.Tensor) else np.asanyarray(images)
    shape = tuple(values.shape)
    if isinstance(values, np.ndarray) and values.dtype.kind not in "biuf":
        raise ValueError(f"images: give uint8 (0 to 255) or float (0 to 1) values, got {values.dtype} of shape {shape}")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[1] != 1):
        raise ValueError(f"images: give a CxrDataset or an array (N, 1, H, W) or (N, H, W), got the shape {shape}")

    def read(rows: range) -> torch.Tensor:
        part = values[rows.start : rows.stop]
        if not isinstance(part, torch.Tensor):  # which knows only this machine's byte order, and writable memory
            part = torch.from_numpy(np.require(part, part.dtype.newbyteorder("="), ["C", "W"]))
        # A tensor made in inference mode cannot take part in a gradient; a copy can.
        return (part.clone() if part.is_inference() else part).reshape(len(part), 1, *shape[-2:])

    return read, shape[0]


def unit(x: torch.Tensor) -> torch.Tensor:
    """Turn pixels into floating point from 0 to 1, as networks take them; ValueError where their scale is unknown."""
    if x.dtype == torch.uint8:
        return x.float() / 255
    low, high = (float(end) for end in x.float().aminmax()) if x.numel() else (0, 1)
    if math.isnan(low):
        raise ValueError("images: give uint8 (0 to 255) or float (0 to 1) values, got NaN among them")
    if not x.is_floating_point() or low < -SLACK or high > 1 + SLACK:
        given = f"{x.dtype} from {low:g} to {high:g}; convert to uint8, or divide by 255"
        raise ValueError(f"images: give uint8 (0 to 255) or float (0 to 1) values, got {given}")
    return x


def pixels(images: object) -> torch.Tensor:
    """Read all images as float (N, 1, H, W) from 0 to 1; for what ``images`` may be see ``reader``."""
    read, count = reader(images)
    return unit(read(range(count)))


def class_indices(target: object, classes: tuple[str, ...], count: int) -> torch.Tensor | None:
    """Find the indices (N,) of the classes that are asked for; None, which means all classes, stays None.

    ``target`` is a class by index or name for all ``count`` images, or one per image; ValueError for anything else.
    """
    if target is None:
        return None
    if isinstance(target, str) or not isinstance(target, Iterable) or np.ndim(target) == 0:
        return torch.full((count,), _class_index(target, classes))
    found = [_class_index(item, classes) for item in target]
    if len(found) != count:
        raise ValueError(f"target: give one for all images, or one per image; got {len(found)} for {count} images")
    return torch.tensor(found, dtype=torch.long)


def _class_index(target: object, classes: tuple[str, ...]) -> int:
    if isinstance(target, str):
        return classes.index(one_of("target", target, classes))
    try:
        index = -1 if isinstance(target, bool) else operator.index(target)
        return whole("target", index, 0, len(classes) - 1)
    except (TypeError, ValueError):
        listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(classes))
        raise ValueError(f"target: give the index or the name of a class ({listed}), got {short(target)}") from None


def check_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Check that there are labels (N,) at all, and that each lies in 0..classes - 1; return them as int64."""
    if not len(labels):
        raise ValueError("labels: give at least one image, got none")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels: give 0..{classes - 1} for {classes} classes, got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64)


def probabilities(name: str, values: object, shape: tuple = ("images", "classes"), sums: bool = True) -> np.ndarray:
    """Check that ``values`` are probabilities: float64 (N, K), 0 to 1, and with ``sums`` the sum 1 in each row."""
    found = array(name, values, shape, finite=False).astype(float)
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: give probabilities, got NaN or infinity; the training has probably diverged")
    if (found < 0).any() or (found > 1 + 1e-4).any() or (sums and not np.allclose(found.sum(1), 1, atol=1e-4)):
        rule = "each from 0 to 1; these may be logits (apply a sigmoid once)"
        if sums:
            rule = "each row from 0 to 1 with the sum 1; these may be logits (apply softmax once) or findings"
        raise ValueError(f"{name}: give probabilities, {rule}")
    return found
