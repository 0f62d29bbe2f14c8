"""evaluate: how good is a model, with intervals that respect that images of one patient belong together.

What is undefined is NaN (null in JSON, "–" for people): recall, precision and F1 of a class without images, and the
precision of a class that is never predicted. Macro values, balanced accuracy among them, are means over the classes
that have images, as in scikit-learn's ``balanced_accuracy_score``; they are undefined where one of these is. The mean
area under ROC and precision-recall curves is undefined as soon as one class has no image, or all of them.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from torch import nn

from . import plot
from ._findings import FindingsReport
from ._predict import precision_used, predict
from .bootstrap import WithIntervals, draws, groups
from .files import has_shape, read_json, write_json
from .inputs import check_labels, probabilities
from .multilabel import is_multilabel, targets
from .ranking import weighted_auc, weighted_average_precision
from .validate import array, number, one_of, short, whole
from .values import plain, table, text

if TYPE_CHECKING:
    from .data import CxrDataset

__all__ = ["FindingsReport", "Report", "best_threshold", "evaluate"]
SHOWN = {"macro_f1": "macro F1", "auc": "AUC", "ece": "ECE", "macro_recall": "balanced accuracy"}
BINS = 15  # of the reliability diagram and the expected calibration error (Naeini et al. 2015), as in Guo et al. 2017


def evaluate(
    model: nn.Module, data: CxrDataset, *, threshold: float | Mapping | CxrDataset | None = None,
    bootstrap: int = 1000, seed: int = 0, tta: Sequence = (), batch_size: int = 64, precision: str = "fp32",
    progress: bool = False,
) -> Report | FindingsReport:  # fmt: skip
    """Score a model on a data set with the same classes in the same order; a multi-label network finding by finding.

    Parameters
    ----------
    model, data : CxrNet, CxrDataset
    threshold : float or CxrDataset, optional
        Two classes only. A number, or a *validation* data set on which the threshold with the highest balanced accuracy
        is chosen and carried over. None decides at 0.5. For findings: one for all, {finding: threshold}, or a data set.
    bootstrap, seed : int
        Resamples of the patients behind the 95 % intervals (0: none), and their seed.
    tta, batch_size, precision, progress
        As for ``predict``. The report's ``precision`` names the format that was used.
    """
    if len(data) == 0:
        raise ValueError("data is empty: there is nothing to evaluate")
    known, several = tuple(getattr(model, "classes", data.classes)), is_multilabel(model)
    for name, given in (("data", data), ("threshold", threshold)):
        if not several and tuple(getattr(given, "classes", known)) != known:
            remedy = f"{name}.with_classes(model.classes) takes them in this order"
            built = f"the model was built for {list(known)}; {remedy}"
            raise ValueError(f"{name}: its classes are {list(given.classes)}; {built}")
    options = {"tta": tta, "batch_size": batch_size, "precision": precision, "progress": progress}
    labels = targets(model, data.classes)[data.labels] if several else data.labels
    if threshold is not None and len(known) != 2 and not several:
        raise ValueError(f"threshold: give one for two classes only, the model has {len(known)}")
    cut, source = (0.5, "default") if threshold is None else (threshold, "given")
    if hasattr(threshold, "labels"):
        chosen_on = evaluate(model, threshold, bootstrap=0, **options)
        cut, source = chosen_on.best_threshold(), f"chosen on {len(threshold)} validation images"
    elif not several:
        number("threshold (or give a validation CxrDataset)", cut)
    probs = predict(model, data, **options)
    used = precision_used(precision, next(model.parameters()).device)
    make = findings_report if several else Report
    how = {"bootstrap": bootstrap, "seed": seed, "data": data, "precision": used}
    return make(labels, probs, known, data.patients, cut, source, **how)


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Find the threshold with the highest balanced accuracy (Youden's J): predict class 1 where score >= threshold.

    ``labels`` (N,) are 0 or 1, ``scores`` (N,) such as probabilities of class 1; ValueError where a class has no image.
    The middle between two neighboring scores is taken, so that a tiny change of a score does not flip a decision.
    """
    labels, scores = array("labels", labels, ("images",), "biu"), array("scores", scores, ("images",)).astype(float)
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"labels: give images of both classes to choose a threshold on, got only {np.unique(labels)}")
    fpr, tpr, cut = sk.roc_curve(labels, scores, drop_intermediate=False)
    best = int(np.argmax(tpr - fpr))
    if best == 0:  # roc_curve's first point predicts nothing as positive
        return float(np.nextafter(scores.max(), np.inf))
    below = scores[scores < cut[best]]
    return float((cut[best] + below.max()) / 2) if len(below) else float(cut[best])


