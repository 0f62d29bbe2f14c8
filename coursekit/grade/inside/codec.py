"""Values across the wall of the sandbox: JSON and raw arrays, never pickle.

A frame is 16 bytes (length of the header, length of the body), the header (JSON), and the body: the raw bytes of the
arrays one after another. Both sides use this file. `unpack` believes nothing: it checks every kind, type and length
before it makes an array.
"""

from __future__ import annotations

import array
import collections
import decimal
import itertools
import json
import math
import numbers
import struct
import sys
from collections.abc import Collection, Iterator, Set

import numpy as np

MAX_HEADER = 4 * 2**20  # unpacking takes many times this much memory, and the grader pays for it
MAX_FRAME = 32 * 2**20
MAX_DEPTH = 16
MAX_PARTS = 250_000  # values in lists and dictionaries, outside arrays
DTYPES = ("|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")
LENGTHS = struct.Struct(">QQ")


class CodecError(ValueError):
    """A value or a frame that cannot cross."""


def pack(message: dict) -> bytes:
    """Return a message (str keys; values of the kinds below) as one frame."""
    blobs: list[bytes] = []
    header = json.dumps({key: _encode(value, blobs, 0) for key, value in message.items()}).encode()
    if len(header) > MAX_HEADER:
        raise CodecError("a value of too many parts; return arrays instead of long lists")
    return b"".join([LENGTHS.pack(len(header), sum(map(len, blobs))), header, *blobs])


def lengths(head: bytes) -> tuple[int, int]:
    """Lengths of the header and of the body that follow these 16 bytes, or CodecError."""
    header, body = LENGTHS.unpack(head)
    if header > MAX_HEADER or body > MAX_FRAME:
        raise CodecError(f"a value that is too large; at most {MAX_FRAME >> 20} MB can be returned")
    return header, body


def unpack(header: bytes, body: bytes, inside: bool = False) -> dict:
    """Return the message of a frame. Inside, tensors and tuples are made again; outside, arrays and lists."""
    try:
        fields = json.loads(header)
        reader = _Reader(memoryview(body), inside)
        message = {str(key): reader.decode(value, 0) for key, value in fields.items()}
    except CodecError:
        raise
    except Exception as error:  # whatever a hostile frame brings up: wrong keys, wrong types, deep nesting
        raise CodecError(f"a frame that cannot be read ({type(error).__name__})") from None
    if reader.at != len(body):
        raise CodecError("a frame with bytes left over")
    return message


# A node is: null, true, 1, 1.5, "text"; [nodes] for a list, {"p": [nodes]} a tuple; {"f": "nan"} for no JSON number;
# {"d": {key: node}} a dictionary; {"a": dtype, "s": shape} an array, with "t": true when it is a tensor;
# {"u": [texts], "s": shape} an array of texts.


def _encode(value: object, blobs: list[bytes], depth: int):
    if depth > MAX_DEPTH:
        raise CodecError(f"a value nested more than {MAX_DEPTH} deep")
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        value = int(value)
        if abs(value) >= 2**64:
            raise CodecError("a whole number of more than 64 bits")
        return value
    if isinstance(value, (numbers.Real, decimal.Decimal)):  # float, numpy's floats, Fraction
        value = float(value)
        return value if math.isfinite(value) else {"f": str(value)}
    if isinstance(value, str):
        return str(value)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
        return {**_encode_array(value.resolve_conj().resolve_neg().numpy(), blobs), "t": True}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise CodecError("a dictionary whose keys are not all text")
        return {"d": {str(key): _encode(item, blobs, depth + 1) for key, item in value.items()}}
    if isinstance(value, np.ma.MaskedArray):
        value = value.astype(float).filled(np.nan)
    if isinstance(value, np.ndarray):
        values = np.asarray(value)
        if values.dtype.kind == "U":
            return {"u": [str(text) for text in values.ravel()], "s": list(values.shape)}
        if values.dtype.kind != "O":
            return _encode_array(values, blobs)
        value = values.tolist()
    if isinstance(value, tuple):
        return {"p": [_encode(item, blobs, depth + 1) for item in value]}
    if isinstance(value, list):
        return [_encode(item, blobs, depth + 1) for item in value]
    if isinstance(value, (Set, range)):
        return [_encode(item, blobs, depth + 1) for item in sorted(value)]
    if hasattr(value, "__array__"):
        return _encode(np.asarray(value), blobs, depth + 1)
    if isinstance(value, (Iterator, collections.deque, array.array)) or (
        isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview)
    ):
        items = list(itertools.islice(value, MAX_PARTS + 1))
        if len(items) > MAX_PARTS:
            raise CodecError("a value of too many parts; return arrays instead of long lists")
        return [_encode(item, blobs, depth + 1) for item in items]
    raise CodecError(f"a {type(value).__name__}; return numbers, lists or arrays")


def _encode_array(values: np.ndarray, blobs: list[bytes]) -> dict:
    if values.dtype == np.longdouble:
        values = values.astype(np.float64)
    dtype = values.dtype.newbyteorder("<").str
    if dtype not in DTYPES:
        raise CodecError(f"an array of the type {values.dtype}; return numbers")
    blobs.append(np.ascontiguousarray(values, dtype=dtype).tobytes())
    if sum(map(len, blobs)) > MAX_FRAME:
        raise CodecError(f"more than {MAX_FRAME // 2**20} MB of arrays")
    return {"a": dtype, "s": list(values.shape)}


def _size(shape: object) -> int:
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise CodecError("an array of an impossible shape")
    return math.prod(shape)


class _Reader:
    """Reads the parts of one frame's body in order."""

    def __init__(self, body: memoryview, inside: bool) -> None:
        self.body, self.at, self.inside, self.parts = body, 0, inside, 0

    def decode(self, node: object, depth: int):
        if depth > MAX_DEPTH:
            raise CodecError("a value nested too deep")
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise CodecError("a value of too many parts")
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, list):
            return [self.decode(item, depth + 1) for item in node]
        if "p" in node:
            items = [self.decode(item, depth + 1) for item in node["p"]]
            return tuple(items) if self.inside else items
        if "f" in node:
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[node["f"]]
        if "d" in node:
            return {key: self.decode(item, depth + 1) for key, item in node["d"].items()}
        if "u" in node:
            texts = node["u"]
            if len(texts) != _size(node["s"]) or not all(isinstance(text, str) for text in texts):
                raise CodecError("an array of texts of an impossible shape")
            if 4 * len(texts) * max(map(len, texts), default=0) > MAX_FRAME:  # each text takes the longest one's space
                raise CodecError("an array of texts of too different lengths")
            return np.array(texts, dtype=str).reshape(node["s"])
        if node["a"] not in DTYPES:
            raise CodecError("an array of an unknown type")
        dtype = np.dtype(node["a"])
        length = dtype.itemsize * _size(node["s"])
        raw = self.body[self.at : self.at + length]
        if len(raw) != length:
            raise CodecError("an array cut short")
        self.at += length
        values = np.frombuffer(raw, dtype=dtype).reshape(node["s"]).copy()
        if node.get("t") and self.inside:
            import torch

            return torch.from_numpy(values)
        return values
