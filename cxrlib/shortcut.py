"""The shortcut laboratory: plant a shortcut, watch a network take it, and see which tests notice.

A shortcut is something that goes with the class in the training images and has nothing to do with the disease
(Geirhos et al., Nature Machine Intelligence 2, 2020). Here it is the side marker, the letter R or L of lead that lies
on the detector: it shows up in a fraction ``p`` of the ill and ``1 - p`` of the healthy. At p = 0.5 it says nothing, at
p = 1 it says all.

Every image exists twice, with and without its marker, and differs nowhere else. All data sets are made by choosing one
of the two. Where nothing can be switched, in real images, ``controls`` covers parts of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import plot
from ._controls import controls as controls
from ._controls import cover
from ._predict import predict
from .augment import Augment
from .bootstrap import mean_intervals
from .cam import explain
from .data import CxrDataset
from .inputs import network, probabilities
from .localization import MapScores, perfect_maps, score_maps, show_map, show_scale
from .localization.maps import filled
from .localization.maps import marker_boxes as boxes_in
from .metrics import evaluate
from .models import CxrNet
from .multilabel import is_multilabel
from .phantom import counterfactual, make_phantoms
from .recipe import Recipe, build
from .train import fit
from .validate import array, number, whole

FRACTIONS = (0.5, 0.7, 0.9, 1.0)
CLASSES = ("normal", "bacterial")  # healthy and ill
RECIPE = Recipe(
    model="resnet18", size=64, epochs=5, optimizer="adamw", lr=2e-3, weight_decay=0.05, schedule="onecycle",
    class_weights="balanced", augment=Augment(flip=0.5),
    about="ResNet-18 on small phantoms, for the shortcut laboratory.",
)  # fmt: skip
LAYER = "layer2"  # of ResNet-18: 8 x 8 maps at 64 px
PLAIN = {"bedside": 0, "shift": 0, "progress": False}  # no other difference between ill and healthy, or between blocks


@dataclass(frozen=True)
class Pairs:
    """The same images twice; row i of both differs only inside the marker's box."""

    marked: CxrDataset
    plain: CxrDataset

    def __len__(self) -> int:
        return len(self.plain)


def make_pairs(n: int, size: int = 64, seed: int = 0, **options: object) -> Pairs:
    """Make ``n`` counterfactual pairs of phantoms, healthy and ill; ``options`` go to ``make_phantoms``.

    No other difference between ill and healthy or between blocks of patients: one change at a time.
    """
    return Pairs(*map(as_data, counterfactual(n, size, CLASSES, seed, **PLAIN | options)))


def as_data(phantoms: object) -> CxrDataset:
    """Turn phantoms into a data set."""
    p = phantoms
    return CxrDataset(p.images, p.labels, p.classes, p.patients, p.table, p.masks, p.lungs, name="phantom")


def choose(pairs: Pairs, marked: np.ndarray) -> CxrDataset:
    """Take one image of every pair: the one with the marker where ``marked`` (N,) bool is true."""
    marked = array("marked", marked, (len(pairs),), "b")
    a, b = pairs.marked, pairs.plain
    images = np.where(marked[:, None, None, None], a.images, b.images)
    table = a.table.where(pd.Series(marked), b.table).astype(a.table.dtypes)
    return CxrDataset(images, a.labels, a.classes, a.patients, table, a.masks, a.lungs, name="phantom")


def confounded(pairs: Pairs, p: float, seed: int = 0) -> CxrDataset:
    """Take images so that a fraction ``p`` of the ill and ``1 - p`` of the healthy carry the marker."""
    number("p", p, 0, 1)
    luck = np.random.default_rng(seed).random(len(pairs))
    return choose(pairs, luck < np.where(pairs.plain.labels == 1, p, 1 - p))


def blackout(data: CxrDataset) -> CxrDataset:
    """Paint a black rectangle over the lungs: whatever a network still finds is not in the lungs; see ``cover``."""
    return cover(data, "lungs black")


def train(data: CxrDataset, recipe: Recipe = RECIPE) -> CxrNet:
    """Train a network on ``data`` by a recipe, at the size of the data."""
    recipe = recipe.replace(size=data.size)
    model = build(recipe, data.classes)
    fit(model, data, None, recipe, progress=False)
    return model


def _one_answer(model: CxrNet) -> None:
    if is_multilabel(model):  # the other models of a test may be stand-ins
        network("model", model, findings=False)


def three_tests(pairs: Pairs, p: float, seed: int = 0) -> dict[str, CxrDataset]:
    """Make three tests for a network that was trained at ``p``: only the markers differ between them."""
    return {"same": confounded(pairs, p, seed), "removed": pairs.plain, "swapped": confounded(pairs, 1 - p, seed)}


