"""FreezeExplorer: put the cut between frozen and learning layers, and count what that changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import traitlets
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..models import CxrNet, evaluating, leaves, summary
from .base import StaticWidget, kit


class FreezeExplorer(StaticWidget):
    """The layers of a body from the input to the head, with a cut: the layers above it learn.

    The page says what ``freeze(model, k)`` does at any k: how many parameters learn, which batch norms keep their
    statistics and which follow the batches, and how many multiplications the backward pass needs. It also shows
    ``hold_norms=True``, and what happens to the batch norms when only ``requires_grad`` is set by hand.

    Parameters
    ----------
    model : CxrNet
        Not changed. Its layers are those that ``freeze`` counts.
    top : int
        Where the cut starts: the number of top layers that learn.
    marks : dict of name -> int, optional
        Cuts to try, as buttons. Default: the head alone, and everything.
    size : int, optional
        Side of the image in pixels, for the multiplications; default: the size the model was built for.

    Raises
    ------
    ValueError
        No CxrNet, or a cut that its body does not have.

    Notes
    -----
    Counted are the multiplications of convolutions and dense layers for one image. In the forward pass a layer uses
    each weight once at each place of its output; the gradient of its weights takes as many multiplications, and so does
    the gradient of its input, which is needed if a layer before it learns.
    """

    _esm, _css = kit("freezing")
    summary = "Freeze explorer: which layers learn, which batch norms keep their statistics, and what backward costs."
    page = traitlets.Dict().tag(sync=True)

    def __init__(self, model: CxrNet, top: int = 0, *, marks: Mapping[str, int] | None = None, size: int | None = None):
        if not isinstance(model, CxrNet):
            raise ValueError(f"model: give a network of build_model, got {type(model).__name__}")
        layers = _layers(model, size)
        deep = sum(not layer["head"] for layer in layers)
        if marks is None:
            marks = {"the head alone": 0, "everything": deep}
        for name, k in (("top", top), *((f"marks: {name!r}", k) for name, k in marks.items())):
            if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= deep:
                raise ValueError(f"{name}: give a number of layers from 0 to {deep}, got {k!r}")
        super().__init__(page={"model": model.name, "layers": layers, "top": top,
                               "marks": [{"name": str(name), "top": k} for name, k in marks.items()]})


def _layers(model: CxrNet, size: int | None) -> list[dict]:
    """One row a layer of body and head.

    ``after`` is the number of the last layer with parameters that lies before it on any path (-1: none), ``after_held``
    the same without the batch norms of the body: from this follows whether a gradient has to pass through it.
    """
    table = summary(model, size).set_index("layer")
    found = leaves(model)
    numbers = {name: i for i, name in enumerate(found)}
    norms = {name for name, layer in found.items() if isinstance(layer, _BatchNorm)}
    plain = {}, {}  # parameter -> number of its layer: of all, and without the norms of the body
    for name, layer in found.items():
        for parameter in layer.parameters(recurse=False):
            plain[0][parameter] = numbers[name]
            if name not in norms or not name.startswith("body."):
                plain[1][parameter] = numbers[name]
    before = _before(model, found, plain, size)
    rows = []
    for name, layer in found.items():
        shape = table.loc[name, "output"]
        weights = layer.weight.numel() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd) else 0
        places = 1
        if isinstance(layer, nn.modules.conv._ConvNd) and shape != "-":
            height, width = (int(n) for n in shape.split(" x ")[1:])
            places = height * width
        after, after_held = before.get(name, (-1, -1))
        rows.append({"name": name.removeprefix("body."), "kind": type(layer).__name__, "output": shape,
                     "parameters": int(table.loc[name, "parameters"]), "work": weights * places,
                     "norm": name in norms, "head": name.startswith("head."), "after": after,
                     "after_held": after_held})
    return rows
