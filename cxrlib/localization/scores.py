"""Scores of maps against the truth: each between a floor, which has seen no image, and a ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
import pandas as pd

from .. import plot
from ..bootstrap import groups, mean_intervals
from ..validate import array, number, short
from ..values import UNDEFINED, plain, table, text
from .maps import MARKER, centered_blobs, chunks, enlarge, filled, fraction_inside, one_class, otsu, perfect_maps

HIT_LEVELS = (0.1, 0.3, 0.5)  # of the overlaps that Wang et al. (CVPR 2017) report, three
NAMES = {
    "pointing": "pointing game", "energy_lesion": "energy inside the lesion", "energy_lung": "energy inside the lungs",
    "energy_marker": "energy inside the marker box", "iou_otsu": "IoU, Otsu's threshold",
    "iou_tuned": "IoU, tuned threshold",
}  # fmt: skip


def score_maps(
    maps: np.ndarray, masks: np.ndarray, lungs: np.ndarray | None = None,
    markers: np.ndarray | pd.DataFrame | None = None, patients: np.ndarray | None = None, images: object = None, *,
    threshold: float | tuple[np.ndarray, np.ndarray] | None = None, floor: np.ndarray | None = None,
    bootstrap: int = 1000, seed: int = 0,
) -> MapScores:  # fmt: skip
    """Score class activation maps against lesion masks.

    The maps are enlarged to the size of the masks (bilinear) and their negative part is cut off. Images without a
    lesion are left out and counted. A map without any positive value is blank: it points nowhere and finds nothing, so
    by this rule all of its scores are 0; blank maps are counted, too. What is undefined (energy inside the lungs where
    a mask is empty) is NaN and left out of the means. The ceiling is what a perfect map on the same grid scores, not a
    bound: a map that lights one pixel of the lesion has more energy inside. Raises ValueError for arrays that do not
    fit together, NaN, and no lesion at all.

    - pointing game: is the largest value inside the lesion? (Zhang et al., ECCV 2016, without a tolerance; among equal
      largest values, the fraction that is inside)
    - energy in the lesion, the lungs, the marker box: the fraction of the map's sum (Wang et al., CVPR Workshops 2020)
    - IoU: intersection over union of the lesion and the map above Otsu's (1979) threshold, and above ``threshold``
    - hit rate at T: the fraction of images with an IoU of at least T, as in Wang et al. (CVPR 2017), but with the
      lesion's mask in place of its box; at the tuned threshold where there is one, else at Otsu's

    Parameters
    ----------
    maps : float array, (N, h, w)
        Raw values of one class; see ``explain(..., target=...)``.
    masks : bool array, (N, H, W)
        The lesions.
    lungs, patients : bool array (N, H, W), array (N,), optional
    markers : array or DataFrame, optional
        (N, 4) x0, y0, x1, y1 in pixels, x1 and y1 excluded, -1 where there is none; or a table with the columns
        marker_x0, ... as ``data.table``.
    images : CxrDataset or array, optional
        Only to check that the masks have their size.
    threshold : float or pair, optional
        A fraction of each map's maximum above 0 and up to 1; or ``(maps, masks)`` of *other* images, on which it is
        chosen with ``tune_threshold``. None leaves the tuned IoU out.
    floor : bool array, (M, H, W), optional
        The lesions of *training* images. Their mean on the grid of the maps is the floor: what can be known without
        looking at the image. None: a centered Gaussian blob, which a map beats more easily.
    bootstrap, seed : int
        Resamples of the patients behind the 95 % intervals (0: none), and their seed.
    """
    maps, masks = _check_maps(maps, masks)
    n, grid, size = len(masks), maps.shape[1:], masks.shape[1:]
    if images is not None:
        count, shape = len(images), tuple(getattr(images, "images", images).shape[-2:])
        if (count, *shape) != masks.shape:
            given = f"{n} masks of {size[0]} x {size[1]} px do not fit {count} images of {shape[0]} x {shape[1]} px"
            raise ValueError(f"masks: {given}; load images and masks at the same size")
    lungs = None if lungs is None else array("lungs", lungs, masks.shape, "b")
    regions = {"energy_lung": lungs, "energy_marker": _marker_masks(markers, masks)}
    regions = {name: region for name, region in regions.items() if region is not None}
    groups(patients, n)
    patients = np.arange(n) if patients is None else np.asarray(patients)
    blind = _blind_map(floor, grid, size)
    cuts = _thresholds(threshold, blind, masks)

    rows = np.flatnonzero(masks.any((1, 2)))
    measured = {"map": [], "ceiling": [], "floor": []}
    for part in chunks(rows):
        truth = masks[part]
        inside = {name: region[part] for name, region in regions.items()}
        kinds = {"map": maps[part], "ceiling": perfect_maps(truth, grid), "floor": np.tile(blind, (len(part), 1, 1))}
        for kind, coarse in kinds.items():
            measured[kind].append(_measure(enlarge(coarse, size), truth, inside, cuts[kind]))
    frames = {kind: pd.concat(parts, ignore_index=True).set_index(rows) for kind, parts in measured.items()}
    blank = int(frames["map"]["blank"].sum())
    floor_is = "centered blob" if floor is None else f"mean of {len(floor)} training lesions"
    scores = [frame.drop(columns="blank") for frame in frames.values()]
    return MapScores(*scores, patients[rows], n - len(rows), blank, grid, size, floor_is, cuts["map"], bootstrap, seed)


def tune_threshold(maps: np.ndarray, masks: np.ndarray) -> float:
    """Choose the threshold, as a fraction of each map's maximum, with the highest mean IoU, in steps of 0.05.

    ``maps`` (N, h, w) float and ``masks`` (N, H, W) bool belong to other images than those that are scored. NaN where
    all maps are blank: no threshold is better than another.
    """
    maps, masks = _check_maps(maps, masks)
    rows = np.flatnonzero(masks.any((1, 2)))
    candidates = np.arange(1, 20) / 20
    total = np.zeros(len(candidates))
    for part in chunks(rows):
        positive = np.clip(enlarge(maps[part], masks.shape[1:]), 0, None)
        total += [_iou(_above(positive, fraction), masks[part]).sum() for fraction in candidates]
    return float(candidates[total.argmax()]) if (maps[rows] > 0).any() else np.nan


def _blind_map(floor: object, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Make the map (h, w) that is the floor: the same for all images."""
    if floor is None:
        return centered_blobs(1, grid)[0]
    floor = array("floor (lesion masks of training images)", floor, ("images", *size), "b")
    if not floor.any():
        raise ValueError("floor: give the lesion masks of training images, got only empty ones")
    return perfect_maps(floor, grid).mean(0)


