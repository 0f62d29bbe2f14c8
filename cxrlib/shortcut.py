"""The shortcut laboratory: plant a shortcut, watch a network take it, and see which tests notice.

A shortcut is something that goes with the class in the training images and has nothing to do with the disease
(Geirhos et al., Nature Machine Intelligence 2, 2020). Here it is the side marker, the letter R or L of lead that lies
on the detector: it shows up in a share ``p`` of the ill and ``1 - p`` of the healthy. At p = 0.5 it says nothing, at
p = 1 it says all.

Every image exists twice, with and without its marker, and differs nowhere else. All data sets of the laboratory are
made by choosing one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import plot
from .augment import Augment
from .cam import explain
from .data import CxrDataset
from .localization import perfect_maps, score_maps, show_map
from .metrics import evaluate, predict
from .models import build_model
from .phantom import counterfactual, make_phantoms
from .recipe import Recipe
from .train import fit

SHARES = (0.5, 0.7, 0.9, 1.0)
CLASSES = ("normal", "bacterial")  # healthy and ill
RECIPE = Recipe(
    model="resnet18",
    size=64,
    epochs=5,
    optimizer="adamw",
    lr=2e-3,
    weight_decay=0.05,
    schedule="onecycle",
    class_weights="balanced",
    augment=Augment(flip=0.5),
    about="ResNet-18 on small phantoms, for the shortcut laboratory.",
)
LAYER = "layer2"  # of ResNet-18: 8 x 8 maps at 64 px


# ---- images


@dataclass(frozen=True)
class Pairs:
    """The same images twice; row i of both differs only inside the marker's box."""

    marked: CxrDataset
    plain: CxrDataset

    def __len__(self) -> int:
        return len(self.plain)


def make_pairs(n: int, size: int = 64, seed: int = 0, classes=CLASSES, **options) -> Pairs:
    """``n`` counterfactual pairs of phantoms; ``options`` go to ``make_phantoms``.

    Other differences between ill and healthy or between blocks of patients are switched off (``bedside=0``,
    ``shift=0``): one change at a time.
    """
    if len(classes) != 2:
        raise ValueError(f"classes: the laboratory compares two, healthy and ill; got {tuple(classes)}")
    options = {"bedside": 0, "shift": 0, "progress": False} | options
    return Pairs(*map(as_data, counterfactual(n, size, tuple(classes), seed, **options)))


def as_data(phantoms) -> CxrDataset:
    """Phantoms as a data set."""
    p = phantoms
    return CxrDataset(p.images, p.labels, p.classes, p.patients, p.table, p.masks, p.lungs, name="phantom")


def choose(pairs: Pairs, marked) -> CxrDataset:
    """One image of every pair: the one with the marker where ``marked`` (N,) bool is true."""
    marked = np.asarray(marked)
    if marked.shape != (len(pairs),) or marked.dtype != bool:
        raise ValueError(f"marked: must be bool of shape ({len(pairs)},), got {marked.dtype} of shape {marked.shape}")
    a, b = pairs.marked, pairs.plain
    images = np.where(marked[:, None, None, None], a.images, b.images)
    table = a.table.where(pd.Series(marked), b.table).astype(a.table.dtypes)
    return CxrDataset(images, a.labels, a.classes, a.patients, table, a.masks, a.lungs, name="phantom")


def confounded(pairs: Pairs, p: float, seed: int = 0) -> CxrDataset:
    """Images in which a share ``p`` of the ill and ``1 - p`` of the healthy carry the marker."""
    if not 0 <= p <= 1:
        raise ValueError(f"p: give a probability from 0 to 1, got {p!r}")
    luck = np.random.default_rng(seed).random(len(pairs))
    return choose(pairs, luck < np.where(pairs.plain.labels == 1, p, 1 - p))


def blackout(data: CxrDataset) -> CxrDataset:
    """The same images with a black rectangle over the lungs: whatever a network still finds is not in the lungs."""
    if data.lungs is None:
        raise ValueError("data: it has no lung masks, so the lungs cannot be covered")
    images = data.images.copy()
    for image, lung in zip(images[:, 0], data.lungs, strict=True):
        y, x = np.nonzero(lung)
        if len(y):
            image[y.min() : y.max() + 1, x.min() : x.max() + 1] = 0
    return CxrDataset(images, data.labels, data.classes, data.patients, data.table, data.masks, data.lungs, data.name)


