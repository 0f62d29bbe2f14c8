"""Find the image files of a folder, and read class and split off their paths."""

import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from .pixels import MAX_BYTES, is_dicom

EXTENSIONS = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".pgm", ".ppm"})
DICOM_EXTENSIONS = frozenset({".dcm", ".dicom"})
#: Not readable here, but surely meant as images: listed as skipped instead of passed over in silence.
_UNREAD = frozenset({".heic", ".avif"})
SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
OUTSIDE = "not inside a class folder"


@dataclass(frozen=True)
class File:
    """One file below a root: its path from there, what identifies its state, and where it belongs."""

    rel: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    split: str = "all"
    label: str = ""

    @property
    def extension(self) -> str:
        """Such as ".png"; ".dcm" for every DICOM file, whatever its name."""
        extension = os.path.splitext(self.rel)[1].lower()
        return extension if extension in EXTENSIONS else ".dcm"


@dataclass(frozen=True)
class Layout:
    """The files of a data set, sorted by path; its class folders; and files that belong to no class."""

    files: list[File]
    folders: dict[str, str]  # path of a class folder -> class
    skipped: list[tuple[str, str]]


def scan(root: Path) -> tuple[list[File], list[str], list[tuple[str, str]]]:
    """All image files and all folders below `root`, sorted; and what was skipped, with reasons.

    DICOM files are known by their extension, or by their first bytes where the name has none. Leftovers of
    archives and tools (`__MACOSX`, `._*`, `.DS_Store`, hidden folders) and files that are no images are passed
    over.
    """
    files, folders, skipped, seen = [], [], [], {os.path.realpath(root)}
    open_folders = [""]
    while open_folders:
        folder = open_folders.pop()
        with os.scandir(root / folder) as entries:
            for item in entries:
                if item.name.startswith(".") or item.name == "__MACOSX":
                    continue
                rel = f"{folder}/{item.name}" if folder else item.name
                if item.is_dir():
                    real = os.path.realpath(item.path)
                    if real not in seen:  # a link that leads back would never end
                        seen.add(real)
                        folders.append(rel)
                        open_folders.append(rel)
                    continue
                extension = os.path.splitext(item.name)[1].lower()
                if extension in _UNREAD:
                    skipped.append((rel, f"{extension} files are not read; export them as PNG or JPEG first"))
                elif extension in EXTENSIONS or extension in DICOM_EXTENSIONS or _is_nameless_dicom(item, extension):
                    if not _is_text(rel):
                        skipped.append((ascii(rel), "the file name is not valid UTF-8; rename the file"))
                        continue
                    try:
                        state = item.stat()
                    except OSError:
                        skipped.append((rel, "a link to a file that does not exist"))
                        continue
                    if not stat.S_ISREG(state.st_mode):  # a pipe or a device may never end
                        skipped.append((rel, "not an ordinary file"))
                        continue
                    if state.st_size > MAX_BYTES:
                        skipped.append((rel, f"larger than {MAX_BYTES // 1_000_000} MB"))
                        continue
                    files.append(File(rel, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino))
    return sorted(files, key=lambda f: f.rel), sorted(folders), sorted(skipped)


