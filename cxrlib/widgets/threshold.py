"""ThresholdExplorer: drag the threshold, watch the confusion matrix, the ROC point and the cost."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ..metrics import Report
from ..validate import number
from .base import PageWidget, kit
from .reports import read


class ThresholdExplorer(PageWidget):
    """What a threshold does: counts, rates, the point on the ROC curve, and what the mistakes cost.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report
        Of two classes each, all with the same classes; the reader switches between them.
    threshold : float
        Where the slider starts; as attribute where it stands, with a kernel. Default: the first report's own.

    Raises
    ------
    ValueError
        For reports of more than two classes, or of different ones.
    """

    _esm, _css = kit("threshold")
    summary = "Threshold explorer: confusion matrix, ROC curve and cost at a threshold that you choose."
    threshold = traitlets.Float().tag(sync=True)

    def __init__(self, reports: Mapping[str, Report] | Report, threshold: float | None = None) -> None:
        reports, page = read(reports)
        if len(page["classes"]) != 2:
            raise ValueError(f"reports: give 2 classes, got {page['classes']}; for more there is ConfusionExplorer")
        start = next(iter(reports.values())).threshold if threshold is None else threshold
        # a threshold that best_threshold puts just above the highest probability says "none"
        start = number("threshold", min(start, 1.0) if threshold is None else start, 0, 1)
        super().__init__(page={**page, "threshold": start}, threshold=start)
