"""Decoded images on disk, so that no epoch and no second start ever reads a JPEG again.

An entry is a folder named by a hash of what it was made from. It is built in a temporary folder under a file lock and
renamed when complete: two processes may build at once, and a killed one leaves nothing that a later one would mistake
for an entry.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from ..device import cores
from ..files import atomic_path, full_disk_told, hashed
from ..progress import bar as progress_bar
from .decode import DECODE_VERSION, read_picture
from .dicom import BURNED_IN, decoders, read_patient
from .layout import File
from .pixels import BadImage, is_dicom

#: Raise this number when the files inside an entry change their meaning.
_FORMAT = 2
#: Hash a file again that changed less than this long before: it may have changed within the clock's resolution.
_SETTLED_NS = 2_000_000_000
_fallback: dict[str, Path] = {}
Stored = tuple[dict[str, np.ndarray], pd.DataFrame, list[str]]


def cache_dir() -> Path:
    """Find the folder for decoded images: $CXR_CACHE_DIR, else $XDG_CACHE_HOME/cxrlib, else ~/.cache/cxrlib.

    When that cannot be written, a folder under the system's temporary folder is used, with one warning.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    wanted = os.path.expanduser(os.environ.get("CXR_CACHE_DIR") or os.path.join(home, "cxrlib"))
    with suppress(OSError):
        place = Path(os.path.abspath(wanted))
        if not wanted.startswith("~"):  # else there is no home folder at all
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return place
    if wanted not in _fallback:
        _fallback[wanted] = _temporary_cache()
        warnings.warn(
            f"The cache folder {wanted} cannot be written; decoded images go to {_fallback[wanted]} and may be lost. "
            "Set CXR_CACHE_DIR to a folder you can write.",
            stacklevel=2,
        )
    return _fallback[wanted]


def clear_cache() -> int:
    """Delete all decoded images and digests; return the number of bytes freed."""
    freed = 0
    for folder in (cache_dir() / "entries", cache_dir() / "digests"):
        freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def _temporary_cache() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"cxrlib-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        # The temporary folder is shared: do not read what another user may have put there under this name.
        if not folder.is_symlink() and user in ("user", folder.stat().st_uid):
            return folder
    return Path(tempfile.mkdtemp(prefix="cxrlib-"))


