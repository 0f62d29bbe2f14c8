"""Find the image files of a folder, and read class and split off their paths."""

from __future__ import annotations

import itertools
import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .decode import is_image, what_is_it
from .names import read_name
from .pixels import MAX_BYTES, is_dicom

EXTENSIONS = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".pgm", ".ppm"})
DICOM_EXTENSIONS = frozenset({".dcm", ".dicom"})
_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xls"})
_DOCUMENTS = _TABLES | {".pdf", ".doc", ".docx", ".odt", ".db"}
_LEFTOVERS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "DICOMDIR"})  # and all that begins with a dot
#: What people call the splits, without accents; of the words around them ("training_set", "stage_2_train_images") some
#: are passed over.
_SPLITS = {
    "train": "train training trn trainings entrenamiento entrainement apprentissage treino treinamento addestramento "
    "egitim latih latihan pelatihan trainen treningowy обучение 训练 訓練 学習 훈련 학습 تدريب",
    "test": "test testing tst prueba pruebas teste essai prova uji pengujian testen testowy тест اختبار 测试 測試 "
    "テスト 테스트",
    "val": "val valid validation validate dev validacion validacao validierung validazione dogrulama validasi "
    "validatie walidacja walidacyjny валидация 验证 驗證 検証 검증",
}
_USUAL = ("train", "training", "test", "testing", "val", "valid", "validation")
_FILLERS = {"set", "sets", "data", "images", "image", "img", "imgs", "split", "folder", "stage", "xray", "xrays", "cxr"}
_IMAGES = frozenset({"images", "image", "img", "imgs", "cxr png"})
_MASKS = re.compile(
    r"(?:(left|right|manual|lungs?|infection|lesions?|binary|segmentation) ?)?"
    r"(?:masks?|segmentations?|labels?|annotations?|ground ?truths?|gt)(?: (?:images?|png))?"
)
#: The same in the name of a file that lies beside its image: a_mask.png, mask_a.png, a-lung-seg.png.
_MASK_NAME = re.compile(
    r"^(?:lung[ _-]?)?masks?[ _-]|[ _-](?:lung[ _-]?)?(?:masks?|seg|segmentation|label|gt)$|masks?$"
)
#: Zero-width letters and marks of direction, which come with names that were copied from web pages.
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
DOCUMENT = "a document, not an image"
_NO_SPLIT = "not in one of the folders train, val and test, as others are: move it there"
OUTSIDE = "not inside a class folder"


@dataclass(frozen=True)
class File:
    """One file below a root: its path from there, what changes with its content, and where it belongs."""

    rel: str
    state: list[int]  # size, mtime_ns, ctime_ns, inode
    dicom: bool = False
    split: str = "all"
    label: str = ""
    home: PurePosixPath = PurePosixPath()  # the folder of the data set that it belongs to

    @property
    def size(self) -> int:
        """In bytes."""
        return self.state[0]

    @property
    def extension(self) -> str:
        """Such as ".png"; ".dcm" for every DICOM file, whatever its name."""
        return ".dcm" if self.dicom else os.path.splitext(self.rel)[1].lower()

    @property
    def folders(self) -> list[str]:
        """The names of the folders on the way to it."""
        return self.rel.split("/")[:-1]

    @property
    def inside(self) -> PurePosixPath:
        """Its path from its home."""
        return PurePosixPath(self.rel).relative_to(self.home)


@dataclass(frozen=True)
class Layout:
    """The image files of a data set, and how its folders were understood."""

    files: list[File]  # sorted by path
    folders: dict[str, str]  # path of a class folder -> class
    skipped: list[tuple[str, str]]  # (file, reason)
    notes: list[str] = field(default_factory=list)  # what was understood and is not plain, in sentences for the user
    masks: dict[str, dict[str, File]] = field(default_factory=dict)  # "lungs", "masks": path of an image -> its mask


