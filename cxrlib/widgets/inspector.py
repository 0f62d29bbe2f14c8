"""CamInspector: look at class activation maps, image by image, and read how much of them lies on the lesion."""

from __future__ import annotations

import base64
import copy
import io
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .. import cam
from .._predict import predict
from ..data import CxrDataset
from ..data.decode import BadImage, decode
from ..data.dicom import read_dicom
from ..localization import enlarge
from ..progress import bar
from .base import StaticWidget, kit

_HERE = Path(__file__).parent
SHOWN = 12  # images, when none are named
MOST = 60  # thumbnails on a page
MAX_UPLOAD = 32 * 2**20  # bytes
SIDE = 256  # larger images are reduced to this for the page, in pixels
GRID = 56  # finer maps are averaged down to this many cells for the page
METHOD_NAMES = {
    "grad-cam": "Grad-CAM",
    "grad-cam++": "Grad-CAM++",
    "layer-cam": "Layer-CAM",
    "eigen-cam": "Eigen-CAM",
    "score-cam": "Score-CAM",
    "occlusion": "Occlusion",
}
# Perceptually uniform, so that equal steps look equal, with and without color blindness.
COLOR_MAPS = ("cividis", "viridis", "inferno", "magma")
REGIONS = ("lesion", "lung", "marker")


