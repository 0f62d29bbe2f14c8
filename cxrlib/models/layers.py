"""Convolutional networks written as a string of layers, such as ``"CPCPCPFDD"``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

LETTERS = {"C": "convolution + ReLU", "P": "2 x 2 max-pooling", "F": "flatten", "D": "dense layer + ReLU + dropout"}
MAX_WEIGHTS = 500_000_000  # of one layer: 2 GB
_GRAMMAR = re.compile(r"[CP]+(F?|FD+)")


class Dense(nn.Linear):
    """A dense layer that computes in the number format of its weights, also under autocast.

    A flattened map makes it wide, and PyTorch's bfloat16 product on processors with AMX ends the process with a
    floating point exception when rows times features hit one size: 12 images of 131,072 features are one case.
    Autocast would also convert all these weights in each step.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute features (B, F) -> (B, hidden)."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


def check_layers(layers: str) -> None:
    """Raise a ValueError that names the first wrong letter of a layer string."""
    for position, letter in enumerate(layers, start=1):
        if letter not in LETTERS:
            known = ", ".join(f"{key} ({text})" for key, text in LETTERS.items())
            what = f"unknown letter {letter!r} at position {position}; the letters are {known}"
            raise ValueError(f"layers {layers!r}: {what}")
    if _GRAMMAR.fullmatch(layers):
        return
    before, _, after = layers.partition("F")
    if "D" in before:
        position, remedy = layers.index("D") + 1, "put an F (flatten) before the first D"
        raise ValueError(f"layers {layers!r}: D at position {position} needs a vector; {remedy}")
    if not before:
        raise ValueError(f"layers {layers!r}: it must start with at least one C or P; F and D come after them")
    at = len(before) + 1 + re.match("D*", after).end()
    what = f"{layers[at]!r} at position {at + 1} stands after F; only D can follow F (flatten)"
    raise ValueError(f"layers {layers!r}: {what}")


def check_weights(layer: str, weights: int) -> None:
    """Raise a ValueError for a layer that no machine of a course has the memory for."""
    if weights > MAX_WEIGHTS:
        remedy = "use smaller images, more P, or smaller filters, kernel or hidden"
        raise ValueError(f"{layer} would have more than {MAX_WEIGHTS:,} weights; {remedy}")


def build_layers(
    layers: str, classes: int, *, size: int, filters: Sequence[int], hidden: int, dropout: float, padding: str,
    kernel: int,
) -> tuple[nn.Sequential, nn.Sequential]:  # fmt: skip
    """Make body and head of a layer string; for its options see ``build_model``."""
    check_layers(layers)
    body, channels, side = _build_body(layers, size, filters, padding, kernel)
    head = nn.Sequential()
    if "F" not in layers:
        head.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    features = channels * side * side if "F" in layers else channels
    for number in range(1, layers.count("D") + 1):
        check_weights(f"layers {layers!r}: dense layer {number}", features * hidden)
        head.add_module(f"dense{number}", Dense(features, hidden))
        head.add_module(f"relu{number}", nn.ReLU())
        if dropout:
            head.add_module(f"dropout{number}", nn.Dropout(dropout))
        features = hidden
    check_weights(f"layers {layers!r}: the output layer", features * classes)
    head.add_module("output", Dense(features, classes))
    _initialize(body, head)
    return body, head


def _build_body(layers: str, size: int, filters: Sequence[int], padding: str, kernel: int):
    body = nn.Sequential()
    channels, side = 1, size
    block = convolutions = pools = 0
    spatial = layers.partition("F")[0]
    for position, letter in enumerate(spatial, start=1):
        if letter == "C":
            after = side if padding == "same" else side - kernel + 1
            width = filters[min(block, len(filters) - 1)]
            convolutions += 1
            check_weights(f"layers {layers!r}: convolution {convolutions}", channels * width * kernel**2)
            body.add_module(f"conv{convolutions}", nn.Conv2d(channels, width, kernel, padding=padding))
            body.add_module(f"relu{convolutions}", nn.ReLU())
            channels = width
        else:
            after = side // 2
            pools += 1
            body.add_module(f"pool{pools}", nn.MaxPool2d(2))
            # Only a pooling that closes a block of convolutions moves on to the next number of filters.
            block += convolutions > 0 and spatial[position - 2] == "C"
        if after < 1:
            small = f"gets a map of {side} x {side} and would leave {max(after, 0)} x {max(after, 0)}"
            raise ValueError(
                f"layers {layers!r} do not fit images of {size} x {size} px: {letter} at position {position} {small}; "
                f"use fewer {letter}, or larger images (size=...)"
            )
        side = after
    return body, channels, side


def smallest_side(layers: str, padding: str, kernel: int) -> int:
    """Return the smallest side of an image, in pixels, that leaves at least one pixel in the last map."""
    side = 1
    for letter in reversed(layers.partition("F")[0]):
        if letter == "P":
            side *= 2
        elif padding == "valid":
            side += kernel - 1
    return side


def _initialize(body: nn.Sequential, head: nn.Sequential) -> None:
    # He initialization keeps the size of the signal through ReLU layers (He et al., ICCV 2015).
    for layer in [*body.modules(), *head.modules()]:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.xavier_uniform_(head.output.weight)
