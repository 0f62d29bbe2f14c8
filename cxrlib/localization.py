"""How good is a class activation map? Scores against the truth, and two tests that need no truth.

A score alone says little: a coarse map cannot be perfect, and a blob in the middle of the picture is not always
wrong. So every score stands between a *ceiling* (a perfect map on the same coarse grid) and a *floor* (one and the same
map for all images: the mean of the training images' lesions, or a blob in the middle where none are given).
"""

from __future__ import annotations

import html
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from . import plot
from .cam import explain
from .models import build_model, evaluating

HIT_LEVELS = (0.1, 0.3, 0.5)  # of the overlaps that Wang et al. (CVPR 2017) report, three
BLOB_SIGMA = 0.25  # of the floor, in sides of the image
_CHUNK = 64  # images that are enlarged at once: bounds the memory, whatever their number

NAMES = {
    "pointing": "pointing game",
    "energy_lesion": "energy inside the lesion",
    "energy_lung": "energy inside the lungs",
    "energy_marker": "energy inside the marker box",
    "iou_otsu": "IoU, Otsu's threshold",
    "iou_tuned": "IoU, tuned threshold",
}


# ---- scores against the truth ------------------------------------------------------------------------------------


def score_maps(
    maps,
    masks,
    lungs=None,
    markers=None,
    patients=None,
    images=None,
    *,
    threshold=None,
    floor: np.ndarray | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> MapScores:
    """Score class activation maps against lesion masks.

    The maps are enlarged to the size of the masks (bilinear) and their negative part is cut off. Images without a
    lesion are left out and counted. A map without any positive value is counted as blank and scores 0.

    - pointing game: is the largest value inside the lesion? (Zhang et al., ECCV 2016, without a tolerance; among
      equal largest values, the share that is inside)
    - energy inside the lesion, the lungs, the marker box: the share of the map's sum (Wang et al., CVPR Workshops
      2020)
    - IoU: intersection over union of the lesion and the part of the map above a threshold: Otsu's (1979) of every
      map, and ``threshold``
    - hit rate at T: the share of images with an IoU of at least T, as in Wang et al. (CVPR 2017), but with the
      lesion's mask in place of its box; at the tuned threshold where there is one, else at Otsu's

    Parameters
    ----------
    maps : float (N, h, w), raw values, one class; see ``explain(..., target=...)``
    masks : bool (N, H, W), the lesions
    lungs : bool (N, H, W), optional
    markers : (N, 4) x0, y0, x1, y1 in pixels, x1 and y1 excluded, -1 where there is none; or a DataFrame with
        columns marker_x0, ... as ``data.table``; or bool (N, H, W)
    patients : (N,), optional; images of one patient are drawn together. None: every image is its own patient.
    images : CxrDataset or array, optional; only to check that the masks have their size
    threshold : a share of each map's maximum between 0 and 1; or a pair ``(maps, masks)`` of *other* images, on which
        it is chosen with ``tune_threshold``. None leaves the tuned IoU out.
    floor : bool (M, H, W), optional; the lesions of *training* images. Their mean on the grid of the maps is the floor:
        what can be known without looking at the image. None: a centered Gaussian blob, which a map beats more easily.
    bootstrap, seed : resamples of the patients behind the 95 % intervals (0: none), and their seed

    Returns
    -------
    MapScores, with the ceiling of a perfect map on the same grid and the floor of a map that saw no image. The
    ceiling is what a perfect map scores, not a bound: a map that lights one pixel of the lesion has more energy inside.

    Raises
    ------
    ValueError
        Arrays that do not fit together, NaN, no lesion at all.
    """
    maps, masks = _check_maps(maps, masks)
    n, size = len(masks), masks.shape[1:]
    if images is not None:
        count, shape = len(images), getattr(images, "images", images).shape[-2:]
        if (count, *shape) != masks.shape:
            raise ValueError(
                f"masks: {n} masks of {size[0]} x {size[1]} px do not fit {count} images of "
                f"{shape[0]} x {shape[1]} px; load images and masks at the same size"
            )
    regions = {"energy_lung": _check_region("lungs", lungs, masks), "energy_marker": _marker_masks(markers, masks)}
    patients = np.arange(n) if patients is None else np.asarray(patients)
    if patients.shape != (n,):
        raise ValueError(f"patients: give one for each of the {n} maps, got the shape {patients.shape}")
    grid = maps.shape[1:]
    blind = _blind_map(floor, grid, size)
    cuts = _thresholds(threshold, blind, masks)

    rows = np.flatnonzero(masks.any((1, 2)))
    measured = {"map": [], "ceiling": [], "floor": []}
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        truth = masks[part]
        inside = {name: None if r is None else r[part] for name, r in regions.items()}
        kinds = {"map": maps[part], "ceiling": perfect_maps(truth, grid), "floor": _repeat(blind, len(part))}
        for kind, coarse in kinds.items():
            measured[kind].append(_measure(enlarge(coarse, size), truth, inside, cuts[kind]))
    frames = {kind: pd.concat(parts, ignore_index=True).set_index(rows) for kind, parts in measured.items()}
    blank = int(frames["map"].pop("blank").sum())
    return MapScores(
        frames["map"],
        frames["ceiling"].drop(columns="blank"),
        frames["floor"].drop(columns="blank"),
        patients[rows],
        left_out=n - len(rows),
        blank=blank,
        grid=grid,
        size=size,
        floor_is="centered blob" if floor is None else f"mean of {len(floor)} training lesions",
        threshold=cuts["map"],
        bootstrap=bootstrap,
        seed=seed,
    )


def tune_threshold(maps, masks) -> float:
    """The threshold, as a share of each map's maximum, with the highest mean IoU on these images.

    Parameters: ``maps`` float (N, h, w); ``masks`` bool (N, H, W). The steps are 0.05. Use other images than those
    that are scored.
    """
    maps, masks = _check_maps(maps, masks)
    rows = np.flatnonzero(masks.any((1, 2)))
    candidates = np.arange(1, 20) / 20
    total = np.zeros(len(candidates))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        positive = np.clip(enlarge(maps[part], masks.shape[1:]), 0, None)
        total += [_iou(_above(positive, share), masks[part]).sum() for share in candidates]
    return float(candidates[total.argmax()])


def enlarge(maps, size: tuple[int, int]) -> np.ndarray:
    """Maps (N, h, w) at the size (H, W) of the image, bilinear, float32."""
    coarse = torch.tensor(np.asarray(maps), dtype=torch.float32)
    return F.interpolate(coarse[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0].numpy()


def perfect_maps(masks, grid: tuple[int, int]) -> np.ndarray:
    """The lesion seen on a coarse grid: the share of lesion pixels (N, h, w) in every cell."""
    truth = torch.from_numpy(np.asarray(masks, dtype=np.float32))
    return F.interpolate(truth[:, None], tuple(grid), mode="area")[:, 0].numpy()


def centered_blobs(n: int, grid: tuple[int, int], sigma: float = BLOB_SIGMA) -> np.ndarray:
    """``n`` times the same Gaussian in the middle of a grid; ``sigma`` in sides of the image. Looks at no image."""
    y, x = ((np.arange(k) + 0.5) / k - 0.5 for k in grid)
    blob = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))
    return _repeat(blob.astype(np.float32), n)


