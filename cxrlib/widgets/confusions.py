"""ConfusionExplorer: say one class more boldly, another less, and watch who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ..metrics import Report
from .base import StaticWidget, kit


class ConfusionExplorer(StaticWidget):
    """The confusion matrix of three or more classes, with one weight a class.

    The answer for an image is the class with the largest product of weight and probability. All weights 1 is the plain
    answer of the network.

    Parameters
    ----------
    reports : dict of name -> Report, or one Report
        Of three classes or more, the same ones in all; the reader switches between them.

    Raises
    ------
    ValueError
        No report, fewer than three classes, or different ones.
    """

    _esm, _css = kit("confusions")
    summary = "Confusion explorer: class by class, with a weight for each class that you choose."
    page = traitlets.Dict().tag(sync=True)

    def __init__(self, reports: Mapping[str, Report] | Report):
        if isinstance(reports, Report):
            reports = {"images": reports}
        if not reports:
            raise ValueError("reports: give at least one")
        first = next(iter(reports.values()))
        if len(first.classes) < 3:
            raise ValueError(
                f"reports: give three classes or more, got {', '.join(first.classes)}; for two there is "
                "ThresholdExplorer"
            )
        for name, report in reports.items():
            if tuple(report.classes) != tuple(first.classes):
                raise ValueError(
                    f"reports: {name!r} has the classes {', '.join(report.classes)}, the first one "
                    f"{', '.join(first.classes)}; all need the same"
                )
        sets = [
            {
                "name": name,
                "labels": [int(label) for label in report.labels],
                "probs": [[round(float(p), 6) for p in row] for row in report.probs],
            }
            for name, report in reports.items()
        ]
        super().__init__(page={"sets": sets, "classes": list(first.classes)})
