"""ThresholdExplorer: drag the threshold, watch the confusion matrix, the ROC point and the cost."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ..metrics import Report
from .base import StaticWidget, kit


class ThresholdExplorer(StaticWidget):
    """What a threshold does: counts, rates, the point on the ROC curve, and what the mistakes cost.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report
        Of two classes each, all with the same classes; the reader switches between them.
    threshold : float
        Where the slider starts. Default: the first report's own.

    Attributes
    ----------
    threshold : float
        Where the slider stands; with a kernel it follows the reader.

    Raises
    ------
    ValueError
        For reports of more than two classes, or of different ones.
    """

    _esm, _css = kit("threshold")
    summary = "Threshold explorer: confusion matrix, ROC curve and cost at a threshold that you choose."
    page = traitlets.Dict().tag(sync=True)
    threshold = traitlets.Float().tag(sync=True)

    def __init__(self, reports: Mapping[str, Report] | Report, threshold: float | None = None):
        if isinstance(reports, Report):
            reports = {"images": reports}
        if not reports:
            raise ValueError("reports: give at least one")
        first = next(iter(reports.values()))
        for name, report in reports.items():
            if len(report.classes) != 2 or tuple(report.classes) != tuple(first.classes):
                found = ", ".join(report.classes)
                raise ValueError(f"reports: {name!r} has the classes {found}; all need the same two")
        start = float(first.threshold if threshold is None else threshold)
        if not 0 <= start <= 1:
            raise ValueError(f"threshold: give a probability from 0 to 1, got {start}")
        sets = [
            {
                "name": name,
                "labels": [int(label) for label in report.labels],
                "probs": [round(float(p), 6) for p in report.probs[:, 1]],
            }
            for name, report in reports.items()
        ]
        super().__init__(page={"sets": sets, "classes": list(first.classes), "threshold": start}, threshold=start)
