"""Networks for one-channel X-rays: layer strings, known back-bones, freezing, checkpoints."""

from .backbones import BACKBONES
from .checkpoint import load_model, save_model
from .freeze import freeze, leaves, unfreeze
from .modes import evaluating
from .net import MODELS, CxrNet, build_model
from .summary import summary

__all__ = [
    "BACKBONES",
    "MODELS",
    "CxrNet",
    "build_model",
    "evaluating",
    "freeze",
    "leaves",
    "load_model",
    "save_model",
    "summary",
    "unfreeze",
]