class CamInspector(StaticWidget):
    """Inspect class activation maps: image, class, layer, method, colors, outlines, and numbers beside them.

    With a kernel, whatever was not computed before is computed when it is chosen, any image of ``data`` can be
    added and own pictures (PNG, JPEG, DICOM) can be opened. Without one (a web page) the images, layers and
    methods named here can be chosen.

    Parameters
    ----------
    model : CxrNet
        From ``build_model``, with the classes of ``data``. The inspector keeps a copy: later training does not
        change what it shows.
    data : CxrDataset
        Its ``masks``, ``lungs`` and table columns ``marker_x0 .. marker_y1`` give outlines and shares, where known.
    images : sequence of int, optional
        Positions in ``data``, at most 60. Default: 12, spread evenly over the classes, whatever the model says
        about them.
    layers : sequence of str, optional
        Names from ``cxrlib.cam.layers(model)``. Default: the last layer at each of the three coarsest map sizes.
    other : CxrNet, optional
        A second model with the same classes, for a side-by-side view.
    methods : sequence of str
        Names from ``cxrlib.cam.METHODS``.
    names : pair of str, optional
        What to call ``model`` and ``other``.
    predict : function, optional
        (model, CxrDataset of N images) -> probabilities (N, K): how the probabilities are made, for example calibrated
        ones. Default: ``cxrlib.predict``.
    decision : float, optional
        Two classes only: the second is what the model "says" where its probability is at least this. ``decide``
        changes it later. Default: the class with the larger probability.
    truth : bool
        Show the true classes. False hides them: for a reading without the answers, or labels that mean nothing.
    precompute : bool
        Compute the maps of all images, layers and methods now. A web page has only these. False computes
        only what is looked at, and needs a kernel.
    progress : bool
        Show a bar while the maps are computed.

    Raises
    ------
    ValueError
        Names the argument: an unknown layer or method, an image out of range, other classes, maps with NaN.

    Notes
    -----
    Maps keep their raw values: each is sent as 8-bit steps between its own lowest and highest value (error at
    most 0.2 % of that range), and maps finer than 56 x 56 are averaged down to that for the screen. Shares of
    energy are computed from the full maps: the positive part, enlarged bilinearly to the image, summed inside a
    region and divided by the sum over the image (energy-based pointing game, Wang et al., CVPR Workshops 2020).
    """

    _esm = kit("inspector")[0]
    _css = _HERE / "inspector.css"
    summary = "CAM inspector: class activation maps over X-rays."

    def __init__(
        self,
        model,
        data,
        *,
        images: Sequence[int] | None = None,
        layers: Sequence[str] | None = None,
        other=None,
        methods: Sequence[str] = ("grad-cam",),
        names: Sequence[str] | None = None,
        predict: Callable = predict,
        decision: float | None = None,
        truth: bool = True,
        precompute: bool = True,
        progress: bool = True,
    ):
        if not isinstance(data, CxrDataset):
            raise ValueError(f"data: give a CxrDataset, got {type(data).__name__}")
        self._data = data
        self._models = [model] if other is None else [model, other]
        for argument, net in zip(("model", "other"), self._models, strict=False):
            _check_model(argument, net, data)
        self._models = [_copy(net) for net in self._models]
        self._lock = threading.Lock()
        self._predict = predict
        self._truth = truth
        self._decision = _check_decision(decision, data)
        self._names = _check_names(names, self._models)
        rows = _check_images(images, data)
        self._methods = _check_methods(methods)
        self._known = [cam.layers(net) for net in self._models]
        self._layers = self._choose_layers(layers)
        self._images: dict[str, dict] = {}  # id -> what the page shows of it, in the order of the thumbnails
        self._pixels: dict[str, np.ndarray] = {}  # id -> uint8 (1, H, W), as the model sees it
        self._regions: dict[str, dict] = {}  # id -> region -> bool (H, W)
        self._maps: dict[str, dict] = {}  # _key(...) -> what the page needs of the maps of all classes
        self._upload: list[bytes] = []
        self._add_rows(rows)
        if precompute:
            work = [
                (m, layer, method)
                for m, chosen in enumerate(self._layers)
                for method in self._methods
                for layer in (chosen if method != "occlusion" else [""])
            ]
            for m, layer, method in bar(work, desc="maps", unit="layer", leave=False, show=progress):
                self._compute(m, list(self._images), layer, method)
        super().__init__()
        self.on_msg(self._receive)

    def decide(self, threshold: float) -> None:
        """Say the second of two classes where its probability is at least ``threshold``, from now on."""
        self._decision = _check_decision(threshold, self._data)
        self.send({"type": "decision", "threshold": self._decision})

    def __repr__(self) -> str:
        return f"CamInspector({', '.join(self._names)}; {len(self._images)} images, {len(self._maps)} saved maps)"

    # -- what the page gets -------------------------------------------------------------------------------------

    def static_state(self) -> dict:
        """The page without a kernel: uploads stay out of it, they may show a patient."""
        images = [i for i in self._images.values() if i["row"] is not None]
        maps = {key: value for key, value in self._maps.items() if not key.split("|")[1].startswith("u")}
        return {"page": {**self._page(), "images": images, "maps": maps}}

    def _page(self) -> dict:
        tops: dict[str, float] = {}
        for key, value in self._maps.items():
            m, _, rest = key.split("|", 2)
            tops[f"{m}|{rest}"] = max(tops.get(f"{m}|{rest}", -math.inf), *value["high"])
        models = [
            {"name": name, "layers": chosen, "known": known}
            for name, chosen, known in zip(self._names, self._layers, self._known, strict=True)
        ]
        return {
            "classes": list(self._models[0].classes),
            "models": models,
            "methods": [
                {"id": key, "name": METHOD_NAMES.get(key, key), "saved": key in self._methods}
                for key in (*self._methods, *(k for k in cam.METHODS if k not in self._methods))
            ],
            "images": list(self._images.values()),
            "maps": {},
            "tops": tops,
            "total": len(self._data),
            "colors": _color_tables(),
            "regions": [r for r in REGIONS if any(r in known for known in self._regions.values())],
            "upload": MAX_UPLOAD,
            "decision": self._decision,
        }

    # -- images and maps ----------------------------------------------------------------------------------------

    def _add_rows(self, rows: Sequence[int]) -> None:
        part = self._data[list(rows)]
        probs = [self._predict(net, part) for net in self._models]
        for argument, values in zip(("model", "other"), probs, strict=False):
            if not np.isfinite(values).all():
                first = rows[int(np.flatnonzero(~np.isfinite(values).all(1))[0])]
                raise ValueError(
                    f"{argument}: its probabilities for image {first} are not numbers (NaN); the weights "
                    "are damaged, or the training diverged"
                )
        pixels, masks, lungs, table = part.images, part.masks, part.lungs, part.table
        for i, row in enumerate(rows):
            regions = {}
            if masks is not None:
                regions["lesion"] = np.asarray(masks[i])
            if lungs is not None:
                regions["lung"] = np.asarray(lungs[i])
            if "marker_x0" in table:
                regions["marker"] = _box(table.iloc[i], pixels.shape[2:])
            self._add_image(
                str(row),
                pixels[i],
                regions,
                [p[i] for p in probs],
                row=int(row),
                label=int(part.labels[i]) if self._truth else None,
            )

    def _add_image(self, name: str, pixels: np.ndarray, regions: dict, probs: list, *, row, label) -> None:
        self._pixels[name] = np.array(pixels)
        self._regions[name] = regions
        self._images[name] = {
            "id": name,
            "row": row,
            "label": label,
            "probs": [[round(float(v), 5) for v in p] for p in probs],
            "png": _png(_reduced(pixels[0])),
            # an empty region is known to be empty, which is not the same as unknown
            "regions": {
                key: {"png": _png(_reduced(mask), bits=1) if mask.any() else None, "area": round(float(mask.mean()), 5)}
                for key, mask in regions.items()
            },
        }

    def _compute(self, m: int, names: list[str], layer: str, method: str) -> None:
        """Compute and keep the maps of these images, all classes."""
        images = np.stack([self._pixels[name] for name in names])
        maps = cam.explain(self._models[m], images, layer=layer or None, method=method, relu=False)
        bad = ~np.isfinite(maps).reshape(len(maps), -1).all(1)
        if bad.any():
            raise ValueError(
                f"model: the {METHOD_NAMES.get(method, method)} maps of {self._names[m]!r} at layer {layer!r} hold "
                f"NaN or infinite values (first for image {names[int(np.flatnonzero(bad)[0])]}); the weights are "
                "damaged, or the training diverged"
            )
        for name, raw in zip(names, maps, strict=True):
            record = quantize(_averaged(raw))
            record["size"] = list(raw.shape[1:])
            record["share"] = {
                key: [None if s is None else round(s, 5) for s in energy_share(raw, mask)]
                for key, mask in self._regions[name].items()
                if mask.any()
            }
            self._maps[_key(m, name, layer, method)] = record

    def _choose_layers(self, layers) -> list[list[str]]:
        """For each model as many layers, in the order of the network: those asked for, or the default."""
        if layers is None:
            chosen = [_default_layers(net) for net in self._models]
            count = min(map(len, chosen))
            return [names[-count:] for names in chosen]
        if isinstance(layers, str) or not isinstance(layers, Iterable) or not (layers := list(layers)):
            raise ValueError(f"layers: give a sequence of names from cxrlib.cam.layers(model), got {layers!r}")
        for argument, known, net in zip(("model", "other"), self._known, self._models, strict=False):
            for layer in layers:
                if layer not in known:
                    raise ValueError(
                        f"layers: {argument} ({net.name!r}) has no layer {layer!r} with maps; the coarse ones are "
                        f"{', '.join(_default_layers(net))}; cxrlib.cam.layers({argument}) lists all"
                    )
        order = {layer: i for i, layer in enumerate(self._known[0])}
        return [sorted(dict.fromkeys(layers), key=order.get) for _ in self._models]

    # -- messages from the page ---------------------------------------------------------------------------------

    def _receive(self, _widget, content, buffers) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        answer = {"hello": self._on_hello, "map": self._on_map, "image": self._on_image, "upload": self._on_upload}
        if kind not in answer:
            return
        try:
            with self._lock:
                reply = answer[kind](content, buffers)
        except (BadImage, ValueError) as error:
            reply = {"type": "error", "text": str(error)}
        except Exception as error:  # anything else must reach the reader too, not end in the kernel's log
            reply = {"type": "error", "text": f"{type(error).__name__}: {error}"}
        if reply is not None:
            self.send({**reply, "ask": content.get("ask")})

    def _on_hello(self, content, buffers) -> dict:
        return {"type": "page", "page": self._page()}

    def _on_map(self, content, buffers) -> dict:
        m, name, layer, method = (content.get(key) for key in ("model", "image", "layer", "method"))
        if not isinstance(m, int) or not 0 <= m < len(self._models):
            raise ValueError(f"model: there is no model {m!r}")
        if name not in self._images:
            raise ValueError(f"image: there is no image {name!r} here")
        if method not in cam.METHODS:
            raise ValueError(f"method: there is no method {method!r}; there are {', '.join(cam.METHODS)}")
        if (layer != "") if method == "occlusion" else (layer not in self._known[m]):
            raise ValueError(f"layer: {self._names[m]} has no layer {layer!r} with maps")
        key = _key(m, name, layer, method)
        if key not in self._maps:
            self._compute(m, [name], layer, method)
        return {"type": "map", "key": key, "map": self._maps[key]}

    def _on_image(self, content, buffers) -> dict:
        row = content.get("row")
        if isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < len(self._data):
            raise ValueError(f"image: there is no image {row!r}; give a number from 0 to {len(self._data) - 1}")
        if str(row) not in self._images:
            self._add_rows([row])
        return {"type": "image", "image": self._images[str(row)]}

    def _on_upload(self, content, buffers) -> dict | None:
        # In parts, because servers close a connection on one very large message.
        if content.get("part") == 0:
            self._upload = []
        self._upload += [bytes(b) for b in buffers]
        if sum(map(len, self._upload)) > MAX_UPLOAD:
            self._upload = []
            raise BadImage(f"The picture is larger than {MAX_UPLOAD // 2**20} MB. Save it smaller and try again.")
        if not content.get("last"):
            return None
        whole, self._upload = b"".join(self._upload), []
        return {"type": "image", "image": self._add_upload(whole)}

    def _add_upload(self, content: bytes) -> dict:
        """Take in a picture; only its pixels are kept."""
        size = self._data.size
        try:
            pixels = read_dicom(content, size=size) if content[128:132] == b"DICM" else decode(content, size)[0]
        except BadImage as error:
            text = str(error)
            it = "it " if text.split()[0] in ("is", "has", "holds") else ""
            raise BadImage(f"This file cannot be used: {it}{text}.") from None
        name = f"u{sum(k.startswith('u') for k in self._images) + 1}"
        one = CxrDataset(pixels[None, None], np.zeros(1, np.int64), self._data.classes, ["own"])
        probs = [self._predict(net, one)[0] for net in self._models]
        self._add_image(name, pixels[None], {}, probs, row=None, label=None)
        return self._images[name]


