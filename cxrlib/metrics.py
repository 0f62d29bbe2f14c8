"""evaluate: how good is a model, with intervals that respect that images of one patient belong together."""

from __future__ import annotations

import html
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn import metrics as sk

from . import plot
from .device import autocast_dtype
from .files import write_json
from .progress import bar as progress_bar

SHOWN = {"macro_f1": "macro F1", "auc": "AUC", "ece": "ECE", "macro_recall": "balanced accuracy"}
BINS = 15  # of the reliability diagram and the expected calibration error, as in Guo et al. 2017


def predict(model, data, *, batch_size: int = 64, precision: str = "auto", progress: bool = False) -> np.ndarray:
    """Class probabilities (N, K) float64 of ``model`` for the images of ``data`` (a CxrDataset).

    The model's training mode is left as it was found.
    """
    device = next(model.parameters()).device
    dtype = autocast_dtype(precision, device)
    was_training = model.training
    model.eval()
    probs = []
    try:
        with torch.no_grad(), progress_bar(total=len(data), desc="predict", unit="image", show=progress) as bar:
            for start in range(0, len(data), batch_size):
                images = data.batch(np.arange(start, min(start + batch_size, len(data))))
                x = torch.from_numpy(np.ascontiguousarray(images)).to(device, torch.float32).div_(255)
                with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                    logits = model(x)
                probs.append(logits.double().softmax(1).cpu().numpy())
                bar.update(len(images))
    finally:
        model.train(was_training)
    return np.concatenate(probs) if probs else np.empty((0, len(data.classes)))


def evaluate(
    model,
    data,
    *,
    threshold=None,
    bootstrap: int = 1000,
    seed: int = 0,
    tta=(),
    batch_size: int = 64,
    precision: str = "auto",
    progress: bool = False,
) -> Report:
    """Score ``model`` on ``data`` and return a :class:`Report`.

    Parameters
    ----------
    model : from ``build_model``, trained.
    data : a CxrDataset.
    threshold : two classes only. A number, or a *validation* CxrDataset on which the threshold with the highest
        balanced accuracy is chosen and carried over. None decides at 0.5.
    bootstrap : resamples of the patients behind the 95 % intervals; 0 leaves the intervals out.
    seed : of the bootstrap.
    tta : test-time augmentation: the views of each image whose probabilities are averaged, see
        ``ensemble.predict_views``. None of them: the image as it is.

    Raises
    ------
    ValueError : empty data, a class unknown to the model, a threshold for more than two classes.
    """
    if len(data) == 0:
        raise ValueError("data is empty: there is nothing to evaluate")
    known = tuple(getattr(model, "classes", data.classes))
    if tuple(data.classes) != known:
        unknown = [c for c in data.classes if c not in known]
        raise ValueError(
            (f"the model does not know the class(es) {unknown}; " if unknown else "")
            + f"it was built for {list(known)}, data has {list(data.classes)}"
        )

    def scores(images) -> np.ndarray:
        options = {"batch_size": batch_size, "precision": precision, "progress": progress}
        if not tta:
            return predict(model, images, **options)
        from .ensemble import predict_views  # which imports this module

        return predict_views(model, images, tta, **options)

    chosen, source = 0.5, "default"
    if threshold is not None:
        if len(known) != 2:
            raise ValueError(f"threshold needs exactly two classes, the model has {len(known)}")
        if isinstance(threshold, int | float):
            chosen, source = float(threshold), "given"
        else:
            chosen = best_threshold(threshold.labels, scores(threshold)[:, 1])
            source = f"chosen on {len(threshold)} validation images"
    return Report(
        data.labels,
        scores(data),
        data.classes,
        data.patients,
        threshold=chosen,
        threshold_source=source,
        bootstrap=bootstrap,
        seed=seed,
        data=data,
    )