def scan(root: Path) -> tuple[list[File], list[str], list[tuple[str, str]]]:
    """List all image files and all folders below ``root``, sorted; and what was skipped, with reasons.

    Files with another extension than those of images, or with none, are known by their content. Leftovers of archives
    and tools (``__MACOSX``, ``._*``, ``.DS_Store``, hidden folders) are passed over.
    """
    files, folders, skipped = [], [], []
    seen: dict[str, str] = {}  # where a folder really is -> the path by which it is read
    waiting, links = [""], []  # real folders first: a link to one of them is the copy
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)
        if seen.setdefault(real := os.path.realpath(root / folder), folder) != folder:
            skipped.append((folder, f"a link to {seen[real] or 'the whole folder'}, which is read already"))
            if not f"{folder}/".startswith(f"{seen[real]}/") and seen[real]:  # else it leads back, and is no loss
                folders.append(folder)
            continue
        folders.append(folder)
        try:
            items = sorted(os.scandir(root / folder), key=lambda item: item.name)
        except OSError as error:
            skipped.append((folder, f"the folder cannot be read ({error.strerror})"))
            continue
        for item in items:
            if item.name.startswith(".") or item.name in _LEFTOVERS:
                continue
            rel = f"{folder}/{item.name}" if folder else item.name
            if any("\ud800" <= letter <= "\udfff" for letter in rel):
                skipped.append((ascii(rel), "the name is not valid UTF-8; rename it"))
            elif item.is_dir():
                (links if item.is_symlink() else waiting).append(rel)
            elif isinstance(found := _look(item, rel), File):
                files.append(found)
            elif found:
                skipped.append((rel, found))
    return sorted(files, key=lambda f: f.rel), sorted(filter(None, folders)), sorted(skipped)


def _look(item: os.DirEntry, rel: str) -> File | str:
    """Make a File of an image, or say why a file is not read."""
    extension = os.path.splitext(item.name)[1].lower()
    usual = extension in EXTENSIONS | DICOM_EXTENSIONS
    try:
        state = item.stat()
        if not stat.S_ISREG(state.st_mode):  # a pipe or a device may never end
            return "not an ordinary file" if usual else ""
        dicom = extension in DICOM_EXTENSIONS
        if not usual:
            with open(item.path, "rb") as file:
                start = file.read(512)
            dicom = is_dicom(start)
            if not dicom and not is_image(item.path):
                reason = what_is_it(start)
                if "text file" in reason or extension in _DOCUMENTS:
                    return DOCUMENT
                return reason if ";" in reason else f"{reason}; export it as PNG or JPEG"
    except FileNotFoundError:
        return "a link to a file that does not exist"
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if state.st_size > MAX_BYTES:
        return f"larger than {MAX_BYTES // 1_000_000} MB"
    return File(rel, [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino], dicom)


