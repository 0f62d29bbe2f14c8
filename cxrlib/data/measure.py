"""What `audit` measures: counts, sizes, patients, copies, gray levels, white boxes, what metadata alone would score."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from ..files import hashed
from .dataset import CxrDataset, ordered

#: A pixel below this value (of 255) counts as near-black.
NEAR_BLACK = 5
#: A row or column belongs to the black border when at least this fraction of its pixels is below this value.
_BORDER_FRACTION, _BORDER_LEVEL = 0.95, 10
#: Gray levels of a white box: at least this inside, less than that beside its edge.
_WHITE, _DARKER = 250, 228
#: Fractions of the side and of the image, below which nothing is a white box.
_THIN, _SMALL = 0.03, 0.003


def pixel_statistics(data: CxrDataset) -> dict[str, np.ndarray]:
    """Measure per image mean, SD, and fractions near black, in a black border, in white boxes; float64 (N,) each."""
    measured, values = [], np.arange(256, dtype=np.float64)
    for start in range(0, len(data), 256):
        images = data.batch(range(start, min(start + 256, len(data))))[:, 0]
        area = images[0].size
        # The histogram of an image holds its exact mean, SD and near-black fraction.
        counted = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
        mean = counted @ values / area
        sd = np.sqrt(np.maximum(counted @ values**2 / area - mean**2, 0))
        near_black = counted[:, :NEAR_BLACK].sum(axis=1) / area
        dark = images < _BORDER_LEVEL
        height = _bright_extent(dark.mean(axis=2) >= _BORDER_FRACTION)
        width = _bright_extent(dark.mean(axis=1) >= _BORDER_FRACTION)
        white = white_boxes(images).mean((1, 2))
        measured.append([mean, sd, near_black, 1 - height * width / area, white])
    return dict(zip(("mean", "sd", "near_black", "border", "white"), np.concatenate(measured, axis=1), strict=True))


def _bright_extent(dark: np.ndarray) -> np.ndarray:
    """Measure the length of each row of ``dark`` (B, L) without the run of True at its start and its end."""
    length = dark.shape[1]
    first, last = np.argmin(dark, axis=1), length - np.argmin(dark[:, ::-1], axis=1)
    return np.where(dark.all(axis=1), 0, last - first)


def white_boxes(images: np.ndarray) -> np.ndarray:
    """Find white boxes, as somebody lays them over names: pure white, with straight sides and sharp edges.

    ``images`` (N, H, W) uint8; gives bool (N, H, W). Overexposed parts of a chest have no such edges.
    """
    found = np.zeros(images.shape, bool)
    thin = max(3, round(_THIN * images.shape[-1]))
    for image, boxes in zip(images, found, strict=True):
        white = image >= _WHITE
        if white.mean() < _SMALL:
            continue
        padded = np.pad(white, thin, constant_values=True)  # a box may be cut by the image's edge
        opened = ndimage.binary_opening(padded, np.ones((thin, thin)))[thin:-thin, thin:-thin] & white
        pieces, count = ndimage.label(opened)
        for k in range(1, count + 1):
            piece = pieces == k
            ring = ndimage.binary_dilation(piece, iterations=3) & ~ndimage.binary_dilation(piece, iterations=2)
            if piece.mean() >= _SMALL and ring.any() and (image[ring] < _DARKER).mean() > 0.7:
                boxes |= piece
    return found


def counts(table: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    """Count images and patients per split and class, and images per subtype."""
    places = [table["split"], table["class"]]
    found = table.groupby(places)["patient"].agg(images="size", patients="nunique")
    if "subtype" in table and (table["subtype"].astype(str) != table["class"].astype(str)).any():
        found = found.join(pd.crosstab(places, table["subtype"].map(str, na_action="ignore")))
    every = pd.MultiIndex.from_product([split_names, classes], names=["split", "class"])
    return found.reindex(every).fillna(0).astype(int).reset_index()


def sizes(table: pd.DataFrame, data: CxrDataset) -> pd.DataFrame:
    """Describe the sizes of the files per class."""
    if "width" not in table or "height" not in table:
        height, width = data.batch([0]).shape[2:]
        return pd.DataFrame([{"width": f"{width}", "height": f"{height}", "images": len(data), "sizes": 1}])
    rows = []
    for label, part in table.groupby("class", sort=True):
        row = {"class": label, "images": len(part), "sizes": len(part[["width", "height"]].drop_duplicates())}
        found = ", ".join(sorted(part["extension"].astype(str).unique())) if "extension" in part else ""
        rows.append({**row, "width": _range(part["width"]), "height": _range(part["height"]), "extensions": found})
    return pd.DataFrame(rows)


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high} (median {values.median():.0f})"


def patients(table: pd.DataFrame, split_names: list[str]) -> pd.DataFrame:
    """Count the patients with more than one image, per split and class."""
    images = table.groupby(["split", "class", "patient"]).size()
    found = images.groupby(["split", "class"]).agg(
        patients="size", with_several=lambda n: (n > 1).sum(), their_images=lambda n: n[n > 1].sum(), most="max"
    )
    return found.reindex(split_names, level="split").reset_index()


def crossings(table: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    """Find keys in two splits: one row per key and pair of splits, one column per class the key occurs in."""
    rows = []
    for key in ["patient", *(c for c in table.columns if str(c).startswith("key_"))]:
        known = table[table[key].notna() & (table[key].astype(str) != "")]
        for first, second in itertools.combinations(split_names, 2):
            a, b = known[known["split"] == first], known[known["split"] == second]
            both = set(a[key]) & set(b[key])
            images = int(a[key].isin(both).sum() + b[key].isin(both).sum())
            same = {c: set(a.loc[a["class"] == c, key]) & set(b.loc[b["class"] == c, key]) for c in classes}
            # One number may stand for one class in the first split and for another in the second.
            other = both - set().union(*same.values())
            rows.append([key, f"{first} and {second}", len(both), images, *map(len, same.values()), len(other)])
    return pd.DataFrame(rows, columns=["key", "splits", "values", "images", *classes, "across classes"])


def digests(table: pd.DataFrame, data: CxrDataset) -> np.ndarray:
    """Give the hash of each file, or of its pixels where the files are not known: str (N,)."""
    if "digest" in table:
        return table["digest"].to_numpy(str)
    return np.array([hashed(data.batch([i])) for i in range(len(data))])


def duplicates(table: pd.DataFrame, data: CxrDataset, same: np.ndarray, but: np.ndarray | None = None) -> pd.DataFrame:
    """Find images for which ``same`` (N,) is equal: one row per group, but none for those with equal ``but`` (N,)."""
    names, splits, rows = _names(table), set(table["split"]), []
    repeated = pd.Series(same)[pd.Series(same).duplicated(keep=False)]
    for members in repeated.groupby(repeated, sort=False).groups.values():
        part = table.loc[members]
        if but is not None and len(set(but[members])) == 1:
            continue
        row = {"files": len(part), "patients": part["patient"].nunique(), "splits": ", ".join(ordered(part["split"]))}
        row["classes"] = ", ".join(sorted(set(part["class"].astype(str))))
        rows.append({**row, "names": ", ".join(names[members])})
    rows.sort(key=lambda r: (r["splits"] in splits, r["classes"] in data.classes))  # the harmful ones first
    return pd.DataFrame(rows, columns=["files", "patients", "splits", "classes", "names"])


def shared(table: pd.DataFrame, other: CxrDataset, pairs: pd.DataFrame) -> pd.DataFrame:
    """Describe the images that are also in another data set: one row per image, with the most alike one there."""
    best = pairs.sort_values(["likeness", "second"], ascending=[False, True]).groupby("first").head(1)
    best = best.sort_values("first")
    mine, theirs = table.loc[best["first"]], other.table.loc[best["second"]]
    there = np.array(other.classes, dtype=object)[other.labels[best["second"]]]
    columns = {
        "file": _names(table)[best["first"]], "split": mine["split"].to_numpy(), "class": mine["class"].to_numpy(),
        "file_there": _names(theirs), "split_there": other.splits[best["second"]], "class_there": there,
    }  # fmt: skip
    return pd.DataFrame({**columns, **best[["likeness", "mirrored"]].reset_index(drop=True)})


def _names(table: pd.DataFrame) -> np.ndarray:
    """Give what each image is called: its file, or its position in the data set."""
    return (table["file"] if "file" in table else "image " + table.index.astype(str)).to_numpy(str)


def _groupings(table: pd.DataFrame) -> list[str]:
    """List `class`, and the columns that divide the classes further."""
    result = ["class"]
    for column in ("subtype", "series"):
        if column in table and table[column].notna().all():
            values = table[column].astype(str)
            if (values != "").any() and (values != table["class"].astype(str)).any():
                result.append(column)
    return result


def exposure(
    table: pd.DataFrame, pixels: dict[str, np.ndarray], split_names: list[str], classes: tuple[str, ...]
) -> pd.DataFrame:
    """Average the gray levels per split and group of images."""
    rows, seen = [], set()
    for column in _groupings(table):
        values = table[column].astype(str).to_numpy()
        names = list(classes) if column == "class" else sorted(set(values) - {""})
        for group in names:
            members = values == group
            if members.tobytes() in seen:  # "normal" as a class and "normal" as a subtype
                continue
            seen.add(members.tobytes())
            for split in split_names:
                part = members & (table["split"].to_numpy() == split)
                if part.any():
                    means = {name: float(pixels[name][part].mean()) for name in ("mean", "sd", "near_black")}
                    rows.append({"by": column, "group": group, "split": split, "images": int(part.sum()), **means})
    return pd.DataFrame(rows)


def metadata_features(table: pd.DataFrame, pixels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give what is known of the images without looking at a lung, (N, 1) each; (N, extensions) of the extension."""
    numbers = [name for name in ("width", "height", "bytes") if name in table]
    features = {name: pd.to_numeric(table[name]).to_numpy(float)[:, None] for name in numbers}
    if "extension" in table:
        extension = table["extension"].astype(str).to_numpy()
        features["extension"] = (extension[:, None] == np.unique(extension)).astype(float)
    return features | {"black border": pixels["border"][:, None], "white boxes": pixels["white"][:, None]}


