"""Widgets that work in a running notebook and, with what was saved, on a page without one."""

from .base import StaticWidget
from .confusions import ConfusionExplorer, ThresholdExplorer
from .dials import PhantomDials
from .fool import FoolIt
from .freezing import FreezeExplorer
from .inside import LookInside
from .inspector import CamInspector
from .ladder import LadderExplorer
from .layers import LayerBuilder
from .playground import AugmentationPlayground
from .training import TrainHere
from .windowing import WindowExplorer

__all__ = [
    "AugmentationPlayground", "CamInspector", "ConfusionExplorer", "FoolIt", "FreezeExplorer", "LadderExplorer",
    "LayerBuilder", "LookInside", "PhantomDials", "StaticWidget", "ThresholdExplorer", "TrainHere",
    "WindowExplorer",
]  # fmt: skip
