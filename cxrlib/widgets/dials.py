"""PhantomDials: turn one thing at a time on a computed X-ray, and see what it does to the picture."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Sequence

import numpy as np
import traitlets
from PIL import Image

from ..phantom import make_phantoms
from .base import StaticWidget, kit

CONTRASTS = (0.0, 0.5, 1.0, 1.5, 2.0)
AGES = ("child", "adult")
BEDSIDE = (0.0, 1.0)


class PhantomDials(StaticWidget):
    """One patient a disease, with dials for the contrast of the lesion, the age, and an image taken in bed.

    Every setting is the same patient with the same pose and noise, computed by ``make_phantoms``. All pictures are made
    now, so that the widget lives on a page without a kernel.

    Parameters
    ----------
    diseases : sequence of str
        Phantom classes with a lesion: "bacterial", "viral", "covid-19", "tuberculosis".
    size : int
        Height and width in pixels.
    seed : int
        Which patients.

    Raises
    ------
    ValueError
        For a disease that the phantom does not know, or "normal", which has no lesion to turn up.
    """

    _esm, _css = kit("dials")
    summary = "Phantom dials: lesion contrast, age and an image taken in bed, on computed X-rays."
    page = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        diseases: Sequence[str] = ("bacterial", "viral", "covid-19", "tuberculosis"),
        *,
        size: int = 192,
        seed: int = 4,
    ):
        if not diseases or "normal" in diseases:
            raise ValueError(f"diseases: give classes with a lesion, such as 'viral'; got {tuple(diseases)}")
        images, masks = {}, {}
        for disease, (a, age), (b, bedside) in itertools.product(diseases, enumerate(AGES), enumerate(BEDSIDE)):
            for k, contrast in enumerate(CONTRASTS):
                # of two images one is of the second class, whatever the share of the ill
                made = make_phantoms(
                    2,
                    size=size,
                    classes=("normal", disease),
                    seed=seed,
                    lesion_contrast=contrast,
                    age=age,
                    bedside=bedside,
                    progress=False,
                    workers=1,
                )
                ill = int(np.flatnonzero(made.labels)[0])
                images[f"{disease}/{k}/{a}/{b}"] = _encode(made.images[ill, 0], "WEBP", quality=82)
            masks[f"{disease}/{a}/{b}"] = _encode(made.masks[ill].astype(np.uint8) * 255, "PNG", optimize=True)
        super().__init__(
            page={
                "diseases": list(diseases),
                "contrasts": list(CONTRASTS),
                "ages": list(AGES),
                "size": size,
                "images": images,
                "masks": masks,
            }
        )


def _encode(pixels: np.ndarray, kind: str, **options) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
