"""`load`: a data set by name, wherever its files are."""

import dataclasses
import difflib
import hashlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import cache
from .dataset import CxrDataset
from .kermany import parse_name
from .layout import OUTSIDE, Layout, by_folder, by_keyword

DEFAULT_PHANTOMS = 1200


@dataclass(frozen=True)
class Source:
    """One named data set: its classes in label order, its Kaggle page, and how a folder name tells the
    class."""

    name: str
    title: str
    handle: str
    classes: tuple[str, ...]
    keywords: tuple[tuple[str, str], ...]  # (regular expression in a folder name, class), the first that matches wins
    subtype_is_class: bool = False

    @property
    def slug(self) -> str:
        return self.handle.split("/")[1]

    def classify(self, folder: str) -> str | None:
        for pattern, label in self.keywords:
            if re.search(pattern, folder, re.IGNORECASE):
                return label
        return None


_KERMANY = (("^normal$", "normal"), ("^pneumonia$", "pneumonia"))
SOURCES = {
    s.name: s
    for s in (
        Source(
            "pneumonia",
            "Chest X-Ray Images (Pneumonia)",
            "paultimothymooney/chest-xray-pneumonia",
            ("normal", "pneumonia"),
            _KERMANY,
        ),
        Source(
            "pneumonia3",
            "Chest X-Ray Images (Pneumonia)",
            "paultimothymooney/chest-xray-pneumonia",
            ("normal", "bacterial", "viral"),
            _KERMANY,
            subtype_is_class=True,
        ),
        Source(
            "pneumonia4",
            "3 kinds of Pneumonia",
            "artyomkolas/3-kinds-of-pneumonia",
            ("normal", "bacterial", "viral", "covid-19"),
            (("covid", "covid-19"), ("bacteri", "bacterial"), ("viral|virus", "viral"), ("normal", "normal")),
        ),
        Source(
            "lung4",
            "Chest X-Ray (Pneumonia, Covid-19, Tuberculosis)",
            "jtiptj/chest-xray-pneumoniacovid19tuberculosis",
            ("normal", "pneumonia", "covid-19", "tuberculosis"),
            (
                ("covid", "covid-19"),
                ("tu?r?bercul|^tb$", "tuberculosis"),
                ("pneumonia", "pneumonia"),
                ("normal", "normal"),
            ),
        ),
    )
}


