"""AugmentationPlayground: change one X-ray by hand, and read which claim each change makes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import CxrDataset
from ..localization.maps import marker_boxes
from ..models import CxrNet
from ..recipe import recipes
from ..validate import whole
from .base import PageWidget, kit, t
from .encode import checked, described, picture

LARGEST = 320  # a larger image makes the page slow
CHANGES = ("flip", "rotate", "shift", "zoom", "brightness", "contrast", "gamma", "blur", "noise")


class AugmentationPlayground(PageWidget):
    """One X-ray beside its augmented version: a slider for each operation of :class:`Augment`, but crop and mixup.

    The page computes what ``Augment`` computes, in the same order, so it needs no kernel. "Draw at random" draws from
    the ranges of the recipe ``augmented``.

    Parameters
    ----------
    data : CxrDataset
        Where the image is from; its ``lungs`` and the table columns ``marker_text`` and ``marker_x0 .. marker_y1``
        tell the page where the costophrenic angles and the marker are. Square images of at most 320 pixels.
        The page holds the image: mind this when it shows a patient.
    row : int
        Position of the image in ``data``.
    networks : mapping of str to CxrNet, optional
        One or two networks for images such as ``data``, which answer in the page while the image is changed.
    """

    _esm, _css = kit("live", "gauge", "changes", "playground")
    summary = t("Augmentation playground: one X-ray, sliders for its changes, and the claim that each change makes.")

    def __init__(self, data: CxrDataset, row: int = 0, *, networks: Mapping[str, CxrNet] | None = None) -> None:
        checked(data)
        row = whole("row", row, 0, len(data) - 1)
        part = data[[row]]
        image = np.asarray(part.images[0, 0], np.uint8)
        height, width = image.shape
        if height != width or width > LARGEST:
            side = f"{LARGEST} pixels, got {height} x {width}"
            raise ValueError(f"data: give square images of at most {side}; load the data with size={LARGEST} or less")
        angles = [] if part.lungs is None else _angles(np.asarray(part.lungs[0]))
        ranges = {key: getattr(recipes["augmented"].augment, key) for key in CHANGES}
        self.runs_network = networks is not None
        super().__init__(page={
            "png": picture(image), "size": width, "class": part.classes[int(part.labels[0])],
            "angles": angles, "marker": _marker(part), "ranges": ranges, "name": t("the recipe 'augmented'"),
            "networks": [] if networks is None else described(networks, part),
            "classes": list(part.classes), "target": len(part.classes) - 1,
        })  # fmt: skip


def _angles(lungs: np.ndarray) -> list[list[float]]:
    """Find the costophrenic angles of lungs (H, W) as [x, y] in [-1, 1]: the lowest outermost pixel on each side.

    An angle that already touches the border of the image is left out.
    """
    rows, columns = np.nonzero(lungs)
    if not len(rows):
        return []
    height, width = lungs.shape
    middle = np.flatnonzero(lungs.any(0)).mean()
    found = []
    for on in (columns < middle, columns >= middle):
        if on.any():
            k = np.where(on, rows + 0.6 * np.abs(columns - middle), -1).argmax()
            x, y = int(columns[k]), int(rows[k])
            if 0 < x < width - 1 and y < height - 1:
                found.append([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1])
    return found


def _marker(part: CxrDataset) -> dict | None:
    """Return letter and middle [x, y] in [-1, 1] of the side marker, where it is known."""
    text, (x0, y0, x1, y1) = part.table.iloc[0].get("marker_text"), marker_boxes(part.table)[0].tolist()
    if x0 < 0 or not isinstance(text, str) or not text:
        return None
    height, width = part.images.shape[2:]
    return {"text": text, "at": [(x0 + x1) / width - 1, (y0 + y1) / height - 1]}
