"""Data sets: load them, audit them, split them."""

from ._audit import Audit, audit
from ._load import load
from ._near import near_duplicates
from ._split import PROTOCOLS, split
from .cache import cache_dir, clear_cache
from .dataset import CxrDataset
from .sources import SOURCES

__all__ = [
    "PROTOCOLS", "SOURCES", "Audit", "CxrDataset", "audit", "cache_dir", "clear_cache", "load", "near_duplicates",
    "split",
]  # fmt: skip