def _measure(up: np.ndarray, masks: np.ndarray, regions: dict, threshold: float | None) -> pd.DataFrame:
    """Scores of maps (n, H, W) that have the size of the masks; one row per image."""
    positive = np.clip(up, 0, None)
    row = {
        "pointing": fraction_inside(_above(positive, 1 - 1e-6), masks),
        "energy_lesion": fraction_inside(positive, masks),
    }
    for name, region in regions.items():
        row[name] = np.where(region.any((1, 2)), fraction_inside(positive, region), np.nan)
    row["iou_otsu"] = best = _iou(positive > otsu(positive)[:, None, None], masks)
    if threshold is not None:
        found = _iou(_above(positive, threshold), masks)
        row["iou_tuned"] = best = found if np.isfinite(threshold) else np.full(len(found), np.nan)
    for level in HIT_LEVELS:
        row[f"hit@{level:g}"] = np.where(np.isnan(best), np.nan, best >= level)
    return pd.DataFrame(row | {"blank": ~positive.any((1, 2))})


def _above(positive: np.ndarray, fraction: float) -> np.ndarray:
    """Where a map is above a fraction of its maximum; nowhere for a blank map."""
    peak = positive.max((1, 2), keepdims=True)
    return (positive >= fraction * peak) & (peak > 0)


