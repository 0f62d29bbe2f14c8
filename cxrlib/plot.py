"""The style of all figures, with an alternative text computed from the data, and the drawing that figures share."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from .validate import one_of
from .values import UNDEFINED, text

if TYPE_CHECKING:
    from .data import CxrDataset
    from .history import History
    from .metrics import Report

# Okabe and Ito's palette (2008): distinguishable with every common form of color blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
GRAY = "#6b7280"

STYLE = {
    "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.labelsize": 10, "legend.fontsize": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#4b5563", "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "#e5e7eb", "xtick.color": "#374151", "ytick.color": "#374151",
    "axes.prop_cycle": mpl.cycler(color=COLORS), "legend.frameon": False, "lines.linewidth": 1.8,
    "figure.facecolor": "white",
}  # fmt: skip
PIXELS_PER_INCH = 84  # on the page; the picture holds twice as many for sharp screens


def style() -> AbstractContextManager:
    """Use the course's figure style inside a ``with`` block."""
    return mpl.rc_context(STYLE)


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself in a notebook, with an alternative text (``alt``)."""

    def __init__(self, *args: object, alt: str = "", **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)
        self.alt = alt

    def to_png(self) -> bytes:
        """Draw the figure as PNG, sharp enough for screens of double density."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * PIXELS_PER_INCH, bbox_inches="tight", pad_inches=0.08)
        return buffer.getvalue()

    def to_html(self) -> str:
        """Make an ``<img>`` element that holds the picture and its alternative text."""
        png = self.to_png()
        width = int.from_bytes(png[16:20], "big") // 2  # the PNG header says how wide it became
        alt, source = html.escape(self.alt, quote=True), f"data:image/png;base64,{base64.b64encode(png).decode()}"
        look = f'width="{width}" style="max-width:100%;height:auto"'
        return f'<img class="cxr-figure" alt="{alt}" {look} src="{source}">'

    def _ipython_display_(self) -> None:
        # Not _repr_html_: the inline backend would add a second, undescribed PNG of every figure.
        from IPython.display import display

        display({"text/html": self.to_html(), "text/plain": self.alt or "Figure"}, raw=True)


def subplots(
    nrows: int = 1, ncols: int = 1, *, figsize: tuple[float, float] | None = None, alt: str = "", **kwargs: object
) -> tuple[Figure, Axes | np.ndarray]:
    """Make a :class:`Figure` and its axes, like ``pyplot.subplots`` but without pyplot's global state."""
    with style():
        fig = Figure(figsize=figsize or (4.2 * ncols, 3.2 * nrows), alt=alt, layout="constrained")
        return fig, fig.subplots(nrows, ncols, **kwargs)


def points(
    ax: Axes, x: Sequence, value: Sequence, low: Sequence, high: Sequence, *, across: bool = False, **look
) -> None:
    """Draw values with intervals; an undefined value is not drawn, nor is an undefined interval.

    ``across`` lays the values along the horizontal axis, at the heights ``x``; ``look`` goes to ``Axes.errorbar``.
    """
    value = np.asarray(value, float)
    gap = np.clip([value - low, np.asarray(high, float) - value], 0, None)
    look = {"fmt": "o", "capsize": 3} | look
    ax.errorbar(*((value, x) if across else (x, value)), **{"xerr" if across else "yerr": gap}, **look)


def show_xray(
    ax: Axes, image: np.ndarray, title: str = "", outline: np.ndarray | None = None, color: str = VERMILION
) -> None:
    """Draw one X-ray, (H, W) or (1, H, W), uint8 or float in [0, 1]; ``outline`` (H, W) bool becomes a contour."""
    image = np.asarray(image)
    top = 255 if image.dtype == np.uint8 else 1
    ax.imshow(image.reshape(image.shape[-2:]), cmap="gray", vmin=0, vmax=top, interpolation="nearest")
    if outline is not None and np.any(outline):
        ax.contour(outline, [0.5], colors=[color], linewidths=1.2)
    ax.set_title(title, fontsize=9, fontweight="normal")
    ax.set_axis_off()


