"""History: what happened in each epoch of a training run, as numbers and as curves."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from . import plot
from .recipe import Recipe
from .values import plain, text


@dataclass
class History:
    """What happened in each epoch of a training run; shows itself as curves.

    ``epochs`` has a dictionary for each, see ``frame``; ``head`` those before, in which only the head learned.
    ``stopped`` says why it ended: "finished", "early", "interrupted" or "diverged". ``best_epoch`` has the best
    monitored value; None where that was never defined. ``resumed_at`` is how many epochs a checkpoint held.
    """

    recipe: Recipe
    epochs: list[dict] = field(default_factory=list)
    stopped: str = ""
    best_epoch: int | None = None
    hardware: dict = field(default_factory=dict)
    resumed_at: int | None = None
    head: list[dict] = field(default_factory=list)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per epoch.

        Columns: epoch, lr, loss, accuracy, val_loss, val_accuracy, val_auc, seconds, cpu_seconds (of this process, over
        all its threads), images_per_second; where the recipe says ``attend``, outside: the mean fraction of a map that
        lay outside the region. The loss is without it.
        """
        return pd.DataFrame(self.epochs)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all epochs, those of the head and validation included."""
        return float(sum(e["seconds"] for e in (*self.head, *self.epochs)))

    @property
    def images_per_second(self) -> float:
        """Median training speed over the epochs (images per second, validation not counted)."""
        return float(np.median([e["images_per_second"] for e in self.epochs])) if self.epochs else float("nan")

    def plot(self, metrics: Sequence[str] = ("loss", "accuracy")) -> plot.Figure:
        """Draw the learning curves."""
        return plot.curves({self.recipe.model: self}, metrics)

    def to_dict(self) -> dict:
        """Return plain values, for JSON; what is undefined is None."""
        names = ("epochs", "head", "stopped", "best_epoch", "hardware", "seconds", "images_per_second")
        return {"recipe": self.recipe.to_dict()} | {name: plain(getattr(self, name), None) for name in names}

    def __str__(self) -> str:
        if not self.epochs:
            return f"{self.recipe.model}: no finished epoch ({self.stopped or 'not started'})"
        last = self.epochs[-1]
        shown = ("loss", "accuracy", "outside", "val_loss", "val_accuracy", "val_auc")
        values = ", ".join(f"{k} {text(last[k])}" for k in shown if k in last)
        kept = self.best_epoch if self.recipe.restore_best else None
        best = f"; weights of epoch {kept} kept" if kept else ""
        return (
            f"{self.recipe.model}: {len(self.epochs)} epochs in {self.seconds:.0f} s "
            f"({self.images_per_second:.0f} images/s), {self.stopped}{best}. Last epoch: {values}."
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return (self.plot().to_html() if self.epochs else "") + f"<p>{self}</p>"


class LiveCurve:
    """A learning curve that is redrawn after every epoch while a notebook cell runs."""

    def __init__(self, enabled: bool) -> None:
        self.handle = None
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.enabled = enabled and getattr(shell, "kernel", None) is not None and not os.environ.get("TQDM_DISABLE")

    def update(self, history: History) -> None:
        """Draw what there is by now."""
        if self.enabled and len(history.epochs) > 1:
            self._show(history.plot().to_html())

    def clear(self) -> None:
        """Take the curve away: the History shows the final one, and two in one cell would be one too many."""
        if self.handle is not None:
            self._show("")

    def _show(self, content: str) -> None:
        from IPython.display import HTML, display

        if self.handle is None:
            self.handle = display(HTML(content), display_id=True)
        else:
            self.handle.update(HTML(content))