def accuracies(model: CxrNet, tests: Mapping[str, CxrDataset]) -> pd.DataFrame:
    """Measure balanced accuracy and AUC on every test set with 95 % intervals over patients, one row per test."""
    _one_answer(model)
    columns = ["balanced_accuracy", "low", "high", "auc", "auc_low", "auc_high"]
    reports = {name: evaluate(model, data) for name, data in tests.items()}
    rows = {name: (*r.interval("macro_recall"), *r.interval("auc")) for name, r in reports.items()}
    return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("test")


def flip_rate(model: CxrNet, a: CxrDataset, b: CxrDataset, bootstrap: int = 1000, seed: int = 0) -> dict[str, float]:
    """Measure how often the answer changes between ``a`` and ``b``, two versions of the same images in the same order.

    Returns flips (fraction of images with another predicted class), low, high (95 %, bootstrap over patients; NaN
    without ``bootstrap``) and shift, the mean change of the probability of class 1 from ``b`` to ``a``. Raises
    ValueError for other images, and for none.
    """
    if not len(a) or len(a) != len(b) or not np.array_equal(a.patients, b.patients):
        raise ValueError("a and b: give two versions of the same images, in the same order, and at least one image")
    whole("bootstrap", bootstrap)
    _one_answer(model)
    p, q = (probabilities("model", predict(model, version)) for version in (a, b))
    flips = (p.argmax(1) != q.argmax(1)).astype(float)
    low, high = mean_intervals(flips, a.patients, bootstrap, seed)
    return {"flips": flips.mean(), "low": float(low), "high": float(high), "shift": (p[:, 1] - q[:, 1]).mean()}


def marker_boxes(data: CxrDataset, margin: int = 0) -> np.ndarray:
    """Give x0, y0, x1, y1 (N, 4) of the markers, grown by ``margin`` pixels and cut at the border; -1 without a marker.

    A map cannot be sharper than a cell of its grid, by which the laboratory grows the box.
    """
    boxes = boxes_in(data.table).astype(int)
    grown = np.clip(boxes + margin * np.array([-1, -1, 1, 1]), 0, data.size)
    return np.where(boxes[:, :1] >= 0, grown, -1)


def maps_of(model: CxrNet, data: CxrDataset, layer: str | None = LAYER) -> np.ndarray:
    """Compute Grad-CAM maps (N, h, w) of class 1, raw values without ReLU (a blank map is then no warning)."""
    return explain(model, data, layer=layer, target=1, relu=False)


def _ill(data: CxrDataset) -> CxrDataset:
    return data[np.flatnonzero(data.masks.any((1, 2)))]


