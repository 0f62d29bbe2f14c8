"""Damage in general: bytes, JSON and archives that are nearly right, or meant to do harm."""

from __future__ import annotations

import base64
import copy
import functools
import io
import json
import math
import random
import struct
import zipfile
import zlib

from hypothesis import strategies as st

ABSURD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000, 1_000_000_000)
NASTY = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    1.5,
    1e-300,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
    10**9,
    10**30,
    -(10**9),
    "",
    "0",
    "nan",
    "x" * 3000,
    "\0",
    "\ud800",
    "../../etc/passwd",
    "<script>",
    "é",
    [],
    {},
    [[]],
    [None],
    [1, "a"],
    {"": None},
    {"a": {"b": []}},
    [0] * 1000,
)


def mutate(data: bytes, rng: random.Random, others: list[bytes] = ()) -> bytes:
    """Return a damaged copy: flipped bits, absurd numbers, blocks cut, doubled, filled or taken from another file."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        n = len(data)
        # headers are in front, so damage is more frequent there
        at = rng.randrange(min(n, 64) if rng.random() < 0.5 else n) if n else 0
        length = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(9):
            case 0 if n:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if n:
                data[at] = rng.randrange(256)
            case 2:
                width, order = rng.choice("BHI"), rng.choice("<>")
                packed = struct.pack(f"{order}{width}", rng.choice(ABSURD) & (2 ** (8 * struct.calcsize(width)) - 1))
                data[at : at + len(packed)] = packed
            case 3:
                del data[rng.randrange(n + 1) :]
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = rng.randbytes(length)
            case 6:
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case 7:
                data[at : at + length] = bytes([rng.choice((0, 255, 32))]) * min(length, max(0, n - at))
            case 8 if others:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                data[at : at + length] = other[start : start + length]
    return bytes(data[:2_000_000])


def damaged(value: object, rng: random.Random, times: int | None = None) -> object:
    """Return a copy of a JSON value with some parts replaced, removed, doubled or moved."""
    value = copy.deepcopy(value)
    for _ in range(times or rng.choice((1, 1, 1, 2, 5))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = rng.choice(keys)
            below = holder[key]
            if isinstance(below, dict | list) and below and rng.random() < 0.8:
                holder = below
                continue
            match rng.randrange(5):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, dict):
                    holder[rng.choice(("", "é", "extra", "\ud800", "x" * 300))] = holder.pop(key)
                case 2:
                    holder[key] = [copy.deepcopy(below)] if rng.random() < 0.5 else {"a": copy.deepcopy(below)}
                case _:
                    holder[key] = copy.deepcopy(rng.choice(NASTY))
            break
    return value


def deep(rng: random.Random) -> bytes:
    """JSON that is nested thousands deep."""
    times = rng.choice((900, 5_000, 100_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"cells":[', b"]}"), (b"[[],", b"]")))
    return opened * times + rng.choice((b"1", b"", b"[]")) + closed * (times if rng.random() < 0.7 else 0)


def text_of(document: object, rng: random.Random, whole: float = 0.7) -> bytes:
    """Return a document as JSON, damaged in its values, in its bytes, or nested too deep."""
    kind = rng.random()
    if kind < whole:
        return json.dumps(damaged(document, rng)).encode()
    if kind < 0.95:
        return mutate(json.dumps(document).encode(), rng)
    return deep(rng)


def packed(**fields) -> bytes:
    """Return a description of what to build, with bytes in it, as JSON."""
    return json.dumps(fields, default=lambda b: {"base64": base64.b64encode(b).decode()}).encode()


def unpacked(case: bytes) -> dict:
    """Return what `packed` put together."""
    return json.loads(case, object_hook=lambda d: base64.b64decode(d["base64"]) if set(d) == {"base64"} else d)


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


@functools.lru_cache(maxsize=16)
def zeros(megabytes: int, raw: bool = False) -> bytes:
    """So many MB of zeros, deflated to a thousandth."""
    made = zlib.compressobj(9, wbits=-15 if raw else 15)
    block = bytes(2**20)
    return b"".join(made.compress(block) for _ in range(megabytes)) + made.flush()


def any_json() -> st.SearchStrategy:
    """Draw any JSON value."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=8,
    )
