"""Find the notebooks that students handed in: in a folder, in a zip, or as Canvas and Moodle export them.

Everything in a submission was chosen by somebody we do not trust: names, links, sizes, archives. So names are labels
and never paths, links are not followed, nothing is extracted to disk, and every read has a limit that does not depend
on what a header says. Each student gets exactly one `Submission`, also where nothing could be read.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from .files import BROKEN, MAX_TOTAL, File, Unusable, label, read, read_disk, scan_folder, scan_zip

MAX_TRIES = 5  # files of one student that are opened when the first ones cannot be used

_NOTEBOOK = re.compile(r"\.ipynb(?:\.txt|\.json)?\Z", re.IGNORECASE)  # some browsers add .txt or .json
_ARCHIVE = re.compile(r"\.(?:zip|7z|rar|tar|tgz|gz|bz2|xz)\Z", re.IGNORECASE)
_MOODLE = re.compile(r"(?P<name>[^_]+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?\Z", re.DOTALL)
# Canvas: the name in small letters, LATE in capitals, then the numbers of the student and of the file.
_CANVAS = (
    r"(?:(?P<name>.+?)_(?:(?P<late>(?-i:LATE))_)?(?P<id>[1-9]\d*)"
    r"|(?:(?P<late2>(?-i:LATE))_)?anon_(?P<anon>[^_]+))_(?P<file_id>[1-9]\d*)_(?P<file>%s.*)\Z"
)
# What Canvas makes of a link or of a text that was handed in; the number of a file is missing in some exports.
_NO_FILE = re.compile(
    r"(?P<name>.+?)_(?:(?P<late>LATE)_)?(?P<id>[1-9]\d*)_(?:(?P<file_id>[1-9]\d*)_)?(?P<file>(?:link|text)\.html?)\Z",
    re.DOTALL,
)
_GROUP = re.compile(r"(?P<name>.+?)_assignsubmission_(?:file|onlinetext)_?\Z", re.DOTALL)  # Moodle, without a number
_AGAIN = re.compile(r"(?P<base>.*?)(?:-(?P<a>\d{1,3})|[ _]?\((?P<b>\d{1,3})\))?\Z", re.DOTALL)
_WRAPPERS = {"submissions", "submission", "submitted", "downloaded", "download", "downloads", "collected", "export"}
_RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    student: the name as the folder or the export gives it
    key: the same as a file name that is safe everywhere and belongs to this student only
    file: the name of the notebook that is graded; a label, not a path to open
    data: the notebook, or None where `problem` says why there is none
    notes: what a person should look at ("2 files were handed in …")
    ids: what the export tells: canvas_id, submission_id, moodle_id, and late = "1"
    """

    student: str
    key: str
    file: str
    data: bytes | None
    problem: str
    notes: tuple[str, ...]
    ids: dict[str, str]


@dataclass
class _Notebook:
    name: str  # as the student gave it
    file: File
    ids: dict[str, str]
    unclear: bool  # whether the name can be read as another student's too


@dataclass
class _Student:
    name: str
    ids: dict[str, str]
    notebooks: list[_Notebook] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # names of what is no notebook
    links: int = 0


def collect(path: str | Path, exercise: str) -> list[Submission]:
    """Return the submissions in `path`, one per student, sorted by key.

    path: a folder of notebooks (anna.ipynb, anna_01_topic.ipynb), a folder with a folder per student (also nbgrader's
        `submitted`), a Canvas or Moodle export as zip or unpacked, or a single notebook
    exercise: its name, such as "01_split_by_patient"; it tells a student's name from the exercise's in a file name

    A file that cannot be used (empty, too large, a link, a zip in the zip …) gives a submission with `data` None and a
    `problem`. Raises ValueError where there is nothing to grade at all.
    """
    path = Path(path)
    budget = [MAX_TOTAL]
    if path.is_dir():
        files, folders = scan_folder(path, budget)
        found = _students(files, folders, exercise, path.name)
    elif path.is_file() and _NOTEBOOK.search(path.name):
        files = [File((path.name,), lambda: read_disk(path, budget, follow=True))]
        found = _students(files, [], exercise, "")
    elif path.is_file() and zipfile.is_zipfile(path):
        return _collect_zip(path, exercise, budget)
    elif path.exists():
        remedy = "give the folder with the submissions, or the zip that Canvas or Moodle exported"
        raise ValueError(f"{path} is not a folder, a zip or a notebook: {remedy}")
    else:
        raise ValueError(f"{path} does not exist: give the folder or the zip with the submissions")
    return _finish(found, path, exercise)


