"""`near_duplicates`: images that are the same picture though not the same bytes.

Chest X-rays all look alike, so two steps are needed. A coarse description, of which all are compared with all, proposes
a few neighbors of each image; then the finer structure of two small pictures is laid one over the other and correlated
(Lucas and Kanade's registration in its inverse compositional form: Baker and Matthews, IJCV 56(3), 2004).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from tqdm import tqdm

from ..progress import bar
from ..validate import number
from .dataset import CxrDataset

#: Likeness from which two images are the same picture: benchmarks/near_duplicates.py, chosen on one half of its images.
SAME = 0.94
NEIGHBORS = 12  # of each image, which are compared closely
_LIKELY = 0.8  # likeness of small pictures from which larger ones are compared
_SIDE, _WAVES, _BLOCK = 64, 8, 256  # pairs at once: their pictures stay in the cache of a core
_MANY = 2000  # images from which a progress bar is shown
_remembered: dict[tuple, pd.DataFrame] = {}


def near_duplicates(
    data: CxrDataset, against: CxrDataset | None = None, least: float = SAME, progress: bool = True
) -> pd.DataFrame:
    """Find pairs of images that are the same picture: saved again, resized, cropped a little, mirrored, brightened.

    Each image is compared closely with its 12 most similar only, so 15,000 images take half a minute, and n copies of
    one image give about 12 n pairs, not n²: ``picture_groups`` puts them together. Two X-rays of one patient are not
    the same picture, unless they were taken without a movement between them. Crops of more than a twentieth of the
    side, and turned pictures, are found only sometimes; an even image has no structure and is like nothing.

    With ``against``, the images of ``data`` are sought in that data set, instead of within ``data``; ``least`` is the
    likeness from which two images count as the same picture. The table has one row per pair, by position: ``first`` and
    ``second``, positions in ``data`` (``second`` in ``against``), ``likeness`` (the correlation of their structure, up
    to 1) and ``mirrored``. Within one set ``first < second``.
    """
    for name, value in (("data", data), ("against", against)):
        if not isinstance(value, CxrDataset) and (value is not None or name == "data"):
            raise ValueError(f"{name}: give a CxrDataset, as load makes it, got {type(value).__name__}")
    least = number("least", least, 0, 1)
    key = (data.fingerprint, None if against is None else against.fingerprint, least)
    if key not in _remembered:
        n, rest = len(data), [] if against is None else [against]
        show = progress and n + sum(map(len, rest)) >= _MANY
        with bar(total=n + sum(map(len, rest)) + n, desc="same pictures", unit="image", show=show) as shown:
            small = torch.cat([_small(part, shown) for part in (data, *rest)])
            first, second, mirrored = _neighbors(_describe(small), n, against is None)
            likeness = _likeness(small, first, second, mirrored, shown, n)
        same = (likeness >= least).numpy()
        columns = {"first": first, "second": second - (n if rest else 0), "likeness": likeness, "mirrored": mirrored}
        found = pd.DataFrame({name: column.numpy()[same] for name, column in columns.items()})
        while len(_remembered) >= 8:  # an audit and the splits after it look only once
            _remembered.pop(next(iter(_remembered)))
        _remembered[key] = found.sort_values(["first", "second"], ignore_index=True)
    return _remembered[key].copy()


def picture_groups(pairs: pd.DataFrame, n: int) -> np.ndarray:
    """Give each of n images the number of its picture, (N,) int: equal where pairs of ``near_duplicates`` join them."""
    ends = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    return connected_components(coo_array((np.ones(len(pairs)), ends), shape=(n, n)), directed=False)[1]


def _small(data: CxrDataset, shown: tqdm) -> Tensor:
    """Shrink every image to uint8 (N, 64, 64)."""
    out = torch.zeros(len(data), _SIDE, _SIDE, dtype=torch.uint8)
    for start in range(0, len(data), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(data)))
        images = torch.from_numpy(data.batch(rows)).float()
        shrunk = F.interpolate(images, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        out[rows.start : rows.stop] = shrunk.round()[:, 0]
        shown.update(len(rows))
    return out


def _describe(small: Tensor) -> tuple[Tensor, Tensor]:
    """Give the slow waves of each picture (a cosine transform), each counted by how much it varies, and if mirrored.

    Both are (N, 52), of length 1: a product is a correlation. Waves this slow hardly mind a crop of a few pixels.
    """
    k, half = torch.arange(_WAVES), _SIDE // 2
    cosines = torch.cos(torch.pi * (torch.arange(half) + 0.5) * k[:, None] / half)
    radius = torch.hypot(k[:, None].float(), k.float())
    used = (radius >= 1.5) & (radius < _WAVES)
    parts = [cosines @ F.avg_pool2d(part[:, None].float(), 2)[:, 0] @ cosines.T for part in small.split(_BLOCK)]
    waves = F.normalize(torch.cat(parts)[:, used], dim=1)
    turned = waves * torch.where(k.expand(_WAVES, _WAVES)[used] % 2 == 1, -1.0, 1.0)  # odd waves change their sign
    both = torch.cat([waves, turned])
    center = both.mean(0)
    spread = (both - center).square().mean(0).sqrt().clamp_min(0.02)
    return tuple(F.normalize((x - center) / spread, dim=1) for x in (waves, turned))


def _neighbors(described: tuple[Tensor, Tensor], n: int, within: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Propose pairs (first, second, mirrored): the 12 most similar of each of the first n images.

    They are sought among the same n images, or among those after them.
    """
    start, total = 0 if within else n, len(described[0])
    waves, turned = (x[start:] for x in described)
    if not n or len(waves) == within:  # nothing to compare with
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool)
    keys = []
    for rows in torch.arange(n).split(_BLOCK):
        plain, mirror = described[0][rows] @ waves.T, described[0][rows] @ turned.T
        best = torch.maximum(plain, mirror)
        if within:
            best[torch.arange(len(rows)), rows] = -torch.inf
        near = best.topk(min(NEIGHBORS, len(waves) - within), dim=1).indices
        i, j = rows[:, None].expand_as(near), near + start
        ends = torch.minimum(i, j) * total + torch.maximum(i, j)
        keys.append((ends * 2 + (mirror.gather(1, near) > plain.gather(1, near))).flatten())
    key = torch.unique(torch.cat(keys))
    return key // 2 // total, key // 2 % total, key % 2 == 1


