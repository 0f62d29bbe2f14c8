"""make_phantoms and counterfactual: check the arguments, spread the work, collect the truth."""

import hashlib
import math
import multiprocessing
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from numbers import Integral, Real

import numpy as np
import pandas as pd

from ..progress import bar as progress_bar
from .cohort import CLASSES, make_cohort
from .render import Options, render

_CHUNK = 25
_SMALL = 64  # below this a second process costs more than it saves
_MIN_SIZE = 32
_MOST_PIXELS = 20_000_000_000  # of a set: with its masks three times as many bytes


@dataclass(frozen=True)
class Confounder:
    """A shortcut to plant: something that is not disease but goes with the class.

    marker : probability of a side marker, one number or {class: probability}; classes left out keep 0.85.
    gamma : {class: exponent} on the display curve; above 1 is darker in the lungs.
    blur : {class: sigma in pixels of a 224-pixel image}.
    """

    marker: float | dict = field(default_factory=dict)
    gamma: dict = field(default_factory=dict)
    blur: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Phantoms:
    """A generated set.

    images uint8 (N, 1, H, W); labels int64 (N,); classes tuple of str; masks bool (N, H, W) lesions, empty
    for normals and inside `lungs`; lungs bool (N, H, W) visible lung
    fields; table DataFrame, one row an image.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple
    masks: np.ndarray
    lungs: np.ndarray
    table: pd.DataFrame

    def __len__(self):
        return len(self.labels)

    @property
    def patients(self):
        """Patient of every image, str (N,)."""
        return self.table["patient"].to_numpy(dtype=str)


def make_phantoms(
    n,
    size=224,
    classes=("normal", "pneumonia"),
    seed=0,
    confounder=None,
    *,
    lesion_contrast=1.0,
    label_noise=0.0,
    age="child",
    shift=1.0,
    bedside=0.0,
    progress=True,
    workers=None,
):
    """Generate n chest X-ray phantoms with their truth.

    n : number of images.  size : height and width in pixels, at least 32.
    classes : any of "normal", "pneumonia" (bacterial and viral, about 2 : 1), "bacterial", "viral",
        "covid-19", "tuberculosis"; labels count in this order.
    seed : int >= 0. The same seed and options give the same bytes, whatever `workers` is.
    confounder : None, a `Confounder` or a dict with its fields, such as
        {"marker": {"normal": 0.1, "pneumonia": 0.9}}.
    lesion_contrast : 0 makes lesions invisible (masks stay), 1 is realistic, larger is easier.
    label_noise : share of images that get a wrong label (the column `subtype` keeps the truth).
    age : "child" (1 to 5 years, as in the Kermany set) or "adult".
    shift : how differently the test block was exposed; 0 turns it off.
    bedside : how much more often the sick are imaged in bed, with leads, less sharply and with a shallow
        breath; 0 is the same for all classes, 1 as in real sets.
    progress : show a progress bar.  workers : processes; None chooses by n and the number of cores.

    Returns `Phantoms`. Raises ValueError naming the argument that is wrong.
    """
    classes = _check_classes(classes)
    options = _check(n, size, seed, confounder, lesion_contrast, label_noise, age, shift, bedside, classes)
    if workers is not None and (not isinstance(workers, Integral) or workers < 1):
        raise ValueError(f"workers must be None or an integer >= 1, got {workers!r}")
    rows = make_cohort(int(n), classes, options.seed)
    return _generate(rows, options, classes, label_noise, progress, workers)


def counterfactual(n, size=224, classes=("normal", "pneumonia"), seed=0, **options):
    """Counterfactual pairs: the same patients, poses, lesions and noise, with and without the marker.

    Arguments as for `make_phantoms`. Returns (with_marker, without_marker), two `Phantoms` of n
    images; row i of both differs only inside the box marker_x0..marker_y1 of row i of the first.
    """
    return tuple(_forced(n, size, classes, seed, options, on) for on in (True, False))


def _forced(n, size, classes, seed, options, on):
    options = dict(options)
    noise, progress, workers = (
        options.pop("label_noise", 0.0),
        options.pop("progress", True),
        options.pop("workers", None),
    )
    classes = _check_classes(classes)
    known = {"confounder": None, "lesion_contrast": 1.0, "age": "child", "shift": 1.0, "bedside": 0.0}
    for name in options:
        if name not in known:
            raise TypeError(
                f"counterfactual() got an unknown argument {name!r}; it takes the arguments of make_phantoms"
            )
    o = known | options
    checked = _check(
        n, size, seed, o["confounder"], o["lesion_contrast"], noise, o["age"], o["shift"], o["bedside"], classes
    )
    rows = make_cohort(int(n), classes, checked.seed)
    return _generate(rows, replace(checked, force_marker=on), classes, noise, progress, workers)


def _check_classes(classes):
    if isinstance(classes, str):
        raise ValueError(f"classes must be a tuple of names, got the single string {classes!r}; write ({classes!r},)")
    classes = tuple(classes)
    unknown = [c for c in classes if c not in CLASSES]
    if unknown or not classes:
        raise ValueError(f"classes must be chosen from {', '.join(CLASSES)}; got {unknown or 'none'}")
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes must not repeat a name, got {classes}")
    return classes


def _check(n, size, seed, confounder, lesion_contrast, label_noise, age, shift, bedside, classes):
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n must be an integer >= 1, got {n!r}")
    if not isinstance(size, Integral) or size < _MIN_SIZE:
        raise ValueError(f"size must be an integer >= {_MIN_SIZE} pixels, got {size!r}")
    if n * size**2 > _MOST_PIXELS:
        raise ValueError(
            f"n={n} images of {size} x {size} pixels are too many: at most {_MOST_PIXELS // size**2:,} of that size"
        )
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed!r}")
    if age not in ("child", "adult"):
        raise ValueError(f'age must be "child" or "adult", got {age!r}')
    for name, value in (("lesion_contrast", lesion_contrast), ("shift", shift), ("bedside", bedside)):
        if not isinstance(value, Real) or not math.isfinite(value) or not 0 <= value <= 3:
            raise ValueError(f"{name} must be a number from 0 to 3, got {value!r}")
    _probability("label_noise", label_noise)
    if label_noise and len(classes) < 2:
        raise ValueError("label_noise needs at least two classes")
    c = _check_confounder(confounder, classes)
    return Options(
        size=int(size),
        seed=int(seed),
        age=age,
        contrast=float(lesion_contrast),
        shift=float(shift),
        bedside=float(bedside),
        marker=c.marker,
        gamma=c.gamma,
        blur=c.blur,
    )


def _probability(name, value):
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability from 0 to 1, got {value!r}")


def _check_confounder(confounder, classes):
    if confounder is None:
        return Confounder()
    if isinstance(confounder, dict):
        unknown = set(confounder) - {"marker", "gamma", "blur"}
        if unknown:
            raise ValueError(f"confounder knows the keys marker, gamma and blur, got {sorted(unknown)}")
        confounder = Confounder(**confounder)
    if not isinstance(confounder, Confounder):
        raise ValueError(f"confounder must be None, a dict or a Confounder, got {type(confounder).__name__}")
    marker = confounder.marker
    if isinstance(marker, Real):
        marker = dict.fromkeys(classes, marker)
    for name, value in (("marker", marker), ("gamma", confounder.gamma), ("blur", confounder.blur)):
        if not isinstance(value, dict):
            raise ValueError(f"confounder {name} must be a dict from class to number, got {value!r}")
        for key, number in value.items():
            if key not in classes:
                raise ValueError(f"confounder {name} names the class {key!r}, which is not one of {classes}")
            if name == "marker":
                _probability(f"confounder marker[{key!r}]", number)
            elif not isinstance(number, Real) or not (0.2 if name == "gamma" else 0) <= number <= 10:
                raise ValueError(f"confounder {name}[{key!r}] is out of range, got {number!r}")
    return Confounder(marker=dict(marker), gamma=dict(confounder.gamma), blur=dict(confounder.blur))


def _generate(rows, options, classes, label_noise, progress, workers):
    n, size = len(rows), options.size
    images = np.empty((n, 1, size, size), np.uint8)
    masks = np.empty((n, size, size), bool)
    lungs = np.empty((n, size, size), bool)
    info = [None] * n
    todo = [k for k, r in enumerate(rows) if r.copy_of < 0]
    chunks = [todo[k : k + _CHUNK] for k in range(0, len(todo), _CHUNK)]
    jobs = [([rows[k] for k in chunk], options) for chunk in chunks]
    with progress_bar(total=n, desc="phantoms", unit="image", show=progress, leave=False) as bar:
        for chunk, (im, ma, lu, extra) in zip(chunks, _spread(jobs, n, workers), strict=True):
            images[chunk, 0] = im
            masks[chunk] = np.unpackbits(ma, axis=None, count=len(chunk) * size * size).reshape(-1, size, size)
            lungs[chunk] = np.unpackbits(lu, axis=None, count=len(chunk) * size * size).reshape(-1, size, size)
            for k, e in zip(chunk, extra, strict=True):
                info[k] = e
            bar.update(len(chunk))
        for k, r in enumerate(rows):
            if r.copy_of >= 0:
                images[k], masks[k], lungs[k], info[k] = (a[r.copy_of] for a in (images, masks, lungs, info))
        bar.update(n - len(todo))
    labels = _labels(rows, classes, label_noise, options.seed)
    return Phantoms(images, labels, classes, masks, lungs, _table(rows, info, labels, classes, images, options))


def _draw_chunk(job):
    """Worker: draw some rows; truth travels as packed bits."""
    rows, options = job
    done = [render(r, options) for r in rows]
    return (
        np.stack([d.image for d in done]),
        np.packbits(np.stack([d.mask for d in done])),
        np.packbits(np.stack([d.lungs for d in done])),
        [(d.marker, d.bedside) for d in done],
    )


def _spread(jobs, n, workers):
    """Results of _draw_chunk in order, from this process or from several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or (min(cores, 8) if n >= _SMALL else 1), len(jobs))
    method = _start_method(asked=workers is not None) if count > 1 else None
    done = 0
    if method is not None:
        pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context(method))
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of fork beside threads; the workers use no lock that a thread could hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                results = pool.map(_draw_chunk, jobs)
            for result in results:
                yield result
                done += 1
        except BrokenProcessPool:  # no memory for another process, or it was killed: go on alone
            pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    yield from map(_draw_chunk, jobs[done:])


