"""Writing files so that a killed process never leaves half of one; reading JSON that anybody may have written."""

from __future__ import annotations

import errno
import hashlib
import html
import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def full_disk_told(place: str, remedy: str = "write to another one") -> Iterator[None]:
    """Have an OSError of a full disk name the place and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        what = f"The disk of {place} is full. Free some space, or {remedy}"
        raise OSError(error.errno, f"{what}. Nothing half-written was kept") from None


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed to ``path``, on an error removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        with full_disk_told(str(path.parent)):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def hashed(*parts: bytes) -> str:
    """Hash bytes, all parts one after the other: blake2b, 128 bit, in hex."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def write_json(path: str | Path, value: object) -> Path:
    """Write ``value`` as indented JSON, atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def write_page(path: str | Path, title: str, content: str) -> Path:
    """Write HTML as a page of its own, which opens in any browser, atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>:root {{ color-scheme: light dark }} "
            "body { margin: 1rem auto; max-width: 68rem; padding: 0 .6rem } img { max-width: 100%; height: auto } "
            "table.dataframe { display: block; overflow-x: auto }</style></head>"
            f"<body><main>{content}</main></body></html>",
            encoding="utf-8",
        )
    return Path(path)


def write_torch(path: str | Path, value: object) -> Path:
    """Write tensors and plain values with ``torch.save``, atomically; returns the path."""
    import torch

    packed = io.BytesIO()  # torch's own writer answers a full disk with an error about positions
    torch.save(value, packed)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(packed.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    return Path(path)


def read_json(path: str | Path) -> Any:
    """Read a JSON file. Raises ValueError that names the file and what is wrong with it, OSError as `open`."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a number")

    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate can be read, and never be written
        return found
    except (RecursionError, ValueError) as error:
        words = {RecursionError: "it is nested too deep", UnicodeDecodeError: "it is not UTF-8 text"}
        reason = words.get(type(error), str(error)[:200])
        raise ValueError(f"{path} cannot be read as JSON ({reason})") from None


def has_shape(value: object, shape: Any) -> bool:
    """Tell whether a value from a JSON file is built as `shape` is.

    shape: str, int, bool, float (any finite number), [shape] for a list of any length, {str: shape} for any names,
    {"name": shape ...} for these names at least.
    """
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(item, shape[0]) for item in value)
    if isinstance(shape, dict) and isinstance(value, dict):
        if str in shape:
            return all(has_shape(name, str) and has_shape(part, shape[str]) for name, part in value.items())
        return all(name in value and has_shape(value[name], part) for name, part in shape.items())
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    if shape is str:  # a lone surrogate can be read, and never be written
        return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
    return type(value) is shape
