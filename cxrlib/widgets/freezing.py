"""FreezeExplorer: put the cut between frozen and learning layers, and count what that changes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..inputs import network
from ..models import CxrNet, leaves
from ..validate import several, whole
from .base import PageWidget, kit, t

WEIGHED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)  # each weight is used once at each place of the output


class FreezeExplorer(PageWidget):
    """The layers of a body from the input to the head, with a cut: the layers above it learn.

    The page says what ``freeze(model, k)`` does at any k: which parameters learn, which batch norms keep their
    statistics, and how many multiplications the backward pass needs; also with ``freeze_norms=True``, and when only
    ``requires_grad`` is set by hand.

    Parameters
    ----------
    model : CxrNet
        Not changed. Its layers are those that ``freeze`` counts.
    top, cuts : int and sequence of int
        Where the cut starts: the number of top layers of the body that learn; and more cuts to try, as buttons (the
        head alone and everything have one in any case).
    size : int, optional
        Side of the image in pixels, for the multiplications; default: the size the model was built for.

    Notes
    -----
    Counted are the multiplications of convolutions and dense layers for one image. In the forward pass a layer uses
    each weight once at each place of its output. The gradient of its weights takes as many multiplications again, and
    so does the gradient of its input, which is needed only if a layer before it learns.
    """

    _esm, _css = kit("freezing")
    summary = t("Freeze explorer: which layers learn, which batch norms keep their statistics, and what it saves.")

    def __init__(self, model: CxrNet, top: int = 0, *, cuts: Sequence[int] = (), size: int | None = None) -> None:
        deep = len(leaves(network("model", model).body))
        top = whole("top", top, 0, deep)
        cuts = several("cuts", cuts, partial(whole, high=deep), least=0)
        layers = _layers(model, whole("size", model.config["size"] if size is None else size, 1))
        super().__init__(page={"model": model.name, "layers": layers, "top": top, "cuts": sorted({0, *cuts, deep})})


def _layers(model: CxrNet, size: int) -> list[dict]:
    """Count, in the order of ``leaves``, one row per layer; ``work`` is the multiplications of the forward pass."""
    # last: number of the last layer with parameters on any way from the image to this layer's input (-1: none);
    # last_held: the same without the batch norms of the body. A gradient must pass the layer when it is above the cut.
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(True)
    found = {name: layer for name, layer in leaves(model).items() if name.startswith(("body.", "head."))}
    rows, owner = {}, {}
    for i, (name, layer) in enumerate(found.items()):
        head, norm = name.startswith("head."), isinstance(layer, _BatchNorm)
        own = list(layer.parameters(recurse=False))
        owner |= dict.fromkeys(own, (i, -1 if norm and not head else i))
        rows[name] = {
            "name": name.removeprefix("body."), "kind": type(layer).__name__, "norm": norm, "head": head,
            "parameters": sum(p.numel() for p in own), "output": "-", "work": 0, "last": -1, "last_held": -1,
        }  # fmt: skip
    seen = {None: (-1, -1)}

    def last(node: Any) -> tuple[int, int]:  # not deep: all nodes before the layer before were seen at that layer
        if node not in seen:
            if hasattr(node, "variable"):
                seen[node] = owner[node.variable]
            else:
                ways = [last(before) for before, _ in node.next_functions] or [(-1, -1)]
                seen[node] = max(a for a, _ in ways), max(b for _, b in ways)
        return seen[node]

    def before(row: dict, layer: nn.Module, inputs: tuple) -> None:
        a, b = last(inputs[0].grad_fn)
        row["last"], row["last_held"] = max(row["last"], a), max(row["last_held"], b)

    def after(row: dict, layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        row["output"] = " x ".join(str(n) for n in output.shape[1:])
        if isinstance(layer, WEIGHED):
            row["work"] += layer.weight.numel() * prod(output.shape[2:])  # a dense layer has one place

    for name, layer in found.items():
        layer.register_forward_pre_hook(partial(before, rows[name]))
        layer.register_forward_hook(partial(after, rows[name]))
    model(torch.zeros(1, 1, size, size))
    return list(rows.values())