def _likeness(small: Tensor, first: Tensor, second: Tensor, mirrored: Tensor, shown: tqdm, work: int) -> Tensor:
    """Correlate the structure of pairs of pictures (P,), either of which may be a part of the other."""
    likeness = torch.zeros(len(first))
    coarse = torch.cat([_structure(F.avg_pool2d(x[:, None].float(), 2)[:, 0], 5) for x in small.split(_BLOCK)])
    for rows in torch.arange(len(first)).split(_BLOCK):
        for i, j in ((first[rows], second[rows]), (second[rows], first[rows])):
            turn = mirrored[rows]
            found, place = _lay_over(coarse[i], _turned(coarse[j], turn))
            on = found >= _LIKELY
            if on.any():
                a, b = (_structure(small[k[on]].float(), 9) for k in (i, j))
                found[on], _ = _lay_over(a, _turned(b, turn[on]), place[on])
                likeness[rows[on]] = torch.maximum(likeness[rows[on]], found[on])
        shown.update(round(work * len(rows) / max(len(first), 1)))
    return likeness


def _turned(pictures: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored[:, None, None], pictures.flip(2), pictures)


def _structure(pictures: Tensor, size: int) -> Tensor:
    """Take away what is slower than ``size`` pixels and press strong edges together: light and borders count little."""
    padded = F.pad(pictures[:, None], [size // 2] * 4, mode="reflect")
    fine = pictures - F.avg_pool2d(padded, size, 1)[:, 0]
    strength = fine.abs()
    return fine / (strength + 2 * strength.mean((1, 2), keepdim=True).clamp_min(1e-3))


def _lay_over(a: Tensor, b: Tensor, place: Tensor | None = None, steps: int = 4) -> tuple[Tensor, Tensor]:
    """Stretch and shift each ``b`` (B, S, S) until it lies on ``a``: the best correlation (B,) and where (B, 2, 2).

    ``place`` is (axis, (stretch, shift)), in coordinates from -1 to 1. The outer sixteenth of ``a`` is left out, since
    ``b`` may end there.
    """
    side = a.shape[1]
    inner, pixels = slice(side // 16, side - side // 16), torch.arange(side)
    at = ((pixels + 0.5) / side * 2 - 1)[inner]
    target, length = _unit(a[:, inner, inner])
    slope = [g[:, inner, inner] * side / 2 / length[:, None, None] for g in torch.gradient(a, dim=(1, 2))]
    ways = torch.stack([slope[0] * at[:, None], slope[0], slope[1] * at, slope[1]], dim=1).flatten(2)
    ways = ways - ways.mean(2, keepdim=True)
    flat = target.flatten(1)[:, :, None]
    ways = ways - (ways @ flat) * flat.transpose(1, 2)  # what only changes the contrast is no movement
    square = ways @ ways.transpose(1, 2)
    damped = square + torch.diag_embed(1e-3 * square.diagonal(dim1=1, dim2=2) + 1e-9)
    solve = torch.linalg.inv(damped) @ ways

    place = torch.tensor([1.0, 0.0]).expand(len(a), 2, 2) if place is None else place
    best, best_place = torch.full((len(a),), -1.0), place
    for step in range(steps + 1):
        where = ((place[:, :, :1] * at + place[:, :, 1:] + 1) * side / 2 - 0.5).clamp(0, side - 1)
        weights = (1 - (where[..., None] - pixels).abs()).clamp_min(0)  # linear interpolation, one axis after the other
        moved, _ = _unit(weights[:, 0] @ b @ weights[:, 1].transpose(1, 2))
        found = (moved * target).sum((1, 2))
        best_place = torch.where((found > best)[:, None, None], place, best_place)
        best = torch.maximum(best, found)
        if step < steps:
            change = (solve @ (moved - target).flatten(1)[:, :, None]).reshape(-1, 2, 2).clamp(-0.1, 0.1)
            stretch = place[..., 0] / (1 + change[..., 0])
            shift = place[..., 1] - stretch * change[..., 1]
            place = torch.stack([stretch.clamp(0.8, 1.25), shift.clamp(-0.2, 0.2)], dim=2)
    return best, best_place


def _unit(pictures: Tensor) -> tuple[Tensor, Tensor]:
    centered = pictures - pictures.mean((1, 2), keepdim=True)
    length = centered.flatten(1).norm(dim=1).clamp_min(1e-6)
    return centered / length[:, None, None], length
