"""Several findings in one image: how class names tell them, and what a network of findings is asked.

A class called "consolidation+effusion" holds two findings, "normal" holds none. So a data set keeps one class per
image, and folders, splits, counts and audits keep the combinations apart; only a network built with ``multilabel=True``
sees findings: it has one output for each (a sigmoid), where others divide 1 among mutually exclusive classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

NORMAL, JOIN = "normal", "+"  # the class without findings; what joins the findings of a class


def findings(classes: Sequence[str]) -> tuple[str, ...]:
    """List the findings that class names hold, in the order in which they come up; ValueError for an odd name."""
    return tuple(dict.fromkeys(name for held in classes for name in _held(str(held))))


def label_matrix(classes: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Tell which of the ``known`` findings each class holds, 0 or 1, int (classes, findings).

    Raises ValueError for a class with another finding: a network that does not know it would be scored as if it were
    absent.
    """
    held = [_held(str(name)) for name in classes]
    if other := sorted({finding for names in held for finding in names} - set(known)):
        what = f"classes: {', '.join(other)} is none of the findings of the network, {list(known)}"
        raise ValueError(f"{what}; leave such images out, or name the class for the findings it holds")
    return np.array([[int(name in names) for name in known] for names in held]).reshape(len(held), len(known))


def targets(model: nn.Module, classes: Sequence[str]) -> np.ndarray:
    """Give what a network should answer for an image of each class, int (classes, outputs)."""
    return label_matrix(classes, model.classes) if is_multilabel(model) else np.eye(len(classes), dtype=int)


def is_multilabel(model: nn.Module) -> bool:
    """Tell whether a network has one output per finding."""
    return getattr(model, "multilabel", False)


def to_probabilities(model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
    """Turn logits (B, K) into probabilities: each by itself for findings, else of classes that sum to 1."""
    return logits.sigmoid() if is_multilabel(model) else logits.softmax(1)


def _held(name: str) -> list[str]:
    parts = [part.strip() for part in name.split(JOIN)]
    if "" in parts or len(set(parts)) < len(parts) or (NORMAL in parts and len(parts) > 1):
        raise ValueError(f'classes: write findings as "a{JOIN}b", and "{NORMAL}" where there is none, got {name!r}')
    return [part for part in parts if part != NORMAL]
