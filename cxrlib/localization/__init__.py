"""How good is a class activation map? Scores against the truth, and two tests that need no truth.

A score alone says little: a coarse map cannot be perfect, and a blob in the middle of the picture is not always
wrong. So every score stands between a *ceiling* (a perfect map on the same coarse grid) and a *floor* (one and the same
map for all images: the mean of the training images' lesions, or a blob in the middle where none are given). Where
no lesion is known, ``map_energy`` asks in which part of the anatomy a map lies.
"""

from .energy import MapEnergy, map_energy
from .faithfulness import Curves, SanityCheck, deletion_insertion, sanity_check
from .maps import centered_blobs, enlarge, otsu, perfect_maps, show_map, show_scale
from .scores import MapScores, compare_maps, score_maps, tune_threshold

__all__ = [
    "Curves", "MapEnergy", "MapScores", "SanityCheck", "centered_blobs", "compare_maps", "deletion_insertion",
    "enlarge", "map_energy", "otsu", "perfect_maps", "sanity_check", "score_maps", "show_map", "show_scale",
    "tune_threshold",
]  # fmt: skip
