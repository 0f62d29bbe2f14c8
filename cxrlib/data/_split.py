"""Split a data set into training, validation and test parts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ..validate import number, one_of, whole
from ._near import near_duplicates, picture_groups
from .dataset import CxrDataset

#: name -> (official splits that are cut, fraction for validation, fraction for test or None for the official one)
PROTOCOLS = {
    "val10": (("train",), 0.1, None),
    "train82": (("train",), 0.2, None),
    "merged82": (("train", "val"), 0.2, None),
    "pooled": (("train", "val", "test"), 0.1, 0.2),
}


def split(
    data: CxrDataset, val: float = 0.1, test: float | None = None, by: str = "patient", stratify: bool = True,
    seed: int = 0, protocol: str | None = None,
) -> tuple[CxrDataset, CxrDataset, CxrDataset]:  # fmt: skip
    """Split a data set into (train, val, test).

    Every patient has the same chance to be drawn, one with thirty images and one with a single image. Without a
    protocol, an official validation folder (16 images in the Kermany set) joins the training images before the split.

    Parameters
    ----------
    val : float
        Fraction of the images for validation, 0 for none, below 1.
    test : float, optional
        Fraction for testing, 0 for none. None keeps the official test split where the data set has one, and takes 0.2
        where it has none. A number ignores the official splits: everything is pooled and split again. Fractions count
        from all images that are split (``val=0.1, test=0.2`` leaves 0.7 for training); with patients of unequal size
        they are met only roughly.
    by : {"patient", "image", "picture"}
        "patient" keeps all images of a patient in one part. "image" splits image by image, so that images of one
        patient may be on both sides (the leak of the first lesson). "picture" keeps patients together, and counts
        those who have the same picture (``near_duplicates``) as one patient; a warning says how many were joined.
    stratify : bool
        Keep the fractions of the classes equal in all parts, as far as patients allow.
    seed : int
        The same seed gives the same split.
    protocol : {"val10", "train82", "merged82", "pooled"}, optional
        One of the splits that published projects use; it replaces ``val`` and ``test``. "val10" splits the official
        train split 90:10 and "train82" 80:20, both with the official test split and without the official val folder;
        "merged82" merges val into train and splits 80:20; "pooled" pools everything and splits 70:10:20.

    Returns
    -------
    tuple of CxrDataset
        Train, val and test, which share the pixels of ``data``. With ``by="patient"`` no patient is in two of them: a
        patient of the official test split who also has images outside it loses those, with a warning. An image whose
        patient is not known counts as a patient of its own; a warning says how many there are. ValueError where an
        official split is missing, or a class has too few patients.
    """
    one_of("by", by, ("patient", "image", "picture"))
    rng, official = np.random.default_rng(whole("seed", seed)), data.splits
    if protocol is not None:
        parts, val, test = PROTOCOLS[one_of("protocol", protocol, PROTOCOLS)]
        needed = {"train", "test"} | ({"val"} if protocol == "merged82" else set())
        if protocol != "pooled" and (missing := ", ".join(sorted(needed - set(official)))):
            needs = f"needs the official splits of the data set; it lacks {missing}"
            raise ValueError(f"protocol: {protocol!r} {needs}. Use val= and test=, or the protocol 'pooled'.")
    else:
        if test is None and "test" not in official:
            test = 0.2
        parts = ("train", "val") if test is None else ("train", "val", "test")
    val = number("val, a fraction", val, 0, 1, open_high=True)
    test = None if test is None else number("test, a fraction", test, 0, 1, open_high=True)
    if val + (test or 0) >= 1:
        raise ValueError(f"val + test: give less than 1 so that something is left for training, got {val} + {test}")
    if by != "image" and (unknown := data.unknown_patients):
        what = f"The patient of {unknown:,} of {len(data):,} images is not known: each counts as a patient of its own"
        warnings.warn(f"{what}, so images of one person may be on both sides of the split.", stacklevel=2)

    groups = _groups(data, by)
    # Images without an official split ("all", or a name that is none of the three) count as training images.
    role = np.where(np.isin(official, ("val", "test")), official, "train")
    pool = np.flatnonzero(np.isin(role, parts))
    if test is None:
        chosen_test = np.flatnonzero(official == "test")
        shared = np.isin(groups[pool], groups[chosen_test])
        if by != "image" and shared.any():
            both = len(np.unique(groups[pool[shared]]))
            what = f"{both} patients of the official test split also have {shared.sum()} images outside it"
            warnings.warn(f"{what}. These images are left out, so that no patient is on both sides.", stacklevel=2)
            pool = pool[~shared]
    else:
        pool, chosen_test = _cut(data, groups, pool, test, by, stratify, rng, "test")
        val = val / (1 - test)
    train, chosen_val = _cut(data, groups, pool, val, by, stratify, rng, "val")
    if len(train) == 0:
        remedy = 'Give test= or protocol="pooled" to split it again (`cxr train --protocol pooled`)'
        raise ValueError(f"No image is left for training: the data set has only a test split. {remedy}.")
    return data[train], data[chosen_val], data[chosen_test]


def _groups(data: CxrDataset, by: str) -> np.ndarray:
    """Give what stays together the same number or name, (N,): images, patients, or patients joined by a picture."""
    if by == "image":
        return np.arange(len(data))
    if by == "patient":
        return data.patients
    names, patients = np.unique(data.patients, return_inverse=True)
    pictures = picture_groups(near_duplicates(data), len(data)) + len(names)
    joined = picture_groups(pd.DataFrame({"first": patients, "second": pictures}), len(names) + len(data))[patients]
    together = pd.Series(patients).groupby(joined).nunique()
    if several := int((together > 1).sum()):
        stand, joining = "patient stands" if several == 1 else "patients stand", together[together > 1].sum()
        of = f"{several:,} {stand} for {joining:,} who share a picture with another"
        warnings.warn(f"Near-duplicates join patients: {of}.", stacklevel=3)
    return joined


def _cut(
    data: CxrDataset, groups: np.ndarray, pool: np.ndarray, fraction: float, by: str, stratify: bool,
    rng: np.random.Generator, what: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Give (the rest, the part), both as sorted positions in ``data``."""
    if fraction == 0 or len(pool) == 0:
        return pool, pool[:0]
    labels = data.labels[pool] if stratify else np.zeros(len(pool), dtype=np.int64)
    groups = np.unique(groups[pool], return_inverse=True)[1]
    counts = np.zeros((groups.max() + 1, labels.max() + 1), dtype=np.int64)  # images per patient and class
    np.add.at(counts, (groups, labels), 1)
    for k in np.unique(labels):
        if (have := np.count_nonzero(counts[:, k])) < 2:
            of = f"Class {data.classes[k]!r} has" if stratify else "The data set has"
            few = f"too few to be in two parts ({what}={fraction:.3g}; at least 2 {by}s are needed)"
            remedy = f"Add data, or set {what}=0" + (", drop the class, or use stratify=False" if stratify else "")
            raise ValueError(f"{of} {have} {by}, {few}. {remedy}.")
    stratum, sizes = counts.argmax(axis=1), counts.sum(axis=1)
    for _ in range(100):  # more than one draw is needed only where patients have images of several classes
        chosen = np.zeros(len(sizes), dtype=bool)
        for k in np.unique(stratum):
            members = np.flatnonzero(stratum == k)
            chosen[members] = _draw(sizes[members], fraction, rng)
        if (counts[chosen].any(axis=0) == counts[~chosen].any(axis=0)).all():
            return pool[~chosen[groups]], pool[chosen[groups]]
    what = f"Too few {by}s: no split with {what}={fraction:.3g} has every class on both sides"
    raise ValueError(f"{what}. Use a larger fraction, more data, or stratify=False.")


def _draw(sizes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose patients with about a fraction of the images: bool, one per patient.

    Patients lie around a circle in random order, each as long as its number of images; those whose middle is inside a
    window of the wanted length, from a random start, are chosen. So each is chosen with a probability of ``fraction``
    whatever its size, which dealing the largest first (scikit-learn's StratifiedGroupKFold) does not give.
    """
    order = rng.permutation(len(sizes))
    lengths = sizes[order]
    total, middle = lengths.sum(), np.cumsum(lengths) - lengths / 2
    inside = (middle - rng.uniform(0, total)) % total < fraction * total
    # Exchanging patients of one image makes the count exact; no more of them than lie on either side, so that it is
    # not them who are drawn too often.
    lack = round(fraction * total - lengths[inside].sum())
    ins, outs = np.flatnonzero(inside & (lengths == 1)), np.flatnonzero(~inside & (lengths == 1))
    n = min(abs(lack), len(ins), len(outs))
    if lack > 0:
        inside[outs[:n]] = True
    else:
        inside[ins[:n]] = False
    if len(sizes) > 1 and (inside.all() or not inside.any()):  # a rare class is on both sides all the same
        inside[0] ^= True
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[order] = inside
    return chosen
