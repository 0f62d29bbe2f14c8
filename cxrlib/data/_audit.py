"""`audit`: what is in a data set, and what in it could fool a network or its user."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .. import plot
from . import findings as say
from . import measure
from ._near import near_duplicates, picture_groups
from .dataset import CxrDataset, ordered
from .measure import NEAR_BLACK

_BINS = 32
_NOTHING = ["nothing to report"]
_TITLES = {
    "counts": "Images and patients",
    "patients": "Patients with more than one image",
    "crossings": "Patients in two splits, by what is taken as the patient",
    "duplicates": "Byte-identical files",
    "near_duplicates": "Near-duplicates: the same picture in other bytes",
    "shared": "Images that are also in the other data set",
    "sizes": "Image sizes in the files (pixels)",
    "exposure": "Exposure",
    "metadata": "Metadata only: the score of a classifier that never sees the picture",
    "skipped": "Files that were not read",
}
_NOTES = {
    "exposure": "mean and sd: average over images of the mean and the standard deviation of their pixels, 0 to 255. "
    f"near_black: fraction of pixels below {NEAR_BLACK}.",
    "metadata": "Cross-validated, all images of a patient on one side. black border: fraction of the image taken by "
    "black rows and columns at its edges; white boxes: by white "
    "rectangles, as they cover names. Chance is 1 / number of classes for balanced accuracy, 0.5 for AUC.",
    "near_duplicates": "names: of all files of the group, also those that are byte-identical.",
    "shared": "likeness: correlation of the two pictures' structure, at most 1.",
    "crossings": "values: how many keys occur in both splits, then the same per class. images: how many images these "
    "keys have.",
}


@dataclass(frozen=True)
class Audit:
    """What ``audit`` found: sentences and tables. Shows itself in a notebook; ``print`` it in a terminal."""

    name: str
    fingerprint: str
    images: int
    findings: list[str]  # sentences, each a reason to be careful, with the numbers in it
    counts: pd.DataFrame  # per split and class: images, patients, and images per subtype
    sizes: pd.DataFrame  # of the images in the files
    patients: pd.DataFrame  # per split: those with more than one image
    crossings: pd.DataFrame  # patients in two splits, per patient key
    duplicates: pd.DataFrame  # groups of byte-identical files
    near_duplicates: pd.DataFrame  # groups of images that are the same picture, but not the same bytes
    shared: pd.DataFrame  # images that are also in another data set: audit(against=...)
    exposure: pd.DataFrame  # gray levels per split and group of images
    metadata: pd.DataFrame  # what a classifier that never sees a pixel of the lung would score
    skipped: pd.DataFrame  # files that were not read, and why
    _levels: dict = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict:
        """Give everything as plain JSON values."""
        result = {name: getattr(self, name) for name in ("name", "fingerprint", "images")}
        tables = {name: json.loads(getattr(self, name).to_json(orient="records")) for name in _TITLES}
        return {**result, "findings": list(self.findings), **tables}

    def figure(self) -> plot.Figure:
        """Draw counts, brightness and the near-black fraction, split by split."""
        splits, classes = ordered(self.counts["split"]), self.counts["class"].unique()
        counts = self.counts.pivot(index="class", columns="split", values="images").loc[classes, splits]
        near = self.exposure.pivot_table("near_black", "group", "split", "last", sort=False).reindex(columns=splits)
        known = {"train": plot.BLUE, "val": plot.GREEN, "test": plot.ORANGE}
        spare = iter([plot.PURPLE, plot.SKY, plot.VERMILION] * len(splits))
        colors = [known.get(s) or next(spare) for s in splits]

        def told(table: pd.DataFrame, form: str) -> str:
            rows = ((name, row.dropna().items()) for name, row in table.iterrows())
            return "; ".join(f"{name} " + ", ".join(f"{x:{form}} {split}" for split, x in row) for name, row in rows)

        alt = (
            f"Three panels. Images per class: {told(counts, ',')}. Distribution of the mean gray level of the images, "
            f"one curve per split. Fraction of near-black pixels: {told(near, '.1%')}."
        )
        fig, axes = plot.subplots(1, 3, figsize=(11, 3.2), alt=alt)
        centers = (np.arange(_BINS) + 0.5) * 256 / _BINS
        bars = {"width": 0.8, "color": colors, "legend": False}
        with plot.style():
            counts.plot.barh(stacked=True, ax=axes[0], **bars)
            axes[0].invert_yaxis()
            axes[0].set(xlabel="images", ylabel="", title="Images per class")
            axes[0].grid(axis="y", visible=False)
            for split, color in zip(splits, colors, strict=True):
                levels = self._levels[split]
                axes[1].plot(centers, levels / max(levels.sum(), 1), color=color, drawstyle="steps-mid")
            axes[1].set(xlabel="mean gray level of an image", ylabel="fraction of images", title="Brightness")
            (100 * near).plot.bar(ax=axes[2], **bars)
            turned = {"rotation": 30, "ha": "right"} if sum(map(len, near.index)) > 24 else {"rotation": 0}
            axes[2].set_xticks(range(len(near)), near.index, **turned)
            axes[2].set(xlabel="", ylabel=f"% of pixels below {NEAR_BLACK}", title="Near-black pixels")
            axes[2].grid(axis="x", visible=False)
            if len(splits) > 1:
                fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(splits))
        return fig

    def __str__(self) -> str:
        lines = [self._title(), "", "Findings", *(f"  - {text}" for text in self.findings or _NOTHING)]
        for title, table, note in self._shown():
            lines += ["", title, table.to_string(index=False), *([note] if note else [])]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        found = "".join(f"<li>{html.escape(text)}</li>" for text in self.findings or _NOTHING)
        parts = [f"<h4>{html.escape(self._title())}</h4>", f"<ul>{found}</ul>"]
        if self.images:
            parts.append(self.figure().to_html())
        for number, (title, table, note) in enumerate(self._shown()):
            head = f"<details{'' if number else ' open'}><summary><strong>{title}</strong></summary>"
            small = f"<p><small>{html.escape(note)}</small></p>" if note else ""
            parts.append(f"{head}{table.to_html(index=False, border=0)}{small}</details>")
        return '<div class="cxr-audit">' + "\n".join(parts) + "</div>"

    def _title(self) -> str:
        return f"Audit of {self.name or 'data set'}: {self.images:,} images"

    def _shown(self) -> Iterator[tuple[str, pd.DataFrame, str]]:
        """Give title, table as text and note of the tables that are not empty."""
        for name, title in _TITLES.items():
            if len(table := getattr(self, name)):
                yield title, _as_text(name, table), _NOTES.get(name, "")


def audit(data: CxrDataset, against: CxrDataset | None = None, progress: bool = True) -> Audit:
    """Look for what could fool a network, or the person who trains it, with the columns of the table that are there.

    Counts images, patients and subtypes per split and class; compares image sizes and exposure between splits; looks
    for byte-identical files, for near-duplicates (the same picture in other bytes), and for patients that are in two
    splits, by each column that may name a patient (``patient`` and ``key_*``); and cross-validates a classifier that
    sees only metadata (file extension, width, height, bytes, black border, white boxes): what it scores above chance, a
    network could score without looking at the lungs. ``against`` is another data set, in which the images of this one
    are sought, too.
    """
    if len(data) == 0:
        raise ValueError("The data set is empty: there is nothing to audit.")
    named = np.array(data.classes, dtype=object)[data.labels]
    table = data.table.assign(**{"class": named, "patient": data.patients, "split": data.splits})
    split_names, pixels = ordered(data.splits), measure.pixel_statistics(data)

    digests, metadata = measure.digests(table, data), measure.metadata(table, pixels, data)
    duplicates = measure.duplicates(table, data, digests)
    pictures = picture_groups(near_duplicates(data, progress=progress), len(data))
    near, shared = measure.duplicates(table, data, pictures, digests), pd.DataFrame()
    if against is not None:
        shared = measure.shared(table, against, near_duplicates(data, against, progress=progress))
    counts, sizes = measure.counts(table, split_names, data.classes), measure.sizes(table, data)
    patients, crossings = measure.patients(table, split_names), measure.crossings(table, split_names, data.classes)
    exposure = measure.exposure(table, pixels, split_names, data.classes)
    findings = [
        *say.about_counts(counts, data.classes),
        *say.about_prevalence(counts),
        *say.about_patients(data.unknown_patients, len(data), patients, crossings),
        *say.about_duplicates(duplicates, split_names, data.classes),
        *say.about_near(near, split_names, data.classes),
        *([] if against is None else say.about_shared(shared, counts, against.name or "the other data set")),
        *say.about_exposure(table, pixels, exposure, split_names),
        *say.about_files(sizes),
        *say.about_boxes(table, pixels["white"]),
        *say.about_metadata(metadata),
        *say.about_skipped(data.skipped),
    ]
    shades = {name: pixels["mean"][data.splits == name] for name in split_names}
    levels = {name: np.histogram(means, bins=_BINS, range=(0, 256))[0] for name, means in shades.items()}
    return Audit(
        data.name, data.fingerprint, len(data), findings, counts, sizes, patients, crossings, duplicates, near, shared,
        exposure, metadata, data.skipped.reset_index(drop=True), levels,
    )  # fmt: skip


def _as_text(name: str, table: pd.DataFrame, most: int = 12) -> pd.DataFrame:
    """Give the table as text: fractions in percent, few decimals, long ones cut."""
    forms = {"f": "{:.2f}" if name in ("metadata", "shared") else "{:.1f}", "i": "{:,}", "u": "{:,}"}
    shown = table.head(most).copy()
    for column in shown.columns:
        dtype = shown[column].dtype
        form = "{:.1%}" if column == "near_black" else forms.get(dtype.kind if isinstance(dtype, np.dtype) else "O")
        shown[column] = shown[column].map(form.format) if form else shown[column].astype(str).str.slice(0, 70)
    shown.columns = [str(c).replace("_", " ") for c in shown.columns]
    if len(table) > most:
        shown.loc[len(shown)] = [f"({len(table) - most} more)", *["..."] * (shown.shape[1] - 1)]
    return shown
