"""Where does the energy of a map lie? For images without a lesion mask: maps against regions, such as the anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..bootstrap import difference_intervals, groups, mean_intervals
from ..validate import array, short
from ..values import plain, table
from .maps import chunks, enlarge, fraction_inside, one_class, perfect_maps


def map_energy(
    maps: np.ndarray, regions: Mapping[str, np.ndarray], patients: np.ndarray | None = None, *, bootstrap: int = 1000,
    seed: int = 0,
) -> MapEnergy:  # fmt: skip
    """Measure which fraction of each map's energy, its positive values, lies in each region.

    A fraction says little alone: a large region gets much of any map. So each stands beside what a *uniform* map has
    there, which is the region's fraction of the image; what the *mean map* of all images has there, which knows no
    image; and the *ceiling*, what a perfect map of this region has there on the same grid.

    A blank map has no energy, and an image whose regions are all empty has no place for it: both are NaN, left out of
    the means, and counted.

    Parameters
    ----------
    maps : float array, (N, h, w)
        Raw values of one class per image; enlarged to the size of the regions, as in ``score_maps``.
    regions : mapping of str to bool array, (N, H, W)
        Such as ``cxr.anatomy`` gives for the images as the network took them (``Run.prepare``).
    patients : array, (N,), optional
        By default every image is its own.
    bootstrap, seed : int
        Resamples of the patients behind the 95 % intervals (0: none), and their seed.

    Raises
    ------
    ValueError
        Arrays that do not fit together, NaN, no region.
    """
    maps = one_class(maps)
    if not isinstance(regions, Mapping) or not regions:
        raise ValueError(f"regions: give a mapping such as cxr.anatomy makes, got {short(regions)}")
    n, *grid = maps.shape
    size = np.shape(next(iter(regions.values())))[1:]
    regions = {name: array(f"regions[{name!r}]", r, (n, *(size or "HW")), "b") for name, r in regions.items()}
    if len(size) != 2 or grid[0] > size[0] or grid[1] > size[1]:
        given = f"maps of {grid[0]} x {grid[1]} do not fit regions of the shape {size}"
        raise ValueError(f"maps and regions: {given}; give regions at the size of the images")
    groups(patients, n)
    patients = np.arange(n) if patients is None else np.asarray(patients)
    known = np.logical_or.reduce([region.any((1, 2)) for region in regions.values()])
    total = np.zeros(size)
    blank = np.zeros(n, bool)
    found = {kind: {name: np.full(n, np.nan) for name in regions} for kind in ("map", "uniform", "mean map", "ceiling")}
    for part in chunks(np.arange(n)):
        positive = np.clip(enlarge(maps[part], size), 0, None)
        blank[part] = ~positive.any((1, 2))
        total += (positive[~blank[part]] / positive[~blank[part]].sum((1, 2), keepdims=True)).sum(0)
        for name, region in regions.items():
            found["map"][name][part] = fraction_inside(positive, region[part])
    for part in chunks(np.flatnonzero(known)):
        for name, region in regions.items():
            inside = region[part]
            perfect = enlarge(perfect_maps(inside, grid), size)
            found["uniform"][name][part] = inside.mean((1, 2))
            found["mean map"][name][part] = (inside * total).sum((1, 2)) / (total.sum() or np.nan)
            found["ceiling"][name][part] = np.where(inside.any((1, 2)), fraction_inside(perfect, inside), np.nan)
    frames = [pd.DataFrame(columns) for columns in found.values()]
    frames[0][blank | ~known] = np.nan
    return MapEnergy(*frames, patients, blank, ~known, tuple(grid), tuple(size), bootstrap, seed)


@dataclass(frozen=True, eq=False)
class MapEnergy:
    """Where the energy of maps lies; shows itself as a table.

    ``per_image``, ``uniform``, ``mean_map`` and ``ceiling`` have one row per image and one column per region, NaN where
    undefined; ``patients`` (N,), ``blank`` and ``nowhere`` (N,) say which maps are blank and which images have no
    regions. ``grid`` and ``size`` are those of maps and regions.
    """

    per_image: pd.DataFrame
    uniform: pd.DataFrame
    mean_map: pd.DataFrame
    ceiling: pd.DataFrame
    patients: np.ndarray
    blank: np.ndarray
    nowhere: np.ndarray
    grid: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    bootstrap: int = 1000
    seed: int = 0

    def where(self, rows: np.ndarray) -> MapEnergy:
        """Give the energies of some images: bool (N,), or positions; the mean map stays that of all."""
        frames = {name: getattr(self, name).iloc[rows] for name in ("per_image", "uniform", "mean_map", "ceiling")}
        arrays = {name: getattr(self, name)[rows] for name in ("patients", "blank", "nowhere")}
        return replace(self, **frames, **arrays)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per region: energy, gain and own; uniform, mean_map and ceiling; the number of images.

        The first three are means over images, with ``_low`` and ``_high`` (95 %). ``gain`` is the energy minus that of
        a uniform map, ``own`` minus that of the mean map: what maps owe to each image, beyond their usual place.
        """
        known, options = self.per_image.notna(), (self.patients, self.bootstrap, self.seed)
        columns = {}
        for name, less in (("energy", 0), ("gain", self.uniform), ("own", self.mean_map)):
            values = self.per_image - less
            columns[name] = values.mean()
            columns |= zip((f"{name}_low", f"{name}_high"), mean_intervals(values, *options), strict=True)
        for name in ("uniform", "mean_map", "ceiling"):
            columns[name] = getattr(self, name).where(known).mean()
        return pd.DataFrame(columns | {"images": known.sum()}).rename_axis("region")

    def difference(self, one: np.ndarray, two: np.ndarray) -> pd.DataFrame:
        """Compare two groups of the images, bool (N,) each: one row per region.

        The means one and two, their difference one - two with its 95 % interval (low, high), and the numbers of images.
        The groups need not be pairs; whole patients are drawn.
        """
        one, two = (array(name, rows, (len(self.per_image),), "b") for name, rows in (("one", one), ("two", two)))
        one, two = (self.per_image.mask(~rows[:, None].repeat(self.per_image.shape[1], 1)) for rows in (one, two))
        low, high = difference_intervals(one, two, self.patients, self.bootstrap, self.seed)
        columns = {"one": one.mean(), "two": two.mean(), "difference": one.mean() - two.mean()}
        columns |= {"low": low, "high": high, "images_one": one.count(), "images_two": two.count()}
        return pd.DataFrame(columns).rename_axis("region")

    def to_dict(self) -> dict:
        """Give plain values for JSON: no images, no patients; null where undefined."""
        counts = {"images": len(self.per_image), "patients": len(np.unique(self.patients)), **self._counts()}
        return plain({"regions": self.table.to_dict("index"), **counts, "grid": self.grid, "size": self.size})

    def _counts(self) -> dict[str, int]:
        return {"blank": int(self.blank.sum()), "nowhere": int(self.nowhere.sum())}

    def __repr__(self) -> str:
        shown = self.table[["energy", "energy_low", "energy_high", "uniform", "mean_map", "ceiling"]]
        return f"{shown.round(3)}\n{self._note()}"

    def _repr_html_(self) -> str:
        def three(r: pd.Series, name: str) -> tuple:
            return r[name], r[f"{name}_low"], r[f"{name}_high"]

        rows = [
            (name, three(r, "energy"), r["uniform"], three(r, "gain"), r["mean_map"], three(r, "own"), r["ceiling"])
            for name, r in self.table.iterrows()
        ]
        head = ["region", "map", "uniform map", "map minus uniform", "mean map", "map minus mean map", "ceiling"]
        return table(head, rows) + f"<p><small>{self._note()}.</small></p>"

    def _note(self) -> str:
        maps = f"{len(self.per_image)} maps of {self.grid[0]} x {self.grid[1]}"
        counts = self._counts()
        return f"{maps}; left out: {counts['blank']} blank maps, {counts['nowhere']} images without regions"
