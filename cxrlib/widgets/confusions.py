"""ConfusionExplorer: say one class more boldly, another less, and watch who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping

from ..metrics import Report
from .base import PageWidget, kit
from .reports import read


class ConfusionExplorer(PageWidget):
    """The confusion matrix of three or more classes, with one weight per class.

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

    def __init__(self, reports: Mapping[str, Report] | Report) -> None:
        _, page = read(reports)
        if len(page["classes"]) < 3:
            raise ValueError(
                f"reports: give at least 3 classes, got {page['classes']}; for 2 there is ThresholdExplorer"
            )
        super().__init__(page=page)