def _collect_zip(path: Path, exercise: str, budget: list[int]) -> list[Submission]:
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise ValueError(f"{path} cannot be read as a zip ({label(str(error))}): download the export again") from error
    with archive:
        files, folders = scan_zip(archive, path, budget)
        return _finish(_students(files, folders, exercise, path.stem), path, exercise)


def _students(files: list[File], folders: list[tuple[str, ...]], exercise: str, root: str) -> list[_Student]:
    """Sort the files to students. The outermost part of a name decides: what is below it, the student chose."""
    files, folders = _unwrap(files, folders, exercise, root)
    if any(len(f.parts) > 2 and _same(f.parts[1], exercise) for f in files):  # nbgrader: student/exercise/notebook
        files = [f for f in files if len(f.parts) < 3 or _same(f.parts[1], exercise)]
    is_canvas = _is_canvas([f.parts[0] for f in files if len(f.parts) == 1], exercise)
    found: dict[tuple, _Student] = {}
    in_folders, flat = set(), set()
    for file in sorted(files, key=lambda f: f.parts):
        last, deep = file.parts[-1], len(file.parts) > 1
        is_notebook = bool(_NOTEBOOK.search(last))
        owner = _folder_owner(file.parts[0]) if deep else _file_owner(last, exercise, is_canvas)
        if not (deep or is_notebook or owner.ids or _ARCHIVE.search(last) or file.problem):
            continue  # a README beside the notebooks
        student = found.setdefault(owner.key, _Student(owner.name, owner.ids))
        (in_folders if deep else flat).add(owner.key)
        if is_notebook:
            student.notebooks.append(_Notebook(last if deep else owner.file, file, owner.ids, owner.unclear))
        elif file.problem:
            student.links += 1
        else:
            student.others.append(last if deep else owner.file)
    if len(in_folders) >= len(flat):  # a folder per student: an empty one is a student without a notebook
        for parts in folders:
            owner = _folder_owner(parts[0])
            found.setdefault(owner.key, _Student(owner.name, owner.ids))
    else:  # notebooks side by side: a folder beside them without a notebook is no student
        for key in in_folders - flat:
            if not found[key].notebooks and not found[key].ids:
                del found[key]
    return list(found.values()) if any(s.notebooks or s.ids for s in found.values()) else []


@dataclass(frozen=True)
class _Owner:
    key: tuple
    name: str
    ids: dict[str, str]
    file: str = ""
    unclear: bool = False


def _folder_owner(text: str) -> _Owner:
    text = unicodedata.normalize("NFC", text)
    if group := _GROUP.match(text) if not _MOODLE.match(text) else None:
        return _Owner(("group", group["name"]), group["name"], {"group": "1"})
    return _moodle_owner(_MOODLE.match(text)) or _Owner(("plain", text), text, {})


def _file_owner(text: str, exercise: str, is_canvas: bool) -> _Owner:
    text = unicodedata.normalize("NFC", text)
    moodle = _MOODLE.match(text)
    if moodle and moodle["file"]:
        return _moodle_owner(moodle)
    if m := _NO_FILE.match(text):
        ids = {"canvas_id": m["id"]} | ({"late": "1"} if m["late"] else {})
        return _Owner(("canvas", m["name"], m["id"]), m["name"], ids, m["file"])
    if is_canvas and (found := _canvas(text, exercise)):
        m, unclear = found
        number = m["id"] or m["anon"]
        ids = {"canvas_id": number} if m["id"] else {}
        ids["submission_id"] = m["file_id"]
        if m["late"] or m["late2"]:
            ids["late"] = "1"
        name = m["name"] or f"anonymous {number}"
        return _Owner(("canvas", name, number), name, ids, m["file"], unclear)
    stem = _NOTEBOOK.sub("", text) if _NOTEBOOK.search(text) else text.rsplit(".", 1)[0]
    name = _name_in(stem, exercise)
    return _Owner(("plain", name), name, {}, text)


