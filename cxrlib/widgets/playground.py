"""AugmentationPlayground: change one X-ray by hand, and read which claim each change makes."""

from __future__ import annotations

import numpy as np
import traitlets

from ..augment import Augment
from ..data import CxrDataset, load
from ..recipe import recipes
from ..validate import short, whole
from .base import StaticWidget, kit
from .encode import picture

SIDE = 160  # pixels of the phantom that is made when no data are given
LARGEST = 320  # a larger image makes the page slow
CHANGES = ("flip", "rotate", "shift", "zoom", "brightness", "contrast", "gamma", "blur", "noise")


class AugmentationPlayground(StaticWidget):
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
    augment : Augment, optional
        The ranges of "Draw at random". Default: those of the recipe ``augmented``.
    name : str
        What the page calls these ranges.

    Raises
    ------
    ValueError
        For a row that is not in ``data``, an image that is too large or not square, or an ``augment`` with
        crop or mixup, which the page does not have.
    """

    _esm, _css = kit("playground")
    summary = "Augmentation playground: one X-ray, sliders for its changes, and the claim that each change makes."
    page = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        data: CxrDataset | None = None,
        row: int = 0,
        *,
        augment: Augment | None = None,
        name: str = "the recipe 'augmented'",
    ) -> None:
        if augment is None:
            augment = recipes["augmented"].augment
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
        image = np.asarray(part.images[0, 0])
        if image.shape[0] != image.shape[1] or image.shape[0] > LARGEST:
            raise ValueError(
                f"data: the page takes square images of at most {LARGEST} pixels, got {image.shape[0]} x "
                f"{image.shape[1]}; load the data with size={LARGEST} or less"
            )
        super().__init__(
            page={
                "png": picture(np.asarray(image, np.uint8)),
                "size": image.shape[0],
                "class": part.classes[int(part.labels[0])],
                "angles": [] if part.lungs is None else _angles(np.asarray(part.lungs[0])),
                "marker": _marker(part),
                "ranges": {key: getattr(augment, key) for key in CHANGES},
                "name": name,
            }
        )


def _phantom() -> tuple[CxrDataset, int]:
    data = load("phantom", SIDE, n=24, classes=("normal",), age="adult", seed=4, progress=False, workers=1)
    fit = [
        k
        for k in np.flatnonzero((data.table["marker_text"] == "R") & ~data.table["bedside"])
        if len(_angles(data.lungs[k])) == 2
    ]
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
    row = part.table.iloc[0]
    corners = [float(row.get(f"marker_{k}", np.nan)) for k in ("x0", "x1", "y0", "y1")]
    text = row.get("marker_text")
    if not isinstance(text, str) or not text or not all(np.isfinite(v) and v >= 0 for v in corners):
        return None
    x0, x1, y0, y1 = corners
    height, width = part.images.shape[2:]
    return {"text": text, "at": [(x0 + x1) / width - 1, (y0 + y1) / height - 1]}
