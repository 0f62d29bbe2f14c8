"""CamInspector: look at class activation maps, image by image, and read how much of them lies on the lesion."""

from __future__ import annotations

import copy
import itertools
import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from .. import cam
from .._lungs import NOTHING, ONE, SMALL, SMALLEST, UNSURE, find_lungs
from .._predict import predict as plain_predict
from ..data import CxrDataset
from ..data.decode import BadImage, read_picture
from ..inputs import network
from ..live import live_network
from ..localization.maps import enlarge, filled, fraction_inside, marker_boxes
from ..models import CxrNet
from ..progress import bar
from ..validate import number, one_of, several, text, whole
from ..values import plain
from .base import StaticWidget, kit, t
from .encode import SIDE, SIGNED, averaged, checked, color_tables, picture, positions, quantize, reduced

SHOWN = 12  # images, when none are named
MOST = 60  # thumbnails on a page
MAX_UPLOAD = 32 * 2**20  # bytes
METHOD_NAMES = {method: method.title().replace("Cam", "CAM") for method in cam.METHODS}
REGIONS = ("lesion", "lung", "marker")
#: what `find_lungs` says of an image, for the reader
_NO_LUNGS = {
    NOTHING: t("no lungs seen"), ONE: t("not two lungs side by side"), UNSURE: t("unsure"),
    SMALL: t("smaller than {0} px", SMALLEST),
}  # fmt: skip