def _iou(found: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return (found & masks).sum((1, 2)) / np.maximum((found | masks).sum((1, 2)), 1)


def _thresholds(threshold: object, blind: np.ndarray, masks: np.ndarray) -> dict:
    """Threshold of the maps, the ceiling and the floor; the latter two get their own best one, to be fair."""
    if threshold is None:
        return dict.fromkeys(("map", "ceiling", "floor"))
    if isinstance(threshold, Real):
        chosen, others = number("threshold", threshold, 0, 1, open_low=True), masks
    elif isinstance(threshold, Sequence) and len(threshold) == 2:
        chosen, others = tune_threshold(*threshold), np.asarray(threshold[1])
    else:
        allowed = "a number above 0 and up to 1, or a pair (maps, masks) of other images"
        raise ValueError(f"threshold: give {allowed}; got {short(threshold)}")
    others = others[others.any((1, 2))]
    bounds = {"ceiling": perfect_maps(others, blind.shape), "floor": np.tile(blind, (len(others), 1, 1))}
    return {"map": chosen} | {name: tune_threshold(maps, others) for name, maps in bounds.items()}


def _check_maps(maps: object, masks: object) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = one_class(maps), array("masks", masks, ("images", "H", "W"), "b")
    (n, *grid), (count, *size) = maps.shape, masks.shape
    if n != count or grid[0] > size[0] or grid[1] > size[1]:
        given = f"{n} maps of {grid[0]} x {grid[1]} do not fit {count} masks of {size[0]} x {size[1]} px"
        raise ValueError(f"maps and masks: {given}; give one mask per map, at the size of the images")
    if not masks.any():
        raise ValueError(f"masks: none of the {len(masks)} images has a lesion; there is nothing to score")
    return maps, masks


def _marker_masks(markers: object, masks: np.ndarray) -> np.ndarray | None:
    """Marker boxes as bool (N, H, W); None when there is no marker at all."""
    if markers is None:
        return None
    if isinstance(markers, pd.DataFrame):
        if missing := [c for c in MARKER if c not in markers]:
            raise ValueError(f"markers: the table has no column {', '.join(missing)}")
        markers = markers[MARKER].to_numpy()
    boxes = array("markers (x0, y0, x1, y1)", markers, (len(masks), 4))
    height, width = masks.shape[1:]
    boxes = np.where(boxes[:, :1] >= 0, boxes, 0)  # none is empty
    if (boxes < 0).any() or (boxes[:, 2:] > (width, height)).any():
        raise ValueError(f"markers: a box lies outside the masks of {height} x {width} px; give boxes of that size")
    inside = filled(boxes, (height, width))
    return inside if inside.any() else None


@dataclass(frozen=True, eq=False)
class MapScores:
    """Scores of class activation maps; shows itself as a table.

    ``per_image``, ``ceiling`` and ``floor`` have one row per image with a lesion (the index is its position among the
    images given; ``patients`` are of these rows), one column per score; NaN where it is undefined. ``left_out`` counts
    images without a lesion, ``blank`` maps without a positive value, which score 0. ``grid`` and ``size`` are those of
    maps and images; ``floor_is`` says what the floor is; ``threshold`` is that of the tuned IoU.
    """

    per_image: pd.DataFrame
    ceiling: pd.DataFrame
    floor: pd.DataFrame
    patients: np.ndarray
    left_out: int = 0
    blank: int = 0
    grid: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    floor_is: str = "centered blob"
    threshold: float | None = None
    bootstrap: int = 1000
    seed: int = 0

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per score with value, low, high (95 %), ceiling, floor, gain over the floor and its interval, images.

        The gain is the mean difference between map and floor on the same images; an interval above 0 says that the map
        knows more than a map that looks at no image.
        """
        gain = self.per_image - self.floor
        options = (self.patients, self.bootstrap, self.seed)
        columns = {"value": self.per_image.mean()}
        columns["low"], columns["high"] = mean_intervals(self.per_image, *options)
        columns |= {"ceiling": self.ceiling.mean(), "floor": self.floor.mean(), "gain": gain.mean()}
        columns["gain_low"], columns["gain_high"] = mean_intervals(gain, *options)
        return pd.DataFrame(columns | {"images": self.per_image.count()}).rename_axis("score")

    def __getitem__(self, name: str) -> float:
        """Give the mean of a score by name: ``scores["pointing"]``."""
        if name not in self.per_image:
            raise KeyError(f"{name!r} is not among these scores; there are {', '.join(self.per_image)}")
        return float(self.per_image[name].mean())

    def interval(self, name: str) -> tuple[float, float, float]:
        """Give (value, low, high) of a score."""
        return self[name], *map(float, self.table.loc[name, ["low", "high"]])

    def to_dict(self) -> dict:
        """Give plain values for JSON: no images, no patients; null where undefined."""
        kept = {name: getattr(self, name) for name in ("left_out", "blank", "grid", "size", "threshold", "bootstrap")}
        scores = self.table.to_dict("index")
        images, patients = len(self.per_image), len(np.unique(self.patients))
        return plain({"scores": scores, "images": images, "patients": patients, "floor": self.floor_is} | kept)

    def plot(self) -> plot.Figure:
        """Draw every score with its interval, between its floor (gray line) and its ceiling (black line)."""
        names, t = [_label(name) for name in self.table.index], self.table
        y = -np.arange(len(t))
        fig, ax = plot.subplots(figsize=(7.2, 0.9 + 0.46 * len(t)))
        plot.points(ax, y, t["value"], t["low"], t["high"], across=True, ms=4, color=plot.BLUE, label="map")
        for column, color in (("floor", plot.GRAY), ("ceiling", "black")):
            ax.vlines(t[column], y - 0.4, y + 0.4, color=color, lw=2, label=column)
        ax.set_yticks(y, names)
        ax.set(xlabel="mean over the images", xlim=(-0.02, 1.02), ylim=(0.5 - len(t), 0.5))
        ax.grid(axis="y", visible=False)
        ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
        said = []
        for name, r in zip(names, t.itertuples(), strict=True):
            floor, ceiling = (text(v, form=".2f") for v in (r.floor, r.ceiling))
            said.append(f"map, {name}: {text(r.value, r.low, r.high, '.2f')}, floor {floor}, ceiling {ceiling}")
        fig.alt = f"Scores of the maps with 95 % intervals. {'. '.join(said)}.".replace(UNDEFINED, "undefined")
        return fig

    def __str__(self) -> str:
        said = ", ".join(f"{_label(name)} {text(self[name])}" for name in self.per_image)
        return f"{len(self.per_image)} maps of {self.grid[0]} x {self.grid[1]}: {said}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (_label(r.Index), (r.value, r.low, r.high), r.ceiling, r.floor, (r.gain, r.gain_low, r.gain_high), r.images)
            for r in self.table.itertuples()
        ]
        head = ["score", "map", "ceiling: perfect map", f"floor: {self.floor_is}", "map minus floor", "images"]
        note = [f"maps of {self.grid[0]} × {self.grid[1]} on images of {self.size[0]} × {self.size[1]} pixels"]
        note.append(f"{self.left_out} images without a lesion left out")
        if self.blank:
            note.append(f"{self.blank} blank maps, counted as 0")
        if self.threshold is not None:
            note.append(f"tuned threshold {text(self.threshold, form='.2f')} of the maximum")
        if self.bootstrap:
            note.append(f"small print: 95 % intervals, bootstrap over {len(np.unique(self.patients))} patients")
        return table(head, rows) + f"<p><small>{'; '.join(note)}.</small></p>"


def compare_maps(a: MapScores, b: MapScores) -> pd.DataFrame:
    """Compare two sets of maps of the *same* images, image by image; ValueError for different images.

    The table has one row per score: the means a and b, their difference b - a with its 95 % interval over patients
    (low, high), and the number of images on which both are defined.
    """
    if not a.per_image.index.equals(b.per_image.index) or not np.array_equal(a.patients, b.patients):
        raise ValueError("a and b were measured on different images; score both models on the same data")
    difference = (b.per_image - a.per_image)[[c for c in a.per_image if c in b.per_image]]
    low, high = mean_intervals(difference, a.patients, a.bootstrap, a.seed)
    one, two = (s.per_image[difference.columns].where(difference.notna()).mean() for s in (a, b))
    columns = {"a": one, "b": two, "difference": difference.mean(), "low": low, "high": high}
    return pd.DataFrame(columns | {"images": difference.count()}).rename_axis("score")


def _label(name: str) -> str:
    return NAMES.get(name, name.replace("hit@", "hit rate, IoU of at least "))
