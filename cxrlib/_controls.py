"""controls: cover parts of the X-rays, train anew on each version, and see what still tells the classes apart.

Maguolo and Nanni (Information Fusion 76, 2021) covered the lungs in sets of COVID-19 X-rays, and networks still told
where an image came from. Whatever can be told without lungs is not read off the lungs.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import ndimage

from . import plot
from ._predict import predict
from ._prepare import lung_boxes
from .bootstrap import draws, ends, groups
from .data import CxrDataset, measure
from .localization.maps import filled
from .metrics import Report
from .progress import bar
from .ranking import weighted_auc
from .recipe import Recipe, build
from .train import fit
from .validate import one_of, several, whole
from .values import plain, table, text

RECIPE = Recipe(
    model="PCPCPCPFD", model_options={"filters": (16, 32, 64), "hidden": 64}, size=128, epochs=6, optimizer="adamw",
    lr=2e-3, weight_decay=0.01, schedule="onecycle", batch_size=64, class_weights="balanced",
    about="A small network for the controls: seconds to minutes on one core.",
)  # fmt: skip
FEWEST = 10  # images of each class, for training and for scoring
FRAME = 0.1  # of the side, by which the border is cut
#: What a marker is: so much brighter than all that surrounds it (gray levels; at its edge, at its brightest place), and
#: no wider or longer, as fractions of the side, than a stroke of a letter and than a letter or tag.
EDGE, PEAK, STROKE, LETTER = 45, 75, 0.07, 0.14


def _box(lung: np.ndarray) -> np.ndarray:
    """Fill the box around a mask, bool (H, W)."""
    return filled(lung_boxes(lung[None], 0), lung.shape)[0]


def _frame(image: np.ndarray) -> np.ndarray:
    """Find the frame, bool (H, W): a tenth of the side at each edge."""
    dy, dx = (max(1, round(FRAME * side)) for side in image.shape)
    frame = np.ones(image.shape, bool)
    frame[dy:-dy, dx:-dx] = False
    return frame


def find_markers(image: np.ndarray, lung: np.ndarray) -> np.ndarray:
    """Find what looks like a marker: bright, small and compact, and neither in the lungs nor between them.

    Letters and tags of lead, ends of wires, and some ends of bones. ``image`` (H, W) uint8, ``lung`` (H, W) bool; gives
    bool (H, W), with one pixel around each.
    """
    stroke = round(STROKE * len(image)) | 1
    brighter = image.astype(np.float32) - ndimage.grey_opening(image, (stroke, stroke))  # a white top-hat
    pieces, count = ndimage.label(brighter > EDGE, np.ones((3, 3)))
    between = np.logical_or.accumulate(lung, 1) & np.logical_or.accumulate(lung[:, ::-1], 1)[:, ::-1]
    kept = np.zeros(count + 1, bool)
    for k, place in enumerate(ndimage.find_objects(pieces), 1):
        piece = pieces[place] == k
        small = max(piece.shape) <= LETTER * len(image)
        kept[k] = small and brighter[place][piece].max() >= PEAK and not between[place][piece].any()
    return ndimage.binary_dilation(kept[pieces], np.ones((3, 3)))


def _markers_painted(image: np.ndarray, lung: np.ndarray) -> np.ndarray:
    return paint(image, find_markers(image, lung))


def paint(image: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Paint what is marked, bool (H, W), with a blurred mean of what lies around it; a smooth patch stays."""
    wide = STROKE * len(image) / 2
    seen, weight = (ndimage.gaussian_filter(np.where(marked, 0.0, x), wide) for x in (image, 1.0))
    return np.where(marked, seen / np.maximum(weight, 1e-6), image).astype(np.uint8)


#: version -> function from an image (H, W) uint8 and its lungs (H, W) bool to a new image
VERSIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "untouched": lambda image, lung: image,
    "lungs black": lambda image, lung: image * ~_box(lung),
    "only lungs": lambda image, lung: image * _box(lung),
    "box alone": lambda image, lung: np.uint8(255) * _box(lung),
    "border black": lambda image, lung: image * ~_frame(image),
    "only border": lambda image, lung: image * _frame(image),
    "markers painted": _markers_painted,
}


METADATA = "metadata only"