def xrays(
    data: CxrDataset, titles: Sequence[str] | None = None, columns: int = 6, outlines: bool = False, width: float = 9.0
) -> Figure:
    """Draw a grid of all the X-rays in a data set; ValueError for none, or more than 100.

    ``titles`` are one per image, by default its class; ``outlines`` draws the lesion's outline where the data set has
    masks; ``width`` is that of the figure, in inches.
    """
    n = len(data)
    if not 1 <= n <= 100:
        raise ValueError(f"data: give 1 to 100 images, got {n or 'an empty data set'}; take some rows first: data[:24]")
    names = [data.classes[label] for label in data.labels]
    titles = list(names if titles is None else titles)
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    counts = ", ".join(f"{names.count(c)} {c}" for c in data.classes if c in names)
    images, masks = data.images, data.masks if outlines else None
    alt = f"Grid of {n} chest X-rays ({counts}){' with the lesions outlined' if masks is not None else ''}."
    fig, axes = subplots(rows, columns, figsize=(width, rows * (width / columns + 0.25)), squeeze=False, alt=alt)
    for i, ax in enumerate(axes.flat[:n]):
        show_xray(ax, images[i], titles[i], None if masks is None else masks[i])
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return fig


def curves(histories: Mapping[str, History], metrics: Sequence[str] = ("loss", "accuracy")) -> Figure:
    """Draw training (dashed) and validation (solid) curves of one or more runs, side by side per metric.

    ``histories`` maps a name to a History. Raises ValueError where no epoch was finished.
    """
    frames = {name: history.frame for name, history in histories.items() if not history.frame.empty}
    if not frames:
        raise ValueError("histories: give at least one run; there is no finished epoch to draw")
    colors, ends = _cycle(len(frames)), []
    fig, axes = subplots(1, len(metrics), figsize=(4.4 * len(metrics), 3.1), squeeze=False)
    with style():
        for color, (name, frame) in zip(colors, frames.items(), strict=True):
            look, said = {"color": color, "marker": "o" if len(frame) < 12 else None, "ms": 3.5}, []
            for ax, metric in zip(axes.flat, metrics, strict=True):
                one_of("metrics", metric, [column for column in frame if not column.startswith("val_")])
                kinds = {"training": metric, "validation": f"val_{metric}"}
                drawn = {kind: frame[column] for kind, column in kinds.items() if column in frame}
                for kind, values in drawn.items():
                    dashed = {"ls": "--", "alpha": 0.65} if kind == "training" and len(drawn) > 1 else {}
                    label = f"{name} {kind}" if len(frames) > 1 else kind
                    ax.plot(frame["epoch"], values, label=label, **look, **dashed)
                said.append(f"{metric} " + ", ".join(f"{text(v.iloc[-1])} {kind}" for kind, v in drawn.items()))
            run = f"{name}: " if len(frames) > 1 else ""
            ends.append(f"{run}after epoch {int(frame['epoch'].iloc[-1])}, {'; '.join(said)}")
        for ax, metric in zip(axes.flat, metrics, strict=True):
            ax.set(xlabel="epoch", title=metric)
            ax.xaxis.get_major_locator().set_params(integer=True)
        if len(frames) <= 3:
            axes.flat[0].legend()
        else:  # one entry per run is enough: dashed and solid are explained in the caption
            handles = [mpl.lines.Line2D([], [], color=c) for c in colors]
            caption = {"title": "solid: validation\ndashed: training", "title_fontsize": 8}
            fig.legend(handles, list(frames), loc="outside right center", **caption)
    fig.alt = "Learning curves. " + ". ".join(ends) + "."
    return fig


def _cycle(n: int) -> list:
    return list(COLORS[:n] if n <= len(COLORS) else mpl.colormaps["viridis"](np.linspace(0, 0.9, n)))


