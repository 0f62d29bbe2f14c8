"""From a layout of files to a CxrDataset: decode, find the patients, and say what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from . import cache
from .dataset import SPLIT_ORDER, CxrDataset
from .layout import DOCUMENT, Layout
from .names import FileName, read_name
from .sources import Source

PatientFinder = Callable[[str], str | None]


def assemble(
    root: Path, layout: Layout, source: Source, size: int, progress: bool, find_patient: PatientFinder | None = None
) -> tuple[CxrDataset, list[str]]:
    """Decode the files of a layout and put the data set together; ValueError for a class folder of no use.

    ``find_patient`` gives the patient of a path, or None; without it the file names of well-known sets are understood.
    Returns the data set, and what the user should be told: what was understood, and what is left out.
    """
    _refuse_empty(root, layout)
    files, masks = layout.files, [mask for of_image in layout.masks.values() for mask in of_image.values()]
    digests = cache.digests(root, [*files, *masks], progress)
    images, told, key = cache.decoded(root, files, digests, size, progress)
    skipped, rows, keep, contrary = list(layout.skipped), [], [], []
    places = np.cumsum([not about["reason"] for about in told]) - 1  # of a file in ``images``
    for f, about, place in zip(files, told, places, strict=True):
        name, label, reason = read_name(f.rel) or FileName(""), f.label, about["reason"]
        if source.subtype_is_class and label != "normal":
            label = name.subtype
            if label in ("", "normal"):
                reason = reason or "the file name does not say bacteria or virus"
        if reason:
            skipped.append((f.rel, reason))
            continue
        number = f"patient-{about['patient']:04d}" if about.get("patient") else ""
        named = name.patient if name.certain or not number else ""
        patient = (find_patient(f.rel) if find_patient else named) or number
        if name.label in source.classes and name.label != f.label:
            contrary.append(f.rel)
        keep.append(place)
        rows.append({
            "file": f.rel, "split": f.split, "class": label, "subtype": name.subtype or label, "series": name.series,
            "patient": patient or f.rel, "patient_known": bool(patient), "key_number": name.key_number,
            "width": about["width"], "height": about["height"], "extension": f.extension, "bytes": f.size,
            "digest": digests[f.rel], "note": about["note"], "burned_in": about.get("burned_in"),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    skipped = pd.DataFrame(sorted(skipped), columns=["file", "reason"])
    _refuse_unusable(root, layout, table, skipped)
    if find_patient is not None or not table["key_number"].any():
        table = table.drop(columns=["series", "key_number"])
    table = table.drop(columns=[*({"note"} if not table["note"].any() else ()), *({"burned_in"} - told[0].keys())])
    labels = table["class"].map({c: i for i, c in enumerate(source.classes)}).to_numpy(np.int64)
    if len(keep) != len(images):
        images = images[np.array(keep)]
    parts = [key, source.classes, labels.tolist(), table["patient"].tolist(), table["split"].tolist()]
    notes = [*layout.notes, *_one_sided(table, source.classes), *_in_two_splits(table, source)]
    drawn = {}
    for kind, of_image in layout.masks.items():
        if of_image:
            wanted = [of_image[file] for file in table["file"]]
            found, of_masks, mask_key = cache.decoded(root, wanted, digests, size, progress, masks=True)
            parts.append([kind, mask_key])
            drawn[kind] = None if any(about["reason"] for about in of_masks) else found[:, 0]
            if drawn[kind] is None:
                name = {"lungs": "lung", "masks": "lesion"}[kind]
                notes = [note for note in notes if f"have a {name} mask beside" not in note]
                notes.append(f"Some {name} masks cannot be read, so no {name} mask is used.")
    patients, more = table["patient"].to_numpy(dtype=str), {"name": source.name, "skipped": skipped, **drawn}
    data = CxrDataset(images, labels, source.classes, patients, table, fingerprint=cache.make_key(parts), **more)
    if contrary:
        tell = "1 file name tells" if len(contrary) == 1 else f"{len(contrary)} file names tell"
        notes.append(f"{tell} another class than its folder, e.g. {contrary[0]}.")
    return data, list(_told(root, data, notes))


def _refuse_empty(root: Path, layout: Layout) -> None:
    reasons, held = dict(layout.skipped), _below(f.rel for f in layout.files)
    ends = Counter(_end(folder) for folder in layout.folders)
    for folder in layout.folders:
        # In a copy of the set nested in itself the files were dropped.
        if not held[folder] and (ends[_end(folder)] == 1 or not layout.files):
            why = f": it is {reasons[folder]}" if folder in reasons else ""
            if left := [row for row in layout.skipped if row[0].startswith(folder + "/")]:
                raise ValueError(f"No image in the class folder {root / folder} can be used. {_examples(left)}")
            what = f"The class folder {root / folder} holds no images{why}"
            raise ValueError(f"{what}. Put images into it, or remove it.")


def _refuse_unusable(root: Path, layout: Layout, table: pd.DataFrame, skipped: pd.DataFrame) -> None:
    reasons = list(skipped.itertuples(index=False))
    if len(table) == 0:
        raise ValueError(f"None of the {len(layout.files)} images in {root} can be used. {_examples(reasons)}")
    held, usable = _below(f.rel for f in layout.files), _below(table["file"])
    for folder in layout.folders:
        if held[folder] and not usable[folder]:
            bad = _examples([row for row in reasons if row[0].startswith(folder + "/")])
            what = f"None of the {held[folder]} images in the class folder {root / folder} can be used"
            raise ValueError(f"{what}. {bad} Repair or remove the folder.")


def _below(files: Iterable[str]) -> Counter:
    """Count the files in each folder, those further inside, too."""
    parts = (file.split("/") for file in files)
    return Counter("/".join(names[:depth]) for names in parts for depth in range(1, len(names)))


def _end(folder: str) -> tuple[str, ...]:
    return tuple(folder.split("/")[-2:])


def _one_sided(table: pd.DataFrame, classes: tuple[str, ...]) -> Iterator[str]:
    """Say which classes some of the official splits lack."""
    splits = [split for split in SPLIT_ORDER if (table["split"] == split).any()]
    for label in classes if len(splits) > 1 else ():
        here = set(table["split"][table["class"] == label])
        has, lacks = ([s for s in splits if (s in here) == wanted] for wanted in (True, False))
        if has and lacks:
            have = "have" if len(lacks) > 1 else "has"
            yield f"Class {label} is only in {' and '.join(has)}: {' and '.join(lacks)} {have} no image of it."


def _in_two_splits(table: pd.DataFrame, source: Source) -> Iterator[str]:
    """Say how many images of a folder of one's own are in two official splits: copies or links."""
    twice = table.groupby("digest")["split"].transform("nunique") > 1
    if source.name.startswith("folder:") and twice.any():
        files = f"{table['file'][twice].iloc[0]} is one of them"
        yield f"{twice.sum()} images are in more than one split, under the same or another name ({files})."


