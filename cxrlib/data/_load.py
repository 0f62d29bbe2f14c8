"""`load`: a data set by name, wherever its files are."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import phantom
from ..files import hashed
from ..validate import one_of, whole
from . import cache
from .assemble import PatientFinder, assemble
from .dataset import CxrDataset
from .kaggle import find
from .layout import Layout, by_folder, by_keyword
from .sources import SOURCES, Source


def load(
    name: str | os.PathLike = "phantom", size: int = 224, *, root: str | os.PathLike | None = None,
    progress: bool = True, **options: Any,
) -> CxrDataset:  # fmt: skip
    r"""Load a data set by name.

    The first call decodes every image into a cache; later calls take about a second.

    Parameters
    ----------
    name : str
        - "phantom": synthetic X-rays made here, nothing is downloaded
        - "pneumonia": Kermany et al. 2018, children: normal, pneumonia
        - "pneumonia3": the same images: normal, bacterial, viral (read from the file names)
        - "pneumonia4": normal, bacterial, viral, covid-19
        - "lung4": normal, pneumonia, covid-19, tuberculosis
        - "folder:PATH": your own images, PATH/CLASS/..., PATH/{train,val,test}/CLASS/..., PATH/CLASS/{train,test}/...;
          DICOM files, too. ``images`` and ``masks`` beside each other become images with ``.lungs`` (with ``.masks``
          where the folder is named for lesions or infections).
    size : int
        Edge of the images in pixels; they are squeezed to a square.
    root : path, optional
        Folder of a named data set. Without it: $CXR_DATA_DIR, then /kaggle/input, then a download with kagglehub.
    **options
        For "phantom" those of ``make_phantoms`` (n, classes, seed ...). For "folder:PATH" ``patient``, a regular
        expression with one group that finds the patient in the path of an image, such as ``r"patient(\d+)"``.

    Returns
    -------
    CxrDataset
        What is not read is listed in ``.skipped`` with the reason, and counted in one warning. Another warning tells
        what was understood where a folder is not plain, which class a split lacks, and how many patients are not known.
        ValueError for a class folder without a usable image; FileNotFoundError where the data is nowhere to be found.

    Notes
    -----
    Patients are found file by file: by ``patient``, else by names as in the Kermany, NIH, Montgomery, Shenzhen, RSNA,
    CheXpert, MIMIC, BIMCV and Indiana sets, else DICOM files with the same PatientID are one patient, else the image is
    a patient of its own and False in the column ``patient_known`` of ``.table``. ``split`` is "all" where the data set
    has no official split.

    DICOM files are shown as ``read_dicom`` shows them. Of their headers nothing is kept that names a person: patients
    are called patient-0001, patient-0002 ... in the order of the files, and the column ``burned_in`` tells where text
    may appear in the picture. File names are kept as they are: rename files that are named for a person.
    """
    name = f"folder:{os.fspath(name)}" if isinstance(name, os.PathLike) else name
    size = whole("size", size, 8, 4096)
    is_folder = isinstance(name, str) and name.startswith("folder:")
    if is_folder or name == "phantom":
        if root is not None:
            raise ValueError(f"root: not used with {name!r}, which is not a data set of Kaggle; leave it out")
        if name == "phantom":
            return _load_phantom(size, progress, options)
        data, notes = _load_folder(name.removeprefix("folder:"), size, progress, **_only(options, name, "patient"))
    else:
        if isinstance(name, str) and os.path.isdir(os.path.expanduser(name)) and name not in SOURCES:
            raise ValueError(f"Unknown data set {name!r}. For a folder of your own write 'folder:{name}'.")
        source = SOURCES[one_of("Unknown data set", name, ("phantom", *SOURCES, "folder:PATH"))]
        _only(options, name)
        place = find(source, root)
        data, notes = assemble(place, by_keyword(place, source.classify), source, size, progress)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return data


def _only(options: dict, name: str, *allowed: str) -> dict:
    if unknown := sorted(set(options) - set(allowed)):
        takes = f"it takes only {', '.join(allowed)}" if allowed else "only 'phantom' and 'folder:PATH' take options"
        raise ValueError(f"load({name!r}) has no option {', '.join(unknown)}; {takes}.")
    return options


def _load_folder(path: str, size: int, progress: bool, patient: str | None = None) -> tuple[CxrDataset, list[str]]:
    root = Path(path).expanduser()
    if not path.strip():
        raise ValueError("'folder:' needs a path, for example 'folder:/content/my_xrays'.")
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        wanted = "the folder that holds one folder per class, or train/ and test/ folders that do"
        raise FileNotFoundError(f"The folder {path} {what}. Write 'folder:PATH' with {wanted}.")
    layout = by_folder(root)
    # A set nested in the folder may have a class of its own.
    labels = {*layout.folders.values(), *(f.label for f in layout.files)}
    if not labels:
        seen = "; ".join(f"{file}: {reason}" for file, reason in layout.skipped[:3])
        raise ValueError(
            f"{path} holds no class folders with images. Expected {path}/CLASS/... or {path}/train/CLASS/..., with "
            "images such as .jpeg or .png inside; labels in a table are not read: sort the images into such folders. "
            + (f"What is there: {seen}." if seen else "")
        )
    # "normal" first: class 1 is then the finding, as metrics for two classes expect.
    classes = tuple(sorted(labels, key=lambda c: (c != "normal", c)))
    source = Source(f"folder:{root.name}", path, "", classes, ())
    find_patient = None if patient is None else _patient_finder(patient, layout)
    return assemble(root, layout, source, size, progress, find_patient)


def _patient_finder(pattern: str, layout: Layout) -> PatientFinder:
    """Make the function from path to patient of a pattern."""
    try:
        regex = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"patient={pattern!r} is not a regular expression ({error}).") from None
    if regex.groups != 1:
        found = f"exactly one group in parentheses, it has {regex.groups}"
        raise ValueError(rf"patient={pattern!r} must have {found}; for example r'patient(\d+)'.")

    def find_patient(rel: str) -> str | None:
        return match[1] if (match := regex.search(rel)) else None

    if layout.files and not any(find_patient(f.rel) for f in layout.files):
        raise ValueError(f"patient={pattern!r} matches no file, for example not {layout.files[0].rel!r}.")
    return find_patient


def _load_phantom(size: int, progress: bool, options: dict) -> CxrDataset:
    dials = set(inspect.signature(phantom.make_phantoms).parameters) - {"size", "progress"}
    options = {"n": 1200, **_only(options, "phantom", *sorted(dials))}

    def make() -> cache.Stored:
        made = phantom.make_phantoms(size=size, progress=progress, **options)
        return {k: getattr(made, k) for k in ("images", "labels", "masks", "lungs")}, made.table, list(made.classes)

    described = {name: value for name, value in options.items() if name != "workers"}
    parts = ["phantom", size, described, _source_hash(Path(phantom.__file__).parent), np.__version__]
    try:
        key = cache.make_key(parts)
    except (TypeError, ValueError):  # an option that cannot be written down cannot name a cache entry
        key, (arrays, table, classes) = None, make()
    else:
        arrays, table, classes = cache.stored(key, make)
    about = {"patients": table["patient"].to_numpy(dtype=str), "name": "phantom", "fingerprint": key}
    return CxrDataset(**arrays, classes=classes, table=table, **about)


def _source_hash(package: Path) -> str:
    """Hash the generator's own source: an edited generator makes new images."""
    files = {file.relative_to(package).as_posix(): file.read_bytes() for file in package.rglob("*.py")}
    return hashed(*(name.encode() + b"\0" + content for name, content in sorted(files.items())))
