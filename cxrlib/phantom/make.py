"""make_phantoms and counterfactual: check the arguments, spread the work, collect the truth."""

from __future__ import annotations

import hashlib
import inspect
import math
import multiprocessing
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ..device import cores
from ..progress import bar
from ..validate import number, one_of, several, short, whole
from .cohort import CLASSES, Row, make_cohort
from .render import Drawing, Options, render

_CHUNK = 25
_SMALL = 64  # below this a second process costs more than it saves
_MIN_SIZE = 32
_MOST_PIXELS = 20_000_000_000  # of a set: with its masks three times as many bytes


@dataclass(frozen=True)
class Confounder:
    """A shortcut to plant: something that is not disease but goes with the class, as {class: number}.

    ``marker`` is the probability of a side marker (classes left out keep 0.85; one number holds for all), ``gamma`` an
    exponent on the display curve, 0.2 to 10 (above 1 is darker in the lungs), ``blur`` the standard deviation of a blur
    in pixels of a 224-pixel image, 0 to 10.
    """

    marker: float | dict = field(default_factory=dict)
    gamma: dict = field(default_factory=dict)
    blur: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Phantoms:
    """A generated set of N images, with one row of ``table`` per image."""

    images: np.ndarray  # uint8 (N, 1, H, W)
    labels: np.ndarray  # int64 (N,)
    classes: tuple[str, ...]
    masks: np.ndarray  # bool (N, H, W): the lesions, inside `lungs`; empty for normal images
    lungs: np.ndarray  # bool (N, H, W): the visible lung fields
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def patients(self) -> np.ndarray:
        """The patient of every image, str (N,)."""
        return self.table["patient"].to_numpy(dtype=str)


def make_phantoms(
    n: int, size: int = 224, classes: Sequence[str] = ("normal", "pneumonia"), seed: int = 0,
    confounder: Confounder | Mapping | None = None, *, lesion_contrast: float = 1.0, label_noise: float = 0.0,
    age: str = "child", shift: float = 1.0, bedside: float = 0.0, progress: bool = True, workers: int | None = None,
) -> Phantoms:  # fmt: skip
    """Generate n chest X-ray phantoms with their truth.

    Parameters
    ----------
    n : int
        Number of images.
    size : int
        Height and width in pixels, at least 32.
    classes : sequence of str
        Any of "normal", "pneumonia" (bacterial and viral, about 2 : 1), "bacterial", "viral", "covid-19",
        "tuberculosis"; or findings that come together: "consolidation" (drawn as bacterial), "effusion",
        "consolidation+effusion". Labels count in this order.
    seed : int
        The same seed and options give the same bytes, whatever ``workers`` is.
    confounder : Confounder or dict with its fields, optional
        Such as ``{"marker": {"normal": 0.1, "pneumonia": 0.9}}``.
    lesion_contrast : float
        0 makes lesions invisible (masks stay), 1 is realistic, up to 3 is easier.
    label_noise : float
        Fraction of images that get a wrong label (the column ``subtype`` keeps the truth).
    age : str
        "child" (1 to 5 years, as in the Kermany set) or "adult".
    shift : float
        How differently the test block was exposed, 0 to 3; 0 turns it off.
    bedside : float
        How much more often the sick are imaged in bed, with leads, less sharply and with a shallow breath, 0 to 3; 0 is
        the same for all classes, 1 as in real sets.
    progress : bool
    workers : int, optional
        Processes; default: chosen by n and the number of cores.
    """
    return _make(**locals())


def counterfactual(
    n: int, size: int = 224, classes: Sequence[str] = ("normal", "pneumonia"), seed: int = 0, **options
) -> tuple[Phantoms, Phantoms]:
    """Generate pairs, with the marker and without it: the same patients, poses, lesions and noise.

    Arguments are those of ``make_phantoms``. Of the two sets of n images, row i differs only inside the box marker_x0
    .. marker_y1 of row i of the first.
    """
    given = inspect.signature(make_phantoms).bind(n, size, classes, seed, **options)
    given.apply_defaults()
    return tuple(_make(**given.arguments, markers=chance) for chance in (1.0, 0.0))


