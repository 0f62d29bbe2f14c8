"""`audit`: what is in a data set, and what in it could fool a network or its user."""

import hashlib
import html
import itertools
import json
import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from .. import plot
from .dataset import SPLIT_ORDER, CxrDataset

#: A pixel below this value (of 255) counts as near-black.
NEAR_BLACK = 5
#: A row or column belongs to the black border when at least this share of its pixels is below this value.
_BORDER_SHARE, _BORDER_LEVEL = 0.95, 10
#: Differences of exposure are reported from this effect size on (difference / SD between images).
_EFFECT = 0.5
_OTHER = "across classes"
_FEWEST = 10
_BINS = 32


@dataclass(frozen=True)
class Audit:
    """What `audit` found. Shows itself in a notebook; `print` it in a terminal.

    findings: sentences, each a reason to be careful, with the numbers in it.
    counts: one row per split and class: images, patients, and images per subtype.
    sizes: image sizes in the files. exposure: gray levels per split and group of images.
    patients: per split, patients with more than one image. crossings: patients in two splits, per patient
    key.
    duplicates: groups of byte-identical files. metadata: what a classifier that never sees a pixel of the
    lung would score.
    """

    name: str
    fingerprint: str
    images: int
    findings: list[str]
    counts: pd.DataFrame
    sizes: pd.DataFrame
    patients: pd.DataFrame
    crossings: pd.DataFrame
    duplicates: pd.DataFrame
    exposure: pd.DataFrame
    metadata: pd.DataFrame
    skipped: pd.DataFrame
    _levels: dict = field(default_factory=dict, repr=False)

    _TABLES = (
        ("counts", "Images and patients"),
        ("patients", "Patients with more than one image"),
        ("crossings", "Patients in two splits, by what is taken as the patient"),
        ("duplicates", "Byte-identical files"),
        ("sizes", "Image sizes in the files (pixels)"),
        ("exposure", "Exposure"),
        ("metadata", "Metadata only: the score of a classifier that never sees the picture"),
        ("skipped", "Files that could not be used"),
    )
    _NOTES = {
        "exposure": "mean and sd: average over images of the mean and the standard deviation of their "
        f"pixels, 0 to 255. near_black: share of pixels below {NEAR_BLACK}.",
        "metadata": "Cross-validated, all images of a patient on one side. black border: share of the image "
        "taken by black rows and columns at its edges. Chance is 1 / number of classes for balanced "
        "accuracy, 0.5 for AUC.",
        "crossings": "values: how many keys occur in both splits, then the same per class. images: how many "
        "images these keys have.",
    }

    def to_dict(self) -> dict:
        """Everything as plain JSON values."""
        result = {"name": self.name, "fingerprint": self.fingerprint, "images": self.images}
        result["findings"] = list(self.findings)
        for key, _ in self._TABLES:
            result[key] = json.loads(getattr(self, key).to_json(orient="records"))
        return result

    def figure(self) -> plot.Figure:
        """Counts, brightness and near-black share, split by split."""
        return _figure(self)

    def __str__(self) -> str:
        lines = [f"Audit of {self.name or 'data set'}: {self.images:,} images", "", "Findings"]
        lines += [f"  - {text}" for text in self.findings] or ["  - nothing to report"]
        for key, title in self._TABLES:
            table = getattr(self, key)
            if len(table):
                lines += ["", title, _shown(key, table).to_string(index=False)]
                if key in self._NOTES:
                    lines.append(self._NOTES[key])
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<h4>Audit of {html.escape(self.name or 'data set')}: {self.images:,} images</h4>"]
        found = self.findings or ["nothing to report"]
        parts.append("<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in found) + "</ul>")
        if self.images:
            parts.append(self.figure().to_html())
        for number, (key, title) in enumerate(self._TABLES):
            table = getattr(self, key)
            if not len(table):
                continue
            note = f"<p><small>{html.escape(self._NOTES[key])}</small></p>" if key in self._NOTES else ""
            body = _shown(key, table).to_html(index=False, border=0)
            parts.append(
                f"<details{' open' if number == 0 else ''}><summary><strong>{title}</strong></summary>"
                f"{body}{note}</details>"
            )
        return '<div class="cxr-audit">' + "\n".join(parts) + "</div>"


def audit(data: CxrDataset) -> Audit:
    """Look for what could fool a network, or the person who trains it.

    data: a CxrDataset; every check uses the columns of its table that are there.

    Counts images, patients and subtypes per split and class; compares image sizes and exposure between
    splits; looks for byte-identical files and for patients that stand in two splits, by each column that may
    name a patient (`patient` and `key_*`); and cross-validates a classifier that sees only metadata (file
    extension, width, height, bytes, black border): what it scores above chance, a network could score without
    looking at the lungs.

    Returns an Audit. Raises ValueError for an empty data set.
    """
    if len(data) == 0:
        raise ValueError("The data set is empty: there is nothing to audit.")
    table = data.table.copy()
    if "split" not in table:
        table["split"] = "all"
    table["class"] = np.array(data.classes, dtype=object)[data.labels]
    table["patient"] = data.patients
    split_names = _ordered(table["split"])
    table["split"] = table["split"].astype(str)
    pixels = _pixel_statistics(data)

    counts = _counts(table, split_names, data.classes)
    sizes = _sizes(table, data)
    patients = _patients(table, split_names)
    crossings = _crossings(table, split_names, data.classes)
    duplicates = _duplicates(table, data)
    exposure = _exposure(table, pixels, split_names, data.classes)
    metadata = _metadata(table, pixels, data)
    findings = [
        *_about_counts(counts, data.classes),
        *_about_patients(table, patients, crossings),
        *_about_duplicates(duplicates),
        *_about_exposure(table, pixels, exposure, split_names),
        *_about_metadata(metadata, len(np.unique(data.labels))),
        *_about_skipped(data.skipped),
    ]
    levels = {
        name: np.histogram(pixels["mean"][table["split"].to_numpy() == name], bins=_BINS, range=(0, 256))[0]
        for name in split_names
    }
    return Audit(
        data.name, data.fingerprint, len(data), findings, counts, sizes, patients, crossings, duplicates,
        exposure, metadata, data.skipped.reset_index(drop=True), levels,
    )  # fmt: skip


# -- measurements ---------------------------------------------------------------------------------


def _ordered(values) -> list[str]:
    found = {str(v) for v in values}
    return [s for s in SPLIT_ORDER if s in found] + sorted(found - set(SPLIT_ORDER))


def _pixel_statistics(data: CxrDataset) -> dict[str, np.ndarray]:
    """Per image: mean, SD, near-black share and black-border share; float64 (N,) each."""
    n, area = len(data), int(np.prod(data.batch([0]).shape[2:]))
    result = {name: np.empty(n) for name in ("mean", "sd", "near_black", "border")}
    values = np.arange(256, dtype=np.float64)
    for start in range(0, n, 256):
        rows = np.arange(start, min(start + 256, n))
        images = data.batch(rows)[:, 0]
        # The histogram of an image holds its exact mean, SD and near-black share.
        counted = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
        mean = counted @ values / area
        result["mean"][rows] = mean
        result["sd"][rows] = np.sqrt(np.maximum(counted @ values**2 / area - mean**2, 0))
        result["near_black"][rows] = counted[:, :NEAR_BLACK].sum(axis=1) / area
        dark = images < _BORDER_LEVEL
        height = _bright_extent(dark.mean(axis=2) >= _BORDER_SHARE)
        width = _bright_extent(dark.mean(axis=1) >= _BORDER_SHARE)
        result["border"][rows] = 1 - height * width / area
    return result


def _bright_extent(dark: np.ndarray) -> np.ndarray:
    """Length of each row of `dark` (B, L) without the run of True at its start and its end."""
    length = dark.shape[1]
    first, last = np.argmin(dark, axis=1), length - np.argmin(dark[:, ::-1], axis=1)
    return np.where(dark.all(axis=1), 0, last - first)


def _counts(table: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    subtypes = []
    if "subtype" in table and not (table["subtype"].astype(str) == table["class"].astype(str)).all():
        subtypes = sorted(table["subtype"].dropna().astype(str).unique())
    rows = []
    for split in split_names:
        for label in classes:
            part = table[(table["split"] == split) & (table["class"] == label)]
            row = {"split": split, "class": label, "images": len(part), "patients": part["patient"].nunique()}
            row.update({s: int((part["subtype"].astype(str) == s).sum()) for s in subtypes})
            rows.append(row)
    return pd.DataFrame(rows)


def _sizes(table: pd.DataFrame, data: CxrDataset) -> pd.DataFrame:
    if "width" not in table or "height" not in table:
        height, width = data.batch([0]).shape[2:]
        return pd.DataFrame([{"width": f"{width}", "height": f"{height}", "images": len(data), "sizes": 1}])
    rows = []
    for label, part in table.groupby("class", sort=True):
        rows.append(
            {
                "class": label,
                "images": len(part),
                "sizes": len(part[["width", "height"]].drop_duplicates()),
                "width": _range(part["width"]),
                "height": _range(part["height"]),
                "extensions": ", ".join(sorted(part["extension"].astype(str).unique())) if "extension" in part else "",
            }
        )
    return pd.DataFrame(rows)


def _range(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high} (median {values.median():.0f})"


def _patients(table: pd.DataFrame, split_names: list[str]) -> pd.DataFrame:
    rows = []
    for split in split_names:
        for label, part in table[table["split"] == split].groupby("class", sort=True):
            each = part["patient"].value_counts()
            several = each[each > 1]
            row = {"split": split, "class": label, "patients": len(each), "with_several": len(several)}
            rows.append({**row, "their_images": int(several.sum()), "most": int(each.max())})
    return pd.DataFrame(rows)


def _crossings(table: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> pd.DataFrame:
    """Keys in two splits: one row per key and pair of splits, one column per class the key occurs in."""
    rows = []
    for key in ["patient", *(c for c in table.columns if str(c).startswith("key_"))]:
        known = table[table[key].notna() & (table[key].astype(str) != "")]
        for first, second in itertools.combinations(split_names, 2):
            a, b = known[known["split"] == first], known[known["split"] == second]
            both = set(a[key]) & set(b[key])
            images = int(a[key].isin(both).sum() + b[key].isin(both).sum())
            row = {"key": key, "splits": f"{first} and {second}", "values": len(both), "images": images}
            same = {c: set(a.loc[a["class"] == c, key]) & set(b.loc[b["class"] == c, key]) for c in classes}
            row.update({c: len(values) for c, values in same.items()})
            # One number may stand for one class in the first split and for another in the second.
            rows.append({**row, _OTHER: len(both - set().union(*same.values()))})
    return pd.DataFrame(rows, columns=["key", "splits", "values", "images", *classes, _OTHER])


def _duplicates(table: pd.DataFrame, data: CxrDataset) -> pd.DataFrame:
    """One row per group of identical files (of identical pixels, where the files are not known)."""
    if "digest" in table:
        digest = table["digest"].astype(str)
    else:
        rows = (data.batch([i]) for i in range(len(data)))
        digest = pd.Series([hashlib.blake2b(pixels, digest_size=16).hexdigest() for pixels in rows])
    names = table["file"].astype(str) if "file" in table else pd.Series([f"image {i}" for i in range(len(data))])
    repeated = digest[digest.duplicated(keep=False)]
    rows = []
    for _, same in repeated.groupby(repeated, sort=False):
        part = table.loc[same.index]
        row = {"files": len(part), "patients": part["patient"].nunique(), "splits": ", ".join(_ordered(part["split"]))}
        row["classes"] = ", ".join(sorted(set(part["class"].astype(str))))
        rows.append({**row, "names": ", ".join(names.loc[same.index])})
    rows.sort(key=lambda r: ("," not in r["splits"], "," not in r["classes"]))  # the harmful ones first
    return pd.DataFrame(rows, columns=["files", "patients", "splits", "classes", "names"])


def _groupings(table: pd.DataFrame) -> list[str]:
    """`class`, and the columns that cut the classes finer."""
    result = ["class"]
    for column in ("subtype", "series"):
        if column in table and table[column].notna().all() and (table[column].astype(str) != "").any():
            same = all((table[column].astype(str) == table[other].astype(str)).all() for other in result[:1])
            if not same:
                result.append(column)
    return result


def _exposure(table, pixels, split_names, classes) -> pd.DataFrame:
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


def _metadata(table, pixels, data: CxrDataset) -> pd.DataFrame:
    """Balanced accuracy and AUC of a classifier that sees only metadata; empty when it cannot be measured."""
    columns = ["metadata", "balanced_accuracy", "auc", "chance"]
    labels = data.labels
    present, y = np.unique(labels, return_inverse=True)
    _, groups = np.unique(data.patients, return_inverse=True)
    fewest = min(len(np.unique(groups[y == k])) for k in range(len(present)))
    folds = min(5, fewest)
    if len(present) < 2 or folds < 2:
        return pd.DataFrame(columns=columns)
    features = {}
    for name in ("width", "height", "bytes"):
        if name in table:
            features[name] = pd.to_numeric(table[name]).to_numpy(float)[:, None]
    if "extension" in table:
        extension = table["extension"].astype(str).to_numpy()
        features["extension"] = (extension[:, None] == np.unique(extension)).astype(float)
    features["black border"] = pixels["border"][:, None]
    varying = {name: x for name, x in features.items() if (x != x[0]).any()}
    constant = [name for name in features if name not in varying]

    splits = list(PredefinedSplit(_deal_patients(y, groups, folds)).split())

    def score(model, x) -> dict:
        chance = 1 / len(present)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fold may lack a rare class
            p = cross_val_predict(model, x, y, cv=splits, method="predict_proba", n_jobs=1)
        auc = roc_auc_score(y, p[:, 1]) if len(present) == 2 else roc_auc_score(y, _normalized(p), multi_class="ovr")
        accuracy = balanced_accuracy_score(y, p.argmax(axis=1))
        return {"balanced_accuracy": float(accuracy), "auc": float(auc), "chance": chance}

    rows = []
    if len(varying) > 1:
        forest = RandomForestClassifier(40, min_samples_leaf=5, class_weight="balanced", random_state=0, n_jobs=1)
        rows.append({"metadata": "all of it", **score(forest, np.hstack(list(varying.values())))})
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=5, class_weight="balanced", random_state=0)
    rows += [{"metadata": f"{name} alone", **score(tree, x)} for name, x in varying.items()]
    rows += [
        {"metadata": f"{name} (equal in all files)", "balanced_accuracy": 1 / len(present), "auc": 0.5,
         "chance": 1 / len(present)} for name in constant
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _deal_patients(y: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """Fold of each image: patients are shuffled within their class and dealt out like cards.

    Much faster than StratifiedGroupKFold for thousands of patients; the folds need not be of equal size here.
    """
    patients, first = np.unique(groups, return_index=True)
    order = np.lexsort((np.random.default_rng(0).random(len(patients)), y[first]))
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % folds
    return fold[groups]


def _normalized(p: np.ndarray) -> np.ndarray:
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1])


# -- sentences ------------------------------------------------------------------------------------


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def _about_counts(counts: pd.DataFrame, classes: tuple[str, ...]) -> list[str]:
    result = []
    each = counts.groupby("class")["images"].sum().reindex(list(classes))
    for label in each.index[each == 0]:
        result.append(f"Class {label} has no image.")
    filled = each[each > 0]
    if len(filled) > 1 and filled.max() >= 1.5 * filled.min():
        base = filled.max() / filled.sum()
        result.append(
            f"The classes are unequal: {filled.idxmax()} has {filled.max() / filled.min():.1f} times as many "
            f"images as {filled.idxmin()}. Always answering {filled.idxmax()} is right for {base:.1%} of the "
            f"images."
        )
    for split, total in counts.groupby("split", sort=False)["images"].sum().items():
        if 0 < total < 100 and split != "all":
            result.append(
                f"The {split} split has only {_n(int(total), 'image')}: one image more or less changes its "
                f"accuracy by {1 / total:.1%}."
            )
    return result


def _about_patients(table: pd.DataFrame, patients: pd.DataFrame, crossings: pd.DataFrame) -> list[str]:
    result = []
    if "patient_known" in table and not table["patient_known"].all():
        unknown = int((~table["patient_known"].astype(bool)).sum())
        result.append(
            f"For {_n(unknown, 'image')} of {len(table):,} the patient is not known; each counts as a "
            "patient of its own. A patient on both sides of a cut would go unnoticed there."
        )
    several = patients[patients["with_several"] > 0]
    if len(several):
        where = []
        for split, part in several.groupby("split", sort=False):
            per_class = ", ".join(f"{c} {n:,}" for c, n in zip(part["class"], part["with_several"], strict=True))
            where.append(f"{part['with_several'].sum():,} in {split} ({per_class}; the most is {part['most'].max()})")
        result.append(
            f"Some patients have more than one image: {', '.join(where)}. A cut by image can put the same "
            "patient on both sides."
        )
    return result + _about_crossings(crossings)


def _about_crossings(crossings: pd.DataFrame) -> list[str]:
    result = []
    places = [c for c in crossings.columns[4:]]
    true = {r["splits"]: r["values"] for _, r in crossings.iterrows() if r["key"] == "patient"}
    for _, row in crossings[crossings["values"] > 0].iterrows():
        where, values = row["splits"], int(row["values"])
        if row["key"] == "patient":
            result.append(
                f"{_n(values, 'patient')} {'is' if values == 1 else 'are'} in {where}, with "
                f"{_n(int(row['images']), 'image')}: what is learned about the patient helps in the test."
            )
            continue
        detail = ", ".join(f"{place} {row[place]:,}" for place in places if row[place])
        result.append(
            f"With {row['key']} as the patient key, {_n(values, 'key')} ({detail}) would be in {where}; with "
            f"the full patient key it is {true[where]:,}. Know what a key means before you speak of a leak."
        )
    return result


def _about_duplicates(duplicates: pd.DataFrame) -> list[str]:
    if not len(duplicates):
        return []
    splits = int(duplicates["splits"].str.contains(",").sum())
    classes = int(duplicates["classes"].str.contains(",").sum())
    text = (
        f"{_n(len(duplicates), 'group')} of byte-identical files ({int(duplicates['files'].sum()):,} files): "
        f"{splits or 'none'} across splits, {classes or 'none'} across classes."
    )
    if splits:
        text += " Identical files in two splits are a leak."
    if classes:
        text += " Identical files with two labels: at least one label is wrong."
    return [text]


def _about_exposure(table, pixels, exposure: pd.DataFrame, split_names: list[str]) -> list[str]:
    """The strongest difference between splits, for each pair of splits."""
    result = []
    split = table["split"].to_numpy()
    for first, second in itertools.combinations(split_names, 2):
        best = None
        for column, group in exposure[["by", "group"]].drop_duplicates().itertuples(index=False):
            members = table[column].astype(str).to_numpy() == group
            a, b = members & (split == first), members & (split == second)
            if min(a.sum(), b.sum()) < _FEWEST:
                continue
            for what in ("near_black", "mean", "sd"):
                x, y = pixels[what][a], pixels[what][b]
                spread = np.sqrt((x.var() + y.var()) / 2)
                effect = abs(x.mean() - y.mean()) / spread if spread > 0 else 0.0
                if effect >= _EFFECT and (best is None or effect > best[0]):
                    best = effect, what, group, x.mean(), y.mean()
        if best:
            effect, what, group, x, y = best
            values = {
                "near_black": f"near-black pixels make up {x:.1%} in {first} and {y:.1%} in {second}",
                "mean": f"the mean gray level is {x:.0f} in {first} and {y:.0f} in {second}",
                "sd": f"the contrast (SD of the pixels) is {x:.0f} in {first} and {y:.0f} in {second}",
            }[what]
            result.append(
                f"The images of {first} and {second} are exposed differently. Largest difference, {group} "
                f"images: {values} ({effect:.1f} standard deviations between images). A score on {second} "
                f"also measures this."
            )
    return result


def _about_metadata(metadata: pd.DataFrame, classes: int) -> list[str]:
    if not len(metadata):
        return []
    best = metadata.loc[metadata["balanced_accuracy"].idxmax()]
    if best["balanced_accuracy"] < best["chance"] + 0.1:
        return []
    alone = metadata[metadata["metadata"] != "all of it"]
    strongest = alone.loc[alone["balanced_accuracy"].idxmax()]
    text = (
        f"Metadata tells the class: without looking at the lungs a classifier reaches a balanced accuracy of "
        f"{best['balanced_accuracy']:.2f} (AUC {best['auc']:.2f}), where chance is {best['chance']:.2f} (AUC "
        f"0.50)"
    )
    if best["metadata"] == "all of it":
        text += f"; {strongest['metadata']} reaches {strongest['balanced_accuracy']:.2f}"
    else:
        text += f", from {strongest['metadata']}"
    return [text + ". A network may learn this instead of the disease."]


def _about_skipped(skipped: pd.DataFrame) -> list[str]:
    if not len(skipped):
        return []
    one = len(skipped) == 1
    return [f"{_n(len(skipped), 'file')} could not be used and {'is' if one else 'are'} left out."]


# -- how it looks ---------------------------------------------------------------------------------


def _shown(key: str, table: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """The table as text: shares in percent, few decimals, long ones cut."""
    shown = table.head(most).copy()
    for column in shown.columns:
        kind = shown[column].dtype.kind if isinstance(shown[column].dtype, np.dtype) else "O"
        if column == "near_black":
            shown[column] = shown[column].map("{:.1%}".format)
        elif kind == "f":
            digits = 2 if key == "metadata" else 1
            shown[column] = shown[column].map(f"{{:.{digits}f}}".format)
        elif kind in "iu":
            shown[column] = shown[column].map("{:,}".format)
        elif kind == "O" or kind == "T":
            shown[column] = shown[column].astype(str).str.slice(0, 70)
    shown.columns = [str(c).replace("_", " ") for c in shown.columns]
    if len(table) > most:
        shown.loc[len(shown)] = ["..." if i else f"({len(table) - most} more)" for i in range(shown.shape[1])]
    return shown


def _figure(found: Audit) -> plot.Figure:
    counts = found.counts.pivot(index="split", columns="class", values="images")
    splits = _ordered(counts.index)
    classes = list(dict.fromkeys(found.counts["class"]))
    counts = counts.loc[splits, classes]
    groups = list(dict.fromkeys(found.exposure["group"]))
    near = {(r.group, r.split): r.near_black for r in found.exposure.itertuples()}
    known = {"train": plot.BLUE, "val": plot.GREEN, "test": plot.ORANGE}
    spare = iter([plot.PURPLE, plot.SKY, plot.VERMILION] * len(splits))
    color = {s: known.get(s) or next(spare) for s in splits}
    alt = (
        "Three panels. Images per class: "
        + "; ".join(f"{c} {', '.join(f'{counts.loc[s, c]:,} {s}' for s in splits)}" for c in classes)
        + ". Distribution of the mean gray level of the images, one curve per split. Share of near-black "
        "pixels: "
        + "; ".join(f"{g} {', '.join(f'{near[g, s]:.1%} {s}' for s in splits if (g, s) in near)}" for g in groups)
        + "."
    )
    fig, axes = plot.subplots(1, 3, figsize=(11, 3.2), alt=alt)
    with plot.style():
        left = np.zeros(len(classes))
        for split in splits:
            axes[0].barh(classes, counts.loc[split], left=left, label=split, color=color[split])
            left += counts.loc[split].to_numpy()
        axes[0].invert_yaxis()
        axes[0].set(xlabel="images", title="Images per class")
        axes[0].grid(axis="y", visible=False)
        centers = np.arange(_BINS) * 256 / _BINS + 128 / _BINS
        for split in splits:
            levels = found._levels[split]
            axes[1].plot(centers, levels / max(levels.sum(), 1), color=color[split], drawstyle="steps-mid")
        axes[1].set(xlabel="mean gray level of an image", ylabel="share of images", title="Brightness")
        width = 0.8 / len(splits)
        for k, split in enumerate(splits):
            at = [i for i, g in enumerate(groups) if (g, split) in near]
            heights = [100 * near[groups[i], split] for i in at]
            axes[2].bar(np.array(at) + (k - (len(splits) - 1) / 2) * width, heights, width, color=color[split])
        crowded = sum(map(len, groups)) > 30
        axes[2].set_xticks(
            range(len(groups)), groups, rotation=30 if crowded else 0, ha="right" if crowded else "center"
        )
        axes[2].set(ylabel=f"% of pixels below {NEAR_BLACK}", title="Near-black pixels")
        axes[2].grid(axis="x", visible=False)
        if len(splits) > 1:
            fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(splits))
    return fig
