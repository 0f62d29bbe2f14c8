"""From a layout of files to a CxrDataset: decode, find the patients, and say what was left out and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from . import cache
from .dataset import SPLIT_ORDER, CxrDataset
from .layout import DOCUMENT, File, Layout
from .names import read_name
from .sources import Source


def assemble(
    root: Path,
    layout: Layout,
    source: Source,
    size: int,
    progress: bool,
    find_patient: Callable[[str], str | None] | None = None,
) -> tuple[CxrDataset, list[str]]:
    """Decode the files of a layout and put the data set together.

    Parameters
    ----------
    root, layout, source
        Where the files are, how they lie there, and what they are.
    size : int
    progress : bool
    find_patient : function of a path, optional
        Its patient, or None. Without it the file names of well-known sets are understood.

    Returns
    -------
    data : CxrDataset
    warnings : list of str
        What the user should be told: what was understood, and what is left out.

    Raises
    ------
    ValueError
        A class folder without a usable image, or no usable image at all.
    """
    _refuse_empty(root, layout)
    files, masks = layout.files, [*layout.lungs.values(), *layout.lesions.values()]
    digests = cache.digests(root, [*files, *masks], progress)
    images, columns, key = cache.decoded(root, files, digests[: len(files)], size, progress)
    numbers = columns.get("patient") or [0] * len(files)

    skipped, rows, keep, usable, contrary = list(layout.skipped), [], [], -1, []
    for i, (f, reason) in enumerate(zip(files, columns["reason"], strict=True)):
        if reason:
            skipped.append((f.rel, reason))
            continue
        usable += 1
        name, label = read_name(f.rel), f.label
        if source.subtype_is_class and label != "normal":
            if name is None or name.subtype in ("", "normal"):
                skipped.append((f.rel, "the file name does not say bacteria or virus"))
                continue
            label = name.subtype
        number = f"patient-{numbers[i]:04d}" if numbers[i] else None
        if find_patient is not None:
            patient = find_patient(f.rel) or number
        elif name and (name.certain or not number):
            patient = name.patient
        else:
            patient = number
        if name and name.label in source.classes and name.label != f.label:
            contrary.append(f.rel)
        keep.append(usable)
        rows.append(
            {
                "file": f.rel,
                "split": f.split,
                "class": label,
                "subtype": name.subtype if name and name.subtype else label,
                "series": name.series if name else "",
                "patient": patient or f.rel,
                "patient_known": patient is not None,
                "key_number": name.key_number if name else "",
                "width": columns["width"][i],
                "height": columns["height"][i],
                "extension": f.extension,
                "bytes": f.size,
                "digest": digests[i],
                "note": columns["note"][i],
                "burned_in": columns["burned_in"][i] if "burned_in" in columns else False,
            }
        )
    table = pd.DataFrame(rows)
    skipped = pd.DataFrame(sorted(skipped), columns=["file", "reason"])
    _refuse_unusable(root, layout, table, skipped)
    if find_patient is not None or not table["key_number"].any():
        table = table.drop(columns=["series", "key_number"])
    absent = {"note"} if not table["note"].any() else set()
    table = table.drop(columns=[*absent, *({"burned_in"} - columns.keys())])

    labels = table["class"].map({c: i for i, c in enumerate(source.classes)}).to_numpy(np.int64)
    if len(keep) != len(images):
        images = images[np.array(keep)]
    parts = [key, source.classes, labels.tolist(), table["patient"].tolist(), table["split"].tolist()]
    notes = [*layout.notes, *_one_sided(table, source.classes)]
    known = dict(zip([f.rel for f in [*files, *masks]], digests, strict=True))
    drawn = {}
    for kind, of_image in (("lungs", layout.lungs), ("masks", layout.lesions)):
        if of_image:
            wanted = [of_image[file] for file in table["file"]]
            drawn[kind], mask_key = _masks(root, wanted, [known[m.rel] for m in wanted], size, progress)
            parts.append([kind, mask_key])
            if drawn[kind] is None:
                notes[:] = [n for n in notes if "mask beside" not in n] + [f"Some {kind} cannot be read: none is used."]
    data = CxrDataset(
        images,
        labels,
        source.classes,
        table["patient"].to_numpy(dtype=str),
        table,
        **drawn,
        name=source.name,
        fingerprint=cache.make_key(parts),
        skipped=skipped,
    )
    if contrary:
        notes.append(f"{len(contrary)} file names tell another class than the folder they are in, e.g. {contrary[0]}.")
    return data, [
        text for text in (_understood(root, data, notes), _left_out(root, skipped), _burned_in(table)) if text
    ]


def _masks(
    root: Path, masks: list[File], digests: list[str], size: int, progress: bool
) -> tuple[np.ndarray | None, str]:
    """Read one mask per image, bool (N, size, size) and the key of its entry; None where one cannot be read."""
    found, columns, key = cache.decoded(root, masks, digests, size, progress, masks=True)
    return (None if any(columns["reason"]) else found[:, 0]), key


# -- what is refused --------------------------------------------------------------------------------


def _refuse_empty(root: Path, layout: Layout) -> None:
    occupied = {"/".join(f.folders) for f in layout.files}
    reasons = dict(layout.skipped)
    for folder in layout.folders:
        # In a copy of the set nested in itself the files were dropped.
        copy = any(f != folder and f.split("/")[-2:] == folder.split("/")[-2:] for f in layout.folders)
        if not copy and not any(o == folder or o.startswith(folder + "/") for o in occupied):
            why = f": it is {reasons[folder]}" if folder in reasons else ""
            raise ValueError(
                f"The class folder {root / folder} holds no images{why}. Put images into it, or remove it."
            )
    if not layout.files:
        raise ValueError(f"{root} holds no images in class folders. {_examples(layout.skipped)}")


def _refuse_unusable(root: Path, layout: Layout, table: pd.DataFrame, skipped: pd.DataFrame) -> None:
    reasons = list(skipped.itertuples(index=False))
    if len(table) == 0:
        raise ValueError(f"None of the {len(layout.files)} images in {root} can be used. {_examples(reasons)}")
    good = {f.rpartition("/")[0] for f in table["file"]}
    for folder in layout.folders:
        mine = [f for f in layout.files if f.rel.startswith(folder + "/")]
        if mine and not any(g == folder or g.startswith(folder + "/") for g in good):
            bad = [row for row in reasons if row[0].startswith(folder + "/")]
            raise ValueError(
                f"None of the {len(mine)} images in the class folder {root / folder} can be used. "
                f"{_examples(bad)} Repair or remove the folder."
            )


# -- what is told -----------------------------------------------------------------------------------


def _one_sided(table: pd.DataFrame, classes: tuple[str, ...]) -> list[str]:
    """Say which classes some of the official splits lack."""
    splits = [split for split in SPLIT_ORDER if (table["split"] == split).any()]
    notes = []
    for label in classes if len(splits) > 1 else ():
        has = [split for split in splits if (table["class"][table["split"] == split] == label).any()]
        if has and len(has) < len(splits):
            missing = " and ".join(split for split in splits if split not in has)
            notes.append(f"Class {label} is only in {' and '.join(has)}: {missing} has no image of it.")
    return notes


def _understood(root: Path, data: CxrDataset, notes: list[str]) -> str:
    if unknown := data.unknown_patients:
        notes.append(
            f"The patient of {unknown:,} of {len(data):,} images is not known: each counts as a patient of its own"
            + (" (patient= can find it in the file names)." if data.name.startswith("folder:") else ".")
        )
    if "note" in data.table:
        odd = data.table[data.table["note"] != ""]
        first = odd.iloc[0]
        notes.append(f"{len(odd)} files are odd (column `note`), for example {first['file']}: {first['note']}.")
    return f"{root}: " + " ".join(notes) if notes else ""


def _left_out(root: Path, skipped: pd.DataFrame) -> str:
    told = skipped[skipped["reason"] != DOCUMENT]
    if not len(told):
        return ""
    what = "1 file" if len(told) == 1 else f"{len(told)} files"
    return (
        f"{what} in {root} cannot be used and {'is' if len(told) == 1 else 'are'} left out. "
        f"{_examples(list(told.itertuples(index=False)))} All are listed in `.skipped`."
    )


def _burned_in(table: pd.DataFrame) -> str:
    count = int(table["burned_in"].sum()) if "burned_in" in table else 0
    return (
        f"{count} DICOM file{' says' if count == 1 else 's say'} that text is burned into the picture: it may "
        "name the patient. `.where(burned_in=False)` leaves such images out."
        if count
        else ""
    )


def _examples(skipped: list[tuple[str, str]], most: int = 3) -> str:
    lines = [f"{file}: {reason}" for file, reason in skipped[:most]]
    return "For example " + "; ".join(lines) + "." if lines else ""
