"""WindowExplorer: from the values of a detector to gray, with the center and the width of a DICOM window."""

from __future__ import annotations

import numpy as np

from ..data.dicom import window
from ..validate import array, number, text
from ..values import packed
from .base import PageWidget, kit, t

LARGEST = 320  # pixels per side: the page holds two bytes for each


class WindowExplorer(PageWidget):
    """One image of up to 16 bits, its histogram, and sliders for window center and width.

    The page computes what ``cxrlib.data.dicom.window`` computes (function LINEAR), rounded as ``read_dicom`` does, and
    inverts the gray for MONOCHROME1.

    Parameters
    ----------
    stored : array of whole numbers from 0 to 65535, (H, W)
        The stored values of the file, at most 320 pixels per side. The page holds them: mind this when they show a
        patient.
    center, width : float
        Where the sliders start, in rescaled units; usually what the file asks for.
    slope, intercept : float
        The rescaled value is ``slope * stored + intercept``.
    monochrome1 : bool
        Whether small values are bright.
    mask, region : bool array (H, W), str
        A region of interest, and what it is: the page outlines it and says how many of its pixels are clipped.
    """

    _esm, _css = kit("windowing")
    summary = t("Window explorer: one image of more than 8 bits, its histogram, and the window that makes it gray.")

    def __init__(
        self, stored: np.ndarray, center: float, width: float, *, slope: float = 1.0, intercept: float = 0.0,
        monochrome1: bool = False, mask: np.ndarray | None = None, region: str = t("lesion"),
    ) -> None:  # fmt: skip
        stored = array("stored", stored, ("H", "W"), "iu")
        if not 0 < min(stored.shape) <= max(stored.shape) <= LARGEST:
            raise ValueError(f"stored: give an image (H, W) of 1 to {LARGEST} pixels per side, got {stored.shape}")
        if stored.min() < 0 or stored.max() > 65535:
            raise ValueError(f"stored: give values from 0 to 65535, got {stored.min()} to {stored.max()}")
        if stored.min() == stored.max():
            raise ValueError(f"stored: give different values, all are {stored.min()}: no window would show anything")
        given = {"slope": slope, "intercept": intercept, "center": center, "width": width}
        numbers = {name: number(name, value) for name, value in given.items()}
        if slope == 0:
            raise ValueError("slope: give a number other than 0, which makes all values equal")
        window(0.0, center, width)  # it says which widths are possible
        if mask is not None:
            mask = array("mask", mask, stored.shape, "b")
            if not mask.any():
                raise ValueError("mask: give at least one pixel, or None where no region is known")
            mask = packed(np.packbits(mask))
        image = {"shape": list(stored.shape), "stored": packed(stored.astype("<u2")), "monochrome1": bool(monochrome1)}
        super().__init__(page={**image, **numbers, "mask": mask, "region": text("region", region)})
