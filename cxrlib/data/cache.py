"""Decoded images on disk, so that no epoch and no second start ever reads a JPEG again.

An entry is a folder named by a hash of what it was made from. It is built in a temporary folder under a file
lock and renamed
when complete: two processes may build at once, and a killed one leaves nothing that a later one would mistake
for an entry.
"""

import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from ..device import cores
from ..files import FULL
from ..progress import bar as progress_bar
from .decode import DECODE_VERSION, BadImage, decode, is_dicom
from .dicom import Header, decoders, read_header

#: Raise this number when the files inside an entry change their meaning.
_FORMAT = 1
#: A file changed less than this long before it was hashed may change again within the clock's resolution:
#: hash it again.
_SETTLED_NS = 2_000_000_000
_fallback: dict[str, Path] = {}


# -- where --------------------------------------------------------------------


def cache_dir() -> Path:
    """The folder for decoded images: $CXR_CACHE_DIR, else $XDG_CACHE_HOME/cxrlib, else ~/.cache/cxrlib.

    When that cannot be written, a folder under the system's temporary folder is used, with one warning.
    """
    if named := os.environ.get("CXR_CACHE_DIR"):
        wanted = os.path.abspath(os.path.expanduser(named))
    elif xdg := os.environ.get("XDG_CACHE_HOME"):
        wanted = os.path.join(os.path.abspath(xdg), "cxrlib")
    else:
        wanted = os.path.join(os.path.expanduser("~"), ".cache", "cxrlib")
        if wanted.startswith("~"):  # no home folder at all
            wanted = ""
    if wanted and _writable(Path(wanted)):
        return Path(wanted)
    if wanted not in _fallback:
        _fallback[wanted] = _temporary_cache()
        warnings.warn(
            f"The cache folder {wanted or '~/.cache/cxrlib'} cannot be written; decoded images go to "
            f"{_fallback[wanted]} and may be lost. Set CXR_CACHE_DIR to a folder you can write.",
            stacklevel=2,
        )
    return _fallback[wanted]


def clear_cache() -> int:
    """Delete all decoded images and digests; returns the number of bytes freed."""
    freed = 0
    for part in ("entries", "digests"):
        folder = cache_dir() / part
        for file in folder.rglob("*"):
            if file.is_file():
                freed += file.stat().st_size
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_cache() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"cxrlib-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # The temporary folder is shared: do not read what another user may have put there under this name.
        if not folder.is_symlink() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="cxrlib-"))


# -- entries ------------------------------------------------------------------


def entry(key: str, build: Callable[[Path], None], complete: Callable[[Path], bool]) -> Path:
    """The folder of one entry, built first when it is missing.

    key: name of the entry. build(folder): writes the files into an empty folder. complete(folder): whether an
    existing entry is usable. Raises OSError with a remedy when the disk is full.
    """
    parent = cache_dir() / "entries"
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / key
    if complete(final):
        return final
    with locked(parent, key):
        if complete(final):  # another process built it meanwhile
            return final
        _remove_stale(parent, key)
        shutil.rmtree(final, ignore_errors=True)
        work = parent / f"{key}.tmp-{secrets.token_hex(8)}"
        try:
            work.mkdir()
            build(work)
            os.replace(work, final)
        except OSError as error:
            if error.errno in FULL:
                raise OSError(
                    error.errno,
                    f"The disk of the cache folder {parent.parent} is full. Free some space, or set "
                    "CXR_CACHE_DIR to a folder on a larger disk. Nothing half-written was kept.",
                ) from None
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