def _moodle_owner(m: re.Match | None) -> _Owner | None:
    if m is None:
        return None
    name = m["name"].strip()
    shown = f"Participant {m['id']}" if name.casefold() in ("participant", "") else name  # anonymous submissions
    return _Owner(("moodle", name, m["id"]), shown, {"moodle_id": m["id"]}, m["file"] or "")


def _canvas(text: str, exercise: str) -> tuple[re.Match, bool] | None:
    """Read NAME_LATE_STUDENT_FILE_filename, and say whether there is a second way to read it.

    A student may choose a name that ends in a number, and a file name that starts with one. Where the file has the
    exercise's name that settles it; else the first reading counts.
    """
    m = re.match(_CANVAS % re.escape(exercise), text, re.IGNORECASE | re.DOTALL)
    if m:
        return m, False
    m = re.match(_CANVAS % "", text, re.DOTALL)
    return (m, bool(re.match(r"[1-9]\d*_.", m["file"]))) if m and m["file"] else None


def _is_canvas(names: list[str], exercise: str) -> bool:
    """Whether these look like a Canvas export: each file has a number of its own (lab_2024_1_anna.ipynb has not)."""
    numbers = [found[0]["file_id"] for name in names if (found := _canvas(name, exercise))]
    return 2 * len(set(numbers)) > len(numbers)


def _name_in(stem: str, exercise: str) -> str:
    """anna_01_topic, 01_topic-anna, anna_01_topic-2, anna (1) -> anna."""
    if len(stem) > 500:
        return stem
    pattern = rf"[\s_.-]*{re.escape(exercise)}(?:-\d{{1,3}}\Z)?[\s_.-]*"
    stem = re.sub(r"[ _]?\(\d{1,3}\)\Z", "", stem) or stem
    parts = [p for p in re.split(pattern, stem, flags=re.IGNORECASE) if p]
    return " ".join(parts) or exercise


def _same(name: str, exercise: str) -> bool:
    return name.casefold() == exercise.casefold()


def _unwrap(files: list[File], folders: list[tuple[str, ...]], exercise: str, root: str):
    """Take away a folder that holds the whole export and is no student's folder."""
    while files and all(len(f.parts) > 1 and f.parts[0] == files[0].parts[0] for f in files):
        if any(p[0] != files[0].parts[0] for p in folders):
            break
        top = files[0].parts[0]
        if _MOODLE.match(top):
            break
        inner = [f.parts[1:] for f in files]
        notebooks = [p[0] for p in inner if len(p) == 1 and _NOTEBOOK.search(p[0])]
        exported = any(_MOODLE.match(p[0]) or _canvas(p[0], exercise) for p in inner)
        named = top.casefold() in _WRAPPERS or _same(top, exercise) or top.casefold() == root.casefold()
        if any(len(p) > 1 for p in inner):  # folders below it: students, or nbgrader's folder of the exercise
            wraps = not any(_same(p[0], exercise) for p in inner if len(p) > 1)
        else:  # several notebooks, and none has the plain name of the exercise: each carries a student's name
            wraps = len(notebooks) > 1 and not any(_same(_again(n)[0], exercise) for n in notebooks)
        if not (exported or named or wraps):
            break
        files = [File(f.parts[1:], f.read, f.problem) for f in files]
        folders = [p[1:] for p in folders if len(p) > 1]
    return files, folders


def _again(name: str) -> tuple[str, int]:
    """01_topic-2.ipynb, 01_topic (2).ipynb -> 01_topic, 2."""
    m = _AGAIN.match(_NOTEBOOK.sub("", name))
    return m["base"], int(m["a"] or m["b"] or 0)


def _rank(notebook: _Notebook, exercise: str) -> tuple:
    base, attempt = _again(notebook.name)
    named = _same(base, exercise) or _same(_NOTEBOOK.sub("", notebook.name), exercise)
    usual, parts = notebook.name.lower().endswith(".ipynb"), notebook.file.parts
    return usual, not notebook.unclear, named, attempt, -len(parts), _natural(notebook.name), parts


def _natural(text: str) -> list:
    parts = filter(None, re.split(r"([0-9]+)", text))
    return [(0, int(p), "") if p.isdecimal() and p.isascii() and len(p) < 19 else (1, 0, p) for p in parts]


