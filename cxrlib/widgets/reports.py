"""What the threshold explorer and the confusion explorer take: one report, or several of the same classes."""

from __future__ import annotations

from collections.abc import Mapping

from ..metrics import Report
from ..validate import short


def read(reports: Mapping[str, Report] | Report) -> tuple[dict[str, Report], dict]:
    """Check reports, and return them with a page of ``classes``, and ``sets`` with name, labels and probs of each.

    Raises
    ------
    ValueError
        No report, something else, or different classes.
    """
    if isinstance(reports, Report):
        reports = {"images": reports}
    if not isinstance(reports, Mapping) or not reports or not all(isinstance(r, Report) for r in reports.values()):
        raise ValueError(f"reports: give a Report, or {{name: Report}} with at least one, got {short(reports)}")
    classes, sets = list(next(iter(reports.values())).classes), []
    for name, report in reports.items():
        if (own := list(report.classes)) != classes:
            raise ValueError(f"reports: give the same classes in all; {name!r} has {own}, the first one {classes}")
        sets.append({"name": str(name), "labels": report.labels.tolist(), "probs": report.probs.round(6).tolist()})
    return dict(reports), {"sets": sets, "classes": classes}