def _start_method(asked):
    """How to start workers: fork on Linux, else spawn; None where this process had better work alone."""
    if multiprocessing.parent_process() is not None:
        return None  # already a worker
    if sys.platform == "linux":
        return "fork"
    # Spawn runs an unguarded script again in every worker; a notebook has no file to run.
    script = getattr(sys.modules["__main__"], "__file__", None) is not None
    return "spawn" if asked or not script else None


def _labels(rows, classes, noise, seed):
    labels = np.array([classes.index(r.label) for r in rows], np.int64)
    if noise:
        rng = np.random.default_rng([seed, 19])
        wrong = rng.random(len(rows)) < noise
        other = (labels + rng.integers(1, len(classes), len(rows))) % len(classes)
        labels = np.where(wrong, other, labels)
        for k, r in enumerate(rows):
            if r.copy_of >= 0:  # copies never carry two labels
                labels[k] = labels[r.copy_of]
    return labels


_PREFIX = {"normal": "IM", "bacterial": "bacteria", "viral": "virus", "covid-19": "covid", "tuberculosis": "tb"}


def _table(rows, info, labels, classes, images, options):
    boxes = [m[1:] if m else (-1, -1, -1, -1) for m, _ in info]
    names = [classes[k] for k in labels]
    prefix = [_PREFIX[r.subtype] for r in rows]
    stems = [f"{p}-{r.number:04d}-{r.image:04d}" for p, r in zip(prefix, rows, strict=True)]
    table = pd.DataFrame(
        {
            "file": [f"{r.split}/{c}/{s}.png" for r, c, s in zip(rows, names, stems, strict=True)],
            "split": [r.split for r in rows],
            "class": names,
            "subtype": [r.subtype for r in rows],
            "patient": [f"{p}-{r.number:04d}" for p, r in zip(prefix, rows, strict=True)],
            "key_number": [str(r.number) for r in rows],
            "width": options.size,
            "height": options.size,
            "extension": ".png",
            "bytes": options.size**2,
            "digest": [hashlib.sha256(a.tobytes()).hexdigest() for a in images],
            "age": options.age,
            "bedside": [b for _, b in info],
            "label_wrong": [c != r.label for c, r in zip(names, rows, strict=True)],
            "marker": [m is not None for m, _ in info],
            "marker_text": [m[0] if m else "" for m, _ in info],
        }
    )
    for k, name in enumerate(("marker_x0", "marker_y0", "marker_x1", "marker_y1")):
        table[name] = np.array([b[k] for b in boxes], np.int64)
    return table
