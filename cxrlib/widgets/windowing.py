"""WindowExplorer: from the values of a detector to gray, with the center and the width of a DICOM window."""

from __future__ import annotations

import base64
from numbers import Real

import numpy as np
import traitlets

from ..data.dicom import window
from .base import StaticWidget, kit

LARGEST = 320  # pixels a side: the page holds two bytes for each


class WindowExplorer(StaticWidget):
    """One image of up to 16 bits, its histogram, and sliders for window center and width.

    The page computes what ``cxrlib.data.dicom.window`` computes (function LINEAR), rounded as ``read_dicom`` does, and
    turns the gray round for MONOCHROME1.

    Parameters
    ----------
    stored : array of whole numbers from 0 to 65535, (H, W)
        The stored values of the file, at most 320 pixels a side. The page holds them: mind this when they show a
        patient.
    center, width : float
        Where the sliders start, in rescaled units; usually what the file asks for.
    slope, intercept : float
        The rescaled value is ``slope * stored + intercept``.
    monochrome1 : bool
        Whether small values are bright.
    mask : bool array (H, W), optional
        A region of interest: the page outlines it and says how many of its pixels are clipped.
    region : str
        What the mask shows.

    Raises
    ------
    ValueError
        Values, sizes or a window that the page cannot show; all values equal.
    """

    _esm, _css = kit("windowing")
    summary = "Window explorer: one image of more than 8 bits, its histogram, and the window that makes it gray."
    page = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        stored,
        center: float,
        width: float,
        *,
        slope: float = 1.0,
        intercept: float = 0.0,
        monochrome1: bool = False,
        mask=None,
        region: str = "lesion",
    ):
        stored = np.asarray(stored)
        if stored.ndim != 2 or not 0 < max(stored.shape) <= LARGEST or min(stored.shape) < 1:
            raise ValueError(f"stored: give an image (H, W) of at most {LARGEST} pixels a side, got {stored.shape}")
        if stored.dtype.kind not in "iu" or stored.min() < 0 or stored.max() > 65535:
            raise ValueError(
                f"stored: give whole numbers from 0 to 65535, got {stored.dtype} from {stored.min()} to {stored.max()}"
            )
        if stored.min() == stored.max():
            raise ValueError(f"stored: all values are {stored.min()}; there is nothing to see in any window")
        for name, value in (("slope", slope), ("intercept", intercept), ("center", center), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(value):
                raise ValueError(f"{name}: give a finite number, got {value!r}")
        if slope == 0:
            raise ValueError("slope: with 0 all values would be equal")
        window(0.0, center, width)  # says which widths are possible
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != stored.shape or mask.dtype != bool or not mask.any():
                raise ValueError(
                    f"mask: give a bool array {stored.shape} with at least one pixel, got {mask.dtype} {mask.shape}"
                )
        super().__init__(
            page={
                "shape": list(stored.shape),
                "stored": _packed(stored.astype("<u2")),
                "slope": float(slope),
                "intercept": float(intercept),
                "center": float(center),
                "width": float(width),
                "monochrome1": bool(monochrome1),
                "mask": None if mask is None else _packed(np.packbits(mask)),
                "region": region,
            }
        )


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
