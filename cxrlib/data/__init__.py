"""Data sets: load them, audit them, cut them."""

from .audit import Audit, audit
from .cache import cache_dir, clear_cache
from .dataset import CxrDataset
from .sources import SOURCES, load
from .split import PROTOCOLS, split

__all__ = ["PROTOCOLS", "SOURCES", "Audit", "CxrDataset", "audit", "cache_dir", "clear_cache", "load", "split"]
