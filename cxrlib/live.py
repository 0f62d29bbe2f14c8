"""live_network: a trained network as plain JSON, which the widgets' script runs in a page, without a kernel."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .inputs import network
from .models import CxrNet, evaluating
from .models.backbones import GRAY_MEAN, GRAY_SD
from .validate import one_of
from .values import packed

FORMAT = 1
EXACT = 8192  # weights: the last layer is among these, whose rounding would be seen most


def live_network(model: CxrNet, bits: int = 16) -> dict:
    """Describe a network for the page: what it computes, step by step, and its weights as text.

    Batch norms are folded into the convolutions before them. Weights are whole numbers of ``bits`` bits with a factor
    per output channel: with 16, the tests hold probabilities to within 1e-3 of PyTorch's; 8 halves the size, and is not
    held to that. Raises ValueError for an operation that the page does not know.

    Parameters
    ----------
    model : CxrNet
        From ``build_model``; in the page it takes images of the size it was built for.
    bits : {16, 8}
    """
    network("model", model, findings=False)
    pack = _Packer(int(one_of("bits", str(bits), ("16", "8"))))
    side = model.config["size"]
    with torch.inference_mode(False), torch.no_grad(), evaluating(model):
        image = torch.zeros(1, 1, side, side, device=next(model.parameters()).device)
        steps = _body(torch.export.export(model.body, (image,)), pack)
        grid = model.body(image).shape[1:]
    return {
        "format": FORMAT, "classes": list(model.classes), "size": side, "body": steps,
        "normalize": [GRAY_MEAN, GRAY_SD] if model.config["normalize"] == "fixed" else "image",
        "head": _head(model.head, tuple(grid), pack), "tensors": pack.tensors,
    }  # fmt: skip


class _Packer:
    """Keep tensors as text; each is known by its number."""

    def __init__(self, bits: int) -> None:
        self.bits, self.tensors = bits, []

    def keep(self, values: torch.Tensor) -> int:
        """Keep values (O, ...) as whole numbers with a factor for each of the O; few values as they are, in float32."""
        rows = values.detach().cpu().float().numpy()
        if rows.size <= EXACT:
            text = {"bits": 32, "data": packed(rows.astype("<f4"))}
        else:
            factor = np.maximum(np.abs(rows).reshape(len(rows), -1).max(1), 1e-30) / (2 ** (self.bits - 1) - 1)
            steps = np.rint(rows / factor.reshape(-1, *[1] * (rows.ndim - 1))).astype(f"<i{self.bits // 8}")
            text = {"bits": self.bits, "data": packed(steps), "factor": packed(factor.astype("<f4"))}
        self.tensors.append({"shape": list(rows.shape), **text})
        return len(self.tensors) - 1


def _body(program: torch.export.ExportedProgram, pack: _Packer) -> list[dict]:
    """Turn the traced body into steps; ``from`` are the numbers of the steps before, 0 is the image."""
    inputs = program.graph_signature
    known = {**inputs.inputs_to_parameters, **inputs.inputs_to_buffers}
    held = {**program.state_dict, **program.constants}
    steps, place, value = [], {}, {}
    for node in program.graph.nodes:
        if node.name in known:
            value[node] = held[known[node.name]]
        elif node.op == "placeholder":
            place[node] = 0
        elif node.op == "call_function":
            step = _step(node, value, steps, place)
            if isinstance(step, int):
                place[node] = step
            else:
                steps.append(step)
                place[node] = len(steps)
    for step in steps:
        for name in ("weight", "bias", "factor"):
            if name in step:
                step[name] = pack.keep(step[name])
    return steps


def _step(node: torch.fx.Node, value: dict, steps: list[dict], place: dict) -> dict | int:
    """Make the step of one traced operation; of a batch norm that was folded, return the number of its convolution."""
    name = node.target.__name__.partition(".")[0].rstrip("_")
    args = [*node.args, *[None] * 6]
    before = [place[a] for a in (args[0] if name == "cat" else args) if isinstance(a, torch.fx.Node) and a in place]
    step = {"from": before}
    if name == "batch_norm":
        weight, bias, mean, variance = (value[a] for a in args[1:5])
        factor = weight * torch.rsqrt(variance + args[7])
        bias = bias - mean * factor
        last = steps[before[0] - 1] if before[0] else step
        if len(args[0].users) == 1 and last.get("do") in ("conv", "depthwise"):  # nothing else reads the convolution
            last["weight"] = last["weight"] * factor.view(-1, 1, 1, 1)
            last["bias"] = last["bias"] * factor + bias
            return before[0]
        return step | {"do": "scale", "factor": factor, "bias": bias}
    if name == "conv2d":
        weight, stride, groups = value[args[1]], args[3] or [1, 1], args[6] or 1
        if groups not in (1, len(weight)) or (groups > 1 and weight.shape[1] > 1) or any(d != 1 for d in args[5] or []):
            raise ValueError(f"model: the page knows no convolution in {groups} groups or with gaps")
        if args[4] == "same":
            pad = [[(k - 1) // 2, k // 2] for k in weight.shape[2:]]
        else:
            pad = [[p, p] for p in args[4] or [0, 0]]
        bias = torch.zeros(len(weight)) if args[2] is None else value[args[2]]
        return step | {"do": "conv" if groups == 1 else "depthwise", "weight": weight, "bias": bias, "pad": pad,
                       "stride": list(stride)}  # fmt: skip
    if name in ("max_pool2d", "avg_pool2d"):
        size, stride, pad = args[1], args[2] or args[1], args[3] or [0, 0]
        if name == "avg_pool2d" and any(pad) and args[5] is not False:
            raise ValueError("model: the page knows no average pooling that counts the border")
        return step | {"do": name[:3], "size": list(size), "stride": list(stride), "pad": pad}
    if name == "adaptive_avg_pool2d" and set(args[1]) == {1}:
        return step | {"do": "mean"}
    if name == "pad" and args[2] in ("constant", None):
        left, right, top, bottom = args[1]
        return step | {"do": "pad", "pad": [[top, bottom], [left, right]]}
    if name == "hardtanh" and (args[1], args[2]) == (0.0, 6.0):
        return step | {"do": "relu6"}
    if name == "mul" and isinstance(args[1], float):
        return step | {"do": "times", "by": args[1]}
    if name in ("relu", "silu", "sigmoid", "add", "mul", "cat"):
        return step | {"do": "concat" if name == "cat" else name}
    raise ValueError(f"model: the page does not know the operation {name}")


def _head(head: nn.Module, grid: tuple[int, int, int], pack: _Packer) -> list[dict]:
    """Turn the head into steps on a plain array; the page has channels last, so flattened weights are put in order."""
    steps, flat = [], "pool" not in dict(head.named_children())
    for layer in head.children():
        if isinstance(layer, nn.Linear):
            weight = layer.weight
            if flat:
                weight = weight.view(len(weight), *grid).permute(0, 2, 3, 1).reshape(len(weight), -1)
            steps.append({"do": "linear", "weight": pack.keep(weight), "bias": pack.keep(layer.bias)})
            flat = False
        elif isinstance(layer, nn.BatchNorm1d):
            factor = layer.weight * torch.rsqrt(layer.running_var + layer.eps)
            bias = layer.bias - layer.running_mean * factor
            steps.append({"do": "scale", "factor": pack.keep(factor), "bias": pack.keep(bias)})
        elif isinstance(layer, nn.AdaptiveAvgPool2d | nn.ReLU):
            steps.append({"do": "relu" if isinstance(layer, nn.ReLU) else "mean"})
    return steps