def cover(data: CxrDataset, version: str) -> CxrDataset:
    """Paint over a part of every image.

    Where lungs are covered or cut out it is by the box around them: their outline alone would show what is dense.

    Parameters
    ----------
    data : CxrDataset
        With lung masks, none of them empty; ``data.with_lungs()`` finds them.
    version : str
        "untouched"; "lungs black", the box around the lungs is black; "only lungs", all outside of it is black; "box
        alone", a white box on black: where the lungs lie and how large they are, and nothing else; "border black", a
        tenth of the side at each edge is black; "only border", all but that is black, in all images alike; "markers
        painted", what looks like a side marker, a tag or the end of a wire is painted with its surroundings, see
        ``find_markers``.

    Raises
    ------
    ValueError
        Another version, data without lung masks, or with an empty one.
    """
    change = VERSIONS[one_of("version", version, VERSIONS)]
    if data.lungs is None:
        raise ValueError("data: it has no lung masks, so the lungs cannot be covered; data.with_lungs() finds them")
    if empty := int((~data.lungs.any((1, 2))).sum()):
        raise ValueError(f"data: {empty} images have an empty lung mask and cannot be covered; leave them out")
    painted = [change(image, lung) for image, lung in zip(data.images[:, 0], data.lungs, strict=True)]
    images = np.array(painted, np.uint8).reshape(data.images.shape)
    rest = data.labels, data.classes, data.patients, data.table, data.masks, data.lungs, data.name
    return CxrDataset(images, *rest)


def controls(
    train: CxrDataset, test: CxrDataset, recipe: Recipe = RECIPE, seeds: Sequence[int] = (0,), progress: bool = True
) -> Controls:
    """Train and test anew on every version of the images (see ``cover``), to see what still tells the classes apart.

    Each version has networks of its own, trained and tested on that version by the same recipe at the size of the data.
    Beside them a classifier that knows of each image only file type, file size, borders and white boxes.
    An image in which no lungs are found is left out of all versions, and counted.

    Parameters
    ----------
    train, test : CxrDataset
        Images of different patients. The lungs are their own, where they have masks, else those that ``cxr.lungs``
        finds in the untouched images. The fewer pixels, the quicker; markers need about 96.
    recipe, seeds : Recipe, sequence of int
        How to train; each version gets one network per seed.

    Raises
    ------
    ValueError
        No lungs in most of the images, or fewer than ten images of a class, to train on or to score.
    """
    seeds = several("seeds", seeds, whole)
    if (train.classes, train.size) != (test.classes, test.size):
        of = " and ".join(f"{', '.join(part.classes)} at {part.size} px" for part in (train, test))
        raise ValueError(f"train, test: give images of the same classes and size, got {of}")
    found = [where_lungs(part, progress) for part in (train, test)]
    left_out = len(train) + len(test) - sum(map(len, found))
    if left_out > sum(map(len, found)):
        told = f"no lungs were found in {left_out:,} of {len(train) + len(test):,} images"
        raise ValueError(f"{told}: give frontal X-rays of whole chests of at least 64 px, or lung masks with them")
    for part, what in zip(found, ("train on", "score"), strict=True):
        counts = np.bincount(part.labels, minlength=len(part.classes))
        if len(counts) < 2 or counts.min() < FEWEST:
            told = ", ".join(f"{n} {name}" for n, name in zip(counts, part.classes, strict=True))
            raise ValueError(
                f"controls: give two classes or more, with {FEWEST} images with lungs of each to {what}, got {told}; "
                "add images, or leave a class out"
            )
    reports = {version: [] for version in VERSIONS}
    with bar(total=len(reports) * len(seeds), desc="controls", unit="network", show=progress) as shown:
        for version, scored in reports.items():
            shown.set_postfix_str(version)
            learned, seen = (cover(part, version) for part in found)
            for seed in seeds:
                one = recipe.replace(size=train.size, seed=seed, crop=None)
                fit(model := build(one, train.classes), learned, None, one, progress=False)
                scored.append(Report(seen.labels, predict(model, seen), seen.classes, seen.patients))
                shown.update()
    reports[METADATA] = [_metadata_alone(*found)] * len(seeds)
    return Controls(reports, recipe, tuple(seeds), len(found[0]), left_out, found[1][:1])


def _metadata_alone(train: CxrDataset, test: CxrDataset) -> Report:
    """Score what is known of the images without looking at a lung."""
    pixels = [measure.pixel_statistics(part) for part in (train, test)]
    table = pd.concat([train.table, test.table], ignore_index=True)
    known = measure.metadata_features(table, {name: np.r_[pixels[0][name], pixels[1][name]] for name in pixels[0]})
    seen = np.hstack(list(known.values()))
    forest = measure.metadata_forest().fit(seen[: len(train)], train.labels)
    return Report(test.labels, forest.predict_proba(seen[len(train) :]), test.classes, test.patients)


