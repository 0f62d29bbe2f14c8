"""Cut a data set into training, validation and test parts."""

import warnings
from fractions import Fraction
from numbers import Real

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedGroupKFold, StratifiedKFold

from .dataset import CxrDataset

#: name -> (which official splits are cut, share for validation, share for test or None for the official test
#: split)
PROTOCOLS = {
    "val10": (("train",), 0.1, None),
    "train82": (("train",), 0.2, None),
    "merged82": (("train", "val"), 0.2, None),
    "pooled": (("train", "val", "test"), 0.1, 0.2),
}


def split(
    data: CxrDataset,
    val: float = 0.1,
    test: float | None = None,
    by: str = "patient",
    stratify: bool = True,
    seed: int = 0,
    protocol: str | None = None,
) -> tuple[CxrDataset, CxrDataset, CxrDataset]:
    """Cut a data set into (train, val, test).

    val: share of the images for validation, above 0 and below 1; 0 for none.
    test: share for testing. None keeps the official test split where the data set has one, and takes 0.2
        where it has none. A number ignores the official splits: everything is pooled and cut again.
        0 for none.
    by: "patient" keeps all images of a patient in one part; "image" cuts image by image, so that images of
        one patient may stand on both sides (the leak that chapter 1 is about).
    stratify: keep the shares of the classes equal in all parts, as far as patients allow.
    seed: the same seed gives the same cut.
    protocol: one of the four cuts that published projects use; it replaces `val` and `test`:
        "val10"     official train split cut 90:10, official test, official val folder left out
        "train82"   official train split cut 80:20, official test, official val folder left out
        "merged82"  official val folder merged into train, then cut 80:20, official test
        "pooled"    everything pooled, then cut 70:10:20

    Shares count from the images that are cut: `val=0.1, test=0.2` leaves 0.7 for training. With patients of
    unequal size a share is met only roughly. Without a protocol, an official validation folder (16 images in
    the Kermany set) joins the training images before the cut.

    Returns three data sets that share the pixels of `data`. With by="patient" no patient is in two of them: a
    patient of the official test split that also occurs in the training images leaves those, with a warning.

    Raises ValueError for a share outside [0, 1), an unknown `by` or `protocol`, an official split that is
    missing, or a class with too few patients.
    """
    if by not in ("patient", "image"):
        raise ValueError(f"by must be 'patient' or 'image', got {by!r}.")
    official = data.table["split"].astype(str).to_numpy() if "split" in data.table else np.full(len(data), "all")
    if protocol is not None:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, or None; got {protocol!r}.")
        parts, val, test = PROTOCOLS[protocol]
        needed = {"train", "test"} if protocol != "merged82" else {"train", "val", "test"}
        if protocol != "pooled" and not needed <= set(official):
            missing = ", ".join(sorted(needed - set(official)))
            raise ValueError(
                f"protocol={protocol!r} needs the official splits of the data set, but {missing} is missing. "
                "Use val= and test= instead."
            )
    else:
        if test is None and not (official == "test").any():
            test = 0.2
        parts = ("train", "val") if test is None else ("train", "val", "test")
    val, test = _share("val", val), None if test is None else _share("test", test)
    if test is not None and val + test >= 1:
        raise ValueError(f"val + test must be below 1 so that something is left for training, got {val} + {test}.")

    # Images without an official split ("all", or a name that is none of the three) count as training images.
    role = np.where(np.isin(official, ("val", "test")), official, "train")
    pool = np.flatnonzero(np.isin(role, parts))
    if test is None:
        chosen_test = np.flatnonzero(official == "test")
        if by == "patient":
            pool = _without_patients(data, pool, chosen_test)
    else:
        pool, chosen_test = _cut(data, pool, test, by, stratify, seed, "test")
        val = val / (1 - test)
    train, chosen_val = _cut(data, pool, val, by, stratify, seed, "val")
    if len(train) == 0:
        raise ValueError(
            "No image is left for training: the data set has only a test split. Give test= to cut it again."
        )
    return data[train], data[chosen_val], data[chosen_test]