# ---- train and test


def train(data: CxrDataset, recipe: Recipe = RECIPE, **changes):
    """A network that has learned from ``data``."""
    recipe = recipe.replace(size=data.size, **changes)
    model = build_model(recipe.model, data.classes, size=data.size, seed=recipe.seed, **recipe.model_options)
    fit(model, data, None, recipe, progress=False)
    return model


def three_tests(pairs: Pairs, p: float, seed: int = 0) -> dict[str, CxrDataset]:
    """Three tests for a network that was trained at ``p``: only the markers differ between them."""
    return {"same": confounded(pairs, p, seed), "removed": pairs.plain, "swapped": confounded(pairs, 1 - p, seed)}


def accuracies(model, tests: dict[str, CxrDataset]) -> pd.DataFrame:
    """Balanced accuracy and AUC on every test set with 95 % intervals over patients, one row a test."""
    rows = {}
    for name, data in tests.items():
        report = evaluate(model, data)
        (value, low, high), (auc, auc_low, auc_high) = report.interval("macro_recall"), report.interval("auc")
        rows[name] = {
            "balanced_accuracy": value,
            "low": low,
            "high": high,
            "auc": auc,
            "auc_low": auc_low,
            "auc_high": auc_high,
        }
    return pd.DataFrame(rows).T.rename_axis("test")


def flip_rate(model, a: CxrDataset, b: CxrDataset, bootstrap: int = 1000, seed: int = 0) -> dict[str, float]:
    """How often the answer changes between ``a`` and ``b``, two versions of the same images.

    Returns flips (share of images with another predicted class), low, high (95 %, bootstrap over patients) and shift,
    the mean change of the probability of class 1 from ``b`` to ``a``.
    """
    if len(a) != len(b) or not np.array_equal(a.patients, b.patients):
        raise ValueError("a and b must be two versions of the same images, in the same order")
    p, q = predict(model, a), predict(model, b)
    flips = (p.argmax(1) != q.argmax(1)).astype(float)
    _, group = np.unique(a.patients, return_inverse=True)
    groups = group.max() + 1
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=bootstrap)[:, group]
    low, high = np.percentile(drawn @ flips / drawn.sum(1), [2.5, 97.5])
    return {"flips": flips.mean(), "low": low, "high": high, "shift": (p[:, 1] - q[:, 1]).mean()}


def marker_boxes(data: CxrDataset, margin: int = 0) -> np.ndarray:
    """x0, y0, x1, y1 (N, 4) of the markers, grown by ``margin`` pixels on all sides and cut at the image's border.

    A map cannot be sharper than a cell of its grid, so the laboratory grows the box by one cell.
    """
    boxes = data.table[["marker_x0", "marker_y0", "marker_x1", "marker_y1"]].to_numpy()
    grown = np.clip(boxes + margin * np.array([-1, -1, 1, 1]), 0, data.size)
    return np.where(boxes[:, :1] >= 0, grown, -1)


def maps_of(model, data: CxrDataset, target: int = 1, layer: str | None = LAYER) -> np.ndarray:
    """Grad-CAM maps (N, h, w) of one class, raw values without ReLU (a blank map is then no warning)."""
    return explain(model, data, layer=layer, target=target, relu=False)


def dose_response(
    train_pairs: Pairs,
    test_pairs: Pairs,
    shares=SHARES,
    recipe: Recipe = RECIPE,
    layer: str | None = LAYER,
    seed: int = 0,
):
    """Train at every p and test: the shortcut's dose and the network's response.

    Returns a DataFrame, one row a p, and the networks {p: model}. Columns: balanced accuracy on the three tests
    (same, removed, swapped); flips, when the marker alone is switched; energy_marker and energy_lesion, the share of
    the map of class 1 inside the marker's box (and one cell around it) and inside the lesion, on ill images that
    carry the marker; each with low and high (95 %, bootstrap over patients).
    """
    rows, models = {}, {}
    ill = np.flatnonzero(test_pairs.marked.masks.any((1, 2)))
    seen = test_pairs.marked[ill]
    for p in shares:
        models[p] = model = train(confounded(train_pairs, p, seed), recipe)
        row = {}
        for name, r in accuracies(model, three_tests(test_pairs, p, seed)).iterrows():
            row |= {name: r["balanced_accuracy"], f"{name}_low": r["low"], f"{name}_high": r["high"]}
        flips = flip_rate(model, test_pairs.marked, test_pairs.plain)
        row |= {
            "flips": flips["flips"],
            "flips_low": flips["low"],
            "flips_high": flips["high"],
            "shift": flips["shift"],
        }
        maps = maps_of(model, seen, 1, layer)
        scores = score_maps(maps, seen.masks, seen.lungs, marker_boxes(seen, seen.size // maps.shape[1]), seen.patients)
        for name in ("energy_marker", "energy_lesion"):
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), scores.interval(name), strict=True))
        rows[p] = row
    return pd.DataFrame(rows).T.rename_axis("p"), models