def load(name="phantom", size: int = 224, *, root=None, progress: bool = True, **options) -> CxrDataset:
    """Load a data set by name.

    The first call decodes every image into a cache; later calls take about a second.

    name: one of
        "phantom"      synthetic X-rays made here, nothing is downloaded; options as in `make_phantoms`
                       (n, classes, seed ...)
        "pneumonia"    Kermany et al. 2018, children: normal, pneumonia
        "pneumonia3"   the same images: normal, bacterial, viral (read from the file names)
        "pneumonia4"   normal, bacterial, viral, covid-19
        "lung4"        normal, pneumonia, covid-19, tuberculosis
        "folder:PATH"  your own images, PATH/CLASS/... or PATH/{train,val,test}/CLASS/...; DICOM files, too
    size: edge of the images in pixels; they are squeezed to a square.
    root: folder that holds the data set. Without it: $CXR_DATA_DIR, then /kaggle/input, then a download with
        kagglehub.
    progress: show progress bars.
    patient: only for "folder:PATH", a regular expression with one group that finds the patient in the path
        of an image, such as r"patient(\\d+)". Without it, names of the Kermany set are understood; where a name
        says nothing, DICOM files with the same PatientID are one patient, and any other image is a patient of
        its own.

    Returns a CxrDataset. Images that cannot be used are counted in one warning and listed in `.skipped`.
    In `.table` the column `patient_known` is False where an image counts as a patient only because nothing
    better is known; `split` is "all" where the data set has no official split.

    DICOM files are shown as `cxrlib.data.dicom.read_dicom` shows them. Of their headers nothing is kept that
    names a person: patients are called patient-0001, patient-0002 ... in the order of the files, and the column
    `burned_in` tells where text may stand in the picture. File names are kept as they are: rename files that
    are named for a person.

    Raises ValueError for an unknown name, a class folder without a usable image, or no usable image at all;
    FileNotFoundError when the data is nowhere to be found.
    """
    if isinstance(name, os.PathLike):
        name = f"folder:{os.fspath(name)}"
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 8 <= size <= 4096:
        raise ValueError(f"size must be a whole number of pixels from 8 to 4096, got {size!r}.")
    size = int(size)
    if name == "folder" and root is not None:
        name, root = f"folder:{os.fspath(root)}", None
    if isinstance(name, str) and name.startswith("folder:"):
        if root is not None:
            raise ValueError(f"root= is not used with {name!r}: the path is part of the name.")
        return _read(*_plan_folder(name.removeprefix("folder:"), **_only(options, name, "patient")), size, progress)
    if name == "phantom":
        if root is not None:
            raise ValueError("root= is not used with 'phantom': phantoms are made, not read from a folder.")
        return _load_phantom(size, progress, options)
    if name not in SOURCES:
        names = ["phantom", *SOURCES, "folder:PATH"]
        close = difflib.get_close_matches(str(name).lower(), ["phantom", *SOURCES], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        if isinstance(name, str) and os.path.isdir(os.path.expanduser(name)):
            hint = f" For a folder of your own write 'folder:{name}'."
        raise ValueError(f"Unknown data set {name!r}.{hint} Known: {', '.join(names)}.")
    source = SOURCES[name]
    _only(options, name)
    found = _find(source, root)
    return _read(found, by_keyword(found, source.classify), source, None, size, progress)


def _only(options: dict, name: str, *allowed: str) -> dict:
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        takes = f"it takes only {', '.join(allowed)}" if allowed else "only 'phantom' and 'folder:PATH' take options"
        raise ValueError(f"load({name!r}) has no option {', '.join(unknown)}; {takes}.")
    return options


# -- find the files -----------------------------------------------------------


def _find(source: Source, root) -> Path:
    """The folder that holds this data set. Raises FileNotFoundError that says where it was looked for."""
    aliases = [source.slug, source.handle, source.name]
    if source.slug == "chest-xray-pneumonia":
        aliases += ["pneumonia", "chest_xray"]

    def inside(base: Path) -> Path | None:
        if not base.is_dir():
            return None
        return next((p for p in (*(base / a for a in aliases), base) if p.is_dir() and _holds(source, p)), None)

    if root is not None:
        base = Path(root).expanduser()
        if not base.is_dir():
            raise FileNotFoundError(
                f"root={os.fspath(root)!r} is not a folder. Give the folder that holds {source.slug}."
            )
        if place := inside(base):
            return place
        raise FileNotFoundError(
            f"{base} does not hold {source.title!r} ({_expected(source)}). Check root=, or leave it out."
        )
    tried = []
    if named := os.environ.get("CXR_DATA_DIR"):
        base = Path(named).expanduser()
        if place := inside(base):
            return place
        tried.append(f"$CXR_DATA_DIR = {named} " + ("(not a folder)" if not base.is_dir() else "(not there)"))
    mounted = Path(os.environ.get("KAGGLE_CACHE_MOUNT_FOLDER", "/kaggle/input"))  # kagglehub's name for it
    for base in (mounted / source.slug, mounted / "datasets" / source.handle):
        if place := inside(base):
            return place
    tried.append(f"{mounted / source.slug} (not there)")
    if place := _downloaded(source):
        return place
    try:
        with cache.locked(cache.cache_dir(), source.slug):  # two at once would write into one archive
            return _downloaded(source) or _download(source)
    except Exception as error:  # kagglehub raises many types: no network, no such page, no login, no disk
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        tried.append(f"download with kagglehub ({type(error).__name__}{': ' + reason if reason else ''})")
    raise FileNotFoundError(
        f"The data set {source.name!r} was not found. Tried: {'; '.join(tried)}.\n"
        f"Check the network and load it again: a download that broke off goes on where it stopped. Or get "
        f"{source.title!r} from its Kaggle page ({source.handle}) elsewhere, then set the environment variable "
        f"CXR_DATA_DIR to its folder or pass root=. The data set 'phantom' needs no download."
    )


def _hub(source: Source) -> Path:
    """Where kagglehub keeps this data set: V.archive while it is fetched, then versions/V and V.complete."""
    base = os.environ.get("KAGGLEHUB_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "kagglehub")
    return Path(base) / "datasets" / source.handle


def _download(source: Source) -> Path:
    """Fetch with kagglehub; a connection that breaks is taken up again as long as every attempt brings something."""
    import kagglehub

    fetched = 0
    while True:
        try:
            place = Path(kagglehub.dataset_download(source.handle))
            break
        except OSError:  # the errors of requests are among them
            before, fetched = fetched, sum(a.stat().st_size for a in _hub(source).glob("*.archive"))
            if fetched <= before:
                raise
            tqdm.write("The download broke off; it goes on where it stopped ...", file=sys.stderr)
        except Exception as error:
            wrong = list(_hub(source).glob("*.archive"))
            for archive in wrong:  # kagglehub would take it for a finished download the next time
                archive.unlink()
            if wrong or isinstance(error, kagglehub.exceptions.DataCorruptionError):
                raise RuntimeError(
                    "what came is not the archive of the data set, or was damaged on the way, and was deleted"
                ) from error
            raise
    labels = {f.label for f in by_keyword(place, source.classify).files}
    absent = [label for _, label in source.keywords if label not in labels]
    if absent:
        raise RuntimeError(f"{place} holds no images of {', '.join(absent)}; delete this folder")
    return place


def _downloaded(source: Source) -> Path | None:
    """The newest complete download in kagglehub's own cache, so that a second start needs no network."""
    base = _hub(source)
    complete = [int(p.stem) for p in base.glob("*.complete") if p.stem.isdigit()]
    for version in sorted(complete, reverse=True):
        place = base / "versions" / str(version)
        if place.is_dir() and _holds(source, place):
            return place
    return None


def _holds(source: Source, folder: Path) -> bool:
    """Whether every class has a folder with images here, and no other class of another data set has."""
    layout = by_keyword(folder, source.classify)
    labels = {f.label for f in layout.files}
    wanted = {label for _, label in source.keywords}
    # Loose images are passed over; image folders without a keyword belong to another data set.
    strangers = [rel for rel, why in layout.skipped if why == OUTSIDE and "/" in rel]
    return labels == wanted and len(strangers) <= len(layout.files) // 100


def _expected(source: Source) -> str:
    return "folders named for " + ", ".join(dict.fromkeys(label for _, label in source.keywords)) + " with images"


# -- read the files -----------------------------------------------------------


def _plan_folder(path: str, patient: str | None = None) -> tuple[Path, Layout, Source, Callable | None]:
    root = Path(path).expanduser()
    if not path.strip():
        raise ValueError("'folder:' needs a path, for example 'folder:/content/my_xrays'.")
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise FileNotFoundError(
            f"The folder {path} {what}. Write 'folder:PATH' with the folder that holds one folder per "
            "class, or train/ and test/ folders that do."
        )
    layout = by_folder(root)
    # A set nested in the folder may have a class of its own.
    labels = sorted({*layout.folders.values(), *(f.label for f in layout.files)})
    if not labels:
        raise ValueError(
            f"{path} holds no class folders with images. Expected {path}/CLASS/... or "
            f"{path}/train/CLASS/..., with images such as .jpeg or .png inside."
        )
    # "normal" first: class 1 is then the finding, as metrics for two classes expect.
    classes = tuple(sorted(labels, key=lambda c: (c != "normal", c)))
    source = Source(f"folder:{root.name}", path, "", classes, tuple((re.escape(c), c) for c in classes))
    return root, layout, source, _patient_finder(patient, layout)


def _patient_finder(pattern: str | None, layout: Layout) -> Callable[[str], str | None] | None:
    """A function from path to patient, or None when the names of the files say nothing."""
    if pattern is None:
        if all(parse_name(f.rel) for f in layout.files):
            return None
        return lambda rel: None
    try:
        regex = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"patient={pattern!r} is not a regular expression ({error}).") from None
    if regex.groups != 1:
        raise ValueError(
            f"patient={pattern!r} must have exactly one group in parentheses, it has {regex.groups}; "
            r"for example r'patient(\d+)'."
        )

    def find(rel: str) -> str | None:
        match = regex.search(rel)
        return match[1] if match and match[1] else None

    if layout.files and not any(find(f.rel) for f in layout.files):
        raise ValueError(f"patient={pattern!r} matches no file, for example not {layout.files[0].rel!r}.")
    return find


def _read(
    root: Path,
    layout: Layout,
    source: Source,
    find_patient: Callable[[str], str | None] | None,
    size: int,
    progress: bool,
) -> CxrDataset:
    """Decode the files of a layout and put the data set together.

    find_patient: path -> patient, or None to read Kermany's file names.
    """
    occupied = {f.rel.rpartition("/")[0] for f in layout.files}
    for folder in layout.folders:
        if not any(o == folder or o.startswith(folder + "/") for o in occupied) and not _is_copy(folder, layout):
            raise ValueError(f"The class folder {root / folder} holds no images. Put images into it, or remove it.")
    if not layout.files:
        raise ValueError(f"{root} holds no images.")
    files = layout.files
    digests = cache.digests(root, files, progress)
    images, columns, key = cache.decoded(root, files, digests, size, progress)

    skipped = list(layout.skipped)
    rows, labels = [], []
    numbers = columns.get("patient") or [0] * len(files)
    usable = -1
    keep = []
    index = {c: i for i, c in enumerate(source.classes)}
    for f, digest, width, height, reason, number in zip(
        files, digests, columns["width"], columns["height"], columns["reason"], numbers, strict=True
    ):
        if reason:
            skipped.append((f.rel, reason))
            continue
        usable += 1
        name = parse_name(f.rel) if find_patient is None else None
        label = f.label
        if source.subtype_is_class and label != "normal":
            if name is None or name.subtype == "normal":
                skipped.append((f.rel, "the file name does not say bacteria or virus"))
                continue
            label = name.subtype
        patient = name.patient if name else find_patient(f.rel) if find_patient else None
        if patient is None and number:
            patient = f"patient-{number:04d}"
        keep.append(usable)
        labels.append(index[label])
        rows.append(
            (
                f.rel,
                f.split,
                label,
                name.subtype if name else label,
                name.series if name else "",
                patient or f.rel,
                patient is not None,
                name.key_number if name else "",
                width,
                height,
                f.extension,
                f.size,
                digest,
            )
        )
    table = pd.DataFrame(
        rows,
        columns=[
            "file",
            "split",
            "class",
            "subtype",
            "series",
            "patient",
            "patient_known",
            "key_number",
            "width",
            "height",
            "extension",
            "bytes",
            "digest",
        ],
    )
    if find_patient is not None:
        table = table.drop(columns=["series", "key_number"])
    if "burned_in" in columns:
        burned_in = [b for b, reason in zip(columns["burned_in"], columns["reason"], strict=True) if not reason]
        table["burned_in"] = np.array(burned_in, dtype=bool)[keep]
        _warn_burned_in(table)
    skipped = pd.DataFrame(sorted(skipped), columns=["file", "reason"])
    _check_classes(root, layout, table, skipped)
    _warn_skipped(root, skipped, len(files))
    labels = np.array(labels, dtype=np.int64)
    if len(keep) != len(images):
        images = images[np.array(keep, dtype=np.int64)]
    fingerprint = cache.make_key(
        [key, source.classes, labels.tolist(), table["patient"].tolist(), table["split"].tolist()]
    )
    return CxrDataset(
        images,
        labels,
        source.classes,
        table["patient"].to_numpy(dtype=str),
        table,
        name=source.name,
        fingerprint=fingerprint,
        skipped=skipped,
    )


def _is_copy(folder: str, layout: Layout) -> bool:
    """Whether this class folder lies in a nested copy whose files were dropped."""
    tail = folder.split("/")[-2:]
    return any(f != folder and f.split("/")[-2:] == tail for f in layout.folders)


def _check_classes(root: Path, layout: Layout, table: pd.DataFrame, skipped: pd.DataFrame) -> None:
    if len(table) == 0:
        raise ValueError(f"None of the {len(layout.files)} images in {root} can be used. {_examples(skipped)}")
    good = {f.rpartition("/")[0] for f in table["file"]}
    for folder in layout.folders:
        mine = [f for f in layout.files if f.rel.startswith(folder + "/")]
        if mine and not any(g == folder or g.startswith(folder + "/") for g in good):
            bad = skipped[skipped["file"].str.startswith(folder + "/")]
            raise ValueError(
                f"None of the {len(mine)} images in the class folder {root / folder} can be used. "
                f"{_examples(bad)} Repair or remove the folder."
            )


def _warn_skipped(root: Path, skipped: pd.DataFrame, total: int) -> None:
    if len(skipped):
        what = "1 file" if len(skipped) == 1 else f"{len(skipped)} files"
        warnings.warn(
            f"{what} in {root} cannot be used and {'is' if len(skipped) == 1 else 'are'} left out. "
            f"{_examples(skipped)} All are listed in `.skipped`.",
            stacklevel=4,
        )


def _warn_burned_in(table: pd.DataFrame) -> None:
    if count := int(table["burned_in"].sum()):
        warnings.warn(
            f"{count} DICOM file{' says' if count == 1 else 's say'} that text is burned into the picture: it may "
            "name the patient. `.where(burned_in=False)` leaves such images out.",
            stacklevel=4,
        )


def _examples(skipped: pd.DataFrame, most: int = 3) -> str:
    lines = [f"{file}: {reason}" for file, reason in zip(skipped["file"][:most], skipped["reason"][:most], strict=True)]
    return "For example " + "; ".join(lines) + "." if lines else ""


# -- phantoms -----------------------------------------------------------------


def _load_phantom(size: int, progress: bool, options: dict) -> CxrDataset:
    import cxrlib.phantom as phantom

    dials = set(inspect.signature(phantom.make_phantoms).parameters) - {"size", "progress"}
    options = {"n": DEFAULT_PHANTOMS, **_only(options, "phantom", *sorted(dials))}

    def make():
        made = phantom.make_phantoms(size=size, progress=progress, **options)
        arrays = {"images": made.images, "labels": made.labels}
        for name in ("masks", "lungs"):
            if getattr(made, name, None) is not None:
                arrays[name] = getattr(made, name)
        return arrays, made.table, {"classes": list(made.classes)}

    described = _json_value({k: v for k, v in options.items() if k != "workers"})
    if described is _UNKNOWN:  # an option that cannot be written down cannot name a cache entry
        arrays, table, extra = make()
        key = None
    else:
        key = cache.make_key(["phantom", size, described, _source_hash(Path(phantom.__file__).parent), np.__version__])
        arrays, table, extra = cache.stored(key, make)
    return CxrDataset(
        arrays["images"],
        np.asarray(arrays["labels"]),
        tuple(extra["classes"]),
        table["patient"].to_numpy(dtype=str),
        table,
        masks=arrays.get("masks"),
        lungs=arrays.get("lungs"),
        name="phantom",
        fingerprint=key,
    )


def _source_hash(package: Path) -> str:
    """Hash of the generator's own source: an edited generator makes new images."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


_UNKNOWN = object()


def _json_value(value):
    """The option as plain JSON, or _UNKNOWN."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _json_value(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _json_value({"": type(value).__name__, **fields})
    if isinstance(value, (list, tuple)):
        items = [_json_value(v) for v in value]
        return _UNKNOWN if any(v is _UNKNOWN for v in items) else items
    if isinstance(value, dict):
        items = {str(k): _json_value(v) for k, v in value.items()}
        return _UNKNOWN if any(v is _UNKNOWN for v in items.values()) else items
    return _UNKNOWN
