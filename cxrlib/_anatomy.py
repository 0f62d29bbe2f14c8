"""anatomy: what lies around the lungs, by three lines that anybody can draw with a ruler."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ._lungs import black_border, known_lungs
from .inputs import reader, unit
from .validate import array

if TYPE_CHECKING:
    import torch

    from .data import CxrDataset

#: The regions, in the order in which a pixel is asked: it belongs to the first that fits, else to the last.
REGIONS = ("lungs", "outside", "above", "beside", "below", "between")
FLOOR = 0.9  # of a lung's height: where heart and diaphragm meet; read off phantoms, and right by eye on real X-rays
_BATCH = 64


def anatomy(
    images: CxrDataset | np.ndarray | torch.Tensor, lungs: np.ndarray | None = None, *, progress: bool = False
) -> dict[str, np.ndarray]:
    """Divide each image into regions around its lungs; each pixel belongs to one of them.

    No network knows the heart here. Three lines are drawn through both lungs: through their tops, through the points
    nine tenths of the way down (the floor on which the heart lies), and through their lowest points. The lungs are told
    apart in the middle between the outermost columns. So "heart" means the space where hearts lie.

    - ``lungs``: as given or found
    - ``outside``: black, up to the edge of the image
    - ``above`` the line of the tops: neck, chin, shoulders
    - ``beside`` the lungs, above the line of their lowest points: chest wall, arms
    - ``below`` the floor: diaphragm, belly
    - ``between`` the lungs: heart, great vessels, spine

    Parameters
    ----------
    images : CxrDataset, uint8 array (N, 1, H, W) or (N, H, W), or float array of these shapes in [0, 1]
    lungs : bool array, (N, H, W), optional
        Default: those of the data set, where it has some, else those that ``cxr.lungs`` finds.

    Returns
    -------
    dict of str to ndarray of bool, (N, H, W)
        Without two lungs, left and right of the middle, all regions of an image are empty; a warning counts these.

    Raises
    ------
    ValueError
        Images of another kind or scale, or lungs that do not fit them.
    """
    read, count = reader(images)
    lungs = known_lungs(images, progress) if lungs is None else lungs
    size = tuple(read(range(min(count, 1))).shape[2:])
    lungs = array("lungs", lungs, (count, *size), "b")
    which = np.full(lungs.shape, len(REGIONS), np.uint8)
    for start in range(0, count, _BATCH):
        dark = black_border(unit(read(range(start, min(start + _BATCH, count)))).float().cpu())
        for k, outside in enumerate(dark, start):
            which[k] = _divide(lungs[k], outside)
    regions = {name: which == number for number, name in enumerate(REGIONS)}
    if missing := int((which == len(REGIONS)).any((1, 2)).sum()):
        warnings.warn(f"{missing:,} of {count:,} images show no two lungs: their regions are empty", stacklevel=2)
    return regions


def _divide(lungs: np.ndarray, outside: np.ndarray) -> np.ndarray | int:
    """Give each pixel (H, W) the number of its region; the number behind the last one where there are no two lungs."""
    columns = np.flatnonzero(lungs.any(0))
    middle = (columns[0] + columns[-1] + 1) // 2 if len(columns) else 0
    sides = [lungs & (np.arange(lungs.shape[1]) < middle), lungs & (np.arange(lungs.shape[1]) >= middle)]
    if not all(side.any() for side in sides) or lungs[:, middle].sum() > lungs.any(1).sum() / 2:
        return len(REGIONS)  # none, or a single lung that was cut in its middle
    y, x = np.ogrid[: lungs.shape[0], : lungs.shape[1]]
    rows = [np.flatnonzero(side.any(1)) for side in sides]
    centers = [np.nonzero(side)[1].mean() for side in sides]
    top, floor, base = (np.interp(x, centers, [r[0] + part * (r[-1] - r[0]) for r in rows]) for part in (0, FLOOR, 1))
    left = np.interp(y, rows[0], sides[0][rows[0]].argmax(1))
    right = np.interp(y, rows[1], lungs.shape[1] - 1 - sides[1][rows[1], ::-1].argmax(1))
    beside = ((x < left) | (x > right)) & (y <= base)
    return np.select([lungs, outside, y < top, beside, y > floor], range(5), 5)
