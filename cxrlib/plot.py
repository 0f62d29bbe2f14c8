"""Every figure of the course, drawn in one style and described in words.

A :class:`Figure` carries an alternative text that is computed from the data it shows, so that a reader who
cannot see the picture (or a browser that does not load it) still gets its message.
"""

from __future__ import annotations

import base64
import html
import io
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

# Okabe and Ito's palette (2008): distinguishable with every common form of color blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
GRAY = "#6b7280"

STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4b5563",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": mpl.cycler(color=COLORS),
    "grid.color": "#e5e7eb",
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
}
PIXELS_PER_INCH = 84  # on the page; the picture holds twice as many for sharp screens


@contextmanager
def style():
    """Use the course's figure style inside a ``with`` block."""
    with mpl.rc_context(STYLE):
        yield


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself in a notebook, with an alternative text."""

    def __init__(self, *args, alt: str = "", **kwargs):
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)
        self.alt = alt

    def to_png(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * PIXELS_PER_INCH, bbox_inches="tight", pad_inches=0.08)
        return buffer.getvalue()

    def to_html(self) -> str:
        """An ``<img>`` element that holds the picture and its alternative text."""
        png = self.to_png()
        width = int.from_bytes(png[16:20], "big") // 2  # the PNG header says how wide it became
        return (
            f'<img class="cxr-figure" alt="{html.escape(self.alt, quote=True)}" width="{width}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        )

    def _ipython_display_(self) -> None:
        # Not _repr_html_: the inline backend would add a second, undescribed PNG of every figure.
        from IPython.display import display

        display({"text/html": self.to_html(), "text/plain": self.alt or "Figure"}, raw=True)


def subplots(nrows: int = 1, ncols: int = 1, *, figsize=None, alt: str = "", squeeze: bool = True, **kwargs):
    """A new :class:`Figure` and its axes, like ``pyplot.subplots`` but without pyplot's global state."""
    with style():
        fig = Figure(figsize=figsize or (4.2 * ncols, 3.2 * nrows), alt=alt, layout="constrained")
        axes = fig.subplots(nrows, ncols, squeeze=squeeze, **kwargs)
    return fig, axes


def show_xray(ax, image, title: str = "", outline=None, color: str = VERMILION) -> None:
    """Draw one X-ray (H, W) or (1, H, W) on ``ax``; ``outline`` (H, W) bool is drawn as a contour."""
    image = np.asarray(image)
    top = 255 if image.dtype == np.uint8 else 1
    ax.imshow(image.reshape(image.shape[-2:]), cmap="gray", vmin=0, vmax=top, interpolation="nearest")
    if outline is not None and np.any(outline):
        ax.contour(outline, [0.5], colors=[color], linewidths=1.2)
    ax.set_title(title, fontsize=9, fontweight="normal")
    ax.set_axis_off()