def _share(name: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a share of the images, at least 0 and below 1 (0.1 is 10 %), got {value!r}.")
    return float(value)


def _without_patients(data: CxrDataset, pool: np.ndarray, test: np.ndarray) -> np.ndarray:
    shared = np.isin(data.patients[pool], data.patients[test])
    if shared.any():
        patients = len(np.unique(data.patients[pool[shared]]))
        warnings.warn(
            f"{patients} patients of the official test split also have {shared.sum()} images outside it. "
            "These images are left out, so that no patient is on both sides.",
            stacklevel=3,
        )
    return pool[~shared]


def _cut(
    data: CxrDataset, pool: np.ndarray, share: float, by: str, stratify: bool, seed: int, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, the part), both sorted positions in `data`."""
    if share == 0 or len(pool) == 0:
        return pool, pool[:0]
    labels = data.labels[pool]
    _, groups = np.unique(data.patients[pool], return_inverse=True) if by == "patient" else (None, np.arange(len(pool)))
    unit = "patient" if by == "patient" else "image"
    if stratify:
        part = _stratified(labels, groups, share, by, seed, what, data.classes)
    else:
        if len(np.unique(groups)) < 2:
            raise ValueError(f"{what}={share:.3g} needs at least 2 {unit}s, got {len(np.unique(groups))}.")
        splitter = GroupShuffleSplit if by == "patient" else ShuffleSplit
        try:
            _, part = next(
                splitter(n_splits=1, test_size=share, random_state=seed).split(
                    labels, labels, groups if by == "patient" else None
                )
            )
        except ValueError as error:
            raise ValueError(
                f"{what}={share:.3g} of {len(np.unique(groups))} {unit}s leaves a part empty ({error})."
            ) from None
    inside = np.zeros(len(pool), dtype=bool)
    inside[part] = True
    return pool[~inside], pool[inside]


def _stratified(
    labels: np.ndarray, groups: np.ndarray, share: float, by: str, seed: int, what: str, classes: tuple[str, ...]
) -> np.ndarray:
    present = np.unique(labels)
    for c in present:
        have = len(np.unique(groups[labels == c]))
        if have < 2:
            raise ValueError(
                f"Class {classes[c]!r} has {have} {by}, too few to be in two parts ({what}={share:.3g}). "
                f"Add data, drop the class, set {what}=0, or use stratify=False."
            )
    fraction = Fraction(share).limit_denominator(20)
    if not 0 < fraction < 1:  # below 1/40 or above 39/40
        fraction = Fraction(1, round(1 / share)) if share < 0.5 else 1 - Fraction(1, max(2, round(1 / (1 - share))))
    take, folds = fraction.numerator, fraction.denominator
    most = max(len(np.unique(groups[labels == c])) for c in present)
    if folds > most:
        folds, take = most, min(most - 1, max(1, round(share * most)))
    if folds < 2:
        raise ValueError(f"Too few {by}s for {what}={share:.3g}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        if by == "patient":
            # Groups are renumbered at random instead of shuffle=True: up to version 1.6 of scikit-learn the
            # shuffled folds are not stratified. Groups that are alike are dealt out in the order of their number.
            groups = np.random.default_rng(seed).permutation(groups.max() + 1)[groups]
            cuts = StratifiedGroupKFold(folds).split(labels, labels, groups)
        else:
            cuts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
        parts = [part for _, part in cuts]
    # Any fold is as random as any other; a rare class is missing from some, so take the first run of folds
    # that leaves every class on both sides.
    for start in range(folds):
        part = np.concatenate([parts[(start + i) % folds] for i in range(take)])
        inside = np.zeros(len(labels), dtype=bool)
        inside[part] = True
        if set(labels[inside]) == set(present) == set(labels[~inside]):
            return part
    raise ValueError(
        f"Too few {by}s: no cut with {what}={share:.3g} has every class on both sides. Use a larger share, "
        "more data, or stratify=False."
    )
