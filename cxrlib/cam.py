"""Class activation maps: which regions of an image speak for a class."""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ._predict import computing
from .inputs import class_indices, network, reader, unit
from .models import CxrNet, evaluating
from .validate import one_of, short, whole

if TYPE_CHECKING:
    from .data import CxrDataset

OCCLUSION_GRID = 14  # cells along each side; the gray patch is two cells wide


def explain(
    model: CxrNet, images: CxrDataset | np.ndarray | torch.Tensor, layer: str | None = None,
    target: int | str | Sequence | None = None, method: str = "grad-cam", batch_size: int = 32, *,
    relu: bool = True, precision: str = "fp32",
) -> np.ndarray:  # fmt: skip
    """Compute class activation maps, float32: (N, K, h, w) for all classes, (N, h, w) with a target.

    The model is left as it was found: mode, gradients, hooks. The maps have the size of the layer. They are not
    rescaled, so that maps of several images and classes can be compared; with ``relu`` negative values are 0. For
    Grad-CAM at the end of a network with global average pooling and one linear layer, the maps of all classes come from
    one forward pass, without any gradient. For other layers, only the part of the network behind the layer is
    differentiated. Raises ValueError for an unknown layer, target or method, images of another kind or scale, no
    spatial maps, activations that are not finite; warns where maps of the target are zero everywhere after ReLU.

    Parameters
    ----------
    model : CxrNet
    images : CxrDataset, uint8 array (N, 1, H, W) or (N, H, W), or float array or tensor of these shapes in [0, 1]
    layer : str, optional
        A name from ``layers(model)``; default: the end of the body.
    target : int, str or sequence of these, optional
        Class index or name for all images, or one per image; default: all classes.
    method : str
        One of ``METHODS``: ``"grad-cam"`` weights each feature map with its mean gradient (Selvaraju et al., ICCV
        2017); ``"grad-cam++"`` weights positive gradients pixel by pixel (Chattopadhay et al., WACV 2018);
        ``"layer-cam"`` multiplies maps and positive gradients (Jiang et al., IEEE TIP 2021); ``"eigen-cam"`` is the
        first principal component of the feature maps, the same for each class (Muhammad and Yeasin, IJCNN 2020), with
        the sign that makes its largest value positive; ``"score-cam"`` weights a map with the score of the image seen
        through it (Wang et al., CVPR Workshops 2020), one forward pass for each feature map; ``"occlusion"`` is the
        fall of the class's logit when a gray patch hides a region (Zeiler and Fergus, ECCV 2014), on a grid of 14 x
        14; it needs no layer.
    batch_size, precision
        As for ``predict``; for Score-CAM and occlusion, changed copies in one pass.
    relu : bool
        Set negative values to zero, as the papers do: what speaks against the class is not shown.
    """
    network("model", model)
    one_of("method", method, METHODS)
    whole("batch_size", batch_size, 1)
    if method == "occlusion" and layer is not None:
        raise ValueError("layer: occlusion looks at the image itself; leave layer out")
    name, module = _find_layer(model, layer)
    read, count = reader(images)
    chosen = class_indices(target, model.classes, count)
    first = next(model.parameters())
    maps = []
    # An outer inference mode would forbid gradients altogether.
    with torch.inference_mode(False), torch.no_grad(), evaluating(model), computing(precision, first.device):
        for start in range(0, count, batch_size):
            x = unit(read(range(start, min(start + batch_size, count)))).to(first.device, first.dtype)
            model.check_input(x)
            wanted = None if chosen is None else chosen[start : start + batch_size].to(first.device)
            batch = _Batch(model, name, module, x, wanted, batch_size, start)
            maps.append(METHODS[method](batch).float().cpu())
    if not maps:
        raise ValueError("images: give at least one, there are none")
    out = torch.cat(maps)
    if not out.isfinite().all():
        raise ValueError("model: the maps hold NaN or infinity; the weights are damaged, or the training diverged")
    if relu:
        out.clamp_(min=0)
        blank = 0 if chosen is None else int((out.flatten(1).amax(1) == 0).sum())  # among all classes they are the rule
        if blank:
            what = f"{blank} of {len(out)} maps are zero everywhere: at this layer nothing speaks for the class"
            warnings.warn(f"{what}. relu=False keeps the negative values, which speak against it", stacklevel=2)
    return out.numpy()


def layers(model: CxrNet) -> list[str]:
    """List the names of the layers that ``explain`` can map, in the order of the network.

    Layers whose maps have a single pixel at the size the model was built for (as inside squeeze-and-excitation) are
    left out. A module that is used several times stands for its last use.
    """
    return list(map_sizes(model))