@contextmanager
def locked(parent: Path, key: str) -> Iterator[None]:
    """Alone among all processes; says so when it has to wait."""
    lock = FileLock(parent / f"{key}.lock")
    try:
        lock.acquire(timeout=2)
    except Timeout:
        tqdm.write("Another process is preparing the same images; waiting for it ...", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_stale(parent: Path, key: str) -> None:
    """Delete what killed processes left: temporary folders whose lock nobody holds."""
    for folder in parent.glob("*.tmp-*"):
        owner = folder.name.partition(".tmp-")[0]
        if owner == key:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            with FileLock(parent / f"{owner}.lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue


# -- digests ------------------------------------------------------------------


def digests(root: Path, files: list, progress: bool = True) -> list[str]:
    """Content digest (blake2b, 128 bit, hex) of every file; "" for a file that cannot be read.

    files: records with .rel, .size, .mtime_ns, .ctime_ns, .inode. A table in the cache, keyed by these, saves
    reading unchanged files again.
    """
    place = cache_dir() / "digests"
    store = place / (hashlib.blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest() + ".json")
    try:
        known = json.loads(store.read_text("utf-8"))
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    result: list[str] = [""] * len(files)
    missing = []
    for i, f in enumerate(files):
        row = known.get(f.rel)
        if isinstance(row, list) and row[:-1] == [f.size, f.mtime_ns, f.ctime_ns, f.inode]:
            result[i] = row[-1]
        else:
            missing.append(i)
    if not missing:
        return result
    now = time.time_ns()

    def digest(i: int) -> str:
        try:
            return _digest((root / files[i].rel).read_bytes())
        except OSError:
            return ""

    for i, value in zip(missing, _parallel(digest, missing, progress, "Checking files"), strict=True):
        result[i] = value
    table = {
        f.rel: [f.size, f.mtime_ns, f.ctime_ns, f.inode, value]
        for f, value in zip(files, result, strict=True)
        if value and now - max(f.mtime_ns, f.ctime_ns) > _SETTLED_NS
    }
    with suppress(OSError):  # it only saves time
        _write_json(store, table)
    return result


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


# -- decoded images -----------------------------------------------------------


def decoded(
    root: Path, files: list, file_digests: list[str], size: int, progress: bool = True
) -> tuple[np.ndarray, dict[str, list], str]:
    """Pixels of the usable files, from the cache or decoded now.

    Returns a memory map uint8 (M, 1, size, size); columns with one value per *file* (width, height, reason;
    reason is "" for the M usable ones, in order); and the key of the entry. With DICOM files there are two more
    columns: patient (1, 2 ... in the order of the files, 0 where the file names none) and burned_in.
    Raises RuntimeError when a file changes while it is read, OSError when the disk is full.
    """
    content = [[f.rel, d] for f, d in zip(files, file_digests, strict=True)]
    parts = [_FORMAT, DECODE_VERSION, size, content]
    if any(f.extension == ".dcm" for f in files):
        parts.append(decoders())  # a new decoder makes a skipped file readable
    key = make_key(parts)

    def build(work: Path) -> None:
        _decode_into(work, root, files, file_digests, size, progress)

    folder = entry(key, build, _complete)
    columns = json.loads((folder / "files.json").read_text("utf-8"))
    return np.load(folder / "images.npy", mmap_mode="c"), columns, key


def _complete(folder: Path) -> bool:
    """Whether the entry is there and no file of it was cut off (by a power loss, say)."""
    try:
        expected = json.loads((folder / "sizes.json").read_text("utf-8"))
        return all((folder / name).stat().st_size == size for name, size in expected.items())
    except (OSError, ValueError, AttributeError):
        return False


def _seal(work: Path) -> None:
    _write_json(work / "sizes.json", {f.name: f.stat().st_size for f in work.iterdir()})


def _decode_into(work: Path, root: Path, files: list, file_digests: list[str], size: int, progress: bool) -> None:
    def one(i: int):
        if not file_digests[i]:
            return None, 0, 0, "the file cannot be read (check its permissions)", None
        content = (root / files[i].rel).read_bytes()
        if _digest(content) != file_digests[i]:
            raise RuntimeError(
                f"{files[i].rel} changed while it was read. Wait until the files are complete and load again."
            )
        try:
            return *decode(content, size), "", read_header(content) if is_dicom(content) else None
        except BadImage as reason:
            return None, 0, 0, str(reason), None

    columns: dict[str, list] = {"width": [], "height": [], "reason": [], "patient": [], "burned_in": []}
    usable = 0
    # A number names nobody. A hash of a patient's name or number could be undone by trying all of them.
    numbers: dict[bytes, int] = {}
    headers = False
    # Plain sequential writes instead of a writable memory map: on a full disk a map kills the process
    # (SIGBUS), a write raises an error. The header is written again at the end, when the number of usable
    # images is known.
    with open(work / "images.npy", "wb") as out, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.|pydicom|cxrlib\.data\.decode")
        start = _npy_header(out, (len(files), 1, size, size))
        for pixels, width, height, reason, header in _parallel(one, range(len(files)), progress, "Decoding images"):
            if pixels is not None:
                out.write(np.ascontiguousarray(pixels))
                usable += 1
            columns["width"].append(width)
            columns["height"].append(height)
            columns["reason"].append(reason)
            headers |= header is not None
            patient, burned_in = header or Header(b"", False)
            columns["patient"].append(numbers.setdefault(patient, len(numbers) + 1) if patient else 0)
            columns["burned_in"].append(burned_in)
        out.seek(0)
        if _npy_header(out, (usable, 1, size, size)) != start:
            raise RuntimeError("the header of the image file changed its length")
    if not headers:
        del columns["patient"], columns["burned_in"]
    _write_json(work / "files.json", columns)
    _seal(work)


def _npy_header(out, shape: tuple[int, ...]) -> int:
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.tell()


# -- arrays and tables, for phantoms ------------------------------------------


def stored(
    key: str, make: Callable[[], tuple[dict[str, np.ndarray], pd.DataFrame, dict]]
) -> tuple[dict[str, np.ndarray], pd.DataFrame, dict]:
    """Arrays, a table and a small dict of JSON values, made once and kept under `key`."""

    def build(work: Path) -> None:
        arrays, table, extra = make()
        for name, array in arrays.items():
            np.save(work / f"{name}.npy", array, allow_pickle=False)
        _write_json(work / "table.json", {"columns": _columns(table), "extra": extra})
        _seal(work)

    folder = entry(key, build, _complete)
    arrays = {f.stem: np.load(f, mmap_mode="c") for f in sorted(folder.glob("*.npy"))}
    saved = json.loads((folder / "table.json").read_text("utf-8"))
    table = pd.DataFrame({c["name"]: pd.Series(c["values"], dtype=c["dtype"]) for c in saved["columns"]})
    return arrays, table, saved["extra"]


def _columns(table: pd.DataFrame) -> list[dict]:
    columns = []
    for name in table.columns:
        series = table[name]
        numeric = series.dtype.kind in "biuf" if isinstance(series.dtype, np.dtype) else False
        dtype = str(series.dtype) if numeric else None  # None: pandas chooses its own type for text
        values = series.tolist() if numeric else [None if pd.isna(v) else str(v) for v in series]
        columns.append({"name": str(name), "dtype": dtype, "values": values})
    return columns


# -- helpers ------------------------------------------------------------------


def _parallel(function: Callable, items: Iterable, progress: bool, what: str) -> Iterator:
    """function(item) for all items, in order, in threads; no more than a few results wait in memory."""
    items = list(items)
    workers = cores()
    waiting: deque[Future] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cxr")
    try:
        # `delay` keeps the bar away when the work takes less than that many seconds.
        with progress_bar(total=len(items), desc=what, unit="img", leave=False, show=progress, delay=0.5) as bar:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 16 * workers:
                    yield waiting.popleft().result()
                    bar.update()
            while waiting:
                yield waiting.popleft().result()
                bar.update()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def make_key(value) -> str:
    """Hash of a JSON value."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(part, "w", encoding="utf-8") as out:
            json.dump(value, out)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