def _is_nameless_dicom(item: os.DirEntry, extension: str) -> bool:
    """Whether a file with a name such as IM000001 or 1.2.840.113619.2 (a DICOM number) is a DICOM file."""
    if (extension and not extension[1:].isdigit()) or item.name == "DICOMDIR":  # the index of a DICOM folder
        return False
    try:
        if not item.is_file():
            return False
        with open(item.path, "rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
        return True
    except UnicodeEncodeError:
        return False


def by_keyword(root: Path, classify: Callable[[str], str | None]) -> Layout:
    """Sort files into classes by a keyword in the name of the closest folder that has one, whatever the
    nesting.

    classify(folder name): the class, or None. A copy of the whole set nested in itself (Kaggle's
    `chest_xray/chest_xray`) is counted once.
    """
    found, all_folders, skipped = scan(root)

    def place(path: str) -> tuple[int, str] | None:
        parts = path.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            if label := classify(parts[depth]):
                return depth, label
        return None

    files, origin = [], {}
    for f in found:
        parts = f.rel.split("/")
        where = place("/".join(parts[:-1])) if len(parts) > 1 else None
        if where is None:
            skipped.append((f.rel, OUTSIDE))
            continue
        depth, label = where
        splits = [d for d in range(depth) if parts[d].lower() in SPLITS]
        split = SPLITS[parts[splits[-1]].lower()] if splits else "all"
        top = splits[-1] if splits else depth
        origin[f.rel] = ("/".join(parts[:top]), "/".join(parts[top:]))
        files.append(replace(f, split=split, label=label))
    files = _without_nested_copies(files, origin)
    named = [(folder, label) for folder in all_folders if (label := classify(folder.rpartition("/")[2]))]
    # A class folder that holds class folders is only a wrapper ("Covid and Pneumonia/NORMAL").
    wrappers = {parent.as_posix() for folder, _ in named for parent in PurePosixPath(folder).parents}
    folders = {folder: label for folder, label in named if folder not in wrappers}
    return Layout(files, folders, skipped)


def by_folder(root: Path) -> Layout:
    """Sort files into classes named by their folders: ROOT/CLASS/... or ROOT/{train,val,test}/CLASS/..."""
    found, all_folders, skipped = scan(root)
    inner = _unwrap(all_folders, found)
    depth = len(PurePosixPath(inner).parts) if inner else 0
    has_splits = any(p.split("/")[depth].lower() in SPLITS for p in all_folders if p.count("/") >= depth)

    def place(parts: list[str]) -> tuple[int, str] | None:
        """Depth of the class folder, and the split; `parts` are folder names from the root."""
        if inner and parts[:depth] != inner.split("/"):
            return None
        if len(parts) <= depth:
            return None
        if not has_splits:
            return depth, "all"
        split = SPLITS.get(parts[depth].lower())
        return (depth + 1, split) if split and len(parts) > depth + 1 else None

    files, origin = [], {}
    nested = _nested_roots(all_folders, depth) if has_splits else set()
    for f in found:
        parts = f.rel.split("/")
        start = 1 if has_splits and parts[depth] in nested else 0  # ROOT/chest_xray/train/... beside ROOT/train/...
        shifted = parts[:depth] + parts[depth + start :]
        where = place(shifted[:-1])
        if where is None:
            skipped.append((f.rel, OUTSIDE))
            continue
        at, split = where
        origin[f.rel] = ("/".join(parts[: depth + start]), "/".join(shifted[depth:]))
        files.append(replace(f, split=split, label=shifted[at].lower()))
    files = _without_nested_copies(files, origin)
    folders = {}
    for folder in all_folders:
        parts = folder.split("/")
        if len(parts) > depth and parts[depth] in nested:
            continue
        where = place(parts)
        if where is not None and len(parts) == where[0] + 1:
            folders[folder] = parts[where[0]].lower()
    return Layout(files, folders, skipped)


def _unwrap(folders: list[str], files: list[File]) -> str:
    """The folder that really holds the data, when it is wrapped in folders with nothing else beside it."""
    children = defaultdict(list)
    for f in folders:
        parent, _, name = f.rpartition("/")
        children[parent].append(name)
    with_images = {f.rel.rpartition("/")[0] for f in files}
    here = ""
    while here not in with_images and len(children[here]) == 1 and children[here][0].lower() not in SPLITS:
        inside = f"{here}/{children[here][0]}".lstrip("/")
        if inside in with_images or not children[inside]:
            break
        here = inside
    return here if len(children[here]) > 1 or any(c.lower() in SPLITS for c in children[here]) else ""


def _nested_roots(folders: list[str], depth: int) -> set[str]:
    """Folders beside train/ and test/ that hold train/ and test/ again."""
    return {
        f.split("/")[depth]
        for f in folders
        if len(f.split("/")) == depth + 2
        and f.split("/")[depth + 1].lower() in SPLITS
        and f.split("/")[depth].lower() not in SPLITS
    }


def _without_nested_copies(files: list[File], origin: dict[str, tuple[str, str]]) -> list[File]:
    """Drop a file when a folder above its own set holds the same path with the same size."""
    sizes = {origin[f.rel]: f.size for f in files}

    def is_copy(f: File) -> bool:
        above, inside = origin[f.rel]
        while above:
            above = above.rpartition("/")[0]
            if sizes.get((above, inside)) == f.size:
                return True
        return False

    return [f for f in files if not is_copy(f)]
