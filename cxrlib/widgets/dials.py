"""PhantomDials: turn one thing at a time on a computed X-ray, and see what it does to the picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np

from ..phantom import make_phantoms
from ..validate import one_of, several
from .base import PageWidget, kit
from .encode import picture

DISEASES = ("bacterial", "viral", "covid-19", "tuberculosis")  # the phantom's classes with a lesion of one kind
CONTRASTS = (0.0, 0.5, 1.0, 1.5, 2.0)
AGES = ("child", "adult")
BEDSIDE = (0.0, 1.0)


class PhantomDials(PageWidget):
    """One patient per disease, with dials for the contrast of the lesion, the age, and an image taken in bed.

    Every setting is the same patient with the same pose and noise, computed by ``make_phantoms``. All pictures are made
    now, so that the widget lives on a page without a kernel.

    Parameters
    ----------
    diseases : sequence of str
        Phantom classes with a lesion: "bacterial", "viral", "covid-19", "tuberculosis".
    size, seed : int
        Height and width in pixels; which patient.
    """

    _esm, _css = kit("dials")
    summary = "Phantom dials: lesion contrast, age and an image taken in bed, on computed X-rays."

    def __init__(self, diseases: Sequence[str] = DISEASES, *, size: int = 192, seed: int = 4) -> None:
        diseases = several("diseases", diseases, partial(one_of, allowed=DISEASES))
        images, masks = {}, {}
        for disease, (a, age), (b, bedside) in itertools.product(diseases, enumerate(AGES), enumerate(BEDSIDE)):
            setting = {"age": age, "bedside": bedside, "progress": False, "workers": 1}
            for k, contrast in enumerate(CONTRASTS):
                made = make_phantoms(2, size, ("normal", disease), seed, lesion_contrast=contrast, **setting)
                ill = int(np.flatnonzero(made.labels)[0])  # of two images one is of the second class
                image = picture(made.images[ill, 0], "WEBP", quality=82)
                images[f"{disease}/{k}/{a}/{b}"] = f"data:image/webp;base64,{image}"
            masks[f"{disease}/{a}/{b}"] = f"data:image/png;base64,{picture(made.masks[ill])}"
        dials = {"diseases": diseases, "contrasts": list(CONTRASTS), "ages": list(AGES)}
        super().__init__(page={**dials, "size": size, "images": images, "masks": masks})