def where_lungs(data: CxrDataset, progress: bool) -> CxrDataset:
    """Give the images in which lungs are found, with their lungs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No lungs were found")  # they are counted
        data = data.with_lungs(progress)
    return data[data.lungs.any((1, 2))]


@dataclass(eq=False)
class Controls:
    """What networks could still tell when parts of the images were covered; shows itself in a notebook.

    Parameters
    ----------
    reports : dict of str to list of Report
        The scores of every version's networks, one per seed; all of the same images.
    recipe, seeds : Recipe, sequence of int
        How the networks were trained.
    training, left_out : int
        Images that they were trained on; images without lungs, of training and scoring, which are in no version.
    example : CxrDataset
        An image with its lungs, for the picture.
    """

    reports: dict[str, list[Report]]
    recipe: Recipe
    seeds: Sequence[int]
    training: int
    left_out: int
    example: CxrDataset

    @cached_property
    def table(self) -> pd.DataFrame:
        """Balanced accuracy, AUC and its difference to the untouched images, one row per version.

        Each is the mean over the seeds, with low and high: 95 %, bootstrap over patients, the same patients in both
        versions of a difference. ``auc_min`` and ``auc_max`` are of the lowest and the highest seed.
        """
        names = [name + end for name in ("balanced_accuracy", "auc", "difference") for end in ("", "_low", "_high")]
        rows, untouched = {}, _drawn(self.reports["untouched"], "auc")
        for version, reports in self.reports.items():
            auc, seeds = _drawn(reports, "auc"), [report["auc"] for report in reports]
            values = (_drawn(reports, "macro_recall"), auc, auc - untouched)
            rows[version] = [*(x for v in values for x in (v[0], *ends(v[1:]))), min(seeds), max(seeds)]
        return pd.DataFrame.from_dict(rows, "index", columns=[*names, "auc_min", "auc_max"]).rename_axis("version")

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """AUC of each class against the rest, mean over the seeds, one row per version: columns (class, value or end).

        A class that lungs do not explain has a source of its own.
        """
        first, rows = self.reports["untouched"][0], {}
        drawn = draws(groups(first.patients, len(first.labels)), first.bootstrap, first.seed)
        weights = np.concatenate([np.ones((1, len(first.labels))), *drawn])
        for version, reports in self.reports.items():
            for k, name in enumerate(first.classes):
                auc = np.mean([weighted_auc(r.labels == k, r.probs[:, k], weights) for r in reports], axis=0)
                rows.setdefault(version, {}).update(
                    {(name, what): x for what, x in zip(("auc", "low", "high"), (auc[0], *ends(auc[1:])), strict=True)}
                )
        return pd.DataFrame.from_dict(rows, "index").rename_axis("version")

    @cached_property
    def beyond_box(self) -> tuple[float, float, float]:
        """By how much the AUC with lungs black is above that of the box alone; with low and high."""
        black, box = (_drawn(self.reports[version], "auc") for version in ("lungs black", "box alone"))
        return float(black[0] - box[0]), *map(float, ends(black[1:] - box[1:]))

    @property
    def findings(self) -> list[str]:
        """What the numbers say, in sentences."""
        said = []
        for version, what in _ALONE.items():
            row = self.table.loc[version, ["auc", "auc_low", "auc_high"]]
            than = f"{_judged(row['auc_low'] - 0.5, row['auc_high'] - 0.5)} than guessing"
            sentence = f"{what} gives an AUC of {text(*row)}: {than}."
            if version == "box alone":
                beyond = text(*self.beyond_box, "+.3f")
                sentence += f" What lies outside adds {beyond} to that: {_judged(*self.beyond_box[1:])}."
            said.append(sentence)
        for version, what in _WITHOUT.items():
            row = self.table.loc[version, ["difference", "difference_low", "difference_high"]]
            said.append(f"Without {what} the AUC changes by {text(*row, '+.3f')}: {_judged(*row[1:])}.")
        return said

    def _about(self) -> list[str]:
        report, networks = self.reports["untouched"][0], f"{len(self.seeds)} per version"
        counts = f"scored on {len(report.labels):,} images of {len(np.unique(report.patients)):,} other patients"
        return [
            f"Networks: {networks}, trained on {self.training:,} images and {counts}; {self.left_out:,} images without "
            "lungs that could be found are left out.",
            "In brackets 95 %, bootstrap over patients; differences are of the same patients. A network that knows "
            f"nothing has an AUC of 0.5 and a balanced accuracy of {1 / len(report.classes):.2f}.",
            "A version shows what the images hold, not what a network of untouched images looks at. What lies outside "
            "the lungs need not be a fault of the data set: the ill lie differently and carry tubes.",
        ]

    def _shown(self) -> tuple[list[str], list[list]]:
        """Give the titles and rows of the table for people."""
        head = ["version", "balanced accuracy", "AUC", "AUC, difference to untouched"]
        kinds = ("balanced_accuracy", "auc", "difference")
        rows = [
            [version, *(tuple(row[[kind, f"{kind}_low", f"{kind}_high"]]) for kind in kinds)]
            for version, row in self.table.iterrows()
        ]
        if len(self.seeds) > 1:
            head.append("AUC, lowest and highest seed")
            for row, low, high in zip(rows, self.table["auc_min"], self.table["auc_max"], strict=True):
                row.append(f"{low:.3f}, {high:.3f}")
        names = self.reports["untouched"][0].classes
        for name in names if len(names) > 2 else ():
            head.append(f"AUC of {name}")
            for row, cells in zip(rows, self.per_class[name].to_numpy(), strict=True):
                row.append(tuple(map(float, cells)))
        return head, rows

    def __str__(self) -> str:
        head, rows = self._shown()
        cells = [[cell if isinstance(cell, str) else text(*cell) for cell in row] for row in rows]
        return "\n".join([pd.DataFrame(cells, columns=head).to_string(index=False), *self.findings, *self._about()])

    __repr__ = __str__

    def plot(self) -> plot.Figure:
        """Draw the AUC of every version with its interval."""
        rows = {version: tuple(row[["auc", "auc_low", "auc_high"]]) for version, row in self.table.iterrows()}
        return plot.intervals(rows, "AUC", reference=0.5)

    def pictures(self) -> plot.Figure:
        """Show every version of one image."""
        images = np.concatenate([cover(self.example, version).images for version in VERSIONS])
        label, patient = (np.repeat(one, len(images)) for one in (self.example.labels, self.example.patients))
        fig = plot.xrays(CxrDataset(images, label, self.example.classes, patient), list(VERSIONS), columns=4, width=7)
        fig.alt = f"One chest X-ray in {len(images)} versions: {', '.join(VERSIONS)}."
        return fig

    def _repr_html_(self) -> str:
        shown = f"<h4>Controls</h4>{self.pictures().to_html()}{self.plot().to_html()}{table(*self._shown())}"
        said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.findings)
        return f"{shown}<ul>{said}</ul><p><small>{html.escape(' '.join(self._about()))}</small></p>"

    def to_dict(self) -> dict:
        """Give plain values for JSON: no image, no patient."""
        report = self.reports["untouched"][0]
        about = {"images": len(report.labels), "patients": len(np.unique(report.patients)), "training": self.training}
        about |= {"left_out": self.left_out, "seeds": self.seeds, "recipe": self.recipe.to_dict()}
        each = {v: {c: list(row[c]) for c in self.reports[v][0].classes} for v, row in self.per_class.iterrows()}
        return plain(
            about | {"versions": self.table.to_dict("index"), "beyond_box": self.beyond_box, "per_class": each}
        )


_ALONE = {
    "lungs black": "What lies outside the box around the lungs, with place and size of the box,",
    "box alone": "The place and size of that box alone", "only border": "The border alone",
    METADATA: "File type, file size, borders and white boxes, without any picture,",
}  # fmt: skip
_WITHOUT = {
    "only lungs": "what lies outside the box", "border black": "the border",
    "markers painted": "what looks like markers",
}  # fmt: skip


def _drawn(reports: list[Report], name: str) -> np.ndarray:
    """Give the mean of reports in one value, followed by those of the resamples: (1 + B,)."""
    return np.mean([np.r_[report[name], report.resamples[name]] for report in reports], axis=0)


def _judged(low: float, high: float) -> str:
    if low > 0:
        return "clearly more"
    if high < 0:
        return "clearly less"
    return "not clearly more or less"