def map_sizes(model: CxrNet) -> dict[str, tuple[int, int]]:
    """Give the size (h, w) of the maps of each of the ``layers``."""
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def note(module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            sizes[module] = tuple(output.shape[2:])

    side = network("model", model).config["size"]
    modules = {name: m for name, m in model.body.named_modules() if name and not isinstance(m, nn.Identity)}
    with contextlib.ExitStack() as stack:
        for module in modules.values():
            stack.enter_context(module.register_forward_hook(note))
        with torch.inference_mode(False), torch.no_grad(), evaluating(model):
            model.body(model.input(next(model.parameters()).new_zeros(1, 1, side, side)))
    return {name: sizes[module] for name, module in modules.items() if prod(sizes.get(module, (1,))) > 1}


@dataclass
class _Batch:
    """One batch of images on its way through the model, seen from one layer."""

    model: CxrNet
    name: str
    module: nn.Module
    x: torch.Tensor
    targets: torch.Tensor | None
    batch_size: int
    start: int

    def activations(self) -> torch.Tensor:
        """Feature maps (B, C, h, w) at the layer."""
        found = [None]

        def keep(module: nn.Module, inputs: tuple, output: object) -> torch.Tensor | None:
            found.append(output)
            return output.clone() if isinstance(output, torch.Tensor) else None  # in-place layers follow

        with self.module.register_forward_hook(keep):
            self.model(self.x)
        return self.check(found[-1])

    def graph(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps (B, C, h, w) and the logits (B, K), with the graph from the ones to the others."""
        found = []

        def cut(module: nn.Module, inputs: tuple, output: object) -> torch.Tensor:
            # The stem before the layer has run without a graph; recording starts here. The clone keeps an
            # in-place layer behind from changing what we differentiate by.
            found.append(self.check(output).detach().requires_grad_())
            torch.set_grad_enabled(True)
            return found[-1].clone()

        with torch.no_grad(), self.module.register_forward_hook(cut):  # no_grad undoes what cut enables
            logits = self.model(self.x)
        return found[-1] if found else self.check(None), logits

    def check(self, output: object) -> torch.Tensor:
        if output is None:
            raise ValueError(f"layer: {self.name!r} is not used when the model runs")
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            raise ValueError(f"layer: {self.name!r} has no spatial maps; layers(model) lists those that have")
        if output.shape[2] * output.shape[3] == 1:
            given = f"{self.name!r} gives maps of a single pixel for images of {self.x.shape[2]} x {self.x.shape[3]} px"
            raise ValueError(f"layer: {given}; choose an earlier layer, or larger images")
        bad = ~output.isfinite().flatten(1).all(1)
        if bad.any():
            given = f"{self.name!r} hold NaN or infinite values (first in image {self.start + int(bad.nonzero()[0])})"
            raise ValueError(f"layer: activations at {given}; weights or image are damaged, or the training diverged")
        return output

    def pick(self, maps: torch.Tensor) -> torch.Tensor:
        """Of maps for all classes (B, K, h, w), those that were asked for."""
        return maps if self.targets is None else maps[torch.arange(len(maps), device=maps.device), self.targets]


def _grad_cam(batch: _Batch) -> torch.Tensor:
    weights = pooled_weights(batch.model) if is_end_of_body(batch.model, batch.module) else None
    if weights is None:
        return _by_gradients(batch, lambda maps, g: (g.mean((2, 3), keepdim=True) * maps).sum(1))
    maps = _full(batch.activations())
    # The gradient of logit k at every pixel of map c is weights[k, c] / area: nothing to differentiate.
    sums, used = ("kc,bchw->bkhw", weights) if batch.targets is None else ("bc,bchw->bhw", weights[batch.targets])
    return torch.einsum(sums, used, maps) / (maps.shape[2] * maps.shape[3])


def _plus_plus(maps: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    # Equation 19 of the paper; the small number is that of pytorch-grad-cam.
    alpha = g**2 / (2 * g**2 + maps.sum((2, 3), keepdim=True) * g**3 + 1e-6)
    return ((alpha * g.clamp(min=0)).sum((2, 3), keepdim=True) * maps).sum(1)


def _by_gradients(batch: _Batch, combine: Callable) -> torch.Tensor:
    """Combine the maps (B, C, h, w) with the gradients of the logit at them, class by class."""
    leaf, logits = batch.graph()
    # Images do not mix in eval mode, so the gradient of the sum holds the gradient of every image.
    with torch.enable_grad():
        asked = logits if batch.targets is None else logits.gather(1, batch.targets.view(-1, 1))
        scores = asked.sum(0).unbind()
    out = []
    for k, score in enumerate(scores):
        (gradient,) = torch.autograd.grad(score, leaf, retain_graph=k + 1 < len(scores))
        out.append(combine(_full(leaf.detach()), _full(gradient)))
    return out[0] if batch.targets is not None else torch.stack(out, 1)


def _eigen_cam(batch: _Batch) -> torch.Tensor:
    maps = _full(batch.activations())
    pixels = maps.flatten(2).transpose(1, 2)  # (B, hw, C)
    pixels = pixels - pixels.mean(1, keepdim=True)
    main = torch.linalg.svd(pixels, full_matrices=False).Vh[:, 0, :, None]
    out = (pixels @ main).view(len(maps), *maps.shape[2:])
    flip = -out.amin((1, 2), keepdim=True) > out.amax((1, 2), keepdim=True)  # a component has no sign of its own
    out = torch.where(flip, -out, out)
    return out if batch.targets is not None else out.unsqueeze(1).repeat(1, len(batch.model.classes), 1, 1)


def _score_cam(batch: _Batch) -> torch.Tensor:
    out = []
    for x, maps in zip(batch.x, batch.activations(), strict=True):
        maps = _full(maps)
        scores = []
        for masks in maps.unsqueeze(1).split(batch.batch_size):
            masks = F.interpolate(masks, x.shape[1:], mode="bilinear", align_corners=True)
            low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
            masks = (masks - low) / (high - low + 1e-8)
            scores.append(_full(batch.model((x * masks).to(x.dtype))))
        weights = torch.cat(scores).softmax(0)  # (C, K): over the feature maps, for every class
        out.append(torch.einsum("ck,chw->khw", weights, maps))
    return batch.pick(torch.stack(out))


def _occlusion(batch: _Batch) -> torch.Tensor:
    patches = list(product(*(_spans(side) for side in batch.x.shape[2:])))
    out = []
    for x, unhidden in zip(batch.x, batch.model(batch.x).float(), strict=True):
        falls = []
        for start in range(0, len(patches), batch.batch_size):
            part = patches[start : start + batch.batch_size]
            hidden = x.repeat(len(part), 1, 1, 1)
            for copy, (rows, columns) in zip(hidden, part, strict=True):
                copy[:, rows, columns] = x.mean()
            falls.append(unhidden - batch.model(hidden).float())
        out.append(torch.cat(falls).T.reshape(-1, OCCLUSION_GRID, OCCLUSION_GRID))
    return batch.pick(torch.stack(out))


def _spans(side: int) -> Iterator[slice]:
    """Two cells around the center of every cell of a grid along one side of the image, cut at the border."""
    cell = side / OCCLUSION_GRID
    for i in range(OCCLUSION_GRID):
        yield slice(max(0, round((i - 0.5) * cell)), max(round((i + 1.5) * cell), round(i * cell) + 1))


METHODS: dict[str, Callable[[_Batch], torch.Tensor]] = {
    "grad-cam": _grad_cam,
    "grad-cam++": partial(_by_gradients, combine=_plus_plus),
    "layer-cam": partial(_by_gradients, combine=lambda maps, g: (g.clamp(min=0) * maps).sum(1)),
    "eigen-cam": _eigen_cam,
    "score-cam": _score_cam,
    "occlusion": _occlusion,
}


def _full(x: torch.Tensor) -> torch.Tensor:
    """Half precision widened to float32."""
    return x if x.dtype == torch.float64 else x.float()


def pooled_weights(model: CxrNet) -> torch.Tensor | None:
    """Find the weights (K, C) from pooled maps to logits where the head is linear in them, else None."""
    parts = dict(model.head.named_children())
    if "pool" not in parts or not set(parts) <= {"pool", "flatten", "norm", "dropout", "output"}:
        return None
    weights = _full(parts["output"].weight)
    norm = parts.get("norm")
    if norm is not None:  # in eval mode a batch norm is a factor and an offset; the offset has no gradient
        weights = weights * _full(norm.weight) * torch.rsqrt(_full(norm.running_var) + norm.eps)
    return weights


def is_end_of_body(model: CxrNet, module: nn.Module) -> bool:
    """Tell whether the output of ``module`` is that of the body: it, its last child, that one's last child ..."""
    end = model.body
    while end is not module and isinstance(end, nn.Sequential) and len(end):
        end = end[-1]
    return end is module


def _find_layer(model: CxrNet, layer: str | None) -> tuple[str, nn.Module]:
    if layer in (None, "body"):
        return "body", model.body
    known = {name: module for name, module in model.body.named_modules() if name}
    name = layer.removeprefix("body.") if isinstance(layer, str) else ""
    if name in known:
        return name, known[name]
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"layer: the body of {model.name!r} has no {short(layer)}; give a name from layers(model).{hint}")