def confusion(ax: Axes, matrix: np.ndarray, classes: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K), rows true and columns predicted, shaded by the fraction of its row.

    The row of a class without images stays gray and shows "–".
    """
    matrix = np.asarray(matrix)
    with np.errstate(invalid="ignore"):
        fraction = matrix / matrix.sum(1, keepdims=True)
    ax.set_facecolor("#e5e7eb")
    ax.imshow(np.ma.masked_invalid(fraction), cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        look = {"ha": "center", "va": "center", "fontsize": 9, "color": "white" if fraction[i, j] > 0.55 else "#111827"}
        ax.text(j, i, f"{count:g}\n{text(fraction[i, j], form='.0%')}", **look)
    ticks = range(len(classes))
    ax.set_xticks(ticks, classes, rotation=30 if max(map(len, classes)) > 9 or len(classes) > 3 else 0)
    ax.set_yticks(ticks, classes)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    ax.grid(False)


def report(rep: Report) -> Figure:
    """Draw confusion matrix, ROC curve, precision-recall curve and reliability diagram; no curve where undefined."""
    auc, average, ece = (text(rep[name]) for name in ("auc", "average_precision", "ece"))
    wrong = int(rep.confusion.sum() - np.trace(rep.confusion))
    alt = (
        f"Four panels for {len(rep.labels)} images. Confusion matrix: {wrong} wrong. ROC curve: area {auc}. "
        f"Precision-recall curve: average precision {average}. Reliability: expected calibration error {ece}."
    ).replace(UNDEFINED, "undefined")
    fig, axes = subplots(2, 2, figsize=(8.4, 6.4), alt=alt)
    matrix, roc, recalls, reliability = axes.ravel()
    with style():
        confusion(matrix, rep.confusion, rep.classes)
        named = rep.curve_classes
        for color, k in zip(_cycle(len(named)), named, strict=True):
            label = rep.classes[k] if len(named) > 1 else None
            fpr, tpr, _ = rep.roc(k)
            roc.plot(fpr, tpr, color=color, label=None if np.isnan(tpr).any() else label)
            precision, recall, _ = rep.precision_recall(k)
            recalls.plot(recall, precision, color=color)
        for ax in (roc, reliability):
            ax.plot([0, 1], [0, 1], color=GRAY, ls=":", lw=1)
        if len(named) == 1:
            roc.plot(*rep.operating_point(), "o", color=VERMILION, label=f"threshold {rep.threshold:.2f}")
            recalls.axhline((rep.labels == named[0]).mean(), color=GRAY, ls=":", lw=1)
        roc.legend(loc="lower right")
        roc.set(xlabel="false positive rate", ylabel="recall (true positive rate)", title=f"ROC, AUC {auc}")
        recalls.set(xlabel="recall", ylabel="precision", title="Precision-recall", ylim=(0, 1.03))
        confidence, correct, count = rep.reliability()
        reliability.plot(confidence, correct, "-", color=BLUE, lw=1)
        reliability.scatter(confidence, correct, s=12 + 120 * count / max(count.max(), 1), color=BLUE)
        reliability.set(xlabel="confidence", ylabel="fraction correct", title=f"Reliability, ECE {ece}")
        reliability.set(xlim=(1 / len(rep.classes) - 0.03, 1.03), ylim=(-0.03, 1.03))
    return fig


def intervals(rows: Mapping[str, tuple[float, float, float]], xlabel: str, reference: float | None = None) -> Figure:
    """Draw dots with intervals, one row per name: (value, low, high), NaN where undefined; such a value is written "–".

    ``reference`` is where a dotted line goes.
    """
    if not rows:
        raise ValueError("rows: give at least one, got none: there is nothing to compare")
    said = {name: text(*numbers).replace(UNDEFINED, "undefined") for name, numbers in rows.items()}
    alt = f"{xlabel} with 95 % intervals. " + ". ".join(f"{name}: {value}" for name, value in said.items()) + "."
    fig, ax = subplots(figsize=(6.4, 0.9 + 0.38 * len(rows)), alt=alt)
    value, low, high = np.array(list(rows.values()), float).T
    y = np.arange(len(rows))[::-1]
    points(ax, y, value, low, high, across=True, color=BLUE)
    if reference is not None:
        ax.axvline(reference, color=GRAY, ls=":", lw=1.2)
    ax.set_yticks(y, [name if np.isfinite(v) else f"{name} ({UNDEFINED})" for name, v in zip(rows, value, strict=True)])
    ax.set(xlabel=xlabel, ylim=(-0.6, len(rows) - 0.4))
    ax.grid(axis="y", visible=False)
    return fig