def metadata_forest() -> RandomForestClassifier:
    """Give the classifier that sees all of it."""
    return RandomForestClassifier(40, min_samples_leaf=5, class_weight="balanced", random_state=0, n_jobs=1)


def metadata(table: pd.DataFrame, pixels: dict[str, np.ndarray], data: CxrDataset) -> pd.DataFrame:
    """Score a classifier that sees only metadata (balanced accuracy and AUC); empty when it cannot be measured."""
    columns = ["metadata", "balanced_accuracy", "auc", "chance"]
    present, y = np.unique(data.labels, return_inverse=True)
    groups = np.unique(data.patients, return_inverse=True)[1]
    folds = min(5, *(len(np.unique(groups[y == k])) for k in range(len(present))))
    if len(present) < 2 or folds < 2:
        return pd.DataFrame(columns=columns)
    features = metadata_features(table, pixels)
    varying = {name: x for name, x in features.items() if (x != x[0]).any()}
    splits = list(PredefinedSplit(_deal_patients(y, groups, folds)).split())
    chance = 1 / len(present)

    def score(model: Any, x: np.ndarray) -> tuple[float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fold may lack a rare class
            p = cross_val_predict(model, x, y, cv=splits, method="predict_proba", n_jobs=1)
        auc = roc_auc_score(y, p[:, 1] if len(present) == 2 else p, multi_class="ovr")
        return float(balanced_accuracy_score(y, p.argmax(axis=1))), float(auc)

    rows = []
    if len(varying) > 1:
        rows.append(("all of it", *score(metadata_forest(), np.hstack(list(varying.values()))), chance))
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, class_weight="balanced", random_state=0)
    rows += [(f"{name} alone", *score(tree, x), chance) for name, x in varying.items()]
    rows += [(f"{name} (equal in all files)", chance, 0.5, chance) for name in features if name not in varying]
    return pd.DataFrame(rows, columns=columns)


def _deal_patients(y: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """Give each image a fold: patients are shuffled within their class and dealt out like cards.

    Much faster than StratifiedGroupKFold for thousands of patients; the folds need not be of equal size here.
    """
    patients, first = np.unique(groups, return_index=True)
    order = np.lexsort((np.random.default_rng(0).random(len(patients)), y[first]))
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % folds
    return fold[groups]
