"""`audit`: what is in a data set, and what in it could fool a network or its user."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .. import plot
from . import findings as say
from . import measure
from .dataset import CxrDataset
from .measure import NEAR_BLACK

_BINS = 32


@dataclass(frozen=True)
class Audit:
    """What ``audit`` found. Shows itself in a notebook; ``print`` it in a terminal.

    Attributes
    ----------
    findings : list of str
        Sentences, each a reason to be careful, with the numbers in it.
    counts : DataFrame
        One row per split and class: images, patients, and images per subtype.
    sizes, exposure : DataFrame
        Image sizes in the files; gray levels per split and group of images.
    patients, crossings : DataFrame
        Per split, patients with more than one image; patients in two splits, per patient key.
    duplicates : DataFrame
        Groups of byte-identical files.
    metadata : DataFrame
        What a classifier that never sees a pixel of the lung would score.
    skipped : DataFrame
        Files that were not read, and why.
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
        ("skipped", "Files that were not read"),
    )
    _NOTES = {
        "exposure": "mean and sd: average over images of the mean and the standard deviation of their "
        f"pixels, 0 to 255. near_black: fraction of pixels below {NEAR_BLACK}.",
        "metadata": "Cross-validated, all images of a patient on one side. black border: fraction of the image "
        "taken by black rows and columns at its edges. Chance is 1 / number of classes for balanced "
        "accuracy, 0.5 for AUC.",
        "crossings": "values: how many keys occur in both splits, then the same per class. images: how many "
        "images these keys have.",
    }

    def to_dict(self) -> dict:
        """Give everything as plain JSON values."""
        result = {"name": self.name, "fingerprint": self.fingerprint, "images": self.images}
        result["findings"] = list(self.findings)
        for key, _ in self._TABLES:
            result[key] = json.loads(getattr(self, key).to_json(orient="records"))
        return result

    def figure(self) -> plot.Figure:
        """Draw counts, brightness and the near-black fraction, split by split."""
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

    Counts images, patients and subtypes per split and class; compares image sizes and exposure between splits; looks
    for byte-identical files and for patients that are in two splits, by each column that may name a patient
    (``patient`` and ``key_*``); and cross-validates a classifier that sees only metadata (file extension, width,
    height, bytes, black border): what it scores above chance, a network could score without looking at the lungs.

    Parameters
    ----------
    data : CxrDataset
        Every check uses the columns of its table that are there.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        For an empty data set.
    """
    if len(data) == 0:
        raise ValueError("The data set is empty: there is nothing to audit.")
    table = data.table.copy()
    if "split" not in table:
        table["split"] = "all"
    table["class"] = np.array(data.classes, dtype=object)[data.labels]
    table["patient"] = data.patients
    split_names = measure.ordered(table["split"])
    table["split"] = table["split"].astype(str)
    pixels = measure.pixel_statistics(data)

    counts = measure.counts(table, split_names, data.classes)
    sizes = measure.sizes(table, data)
    patients = measure.patients(table, split_names)
    crossings = measure.crossings(table, split_names, data.classes)
    duplicates = measure.duplicates(table, data)
    exposure = measure.exposure(table, pixels, split_names, data.classes)
    metadata = measure.metadata(table, pixels, data)
    findings = [
        *say.about_counts(counts, data.classes),
        *say.about_patients(table, patients, crossings),
        *say.about_duplicates(duplicates),
        *say.about_exposure(table, pixels, exposure, split_names),
        *say.about_metadata(metadata),
        *say.about_skipped(data.skipped),
    ]
    levels = {
        name: np.histogram(pixels["mean"][table["split"].to_numpy() == name], bins=_BINS, range=(0, 256))[0]
        for name in split_names
    }
    return Audit(
        data.name, data.fingerprint, len(data), findings, counts, sizes, patients, crossings, duplicates,
        exposure, metadata, data.skipped.reset_index(drop=True), levels,
    )  # fmt: skip


# -- how it looks ---------------------------------------------------------------------------------


def _shown(key: str, table: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Give the table as text: fractions in percent, few decimals, long ones cut."""
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
    splits = measure.ordered(counts.index)
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
        + ". Distribution of the mean gray level of the images, one curve per split. Fraction of near-black "
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
        axes[1].set(xlabel="mean gray level of an image", ylabel="fraction of images", title="Brightness")
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
