"""Widgets that work in a running notebook and, with what was saved, on a page without one."""

from .base import StaticWidget
from .dials import PhantomDials
from .inspector import CamInspector
from .layers import LayerBuilder
from .threshold import ThresholdExplorer

__all__ = ["CamInspector", "LayerBuilder", "PhantomDials", "StaticWidget", "ThresholdExplorer"]
