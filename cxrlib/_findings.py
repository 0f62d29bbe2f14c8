"""What was measured of findings that can come together."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .bootstrap import WithIntervals, draws, groups
from .validate import one_of
from .values import plain, table, text

if TYPE_CHECKING:
    from .metrics import Report

KINDS = ("auc", "average_precision", "recall", "specificity", "precision")  # of every finding


class FindingsReport(WithIntervals):
    """Everything measured about findings that can come together; ``of["effusion"]`` is the Report of that finding.

    Values by name: ``accuracy`` (images with all findings right), ``auc`` (the mean of the findings), and of every
    finding auc[f], average_precision[f], recall[f], specificity[f] and precision[f]. ``metrics.findings_report`` makes
    it from arrays.

    Parameters
    ----------
    of : {finding: Report}
        Of the same images, with the same resamples: "no f" against "f".
    """

    def __init__(self, of: Mapping[str, Report]) -> None:
        self.of, self.classes = dict(of), tuple(of)
        reports, one = list(of.values()), next(iter(of.values()))
        self.patients, self.bootstrap, self.seed = one.patients, one.bootstrap, one.seed
        self.labels, self.predicted = (np.stack([getattr(r, n) for r in reports], 1) for n in ("labels", "predicted"))
        self.probs = np.stack([r.probs[:, 1] for r in reports], 1)
        self.threshold = {name: r.threshold for name, r in self.of.items()}

    def _gather(self, found: dict[str, dict], accuracy: object) -> dict:
        """Put together values, or resamples, of each finding."""
        single = {}
        for name, of in found.items():
            named = {"auc": "auc", "average_precision": "average_precision", "specificity": f"recall[no {name}]"}
            single |= {f"{kind}[{name}]": of[named.get(kind, f"{kind}[{name}]")] for kind in KINDS}
        means = {"accuracy": accuracy, "auc": np.mean([of["auc"] for of in found.values()], axis=0)}
        return means | single

    @cached_property
    def _right(self) -> np.ndarray:
        return (self.predicted == self.labels).all(1)

    @cached_property
    def values(self) -> dict[str, float]:
        """Every value by name; NaN where it is undefined."""
        found = self._gather({name: r.values for name, r in self.of.items()}, self._right.mean())
        return {name: float(v) for name, v in found.items()}

    @cached_property
    def resamples(self) -> dict[str, np.ndarray]:
        """Every value in each resample of the patients, (B,)."""
        if not self.bootstrap:
            return {}
        drawn = draws(groups(self.patients, len(self.labels)), self.bootstrap, self.seed)
        accuracy = np.concatenate([w @ self._right / w.sum(1) for w in drawn])
        return self._gather({name: r.resamples for name, r in self.of.items()}, accuracy)

    def best_threshold(self) -> dict[str, float]:
        """Find the threshold with the highest balanced accuracy of each finding that some images have and some not."""
        return {name: r.best_threshold() for name, r in self.of.items() if np.ptp(r.labels)}

    def at(self, threshold: float | Mapping[str, float], source: str = "given") -> FindingsReport:
        """Judge the same predictions at other thresholds: one for all, or by finding (0.5 where it is not named)."""
        cuts = threshold if isinstance(threshold, Mapping) else dict.fromkeys(self.classes, threshold)
        for name in cuts:
            one_of("threshold", name, self.classes)
        return FindingsReport({name: r.at(cuts.get(name, 0.5), source) for name, r in self.of.items()})

    def to_dict(self) -> dict:
        """Give plain values for JSON, and under ``findings`` those of every finding's Report."""
        one = {name: r.to_dict() for name, r in self.of.items()}
        shared = ("images", "patients", "threshold_source", "bootstrap", "precision")
        about = {name: next(iter(one.values()))[name] for name in shared}
        own = {name: getattr(self, name) for name in ("classes", "threshold", "values", "intervals")}
        return plain(own) | about | {"findings": one}

    def __str__(self) -> str:
        told = [f"{len(self.labels)} images of {len(np.unique(self.patients))} patients"]
        told.append(", ".join(f"{n} {text(*self.interval(n))}" for n in ("accuracy", "auc")))
        for name, cut in self.threshold.items():
            shown = ", ".join(f"{n} {text(*self.interval(f'{n}[{name}]'))}" for n in ("auc", "recall", "specificity"))
            told.append(f"{name}, threshold {cut:.3f} ({self.of[name].threshold_source}): {shown}")
        return "; ".join(told)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (name, int(r.labels.sum()), f"{r.threshold:.3f}", *(self.interval(f"{kind}[{name}]") for kind in KINDS))
            for name, r in self.of.items()
        ]
        head = ["finding", "images with it", "threshold", "AUC", *(kind.replace("_", " ") for kind in KINDS[1:])]
        note = f"{str(self).partition(';')[0]}; threshold: {next(iter(self.of.values())).threshold_source}"
        if self.bootstrap:
            note += "; small print: 95 % intervals, bootstrap over patients"
        return table(head, rows) + f"<p><small>{html.escape(note)}.</small></p>"
