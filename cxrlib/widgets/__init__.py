"""Widgets that work in a running notebook and, with what was saved, on a page without one."""

from .base import StaticWidget
from .confusions import ConfusionExplorer
from .dials import PhantomDials
from .inspector import CamInspector
from .layers import LayerBuilder
from .playground import AugmentationPlayground
from .threshold import ThresholdExplorer

__all__ = [
    "AugmentationPlayground",
    "CamInspector",
    "ConfusionExplorer",
    "LayerBuilder",
    "PhantomDials",
    "StaticWidget",
    "ThresholdExplorer",
]
