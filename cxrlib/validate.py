"""Small checks of arguments: each returns the value, or raises a ValueError that names what is allowed."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Set
from itertools import zip_longest
from numbers import Integral, Real
from reprlib import repr as short  # a value as Python shows it, but not endlessly: for messages
from typing import Any

import numpy as np


def number(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False,
    open_high: bool = False,
) -> float:  # fmt: skip
    """Check that ``value`` is a finite number from ``low`` to ``high``; an open end is left out."""
    right = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    right = right and (abs(value) <= sys.float_info.max if isinstance(value, int) else math.isfinite(value))
    if not right or not low <= value <= high or (open_low and value == low) or (open_high and value == high):
        raise ValueError(f"{name}: give a number{_range(low, high, open_low, open_high)}, got {short(value)}")
    return float(value)


def whole(name: str, value: Any, low: int = 0, high: int = 2**63 - 1) -> int:
    """Check that ``value`` is a whole number with low <= value <= high."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= value <= high:
        limit = math.inf if high == 2**63 - 1 else high
        raise ValueError(f"{name}: give a whole number{_range(low, limit)}, got {short(value)}")
    return int(value)


def one_of(name: str, value: Any, allowed: Iterable) -> Any:
    """Check that ``value`` is one of the allowed names; the message names the closest."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        close = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name}: give one of {', '.join(map(str, allowed))}, got {short(value)}.{hint}")
    return value


def text(name: str, value: Any) -> str:
    """Check that ``value`` is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: give a text that is not empty, got {short(value)}")
    return value


def several(name: str, values: Any, check: Callable[[str, Any], Any], least: int = 1) -> list:
    """Check that ``values`` is a sequence of at least ``least``, each of them with ``check(name, value)``."""
    if isinstance(values, str | bytes | Set | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: give a sequence, such as a list, got {short(values)}")
    found = [check(name, value) for value in values]
    if len(found) < least:
        raise ValueError(f"{name}: give at least {least}, got {short(found)}")
    return found


def array(
    name: str, values: Any, shape: tuple[int | str, ...], kinds: str = "biuf", *, finite: bool = True
) -> np.ndarray:
    """Check that ``values`` make an array of a shape and a kind.

    ``shape`` has one entry per axis: its length, or a word for people where any length will do: ``("images", 2)``.
    ``kinds`` are the allowed ones of ``numpy.dtype.kind``: b bool, i and u whole numbers, f floating point, U text.
    ``finite`` refuses NaN and infinite numbers, too.
    """
    words = {"b": "true or false", "iu": "whole numbers", "biu": "whole numbers", "biuf": "numbers"}
    wanted = f"give {words.get(kinds, 'values')} of the shape ({', '.join(map(str, shape))})"
    try:
        found = np.asarray(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {wanted}, got {short(values)}") from error
    if "U" in kinds and found.dtype.kind == "O" and all(isinstance(value, str) for value in found.flat):
        found = found.astype(str)
    fits = all(isinstance(n, str) or n == m for n, m in zip_longest(shape, found.shape))
    if found.ndim != len(shape) or not fits or (found.size and found.dtype.kind not in kinds):
        raise ValueError(f"{name}: {wanted}, got {found.dtype} of shape {found.shape}")
    if finite and found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"{name}: {wanted}, got NaN or infinity among them")
    return found


def _range(low: float, high: float, open_low: bool = False, open_high: bool = False) -> str:
    least, most = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high))
    if low > -math.inf and high < math.inf and not open_low and not open_high:
        return f" from {least} to {most}"
    words = []
    if low > -math.inf:
        words.append(f"above {least}" if open_low else f"of at least {least}")
    if high < math.inf:
        words.append(f"below {most}" if open_high else f"of at most {most}")
    return f" {' and '.join(words)}" if words else ""
