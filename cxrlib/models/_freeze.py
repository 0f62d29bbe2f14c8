"""Freezing: train only the head, or the head and the top layers of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..validate import whole

if TYPE_CHECKING:
    from .net import CxrNet


def leaves(module: nn.Module) -> dict[str, nn.Module]:
    """List the layers of a network by name, in the order of registration.

    A layer is a module without children, or one that holds parameters of its own: activations, pooling and batch norm,
    too, as in Keras. ``nn.Identity`` does not count, and a module that is used several times counts once.
    """
    return {
        name: layer
        for name, layer in module.named_modules()
        if name and (not layer._modules or layer._parameters) and not isinstance(layer, nn.Identity)
    }


def freeze(model: CxrNet, layers: int | str = "all", *, freeze_norms: bool = False) -> CxrNet:
    """Stop the training of the body of a network, or of all but its top layers.

    The head always stays trainable, and what was frozen before and is not now becomes trainable again. Frozen
    batch-norm layers keep their statistics: they stay in eval mode when ``model.train()`` is called. Returns the same
    model.

    Parameters
    ----------
    layers : int or "all"
        ``"all"`` (or 0) freezes the whole body. ``k`` leaves the ``k`` layers of the body that are nearest to the head
        trainable. What counts as a layer is said in ``leaves``; ``len(leaves(model.body))`` counts them.
    freeze_norms : bool
        Freeze the batch norms of the layers that stay trainable, too. Their statistics follow every batch, whatever the
        learning rate; at a low one the layers behind them cannot keep up.
    """
    found, layers = leaves(model.body), 0 if layers == "all" else layers
    whole('freeze: layers ("all", or the number of top layers of the body to leave trainable)', layers, 0)
    if layers > len(found):
        most = f"the body of {model.name!r} has {len(found)}; unfreeze(model) trains all of it"
        raise ValueError(f"freeze: {layers} layers cannot stay trainable, {most}")
    for parameter in model.body.parameters():
        parameter.requires_grad_(False)
    for layer in list(found.values())[len(found) - layers :]:
        held = freeze_norms and isinstance(layer, _BatchNorm)
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(not held)
    model.config |= {"freeze": layers or "all", "freeze_norms": freeze_norms}
    return model.train(model.training)


def unfreeze(model: CxrNet) -> CxrNet:
    """Make every parameter of a network trainable again; returns the same model."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.config |= {"freeze": None, "freeze_norms": False}
    return model.train(model.training)
