"""Maps on their coarse grid and at the size of the image: enlarged, thresholded, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from .. import plot
from ..validate import array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLORS = "viridis"
MARKER = ["marker_x0", "marker_y0", "marker_x1", "marker_y1"]  # columns of a table


def enlarge(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge maps (N, h, w) to the size (H, W) of the image, bilinear, float32."""
    coarse = torch.tensor(np.asarray(maps), dtype=torch.float32)
    return F.interpolate(coarse[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0].numpy()


def perfect_maps(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """See the lesions (N, H, W) on a coarse grid: the fraction of lesion pixels (N, h, w) in every cell."""
    truth = torch.from_numpy(np.asarray(masks, dtype=np.float32))
    return F.interpolate(truth[:, None], tuple(grid), mode="area")[:, 0].numpy()


def centered_blobs(n: int, grid: tuple[int, int], sigma: float = 0.25) -> np.ndarray:
    """Make ``n`` times the same Gaussian in the middle of a grid; ``sigma`` in sides of the image."""
    y, x = ((np.arange(k) + 0.5) / k - 0.5 for k in grid)
    blob = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))
    return np.broadcast_to(blob.astype(np.float32), (n, *grid))


def one_class(maps: object) -> np.ndarray:
    """Check that maps are those of one class: floating point (N, h, w)."""
    if np.ndim(maps) == 4:
        given = f"maps of {np.shape(maps)[1]} classes; choose one class: maps[:, k], or explain(..., target=k)"
        raise ValueError(f"maps: got the shape {np.shape(maps)}, {given}")
    return array("maps", maps, ("images", "h", "w"), "f")


def chunks(rows: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """Give parts of the rows that are enlarged at once, to bound the memory."""
    return np.split(rows, range(size, len(rows), size))


def fraction_inside(weights: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Measure which fraction (N,) of weights (N, H, W) lies in a region; 0 for a blank map."""
    total = weights.sum((1, 2), dtype=float)
    return (weights * region).sum((1, 2), dtype=float) / np.where(total > 0, total, 1)


def marker_boxes(table: pd.DataFrame) -> np.ndarray:
    """Give x0, y0, x1, y1 (N, 4) of the side markers that a table knows, in pixels; -1 where there is none."""
    boxes = table.reindex(columns=MARKER).to_numpy(float)
    return np.where((np.isfinite(boxes) & (boxes >= 0)).all(1, keepdims=True), boxes, -1)


def filled(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill boxes x0, y0, x1, y1 (N, 4) in images of the size (H, W): bool (N, H, W); x1 and y1 are excluded."""
    x0, y0, x1, y1 = boxes.T[:, :, None, None]
    y, x = np.ogrid[: size[0], : size[1]]
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def otsu(values: np.ndarray) -> np.ndarray:
    """Find Otsu's thresholds (N,) of maps (N, H, W) with values of at least 0; foreground is what lies above.

    The threshold separates two groups with the largest variance between them (Otsu 1979), among 256 levels from 0 to
    the map's maximum. It is 0 for a map with one value only.
    """
    n = len(values)
    peak = values.reshape(n, -1).max(1)
    scale = 255 / np.where(peak > 0, peak, 1)
    level = np.rint(values * scale[:, None, None]).astype(np.int64)
    count = np.bincount((level + 256 * np.arange(n)[:, None, None]).ravel(), minlength=256 * n).reshape(n, 256)
    below, moment = count.cumsum(1), (count * np.arange(256)).cumsum(1)
    above, total = below[:, -1:] - below, moment[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.nan_to_num(below * above * (moment / below - (total - moment) / above) ** 2)
    return np.where(between.max(1) > 0, (between.argmax(1) + 0.5) / scale, 0.0)


def show_map(
    ax: Axes, image: np.ndarray, coarse: np.ndarray, title: str = "", outline: np.ndarray | None = None,
    top: float | None = None,
) -> None:  # fmt: skip
    """Draw a map (h, w) over its X-ray (H, W) or (1, H, W), and the outline of a mask (H, W) as a white line.

    The positive part of the map is enlarged and drawn from 0 to ``top``, by default its own maximum; maps that are
    compared need one ``top`` for all of them, and ``show_scale`` beside them.
    """
    image = np.asarray(image)
    up = np.clip(enlarge(np.asarray(coarse)[None], image.shape[-2:])[0], 0, None)
    top = float(up.max()) if top is None else top
    plot.show_xray(ax, image, title, outline, color="white")
    ax.imshow(up, cmap=COLORS, vmin=0, vmax=top if top > 0 else 1, alpha=0.55, interpolation="nearest")


def show_scale(fig: plot.Figure, axes: np.ndarray, top: float) -> None:
    """Draw the scale of colors from 0 to ``top`` beside the axes of maps that share it."""
    colors = ScalarMappable(Normalize(0, top if top > 0 else 1), COLORS)
    fig.colorbar(colors, ax=axes, label="value of the map", shrink=0.8, aspect=30)