def _repeat(coarse, n: int) -> np.ndarray:
    return np.broadcast_to(coarse, (n, *coarse.shape))


def _blind_map(floor, grid, size) -> np.ndarray:
    """The map (h, w) that is the floor: the same for all images."""
    if floor is None:
        return centered_blobs(1, grid)[0]
    floor = np.asarray(floor)
    if floor.ndim != 3 or floor.dtype != bool or floor.shape[1:] != size or not floor.any():
        raise ValueError(
            f"floor: got {floor.dtype} of shape {floor.shape}; give the lesion masks of training images, bool "
            f"(M, {size[0]}, {size[1]}), not all empty"
        )
    return perfect_maps(floor, grid).mean(0)


def otsu(values: np.ndarray) -> np.ndarray:
    """Otsu's threshold of every map: values (N, H, W) of at least 0 -> (N,); foreground is what lies above.

    The threshold that separates two groups with the largest variance between them (Otsu 1979), among 256 levels
    from 0 to the map's maximum. 0 for a map with one value only.
    """
    n = len(values)
    peak = values.reshape(n, -1).max(1)
    scale = 255 / np.where(peak > 0, peak, 1)
    level = np.rint(values * scale[:, None, None]).astype(np.int64)
    count = np.bincount((level + 256 * np.arange(n)[:, None, None]).ravel(), minlength=256 * n).reshape(n, 256)
    below, moment = count.cumsum(1), (count * np.arange(256)).cumsum(1)
    above, total = below[:, -1:] - below, moment[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (moment / below - (total - moment) / above) ** 2
    between = np.nan_to_num(between)
    cut = (between.argmax(1) + 0.5) / scale
    return np.where(between.max(1) > 0, cut, 0.0)


def _measure(up, masks, regions, threshold) -> pd.DataFrame:
    """Scores of maps (n, H, W) that have the size of the masks; one row an image."""
    positive = np.clip(up, 0, None)
    total = positive.sum((1, 2), dtype=float)
    blank = total <= 0
    peak = _above(positive, 1 - 1e-6)
    row = {"pointing": _share(peak, masks), "energy_lesion": _share(positive, masks)}
    for name, region in regions.items():
        if region is not None:
            present = region.any((1, 2))
            row[name] = np.where(present, _share(positive, region), np.nan)
    row["iou_otsu"] = best = _iou(positive > otsu(positive)[:, None, None], masks)
    if threshold is not None:
        row["iou_tuned"] = best = _iou(_above(positive, threshold), masks)
    for level in HIT_LEVELS:
        row[f"hit@{level:g}"] = (best >= level).astype(float)
    return pd.DataFrame(row | {"blank": blank})


def _above(positive, share):
    """Where a map is above a share of its maximum; nowhere for a blank map."""
    peak = positive.max((1, 2), keepdims=True)
    return (positive >= share * peak) & (peak > 0)


def _share(weights, region):
    total = weights.sum((1, 2), dtype=float)
    return (weights * region).sum((1, 2), dtype=float) / np.where(total > 0, total, 1)


def _iou(found, masks):
    return (found & masks).sum((1, 2)) / np.maximum((found | masks).sum((1, 2)), 1)


def _thresholds(threshold, blind, masks) -> dict:
    """Threshold of the maps, the ceiling and the floor; the latter two get their own best one, to be fair."""
    if threshold is None:
        return dict.fromkeys(("map", "ceiling", "floor"))
    if isinstance(threshold, int | float) and not isinstance(threshold, bool):
        if not 0 < threshold < 1:
            raise ValueError(f"threshold: give a share of the map's maximum between 0 and 1, got {threshold!r}")
        chosen, others = float(threshold), masks
    else:
        try:
            other_maps, others = threshold
        except (TypeError, ValueError):
            raise ValueError(
                "threshold: give a number between 0 and 1, or a pair (maps, masks) of other images; "
                f"got {type(threshold).__name__}"
            ) from None
        chosen, others = tune_threshold(other_maps, others), np.asarray(others)
    others = others[others.any((1, 2))]
    return {
        "map": chosen,
        "ceiling": tune_threshold(perfect_maps(others, blind.shape), others),
        "floor": tune_threshold(_repeat(blind, len(others)), others),
    }


def _check_maps(maps, masks) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = np.asarray(maps), np.asarray(masks)
    if maps.ndim == 4:
        raise ValueError(
            f"maps: got the shape {maps.shape}, maps of {maps.shape[1]} classes; choose one class: "
            "maps[:, k], or explain(..., target=k)"
        )
    if maps.ndim != 3 or maps.dtype.kind != "f":
        raise ValueError(f"maps: must be float of shape (N, h, w), got {maps.dtype} of shape {maps.shape}")
    if masks.ndim != 3 or masks.dtype != bool:
        raise ValueError(f"masks: must be bool of shape (N, H, W), got {masks.dtype} of shape {masks.shape}")
    if len(maps) != len(masks):
        raise ValueError(f"maps and masks: {len(maps)} maps do not fit {len(masks)} masks")
    if maps.shape[1] > masks.shape[1] or maps.shape[2] > masks.shape[2]:
        raise ValueError(
            f"masks: {masks.shape[1]} x {masks.shape[2]} px are fewer than the maps' {maps.shape[1]} x "
            f"{maps.shape[2]}; give masks at the size of the images"
        )
    bad = ~np.isfinite(maps).all((1, 2))
    if bad.any():
        raise ValueError(f"maps: {bad.sum()} of {len(maps)} hold NaN or infinite values (first: map {bad.argmax()})")
    if not masks.any():
        raise ValueError(f"masks: none of the {len(masks)} images has a lesion; there is nothing to score")
    return maps, masks


def _check_region(name, region, masks):
    if region is None:
        return None
    region = np.asarray(region)
    if region.shape != masks.shape or region.dtype != bool:
        raise ValueError(
            f"{name}: must be bool of shape {masks.shape} as masks, got {region.dtype} of shape {region.shape}"
        )
    return region


def _marker_masks(markers, masks):
    """Marker boxes as bool (N, H, W); None when there is no marker at all."""
    if markers is None:
        return None
    if isinstance(markers, pd.DataFrame):
        columns = [f"marker_{c}" for c in ("x0", "y0", "x1", "y1")]
        if missing := [c for c in columns if c not in markers]:
            raise ValueError(f"markers: the table has no column {', '.join(missing)}")
        markers = markers[columns].to_numpy()
    markers = np.asarray(markers)
    if markers.ndim == 3:
        return _check_region("markers", markers, masks)
    if markers.shape != (len(masks), 4):
        raise ValueError(
            f"markers: give x0, y0, x1, y1 for each of the {len(masks)} maps, got the shape {markers.shape}"
        )
    height, width = masks.shape[1:]
    present = markers[:, 0] >= 0
    x0, y0, x1, y1 = markers.T[:, :, None, None]
    if present.any() and (
        markers[present].min() < 0 or markers[present][:, 2].max() > width or markers[present][:, 3].max() > height
    ):
        raise ValueError(
            f"markers: a box lies outside the masks of {height} x {width} px; the boxes belong to images "
            "of another size"
        )
    y, x = np.arange(height)[:, None], np.arange(width)
    boxes = (x >= x0) & (x < x1) & (y >= y0) & (y < y1) & present[:, None, None]
    return boxes if boxes.any() else None


@dataclass(frozen=True, eq=False)
class MapScores:
    """Scores of class activation maps; shows itself as a table.

    ``per_image``, ``ceiling``, ``floor`` : DataFrames, one row an image with a lesion (the index is its position among
    the images given), one column a score; NaN where an image has no such region. ``patients`` (n,) of these rows.
    ``left_out`` images without a lesion; ``blank`` maps without a positive value; ``floor_is`` says what the floor is.
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
        """One row a score: value, low, high (95 %), ceiling, floor, gain over the floor with its own interval, images.

        The gain is the mean difference between map and floor on the same images; an interval above 0 says that the map
        knows more than a map that looks at no image.
        """
        gain = self.per_image - self.floor
        low, high = _bootstrap_means(self.per_image, self.patients, self.bootstrap, self.seed)
        gain_low, gain_high = _bootstrap_means(gain, self.patients, self.bootstrap, self.seed)
        return pd.DataFrame(
            {
                "value": self.per_image.mean(),
                "low": low,
                "high": high,
                "ceiling": self.ceiling.mean(),
                "floor": self.floor.mean(),
                "gain": gain.mean(),
                "gain_low": gain_low,
                "gain_high": gain_high,
                "images": self.per_image.count(),
            }
        ).rename_axis("score")

    def __getitem__(self, name: str) -> float:
        """The mean of a score by name: ``scores["pointing"]``."""
        if name not in self.per_image:
            raise KeyError(f"{name!r} is not among these scores; there are {', '.join(self.per_image)}")
        return float(self.per_image[name].mean())

    def interval(self, name: str) -> tuple[float, float, float]:
        """(value, low, high) of a score."""
        return self[name], float(self.table.loc[name, "low"]), float(self.table.loc[name, "high"])

    def to_dict(self) -> dict:
        """Plain values for JSON: no images, no patients."""
        rows = {name: {k: _plain(v) for k, v in row.items()} for name, row in self.table.to_dict("index").items()}
        return {
            "scores": rows,
            "images": len(self.per_image),
            "patients": len(np.unique(self.patients)),
            "left_out": self.left_out,
            "blank": self.blank,
            "grid": list(self.grid),
            "size": list(self.size),
            "floor": self.floor_is,
            "threshold": self.threshold,
            "bootstrap": self.bootstrap,
        }

    def plot(self) -> plot.Figure:
        """Every score with its interval, between its floor and its ceiling."""
        return plot_scores({"map": self})

    def __str__(self) -> str:
        return f"{len(self.per_image)} maps of {self.grid[0]} x {self.grid[1]}: " + ", ".join(
            f"{_label(name)} {self[name]:.3f}" for name in self.per_image
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = []
        for name, r in self.table.iterrows():

            def cell(value, low, high):
                small = f"<br><small>{low:.3f} to {high:.3f}</small>" if np.isfinite(low) else ""
                return f"<td>{value:.3f}{small}</td>"

            body.append(
                f"<tr><th scope='row'>{html.escape(_label(name))}</th>{cell(r['value'], r['low'], r['high'])}"
                f"<td>{r['ceiling']:.3f}</td><td>{r['floor']:.3f}</td>"
                f"{cell(r['gain'], r['gain_low'], r['gain_high'])}<td>{r['images']:.0f}</td></tr>"
            )
        titles = (
            "score",
            "map",
            "ceiling: perfect map",
            f"floor: {html.escape(self.floor_is)}",
            "map minus floor",
            "images",
        )
        head = "".join(f"<th scope='col'>{t}</th>" for t in titles)
        note = [
            f"maps of {self.grid[0]} × {self.grid[1]} on images of {self.size[0]} × {self.size[1]} pixels",
            f"{self.left_out} images without a lesion left out",
        ]
        if self.blank:
            note.append(f"{self.blank} blank maps, counted as 0")
        if self.threshold is not None:
            note.append(f"tuned threshold {self.threshold:.2f} of the maximum")
        if self.bootstrap:
            note.append(f"small print: 95 % intervals, bootstrap over {len(np.unique(self.patients))} patients")
        return (
            f"<div class='cxr-table'><table class='dataframe'><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(body)}</tbody></table></div><p><small>{'; '.join(note)}.</small></p>"
        )


def compare_maps(a: MapScores, b: MapScores) -> pd.DataFrame:
    """Two sets of maps of the *same* images, image by image: a, b, b - a and its 95 % interval over patients.

    Raises ValueError when the scores belong to different images.
    """
    if not a.per_image.index.equals(b.per_image.index) or not np.array_equal(a.patients, b.patients):
        raise ValueError("a and b were measured on different images; score both models on the same data")
    columns = [c for c in a.per_image if c in b.per_image]
    difference = b.per_image[columns] - a.per_image[columns]
    low, high = _bootstrap_means(difference, a.patients, a.bootstrap, a.seed)
    return pd.DataFrame(
        {
            "a": a.per_image[columns].mean(),
            "b": b.per_image[columns].mean(),
            "difference": difference.mean(),
            "low": low,
            "high": high,
        }
    ).rename_axis("score")


def plot_scores(scores: dict[str, MapScores], names=None) -> plot.Figure:
    """Scores of one or more sets of maps with intervals; short lines are the floor (gray) and the ceiling (black).

    ``scores`` maps a label to a MapScores; ``names`` are the scores to draw (default: all of the first).
    """
    if not scores:
        raise ValueError("scores is empty: there is nothing to draw")
    first = next(iter(scores.values()))
    names = list(names or first.per_image)
    step = 0.8 / len(scores)
    fig, ax = plot.subplots(figsize=(7.2, 0.9 + (0.2 + 0.26 * len(scores)) * len(names)))
    text = []
    for k, (label, s) in enumerate(scores.items()):
        t = s.table.reindex(names)
        y = -np.arange(len(names)) + (len(scores) / 2 - k - 0.5) * step
        value = t["value"].to_numpy()
        ax.errorbar(
            value,
            y,
            xerr=np.clip([value - t["low"], t["high"] - value], 0, None),
            fmt="o",
            capsize=3,
            ms=4,
            color=plot.COLORS[k % len(plot.COLORS)],
            label=label if len(scores) > 1 else "map",
        )
        for column, color in (("floor", plot.GRAY), ("ceiling", "black")):
            ax.vlines(t[column], y - step / 2, y + step / 2, color=color, lw=2, label=column if k == 0 else None)
        text += [
            f"{label}, {_label(n)}: {r.value:.2f} ({r.low:.2f} to {r.high:.2f}), floor {r.floor:.2f}, ceiling "
            f"{r.ceiling:.2f}"
            for n, r in zip(names, t.itertuples(), strict=True)
        ]
    ax.set_yticks(-np.arange(len(names)), [_label(n) for n in names])
    ax.set(xlabel="mean over the images", xlim=(-0.02, 1.02), ylim=(0.5 - len(names), 0.5))
    ax.grid(axis="y", visible=False)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    fig.alt = "Scores of the maps with 95 % intervals. " + ". ".join(text) + "."
    return fig


def show_map(ax, image, coarse, title: str = "", outline=None, top: float | None = None, alpha: float = 0.55) -> None:
    """Draw a map over its X-ray.

    ``image`` (H, W) or (1, H, W); ``coarse`` (h, w) raw values, whose positive part is enlarged and drawn from 0 to
    ``top`` (default: the map's own maximum); ``outline`` (H, W) bool is drawn as a white line.
    """
    image = np.asarray(image)
    up = np.clip(enlarge(np.asarray(coarse)[None], image.shape[-2:])[0], 0, None)
    top = float(up.max()) if top is None else top
    plot.show_xray(ax, image, title, outline, color="white")
    ax.imshow(up, cmap="viridis", vmin=0, vmax=top if top > 0 else 1, alpha=alpha, interpolation="nearest")


def _label(name: str) -> str:
    return NAMES.get(name, name.replace("hit@", "hit rate, IoU of at least "))


def _plain(value):
    return None if not np.isfinite(value) else round(float(value), 6)


def _bootstrap_means(frame: pd.DataFrame, patients, resamples: int, seed: int):
    """Ends of the 95 % percentile intervals of the column means, drawing whole patients; NaN entries are left out."""
    if not resamples:
        return np.nan, np.nan
    _, group = np.unique(patients, return_inverse=True)
    groups = group.max() + 1
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    values = frame.to_numpy(dtype=float)
    known = np.isfinite(values)
    weights = draws[:, group].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = weights @ np.where(known, values, 0) / (weights @ known)
    ends = [
        np.percentile(m[np.isfinite(m)], [2.5, 97.5]) if np.isfinite(m).any() else (np.nan, np.nan) for m in means.T
    ]
    return tuple(pd.Series(e, frame.columns) for e in np.transpose(ends))


# ---- tests that need no truth ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion curves; show themselves as a figure.

    ``share`` (S,) of the pixels changed; ``deletion``, ``insertion`` and the same in ``random`` order (N, S):
    the probability of the target class.
    """

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray
    patients: np.ndarray
    bootstrap: int = 1000
    seed: int = 0

    @cached_property
    def table(self) -> pd.DataFrame:
        """Area under each curve (0 to 1), in the map's and in random order, their difference and its 95 % interval.

        A good map has a low deletion area and a high insertion area.
        """
        rows = {}
        for name in ("deletion", "insertion"):
            area, chance = (self._area(getattr(self, prefix + name)) for prefix in ("", "random_"))
            gain = pd.DataFrame({name: area - chance})
            low, high = _bootstrap_means(gain, self.patients, self.bootstrap, self.seed)
            rows[name] = {
                "map": area.mean(),
                "random": chance.mean(),
                "difference": (area - chance).mean(),
                "low": float(np.squeeze(low)),
                "high": float(np.squeeze(high)),
            }
        return pd.DataFrame(rows).T.rename_axis("area under the curve")

    def _area(self, curves):
        return ((curves[:, 1:] + curves[:, :-1]) / 2 * np.diff(self.share)).sum(1)

    def plot(self) -> plot.Figure:
        """Mean curves of all images."""
        fig, axes = plot.subplots(1, 2, figsize=(8.4, 3.1))
        with plot.style():
            for ax, name in zip(axes, ("deletion", "insertion"), strict=True):
                ax.plot(self.share, getattr(self, name).mean(0), label="in the map's order")
                ax.plot(self.share, getattr(self, "random_" + name).mean(0), ls="--", label="in random order")
                ax.set(
                    title=name,
                    xlabel="share of pixels " + ("removed" if name == "deletion" else "shown"),
                    ylim=(-0.03, 1.03),
                )
            axes[0].set_ylabel("probability of the class")
            axes[0].legend()
        fig.alt = f"Deletion and insertion curves of {len(self.deletion)} images. " + " ".join(
            f"Area under the {n} curve: {r['map']:.3f} in the map's order, {r['random']:.3f} in random order."
            for n, r in self.table.iterrows()
        )
        return fig

    def to_dict(self) -> dict:
        """Plain values for JSON: mean curves and areas."""
        means = {
            n: [round(float(v), 5) for v in getattr(self, n).mean(0)]
            for n in ("deletion", "insertion", "random_deletion", "random_insertion")
        }
        areas = {n: {k: _plain(v) for k, v in r.items()} for n, r in self.table.to_dict("index").items()}
        share = [round(float(v), 5) for v in self.share]
        return {"images": len(self.deletion), "share": share, **means, "areas": areas}

    def __repr__(self) -> str:
        return f"Curves of {len(self.deletion)} images\n{self.table.round(3)}"

    def _repr_html_(self) -> str:
        return self.plot().to_html() + self.table.to_html(float_format="{:.3f}".format, border=0)


def deletion_insertion(
    model,
    images,
    maps,
    target,
    steps: int = 20,
    *,
    patients=None,
    batch_size: int = 64,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Curves:
    """Remove the pixels a map calls important, and bring them back: does the model notice?

    Deletion replaces pixels by the image's mean, the most important first; insertion starts from a blurred image
    (sigma: a sixteenth of its side) and shows them again (Petsiuk et al., BMVC 2018). The baseline removes in the
    order of a random map of the same coarseness, since single pixels strewn at random would be another kind of damage.

    Parameters
    ----------
    model : CxrNet
    images : CxrDataset, uint8 array (N, 1, H, W), or float array in [0, 1]
    maps : float (N, h, w)
    target : class index or name, or one for each image
    steps : number of equal steps, at least 2
    patients : (N,), optional; default: those of the data set, else every image is its own

    Returns
    -------
    Curves, with N x (steps + 1) probabilities four times.

    Raises
    ------
    ValueError
        Maps that do not fit the images, NaN, an unknown class, fewer than 2 steps.
    """
    x = _pixels(images)
    maps = np.asarray(maps)
    if maps.ndim != 3 or len(maps) != len(x):
        raise ValueError(f"maps: must be (N, h, w) with N = {len(x)} as images, got the shape {maps.shape}")
    if not np.isfinite(maps).all():
        raise ValueError("maps: hold NaN or infinite values")
    if not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps: give a whole number of at least 2, got {steps!r}")
    targets = _targets(target, model.classes, len(x))
    patients = getattr(images, "patients", None) if patients is None else patients
    rng = np.random.default_rng(seed)
    size = x.shape[2:]
    blurred = torch.from_numpy(gaussian_filter(x.numpy(), (0, 0, size[0] / 16, size[1] / 16)))
    gray = x.mean((1, 2, 3), keepdim=True).expand_as(x)
    share = np.linspace(0, 1, steps + 1)
    found = {}
    for prefix, coarse in (("", maps), ("random_", rng.random(maps.shape))):
        rank = torch.from_numpy(_ranks(enlarge(coarse, size), rng))[:, None]
        for name, before, after in (("deletion", x, gray), ("insertion", blurred, x)):
            columns = [_probabilities(model, torch.where(rank < s, after, before), targets, batch_size) for s in share]
            found[prefix + name] = np.stack(columns, 1)
    patients = np.arange(len(x)) if patients is None else np.asarray(patients)
    return Curves(share, **found, patients=patients, bootstrap=bootstrap, seed=seed)


def _ranks(up, rng) -> np.ndarray:
    """For every pixel the share of pixels that are more important; ties in random order, not from top to bottom."""
    flat = up.reshape(len(up), -1)
    order = np.lexsort((rng.random(flat.shape), -flat), axis=1)
    rank = np.empty(flat.shape, np.float32)
    np.put_along_axis(rank, order, np.arange(flat.shape[1], dtype=np.float32)[None] / flat.shape[1], axis=1)
    return rank.reshape(up.shape)


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How much of the maps survives when the weights are replaced by random ones; shows itself as a figure.

    ``table`` : one row a stage, from the untouched network to the fully random one: rank_correlation (mean over the
    images), low, high (95 % over patients), absolute (mean absolute value). ``reference`` : the same correlation
    between the maps of *different* images of the untouched network. ``undefined`` : maps with one value only.
    """

    table: pd.DataFrame
    reference: float
    undefined: int = 0
    per_image: pd.DataFrame = field(default=None, repr=False)

    def plot(self) -> plot.Figure:
        """Rank correlation with the original map against the depth of the randomization."""
        t = self.table
        fig, ax = plot.subplots(figsize=(7.2, 3.2))
        value = t["rank_correlation"].to_numpy()
        ax.errorbar(
            range(len(t)),
            value,
            yerr=np.clip([value - t["low"], t["high"] - value], 0, None),
            fmt="o-",
            color=plot.BLUE,
            capsize=3,
            label="with the original map",
        )
        ax.axhline(self.reference, color=plot.GRAY, ls=":", label="between maps of different images")
        ax.set_xticks(range(len(t)), t.index, rotation=30, ha="right")
        ax.set(xlabel="randomized from the top down to", ylabel="rank correlation", ylim=(-1.05, 1.05))
        ax.legend(fontsize=8)
        fig.alt = (
            "Rank correlation of the maps with the original maps. "
            + "; ".join(f"{n}: {v:.2f}" for n, v in t["rank_correlation"].items())
            + f". Between maps of different images: {self.reference:.2f}."
        )
        return fig

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        rows = {n: {k: _plain(v) for k, v in r.items()} for n, r in self.table.to_dict("index").items()}
        return {"stages": rows, "reference": _plain(self.reference), "undefined": self.undefined}

    def __repr__(self) -> str:
        return f"{self.table.round(3)}\nmaps of different images: {self.reference:.3f}"

    def _repr_html_(self) -> str:
        return self.plot().to_html() + self.table.to_html(float_format="{:.3f}".format, border=0)


def sanity_check(
    model,
    images,
    target=None,
    layer=None,
    method: str = "grad-cam",
    *,
    repeats: int = 3,
    patients=None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> SanityCheck:
    """Does the map depend on what the network has learned?

    The weights are replaced by those of a network that was never trained, part by part from the output down
    (cascading randomization, Adebayo et al., NeurIPS 2018). After every part the maps are computed again and compared
    with the original ones by Spearman's rank correlation, without ReLU. A map that stays the same shows the picture,
    not the network. The model is copied and stays as it is.

    Parameters
    ----------
    model : CxrNet
    images : as for ``explain``
    target : as for ``explain``; default: the class that the model predicts for each image
    layer, method : as for ``explain``
    repeats : number of random networks; their correlations are averaged
    patients : (N,), optional; default: those of the data set, else every image is its own

    Raises
    ------
    ValueError
        As ``explain``; fewer than 2 images or 1 repeat.
    """
    x = _pixels(images)
    if len(x) < 2:
        raise ValueError(f"images: give at least 2, got {len(x)}")
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(f"repeats: give a whole number of at least 1, got {repeats!r}")
    if target is None:
        target = _logits(model, x, 64).argmax(1)
    target = _targets(target, model.classes, len(x))
    patients = getattr(images, "patients", None) if patients is None else patients
    patients = np.arange(len(x)) if patients is None else np.asarray(patients)

    def ranks(net):
        maps = explain(net, x, layer, target.tolist(), method, relu=False)
        r = rankdata(maps.reshape(len(maps), -1), axis=1)
        r = r - r.mean(1, keepdims=True)
        size = np.linalg.norm(r, axis=1, keepdims=True)
        return np.divide(r, size, out=np.full_like(r, np.nan), where=size > 0)

    original = ranks(model)
    parts = [name for name, _ in _parts(model)]
    found = np.empty((repeats, len(parts), len(x)))
    for k in range(repeats):
        # Same architecture, other numbers: what the network was before it was trained.
        fresh = _untrained(model, int(np.random.SeedSequence([seed, k]).generate_state(1)[0]))  # not the model's own
        copy = deepcopy(model)
        random = dict(_parts(fresh))
        for i, (name, part) in enumerate(_parts(copy)):
            part.load_state_dict(random[name].state_dict())
            found[k, i] = (original * ranks(copy)).sum(1)
    undefined = int(np.isnan(original).any(1).sum())
    mean = pd.DataFrame(found.mean(0).T, columns=parts)
    mean.insert(0, "nothing", (original**2).sum(1))
    size = pd.DataFrame(np.abs(found).mean(0).T, columns=parts)
    size.insert(0, "nothing", mean["nothing"])
    low, high = _bootstrap_means(mean, patients, bootstrap, seed)
    table = pd.DataFrame(
        {"rank_correlation": mean.mean(), "low": low, "high": high, "absolute": size.mean()}
    ).rename_axis("randomized down to")
    reference = float(np.nanmean((original * np.roll(original, 1, axis=0)).sum(1)))
    return SanityCheck(table, reference, undefined, mean)


def _untrained(model, seed: int):
    changes = {"freeze": None, "seed": seed} | ({"pretrained": False} if "pretrained" in model.config else {})
    return build_model(**model.config | changes)


def _parts(model) -> list:
    """The parts of a network that hold weights, from the output to the image."""
    parts = [
        (f"{side}.{name}", m)
        for side in ("body", "head")
        for name, m in getattr(model, side).named_children()
        if next(m.parameters(), None) is not None
    ]
    return parts[::-1]


def _pixels(images) -> torch.Tensor:
    """Images as float (N, 1, H, W) in [0, 1]."""
    x = torch.as_tensor(np.ascontiguousarray(images.images) if hasattr(images, "labels") else images)
    if x.dtype == torch.uint8:
        x = x.float() / 255
    if x.ndim != 4 or x.shape[1] != 1 or not x.is_floating_point():
        raise ValueError(
            f"images: give a CxrDataset or an array (N, 1, H, W), uint8 or float in [0, 1]; got "
            f"{x.dtype} of shape {tuple(x.shape)}"
        )
    return x.float()


def _targets(target, classes, n: int) -> torch.Tensor:
    names = list(classes)
    given = [target] * n if isinstance(target, str) or np.ndim(target) == 0 else list(target)
    if len(given) != n:
        raise ValueError(f"target: got {len(given)} targets for {n} images; give one, or one for each image")
    found = [names.index(t) if isinstance(t, str) and t in names else t for t in given]
    for t in found:
        if isinstance(t, str) or not 0 <= int(t) < len(names):
            raise ValueError(
                f"target: there is no class {t!r}; the classes are "
                + ", ".join(f"{i} {c!r}" for i, c in enumerate(names))
            )
    return torch.tensor([int(t) for t in found])


def _logits(model, x, batch_size: int) -> torch.Tensor:
    first = next(model.parameters())
    with torch.no_grad(), evaluating(model):
        return torch.cat([model(part.to(first.device, first.dtype)).float().cpu() for part in x.split(batch_size)])


def _probabilities(model, x, targets, batch_size: int) -> np.ndarray:
    return _logits(model, x, batch_size).softmax(1)[torch.arange(len(x)), targets].numpy()