@cache
def _plain(name: str) -> str:
    """Give a folder's name without case, accents, underscores and blanks around it."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return " ".join(re.split(r"[\s_-]+", "".join(c for c in letters if not unicodedata.combining(c)).strip(" _-")))


_SPLIT_OF = {_plain(word): split for split, words in _SPLITS.items() for word in words.split()}


@cache
def split_of(name: str) -> str | None:
    """Tell the split that a folder's name stands for: train, val, test, or None.

    >>> split_of("Training_Set"), split_of("01 prueba"), split_of("stage_2_train_images"), split_of("normal")
    ('train', 'test', 'train', None)
    """
    words = [re.sub(r"(?<=.)(?:sets?|data|集)$", "", word) for word in re.split(r"[\W\d_]+", _plain(name)) if word]
    left = [word for word in words if word not in _FILLERS]
    return _SPLIT_OF.get(left[0]) if len(left) == 1 else None


@cache
def _mask_of(name: str) -> str | None:
    """Tell what a folder of masks shows: "lungs", or "masks" of lesions; None for any other folder."""
    m = _MASKS.fullmatch(_plain(name))
    return m and ("masks" if (m[1] or "").startswith(("infection", "lesion")) else "lungs")


def _is_mask(f: File) -> bool:
    return any(map(_mask_of, f.folders))


def _class_name(folder: str) -> str:
    """Give the class that a folder is named for: composed letters of usual width, no case, no blanks around it."""
    return " ".join(unicodedata.normalize("NFKC", folder).strip(_INVISIBLE).split()).lower()


def by_keyword(root: Path, classify: Callable[[str], str | None]) -> Layout:
    """Sort files into classes by a keyword in the name of the closest folder that has one, whatever the nesting.

    ``classify(folder name)`` gives the class, or None. A copy of the whole set nested in itself (Kaggle's
    ``chest_xray/chest_xray``) is counted once.
    """
    found, all_folders, skipped = scan(root)
    files = []
    for f in found:
        names = f.folders
        depth = next((d for d in reversed(range(len(names))) if classify(names[d])), None)
        if depth is None or _is_mask(f):
            skipped.append((f.rel, OUTSIDE if depth is None else "a mask, not an X-ray"))
            continue
        top = max((d for d in range(depth) if split_of(names[d])), default=depth)
        split = split_of(names[top]) if top < depth else "all"
        files.append(replace(f, split=split, label=classify(names[depth]), home=PurePosixPath(*names[:top])))
    named = [(folder, label) for folder in all_folders if (label := classify(folder.rpartition("/")[2]))]
    # A class folder that holds class folders is only a wrapper ("Covid and Pneumonia/NORMAL").
    wrappers = {parent.as_posix() for folder, _ in named for parent in PurePosixPath(folder).parents}
    folders = {folder: label for folder, label in named if folder not in wrappers}
    return Layout(_without_nested_copies(files), folders, skipped)


def _without_nested_copies(files: list[File]) -> list[File]:
    """Drop a file when a folder above its own set holds the same path with the same size."""
    sizes = {(f.home, f.inside): f.size for f in files}
    return [f for f in files if all(sizes.get((above, f.inside)) != f.size for above in f.home.parents)]


def by_folder(root: Path) -> Layout:
    """Sort files into classes named by their folders.

    Understood are ROOT/CLASS/..., ROOT/SPLIT/CLASS/... and ROOT/CLASS/SPLIT/..., in one more folder or twice in a row;
    ``images`` and ``masks`` beside each other at any place; and images without class folders whose file names tell the
    class. What is not plain is said in ``.notes``.
    """
    found, all_folders, skipped = scan(root)
    depth = len(PurePosixPath(_unwrap(all_folders, found)).parts)
    images, masks = _apart(found)
    forms = {f.rel: _form(f.folders[depth:]) for f in images}
    plan = _understood(forms.values())

    files, folders, spelled = [], {}, defaultdict(set)
    told = {f.rel: name.label for f in images if (name := read_name(f.rel)) and name.label}
    named, placed = set(told.values()), set(map(plan.class_folder, forms.values())) - {""}
    by_names = not placed and bool(named) or len(placed) == 1 and len(named) > 1
    for f in images:
        form = forms[f.rel]
        if not (folder := told.get(f.rel, "") if by_names else plan.class_folder(form)):
            outside = _NO_SPLIT if plan.has_splits and form.top and not form.split else OUTSIDE
            skipped.append((f.rel, "neither a folder nor the file name tells the class" if by_names else outside))
            continue
        spelled[_class_name(folder)].add(folder)
        start = f.folders.index(form.top, depth) + 1 if plan.is_set(form) else depth
        home = PurePosixPath(*f.folders[:start])
        files.append(replace(f, split=form.split or "all", label=_class_name(folder), home=home))
    files = _without_nested_copies(files)

    for folder in all_folders if not by_names else ():  # those without an image, too
        parts = folder.split("/")[depth:]
        form = _form(parts)
        if plan.class_first:
            name = form.top if len(parts) == 1 else ""
        else:
            name = "" if plan.is_set(form) else plan.class_folder(form)
        in_masks = any(map(_mask_of, parts))  # masks/normal beside images/normal
        if name and parts[-1] == name and form != _form(parts[:-1]) and not in_masks:
            folders[folder] = _class_name(name)
    notes = list(_notes(files, spelled, skipped, plan, by_names, depth))
    return _with_masks(Layout(files, folders, skipped, notes), masks)


def _apart(found: list[File]) -> tuple[list[File], list[File]]:
    """Tell images from masks, in folders of their own or beside their image (a.png, a_mask.png)."""
    images = [f for f in found if not _is_mask(f)]
    keys = {_pair_key(f) for f in images}
    loose = {f.rel for f in images if (key := _pair_key(f, cut=True)) != _pair_key(f) and key in keys}
    return [f for f in images if f.rel not in loose], [f for f in found if _is_mask(f) or f.rel in loose]


class _Form(NamedTuple):
    """The folders of a file: the one before the split, the split, the one after it; "" for what is not there."""

    top: str
    split: str = ""
    inside: str = ""


def _without_images(folders: list[str]) -> list[str]:
    """Leave out the folders that are named images or masks."""
    return [name for name in folders if _plain(name) not in _IMAGES and not _mask_of(name)]


def _form(folders: list[str]) -> _Form:
    """Read the folders of a file. Without a split the first one is the one "before"."""
    names = _without_images(folders)
    first = next((i for i, name in enumerate(names[:2]) if split_of(name)), None)
    if first is None:
        return _Form("".join(names[:1]))
    halves = list(itertools.takewhile(split_of, names[first:]))  # train/train
    return _Form("".join(names[:first]), split_of(halves[-1]), "".join(names[first + len(halves) :][:1]))


class _Plan(NamedTuple):
    """How the folders of a data set are understood."""

    has_splits: bool
    class_first: bool  # CLASS/train/..., not train/CLASS/...

    def class_folder(self, form: _Form) -> str:
        """Give the folder that is named for a class; "" where a file is in none."""
        if bool(form.split) != self.has_splits:
            return ""
        return form.inside if self.has_splits and not self.class_first else form.top

    def is_set(self, form: _Form) -> bool:
        """Tell whether the first folder is a data set of its own, with its splits."""
        return bool(form.top) and self.has_splits and not self.class_first


def _understood(forms: Iterable[_Form]) -> _Plan:
    # CLASS/train/..., or other data sets, each complete with its splits, inside of this one?
    tops = defaultdict(set)
    for form in forms:
        if form.split:
            tops[form.top] |= {form.inside} - {""}
    within = set().union(*tops.values())
    apart = sum(map(len, tops.values())) == len(within)  # no two of them hold the same folders
    return _Plan(bool(tops), bool(tops) and "" not in tops and apart and (len(tops) > 1 or not within))


def _unwrap(folders: list[str], files: list[File]) -> str:
    """Find the folder that really holds the data, when it is wrapped in folders with nothing else beside it."""
    children = defaultdict(list)
    for f in folders:
        parent, _, name = f.rpartition("/")
        children[parent].append(name)
    with_images = {f.rel.rpartition("/")[0] for f in files}

    here = ""
    while here not in with_images and len(children[here]) == 1 and not split_of(children[here][0]):
        inside = f"{here}/{children[here][0]}".lstrip("/")
        if inside in with_images or not children[inside] or any(map(_mask_of, children[inside])):
            break
        here = inside
    # NORMAL/train and NORMAL/test: the one folder is a class.
    return here if len(children[here]) > 1 or any(map(split_of, children[here])) else ""


def _notes(files: list[File], spelled: dict, skipped: list, plan: _Plan, by_names: bool, depth: int) -> Iterator[str]:
    if plan.class_first:
        yield "The folders are understood as CLASS/SPLIT, such as normal/train."
    if by_names:
        yield "There are no class folders: the classes are read from the file names."
    words = {name for f in files for name in f.folders if plan.has_splits and split_of(name)}
    if odd := sorted(w for w in words if _plain(w) not in _USUAL):
        yield "Taken as splits: " + ", ".join(f"{w!r} as {split_of(w)}" for w in odd) + "."
    for names in spelled.values():
        if len({name.lower() for name in names}) > 1:
            yield f"Taken as one class: {', '.join(map(ascii, sorted(names)))}."
    inside = defaultdict(set)
    for f in files:
        inside[f.label].add("".join(f.folders[depth + 1 : depth + 2]))
    common = set.intersection(*inside.values()) - {""} if len(inside) > 1 else set()
    if len(common) > 1 and not plan.has_splits and not by_names:
        what = f"The classes are {', '.join(sorted(inside))}, and each holds folders {', '.join(sorted(common))}"
        yield f"{what}. If these are the classes, and the others splits, call the others train, val and test."
    if len(inside) == 1:
        yield f"There is only one class, {files[0].label}."
    if tables := [file for file, _ in skipped if os.path.splitext(file)[1].lower() in _TABLES]:
        yield f"Tables are not read ({tables[0]}{' ...' if tables[1:] else ''}): classes come from folders."
    sets = defaultdict(set)
    for f in files:
        sets[f.split].add(f.home.name if len(f.home.parts) > depth else "")
    if pooled := set().union(*(names for names in sets.values() if len(names) > 1)) - {""}:
        yield f"The sets in the folders {', '.join(sorted(pooled))} are read as one."


def _pair_key(f: File, cut: bool = False) -> str:
    """Give the path without folders for images and masks and without the extension: equal for an image and its mask."""
    stem = PurePosixPath(f.rel).stem.lower()
    return "/".join([*_without_images(f.folders), _MASK_NAME.sub("", stem) if cut else stem])


def _with_masks(layout: Layout, masks: list[File]) -> Layout:
    """Give every mask to its image."""
    images = {_pair_key(f): f.rel for f in layout.files}
    layout.masks.update(lungs={}, masks={})
    for mask in masks:
        image = images.get(_pair_key(mask)) or images.get(_pair_key(mask, cut=True))
        of_kind = layout.masks[next(filter(None, map(_mask_of, mask.folders)), "lungs")]
        if image is None or image in of_kind:
            why = "no image fits" if image is None else "the second one of its image"
            layout.skipped.append((mask.rel, f"a mask, not an X-ray; {why}"))
        else:
            of_kind[image] = mask
    for kind, found in zip(("lung", "lesion"), layout.masks.values(), strict=True):
        if found:
            layout.notes.append(f"{len(found):,} of {len(layout.files):,} images have a {kind} mask beside them.")
            if len(found) < len(layout.files):
                layout.notes[-1] += f" As some have none, the {kind} masks are not used."
                layout.skipped.extend((mask.rel, "a mask; other images have none") for mask in found.values())
                found.clear()
    return layout