def energy_share(maps: np.ndarray, mask: np.ndarray) -> list[float | None]:
    """The share of each map's energy inside a region.

    maps: float (K, h, w), raw values; negative ones count as zero. mask: bool (H, W); maps are enlarged
    bilinearly to its size. Returns K numbers from 0 to 1, None for a map without a positive value.
    Raises ValueError when the shapes do not fit.
    """
    maps, mask = np.asarray(maps), np.asarray(mask)
    if maps.ndim != 3 or mask.ndim != 2:
        raise ValueError(f"maps must be (K, h, w) and mask (H, W), got {maps.shape} and {mask.shape}")
    fine = enlarge(np.maximum(maps, 0), mask.shape).astype(np.float64)
    total = fine.sum((1, 2))
    return [float(part / whole) if whole > 0 else None for part, whole in zip(fine[:, mask].sum(1), total, strict=True)]


def quantize(maps: np.ndarray) -> dict:
    """Maps (K, h, w) as 8-bit steps between each map's lowest and highest value, ready for JSON."""
    low, high = maps.min((1, 2)), maps.max((1, 2))
    step = np.where(high > low, (high - low) / 255, 1)
    steps = np.rint((maps - low[:, None, None]) / step[:, None, None]).astype(np.uint8)
    return {
        "grid": list(maps.shape[1:]),
        "low": [_short(v) for v in low],
        "high": [_short(v) for v in high],
        "steps": base64.b64encode(steps.tobytes()).decode(),
    }


