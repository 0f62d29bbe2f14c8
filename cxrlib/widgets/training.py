"""TrainHere: a small network that learns in the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data import CxrDataset
from ..models import build_model
from ..models.backbones import GRAY_MEAN, GRAY_SD
from ..validate import short, whole
from ..values import packed
from .base import PageWidget, kit, t
from .encode import color_tables, picture

MOST = 400  # images of a set: more take long to learn from


class TrainHere(PageWidget):
    """A small network that learns in the page, with its loss curves, its rate and the number of its images to choose.

    It starts from the weights of ``build_model(letters, ..., seed=seed)`` and learns with Adam, 20 images a step. The
    page holds all images: mind this when they show patients.

    Parameters
    ----------
    train, val : CxrDataset
        Of the same classes and size, at most 400 images each. Asked for fewer, the page takes as many of each class.
    letters, filters, hidden, seed
        As in ``build_model``; the word needs an F.
    epochs : int
        At least 1.

    Raises
    ------
    ValueError
        Sets that do not go together or are too large, or a word that no page can train.
    """

    _esm, _css = kit("learn", "training")
    summary = t("Train it here: a small network that learns in the page.")

    def __init__(
        self, train: CxrDataset, val: CxrDataset, letters: str = "PCPCPF", *, filters: Sequence[int] = (8, 16),
        hidden: int = 16, seed: int = 0, epochs: int = 40,
    ) -> None:  # fmt: skip
        for name, data in (("train", train), ("val", val)):
            if not isinstance(data, CxrDataset) or not 1 <= len(data) <= MOST:
                raise ValueError(f"{name}: give a CxrDataset of 1 to {MOST} images, got {short(data)}")
        if train.classes != val.classes or train.size != val.size:
            raise ValueError(f"val: give images of {', '.join(train.classes)} at {train.size} px, as train has")
        if "F" not in letters:
            raise ValueError(f"letters: give a word with an F, such as 'PCPCPF', got {letters!r}")
        whole("epochs", epochs, 1)
        net = build_model(letters, train.classes, size=train.size, filters=filters, hidden=hidden, dropout=0, seed=seed)
        rank = pd.Series(train.labels).groupby(train.labels).cumcount()  # the first of each class, then the second, …
        values = [p.detach().contiguous().numpy() for p in net.parameters()]
        super().__init__(page={
            "letters": letters, "size": train.size, "classes": list(train.classes), "epochs": epochs,
            "parameters": [{"shape": list(v.shape), "values": packed(v)} for v in values],
            "normalize": [GRAY_MEAN, GRAY_SD], "colors": color_tables()["RdBu_r"],
            "train": _set(train[np.argsort(rank, kind="stable")]), "val": _set(val),
        })  # fmt: skip


def _set(data: CxrDataset) -> dict:
    column = np.asarray(data.images).reshape(-1, data.images.shape[-1])  # one picture below the other
    return {"png": picture(column), "labels": data.labels.tolist()}