def _scores(maps: np.ndarray, data: CxrDataset, **options: object) -> MapScores:
    """Scores of maps, with the marker's box and one cell of the map around it."""
    boxes = marker_boxes(data, data.size // maps.shape[1])
    return score_maps(maps, data.masks, data.lungs, boxes, data.patients, **options)


def _row(model: CxrNet, tests: dict, versions: tuple, seen: CxrDataset, layer: str | None, energies: Sequence) -> dict:
    """Measure what one network does: accuracy on the tests, flips when one thing is switched, where its maps lie."""
    found = {name: report[:3] for name, *report in accuracies(model, tests).itertuples()}
    rate = flip_rate(model, *versions)
    found["flips"] = [rate["flips"], rate["low"], rate["high"]]
    scores = _scores(maps_of(model, seen, layer), seen)
    for name in energies:  # undefined where no image has such a region
        found[name] = scores.interval(name) if name in scores.per_image else [np.nan] * 3
    ends = ("", "_low", "_high")
    row = {name + end: v for name, of in found.items() for end, v in zip(ends, of, strict=True)}
    return row | {"shift": rate["shift"]}


def dose_response(
    train_pairs: Pairs, test_pairs: Pairs, fractions: Sequence[float] = FRACTIONS, recipe: Recipe = RECIPE,
    layer: str | None = LAYER, seed: int = 0,
) -> tuple[pd.DataFrame, dict[float, CxrNet]]:  # fmt: skip
    """Train at every p and test: the shortcut's dose and the network's response.

    Returns a table, and the networks by p. It has one row per p, and the columns: balanced accuracy on the three tests
    (same, removed, swapped); flips, when the marker alone is switched, and shift; energy_marker and energy_lesion, the
    fraction of the map of class 1 inside the marker's box (and one cell around it) and inside the lesion, on ill images
    that carry the marker; each but shift with low and high (95 %, bootstrap over patients).
    """
    models = {p: train(confounded(train_pairs, p, seed), recipe) for p in fractions}
    versions, seen = (test_pairs.marked, test_pairs.plain), _ill(test_pairs.marked)
    energies = ("energy_marker", "energy_lesion")
    rows = {p: _row(m, three_tests(test_pairs, p, seed), versions, seen, layer, energies) for p, m in models.items()}
    return pd.DataFrame(rows).T.rename_axis("p"), models


def marker_references(pairs: Pairs, grid: tuple[int, int]) -> tuple[float, float]:
    """Measure the energy in and one cell around the marker's box of a map of the marker alone, and of a uniform map."""
    ill = _ill(pairs.marked)
    marker = perfect_maps(filled(marker_boxes(ill), (ill.size, ill.size)), grid)
    return tuple(_scores(maps, ill, bootstrap=0)["energy_marker"] for maps in (marker, np.ones(marker.shape)))


def invisible(
    n_train: int, n_test: int, confounder: Mapping[str, float], size: int = 64, seed: int = 0,
    recipe: Recipe = RECIPE, layer: str | None = LAYER, clean: CxrNet | None = None, **options: object,
) -> tuple[pd.DataFrame, dict[str, CxrNet]]:  # fmt: skip
    """Train with a shortcut that has no place: the ill were exposed or focused differently.

    A network learns from ``n_train`` images with the confounder; another one, for comparison, from images without it.
    Both are tested on images with the confounder as in training, without it, and with it on the healthy instead.

    ``confounder`` is another ``gamma`` or ``blur`` for class 1, e.g. ``{"gamma": 1.3}`` (see ``phantom.Confounder``);
    ``clean`` a network that was trained without it already; ``options`` go to ``make_phantoms``. Returns a table and
    the networks as ``dose_response``, by the names "clean" and "confounded", without energy_marker.
    """
    if not confounder or set(confounder) - {"gamma", "blur"}:
        raise ValueError(f"confounder: give gamma or blur, such as {{'gamma': 1.3}}; got {confounder!r}")

    def images(n: int, classes: Sequence[str], seed: int) -> CxrDataset:
        dials = {"marker": 0.5} | {name: dict.fromkeys(classes, v) for name, v in confounder.items() if classes}
        return as_data(make_phantoms(n, size, CLASSES, seed, dials, **PLAIN | options))

    healthy, ill = ((name,) for name in CLASSES)
    tests = {name: images(n_test, on, seed + 1) for name, on in (("same", ill), ("removed", ()), ("swapped", healthy))}
    models = {"clean": clean or train(images(n_train, (), seed), recipe)}
    models["confounded"] = train(images(n_train, ill, seed), recipe)
    versions, seen = (images(n_test, CLASSES, seed + 1), tests["removed"]), _ill(tests["same"])
    rows = {name: _row(m, tests, versions, seen, layer, ["energy_lesion"]) for name, m in models.items()}
    return pd.DataFrame(rows).T.rename_axis("trained on"), models


def lung_control(
    train_pairs: Pairs, test_pairs: Pairs, fractions: Sequence = (0.5, 1.0), recipe: Recipe = RECIPE, seed: int = 0
) -> pd.DataFrame:
    """Train and test with the lungs blacked out (Maguolo and Nanni, Information Fusion 76, 2021), one row per p.

    A network that still tells ill from healthy uses something that is not in the lungs. Columns as in ``accuracies``.
    """
    rows = {}
    for p in fractions:
        model = train(blackout(confounded(train_pairs, p, seed)), recipe)
        rows[p] = accuracies(model, {p: blackout(confounded(test_pairs, p, seed + 1))}).loc[p]
    return pd.DataFrame(rows).T.rename_axis("p")


def plot_maps(models: Mapping[str, CxrNet], data: CxrDataset, layer: str | None = LAYER) -> plot.Figure:
    """Draw 1 to 12 images with their lesion (first row) and the maps of networks over them, one row per network.

    All maps have one scale, which is shown: a pale map is a weak one. The dotted box is the marker's.
    """
    n = len(data)
    if not 1 <= n <= 12:
        raise ValueError(f"data: give 1 to 12 images, got {n}")
    images, masks, boxes = data.images, data.masks, marker_boxes(data)
    maps = {label: maps_of(model, data, layer) for label, model in models.items()}
    top = max((float(m.max()) for m in maps.values()), default=0)
    fig, axes = plot.subplots(len(models) + 1, n, figsize=(1.5 * n, 1.65 * (len(models) + 1)), squeeze=False)
    for k, ax in enumerate(axes[0]):
        plot.show_xray(ax, images[k], outline=masks[k])
    said = []
    for row, (label, drawn) in zip(axes[1:], maps.items(), strict=True):
        for k, ax in enumerate(row):
            show_map(ax, images[k], drawn[k], label if k == 0 else "", masks[k], top)
            x0, y0, x1, y1 = boxes[k]
            if x0 >= 0:
                ax.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="white", ls=":", lw=1)
        if masks.any():
            scores = _scores(drawn, data, bootstrap=0)
            places = {"energy_lesion": "inside the lesion", "energy_marker": "around the marker"}
            parts = [f"{scores[name]:.0%} {place}" for name, place in places.items() if name in scores.per_image]
            label = f"{label}: energy {', '.join(parts)}"
        said.append(f"{label}, largest value {max(float(drawn.max()), 0):.3g}")
    if models:
        show_scale(fig, axes[1:], top)
    fig.alt = f"{n} X-rays and their class activation maps, all on one scale from 0 to {top:.3g}. {'; '.join(said)}."
    return fig