def best_threshold(labels, scores) -> float:
    """The threshold with the highest balanced accuracy (Youden's J): predict class 1 where score >= threshold.

    ``labels`` (N,) 0 or 1, ``scores`` (N,). Between two neighboring scores that do equally well the middle is
    taken, so that a tiny change of a score does not flip a decision.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=float)
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"a threshold can only be chosen on images of both classes; labels are {np.unique(labels)}")
    fpr, tpr, cut = sk.roc_curve(labels, scores, drop_intermediate=False)
    best = int(np.argmax(tpr - fpr))
    if best == 0:  # roc_curve's first point predicts nothing as positive
        return float(np.nextafter(scores.max(), np.inf))
    below = scores[scores < cut[best]]
    return float((cut[best] + below.max()) / 2) if len(below) else float(cut[best])


def _array(name: str, values, numbers: bool = True) -> np.ndarray:
    """The values as an array. Raises ValueError where they do not make one."""
    try:
        found = np.asarray(values)
    except (TypeError, ValueError, OverflowError):
        found = np.asarray(None)
    if not numbers and found.dtype.kind == "O" and all(isinstance(value, str) for value in found.flat):
        found = found.astype(str)
    if found.dtype.kind not in ("biuf" if numbers else "biufUS") and found.size or not found.ndim:
        raise ValueError(
            f"{name} must be {'numbers' if numbers else 'numbers or texts'} in an array, got {reprlib.repr(values)}"
        )
    return found


@dataclass(eq=False)
class Report:
    """Everything measured about a set of predictions; shows itself in a notebook.

    Parameters
    ----------
    labels : (N,) int, the true classes.
    probs : (N, K) float, each row sums to 1.
    classes : K names. With two classes the second is the positive one.
    patients : (N,) group keys for the bootstrap; None counts every image as its own patient.
    threshold : two classes only: class 1 is predicted where its probability is at least this.

    Attributes ``values`` (name -> number) and ``intervals`` (name -> (low, high), 95 %) hold accuracy, macro_recall
    (also called balanced accuracy), macro_precision, macro_f1, auc, average_precision, ece, and for every class
    precision[c], recall[c], f1[c].
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

    def __post_init__(self):
        self.labels = _array("labels", self.labels)
        self.probs = _array("probs", self.probs).astype(float)
        if (
            isinstance(self.classes, str)
            or not isinstance(self.classes, Sequence | np.ndarray)
            or len(set(map(str, self.classes))) < len(self.classes)
        ):
            raise ValueError(f"classes must be a list of different names, got {reprlib.repr(self.classes)}")
        if self.labels.ndim != 1 or (len(self.labels) and self.labels.dtype.kind not in "iub"):
            raise ValueError(
                f"labels must be a list of whole numbers, one for each image, got {reprlib.repr(self.labels.tolist())}"
            )
        n, k = len(self.labels), len(self.classes)
        if self.probs.shape != (n, k):
            raise ValueError(f"probs must have the shape (images, classes) = ({n}, {k}), got {self.probs.shape}")
        if n == 0:
            raise ValueError("labels is empty: there is nothing to evaluate")
        if not np.isfinite(self.probs).all():
            raise ValueError("probs holds NaN or infinity: the model's training has probably diverged")
        if (self.probs < 0).any() or not np.allclose(self.probs.sum(1), 1, atol=1e-4):
            raise ValueError("probs must be probabilities: every row at least 0 and with the sum 1 (softmax once)")
        if self.labels.min() < 0 or self.labels.max() >= k:
            raise ValueError(f"labels must lie in 0..{k - 1} for {k} classes, got up to {self.labels.max()}")
        self.patients = np.arange(n) if self.patients is None else _array("patients", self.patients, numbers=False)
        if self.patients.shape != (n,):
            raise ValueError(f"patients must have one entry for each of the {n} images, got {self.patients.shape}")
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, Real) or self.threshold != self.threshold:
            raise ValueError(f"threshold must be a number, got {reprlib.repr(self.threshold)}")
        for name in ("bootstrap", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, got {reprlib.repr(value)}")
        if self.bootstrap > 1_000_000:
            raise ValueError(f"bootstrap must be at most 1,000,000 resamples, got {reprlib.repr(self.bootstrap)}")

    # Decisions and point estimates: scikit-learn computes.

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N,) predicted classes."""
        if len(self.classes) == 2:
            return (self.probs[:, 1] >= self.threshold).astype(np.int64)
        return self.probs.argmax(1)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(K, K) counts, rows true, columns predicted."""
        return sk.confusion_matrix(self.labels, self.predicted, labels=range(len(self.classes)))

    @cached_property
    def values(self) -> dict[str, float]:
        k = range(len(self.classes))
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            self.labels, self.predicted, labels=k, zero_division=0
        )
        values = {
            "accuracy": sk.accuracy_score(self.labels, self.predicted),
            "macro_recall": recall.mean(),
            "macro_precision": precision.mean(),
            "macro_f1": f1.mean(),
            "auc": auc_of(self.labels, self.probs),
            "average_precision": self._average_precision(),
            "ece": self.ece(),
        }
        for c, p, r, f in zip(self.classes, precision, recall, f1, strict=True):
            values |= {f"precision[{c}]": p, f"recall[{c}]": r, f"f1[{c}]": f}
        return {name: float(v) for name, v in values.items()}

    def __getitem__(self, name: str) -> float:
        """A value by name: ``report["auc"]``."""
        if name not in self.values:
            raise KeyError(f"{name!r} is not a value of this report; it has {', '.join(self.values)}")
        return self.values[name]

    @property
    def curve_classes(self) -> list[int]:
        """The classes that get a ROC curve: the positive one of two, each one of more."""
        return [1] if len(self.classes) == 2 else list(range(len(self.classes)))

    def _average_precision(self) -> float:
        return float(
            np.mean(
                [
                    sk.average_precision_score(self.labels == k, self.probs[:, k])
                    if (self.labels == k).any()
                    else np.nan
                    for k in self.curve_classes
                ]
            )
        )

    def roc(self, k: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """False positive rate, true positive rate and thresholds of class ``k`` against the rest."""
        positive = self.labels == k
        if positive.all() or not positive.any():
            return np.array([0.0, 1.0]), np.array([np.nan, np.nan]), np.array([1.0, 0.0])
        return sk.roc_curve(positive, self.probs[:, k])

    def precision_recall(self, k: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and thresholds of class ``k`` against the rest."""
        if not (self.labels == k).any():
            return np.array([np.nan, 1.0]), np.array([np.nan, 0.0]), np.array([1.0])
        return sk.precision_recall_curve(self.labels == k, self.probs[:, k])

    def operating_point(self) -> tuple[float, float]:
        """(false positive rate, true positive rate) at the threshold in use; two classes only."""
        (tn, fp), (fn, tp) = self.confusion
        return fp / max(fp + tn, 1), tp / max(tp + fn, 1)

    def reliability(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean confidence, share correct and number of images in each non-empty of 15 equal bins of confidence.

        Confidence is the probability of the most probable class, correct means that this class is the true one.
        """
        confidence, correct = self.probs.max(1), self.probs.argmax(1) == self.labels
        bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
        count = np.bincount(bins, minlength=BINS)
        used = count > 0
        mean = np.bincount(bins, confidence, BINS)[used] / count[used]
        share = np.bincount(bins, correct, BINS)[used] / count[used]
        return mean, share, count[used]

    def ece(self) -> float:
        """Expected calibration error (Naeini et al. 2015; 15 equal bins as in Guo et al. 2017)."""
        mean, share, count = self.reliability()
        return float(np.abs(mean - share) @ count / count.sum())

    # Intervals.

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % percentile intervals from a bootstrap over patients (Efron and Tibshirani 1993).

        Whole patients are drawn, with all their images, because images of one patient are not independent.
        A resample in which a value is undefined (no image of a class) is left out for that value.
        """
        if not self.bootstrap:
            return {}
        _, group = np.unique(self.patients, return_inverse=True)
        groups = group.max() + 1
        rng = np.random.default_rng(self.seed)
        k = len(self.classes)
        cell = np.zeros((len(self.labels), k * k))
        cell[np.arange(len(self.labels)), self.labels * k + self.predicted] = 1
        drawn: dict[str, list] = {}
        step = max(1, 2_000_000 // len(self.labels))  # bounds the memory, whatever the number of images
        for start in range(0, self.bootstrap, step):
            b = min(step, self.bootstrap - start)
            weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=b)[:, group].astype(float)
            for name, value in _from_confusions((weights @ cell).reshape(b, k, k), self.classes).items():
                drawn.setdefault(name, []).append(value)
            drawn.setdefault("auc", []).append(
                np.mean([weighted_auc(self.labels == j, self.probs[:, j], weights) for j in self.curve_classes], axis=0)
            )
        return {
            name: tuple(float(x) for x in np.nanpercentile(np.concatenate(v), [2.5, 97.5]))
            for name, v in drawn.items()
            if not np.isnan(np.concatenate(v)).all()
        }

    def interval(self, name: str) -> tuple[float, float, float]:
        """(value, low, high) by name."""
        low, high = self.intervals.get(name, (float("nan"), float("nan")))
        return self[name], low, high

    # Other views.

    def at(self, threshold: float, source: str = "given") -> Report:
        """The same predictions judged at another threshold (two classes only)."""
        if len(self.classes) != 2:
            raise ValueError(f"threshold needs exactly two classes, this report has {len(self.classes)}")
        return replace(self, threshold=float(threshold), threshold_source=source)

    @property
    def table(self) -> pd.DataFrame:
        """Every value with its interval, one row a value."""
        rows = [(name, *self.interval(name)) for name in self.values]
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high"]).set_index("metric")

    @property
    def mistakes(self) -> pd.DataFrame:
        """The misclassified images, the most confident mistake first: row, true, predicted, probability, patient."""
        rows = np.flatnonzero(self.predicted != self.labels)
        probability = self.probs[rows, self.predicted[rows]]
        rows, probability = rows[np.argsort(-probability)], np.sort(probability)[::-1]
        frame = pd.DataFrame(
            {
                "row": rows,
                "true": [self.classes[i] for i in self.labels[rows]],
                "predicted": [self.classes[i] for i in self.predicted[rows]],
                "probability": probability,
                "patient": self.patients[rows],
            }
        )
        if self.data is not None and "file" in self.data.table:
            frame["file"] = self.data.table["file"].to_numpy()[rows]
        return frame

    def show_mistakes(self, n: int = 12) -> plot.Figure:
        """The ``n`` most confident mistakes as pictures."""
        if self.data is None:
            raise ValueError("this report was made from arrays; the pictures need evaluate(model, data)")
        wrong = self.mistakes.head(n)
        if wrong.empty:
            raise ValueError("there are no mistakes to show")
        titles = [f"{r.true}, called\n{r.predicted} {r.probability:.2f}" for r in wrong.itertuples()]
        return plot.xrays(self.data[wrong["row"].to_numpy()], titles)

    def plot(self) -> plot.Figure:
        """Confusion matrix, ROC, precision-recall and reliability, side by side."""
        return plot.report(self)

    def to_dict(self) -> dict:
        """Plain values for JSON: no images, no patient keys, no file names."""

        def clean(v):
            return None if not np.isfinite(v) else round(float(v), 6)

        curves = {}
        for k in self.curve_classes:
            fpr, tpr, _ = self.roc(k)
            keep = np.unique(np.linspace(0, len(fpr) - 1, 200).round().astype(int))
            curves[self.classes[k]] = {"fpr": [clean(v) for v in fpr[keep]], "tpr": [clean(v) for v in tpr[keep]]}
        return {
            "classes": list(self.classes),
            "images": len(self.labels),
            "patients": int(len(np.unique(self.patients))),
            "threshold": clean(self.threshold) if len(self.classes) == 2 else None,
            "threshold_source": self.threshold_source,
            "bootstrap": self.bootstrap,
            "values": {n: clean(v) for n, v in self.values.items()},
            "intervals": {n: [clean(lo), clean(hi)] for n, (lo, hi) in self.intervals.items()},
            "confusion": self.confusion.tolist(),
            "roc": curves,
        }

    def save(self, path: str | Path) -> Path:
        """Write :meth:`to_dict` as JSON."""
        return write_json(path, self.to_dict())

    def __str__(self) -> str:
        def line(name):
            value, low, high = self.interval(name)
            return f"{name} {value:.3f}" + (f" ({low:.3f} to {high:.3f})" if np.isfinite(low) else "")

        names = ["accuracy", "macro_f1", "auc", *(f"recall[{c}]" for c in self.classes)]
        head = f"{len(self.labels)} images of {len(np.unique(self.patients))} patients"
        if len(self.classes) == 2:
            head += f", threshold {self.threshold:.3f} ({self.threshold_source})"
        return head + ": " + ", ".join(line(n) for n in names)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def cell(name):
            value, low, high = self.interval(name)
            text = f"{value:.3f}" if np.isfinite(value) else "undefined"
            return text + (f"<br><small>{low:.3f} to {high:.3f}</small>" if np.isfinite(low) else "")

        overall = ["accuracy", "macro_recall", "macro_f1", "auc", "average_precision", "ece"]
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(c)}</th><td>{int((self.labels == i).sum())}</td>"
            + "".join(f"<td>{cell(f'{m}[{c}]')}</td>" for m in ("precision", "recall", "f1"))
            + "</tr>"
            for i, c in enumerate(self.classes)
        )
        head = "".join(f"<th scope='col'>{SHOWN.get(n, n.replace('_', ' '))}</th>" for n in overall)
        note = f"{len(self.labels)} images of {len(np.unique(self.patients))} patients"
        if self.bootstrap:
            note += "; small print: 95 % intervals, bootstrap over patients"
        if len(self.classes) == 2:
            note += f"; threshold {self.threshold:.3f} ({self.threshold_source})"
        return (
            f"{self.plot().to_html()}<div class='cxr-table'><table class='dataframe'><thead><tr>{head}</tr></thead>"
            f"<tbody><tr>{''.join(f'<td>{cell(n)}</td>' for n in overall)}</tr></tbody></table>"
            "<table class='dataframe'><thead><tr><th scope='col'>class</th><th scope='col'>images</th>"
            "<th scope='col'>precision</th><th scope='col'>recall</th><th scope='col'>F1</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div><p><small>{note}.</small></p>"
        )


def auc_of(labels, probs) -> float:
    """Area under the ROC curve: of class 1 for two classes, else the mean of one class against the rest.

    ``labels`` (N,), ``probs`` (N, K). NaN where a class has no image (or every image).
    """
    labels, probs = np.asarray(labels), np.asarray(probs)
    if not np.isfinite(probs).all():
        return float("nan")
    which = [1] if probs.shape[1] == 2 else range(probs.shape[1])
    one = np.ones((1, len(labels)))
    return float(np.mean([weighted_auc(labels == k, probs[:, k], one)[0] for k in which]))


def weighted_auc(positive, scores, weights) -> np.ndarray:
    """Areas under B ROC curves at once, (B,), for B sets of image weights.

    ``positive`` (N,) bool, ``scores`` (N,), ``weights`` (B, N) at least 0. The area is the weighted share of pairs
    (positive, negative) in the right order, ties counting one half (Hanley and McNeil 1982). scikit-learn's
    ``roc_auc_score(sample_weight=...)`` gives the same number, one set of weights at a time.
    """
    positive, scores, weights = np.asarray(positive, bool), np.asarray(scores), np.asarray(weights, float)
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # where each distinct score begins
    pos = np.add.reduceat(weights[:, order] * positive[order], first, axis=1)
    neg = np.add.reduceat(weights[:, order] * ~positive[order], first, axis=1)
    below = np.cumsum(neg, axis=1) - neg
    with np.errstate(invalid="ignore", divide="ignore"):
        return (pos * (below + neg / 2)).sum(1) / (pos.sum(1) * neg.sum(1))


def _from_confusions(matrices: np.ndarray, classes) -> dict[str, np.ndarray]:
    """The values that follow from (B, K, K) confusion matrices, each (B,)."""
    hits = np.einsum("bkk->bk", matrices)
    true, called = matrices.sum(2), matrices.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / true  # NaN where a resample has no image of the class
        precision = np.where(called > 0, hits / called, 0)
        f1 = 2 * hits / (true + called)
    precision, f1 = np.where(true > 0, precision, np.nan), np.where(true > 0, f1, np.nan)
    values = {
        "accuracy": hits.sum(1) / matrices.sum((1, 2)),
        "macro_recall": recall.mean(1),
        "macro_precision": precision.mean(1),
        "macro_f1": f1.mean(1),
    }
    for i, c in enumerate(classes):
        values |= {f"precision[{c}]": precision[:, i], f"recall[{c}]": recall[:, i], f"f1[{c}]": f1[:, i]}
    return values
