"""The named data sets of Kaggle: classes, where they come from, and how their folders tell the class."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One data set."""

    name: str  # for `load`
    title: str  # for people
    handle: str  # for Kaggle
    classes: tuple[str, ...]  # in the order of the labels
    keywords: tuple[tuple[str, str], ...]  # (pattern for a folder's name, class); the first that matches wins
    subtype_is_class: bool = False  # whether the class is read from the file name (bacteria or virus)

    @property
    def slug(self) -> str:
        """The last part of the handle."""
        return self.handle.split("/")[1]

    def classify(self, folder: str) -> str | None:
        """Tell the class that a folder is named for."""
        return next((label for pattern, label in self.keywords if re.search(pattern, folder, re.IGNORECASE)), None)


_KERMANY = ("Chest X-Ray Images (Pneumonia)", "paultimothymooney/chest-xray-pneumonia")
_THREE_KINDS = ("3 kinds of Pneumonia", "artyomkolas/3-kinds-of-pneumonia")
_LUNG4 = ("Chest X-Ray (Pneumonia, Covid-19, Tuberculosis)", "jtiptj/chest-xray-pneumoniacovid19tuberculosis")
_TWO = (("^normal$", "normal"), ("^pneumonia$", "pneumonia"))
_KINDS = (("covid", "covid-19"), ("bacteri", "bacterial"), ("viral|virus", "viral"), ("normal", "normal"))
_LUNG = (("tu?r?bercul|^tb$", "tuberculosis"), ("pneumonia", "pneumonia"), ("normal", "normal"))
_SETS = (
    Source("pneumonia", *_KERMANY, ("normal", "pneumonia"), _TWO),
    Source("pneumonia3", *_KERMANY, ("normal", "bacterial", "viral"), _TWO, subtype_is_class=True),
    Source("pneumonia4", *_THREE_KINDS, ("normal", "bacterial", "viral", "covid-19"), _KINDS),
    Source("lung4", *_LUNG4, ("normal", "pneumonia", "covid-19", "tuberculosis"), (("covid", "covid-19"), *_LUNG)),
)
SOURCES = {source.name: source for source in _SETS}
