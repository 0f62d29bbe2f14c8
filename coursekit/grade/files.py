"""The files of a batch, in a folder or a zip: links are not followed, nothing is extracted, every read has a limit."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_BYTES = 20_000_000  # one notebook
MAX_TOTAL = 2_000_000_000  # all that is read of one batch
MAX_FILES = 50_000  # files in a folder, members of a zip
MAX_RATIO = 200  # size after unpacking by size before, for members above a megabyte
MAX_DEPTH = 12  # folders in folders
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass
class File:
    """A file of the batch: the parts of its name, and how to read it. problem: known before reading, such as a link."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]
    problem: str = ""


class Unusable(Exception):
    """A file that is not read; the text says why."""


def label(text: str) -> str:
    """Return a name as one line of text that can be stored anywhere: what controls or is broken becomes visible."""
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    text = unicodedata.normalize("NFC", text)
    return "".join(f"\\x{ord(c):02x}" if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def scan_folder(root: Path, budget: list[int]) -> tuple[list[File], list[tuple[str, ...]]]:
    """Return the files below a folder, and its folders. budget: a list with the bytes that may still be read."""
    files: list[File] = []
    folders: list[tuple[str, ...]] = []
    open_folders = [(root, ())]
    while open_folders:
        folder, parts = open_folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError as error:
            if not parts:
                raise ValueError(f"{folder} cannot be read ({error.strerror}): check its permissions") from error
            files.append(File((*parts, "(folder).ipynb"), bytes, f"the folder cannot be read ({error.strerror})"))
            continue
        for entry in entries:
            if _hidden(entry.name):
                continue
            here = (*parts, entry.name)
            place = Path(entry.path)
            if entry.is_symlink():
                files.append(File(here, bytes, "it is a link to another place, and links are not followed"))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(here)
                if len(here) < MAX_DEPTH:
                    open_folders.append((place, here))
            else:
                files.append(File(here, lambda place=place: read_disk(place, budget)))
            if len(files) + len(folders) > MAX_FILES:
                raise ValueError(
                    f"{root} holds more than {MAX_FILES:,} files: give the folder with the submissions of one exercise"
                )
    return files, folders


def scan_zip(archive: zipfile.ZipFile, path: Path, budget: list[int]) -> tuple[list[File], list[tuple[str, ...]]]:
    """Return the same for a zip."""
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise ValueError(f"{path} holds more than {MAX_FILES:,} files: give the export of one exercise")
    files: list[File] = []
    folders: list[tuple[str, ...]] = []
    for member in members:
        name = _member_name(member)
        parts = tuple(p for p in re.split(r"[/\\]", name) if not re.fullmatch(r"\.{0,2}|[A-Za-z]:", p))
        if not parts or any(_hidden(p) for p in parts) or len(parts) > MAX_DEPTH:
            continue
        if name.endswith(("/", "\\")):
            folders.append(parts)
            continue
        kind = member.external_attr >> 16
        problem = "it is a link, and links are not followed" if stat.S_ISLNK(kind) else ""
        files.append(File(parts, lambda member=member: _read_member(archive, member, budget), problem))
    return files, folders


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # .ipynb_checkpoints, ._name, .DS_Store …


def _member_name(member: zipfile.ZipInfo) -> str:
    """Return the name in the archive. UTF-8 without the flag that says so (some exports) is read as UTF-8."""
    name = member.filename
    if not member.flag_bits & 0x800 and not name.isascii():
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            return name
    return name


def read(file: File) -> bytes:
    """Return the bytes of a file. Raises Unusable."""
    if file.problem:
        raise Unusable(file.problem)
    return file.read()


def read_disk(path: Path, budget: list[int], follow: bool = False) -> bytes:
    """Return the bytes of a file on the disk. Raises Unusable."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unusable("it is not an ordinary file")
        try:
            return _read_limited(stream, budget)
        except OSError as error:
            raise Unusable(f"it cannot be read ({error.strerror})") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: list[int]) -> bytes:
    if member.flag_bits & 0x1:
        raise Unusable("it is encrypted in the zip: it must be handed in without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
        raise Unusable("it is compressed in an unusual way: pack it as an ordinary zip")
    try:
        with archive.open(member) as stream:
            packed = max(1, member.compress_size)
            _refuse_bomb(member.file_size, packed)  # what the header says; what is read is measured too
            return _read_limited(stream, budget, packed)
    except BROKEN as error:
        raise Unusable(f"it is broken in the zip ({label(str(error))[:200]})") from error


def _refuse_bomb(size: int, packed: int) -> None:
    if size > 1_000_000 and size > MAX_RATIO * packed:
        raise Unusable(f"it unpacks to more than {MAX_RATIO} times its size (a zip bomb), so it was not read")


def _read_limited(stream: IO[bytes], budget: list[int], packed: int | None = None) -> bytes:
    chunks, size = [], 0
    while chunk := stream.read(65536):
        chunks.append(chunk)
        size += len(chunk)
        budget[0] -= len(chunk)
        if packed:
            _refuse_bomb(size, packed)
        if size > MAX_BYTES:
            raise Unusable(f"it is larger than {MAX_BYTES // 1_000_000} MB: clear the outputs and hand in again")
        if budget[0] < 0:
            raise Unusable(f"the submissions are over {MAX_TOTAL // 1_000_000:,} MB together: grade them in parts")
    data = b"".join(chunks)
    if not data.strip():
        raise Unusable("the file is empty")
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        raise Unusable("it is a zip with the name of a notebook: the notebook itself must be handed in")
    return data
