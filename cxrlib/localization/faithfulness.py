"""Does a map fit the network? Deletion and insertion of pixels, and random weights; no truth is needed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy.integrate import trapezoid
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from torch import nn

from .. import plot
from .._predict import predict
from ..bootstrap import groups, mean_intervals
from ..cam import explain
from ..inputs import class_indices, pixels
from ..models import CxrNet, build_model
from ..validate import array, whole
from ..values import UNDEFINED, table, text
from .maps import enlarge

if TYPE_CHECKING:
    from ..data import CxrDataset

AREAS = ("map", "random", "difference", "low", "high")


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion curves; show themselves as a figure.

    At each ``fraction`` (S,) of the pixels changed the four curves (N, S) give the probability of the target class, in
    the map's and in random order; ``patients`` are (N,).
    """

    fraction: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray
    patients: np.ndarray
    bootstrap: int = 1000
    seed: int = 0

    @cached_property
    def table(self) -> pd.DataFrame:
        """Area under each curve (0 to 1), in the map's and in random order, their difference and its 95 % interval.

        A good map has a low deletion area and a high insertion area.
        """
        rows = {}
        for name in ("deletion", "insertion"):
            area, chance = (trapezoid(getattr(self, p + name), self.fraction, axis=1) for p in ("", "random_"))
            ends = mean_intervals(area - chance, self.patients, self.bootstrap, self.seed)
            rows[name] = (area.mean(), chance.mean(), (area - chance).mean(), *map(float, ends))
        return pd.DataFrame.from_dict(rows, "index", columns=AREAS).rename_axis("area under the curve")

    def plot(self) -> plot.Figure:
        """Draw the mean curves of all images."""
        fig, axes = plot.subplots(1, 2, figsize=(8.4, 3.1))
        fig.alt = f"Deletion and insertion curves of {len(self.deletion)} images."
        with plot.style():
            for ax, done, (name, r) in zip(axes, ("removed", "shown"), self.table.iterrows(), strict=True):
                ax.plot(self.fraction, getattr(self, name).mean(0), label="in the map's order")
                ax.plot(self.fraction, getattr(self, "random_" + name).mean(0), ls="--", label="in random order")
                ax.set(title=name, xlabel=f"fraction of pixels {done}", ylim=(-0.03, 1.03))
                areas = f"{r['map']:.3f} in the map's order, {r['random']:.3f} in random order"
                fig.alt += f" Area under the {name} curve: {areas}."
            axes[0].set_ylabel("probability of the class")
            axes[0].legend()
        return fig

    def __repr__(self) -> str:
        return f"Curves of {len(self.deletion)} images\n{self.table.round(3)}"

    def _repr_html_(self) -> str:
        return self.plot().to_html() + table(["area under the curve", *AREAS], self.table.itertuples())


def deletion_insertion(
    model: CxrNet, images: CxrDataset | np.ndarray | torch.Tensor, maps: np.ndarray, target: int | str | list,
    steps: int = 20, *, patients: np.ndarray | None = None, batch_size: int = 64, bootstrap: int = 1000, seed: int = 0,
) -> Curves:  # fmt: skip
    """Remove the pixels a map calls important, and bring them back, to see whether the model notices.

    Deletion replaces pixels by the image's mean, the most important first; insertion starts from a blurred image
    (sigma: a sixteenth of its side) and shows them again (Petsiuk et al., BMVC 2018). The baseline removes in the
    order of a random map of the same coarseness, since single pixels strewn at random would be another kind of damage.
    Raises ValueError for maps that do not fit the images, NaN, an unknown class.

    ``maps`` are (N, h, w); model, images and target as for ``explain``, but a target is needed. There are at least 2
    equal ``steps``; ``patients`` (N,) are by default those of the data set, else every image is its own.
    """
    x = pixels(images)
    maps = array("maps", maps, (len(x), "h", "w"))
    whole("steps", steps, 2)
    if target is None:
        raise ValueError("target: give the class whose maps these are, or one per image")
    chosen = class_indices(target, model.classes, len(x)).numpy()
    patients = groups(getattr(images, "patients", None) if patients is None else patients, len(x))
    rng = np.random.default_rng(seed)
    size = x.shape[2:]
    blurred = torch.from_numpy(gaussian_filter(x.numpy(), (0, 0, size[0] / 16, size[1] / 16)))
    gray = x.mean((1, 2, 3), keepdim=True).expand_as(x)
    fraction = np.linspace(0, 1, steps + 1)
    found = {}
    for prefix, coarse in (("", maps), ("random_", rng.random(maps.shape))):
        rank = torch.from_numpy(_ranks(enlarge(coarse, size), rng))[:, None]
        for name, before, after in (("deletion", x, gray), ("insertion", blurred, x)):
            probs = [predict(model, torch.where(rank < f, after, before), batch_size=batch_size) for f in fraction]
            found[prefix + name] = np.stack([p[np.arange(len(x)), chosen] for p in probs], 1)
    return Curves(fraction, **found, patients=patients, bootstrap=bootstrap, seed=seed)