def dequantize(record: dict) -> np.ndarray:
    """The maps (K, h, w) float64 of a record made by ``quantize``."""
    low, high = (np.array(record[k], float)[:, None, None] for k in ("low", "high"))
    steps = np.frombuffer(base64.b64decode(record["steps"]), np.uint8).reshape(len(low), *record["grid"])
    return low + steps * ((high - low) / 255)


def _key(m: int, name: str, layer: str, method: str) -> str:
    return f"{m}|{name}|{layer}|{method}"


def _short(value) -> float:
    return float(f"{float(value):.6g}")


def _averaged(maps: np.ndarray) -> np.ndarray:
    h, w = maps.shape[1:]
    if max(h, w) <= GRID:
        return maps
    whole = torch.from_numpy(np.ascontiguousarray(maps))[None]
    return F.adaptive_avg_pool2d(whole, (min(h, GRID), min(w, GRID)))[0].numpy()


def _reduced(image: np.ndarray) -> np.ndarray:
    """An image or mask (H, W) at a size for the screen."""
    h, w = image.shape
    if max(h, w) <= SIDE:
        return image
    scale = SIDE / max(h, w)
    gray = Image.fromarray(image.astype(np.uint8) * 255 if image.dtype == bool else image)
    small = np.asarray(gray.resize((max(1, round(w * scale)), max(1, round(h * scale))), Image.Resampling.BOX))
    return small >= 128 if image.dtype == bool else small


def _png(image: np.ndarray, bits: int = 8) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image, np.uint8) * (255 if bits == 1 else 1))
    (picture.convert("1") if bits == 1 else picture).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _box(row, shape) -> np.ndarray:
    """The marker's box as a mask; x1 and y1 lie outside it."""
    mask = np.zeros(shape, bool)
    corners = [row.get(f"marker_{k}", np.nan) for k in ("x0", "y0", "x1", "y1")]
    if all(np.isfinite(v) and v >= 0 for v in corners):
        x0, y0, x1, y1 = map(int, corners)
        mask[y0:y1, x0:x1] = True
    return mask


