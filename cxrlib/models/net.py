"""The one network class, the function that builds it by name, and eval mode for a moment."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..device import memory_layout
from ..multilabel import findings
from ..validate import number, one_of, several, short, whole
from ._freeze import freeze as freeze_layers
from .backbones import BACKBONES, GRAY_MEAN, GRAY_SD, build_backbone
from .layers import build_layers, check_weights, smallest_side

CNN5 = "CPCPCPFDD"
MODELS = ("cnn5", *BACKBONES)
MAX_LETTERS = 200
_LAYER_DEFAULTS = {"filters": None, "hidden": 128, "dropout": 0.3, "padding": "same", "kernel": 3}
_BACKBONE_DEFAULTS = {"pretrained": False, "head_dropout": 0.0, "head_batchnorm": False, "head_hidden": None}


class Normalize(nn.Module):
    """Bring gray images with values in [0, 1] to about zero mean and unit variance; nothing is learned.

    ``mode="fixed"`` computes ``(x - 0.449) / 0.226`` (the ImageNet mean and SD, averaged over the colors);
    ``mode="image"`` gives every image zero mean and unit variance, which removes differences of exposure.
    """

    def __init__(self, mode: str = "fixed") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize images (B, 1, H, W)."""
        if self.mode == "fixed":
            return (x - GRAY_MEAN) / GRAY_SD
        values = x.float()
        variance, mean = torch.var_mean(values, dim=(1, 2, 3), keepdim=True, correction=0)
        return ((values - mean) * torch.rsqrt(variance + 1e-6)).to(x.dtype)

    def extra_repr(self) -> str:
        """Name the mode when the network is printed."""
        return f"mode={self.mode!r}"


