"""AugmentationPlayground: change one X-ray by hand, and read which claim each change makes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..augment import Augment
from ..data import CxrDataset, load
from ..localization.maps import marker_boxes
from ..models import CxrNet
from ..recipe import recipes
from ..validate import short, whole
from .base import LiveWidget, kit, t
from .encode import described, picture

SIDE = 160  # pixels of the phantom that is made when no data are given
LARGEST = 320  # a larger image makes the page slow
CHANGES = ("flip", "rotate", "shift", "zoom", "brightness", "contrast", "gamma", "blur", "noise")


class AugmentationPlayground(LiveWidget):
    """One X-ray beside its augmented version: a slider for each operation of :class:`Augment`, but crop and mixup.

    The page computes what ``Augment`` computes, in the same order, so it needs no kernel.

    Parameters
    ----------
    data : CxrDataset, optional
        Where the image is from; its ``lungs`` and the table columns ``marker_text`` and ``marker_x0 .. marker_y1``
        tell the page where the costophrenic angles and the marker are. Square images of at most 320 pixels.
        Default: one phantom with an R marker. The page holds the image: mind this when it shows a patient.
    row : int
        Position of the image in ``data``.
    augment, name : Augment, str
        The ranges of "Draw at random", without crop and mixup, and what the page calls them. Default: those of the
        recipe ``augmented``.
    networks : mapping of str to CxrNet, optional
        One or two networks for images such as ``data``, which answer in the page while the image is changed.
    """

    _esm, _css = kit("live", "gauge", "changes", "playground")
    summary = t("Augmentation playground: one X-ray, sliders for its changes, and the claim that each change makes.")

    def __init__(
        self, data: CxrDataset | None = None, row: int = 0, *, augment: Augment | None = None,
        name: str = t("the recipe 'augmented'"), networks: Mapping[str, CxrNet] | None = None,
    ) -> None:  # fmt: skip
        augment = recipes["augmented"].augment if augment is None else augment
        if not isinstance(augment, Augment):
            raise ValueError(f"augment: give an Augment, got {short(augment)}")
        for field, off in (("crop", (None, 1)), ("mixup", (0,))):
            if getattr(augment, field) not in off:
                raise ValueError(f"augment: give one without {field}, which the page cannot show; got {augment}")
        if data is None:
            data, row = _phantom()
        if not isinstance(data, CxrDataset) or not len(data):
            raise ValueError(f"data: give a CxrDataset with at least one image, got {short(data)}")
        row = whole("row", row, 0, len(data) - 1)
        part = data[[row]]
        image = np.asarray(part.images[0, 0], np.uint8)
        height, width = image.shape
        if height != width or width > LARGEST:
            side = f"{LARGEST} pixels, got {height} x {width}"
            raise ValueError(f"data: give square images of at most {side}; load the data with size={LARGEST} or less")
        angles = [] if part.lungs is None else _angles(np.asarray(part.lungs[0]))
        ranges = {key: getattr(augment, key) for key in CHANGES}
        self.runs_network = networks is not None
        super().__init__(page={
            "png": picture(image), "size": width, "class": part.classes[int(part.labels[0])],
            "angles": angles, "marker": _marker(part), "ranges": ranges, "name": name,
            "networks": [] if networks is None else described(networks, part),
            "classes": list(part.classes), "target": len(part.classes) - 1,
        })  # fmt: skip


def _phantom() -> tuple[CxrDataset, int]:
    data = load("phantom", SIDE, n=24, classes=("normal",), age="adult", seed=4, progress=False, workers=1)
    upright = np.flatnonzero((data.table["marker_text"] == "R") & ~data.table["bedside"])
    fit = [k for k in upright if len(_angles(data.lungs[k])) == 2]
    # the angles well inside, so that it takes a strong change to lose one
    return data, min(fit, key=lambda k: np.abs(_angles(data.lungs[k])).max())


def _angles(lungs: np.ndarray) -> list[list[float]]:
    """Find the costophrenic angles of lungs (H, W) as [x, y] in [-1, 1]: the lowest outermost pixel on each side.

    An angle that already touches the border of the image is left out.
    """
    rows, columns = np.nonzero(lungs)
    if len(rows) == 0:
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
