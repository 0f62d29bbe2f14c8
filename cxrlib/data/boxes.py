"""White boxes: rectangles that somebody laid over names and dates, or around the image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

WHITE, DARKER = 250, 228  # gray levels: at least this in a box, less than that beside its edge
THIN, SMALL = 0.03, 0.003  # fractions of the side and of the image, below which nothing is a box


def white_boxes(images: np.ndarray) -> np.ndarray:
    """Find white boxes: pure white, with straight sides and sharp edges, unlike overexposed parts of a chest.

    ``images`` (N, H, W) uint8; gives bool (N, H, W).
    """
    found = np.zeros(images.shape, bool)
    thin = max(3, round(THIN * images.shape[-1]))
    for image, boxes in zip(images, found, strict=True):
        white = image >= WHITE
        if white.mean() < SMALL:
            continue
        padded = np.pad(white, thin, constant_values=True)  # a box may be cut by the image's edge
        opened = ndimage.binary_opening(padded, np.ones((thin, thin)))[thin:-thin, thin:-thin] & white
        pieces, count = ndimage.label(opened)
        for k in range(1, count + 1):
            piece = pieces == k
            ring = ndimage.binary_dilation(piece, iterations=3) & ~ndimage.binary_dilation(piece, iterations=2)
            if piece.mean() >= SMALL and ring.any() and (image[ring] < DARKER).mean() > 0.7:
                boxes |= piece
    return found
