"""Convolutional networks written as a string of layers, such as ``"CPCPCPFDD"``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

LETTERS = {"C": "convolution + ReLU", "P": "2 x 2 max-pooling", "F": "flatten", "D": "dense layer + ReLU + dropout"}
MAX_WEIGHTS = 500_000_000  # of one layer: 2 GB
_RIGHT = re.compile(r"[CP]*((?<=[CP])FD*)?")  # as much of a string as is in order


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
    right = _RIGHT.match(layers).end()
    if right == len(layers):
        return
    letter, place = layers[right], f"at position {right + 1}"
    if letter not in LETTERS:
        known = ", ".join(f"{key} ({text})" for key, text in LETTERS.items())
        raise ValueError(f"layers {layers!r}: unknown letter {letter!r} {place}; the letters are {known}")
    order = "first at least one C or P, then one F (flatten) or none, and D only after an F"
    raise ValueError(f"layers {layers!r}: {letter} {place} is out of order: {order}")


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
    # He initialization keeps the size of the signal through ReLU layers (He et al., ICCV 2015).
    for layer in [*body.modules(), *head.modules()]:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    nn.init.xavier_uniform_(head.output.weight)
    return body, head


def _build_body(layers: str, size: int, filters: Sequence[int], padding: str, kernel: int):
    body, channels, side = nn.Sequential(), 1, size
    spatial = layers.partition("F")[0]
    for position, letter in enumerate(spatial, start=1):
        until = spatial[:position]
        number = until.count(letter)
        if letter == "C":
            after = side if padding == "same" else side - kernel + 1
            # Only a pooling that closes a block of convolutions moves on to the next number of filters.
            width = filters[min(until.count("CP"), len(filters) - 1)]
            check_weights(f"layers {layers!r}: convolution {number}", channels * width * kernel**2)
            body.add_module(f"conv{number}", nn.Conv2d(channels, width, kernel, padding=padding))
            body.add_module(f"relu{number}", nn.ReLU())
            channels = width
        else:
            after = side // 2
            body.add_module(f"pool{number}", nn.MaxPool2d(2))
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