def entry(key: str, build: Callable[[Path], None]) -> Path:
    """Give the folder of the entry ``key``; when it is missing, ``build`` writes its files into an empty folder."""
    parent = cache_dir() / "entries"
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / key
    if _complete(final):
        return final
    with locked(parent, key):
        if _complete(final):  # another process built it meanwhile
            return final
        _remove_stale(parent, key)
        shutil.rmtree(final, ignore_errors=True)
        work, remedy = parent / f"{key}.tmp-{secrets.token_hex(8)}", "set CXR_CACHE_DIR to a folder on a larger disk"
        try:
            with full_disk_told(f"the cache folder {parent.parent}", remedy):
                work.mkdir()
                build(work)
                _write_json(work / "sizes.json", {f.name: f.stat().st_size for f in work.iterdir()})
                os.replace(work, final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


def _complete(folder: Path) -> bool:
    """Tell whether the entry is there and no file of it was cut off (by a power loss, say)."""
    try:
        expected = _read_json(folder / "sizes.json")
        return all((folder / name).stat().st_size == size for name, size in expected.items())
    except (OSError, ValueError):
        return False


@contextmanager
def locked(parent: Path, key: str) -> Iterator[None]:
    """Be alone among all processes; say so when that takes a wait."""
    lock = FileLock(parent / f"{key}.lock")
    try:
        held = lock.acquire(timeout=2)
    except Timeout:
        tqdm.write("Another process is preparing the same images; waiting for it ...", file=sys.stderr)
        held = lock.acquire()
    with held:
        yield


def _remove_stale(parent: Path, key: str) -> None:
    """Delete what killed processes left: temporary folders whose lock nobody holds but us, who hold that of ``key``."""
    for folder in parent.glob("*.tmp-*"):
        owner = folder.name.partition(".tmp-")[0]
        lock = nullcontext() if owner == key else FileLock(parent / f"{owner}.lock", timeout=0)
        with suppress(Timeout, OSError), lock:
            shutil.rmtree(folder, ignore_errors=True)


def digests(root: Path, files: list[File], progress: bool = True) -> dict[str, str]:
    """Hash the content of every file (blake2b, 128 bit, hex), by its path; "" for a file that cannot be read.

    A table in the cache, keyed by path and state, saves reading unchanged files again.
    """
    name = hashed(os.fsencode(root.resolve()))
    store, known, now = cache_dir() / "digests" / f"{name}.json", {}, time.time_ns()
    with suppress(OSError, ValueError):
        known = _read_json(store)

    def digest(f: File) -> str:
        *state, value = known.get(f.rel) or [""]
        if value and state == f.state:
            return value
        with suppress(OSError):
            return hashed((root / f.rel).read_bytes())
        return ""

    found = dict(zip([f.rel for f in files], _parallel(digest, files, progress, "Checking files"), strict=True))
    settled = [f for f in files if found[f.rel] and now - max(f.state[1:3]) > _SETTLED_NS]
    table = {f.rel: [*f.state, found[f.rel]] for f in settled}
    if table != known:
        with suppress(OSError):  # it only saves time
            _write_json(store, table)
    return found


def decoded(
    root: Path, files: list[File], hashes: dict[str, str], size: int, progress: bool = True, masks: bool = False
) -> tuple[np.ndarray, list[dict[str, Any]], str]:
    """Give the pixels of the usable files, from the cache or decoded now; ``hashes`` as of ``digests``.

    Returns
    -------
    pixels : memmap, uint8 (M, 1, size, size)
        With ``masks`` bool, True where a picture is brighter than half of its brightest pixel.
    told : list of dicts
        One per *file*: width, height, note (what is odd about it) and reason (why it cannot be used, or "" for the M
        usable ones, in order). With DICOM files also patient (1, 2 ... in the order of the files, 0 where the file
        names none) and burned_in.
    key : str
        Of the entry.
    """
    parts = [_FORMAT, DECODE_VERSION, size, masks, [[f.rel, hashes[f.rel]] for f in files]]
    if any(f.extension == ".dcm" for f in files):
        parts.append(decoders())  # a new decoder makes a skipped file readable
    key = make_key(parts)
    folder = entry(key, partial(_decode_into, root, files, hashes, size, progress, masks))
    told = pd.DataFrame(_read_json(folder / "files.json")).to_dict("records")
    return np.load(folder / "images.npy", mmap_mode="c"), told, key


def _decode_into(
    root: Path, files: list[File], hashes: dict[str, str], size: int, progress: bool, masks: bool, work: Path
) -> None:
    def one(f: File) -> tuple[np.ndarray | None, dict[str, Any]]:
        """Decode a file: its pixels, or None, and what is told of it."""
        row = {"width": 0, "height": 0, "note": "", "reason": ""}
        if not hashes[f.rel]:
            return None, row | {"reason": "the file cannot be read (check its permissions)"}
        content = (root / f.rel).read_bytes()
        if hashed(content) != hashes[f.rel]:
            wait = "Wait until the files are complete and load again"
            raise RuntimeError(f"{f.rel} changed while it was read. {wait}.")
        try:
            pixels, width, height, notes = read_picture(content, size)
        except BadImage as reason:
            return None, row | {"reason": str(reason)}
        note = "; ".join(note for note in notes if note != BURNED_IN)  # which has a column of its own
        row |= {"width": width, "height": height, "note": note}
        if is_dicom(content):
            row |= {"patient": read_patient(content), "burned_in": BURNED_IN in notes}
        return pixels > pixels.max() / 2 if masks else pixels, row

    rows, kind = [], np.dtype(bool if masks else np.uint8)
    # Plain sequential writes instead of a writable memory map: on a full disk a map kills the process (SIGBUS), a write
    # raises an error. The header is written again at the end, when the number of usable images is known; numpy leaves
    # room for it.
    with open(work / "images.npy", "wb") as out, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.|pydicom")
        _npy_header(out, kind, (len(files), 1, size, size))
        for pixels, row in _parallel(one, files, progress, "Decoding images"):
            if pixels is not None:
                out.write(np.ascontiguousarray(pixels))
            rows.append(row)
        out.seek(0)
        _npy_header(out, kind, (sum(not row["reason"] for row in rows), 1, size, size))
    table = pd.DataFrame(rows)
    if "patient" in table:  # DICOM files are among them
        # A number names nobody. A hash of a patient's name or number could be undone by trying all of them.
        table["patient"] = pd.factorize(table["patient"])[0] + 1
        table["burned_in"] = table["burned_in"].eq(True)
    _write_json(work / "files.json", table.to_dict("list"))


def _npy_header(out: BinaryIO, kind: np.dtype, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(out, {"descr": kind.str, "fortran_order": False, "shape": shape})


def stored(key: str, make: Callable[[], Stored]) -> Stored:
    """Give arrays, a table and a list of names that are made once and kept under ``key``."""

    def build(work: Path) -> None:
        arrays, table, names = make()
        for name, array in arrays.items():
            np.save(work / f"{name}.npy", array, allow_pickle=False)
        _write_json(work / "table.json", [table.to_dict("list"), table.dtypes.astype(str).to_dict(), names])

    folder = entry(key, build)
    arrays = {f.stem: np.load(f, mmap_mode="c") for f in sorted(folder.glob("*.npy"))}
    columns, types, names = _read_json(folder / "table.json")
    return arrays, pd.DataFrame(columns).astype(types), names


def _parallel(function: Callable, items: Sequence, progress: bool, what: str) -> Iterator:
    """Give function(item) for all items, in order, from threads; no more than a few results wait in memory."""
    many = 16 * cores()
    # `delay` keeps the bar away when the work takes less than that many seconds.
    shown = progress_bar(total=len(items), desc=what, unit="img", leave=False, show=progress, delay=0.5)
    with ThreadPoolExecutor(cores(), thread_name_prefix="cxr") as pool, shown:
        for start in range(0, len(items), many):
            for result in pool.map(function, items[start : start + many]):
                yield result
                shown.update()


def make_key(value: Any) -> str:
    """Hash a value of what JSON knows, numpy's values and dataclasses; TypeError or ValueError for any other."""

    def plain(part: Any) -> Any:
        return part.tolist() if isinstance(part, np.generic | np.ndarray) else asdict(part)

    return hashed(json.dumps(value, sort_keys=True, default=plain).encode())


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write_json(path: Path, value: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")