def _finish(students: list[_Student], path: Path, exercise: str) -> list[Submission]:
    if not students:
        such = f"such as anna.ipynb, anna/{exercise}.ipynb, or the zip that Canvas or Moodle exported"
        raise ValueError(f"{path} holds no notebook (.ipynb): give the folder or the zip with the submissions, {such}")
    made, keys = [], set()
    for submission in sorted((_one(s, exercise) for s in students), key=lambda s: (s.key, s.file, s.problem)):
        key, n = submission.key, 1
        while key in keys:
            n += 1
            key = f"{submission.key}-{n}"
        keys.add(key)
        made.append(submission if n == 1 else replace(submission, key=key))
    return sorted(made, key=lambda s: s.key)


def _one(student: _Student, exercise: str) -> Submission:
    """Choose and read one notebook. The next best is tried where the best cannot be used."""
    name, ids, chosen, data, problems = label(student.name), student.ids, None, None, []
    key = _key(name, ids)
    name = name if len(name) <= 400 else f"{name[:399]}…"
    ranked = sorted(student.notebooks, key=lambda n: _rank(n, exercise), reverse=True)
    for notebook in ranked[:MAX_TRIES]:
        try:
            data, chosen = read(notebook.file), notebook
            break
        except Unusable as error:
            problems.append(f"{_short(notebook.name)}: {error}")
    if not ranked:
        return Submission(name, key, "", None, _no_notebook(student), (), dict(ids))
    chosen = chosen or ranked[0]
    notes = []
    if len(ranked) > 1:
        listed = ", ".join(sorted(_short(n.name) for n in ranked)[:5]) + (" …" if len(ranked) > 5 else "")
        graded = "none can be used" if data is None else f"graded: {_short(chosen.name)}"
        notes.append(f"{len(ranked)} files were handed in ({listed}); {graded}")
    if data is not None:
        notes += [f"not used: {problem}" for problem in problems]
    if "group" in ids:
        notes.append("a group handed this in: the export does not say who is in it, so enter the grade by hand")
    if chosen.unclear:
        notes.append("the file's name can be read in two ways: check that it belongs to this student")
    problem = problems[0] if data is None else ""
    return Submission(name, key, label(chosen.name), data, problem, tuple(notes), dict(chosen.ids))


def _short(name: str) -> str:
    name = label(name)
    return name if len(name) <= 80 else f"{name[:60]}…{name[-15:]}"


def _no_notebook(student: _Student) -> str:
    if student.links:
        return "a link to another place was handed in, and links are not followed: the notebook itself is needed"
    if not student.others:
        return "nothing was handed in: there is no notebook (.ipynb) in the folder"
    listed = ", ".join(_short(n) for n in sorted(student.others)[:3]) + (" …" if len(student.others) > 3 else "")
    needed = "the notebook (.ipynb) itself is needed"
    for kind, what in (("link.htm", "a link"), ("text.htm", "a text")):
        if any(kind in n for n in student.others):
            return f"{what} was handed in ({listed}), and what it says is not read: {needed}"
    if any(_ARCHIVE.search(n) for n in student.others):
        return f"an archive was handed in ({listed}) and not opened: {needed}"
    return f"no notebook (.ipynb) was handed in, only: {listed}"


def fold(text: str) -> str:
    """Small letters without accents: Ångström -> angstrom, Łukasz -> lukasz, Groß -> gross."""
    text = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    return "".join(c for c in text if not unicodedata.combining(c)).casefold()


def _key(name: str, ids: dict[str, str]) -> str:
    """Return a safe file name. A name that is one already stays; every other gets a hash, so that no two meet."""
    safe = re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", name) and len(name) <= 60
    hashed = re.search(r"-(?:[0-9a-f]{10}|\d+)\Z", name)  # or it looks like that
    if safe and not hashed and name.split(".")[0] not in _RESERVED and not set(ids) & {"canvas_id", "moodle_id"}:
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", fold(name)).strip("-")[:40].strip("-")
    who = json.dumps([name, ids.get("canvas_id", ""), ids.get("moodle_id", "")])
    return f"{slug or 'student'}-{hashlib.sha256(who.encode()).hexdigest()[:10]}"
