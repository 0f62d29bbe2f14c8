"""PhantomDials: turn one thing at a time on a computed X-ray, and see what it does to the picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy import ndimage

from ..phantom import make_phantoms
from ..validate import array, one_of, several, short
from .base import PageWidget, kit, t
from .encode import picture

DISEASES = ("bacterial", "viral", "covid-19", "tuberculosis")  # the phantom's classes with a lesion of one kind
CONTRASTS = (0.0, 0.5, 1.0, 1.5, 2.0)
AGES = ("child", "adult")
BEDSIDE = (0.0, 1.0)
TURNS = (0, 10, 20)  # degrees


class PhantomDials(PageWidget):
    """One patient per disease, with dials for the contrast of the lesion, the age, and an image taken in bed.

    Every setting is the same patient with the same pose and noise, computed by ``make_phantoms``. All pictures are made
    now, so that the widget lives on a page without a kernel.

    Parameters
    ----------
    diseases : sequence of str
        Phantom classes with a lesion: "bacterial", "viral", "covid-19", "tuberculosis".
    find : dict of str to callable, optional
        Names of segmenters, and functions from images uint8 (N, 1, H, W) to lungs bool (N, H, W), such as
        ``{"cxr.lungs": cxr.lungs}``. The page outlines what each finds beside the true lungs, with the Dice score, and
        gets a dial that turns the picture.
    size, seed : int
        Height and width in pixels; which patient.
    """

    _esm, _css = kit("maps", "dials")
    summary = t("Phantom dials: lesion contrast, age and an image taken in bed, on computed X-rays.")

    def __init__(
        self, diseases: Sequence[str] = DISEASES, *, find: Mapping[str, Callable] | None = None, size: int = 192,
        seed: int = 4,
    ) -> None:  # fmt: skip
        diseases, find = several("diseases", diseases, partial(one_of, allowed=DISEASES)), {} if find is None else find
        if not isinstance(find, Mapping) or not all(map(callable, find.values())):
            raise ValueError(f'find: give functions by name, such as {{"cxr.lungs": cxr.lungs}}, got {short(find)}')
        images, lesions, lungs = {}, {}, {}
        settings = (diseases, enumerate(CONTRASTS), enumerate(AGES), enumerate(BEDSIDE))
        for disease, (k, contrast), (a, age), (b, bedside) in itertools.product(*settings):
            made = make_phantoms(
                2, size, ("normal", disease), seed, lesion_contrast=contrast, age=age, bedside=bedside, progress=False,
                workers=1,
            )  # fmt: skip
            ill = int(np.flatnonzero(made.labels)[0])  # of two images one is of the second class
            for turn in TURNS if find else TURNS[:1]:
                end = f"{a}/{b}/{turn}" if turn else f"{a}/{b}"
                images[f"{disease}/{k}/{end}"] = _turned(made.images[ill, 0], turn)
                lungs[f"{disease}/{k}/{end}"] = _turned(made.lungs[ill], turn)
                lesions[f"{disease}/{end}"] = _turned(made.masks[ill], turn)
        page = {"diseases": diseases, "contrasts": list(CONTRASTS), "ages": list(AGES), "size": size}
        if find:
            page |= {"turns": list(TURNS), "lungs": {key: picture(mask) for key, mask in lungs.items()}}
            page["found"] = {name: _answers(name, way, images, lungs) for name, way in find.items()}
        webp = {key: picture(pixels, "WEBP", quality=82) for key, pixels in images.items()}
        page["images"] = {key: f"data:image/webp;base64,{text}" for key, text in webp.items()}
        page["masks"] = {key: f"data:image/png;base64,{picture(mask)}" for key, mask in lesions.items()}
        super().__init__(page=page)


def _turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a picture uint8 (H, W), or a mask, about its middle; its edge goes on outside."""
    if not degrees:
        return pixels
    turned = ndimage.rotate(pixels.astype(np.float32), degrees, reshape=False, order=1, mode="nearest")
    return turned > 0.5 if pixels.dtype == bool else np.rint(turned).astype(np.uint8)


def _answers(name: str, way: Callable, images: dict[str, np.ndarray], lungs: dict[str, np.ndarray]) -> dict[str, dict]:
    """Give the page, per image, what a segmenter finds, None where that is nothing, and the Dice score."""
    stack = np.stack(list(images.values()))[:, None]
    found = array(f"what {name} finds", way(stack), (len(stack), *stack.shape[2:]), "b")
    dice = [2 * (f & t).sum() / (f.sum() + t.sum()) for f, t in zip(found, lungs.values(), strict=True)]
    return {
        key: {"mask": picture(mask) if mask.any() else None, "dice": round(float(score), 4)}
        for key, mask, score in zip(images, found, dice, strict=True)
    }