class CamInspector(StaticWidget):
    """Inspect class activation maps: image, class, layer, method, colors, outlines, and numbers beside them.

    With a kernel, whatever was not computed before is computed when it is chosen, any image of ``data`` can be added,
    and pictures of the reader's own (PNG, JPEG, DICOM) can be opened and removed. Without one (a web page) the images,
    layers and methods named here can be chosen; with ``live`` the page computes what is missing at the end of the body,
    and opens pictures of the reader's own. They leave neither the kernel nor the page.

    Parameters
    ----------
    model : CxrNet
        From ``build_model``, with the classes of ``data``. The inspector keeps a copy: later training does not change
        what it shows.
    data : CxrDataset
        Its ``masks``, ``lungs`` and table columns ``marker_x0 .. marker_y1`` give outlines and fractions, where known.
        Lungs that are not known are looked for, as ``cxrlib.lungs`` does; in pictures of the reader's own, too.
    images : sequence of int, optional
        Positions in ``data``, at most 60. Default: 12, spread evenly over the classes, whatever the model says about
        them.
    layers : sequence of str, optional
        Names from ``cxrlib.cam.layers(model)``. Default: the last layer at each of the three coarsest map sizes.
    methods : sequence of str
        Names from ``cxrlib.cam.METHODS``.
    other, names : CxrNet, pair of str, optional
        A second model with the same classes, for a side-by-side view; what to call the two.
    compare : {"no", "classes", "images", "models"}
        What stands side by side at first; "models" needs ``other``.
    predict : function, optional
        (model, CxrDataset of N images) -> probabilities (N, K): how the probabilities are made, for example calibrated
        ones. Default: ``cxrlib.predict``.
    prepare, upload_size : function and int, optional
        What to do with pictures of the reader's own before they are shown, for example ``Run.prepare``: CxrDataset ->
        CxrDataset of the size of ``data``; and the size at which they are read first. Default: only scaled.
    decision : float, optional
        Two classes only: the second is what the model "says" where its probability is at least this. ``decide`` changes
        it later. Default: the class with the larger probability.
    truth : bool
        Show the true classes. False hides them: for a reading without the answers, or labels that mean nothing.
    precompute, progress : bool
        Compute the maps of all images, layers and methods now, with a progress bar. A web page has only these. False
        computes only what is looked at, and needs a kernel.

    Notes
    -----
    Maps keep their raw values: each is sent as 8-bit steps between its own lowest and highest value (error at most
    0.2 % of that range), and maps finer than 56 x 56 are averaged down to that for the screen. Fractions of energy are
    computed from the full maps: the positive part, enlarged bilinearly to the image, summed inside a region and divided
    by the sum over the image (energy-based pointing game, Wang et al., CVPR Workshops 2020).
    """

    _esm, _css = kit(
        *("maps", "live", "dicom", "decode", "answers", "hand", "share"),
        *("inspector_view", "inspector_lists", "inspector_own", "inspector_carry", "inspector_draw", "inspector"),
    )
    summary = t("CAM inspector: class activation maps over X-rays.")

    def __init__(
        self, model: CxrNet, data: CxrDataset, *, images: Sequence[int] | None = None,
        layers: Sequence[str] | None = None, other: CxrNet | None = None, methods: Sequence[str] = ("grad-cam",),
        names: Sequence[str] | None = None, predict: Callable | None = None, prepare: Callable | None = None,
        upload_size: int | None = None, decision: float | None = None, truth: bool = True, precompute: bool = True,
        progress: bool = True, live: bool = False, compare: str = "no",
    ) -> None:  # fmt: skip
        self._data, self._predict, self._truth = checked(data), predict or plain_predict, truth
        self.runs_network = live
        if live and (predict or prepare or upload_size or data.size > SIDE):
            given = f"images of at most {SIDE} px, without predict, prepare and upload_size"
            raise ValueError(f"live: the page computes plain probabilities of {given}; change that, or leave live out")
        self._prepare, self._upload_size = prepare, upload_size or data.size
        given = {"model": model} if other is None else {"model": model, "other": other}
        self._models = [_own_copy(name, net, data) for name, net in given.items()]
        self._lock = threading.Lock()
        self._decision = self._checked(decision)
        self._compare = one_of("compare", compare, ["no", "classes", "images", *["models"] * (len(self._models) > 1)])
        rows = _spread(data) if images is None else list(dict.fromkeys(positions(images, len(data), MOST)))
        self._methods = list(dict.fromkeys(several("methods", methods, partial(one_of, allowed=cam.METHODS))))
        self._described = _describe(self._models, names, layers)
        if live and not all(set(model["layers"]) & set(model["ends"]) for model in self._described):
            end = self._described[0]["ends"][-1]
            raise ValueError(f"layers: a live page computes maps at the end of the body; add {end!r}")
        self._images: dict[str, dict] = {}  # id -> what the page shows of it, in the order of the thumbnails
        self._pixels: dict[str, np.ndarray] = {}  # id -> uint8 (1, H, W), as the model sees it
        self._regions: dict[str, dict] = {}  # id -> region -> bool (H, W)
        self._maps: dict[str, dict] = {}  # _key(...) -> what the page needs of the maps of all classes
        self._upload: list[bytes] = []
        self._opened = itertools.count(1)  # own pictures: a number is never given twice
        self._add_rows(rows)
        if precompute:
            work = []
            for (m, model), method in itertools.product(enumerate(self._described), self._methods):
                work += [(m, layer, method) for layer in (model["layers"] if method != "occlusion" else [""])]
            for m, layer, method in bar(work, desc="maps", unit="layer", leave=False, show=progress):
                self._compute(m, list(self._images), layer, method)
        super().__init__()
        self.on_msg(self._receive)

    def decide(self, threshold: float) -> None:
        """Say the second of two classes where its probability is at least ``threshold``, from now on."""
        self._decision = self._checked(threshold)
        self.send({"type": "decision", "threshold": self._decision})

    def __repr__(self) -> str:
        names = ", ".join(model["name"] for model in self._described)
        return f"CamInspector({names}; {len(self._images)} images, {len(self._maps)} saved maps)"

    def static_state(self) -> dict:
        """Return the page without a kernel: own pictures stay out of it, they may show a patient."""
        images = [image for image in self._images.values() if image["row"] is not None]
        maps = {key: value for key, value in self._maps.items() if not key.split("|")[1].startswith("u")}
        live = [live_network(net) for net in self._models] if self.runs_network else None
        return {"page": {**self._page(), "images": images, "maps": maps, "live": live}}

    def _page(self) -> dict:
        tops: dict[str, tuple[float, float]] = {}  # of all images: the highest value, the largest with either sign
        for key, value in self._maps.items():
            m, _, rest = key.split("|", 2)
            highest, largest = tops.get(f"{m}|{rest}", (-math.inf, -math.inf))
            highest = max(highest, *value["high"])
            tops[f"{m}|{rest}"] = highest, max(largest, highest, *(-v for v in value["low"]))
        methods = dict.fromkeys([*self._methods, *cam.METHODS])  # the saved ones first
        return {
            "classes": list(self._models[0].classes), "total": len(self._data), "size": self._data.size,
            "models": self._described,
            "methods": [{"id": key, "name": METHOD_NAMES[key], "saved": key in self._methods} for key in methods],
            "images": list(self._images.values()), "maps": {}, "tops": tops, "colors": color_tables(), "signed": SIGNED,
            "regions": [r for r in REGIONS if r == "lung" or any(r in known for known in self._regions.values())],
            "upload": MAX_UPLOAD, "decision": self._decision, "compare": self._compare,
        }  # fmt: skip

    def _add_rows(self, rows: Sequence[int]) -> None:
        part = self._data[list(rows)]
        probs = self._probabilities(part, rows)
        lungs, told = _lungs_of(part)
        regions = {"lesion": part.masks, "marker": None, "lung": lungs}
        if "marker_x0" in part.table:
            regions["marker"] = filled(marker_boxes(part.table).astype(int), part.images.shape[2:])
        for i, row in enumerate(rows):
            here = {name: None if masks is None else masks[i] for name, masks in regions.items()}
            facts = {"row": int(row), "label": int(part.labels[i]) if self._truth else None}
            self._add_image(str(row), part.images[i], [p[i] for p in probs], here, told[i], **facts)

    def _probabilities(self, part: CxrDataset, names: Sequence) -> list[np.ndarray]:
        probs = [np.asarray(self._predict(net, part)) for net in self._models]
        for argument, values in zip(("model", "other"), probs, strict=False):
            bad = ~np.isfinite(values).all(1)
            if bad.any():
                what = f"{argument}: its probabilities for image {names[int(bad.argmax())]} hold NaN or infinite values"
                raise ValueError(f"{what}; the weights are damaged, or the training diverged: train it again")
        return probs

    def _add_image(
        self, name: str, pixels: np.ndarray, probs: list, regions: Mapping, told: str, **facts: object
    ) -> None:
        """Keep an image; ``regions`` has its masks bool (H, W), None where one is not known."""
        regions = {key: np.asarray(mask) for key, mask in regions.items() if mask is not None}
        self._pixels[name], self._regions[name] = np.array(pixels), regions
        shown = {}
        for key, mask in regions.items():  # an empty region is known to be empty, which is not the same as unknown
            png = picture(reduced(mask)) if mask.any() else None
            shown[key] = {"png": png, "area": plain(mask.mean(), 5)}
        page = {"probs": plain(probs, 5), "png": picture(reduced(pixels[0])), "regions": shown, "lungs": told}
        self._images[name] = {"id": name, **facts, **page}

    def _compute(self, m: int, names: list[str], layer: str, method: str) -> None:
        """Compute and keep the maps of these images, all classes."""
        images = np.stack([self._pixels[name] for name in names])
        maps = cam.explain(self._models[m], images, layer=layer or None, method=method, relu=False)
        for name, raw in zip(names, maps, strict=True):
            positive = enlarge(np.maximum(raw, 0), self._pixels[name].shape[1:])
            blank, inside = ~positive.any((1, 2)), {}
            for key, mask in self._regions[name].items():
                if mask.any():
                    inside[key] = plain(np.where(blank, np.nan, fraction_inside(positive, mask)), 5)
            page = {**quantize(averaged(raw)), "size": list(raw.shape[1:]), "inside": inside}
            self._maps[_key(m, name, layer, method)] = page

    # -- messages from the page ---------------------------------------------------------------------------------

    def _receive(self, _widget: CamInspector, content: dict, buffers: list) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind not in ("hello", "map", "image", "upload", "remove"):
            return
        try:
            with self._lock:
                reply = getattr(self, f"_on_{kind}")(content, buffers)
        except Exception as error:  # it must reach the reader, not end in the kernel's log
            before = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            reply = {"type": "error", "text": f"{before}{error}"}
        if reply is not None:
            self.send({**reply, "ask": content.get("ask")})

    def _on_hello(self, content: dict, buffers: list) -> dict:
        return {"type": "page", "page": self._page()}

    def _on_map(self, content: dict, buffers: list) -> dict:
        m = whole("model", content.get("model"), 0, len(self._models) - 1)
        name = one_of("image", content.get("image"), self._images)
        method = one_of("method", content.get("method"), cam.METHODS)
        layer = one_of("layer", content.get("layer"), [""] if method == "occlusion" else self._described[m]["known"])
        key = _key(m, name, layer, method)
        if key not in self._maps:
            self._compute(m, [name], layer, method)
        return {"type": "map", "key": key, "map": self._maps[key]}

    def _on_image(self, content: dict, buffers: list) -> dict:
        row = whole("image", content.get("row"), 0, len(self._data) - 1)
        if str(row) not in self._images:
            self._add_rows([row])
        return {"type": "image", "image": self._images[str(row)]}

    def _on_upload(self, content: dict, buffers: list) -> dict | None:
        # In parts, because servers close a connection on one very large message.
        if content.get("part") == 0:
            self._upload = []
        self._upload += map(bytes, buffers)
        if sum(map(len, self._upload)) > MAX_UPLOAD:
            self._upload = []
            raise BadImage(f"The picture is larger than {MAX_UPLOAD // 2**20} MB. Save it smaller and try again.")
        if not content.get("last"):
            return None
        file, self._upload = b"".join(self._upload), []
        try:
            pixels, *of_file, notes = read_picture(file, self._upload_size)
        except BadImage as error:
            reason = str(error)
            it = "it " if reason.split()[0] in ("is", "has", "holds") else ""
            raise BadImage(f"This file cannot be used: {it}{reason}.") from None
        one = CxrDataset(pixels[None, None], np.zeros(1, np.int64), self._data.classes, ["own"])
        if self._prepare:
            with warnings.catch_warnings():  # that no lungs were found stands beside the picture
                warnings.simplefilter("ignore")
                one = self._prepare(one)
        probs = [p[0] for p in self._probabilities(one, ["own picture"])]
        name, ((mask,), (told,)) = f"u{next(self._opened)}", _lungs_of(one)
        facts = {"row": None, "label": None, "file": of_file, "notes": notes}
        self._add_image(name, one.images[0], probs, {"lung": mask}, told, **facts)
        return {"type": "image", "image": self._images[name]}

    def _on_remove(self, content: dict, buffers: list) -> dict:
        name = one_of("image", content.get("image"), [k for k in self._images if k.startswith("u")])
        for kept in (self._images, self._pixels, self._regions):
            del kept[name]
        self._maps = {key: value for key, value in self._maps.items() if key.split("|")[1] != name}
        return {"type": "removed", "image": name}

    def _checked(self, decision: float | None) -> float | None:
        if decision is not None and len(self._data.classes) != 2:
            raise ValueError(f"decision: a threshold needs two classes, data has {len(self._data.classes)}")
        return None if decision is None else number("decision", decision, 0, 1)


