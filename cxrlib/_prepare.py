"""prepare: what a recipe does to images before its network sees them. They are cut to the lungs, and scaled."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from ._lungs import known_lungs
from .data import CxrDataset
from .files import hashed
from .localization.maps import MARKER
from .progress import bar
from .validate import number, whole

if TYPE_CHECKING:
    from .recipe import Recipe

MARGIN = 0.06
BOX = ("crop_x0", "crop_y0", "crop_x1", "crop_y1")


def prepare(data: CxrDataset, recipe: Recipe, progress: bool = False) -> CxrDataset:
    """Give images as the network of a recipe takes them: cut as ``recipe.crop`` says, and scaled to ``recipe.size``.

    Masks, lungs and marker boxes are cut and scaled, too. Images that are so already come back as they are. Scaling
    images of another size than ``recipe.read_size`` is a warning: ``load(..., recipe.read_size)`` keeps more of the
    original.
    """
    if data.size == recipe.size and (recipe.crop is None) == (BOX[0] not in data.table):
        return data
    if data.size != recipe.read_size:
        scaled = f"images of {data.size} px were scaled to the recipe's {recipe.size} px"
        warnings.warn(f"{scaled}; load(..., {recipe.read_size}) reads them at the right size", stacklevel=3)
    if recipe.crop is None:
        boxes = np.tile([0.0, 0, data.size, data.size], (len(data), 1))
        return _cut(data, boxes, recipe.size, data.lungs, "", progress)
    return crop_to_lungs(data, recipe.size, recipe.crop_margin, progress)


def crop_to_lungs(
    data: CxrDataset, size: int | None = None, margin: float = MARGIN, progress: bool = False
) -> CxrDataset:
    """Cut every image to the box around its lungs, and scale the box to a square.

    Rajaraman et al. (Applied Sciences 8(10), 2018) trained on lungs that were cut out so. Where no lungs are found the
    whole image is taken; a warning counts these.

    Parameters
    ----------
    data : CxrDataset
        The lungs are its own, where it has masks, else those that ``cxr.lungs`` finds.
    size : int, optional
        Height and width of the result in pixels; default: as before. Cut from images that are larger, a box keeps its
        details.
    margin : float
        What is left around the box on each side, as a fraction of its width and height.

    Returns
    -------
    CxrDataset
        Masks and lungs are cut, too. ``table`` has the box in pixels of the images before: crop_x0, crop_y0, crop_x1,
        crop_y1; of the whole image where nothing was found.
    """
    size = data.size if size is None else whole("size", size, 1)
    number("margin", margin, 0)
    lungs = known_lungs(data, progress)
    if missing := int((~lungs.any((1, 2))).sum()):
        told = f"no lungs were found in {missing:,} of {len(data):,} images: these are taken whole"
        warnings.warn(told, stacklevel=2)
    return _cut(data, lung_boxes(lungs, margin), size, lungs, f"lungs {margin}", progress)


def lung_boxes(lungs: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Find the boxes around masks, bool (N, H, W): float (N, 4), x0, y0, x1, y1 in pixels, x1 and y1 outside.

    ``margin`` is added on each side as a fraction of the box's width and height, up to the image's edge. An empty mask
    gives the whole image.
    """
    height, width = lungs.shape[1:]
    boxes = []
    for axis, side in ((1, width), (2, height)):
        line = lungs.any(axis)
        first, last = line.argmax(1), side - line[:, ::-1].argmax(1)
        first, last = np.where(line.any(1), first, 0), np.where(line.any(1), last, side)
        around = margin * (last - first)
        boxes.append((np.maximum(first - around, 0), np.minimum(last + around, side)))
    (x0, x1), (y0, y1) = boxes
    return np.stack([x0, y0, x1, y1], 1)


def _cut(
    data: CxrDataset, boxes: np.ndarray, size: int, lungs: np.ndarray | None, how: str, progress: bool
) -> CxrDataset:
    """Cut boxes (N, 4) out of images and masks, and scale each to (size, size)."""
    images = np.empty((len(data), 1, size, size), np.uint8)
    masks = [None if m is None else np.empty((len(data), size, size), bool) for m in (data.masks, lungs)]
    with bar(total=len(data), desc="cut" if how else "scaled", unit="image", show=progress) as shown:
        for i, box in enumerate(boxes):
            picture = Image.fromarray(data.batch([i])[0, 0])
            images[i, 0] = picture.resize((size, size), Image.Resampling.BILINEAR, box=tuple(box))
            for out, mask in zip(masks, (data.masks, lungs), strict=True):
                if out is not None:
                    plain = Image.fromarray(mask[i].astype(np.uint8))
                    out[i] = plain.resize((size, size), Image.Resampling.NEAREST, box=tuple(box))
            shown.update()
    table = _moved(data.table, boxes, size)
    if how:
        table = table.assign(**dict(zip(BOX, boxes.T, strict=True)))
    fingerprint = hashed(data.fingerprint.encode(), f"{how} {size}".encode())
    return CxrDataset(
        images, data.labels, data.classes, data.patients, table, *masks, data.name, fingerprint, data.skipped
    )


def _moved(table: pd.DataFrame, boxes: np.ndarray, size: int) -> pd.DataFrame:
    """Move the boxes of markers with the images; a marker that is cut away has none (-1)."""
    if MARKER[0] not in table:
        return table
    before, start = table[list(MARKER)].to_numpy(float), np.tile(boxes[:, :2], 2)
    after = ((before - start) * size / np.tile(boxes[:, 2:] - boxes[:, :2], 2)).round().clip(0, size)
    after[(before[:, 0] < 0) | (after[:, 2:] <= after[:, :2]).any(1)] = -1
    return table.assign(**dict(zip(MARKER, after.T.astype(int), strict=True)))
