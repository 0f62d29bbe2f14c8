"""What the page gets: pictures, arrays and maps as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..data import CxrDataset
from ..live import live_network
from ..models import CxrNet
from ..validate import several, short, whole
from ..values import packed

MOST = 12  # pictures on one page
SIDE = 256  # larger images are reduced to this for the page, in pixels
GRID = 56  # finer maps are averaged down to this many cells for the page
# Perceptually uniform, so that equal steps look equal, with and without color blindness.
COLOR_MAPS = ("cividis", "viridis", "inferno", "magma")
SIGNED = "RdBu_r"  # blue below zero, red above, which color-blind people tell apart


def picture(pixels: np.ndarray, kind: str = "PNG", **options) -> str:
    """Encode a gray image, uint8 (H, W), or a mask, bool (H, W), as a file of Pillow's ``kind`` in base 64."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **{"optimize": True, **options})
    return base64.b64encode(buffer.getvalue()).decode()


def checked(data: CxrDataset) -> CxrDataset:
    """Check that ``data`` is a data set with at least one image."""
    if not isinstance(data, CxrDataset) or not len(data):
        raise ValueError(f"data: give a CxrDataset with at least one image, got {short(data)}")
    return data


def positions(images: Iterable[int], n: int, most: int) -> list[int]:
    """Check 1 to ``most`` positions among ``n`` images; negative ones count from the end."""
    found = several("images", images, partial(whole, low=-n, high=n - 1))
    if len(found) > most:
        raise ValueError(f"images: give 1 to {most} positions, got {len(found)}")
    return [row % n for row in found]


def examples(data: CxrDataset, images: Sequence[int] | None = None) -> list[dict]:
    """Encode the images at these positions (at most 12; default: the first six), each with its label."""
    first = range(min(6, len(checked(data))))
    part = data[positions(first if images is None else images, len(data), MOST)]
    pairs = zip(part.images, part.labels, strict=True)
    return [{"png": picture(np.asarray(image[0])), "label": int(label)} for image, label in pairs]


def described(networks: Mapping[str, CxrNet], data: CxrDataset) -> list[dict]:
    """Describe one or two networks for the page, each with its name; ValueError where they do not fit the data."""
    if not isinstance(networks, Mapping) or not 1 <= len(networks) <= 2:
        raise ValueError(f"networks: give one or two, by name, got {short(networks)}")
    live = [{"name": str(name), "net": live_network(net)} for name, net in networks.items()]
    for name, net in (one.values() for one in live):
        if net["classes"] != list(data.classes) or net["size"] != data.size:
            given = f"{len(net['classes'])} classes at {net['size']} px"
            raise ValueError(f"networks: {name!r} has {given}; data are of {', '.join(data.classes)}, {data.size} px")
    return live


def reduced(image: np.ndarray) -> np.ndarray:
    """Reduce an image or mask (H, W) to a size for the screen, at most 256 pixels a side."""
    mask = image.dtype == bool
    gray = Image.fromarray(image.astype(np.uint8) * 255 if mask else image)
    gray.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(gray) >= 128 if mask else np.asarray(gray)


def averaged(maps: np.ndarray) -> np.ndarray:
    """Average maps (K, h, w) down to at most 56 x 56 cells."""
    cells = [min(side, GRID) for side in maps.shape[1:]]
    return F.adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(maps)), cells).numpy()


def quantize(maps: np.ndarray) -> dict:
    """Turn maps (K, h, w) into 8-bit steps between each map's lowest and highest value, ready for JSON."""
    low, high = maps.min((1, 2)), maps.max((1, 2))
    step = (high - low) / 255
    step[step == 0] = 1
    steps = np.rint((maps - low[:, None, None]) / step[:, None, None]).astype(np.uint8)
    six_digits = [[float(f"{float(v):.6g}") for v in values] for values in (low, high)]
    return {"grid": list(maps.shape[1:]), "low": six_digits[0], "high": six_digits[1], "steps": packed(steps)}


@cache
def color_tables() -> dict[str, str]:
    """Return 256 colors of each color map, three bytes each, in base 64."""
    colors = {name: mpl.colormaps[name](np.arange(256))[:, :3] for name in (*COLOR_MAPS, SIGNED)}
    return {name: packed(np.rint(values * 255).astype(np.uint8)) for name, values in colors.items()}