def _lungs_of(part: CxrDataset) -> tuple[Sequence[np.ndarray | None], list[str]]:
    """Give the lungs of each image, its own or those that are found, and what is to be told about them."""
    if part.lungs is not None:
        return part.lungs, [""] * len(part)
    masks, reasons = find_lungs(part)
    found = [None if reason else mask for mask, reason in zip(masks, reasons, strict=True)]
    return found, [_NO_LUNGS.get(reason, "found") for reason in reasons]


def _describe(models: list[CxrNet], names: Sequence[str] | None, layers: Sequence[str] | None) -> list[dict]:
    """Tell the page of each model: its name, the layers that are shown first, as many for each, and all it has."""
    rows = [
        {"name": name, "layers": _default_layers(net), "known": cam.layers(net), **_ends(net)}
        for name, net in zip(_check_names(names, models), models, strict=True)
    ]
    asked = None if layers is None else several("layers", layers, text)
    count = min(len(row["layers"]) for row in rows)
    for row in rows:
        if asked is None:
            row["layers"] = row["layers"][-count:]
        elif unknown := [layer for layer in asked if layer not in row["known"]]:
            such = f"such as {', '.join(row['layers'])}"
            raise ValueError(f"layers: give names from cxrlib.cam.layers, {such}, got {unknown[0]!r}")
        else:
            row["layers"] = sorted(set(asked), key=rows[0]["known"].index)
    return rows


