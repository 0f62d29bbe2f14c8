"""Two explorers of the confusion matrix: a threshold for two classes, a weight for each of three or more."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ..metrics import Report
from ..validate import number, short
from .base import PageWidget, kit, t


class ThresholdExplorer(PageWidget):
    """What a threshold does: counts, rates, the point on the ROC curve, and what the mistakes cost.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report
        Of the same two classes; the reader switches between them.
    threshold : float
        Where the slider starts; as attribute where it stands, with a kernel. Default: the first report's own.
    """

    _esm, _css = kit("threshold")
    summary = t("Threshold explorer: confusion matrix, ROC curve and cost at a threshold that you choose.")
    threshold = traitlets.Float().tag(sync=True)

    def __init__(self, reports: Mapping[str, Report] | Report, threshold: float | None = None) -> None:
        reports, page = _read(reports)
        if len(page["classes"]) != 2:
            raise ValueError(f"reports: give 2 classes, got {page['classes']}; for more there is ConfusionExplorer")
        # a threshold that best_threshold puts just above the highest probability says "none"
        start = min(next(iter(reports.values())).threshold, 1.0) if threshold is None else threshold
        start = number("threshold", start, 0, 1)
        super().__init__(page={**page, "threshold": start}, threshold=start)


class ConfusionExplorer(PageWidget):
    """The confusion matrix of three or more classes: say one more boldly, another less, and see who is taken for whom.

    The answer for an image is the class with the largest product of weight and probability. All weights 1 is the plain
    answer of the network.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report
        Of the same classes, three or more; the reader switches between them.
    """

    _esm, _css = kit("confusions")
    summary = t("Confusion explorer: class by class, with a weight for each class that you choose.")

    def __init__(self, reports: Mapping[str, Report] | Report) -> None:
        _, page = _read(reports)
        if len(page["classes"]) < 3:
            more = f"got {page['classes']}; for 2 there is ThresholdExplorer"
            raise ValueError(f"reports: give at least 3 classes, {more}")
        super().__init__(page=page)


def _read(reports: Mapping[str, Report] | Report) -> tuple[Mapping[str, Report], dict]:
    """Return the reports by name, and a page of ``classes`` and ``sets`` (name, labels and probs of each)."""
    if isinstance(reports, Report):
        reports = {"images": reports}
    if not isinstance(reports, Mapping) or not reports or not all(isinstance(r, Report) for r in reports.values()):
        raise ValueError(f"reports: give a Report, or {{name: Report}} with at least one, got {short(reports)}")
    classes, sets = list(next(iter(reports.values())).classes), []
    for name, report in reports.items():
        if (own := list(report.classes)) != classes:
            raise ValueError(f"reports: give the same classes in all; {name!r} has {own}, the first one {classes}")
        sets.append({"name": str(name), "labels": report.labels.tolist(), "probs": report.probs.round(6).tolist()})
    return reports, {"sets": sets, "classes": classes}