def _make(markers: float | None = None, **given: Any) -> Phantoms:
    n, size = whole("n", given["n"], 1), whole("size", given["size"], _MIN_SIZE)
    if n > (most := _MOST_PIXELS // size**2):
        raise ValueError(f"n: {n} images of {size} x {size} pixels are too many; give at most {most:,} of that size")
    classes = tuple(several("classes", given["classes"], partial(one_of, allowed=CLASSES)))
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes: give each name once, got {classes}")
    if "pneumonia" in classes and (twice := {"bacterial", "viral"} & set(classes)):
        raise ValueError(f'classes: "pneumonia" holds bacterial and viral images already; leave out it or {min(twice)}')
    noise = number("label_noise", given["label_noise"], 0, 1)
    if noise and len(classes) < 2:
        raise ValueError(f"label_noise: a wrong label needs a second class, got the classes {classes}")
    workers = None if given["workers"] is None else whole("workers", given["workers"], 1)
    dials = {name: number(name, given[name], 0, 3) for name in ("lesion_contrast", "shift", "bedside")}
    age = one_of("age", given["age"], ("child", "adult"))
    seed, shortcuts = whole("seed", given["seed"]), _check_confounder(given["confounder"], classes)
    if markers is not None:
        shortcuts["marker"] = dict.fromkeys(classes, markers)
    options = Options(size=size, seed=seed, age=age, **dials, **shortcuts)
    rows = make_cohort(n, classes, seed)
    images, masks, lungs, devices = _draw(rows, options, given["progress"], workers)
    labels = _labels(rows, classes, noise, seed)
    table = _table(rows, devices, [classes[k] for k in labels], images, options)
    return Phantoms(images[:, None], labels, classes, masks, lungs, table)


def _check_confounder(confounder: Confounder | Mapping | None, classes: tuple[str, ...]) -> dict[str, dict]:
    """Return {"marker", "gamma", "blur"}, each {class: number}."""
    found = asdict(confounder if isinstance(confounder, Confounder) else Confounder())
    if isinstance(confounder, Mapping):
        found |= {one_of("confounder", key, found): value for key, value in confounder.items()}
    elif not isinstance(confounder, Confounder | None):
        raise ValueError(f"confounder: give a Confounder, a dict with its fields or None, got {short(confounder)}")
    if isinstance(found["marker"], Real):
        found["marker"] = dict.fromkeys(classes, found["marker"])
    for name, (low, high) in {"marker": (0, 1), "gamma": (0.2, 10), "blur": (0, 10)}.items():
        if not isinstance(found[name], Mapping):
            raise ValueError(f"confounder {name}: give {{class: number}}, got {short(found[name])}")
        for key, value in found[name].items():
            number(f"confounder {name}[{one_of(f'confounder {name}', key, classes)!r}]", value, low, high)
    return found


def _draw(rows: list[Row], options: Options, progress: bool, workers: int | None) -> tuple:
    """Draw all rows: images, masks and lungs (N, H, W), and (marker, bedside) of each."""
    images, masks, lungs = (np.empty((len(rows), options.size, options.size), kind) for kind in (np.uint8, bool, bool))
    devices = []
    drawings = _spread([row for row in rows if not row.copy], options, workers)
    for k, row in enumerate(bar(rows, desc="phantoms", unit="image", show=progress, leave=False)):
        if not row.copy:  # else it is the drawing before
            drawing = next(drawings)
        images[k], masks[k], lungs[k] = drawing.image, drawing.mask, drawing.lungs
        devices.append((drawing.marker, drawing.bedside))
    return images, masks, lungs, devices


def _spread(rows: list[Row], options: Options, workers: int | None) -> Iterator[Drawing]:
    """Yield the drawings of rows in order, from this process or from several."""
    count = min(workers or (min(cores(), 8) if len(rows) >= _SMALL else 1), math.ceil(len(rows) / _CHUNK))
    method = _start_method(asked=workers is not None) if count > 1 else None
    done = 0
    if method is not None:
        pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context(method))
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of fork beside threads; the workers use no lock that a thread could hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                drawings = pool.map(partial(render, options=options), rows, chunksize=_CHUNK)
            for drawing in drawings:
                yield drawing
                done += 1
        except BrokenProcessPool:  # no memory for another process, or it was killed: go on alone
            pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for row in rows[done:]:
        yield render(row, options)


def _start_method(asked: bool) -> str | None:
    """Choose how to start workers: fork on Linux, else spawn; None where this process had better work alone."""
    if multiprocessing.parent_process() is not None:
        return None  # already a worker
    if sys.platform == "linux":
        return "fork"
    # Spawn runs an unguarded script again in every worker; a notebook has no file to run.
    script = getattr(sys.modules["__main__"], "__file__", None) is not None
    return "spawn" if asked or not script else None


def _labels(rows: list[Row], classes: tuple[str, ...], noise: float, seed: int) -> np.ndarray:
    labels = np.array([classes.index(row.label) for row in rows], np.int64)
    if noise:
        rng = np.random.default_rng([seed, 19])
        wrong = rng.random(len(rows)) < noise
        labels = np.where(wrong, (labels + rng.integers(1, len(classes), len(rows))) % len(classes), labels)
        labels = labels[[k - row.copy for k, row in enumerate(rows)]]  # a copy has no other
    return labels


_PREFIX = {"normal": "IM", "bacterial": "bacteria", "viral": "virus", "covid-19": "covid", "tuberculosis": "tb"}
_PREFIX |= {"consolidation": "cons", "effusion": "eff", "consolidation+effusion": "both"}
_MARKER = ["marker_text", "marker_x0", "marker_y0", "marker_x1", "marker_y1"]


def _table(rows: list[Row], devices: list, names: list[str], images: np.ndarray, options: Options) -> pd.DataFrame:
    markers, bedside = zip(*devices, strict=True)
    patients = [f"{_PREFIX[row.subtype]}-{row.number:04d}" for row in rows]
    files = [f"{patient}-{row.image:04d}.png" for patient, row in zip(patients, rows, strict=True)]
    table = pd.DataFrame({
        "file": [f"{row.split}/{name}/{file}" for row, name, file in zip(rows, names, files, strict=True)],
        "split": [row.split for row in rows], "class": names, "subtype": [row.subtype for row in rows],
        "patient": patients, "key_number": [str(row.number) for row in rows],
        "width": options.size, "height": options.size, "extension": ".png", "bytes": options.size**2,
        "digest": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
        "age": options.age, "bedside": bedside,
        "label_wrong": [name != row.label for name, row in zip(names, rows, strict=True)],
        "marker": [marker is not None for marker in markers],
    })  # fmt: skip
    return table.join(pd.DataFrame([marker or ("", -1, -1, -1, -1) for marker in markers], columns=_MARKER))