@cache
def _color_tables() -> dict[str, str]:
    tables = {name: np.rint(mpl.colormaps[name](np.arange(256))[:, :3] * 255).astype(np.uint8) for name in COLOR_MAPS}
    return {name: base64.b64encode(table.tobytes()).decode() for name, table in tables.items()}


def _default_layers(model, count: int = 3) -> list[str]:
    """The last part of the body at each map size, the coarsest ``count`` of them."""
    sizes: dict[str, tuple] = {}
    hooks = [
        child.register_forward_hook(lambda _m, _x, y, name=name: sizes.__setitem__(name, tuple(y.shape[2:])))
        for name, child in model.body.named_children()
    ]
    training, first = model.training, next(model.parameters())
    side = model.config["size"]
    try:
        model.eval()
        with torch.no_grad():
            model.body(model.input(torch.zeros(1, 1, side, side, device=first.device, dtype=first.dtype)))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    known = set(cam.layers(model))
    last = {size: name for name, size in sizes.items() if name in known}
    found = [name for name in sizes if name in last.values()][-count:]
    if not found:
        raise ValueError(f"model: {model.name!r} has no layer with maps of more than one pixel; a CAM needs one")
    return found


def _check_model(argument: str, net, data) -> None:
    if not hasattr(net, "classes") or not hasattr(net, "body"):
        raise ValueError(f"{argument}: give a network made by build_model, got {type(net).__name__}")
    if tuple(net.classes) != tuple(data.classes):
        raise ValueError(f"{argument}: it was built for the classes {list(net.classes)}, data has {list(data.classes)}")


def _copy(net):
    """A copy in eval mode. JupyterLab answers widgets in a thread of its own, maybe while a cell trains the model:
    neither may disturb the other's mode, hooks and gradients."""
    net = copy.deepcopy(net).eval()
    net.zero_grad(set_to_none=True)
    return net


def _check_names(names, models) -> list[str]:
    if names is None:
        names = [net.name for net in models]
        return names if len(set(names)) == len(names) else [f"{names[0]} (1)", f"{names[1]} (2)"]
    if isinstance(names, str) or len(names := [str(n) for n in names]) != len(models) or len(set(names)) < len(names):
        raise ValueError(f"names: give {len(models)} different name(s), one for each model, got {names!r}")
    return names


def _check_decision(decision, data) -> float | None:
    if decision is None:
        return None
    if len(data.classes) != 2:
        raise ValueError(f"decision: a threshold needs two classes, data has {len(data.classes)}")
    if not 0 <= decision <= 1:
        raise ValueError(f"decision: give a probability from 0 to 1, got {decision!r}")
    return float(decision)


def _check_images(images, data) -> list[int]:
    n = len(data)
    if n == 0:
        raise ValueError("data: it has no images")
    if images is None:
        return _spread(data)
    found = np.asarray(images)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not 1 <= len(found) <= MOST:
        raise ValueError(
            f"images: give 1 to {MOST} positions in data, such as [0, 5, 7]; got "
            f"{f'{found.size} values of type {found.dtype}' if found.ndim == 1 else repr(images)}"
        )
    outside = found[(found < -n) | (found >= n)]
    if len(outside):
        raise ValueError(f"images: there is no image {outside[0]}; data has {n} images, numbered 0 to {n - 1}")
    return list(dict.fromkeys(int(i) % n for i in found))


def _spread(data) -> list[int]:
    """Positions spread evenly over each class, in the order of the data; not chosen by what a model says."""
    of_class = [rows for k in range(len(data.classes)) if len(rows := np.flatnonzero(data.labels == k))]
    counts = [0] * len(of_class)
    while sum(counts) < min(SHOWN, len(data)):  # one more for the class with the fewest, while it has any left
        counts[min((i for i, rows in enumerate(of_class) if counts[i] < len(rows)), key=counts.__getitem__)] += 1
    picked = [
        rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
        for rows, count in zip(of_class, counts, strict=True)
    ]
    return sorted(int(i) for rows in picked for i in rows)


def _check_methods(methods) -> list[str]:
    if isinstance(methods, str):
        methods = [methods]
    methods = list(dict.fromkeys(methods))
    unknown = [m for m in methods if m not in cam.METHODS]
    if unknown or not methods:
        raise ValueError(
            f"methods: {f'unknown method {unknown[0]!r}' if unknown else 'there is none'}; "
            f"there are {', '.join(cam.METHODS)}"
        )
    return methods
