"""What the threshold explorer and the confusion explorer take: one report, or several of the same classes."""

from __future__ import annotations

from collections.abc import Mapping

from ..metrics import Report
from ..validate import short


def read(reports: Mapping[str, Report] | Report) -> tuple[dict[str, Report], dict]:
    """Check reports, and turn them into what a page needs.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report

    Returns
    -------
    reports : dict of name -> Report
    page : dict
        ``classes``, and ``sets`` with the ``name``, ``labels`` and ``probs`` of each report.

    Raises
    ------
    ValueError
        No report, something else, or different classes.
    """
    if isinstance(reports, Report):
        reports = {"images": reports}
    if not isinstance(reports, Mapping) or not reports or not all(isinstance(r, Report) for r in reports.values()):
        raise ValueError(f"reports: give a Report, or {{name: Report}} with at least one, got {short(reports)}")
    classes = list(next(iter(reports.values())).classes)
    for name, report in reports.items():
        if list(report.classes) != classes:
            raise ValueError(
                f"reports: {name!r} has the classes {', '.join(report.classes)}, the first one {', '.join(classes)}; "
                "give reports of the same classes in the same order"
            )
    sets = [
        {"name": str(name), "labels": report.labels.tolist(), "probs": report.probs.round(6).tolist()}
        for name, report in reports.items()
    ]
    return dict(reports), {"sets": sets, "classes": classes}