@dataclass(eq=False)
class Report(WithIntervals):
    """Everything measured about a set of predictions; shows itself in a notebook.

    Parameters
    ----------
    labels, probs : array_like, (N,) int and (N, K)
        The true classes; class probabilities, of which each row sums to 1.
    classes : sequence of K str
        With two classes the second is the positive one.
    patients : array_like, (N,), optional
        Group keys for the bootstrap; None counts every image as its own patient.
    threshold, threshold_source : float, str
        Two classes only: class 1 is predicted where its probability is at least this; where it comes from, in words.
    bootstrap, seed : int
        Resamples of the patients behind the intervals (0: none), and their seed.
    data : CxrDataset, optional
        The images, to show the mistakes.
    precision : str, optional
        The number format in which the probabilities were computed, such as "fp32".
    """

    labels: np.ndarray
    probs: np.ndarray
    classes: tuple[str, ...]
    patients: np.ndarray | None = None
    threshold: float = 0.5
    threshold_source: str = "default"
    bootstrap: int = 1000
    seed: int = 0
    data: object = field(default=None, repr=False)
    precision: str | None = None

    def __post_init__(self) -> None:
        named = isinstance(self.classes, Sequence | np.ndarray) and not isinstance(self.classes, str)
        if not named or len(set(map(str, self.classes))) < len(self.classes):
            raise ValueError(f"classes: give a list of different names, got {short(self.classes)}")
        self.labels = check_labels(array("labels", self.labels, ("images",), "biu"), len(self.classes))
        n, k = len(self.labels), len(self.classes)
        self.probs = probabilities("probs", self.probs, (n, k))
        self._group = groups(self.patients, n)
        self.patients = np.arange(n) if self.patients is None else np.asarray(self.patients)
        self.threshold = number("threshold", self.threshold)
        whole("bootstrap", self.bootstrap, 0, 1_000_000)
        whole("seed", self.seed)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted classes, (N,)."""
        if len(self.classes) == 2:
            return (self.probs[:, 1] >= self.threshold).astype(np.int64)
        return self.probs.argmax(1)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts (K, K), rows true, columns predicted."""
        return sk.confusion_matrix(self.labels, self.predicted, labels=range(len(self.classes)))

    def _measure(self, blocks: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Every value for each row of weights (B, N) of the images; all ones are the images as they are."""
        n, k = len(self.labels), len(self.classes)
        cell = np.zeros((n, k * k))
        cell[np.arange(n), self.labels * k + self.predicted] = 1
        bins, confidence, correct = self._bins()
        gap = np.zeros((n, BINS))
        gap[np.arange(n), bins] = confidence - correct
        found = []
        for weights in blocks:
            ranked = [(self.labels == j, self.probs[:, j], weights) for j in self.curve_classes]
            means, single = _from_confusions((weights @ cell).reshape(-1, k, k), self.classes, self.confusion.any(1))
            areas = {
                "auc": np.mean([weighted_auc(*r) for r in ranked], axis=0),
                "average_precision": np.mean([weighted_average_precision(*r) for r in ranked], axis=0),
                "ece": np.abs(weights @ gap).sum(1) / weights.sum(1),
            }
            found.append(means | areas | single)
        return {name: np.concatenate([part[name] for part in found]) for name in (found[0] if found else ())}

    @cached_property
    def values(self) -> dict[str, float]:
        """Every value by name; NaN where it is undefined.

        accuracy, macro_recall (also called balanced accuracy), macro_precision, macro_f1, auc, average_precision, ece,
        and for every class precision[c], recall[c], f1[c].
        """
        return {name: float(v[0]) for name, v in self._measure([np.ones((1, len(self.labels)))]).items()}

    @cached_property
    def resamples(self) -> dict[str, np.ndarray]:
        """Every value in each resample of the patients, (B,): the same patients in all reports of the same images."""
        return self._measure(draws(self._group, self.bootstrap, self.seed))

    @property
    def curve_classes(self) -> list[int]:
        """The classes that get a ROC curve, the positive one of two, each one of more."""
        return [1] if len(self.classes) == 2 else list(range(len(self.classes)))

    def roc(self, k: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the false positive rate, true positive rate and thresholds of class ``k`` against the rest."""
        positive = self.labels == k
        if positive.all() or not positive.any():
            return np.array([0.0, 1.0]), np.array([np.nan, np.nan]), np.array([1.0, 0.0])
        return sk.roc_curve(positive, self.probs[:, k])

    def precision_recall(self, k: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give precision, recall and thresholds of class ``k`` against the rest."""
        if not (self.labels == k).any():
            return np.array([np.nan, 1.0]), np.array([np.nan, 0.0]), np.array([1.0])
        return sk.precision_recall_curve(self.labels == k, self.probs[:, k])

    def operating_point(self) -> tuple[float, float]:
        """Give (false positive rate, true positive rate) at the threshold in use; two classes only."""
        specificity, recall = (self[f"recall[{c}]"] for c in self.classes)
        return 1 - specificity, recall

    def _bins(self) -> tuple[np.ndarray, ...]:
        """Of every image its bin of confidence, its confidence, and whether the most probable class is right."""
        confidence = self.probs.max(1)
        return np.clip((confidence * BINS).astype(int), 0, BINS - 1), confidence, self.probs.argmax(1) == self.labels

    def reliability(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give mean confidence, fraction correct and number of images in each non-empty of 15 bins of confidence."""
        bins, confidence, correct = self._bins()
        count = np.bincount(bins, minlength=BINS)
        used = count > 0
        return *(np.bincount(bins, v, BINS)[used] / count[used] for v in (confidence, correct)), count[used]

    def best_threshold(self) -> float:
        """Find the threshold with the highest balanced accuracy, see the function of that name; two classes only."""
        return best_threshold(self.labels, self.probs[:, 1])

    def at(self, threshold: float, source: str = "given") -> Report:
        """Judge the same predictions at another threshold (two classes only)."""
        if len(self.classes) != 2:
            raise ValueError(f"threshold: give one for two classes only, this report has {len(self.classes)}")
        return replace(self, threshold=threshold, threshold_source=source)

    @property
    def mistakes(self) -> pd.DataFrame:
        """The misclassified images, most confident first: row, true, predicted, probability, patient, file if known."""
        names, sure = np.array(self.classes), self.probs[np.arange(len(self.labels)), self.predicted]
        frame = pd.DataFrame({"true": names[self.labels], "predicted": names[self.predicted]}, dtype=object)
        frame["probability"], frame["patient"] = sure, self.patients
        if self.data is not None and "file" in self.data.table:
            frame["file"] = self.data.table["file"].to_numpy()
        wrong = frame[self.predicted != self.labels].sort_values("probability", ascending=False, kind="stable")
        return wrong.rename_axis("row").reset_index()

    def show_mistakes(self, n: int = 12) -> plot.Figure:
        """Show the ``n`` most confident mistakes as pictures."""
        if self.data is None:
            raise ValueError("this report was made from arrays; the pictures need evaluate(model, data)")
        wrong = self.mistakes.head(n)
        if wrong.empty:
            raise ValueError("there are no mistakes to show")
        titles = [f"{r.true}, called\n{r.predicted} {r.probability:.2f}" for r in wrong.itertuples()]
        return plot.xrays(self.data[wrong["row"].to_numpy()], titles)

    def plot(self) -> plot.Figure:
        """Draw confusion matrix, ROC, precision-recall and reliability, side by side."""
        return plot.report(self)

    def to_dict(self) -> dict:
        """Give plain values for JSON: no images, no patient keys, no file names; null where undefined."""
        curves = {}
        for k in self.curve_classes:
            fpr, tpr, _ = self.roc(k)
            keep = np.unique(np.linspace(0, len(fpr) - 1, 200).round().astype(int))
            curves[self.classes[k]] = {"fpr": fpr[keep], "tpr": tpr[keep]}
        about = {"classes": list(self.classes), "images": len(self.labels), "patients": int(self._group.max()) + 1}
        about["threshold"] = self.threshold if len(self.classes) == 2 else None
        names = ("threshold_source", "bootstrap", "precision", "values", "intervals", "confusion")
        return plain(about | {name: getattr(self, name) for name in names} | {"roc": curves})

    def save(self, path: str | Path) -> Path:
        """Write :meth:`to_dict` and the predictions as JSON; patients become numbers, images are not kept."""
        kept = self.predictions() | {"threshold": self.threshold, "seed": int(self.seed)}
        return write_json(path, self.to_dict() | {"predictions": kept})

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what :meth:`save` wrote: the same values, intervals and figures; ValueError names any other file."""
        found = read_json(path)
        kept = {"labels": list, "probs": list, "patients": list, "threshold": float, "seed": int}
        if not has_shape(found, {"classes": [str], "threshold_source": str, "bootstrap": int, "predictions": kept}):
            raise ValueError(f"{path} was not written by Report.save, or it was changed; save the report again")
        same = {name: found[name] for name in ("classes", "threshold_source", "bootstrap")}
        try:
            return cls(**found["predictions"], **same, precision=found.get("precision"))
        except ValueError as error:
            raise ValueError(f"{path} holds no report: {error}") from None

    def _about(self) -> list[str]:
        """Say what a reader must know beside the values."""
        said = [f"{len(self.labels)} images of {self._group.max() + 1} patients"]
        if len(self.classes) == 2:
            said.append(f"threshold {self.threshold:.3f} ({self.threshold_source})")
        names, have, called = np.array(self.classes), self.confusion.any(1), self.confusion.any(0)
        if len(missing := names[~have]):
            said.append(f"no image of {', '.join(missing)} (left out of the means, areas undefined)")
        if len(never := names[have & ~called]):
            said.append(f"{', '.join(never)} never predicted (precision undefined)")
        return said

    def __str__(self) -> str:
        names = ["accuracy", "macro_f1", "auc", *(f"recall[{c}]" for c in self.classes)]
        return ", ".join(self._about()) + ": " + ", ".join(f"{n} {text(*self.interval(n))}" for n in names)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        overall = ["accuracy", "macro_recall", "macro_f1", "auc", "average_precision", "ece"]
        head = ["", *(SHOWN.get(n, n.replace("_", " ")) for n in overall)]
        kinds, counts = ("precision", "recall", "f1"), zip(self.classes, self.confusion.sum(1), strict=True)
        rows = [(c, count, *(self.interval(f"{kind}[{c}]") for kind in kinds)) for c, count in counts]
        note = self._about() + (["small print: 95 % intervals, bootstrap over patients"] if self.bootstrap else [])
        means = table(head, [("all", *map(self.interval, overall))])
        single = table(["class", "images", "precision", "recall", "F1"], rows)
        return self.plot().to_html() + means + single + f"<p><small>{html.escape('; '.join(note))}.</small></p>"


def findings_report(
    labels: np.ndarray, probs: np.ndarray, classes: Sequence[str], patients: np.ndarray | None = None,
    threshold: float | Mapping[str, float] = 0.5, threshold_source: str = "default", **options: object,
) -> FindingsReport:  # fmt: skip
    """Make the report of K findings that can come together, the ``classes``, from arrays.

    ``labels`` (N, K) are 0 or 1, ``probs`` (N, K) have any sum in a row. ``threshold`` is one for all findings, or
    {finding: threshold}; what is not named is decided at 0.5. ``patients``, ``threshold_source`` and the ``options``
    bootstrap, seed, data and precision are as for ``Report``.
    """
    labels = array("labels", labels, ("images", len(classes)), "biu").astype(np.int64)
    probs = probabilities("probs", probs, labels.shape, sums=False)
    cuts = threshold if isinstance(threshold, Mapping) else dict.fromkeys(classes, threshold)
    for name in cuts:
        one_of("threshold", name, classes)
    found = {}
    for name, there, p in zip(classes, labels.T, probs.T, strict=True):
        pair = f"no {name}", name
        cut = cuts.get(name, 0.5)
        found[name] = Report(there, np.c_[1 - p, p], pair, patients, cut, threshold_source, **options)
    return FindingsReport(found)


def _from_confusions(matrices: np.ndarray, classes: Sequence[str], present: np.ndarray) -> tuple[dict, dict]:
    """Values (B,) of (B, K, K) confusion matrices: means over the ``present`` classes, and those of every class."""
    hits = np.einsum("bkk->bk", matrices)
    true, called = matrices.sum(2), matrices.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / true
        precision = np.where(true > 0, hits / called, np.nan)
        f1 = np.where(true > 0, 2 * hits / (true + called), np.nan)
    kinds = {"recall": recall, "precision": precision, "f1": f1}
    means = {"accuracy": hits.sum(1) / matrices.sum((1, 2))}
    means |= {f"macro_{kind}": v[:, present].mean(1) for kind, v in kinds.items()}
    return means, {f"{kind}[{c}]": kinds[kind][:, i] for i, c in enumerate(classes) for kind in kinds}
