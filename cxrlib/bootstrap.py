"""95 % intervals from a bootstrap over patients: the one resampler of the library.

Whole patients are drawn, with all their images, because images of one patient are not independent (Efron and
Tibshirani, *An Introduction to the Bootstrap*, 1993).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pandas as pd

from .validate import array

BLOCK = 2_000_000  # weights held at once, whatever the number of images and resamples


def groups(patients: object, n: int) -> np.ndarray:
    """Give every patient a number: (N,) int, the same for all images of one patient.

    ``patients`` are ``n`` keys, numbers or texts; None counts every image as its own patient. ValueError for another
    number of keys, and for NaN or None among them.
    """
    if patients is None:
        return np.arange(n)
    if np.any(pd.isna(np.asarray(patients, dtype=object))):
        raise ValueError("patients: give one key per image, got NaN or None; an unknown patient needs a key of its own")
    return np.unique(array("patients", patients, (n,), "biufU"), return_inverse=True)[1]


def draws(group: np.ndarray, resamples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Draw as many patients as there are, with replacement, from the numbers (N,) that ``groups`` gives.

    Yields how often each image was drawn, (B, N) float: blocks of B resamples, so that memory stays bounded.
    """
    patients = group.max() + 1
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK // len(group))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        yield rng.multinomial(patients, np.full(patients, 1 / patients), size=size)[:, group].astype(float)


def ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the 2.5 and 97.5 percentiles over the first axis; resamples with an undefined value are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "All-NaN slice": the interval is undefined, too
        return tuple(np.nanpercentile(values, [2.5, 97.5], axis=0))


def mean_intervals(values: np.ndarray, patients: object = None, resamples: int = 1000, seed: int = 0) -> tuple:
    """Give the 95 % percentile intervals (low, high) of means over images, each (C,) or a number.

    ``values`` (N, C) or (N,) have one row per image; undefined entries (NaN) are left out of the means. ``patients``
    are (N,) keys; no resamples leave the intervals undefined.
    """
    return ends(_means(values, patients, resamples, seed))


def difference_intervals(
    one: np.ndarray, two: np.ndarray, patients: object = None, resamples: int = 1000, seed: int = 0
) -> tuple:
    """Give the 95 % intervals (low, high) of the mean of ``one`` minus that of ``two``, as ``mean_intervals`` does.

    Both have a row for each of the same images, NaN where an image is not of the group: patients with images in both
    groups are drawn once.
    """
    return ends(_means(one, patients, resamples, seed) - _means(two, patients, resamples, seed))


def _means(values: np.ndarray, patients: object, resamples: int, seed: int) -> np.ndarray:
    """Means over images in each resample, (resamples, C) or (resamples,); a row of NaN where there is nothing."""
    values = np.asarray(values, dtype=float)
    if not resamples or not len(values):
        return np.full((1, *values.shape[1:]), np.nan)
    known = np.isfinite(values)
    filled, counted = np.where(known, values, 0), known.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = draws(groups(patients, len(values)), resamples, seed)
        return np.concatenate([w @ filled / (w @ counted) for w in drawn])


class WithIntervals:
    """What has ``values`` and their ``resamples`` of the same patients: values with intervals, by name."""

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % percentile intervals of the defined values, from a bootstrap over patients.

        A resample in which a value is undefined is left out for that value. The resamples of the expected calibration
        error lie too high, because images drawn twice add chance; their spread is therefore laid around the value.
        """
        found = dict(self.resamples)
        if "ece" in found:
            found["ece"] = np.maximum(found["ece"] - found["ece"].mean() + self["ece"], 0)
        defined = {n: v for n, v in found.items() if np.isfinite(self[n]) and np.isfinite(v).any()}
        return {name: tuple(map(float, ends(v))) for name, v in defined.items()}

    def __getitem__(self, name: str) -> float:
        """Give a value by name: ``report["auc"]``."""
        if name not in self.values:
            raise KeyError(f"{name!r} is not a value of this report; it has {', '.join(self.values)}")
        return self.values[name]

    def interval(self, name: str) -> tuple[float, float, float]:
        """Give (value, low, high) by name; NaN for what is undefined."""
        return self[name], *self.intervals.get(name, (np.nan, np.nan))

    @property
    def table(self) -> pd.DataFrame:
        """Every value with its interval, one row per value."""
        rows = [(name, *self.interval(name)) for name in self.values]
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high"]).set_index("metric")

    def predictions(self) -> dict[str, list]:
        """Give labels, probs, and numbers in place of patients, in the order of the images: no file, no name."""
        found = {"labels": self.labels, "probs": self.probs, "patients": groups(self.patients, len(self.labels))}
        return {name: values.tolist() for name, values in found.items()}