def xrays(data, titles=None, columns: int = 6, outlines: bool = False, width: float = 9.0) -> Figure:
    """A grid of the X-rays in ``data``, with the lesion outlined on demand.

    Parameters: ``data`` a CxrDataset (take a few rows first: every image is drawn); ``titles`` one string an
    image (default: its class); ``outlines`` draws the lesion mask where the data set has one.
    """
    n = len(data)
    if n == 0:
        raise ValueError("data is empty: there is nothing to draw")
    if n > 100:
        raise ValueError(f"data has {n} images; a grid holds at most 100. Take some rows first: data[:24]")
    names = [data.classes[label] for label in data.labels]
    titles = list(names if titles is None else titles)
    columns = min(columns, n)
    rows = -(-n // columns)
    side = width / columns
    counts = ", ".join(f"{names.count(c)} {c}" for c in data.classes if c in names)
    drawn = " with the lesions outlined" if outlines and data.masks is not None else ""
    fig, axes = subplots(
        rows,
        columns,
        figsize=(width, rows * (side + 0.25)),
        squeeze=False,
        alt=f"Grid of {n} chest X-rays ({counts}){drawn}.",
    )
    images, masks = data.images, data.masks
    for i, ax in enumerate(axes.flat):
        if i < n:
            show_xray(ax, images[i], titles[i], masks[i] if outlines and masks is not None else None)
        else:
            ax.set_axis_off()
    return fig


def curves(histories: dict, metrics=("loss", "accuracy")) -> Figure:
    """Training (dashed) and validation (solid) curves of one or more runs, side by side per metric.

    ``histories`` maps a name to a History.
    """
    if not histories or all(h.frame.empty for h in histories.values()):
        raise ValueError("there is no finished epoch to draw")
    ends = []
    for name, history in histories.items():
        last = history.frame.iloc[-1]
        values = "; ".join(
            f"{metric} {last[metric]:.3f} training"
            + (f", {last['val_' + metric]:.3f} validation" if "val_" + metric in last else "")
            for metric in metrics
        )
        ends.append(f"{name + ': ' if len(histories) > 1 else ''}after epoch {int(last['epoch'])}, {values}")
    fig, axes = subplots(
        1,
        len(metrics),
        figsize=(4.4 * len(metrics), 3.1),
        squeeze=False,
        alt="Learning curves. " + ". ".join(ends) + ".",
    )
    with style():
        for ax, metric in zip(axes.flat, metrics, strict=True):
            for color, (name, history) in zip(_cycle(len(histories)), histories.items(), strict=True):
                frame = history.frame
                both = "val_" + metric in frame
                label = f"{name} " if len(histories) > 1 else ""
                marker = "o" if len(frame) < 12 else None
                ax.plot(
                    frame["epoch"],
                    frame[metric],
                    ls="--" if both else "-",
                    marker=marker,
                    ms=3.5,
                    color=color,
                    alpha=0.65 if both else 1,
                    label=f"{label}training",
                )
                if both:
                    ax.plot(
                        frame["epoch"],
                        frame["val_" + metric],
                        marker=marker,
                        ms=3.5,
                        color=color,
                        label=f"{label}validation",
                    )
            ax.set(xlabel="epoch", title=metric)
            ax.xaxis.get_major_locator().set_params(integer=True)
        if len(histories) <= 3:
            axes.flat[0].legend()
        else:  # one entry a run is enough: dashed and solid are explained in the caption
            handles = [mpl.lines.Line2D([], [], color=c) for c in _cycle(len(histories))]
            fig.legend(
                handles,
                list(histories),
                loc="outside right center",
                title="solid: validation\ndashed: training",
                title_fontsize=8,
            )
    return fig


def _cycle(n: int) -> list:
    if n <= len(COLORS):
        return list(COLORS[:n])
    return [mpl.colormaps["viridis"](x) for x in np.linspace(0, 0.9, n)]


def confusion(ax, matrix, classes) -> None:
    """Draw a confusion matrix (K, K), rows true and columns predicted, shaded by the share of its row."""
    matrix = np.asarray(matrix)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        ax.text(
            j,
            i,
            f"{count:g}\n{share[i, j]:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share[i, j] > 0.55 else "#111827",
        )
    ticks = range(len(classes))
    ax.set_xticks(ticks, classes, rotation=30 if max(map(len, classes)) > 9 or len(classes) > 3 else 0)
    ax.set_yticks(ticks, classes)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    ax.grid(False)


def report(rep) -> Figure:
    """Confusion matrix, ROC curve, precision-recall curve and reliability diagram of a Report."""
    v = rep.values
    wrong = int(rep.confusion.sum() - np.trace(rep.confusion))
    fig, axes = subplots(
        2,
        2,
        figsize=(8.4, 6.4),
        alt=(
            f"Four panels for {len(rep.labels)} images. Confusion matrix: {wrong} wrong. "
            f"ROC curve: area {v['auc']:.3f}. Precision-recall curve: average precision "
            f"{v['average_precision']:.3f}. Reliability: expected calibration error {v['ece']:.3f}."
        ),
    )
    axes = axes.ravel()
    with style():
        confusion(axes[0], rep.confusion, rep.classes)
        named = rep.curve_classes
        for color, k in zip(_cycle(len(named)), named, strict=True):
            label = rep.classes[k] if len(named) > 1 else None
            fpr, tpr, _ = rep.roc(k)
            axes[1].plot(fpr, tpr, color=color, label=label)
            precision, recall, _ = rep.precision_recall(k)
            axes[2].plot(recall, precision, color=color, label=label)
        axes[1].plot([0, 1], [0, 1], color=GRAY, ls=":", lw=1)
        if len(named) == 1:
            k = named[0]
            fpr, tpr = rep.operating_point()
            axes[1].plot(fpr, tpr, "o", color=VERMILION, label=f"threshold {rep.threshold:.2f}")
            axes[2].axhline((rep.labels == k).mean(), color=GRAY, ls=":", lw=1)
        axes[1].legend(loc="lower right")
        axes[1].set(
            xlabel="false positive rate", ylabel="recall (true positive rate)", title=f"ROC, AUC {v['auc']:.3f}"
        )
        axes[2].set(xlabel="recall", ylabel="precision", title="Precision-recall", ylim=(0, 1.03))
        confidence, correct, count = rep.reliability()
        axes[3].plot([0, 1], [0, 1], color=GRAY, ls=":", lw=1)
        axes[3].plot(confidence, correct, "-", color=BLUE, lw=1)
        axes[3].scatter(confidence, correct, s=12 + 120 * count / max(count.max(), 1), color=BLUE)
        axes[3].set(
            xlabel="confidence",
            ylabel="share correct",
            title=f"Reliability, ECE {v['ece']:.3f}",
            xlim=(1 / len(rep.classes) - 0.03, 1.03),
            ylim=(-0.03, 1.03),
        )
    return fig


def intervals(rows: dict, xlabel: str, reference: float | None = None) -> Figure:
    """Dots with intervals, one row a run: ``rows`` maps a name to (value, low, high)."""
    if not rows:
        raise ValueError("rows is empty: there is nothing to compare")
    names = list(rows)
    text = ". ".join(f"{n}: {v:.3f} ({lo:.3f} to {hi:.3f})" for n, (v, lo, hi) in rows.items())
    fig, ax = subplots(figsize=(6.4, 0.9 + 0.38 * len(rows)), alt=f"{xlabel} with 95 % intervals. {text}.")
    value, low, high = np.array([rows[n] for n in names], float).T
    y = np.arange(len(names))[::-1]
    ax.errorbar(value, y, xerr=np.clip([value - low, high - value], 0, None), fmt="o", color=BLUE, capsize=3)
    if reference is not None:
        ax.axvline(reference, color=GRAY, ls=":", lw=1.2)
    ax.set_yticks(y, names)
    ax.set(xlabel=xlabel, ylim=(-0.6, len(names) - 0.4))
    ax.grid(axis="y", visible=False)
    return fig
