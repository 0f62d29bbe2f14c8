"""Networks for one-channel X-rays: layer strings, known backbones, freezing, checkpoints."""

from ._freeze import freeze, leaves, unfreeze
from ._summary import summary
from .backbones import BACKBONES
from .checkpoint import load_model, save_model
from .net import MODELS, CxrNet, build_model, evaluating

__all__ = [
    "BACKBONES", "MODELS", "CxrNet", "build_model", "evaluating", "freeze", "leaves", "load_model", "save_model",
    "summary", "unfreeze",
]  # fmt: skip