def marker_references(pairs: Pairs, grid: tuple[int, int]) -> tuple[float, float]:
    """Energy inside the marker's box (and one cell around it) of a map that shows the marker alone, and of a map that
    is the same everywhere, on a coarse grid."""
    ill = pairs.marked[np.flatnonzero(pairs.marked.masks.any((1, 2)))]
    box, grown = (_filled(marker_boxes(ill, margin), ill.size) for margin in (0, ill.size // grid[0]))
    maps = perfect_maps(box, grid), np.ones((len(ill), *grid))
    return tuple(score_maps(m, grown, bootstrap=0)["energy_lesion"] for m in maps)


def _filled(boxes, size: int) -> np.ndarray:
    x0, y0, x1, y1 = boxes.T[:, :, None, None]
    y, x = np.arange(size)[:, None], np.arange(size)
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def invisible(
    n_train: int,
    n_test: int,
    confounder: dict,
    size: int = 64,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    layer: str | None = LAYER,
    clean=None,
    **options,
):
    """A shortcut that has no place: the ill were exposed or focused differently.

    ``confounder`` gives the class 1 images another ``gamma`` or ``blur``, e.g. ``{"gamma": 1.3}`` (the display curve;
    see ``phantom.Confounder``). A network learns from such images; another one, for comparison, from images without
    it (or give a trained one as ``clean``). Both are tested on images with the confounder as in training, without it,
    and with it on the healthy instead. ``options`` go to ``make_phantoms``.

    Returns a DataFrame with one row a training set ("clean", "confounded"): balanced accuracy on the tests same,
    removed, swapped with low and high; flips when the confounder alone is switched; energy_lesion with low and high,
    on the ill images as trained; and the networks {name: model}.
    """
    if not confounder or set(confounder) - {"gamma", "blur"}:
        raise ValueError(f"confounder: give gamma or blur, such as {{'gamma': 1.3}}; got {confounder!r}")
    options = {"bedside": 0, "shift": 0, "progress": False} | options

    def images(n, on, seed):
        dials = {"marker": 0.5} | (
            {name: {CLASSES[on]: value} for name, value in confounder.items()} if on is not None else {}
        )
        return as_data(make_phantoms(n, size, CLASSES, seed, dials, **options))

    def everywhere(n, seed):
        dials = {"marker": 0.5} | {name: dict.fromkeys(CLASSES, value) for name, value in confounder.items()}
        return as_data(make_phantoms(n, size, CLASSES, seed, dials, **options))

    tests = {
        "same": images(n_test, 1, seed + 1),
        "removed": images(n_test, None, seed + 1),
        "swapped": images(n_test, 0, seed + 1),
    }
    switched = everywhere(n_test, seed + 1)
    ill = np.flatnonzero(tests["same"].masks.any((1, 2)))
    rows, models = {}, {}
    for name, on in (("clean", None), ("confounded", 1)):
        known = clean if on is None else None
        models[name] = model = known or train(images(n_train, on, seed), recipe)
        row = {}
        for test, r in accuracies(model, tests).iterrows():
            row |= {test: r["balanced_accuracy"], f"{test}_low": r["low"], f"{test}_high": r["high"]}
        flips = flip_rate(model, switched, tests["removed"])
        row |= {"flips": flips["flips"], "flips_low": flips["low"], "flips_high": flips["high"]}
        seen = tests["same"][ill]
        scores = score_maps(maps_of(model, seen, 1, layer), seen.masks, seen.lungs, None, seen.patients)
        row |= dict(
            zip(
                ("energy_lesion", "energy_lesion_low", "energy_lesion_high"),
                scores.interval("energy_lesion"),
                strict=True,
            )
        )
        rows[name] = row
    return pd.DataFrame(rows).T.rename_axis("trained on"), models


def lung_control(
    train_pairs: Pairs, test_pairs: Pairs, shares=(0.5, 1.0), recipe: Recipe = RECIPE, seed: int = 0
) -> pd.DataFrame:
    """Train and test with the lungs blacked out (Maguolo and Nanni, Information Fusion 76, 2021).

    A network that still tells ill from healthy uses something that is not in the lungs. Returns a DataFrame, one row a
    p: balanced accuracy and AUC with low and high.
    """
    rows = {}
    for p in shares:
        model = train(blackout(confounded(train_pairs, p, seed)), recipe)
        rows[p] = accuracies(model, {p: blackout(confounded(test_pairs, p, seed + 1))}).loc[p]
    return pd.DataFrame(rows).T.rename_axis("p")


# ---- figures


def plot_dose(frame: pd.DataFrame, uniform: float | None = None) -> plot.Figure:
    """The table of ``dose_response``: accuracy on the tests, flips, and where the map's energy lies, over p.

    ``uniform`` draws a line: the energy in the marker's box of a map that is the same everywhere.
    """
    panels = (
        ("Balanced accuracy", {"same": "as trained", "removed": "marker removed", "swapped": "marker swapped"}),
        ("Flip rate", {"flips": "marker switched"}),
        ("Energy of the map", {"energy_lesion": "inside the lesion", "energy_marker": "around the marker"}),
    )
    fig, axes = plot.subplots(1, 3, figsize=(10, 3.1))
    text = []
    with plot.style():
        for ax, (title, columns) in zip(axes, panels, strict=True):
            for color, (name, label) in zip(plot.COLORS, columns.items(), strict=False):
                value = frame[name]
                gap = np.clip([value - frame[f"{name}_low"], frame[f"{name}_high"] - value], 0, None)
                ax.errorbar(frame.index, value, yerr=gap, fmt="o-", ms=4, capsize=3, color=color, label=label)
                text.append(f"{title}, {label}: " + ", ".join(f"{v:.2f} at p {p:g}" for p, v in value.items()))
            ax.set(title=title, xlabel="p(marker | ill) in training", ylim=(-0.03, 1.03))
            ax.set_xticks(list(frame.index))
        if uniform is not None:
            axes[2].axhline(uniform, color=plot.GRAY, ls=":", label="marker box, uniform map")
        axes[2].set_ylim(0, 1.6 * frame[["energy_lesion_high", "energy_marker_high"]].to_numpy().max())
        axes[0].legend(fontsize=8)
        axes[2].legend(fontsize=8)
    fig.alt = "Three panels over the share of ill training images with a marker. " + ". ".join(text) + "."
    return fig


def plot_maps(models: dict, data: CxrDataset, target: int = 1, layer: str | None = LAYER, titles=None) -> plot.Figure:
    """Images with their lesion (first row) and the maps of several networks over them, one row a network.

    ``models`` maps a label to a network; ``titles`` one string an image. Every map is scaled by its own maximum. The
    dotted box is the marker's.
    """
    if not 1 <= len(data) <= 12:
        raise ValueError(f"data: give 1 to 12 images, got {len(data)}")
    n = len(data)
    images, masks, boxes = data.images, data.masks, marker_boxes(data)
    fig, axes = plot.subplots(len(models) + 1, n, figsize=(1.5 * n, 1.65 * (len(models) + 1)), squeeze=False)
    for k, ax in enumerate(axes[0]):
        plot.show_xray(ax, images[k], "" if titles is None else titles[k], masks[k])
    text = []
    for row, (label, model) in zip(axes[1:], models.items(), strict=True):
        maps = maps_of(model, data, target, layer)
        for k, ax in enumerate(row):
            show_map(ax, images[k], maps[k], label if k == 0 else "", masks[k])
            x0, y0, x1, y1 = boxes[k]
            if x0 >= 0:
                ax.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="white", ls=":", lw=1)
        if masks.any():
            scores = score_maps(maps, masks, markers=marker_boxes(data, data.size // maps.shape[1]), bootstrap=0)
            found = {"inside the lesion": "energy_lesion", "around the marker": "energy_marker"}
            label += ": energy " + ", ".join(f"{scores[v]:.0%} {k}" for k, v in found.items() if v in scores.per_image)
        text.append(label)
    fig.alt = f"{n} X-rays and their class activation maps, each scaled by its own maximum. " + "; ".join(text) + "."
    return fig
