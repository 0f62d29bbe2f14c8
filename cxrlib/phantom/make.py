"""make_phantoms and counterfactual: check the arguments, spread the work, collect the truth."""

from __future__ import annotations

import hashlib
import inspect
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ..progress import bar as progress_bar
from ..validate import number, one_of, several, short, whole
from .cohort import CLASSES, Row, make_cohort
from .render import Options, render

_CHUNK = 25
_SMALL = 64  # below this a second process costs more than it saves
_MIN_SIZE = 32
_MOST_PIXELS = 20_000_000_000  # of a set: with its masks three times as many bytes


@dataclass(frozen=True)
class Confounder:
    """A shortcut to plant: something that is not disease but goes with the class.

    Parameters
    ----------
    marker : float or dict of class -> float
        Probability of a side marker; classes left out keep 0.85.
    gamma : dict of class -> float
        Exponent on the display curve, 0.2 to 10; above 1 is darker in the lungs.
    blur : dict of class -> float
        Standard deviation of a blur in pixels of a 224-pixel image, 0 to 10.
    """

    marker: float | dict = field(default_factory=dict)
    gamma: dict = field(default_factory=dict)
    blur: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Phantoms:
    """A generated set.

    Attributes
    ----------
    images : ndarray, uint8 (N, 1, H, W)
    labels : ndarray, int64 (N,)
    classes : tuple of str
    masks : ndarray, bool (N, H, W)
        The lesions: inside ``lungs``, empty for normal images.
    lungs : ndarray, bool (N, H, W)
        The visible lung fields.
    table : DataFrame
        One row per image.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    masks: np.ndarray
    lungs: np.ndarray
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def patients(self) -> np.ndarray:
        """The patient of every image, str (N,)."""
        return self.table["patient"].to_numpy(dtype=str)


def make_phantoms(
    n: int,
    size: int = 224,
    classes: Sequence[str] = ("normal", "pneumonia"),
    seed: int = 0,
    confounder: Confounder | Mapping | None = None,
    *,
    lesion_contrast: float = 1.0,
    label_noise: float = 0.0,
    age: str = "child",
    shift: float = 1.0,
    bedside: float = 0.0,
    progress: bool = True,
    workers: int | None = None,
) -> Phantoms:
    """Generate n chest X-ray phantoms with their truth.

    Parameters
    ----------
    n : int
        Number of images.
    size : int
        Height and width in pixels, at least 32.
    classes : sequence of str
        Any of "normal", "pneumonia" (bacterial and viral, about 2 : 1), "bacterial", "viral", "covid-19",
        "tuberculosis"; labels count in this order.
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
        Show a progress bar.
    workers : int, optional
        Processes; default: chosen by n and the number of cores.

    Returns
    -------
    Phantoms

    Raises
    ------
    ValueError
        Names the argument that is wrong.
    """
    return _make(**locals())


def counterfactual(
    n: int, size: int = 224, classes: Sequence[str] = ("normal", "pneumonia"), seed: int = 0, **options
) -> tuple[Phantoms, Phantoms]:
    """Generate pairs: the same patients, poses, lesions and noise, with the marker and without it.

    Parameters
    ----------
    n, size, classes, seed, **options
        As for ``make_phantoms``.

    Returns
    -------
    with_marker, without_marker : Phantoms
        Of n images each; row i of both differs only inside the box marker_x0 .. marker_y1 of row i of the first.
    """
    given = inspect.signature(make_phantoms).bind(n, size, classes, seed, **options)
    given.apply_defaults()
    return tuple(_make(**given.arguments, force_marker=on) for on in (True, False))


def _make(force_marker: bool | None = None, **given: Any) -> Phantoms:
    n, size = whole("n", given["n"], 1), whole("size", given["size"], _MIN_SIZE)
    if n * size**2 > _MOST_PIXELS:
        raise ValueError(
            f"n={n} images of {size} x {size} pixels are too many: at most {_MOST_PIXELS // size**2:,} of that size"
        )
    classes = _check_classes(given["classes"])
    noise = number("label_noise", given["label_noise"], 0, 1)
    if noise and len(classes) < 2:
        raise ValueError(f"label_noise: a wrong label needs a second class, got the classes {classes}")
    workers = None if given["workers"] is None else whole("workers", given["workers"], 1)
    options = Options(
        size=size,
        seed=whole("seed", given["seed"]),
        age=one_of("age", given["age"], ("child", "adult")),
        contrast=number("lesion_contrast", given["lesion_contrast"], 0, 3),
        shift=number("shift", given["shift"], 0, 3),
        bedside=number("bedside", given["bedside"], 0, 3),
        force_marker=force_marker,
        **_check_confounder(given["confounder"], classes),
    )
    return _generate(make_cohort(n, classes, options.seed), options, classes, noise, given["progress"], workers)


def _check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    found = tuple(several("classes", classes, lambda name, value: one_of(name, value, CLASSES)))
    if len(set(found)) < len(found):
        raise ValueError(f"classes: give each name once, got {found}")
    return found


def _check_confounder(confounder: Confounder | Mapping | None, classes: tuple[str, ...]) -> dict[str, dict]:
    """Return {"marker", "gamma", "blur"}, each {class: number}."""
    found = {"marker": {}, "gamma": {}, "blur": {}}
    if isinstance(confounder, Confounder):
        found = asdict(confounder)
    elif isinstance(confounder, Mapping):
        found |= {one_of("confounder", key, found): value for key, value in confounder.items()}
    elif confounder is not None:
        raise ValueError(f"confounder: give a Confounder, a dict with its fields or None, got {short(confounder)}")
    if isinstance(found["marker"], Real):
        found["marker"] = dict.fromkeys(classes, found["marker"])
    for name, (low, high) in {"marker": (0, 1), "gamma": (0.2, 10), "blur": (0, 10)}.items():
        if not isinstance(found[name], Mapping):
            raise ValueError(f"confounder {name}: give {{class: number}}, got {short(found[name])}")
        found[name] = {
            one_of(f"confounder {name}", key, classes): number(f"confounder {name}[{key!r}]", value, low, high)
            for key, value in found[name].items()
        }
    return found


def _generate(
    rows: list[Row], options: Options, classes: tuple[str, ...], label_noise: float, progress: bool, workers: int | None
) -> Phantoms:
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


def _draw_chunk(job: tuple[list[Row], Options]) -> tuple:
    """Draw some rows, in a worker; the truth travels as packed bits."""
    rows, options = job
    done = [render(r, options) for r in rows]
    return (
        np.stack([d.image for d in done]),
        np.packbits(np.stack([d.mask for d in done])),
        np.packbits(np.stack([d.lungs for d in done])),
        [(d.marker, d.bedside) for d in done],
    )


def _spread(jobs: list[tuple], n: int, workers: int | None) -> Iterator[tuple]:
    """Yield the results of _draw_chunk in order, from this process or from several."""
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


def _table(
    rows: list[Row], info: list, labels: np.ndarray, classes: tuple[str, ...], images: np.ndarray, options: Options
) -> pd.DataFrame:
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
