"""A table of the layers of a network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pandas as pd
import torch

from ._freeze import leaves
from .net import CxrNet, evaluating


def summary(model: CxrNet) -> pd.DataFrame:
    """List the layers of a network with the shapes they give out and the parameters they hold.

    One row per layer, and a last row ``total``: ``layer`` (name), ``kind`` (class), ``output`` (shape for one image of
    the size that the model was built for, "-" for a layer that is not called), ``parameters`` (count), ``trainable``
    (how many of them are trained). The rows whose names start with ``body.`` are those that ``freeze`` counts.
    """
    found = leaves(model)
    shapes: dict[str, str] = {}

    def note(name: str, layer: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        shapes[name] = " x ".join(map(str, output.shape[1:]))

    hooks = [layer.register_forward_hook(partial(note, name)) for name, layer in found.items()]
    try:
        first, side = next(model.parameters()), model.config["size"]
        with torch.no_grad(), evaluating(model):
            model(torch.zeros(1, 1, side, side, device=first.device, dtype=first.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    rows = [
        (name, type(layer).__name__, shapes.get(name, "-"), *_count(layer.parameters(recurse=False)))
        for name, layer in found.items()
    ]
    rows.append(("total", "", "", *_count(model.parameters())))
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters", "trainable"])


def _count(parameters: Iterable[torch.nn.Parameter]) -> tuple[int, int]:
    parameters = list(parameters)
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