class CxrNet(nn.Module):
    """A classifier of chest X-rays in three parts: ``head(body(input(x)))``.

    ``input`` normalizes float images (B, 1, H, W) with values in [0, 1], ``body`` ends in spatial maps (B, C, h, w),
    ``head`` turns these into logits (B, K). ``net.classes`` holds the class names, ``net.config`` the plain arguments
    that rebuild it: ``build_model(**net.config)``. ``net.multilabel`` says that its classes are findings, see
    ``build_model``.
    """

    def __init__(self, name: str, classes: tuple[str, ...], body: nn.Module, head: nn.Module, config: dict) -> None:
        super().__init__()
        self.name, self.classes, self.config = name, classes, config
        self.multilabel = config.get("multilabel", False)
        self.input, self.body, self.head = Normalize(config["normalize"]), body, head
        # A flattening head fixes the size of the images; other bodies only set a smallest size.
        self.fixed_size = None if hasattr(head, "pool") else config["size"]
        if name in BACKBONES:
            self.smallest_size = BACKBONES[name].smallest
        else:
            self.smallest_size = smallest_side(_layer_string(name), config["padding"], config["kernel"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits (B, K) of images (B, 1, H, W) with values in [0, 1]."""
        self.check_input(x)
        return self.head(self.body(self.input(x)))

    def check_input(self, x: torch.Tensor) -> None:
        """Raise a ValueError when ``x`` is not a batch of images this network can take."""
        if x.ndim != 4 or x.shape[1] != 1:
            raise ValueError(f"{self.name}: images must have the shape (B, 1, H, W), got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"{self.name}: images must be floats from 0 to 1, got {x.dtype}; divide by 255 first")
        (height, width), side, least = x.shape[2:], self.fixed_size, self.smallest_size
        if side is not None and (height, width) != (side, side):
            remedy = f"load the images at size={side}, or build the model with size={height}"
            raise ValueError(f"{self.name}: built for images of {side} x {side} px, got {height} x {width}; {remedy}")
        if min(height, width) < least:
            raise ValueError(f"{self.name}: images must be at least {least} x {least} px, got {height} x {width}")

    def train(self, mode: bool = True) -> CxrNet:
        """Set the training mode; frozen batch-norm layers stay in eval mode."""
        super().train(mode)
        for layer in self.body.modules():
            if isinstance(layer, _BatchNorm) and layer.affine and not layer.weight.requires_grad:
                layer.eval()
        return self


def build_model(
    name: str, classes: Sequence[str], *, multilabel: bool = False, pretrained: bool | str = False, size: int = 224,
    normalize: str = "fixed", freeze: int | str | None = None, freeze_norms: bool = False, seed: int | None = None,
    filters: int | Sequence[int] | None = None, hidden: int = 128, dropout: float = 0.3, padding: str = "same",
    kernel: int = 3, head_dropout: float = 0.0, head_batchnorm: bool = False, head_hidden: int | None = None,
) -> CxrNet:  # fmt: skip
    """Build a network for one-channel X-rays.

    Parameters
    ----------
    name : str
        A name from ``MODELS``, or a layer string: C is a convolution with ReLU, P a 2 x 2 max-pooling, F flattens, D is
        a dense layer with ReLU and dropout. The output layer is always added at the end and has no letter.
        ``"CPCPCPFDD"`` is three blocks and two dense layers; ``"cnn5"`` is the same with 32, 64 and 128 filters.
        Without F the maps are averaged (global average pooling) before the output layer.
    classes : sequence of str
        Class names, in the order of the outputs.
    multilabel : bool
        Findings that can come together, with one sigmoid each, in place of mutually exclusive classes. ``classes``
        are then taken apart: "normal", "a", "b", "a+b" are the findings a and b, the network's ``classes``.
    pretrained : bool or "imagenet"
        Start from ImageNet weights (backbones only). They are downloaded (ConnectionError where they cannot be), but
        for ``efficientnet_lite0``, whose weights come with a Python package.
    size : int
        Side of the images in pixels. Networks with F take only this size; the others take any.
    normalize : "fixed" or "image"
        ``(x - 0.449) / 0.226``, or zero mean and unit variance for every image.
    freeze, freeze_norms : None, "all" or int; bool
        Passed to ``freeze``.
    seed : int, optional
        Of the initial weights; torch's global generator is left as it was. Default: drawn from the global generator.
    filters, hidden, dropout, padding, kernel
        Layer strings only. ``filters`` are the numbers of feature maps; the next one is used after each P, the last one
        repeats; default (64, 128). ``hidden`` units and the ``dropout`` fraction of each D. ``padding="same"`` keeps
        the map size in a convolution, ``"valid"`` does not. ``kernel`` is the side of a convolution in pixels.
    head_dropout, head_batchnorm, head_hidden
        Backbones only. The head is global average pooling, batch norm (if asked), dropout and the output layer;
        ``head_hidden`` units add a dense layer with ReLU before the dropout.

    Returns
    -------
    CxrNet
        Input float (B, 1, H, W) in [0, 1]; output logits (B, K). The weights lie in memory as the processor reads them
        fastest (``channels_last``).
    """
    given = dict(locals())
    if not isinstance(multilabel, bool):
        raise ValueError(f"multilabel: give True or False, got {short(multilabel)}")
    classes, layers = _check_classes(findings(classes) if multilabel else classes), _layer_string(name)
    _check_options(given, layers is not None)
    config = {"name": name, "classes": list(classes), "size": int(size), "normalize": normalize, "seed": seed}
    config |= {"multilabel": True} if multilabel else {}
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.random.default_generator.manual_seed(whole("seed", seed, -(2**63), 2**64 - 1))
        if layers is not None:
            if filters is None:
                filters = (32, 64, 128) if name == "cnn5" else (64, 128)
            each = [filters] if isinstance(filters, Integral) else filters
            given["filters"] = several("filters", each, partial(whole, low=1))
            options = {key: given[key] for key in _LAYER_DEFAULTS}
            body, head = build_layers(layers, len(classes), size=size, **options)
        else:
            options = {key: given[key] for key in _BACKBONE_DEFAULTS} | {"pretrained": bool(pretrained)}
            body = build_backbone(name, options["pretrained"])
            head = _build_head(BACKBONES[name].channels, len(classes), head_dropout, head_batchnorm, head_hidden)
    model = CxrNet(name, classes, body, head, config | options | {"freeze": None, "freeze_norms": False})
    model.to(memory_format=memory_layout(next(model.parameters()).device))
    return model if freeze is None else freeze_layers(model, freeze, freeze_norms=freeze_norms)


def _build_head(channels: int, classes: int, dropout: float, batchnorm: bool, hidden: int | None) -> nn.Sequential:
    head = nn.Sequential()
    head.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    if batchnorm:
        head.add_module("norm", nn.BatchNorm1d(channels))
    if hidden is not None:
        check_weights(f"head_hidden={hidden}: the dense layer", channels * hidden)
        head.add_module("dense", nn.Linear(channels, hidden))
        head.add_module("relu", nn.ReLU())
    if dropout:
        head.add_module("dropout", nn.Dropout(dropout))
    check_weights("the output layer", (hidden or channels) * classes)
    head.add_module("output", nn.Linear(hidden or channels, classes))
    return head


def _layer_string(name: str) -> str | None:
    """Return the layers of a model name; None for a backbone."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"name: give the name of a model or a layer string, got {short(name)}")
    if len(name) > MAX_LETTERS:
        raise ValueError(f"name: a layer string has at most {MAX_LETTERS} letters, got {len(name)}")
    if name == "cnn5":
        return CNN5
    if name in BACKBONES:
        return None
    if name == name.upper() and name[0].isalpha():
        return name
    close = difflib.get_close_matches(name.lower(), MODELS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if set(name.upper()) <= set("CPFD"):
        hint = f"did you mean {name.upper()!r}? "
    known = f"There are {', '.join(MODELS)}, and layer strings in capitals such as {CNN5!r}"
    raise ValueError(f"unknown model {name!r}; {hint}{known}")


def _check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(several("classes", classes, lambda _, name: str(name), least=2))
    if len(set(names)) < len(names):
        raise ValueError(f"classes: every name may occur only once, got {short(names)}")
    return names


def _check_options(given: dict, is_layers: bool) -> None:
    name = given["name"]
    for key, default in (_BACKBONE_DEFAULTS if is_layers else _LAYER_DEFAULTS).items():
        if given[key] != default:
            kind, other = ("a layer string", "backbones") if is_layers else ("a backbone", "layer strings")
            listed = ", ".join(BACKBONES) if is_layers else f"'cnn5' or {CNN5!r}"
            raise ValueError(f"{key}={short(given[key])} is for {other} ({listed}); {name!r} is {kind}")
    least = 1 if is_layers else BACKBONES[name].smallest
    whole(f"size of the images in pixels, for {name!r}", given["size"], least)
    one_of("normalize", given["normalize"], ("fixed", "image"))
    one_of("padding", given["padding"], ("same", "valid"))
    if given["pretrained"] not in (True, False, "imagenet"):
        raise ValueError(f"pretrained: give True, False or 'imagenet', got {short(given['pretrained'])}")
    for key in ("dropout", "head_dropout"):
        number(key, given[key], 0, 1, open_high=True)
    for key in ("hidden", "kernel", "head_hidden"):
        if given[key] is not None or key != "head_hidden":
            whole(key, given[key], 1)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put a network into eval mode; afterwards every module is back in the mode it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, training in before:
            module.training = training
