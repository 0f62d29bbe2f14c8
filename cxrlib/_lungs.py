"""lungs: the lung fields of any chest X-ray, by a small network that has only ever seen phantoms.

Its weights come with the package (`lungs.npz`); `coursekit/lung_training.py` makes them.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from .inputs import reader, unit
from .models.unet import UNet
from .progress import bar

if TYPE_CHECKING:
    from .data import CxrDataset

WEIGHTS = Path(__file__).with_name("lungs.npz")
SIZE = 128  # height and width at which the network works
SMALLEST = 32  # side of an image in pixels below which nothing is looked for
_BATCH, _PIXELS = 8, 2**22  # images and pixels of one batch, at most: what a processor's cache holds
#: What a pair of lungs is, read off phantoms and real X-rays of children and adults: its fraction of the image, least
#: and most; the smaller lung's area over the larger one's; how far apart they lie, in widths of the image; and the mean
#: probability inside. Nearly all chests pass; pages, noise and chests with one half painted over do not.
AREA_RANGE, MIN_AREA_RATIO, MIN_DISTANCE, MIN_CONFIDENCE = (0.05, 0.70), 0.30, 0.18, 0.88
NOTHING, ONE, UNSURE = "no lungs seen", "not two lungs side by side", "unsure"
SMALL = f"smaller than {SMALLEST} px"


def lungs(
    images: CxrDataset | np.ndarray | torch.Tensor, *, weights: str | Path | None = None, progress: bool = False
) -> np.ndarray:
    """Find the lung fields: without heart and mediastinum, above the diaphragm.

    The network was trained on phantoms alone (``cxr train-lungs``); ``results/lungs.json`` says how it does on real
    X-rays. It works at 128 x 128 pixels, sees each image and its mirror image, and keeps two pieces without holes. For
    frontal views of whole chests. Not a medical device.

    Parameters
    ----------
    images : CxrDataset, uint8 array (N, 1, H, W) or (N, H, W), or float array of these shapes in [0, 1]
        Any size. A data set's own lung masks are passed over; ``data.with_lungs()`` prefers them.
    weights : path, optional
        A file of ``cxr train-lungs`` instead of the weights that come with the package.

    Returns
    -------
    ndarray of bool, (N, H, W)
        Empty where no pair of lungs was found, or none that the network is sure of; a warning counts these images.

    Raises
    ------
    ValueError
        Images of another kind or scale, or a file that holds no such weights.
    """
    masks, reasons = find_lungs(images, weights=weights, progress=progress)
    if missing := Counter(filter(None, reasons)):
        told = ", ".join(f"{reason}: {n:,}" for reason, n in missing.items())
        found = f"No lungs were found in {missing.total():,} of {len(masks):,} images ({told})"
        warnings.warn(f"{found}; their masks are empty.", stacklevel=2)
    return masks


def find_lungs(
    images: CxrDataset | np.ndarray | torch.Tensor, *, weights: str | Path | None = None, progress: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Find lungs as ``lungs`` does, without a warning: (masks, reasons), a reason per empty mask, "" for the others."""
    read, count = reader(images)
    network = load_weights(weights) if weights else _shipped()
    size = tuple(read(range(min(count, 1))).shape[2:])
    masks, reasons = np.zeros((count, *size), bool), []
    if min(size) < SMALLEST:
        return masks, [SMALL] * count
    step = min(_BATCH, max(1, _PIXELS // (size[0] * size[1])))
    with torch.inference_mode(), bar(total=count, desc="lungs", unit="image", show=progress) as shown:
        for start in range(0, count, step):
            x = _resized(unit(read(range(start, min(start + step, count)))).float().cpu(), (SIZE, SIZE))
            p = (network(x).sigmoid() + network(x.flip(3)).sigmoid().flip(3)) / 2
            pairs = [_pair(image) for image in (p * _seen(x))[:, 0].numpy()]
            kept = _resized(torch.from_numpy(np.stack([pair for pair, _ in pairs]))[:, None], size)
            masks[start : start + len(x)] = kept[:, 0].numpy() > 0.5
            reasons += [reason for _, reason in pairs]
            shown.update(len(x))
    return masks, reasons


def known_lungs(images: object, progress: bool = False) -> np.ndarray:
    """Give the lungs of a data set, bool (N, H, W), where it has some, else those that are found."""
    known = getattr(images, "lungs", None)
    return find_lungs(images, progress=progress)[0] if known is None else known


def _resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return x if x.shape[2:] == size else F.interpolate(x, size, mode="bilinear", antialias=True)


def _pair(p: np.ndarray) -> tuple[np.ndarray, str]:
    """Reduce lung probabilities (H, W) to those of one pair of lungs; or to zeros, with the reason."""
    inside = p > 0.5
    pieces = _largest_two(inside)
    kept = np.logical_or.reduce(pieces) if pieces else inside
    if inside.mean() < AREA_RANGE[0]:
        reason = NOTHING
    elif not pieces or kept.mean() > AREA_RANGE[1] or not _side_by_side(*pieces):
        reason = ONE
    else:
        reason = "" if p[kept].mean() >= MIN_CONFIDENCE else UNSURE
    if reason:
        return np.zeros_like(p), reason
    holes = ndimage.binary_fill_holes(kept) & ~kept
    return np.where(holes, np.float32(1), np.where(inside & ~kept, np.float32(0), p)), ""


def _seen(x: torch.Tensor) -> torch.Tensor:
    """Find where images (B, 1, H, W) show a body: neither black up to the image's edge, nor of a single gray."""
    flat = F.max_pool2d(x, 8) + F.max_pool2d(-x, 8) < 1 / 512
    return ~(torch.from_numpy(black_border(x))[:, None] | flat.repeat_interleave(8, 2).repeat_interleave(8, 3))


def black_border(x: torch.Tensor) -> np.ndarray:
    """Find where images (B, 1, H, W) are black up to the image's edge, beyond the body: bool (B, H, W)."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    black = (x <= low + 0.05 * (high - low))[:, 0].numpy()
    # Black that does not reach the edge is a hole in all the rest.
    return np.array([~ndimage.binary_fill_holes(~one) for one in black], bool).reshape(black.shape)


def _largest_two(mask: np.ndarray) -> list[np.ndarray]:
    """Find two pieces of a mask, none much larger; lungs that touch in the middle are cut where they are thinnest."""
    for cut in range(4):
        label, count = ndimage.label(ndimage.binary_erosion(mask, iterations=cut) if cut else mask)
        area = np.bincount(label.ravel())[1:]
        first, second = (np.argsort(-area)[:2] + 1) if count > 1 else (0, 0)
        if count > 1 and area[second - 1] >= MIN_AREA_RATIO * area[first - 1]:
            one, two = label == first, label == second
            if cut:
                one, two = (ndimage.binary_dilation(piece, iterations=cut, mask=mask) for piece in (one, two))
            return [one, two & ~one]
    return []


def _side_by_side(one: np.ndarray, two: np.ndarray) -> bool:
    """Tell whether two pieces lie as lungs do: apart from left to right, and more so than up and down."""
    (y0, x0), (y1, x1) = ndimage.center_of_mass(one), ndimage.center_of_mass(two)
    return abs(x1 - x0) >= max(MIN_DISTANCE * one.shape[1], abs(y1 - y0))


def load_weights(path: str | Path) -> UNet:
    """Read a file of ``cxr train-lungs`` into a network in eval mode; ValueError where it is none."""
    network = UNet().to(memory_format=torch.channels_last)
    known = network.state_dict()
    try:
        with np.load(path, allow_pickle=False) as file:
            # all but batch norm's counters
            arrays = {name: file[name] for name, value in known.items() if value.is_floating_point()}
        if not all(value.dtype.kind == "f" and np.isfinite(value).all() for value in arrays.values()):
            raise ValueError("not all of them are finite numbers")
        found = {name: torch.from_numpy(value.astype(np.float32)) for name, value in arrays.items()}
        network.load_state_dict(known | found)
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, numpy and torch have many ways to refuse
        raise ValueError(f"{path} holds no weights of `cxr train-lungs`; make it again with that command") from error
    return network.eval()


_shipped = functools.cache(functools.partial(load_weights, WEIGHTS))