def _ranks(up: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every pixel the fraction of pixels that are more important; ties in random order, not from top to bottom."""
    flat = up.reshape(len(up), -1)
    order = np.lexsort((rng.random(flat.shape), -flat), axis=1)
    rank = np.empty(flat.shape, np.float32)
    np.put_along_axis(rank, order, np.arange(flat.shape[1], dtype=np.float32)[None] / flat.shape[1], axis=1)
    return rank.reshape(up.shape)


@dataclass(frozen=True, eq=False)
class SanityCheck:
    """How much of the maps survives when the weights are replaced by random ones; shows itself as a figure.

    ``table`` has one row per stage, from the untouched network to the fully random one: rank_correlation (mean over the
    images), low, high (95 % over patients), absolute (mean absolute value), images (with a defined correlation);
    ``per_image`` has the correlations, one row per image, one column per stage. Of the untouched network there are the
    same correlation between *different* images, ``reference``, and how many maps have one value only, ``undefined``.
    """

    table: pd.DataFrame
    reference: float
    undefined: int
    per_image: pd.DataFrame

    def plot(self) -> plot.Figure:
        """Draw the rank correlation with the original map against the depth of the randomization."""
        t = self.table
        fig, ax = plot.subplots(figsize=(7.2, 3.2))
        look = {"fmt": "o-", "color": plot.BLUE, "label": "with the original map"}
        plot.points(ax, range(len(t)), t["rank_correlation"], t["low"], t["high"], **look)
        ax.axhline(self.reference, color=plot.GRAY, ls=":", label="between maps of different images")
        ax.set_xticks(range(len(t)), t.index, rotation=30, ha="right")
        ax.set(xlabel="randomized from the top down to", ylabel="rank correlation", ylim=(-1.05, 1.05))
        ax.legend(fontsize=8)
        stages = t["rank_correlation"].to_dict() | {"Between maps of different images": self.reference}
        said = "; ".join(f"{name}: {text(v, form='.2f')}" for name, v in stages.items()).replace(UNDEFINED, "undefined")
        fig.alt = f"Rank correlation of the maps with the original maps. {said}."
        return fig

    def __repr__(self) -> str:
        return f"{self.table.round(3)}\nmaps of different images: {text(self.reference)}"

    def _repr_html_(self) -> str:
        head = ["randomized down to", *(name.replace("_", " ") for name in self.table)]
        note = f"maps of different images: {text(self.reference)}"
        if self.undefined:
            note += f"; {self.undefined} maps have one value only and no rank correlation: they are left out"
        return self.plot().to_html() + table(head, self.table.itertuples()) + f"<p><small>{note}.</small></p>"


def sanity_check(
    model: CxrNet, images: CxrDataset | np.ndarray | torch.Tensor, layer: str | None = None,
    target: int | str | list | None = None, method: str = "grad-cam", *, repeats: int = 3,
    patients: np.ndarray | None = None, bootstrap: int = 1000, seed: int = 0,
) -> SanityCheck:  # fmt: skip
    """Test whether the map depends on what the network has learned; the model itself stays as it is.

    The weights are replaced by those of a network that was never trained, part by part from the output down
    (cascading randomization, Adebayo et al., NeurIPS 2018). After every part the maps are computed again and compared
    with the original ones by Spearman's rank correlation, without ReLU. A map that stays the same shows the picture,
    not the network.

    Model, images, layer, target and method are those of ``explain``, with at least 2 images; the default target is the
    class that the model predicts for each. The correlations with ``repeats`` random networks are averaged. ``patients``
    (N,) are by default those of the data set, else every image is its own.
    """
    x = pixels(images)
    whole("images (their number)", len(x), 2)
    whole("repeats", repeats, 1)
    chosen = class_indices(predict(model, x).argmax(1) if target is None else target, model.classes, len(x))
    patients = groups(getattr(images, "patients", None) if patients is None else patients, len(x))

    def ranks(net: CxrNet) -> np.ndarray:
        maps = explain(net, x, layer, chosen, method, relu=False)
        r = rankdata(maps.reshape(len(maps), -1), axis=1)
        r = r - r.mean(1, keepdims=True)
        size = np.linalg.norm(r, axis=1, keepdims=True)
        return np.divide(r, size, out=np.full_like(r, np.nan), where=size > 0)

    original = ranks(model)
    parts = list(_parts(model))
    found = np.empty((repeats, len(x), len(parts)))
    for k in range(repeats):
        # The same architecture before it was trained, by another seed than the model's own.
        own = int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
        changes = {"freeze": None, "pretrained": False, "seed": own}
        fresh, copy = _parts(build_model(**model.config | changes)), deepcopy(model)
        for i, (name, part) in enumerate(_parts(copy).items()):
            part.load_state_dict(fresh[name].state_dict())
            found[k, :, i] = (original * ranks(copy)).sum(1)
    itself = (original**2).sum(1)
    per_image, size = (pd.DataFrame(v.mean(0), columns=parts) for v in (found, np.abs(found)))
    for frame in (per_image, size):
        frame.insert(0, "nothing", itself)
    low, high = mean_intervals(per_image, patients, bootstrap, seed)
    columns = {"rank_correlation": per_image.mean(), "low": low, "high": high, "absolute": size.mean()}
    stages = pd.DataFrame(columns | {"images": per_image.count()}).rename_axis("randomized down to")
    reference = pd.Series((original * np.roll(original, 1, axis=0)).sum(1)).mean()
    return SanityCheck(stages, float(reference), int(np.isnan(itself).sum()), per_image)


def _parts(model: CxrNet) -> dict[str, nn.Module]:
    """List the parts of a network that hold weights, from the output to the image."""
    halves = {"body": model.body, "head": model.head}
    parts = [(f"{half}.{name}", m) for half, net in halves.items() for name, m in net.named_children()]
    return {name: m for name, m in parts[::-1] if any(True for _ in m.parameters())}