def _told(root: Path, data: CxrDataset, notes: list[str]) -> Iterator[str]:
    """Say what was understood, what is left out, and where a name may appear in a picture."""
    if unknown := data.unknown_patients:
        remedy = " (patient= can find it in the file names)" if data.name.startswith("folder:") else ""
        what = f"The patient of {unknown:,} of {len(data):,} images is not known"
        notes.append(f"{what}: each counts as a patient of its own{remedy}.")
    if "note" in data.table:
        odd = data.table[data.table["note"] != ""]
        file, note = odd[["file", "note"]].iloc[0]
        are = "1 file is" if len(odd) == 1 else f"{len(odd)} files are"
        notes.append(f"{are} odd (column `note`), for example {file}: {note}.")
    if notes:
        yield f"{root}: " + " ".join(notes)
    if told := list(data.skipped[data.skipped["reason"] != DOCUMENT].itertuples(index=False)):
        what, are = ("1 file", "is") if len(told) == 1 else (f"{len(told)} files", "are")
        yield f"{what} in {root} cannot be used and {are} left out. {_examples(told)} All are listed in `.skipped`."
    if count := int(data.table["burned_in"].sum()) if "burned_in" in data.table else 0:
        says = f"{count} DICOM file{' says' if count == 1 else 's say'} that text is burned into the picture"
        yield f"{says}: it may name the patient. `.where(burned_in=False)` leaves such images out."


def _examples(skipped: list[tuple[str, str]]) -> str:
    lines = [f"{file}: {reason}" for file, reason in skipped[:3]]
    return f"For example {'; '.join(lines)}." if lines else ""
