"""Where the files of a named data set are: a folder of the user, Kaggle's own machine, an earlier or a new download."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

from tqdm.auto import tqdm

from . import cache
from .layout import OUTSIDE, by_keyword
from .sources import Source

_NETWORK = "Check the network and load it again: an interrupted download resumes."
_LOGIN = "make a token on kaggle.com (Settings, API) and save it as ~/.kaggle/kaggle.json, or run kagglehub.login()"
_REFUSED = "Kaggle refuses it: look at the page below in a browser."
_DISK = "Make room on this disk, or set KAGGLEHUB_CACHE to a folder that can be written, and load it again."
#: What to do about an answer of Kaggle's.
_ANSWERS = {
    401: f"Kaggle asks for a login: {_LOGIN}, and load it again.",
    403: f"Kaggle denies access: log in ({_LOGIN}), open the page below, give your consent to its terms "
    "there, and load it again.",
    404: "Kaggle has no such page any more.",
    408: _NETWORK,
    429: "Kaggle asks you to wait, as too many requests came: load it again in some minutes.",
}


def find(source: Source, root: str | os.PathLike | None) -> Path:
    """Find the folder that holds a data set, downloaded where need be.

    Looked at are ``root``, or without it $CXR_DATA_DIR, /kaggle/input, and a download with kagglehub. FileNotFoundError
    tells the places that were looked at, Kaggle's reason, and what to do.
    """
    more = ["pneumonia", "chest_xray"] if source.slug == "chest-xray-pneumonia" else []
    aliases = [source.slug, source.handle, source.name, *more]

    def inside(base: Path) -> Path | None:
        return next((place for place in (*(base / a for a in aliases), base) if _holds(source, place)), None)

    if root is not None:
        base = Path(root).expanduser()
        if not base.is_dir():
            raise FileNotFoundError(f"root={os.fspath(root)!r} is not a folder. Give the one that holds {source.slug}.")
        if place := inside(base):
            return place
        names = ", ".join(dict.fromkeys(label for _, label in source.keywords))
        raise FileNotFoundError(
            f"{base} does not hold {source.title!r} (folders named for {names} with images). Check root=, or leave it "
            f"out. For images of your own use 'folder:{base}'."
        )
    mounted = Path(os.environ.get("KAGGLE_CACHE_MOUNT_FOLDER", "/kaggle/input"))  # kagglehub's name for it
    bases = [mounted / source.slug, mounted / "datasets" / source.handle]
    tried = [f"{bases[0]} (does not contain it)"]
    if named := os.environ.get("CXR_DATA_DIR"):
        bases.insert(0, Path(named).expanduser())
        tried.insert(0, f"$CXR_DATA_DIR = {named} ({'does not contain it' if bases[0].is_dir() else 'not a folder'})")
    if place := next(filter(None, map(inside, bases)), None) or _downloaded(source):
        return place
    try:
        with cache.locked(cache.cache_dir(), source.slug):  # two at once would write into one archive
            return _downloaded(source) or _download(source)
    except Exception as error:  # kagglehub raises many types: no network, no such page, no login, no disk
        reason, advice = _explained(error)
        tried.append(f"download with kagglehub ({type(error).__name__}{reason})")
    raise FileNotFoundError(
        f"The data set {source.name!r} was not found. Tried: {'; '.join(tried)}.\n{advice} Or get {source.title!r} "
        f"from its Kaggle page (https://www.kaggle.com/datasets/{source.handle}) elsewhere, then set the environment "
        "variable CXR_DATA_DIR to its folder or pass root=. The data set 'phantom' needs no download."
    )


def _explained(error: Exception) -> tuple[str, str]:
    """Give the reason of an error of kagglehub's, beginning with a colon, and what to do about it."""
    answer = getattr(error, "response", None)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if answer is None:
        login = any(word in type(error).__name__ for word in ("Unauthenticated", "Credential"))
        advice = _ANSWERS[401] if login else _NETWORK
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EACCES, EPERM, EROFS):
            advice = _DISK
        elif isinstance(error, ImportError):
            advice = "Install it (pip install kagglehub), and load it again."
        return (f": {lines[0][:300]}" if lines else ""), advice
    status, said = answer.status_code, ""
    with suppress(Exception):  # Kaggle's own reason, where it gives one
        said = str(answer.json()["message"])
    reason = " ".join([str(status), *lines])[:300] + (f" Kaggle says: {said[:200]!r}" if said else "")
    later = f"Kaggle's server has a problem: load it again later. {_NETWORK}"
    return f": {reason}", _ANSWERS.get(status, later if status >= 500 else _REFUSED)


def _hub(source: Source) -> Path:
    """Give kagglehub's place of a data set: V.archive while it is fetched, then versions/V and V.complete."""
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
            tqdm.write("The download was interrupted; it resumes ...", file=sys.stderr)
        except Exception as error:
            wrong = list(_hub(source).glob("*.archive"))
            for archive in wrong:  # kagglehub would take it for a finished download the next time
                archive.unlink()
            if wrong or isinstance(error, kagglehub.exceptions.DataCorruptionError):
                what = "what came is not the archive of the data set, or was damaged on the way"
                raise RuntimeError(f"{what}, and was deleted") from error
            raise
    labels = {f.label for f in by_keyword(place, source.classify).files}
    if absent := ", ".join(label for _, label in source.keywords if label not in labels):
        raise RuntimeError(f"{place} holds no images of {absent}; delete this folder")
    return place


def _downloaded(source: Source) -> Path | None:
    """Give the newest complete download in kagglehub's own cache, so that a second start needs no network."""
    base = _hub(source)
    versions = sorted((int(p.stem) for p in base.glob("*.complete") if p.stem.isdigit()), reverse=True)
    places = (base / "versions" / str(version) for version in versions)
    return next((place for place in places if _holds(source, place)), None)


def _holds(source: Source, folder: Path) -> bool:
    """Tell whether every class has a folder with images here, and no other class of another data set has."""
    if not folder.is_dir():
        return False
    layout = by_keyword(folder, source.classify)
    labels, wanted = {f.label for f in layout.files}, {label for _, label in source.keywords}
    # Loose images are passed over; image folders without a keyword belong to another data set.
    strangers = [rel for rel, why in layout.skipped if why == OUTSIDE and "/" in rel]
    return labels == wanted and len(strangers) <= len(layout.files) // 100
