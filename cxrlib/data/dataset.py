"""CxrDataset: images, labels, patients and a table, kept together through every selection."""

from __future__ import annotations

import base64
import html
import io
import mmap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from PIL import Image
from torch.utils.data import Dataset
from torch.utils.data._utils.collate import default_collate_fn_map

from .._lungs import lungs
from ..files import hashed
from ..validate import array

SPLIT_ORDER = ("train", "val", "test")


def ordered(splits: Iterable) -> list[str]:
    """List the names of splits that occur, train, val and test first."""
    found = set(map(str, splits))
    return [s for s in SPLIT_ORDER if s in found] + sorted(found - set(SPLIT_ORDER))


class CxrDataset(Dataset):
    """Chest X-ray images with labels, patients and metadata.

    ``d[3]`` is one sample: a float32 tensor (1, H, W) in [0, 1] and an int label, as torch expects it. ``d[:100]``,
    ``d[[5, 2]]``, ``d[d.labels == 1]`` are smaller data sets that share the same pixels, without a copy.
    ``DataLoader(d, batch_size=32)`` works and reads a whole batch at once.

    Parameters
    ----------
    images : ndarray, uint8 (N, 1, H, W)
        In memory or memory-mapped.
    labels : array_like of int, (N,)
        Positions in ``classes``, the names of the K classes.
    patients : array_like of str, (N,)
        The patient of each image.
    table : DataFrame, optional
        One row per image: file, split, class, subtype, patient, patient_known, key_*, width, height, ...
    masks, lungs : ndarray, bool (N, H, W), optional
        The lesion and the lung pixels; None when they are unknown.
    name, fingerprint : str, optional
        What it is called, and the hash of its content, computed when not given.
    skipped : DataFrame, optional
        The files that were not read (columns file, reason).
    """

    def __init__(
        self, images: np.ndarray, labels: ArrayLike, classes: Sequence[str], patients: ArrayLike,
        table: pd.DataFrame | None = None, masks: np.ndarray | None = None, lungs: np.ndarray | None = None,
        name: str = "", fingerprint: str | None = None, skipped: pd.DataFrame | None = None,
    ) -> None:  # fmt: skip
        _check("images", images, ("N", 1, "H", "W"), np.uint8)
        n, *_, height, width = images.shape
        classes = classes if isinstance(classes, str) else tuple(map(str, classes))
        if isinstance(classes, str) or len(set(classes)) != len(classes):
            raise ValueError(f"classes: give a sequence of different names, got {classes!r}")
        labels = array("labels", labels, (n,), "iu").astype(np.int64)
        if n and not 0 <= labels.min() <= labels.max() < len(classes):
            found = f"{labels.min()}..{labels.max()}"
            raise ValueError(f"labels: give 0..{len(classes) - 1}, positions in {classes}, got {found}")
        patients = array("patients", np.asarray(patients, dtype=str), (n,), "U")
        if table is None:
            table = pd.DataFrame({"class": np.array(classes, dtype=object)[labels] if n else [], "patient": patients})
        if len(table) != n:
            raise ValueError(f"table: give one row for each of the {n} images, got {len(table)} rows")
        for name_of, values in (("masks", masks), ("lungs", lungs)):
            if values is not None:
                _check(name_of, values, (n, height, width), np.bool_)
        self._images, self._masks, self._lungs = images, masks, lungs
        self._labels, self._patients, self._table = labels, patients, table.reset_index(drop=True)
        self._fingerprint, self._cached_table = fingerprint, None
        self.classes, self.name = classes, name
        self.skipped = pd.DataFrame({"file": [], "reason": []}) if skipped is None else skipped
        self.rows = np.arange(n, dtype=np.int64)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.rows)

    def __getitem__(self, key: Any) -> CxrDataset | tuple[torch.Tensor, int]:
        """Give one sample for an int, a smaller data set for anything that selects several."""
        if isinstance(key, (int, np.integer)) and not isinstance(key, (bool, np.bool_)):
            row = self.rows[key]
            _ask_for(self._images, [row])
            pixels = torch.from_numpy(np.array(self._images[row], dtype=np.float32))
            return pixels.div_(255.0), int(self._labels[row])
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__, rows=self.rows[self._positions(key)], _cached_table=None)
        return part

    def __getitems__(self, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Read a whole batch for torch's DataLoader: uint8 (B, 1, H, W) and int64 (B,)."""
        images = torch.from_numpy(self.batch(rows)).as_subclass(_Stacked)
        return images, torch.from_numpy(self._labels[self.rows[self._positions(rows)]])

    def batch(self, rows: Sequence[int]) -> np.ndarray:
        """Read the pixels of the images at these positions only: a new uint8 array (B, 1, H, W)."""
        rows = self.rows[self._positions(rows)]
        _ask_for(self._images, rows)
        return np.array(self._images[rows])

    def where(self, **columns: Any) -> CxrDataset:
        """Select the images whose table columns equal these values: ``d.where(split="train")``; a list: one of them."""
        table, keep = self.table, np.ones(len(self), dtype=bool)
        for column, value in columns.items():
            if column not in table:
                raise ValueError(f"The table has no column {column!r}; it has {', '.join(map(str, table.columns))}.")
            wanted = list(value) if isinstance(value, (list, tuple, set, np.ndarray)) else [value]
            keep &= table[column].isin(wanted).to_numpy()
        return self[keep]

    def with_classes(self, classes: Sequence[str], counts_as: Mapping[str, str] | None = None) -> CxrDataset:
        """Count the labels in other classes: those of a network that knows more, or has another order or other names.

        ``counts_as`` tells which of ``classes`` a class is, where the names differ. Raises ValueError where an image is
        of none of them.
        """
        part, counts_as = self[:], counts_as or {}
        if tuple(classes) == self.classes and not counts_as:
            return part
        place = {name: k for k, name in enumerate(classes)}
        called = [counts_as.get(name, name) for name in self.classes]
        known = [name for k, name in enumerate(called) if (self.labels == k).any()]
        if absent := ", ".join(name for name in known if name not in place):
            raise ValueError(f"there are images of {absent}, which is none of {list(classes)}: leave them out")
        labels = np.array([place.get(name, -1) for name in called])[self._labels]
        part._labels, part.classes = labels, tuple(place)
        part._fingerprint = hashed(f"{self.fingerprint}{part.classes}{counts_as or ''}".encode())
        return part

    def _positions(self, key: Any) -> np.ndarray:
        if not isinstance(key, slice):
            key = key.detach().cpu().numpy() if isinstance(key, torch.Tensor) else np.asarray(key)
            if key.size == 0 and key.dtype != bool:
                key = np.zeros(0, dtype=np.int64)
            if key.ndim != 1 or key.dtype.kind not in "iub":
                allowed = f"an int, a slice, a list of ints, or a bool array of shape ({len(self)},)"
                raise TypeError(f"Choose images with {allowed}; got {_describe(key)}.")
        return np.arange(len(self))[key]

    def _restrict(self, base: np.ndarray | None) -> np.ndarray | None:
        if base is None:
            return None
        if len(self) and (np.diff(self.rows) == 1).all():
            return base[self.rows[0] : self.rows[-1] + 1]  # a view: nothing is read before it is used
        return base[self.rows]

    @property
    def images(self) -> np.ndarray:
        """All pixels, uint8 (N, 1, H, W). A copy when the rows are not consecutive; `batch` reads less."""
        return self._restrict(self._images)

    @property
    def masks(self) -> np.ndarray | None:
        """Lesion pixels, bool (N, H, W), or None."""
        return self._restrict(self._masks)

    @property
    def lungs(self) -> np.ndarray | None:
        """Lung pixels, bool (N, H, W), or None; ``with_lungs`` finds them."""
        return self._restrict(self._lungs)

    def with_lungs(self, progress: bool = True) -> CxrDataset:
        """Give the same images with ``lungs``: the data set's own, else those that ``cxr.lungs`` finds.

        A mask is empty where no lungs are found; a warning counts such images.
        """
        part = self[:]
        if self._lungs is None:
            part._lungs = np.zeros((len(self._images), *self._images.shape[2:]), bool)
            part._lungs[self.rows] = lungs(self, progress=progress)
        return part

    @property
    def labels(self) -> np.ndarray:
        """Positions in `classes`, int64 (N,)."""
        return self._labels[self.rows]

    @property
    def patients(self) -> np.ndarray:
        """Patient of each image, str (N,)."""
        return self._patients[self.rows]

    @property
    def splits(self) -> np.ndarray:
        """Official split of each image, str (N,): train, val, test, or "all" where there is none."""
        return self.table["split"].to_numpy(dtype=str) if "split" in self.table else np.full(len(self), "all")

    @property
    def table(self) -> pd.DataFrame:
        """The metadata, one row per image, numbered from 0."""
        if self._cached_table is None:
            self._cached_table = self._table.iloc[self.rows].reset_index(drop=True)
        return self._cached_table

    @property
    def unknown_patients(self) -> int:
        """How many images count as a patient of their own because nothing tells whose they are."""
        return int((~self.table["patient_known"].astype(bool)).sum()) if "patient_known" in self._table else 0

    @property
    def size(self) -> int:
        """Height (and width) of the images in pixels."""
        return self._images.shape[2]

    @property
    def fingerprint(self) -> str:
        """Hash of the content, equal for equal images, labels and order."""
        if self._fingerprint is None:
            shape, patients = repr((self._images.shape, self.classes)), "\0".join(self._patients.tolist())
            pixels = np.ascontiguousarray(self._images)
            self._fingerprint = hashed(shape.encode(), pixels, self._labels, patients.encode())
        if len(self.rows) == len(self._images) and (np.diff(self.rows) == 1).all():
            return self._fingerprint
        return hashed(self._fingerprint.encode(), self.rows.tobytes())

    def counts(self) -> pd.DataFrame:
        """Count the images: one row per split, one column per class, and the total."""
        splits, labels, k = self.splits, self.labels, len(self.classes)
        names = ordered(splits)
        rows = [np.bincount(labels[splits == name], minlength=k) for name in names]
        counts = pd.DataFrame(rows, pd.Index(names, name="split"), list(self.classes), np.int64)
        counts["total"] = counts.sum(axis=1)
        return counts

    def __repr__(self) -> str:
        size, patients = "x".join(map(str, self._images.shape[2:])), len(np.unique(self.patients))
        named = f"classes {', '.join(self.classes)}"
        return f"CxrDataset({self.name or 'unnamed'}: {len(self)} images {size}, {patients} patients, {named})"

    def _repr_html_(self) -> str:
        size, patients = " × ".join(map(str, self._images.shape[2:])), len(np.unique(self.patients))
        name, counts = html.escape(self.name or "data set"), self.counts()
        if len(counts) > 1:
            counts.loc["total"] = counts.sum()
        shown = f"<p><strong>{name}</strong>: {len(self):,} images of {size} pixels, {patients:,} patients</p>\n"
        shown += counts.rename_axis(None).map("{:,}".format).to_html(border=0, classes="cxr-counts")
        shown += self._thumbnails() if len(self) else ""
        if len(self.skipped):
            shown += f"<p>{len(self.skipped)} files were not read; see <code>.skipped</code>.</p>"
        return f'<div class="cxr-dataset">{shown}</div>'

    def _thumbnails(self, most: int = 8, edge: int = 96) -> str:
        present, figures = np.unique(self.labels), []
        for c in present:
            of_class = np.flatnonzero(self.labels == c)
            chosen = of_class[np.unique(np.linspace(0, len(of_class) - 1, max(1, most // len(present))).astype(int))]
            strip, file = Image.fromarray(np.concatenate(self.batch(chosen)[:, 0], axis=1)), io.BytesIO()
            strip.resize((len(chosen) * edge, edge), Image.Resampling.BILINEAR, reducing_gap=2.0).save(file, "PNG")
            source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
            name = html.escape(self.classes[c])
            what = f"{len(chosen)} example{'s' if len(chosen) > 1 else ''} of class {name}"
            figures.append(
                f'<figure style="display:inline-block;margin:0 8px 8px 0">'
                f'<img src="{source}" alt="{what}" style="max-width:100%">'
                f'<figcaption style="font-size:85%;text-align:center">{name}</figcaption></figure>'
            )
        return "<div>" + "".join(figures) + "</div>"

    def __getstate__(self) -> dict:
        state = dict(self.__dict__, _cached_table=None)
        for key in ("_images", "_masks", "_lungs"):
            # A worker process opens the same file again instead of receiving a copy of all pixels.
            if _is_map(array := state[key]) and array.filename is not None:
                place = str(array.filename), array.dtype.str, "c", int(array.offset), array.shape
                state[key] = partial(np.memmap, *place)
        return state

    def __setstate__(self, state: dict) -> None:
        for key in ("_images", "_masks", "_lungs"):
            if isinstance(state[key], partial):
                state[key] = state[key]()
        self.__dict__.update(state)


def _is_map(array: Any) -> bool:
    return isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)


def _ask_for(images: np.ndarray, rows: Sequence[int]) -> None:
    """Have the system read these rows of a memory map now, in one piece each.

    Left alone it reads far more around every page that is touched. With a file larger than memory nearly all of that is
    thrown away before it is used (benchmarks/large.py).
    """
    if not (_is_map(images) and hasattr(mmap, "MADV_WILLNEED")):
        return
    size, first = images[:1].nbytes, images.offset % mmap.ALLOCATIONGRANULARITY  # the map begins at a whole page
    for row in rows:
        start = first + int(row) * size
        page = start - start % mmap.PAGESIZE
        images.base.madvise(mmap.MADV_WILLNEED, page, start + size - page)


class _Stacked(torch.Tensor):
    """A batch that is stacked already. Operations on it return plain tensors."""

    __torch_function__ = torch._C._disabled_torch_function_impl


def _collate_stacked(batch: tuple, *, collate_fn_map: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = batch
    return images.as_subclass(torch.Tensor).float().div_(255.0), labels


# torch's default collate would try to stack (images, labels) again. This entry, torch's documented way to teach it a
# new type, makes a plain `DataLoader(d)` give the same values as `d[i]`: float32 in [0, 1].
default_collate_fn_map[_Stacked] = _collate_stacked


def _check(name: str, values: Any, shape: tuple[int | str, ...], dtype: type[np.generic]) -> None:
    """Raise ValueError unless ``values`` is an array of this shape and exact dtype; it may be a memory map."""
    found = getattr(values, "shape", ())
    fits = len(found) == len(shape) and all(isinstance(n, str) or n == m for n, m in zip(shape, found, strict=True))
    if not fits or values.dtype != dtype:
        wanted = f"{dtype.__name__} array of the shape ({', '.join(map(str, shape))})"
        raise ValueError(f"{name}: give a {wanted}, got {_describe(values)}")


def _describe(values: Any) -> str:
    return f"{values.dtype} of shape {tuple(values.shape)}" if hasattr(values, "shape") else type(values).__name__