def _ends(model: CxrNet) -> dict:
    """Tell at which layers the body ends and, where the sum of a Grad-CAM there and a bias is the logit, that bias."""
    ends = [name for name in cam.layers(model) if cam.is_end_of_body(model, model.body.get_submodule(name))]
    weights = cam.pooled_weights(model)
    with torch.no_grad():
        bias = None if weights is None else model.head(weights.new_zeros(1, weights.shape[1], 1, 1))[0].tolist()
    return {"ends": ends, "bias": bias}


def _key(m: int, name: str, layer: str, method: str) -> str:
    return f"{m}|{name}|{layer}|{method}"


def _default_layers(model: CxrNet) -> list[str]:
    """List the last part of the body at each map size, the coarsest three of them."""
    last = {size: name for name, size in cam.map_sizes(model).items() if "." not in name}
    if not last:
        raise ValueError(f"model: {model.name!r} has no layer with maps of more than one pixel; a CAM needs one")
    return list(last.values())[-3:]


def _own_copy(argument: str, net: CxrNet, data: CxrDataset) -> CxrNet:
    # JupyterLab answers widgets in a thread of its own, maybe while a cell trains the model: neither may disturb the
    # other's mode, hooks and gradients.
    if tuple(network(argument, net, findings=False).classes) != tuple(data.classes):
        raise ValueError(f"{argument}: it was built for the classes {list(net.classes)}, data has {list(data.classes)}")
    net = copy.deepcopy(net).eval()
    net.zero_grad()
    return net


def _check_names(names: Sequence[str] | None, models: list[CxrNet]) -> list[str]:
    if names is None:
        names = [net.name for net in models]
        return names if len(set(names)) == len(names) else [f"{names[0]} (1)", f"{names[1]} (2)"]
    found = several("names", names, text)
    if len(found) != len(models) or len(set(found)) < len(found):
        raise ValueError(f"names: give {len(models)} different name(s), one for each model, got {found}")
    return found


def _spread(data: CxrDataset) -> list[int]:
    """List positions spread evenly over each class, in the order of the data; not chosen by what a model says."""
    turn = pd.Series(data.labels).groupby(data.labels).cumcount()  # the classes take turns, while they have any left
    picked = []
    for k, count in enumerate(np.bincount(data.labels[np.lexsort((data.labels, turn))[:SHOWN]])):
        rows = np.flatnonzero(data.labels == k)
        picked += rows[np.linspace(0, len(rows) - 1, count).round().astype(int)].tolist()
    return sorted(picked)
