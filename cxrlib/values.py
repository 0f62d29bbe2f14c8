"""Numbers on their way to people and to files.

A value that is undefined (0 divided by 0, such as the recall of a class without images) is NaN inside the library, null
in JSON and "–" for people. It is never 0, and nothing is computed from it as if it were a number.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

import numpy as np

UNDEFINED = "–"


def text(value: float, low: float = np.nan, high: float = np.nan, form: str = ".3f") -> str:
    """Write a number for people, with its interval where there is one: ``0.912 (0.880 to 0.941)``."""
    if value is None or not np.isfinite(value):
        return UNDEFINED
    return f"{value:{form}}" + (f" ({low:{form}} to {high:{form}})" if np.isfinite([low, high]).all() else "")


def plain(value: object, decimals: int | None = 6) -> object:
    """Turn numbers, arrays and containers into what JSON holds, rounded (None: as they are); None where undefined."""
    if isinstance(value, dict):
        return {name: plain(part, decimals) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part, decimals) for part in value]
    if isinstance(value, float | np.floating):
        return (float(value) if decimals is None else round(float(value), decimals)) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def packed(values: np.ndarray) -> str:
    """Encode the bytes of an array in base 64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Make an HTML table that scrolls on a small screen, under the titles in ``head``.

    Each row starts with its title; then come texts, numbers, or (value, low, high), whose interval is small print.
    """

    def cell(value: object) -> str:
        value, low, high = value if isinstance(value, tuple) else (value, np.nan, np.nan)
        shown = html.escape(str(value)) if isinstance(value, str | int | np.integer) else text(value)
        return f"<td>{shown}" + (f"<br><small>{low:.3f} to {high:.3f}</small>" if np.isfinite(low) else "") + "</td>"

    titles = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in head)
    body = ""
    for title, *cells in rows:
        body += f"<tr><th scope='row'>{html.escape(str(title))}</th>{''.join(map(cell, cells))}</tr>"
    inside = f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody>"
    return f"<div class='cxr-table'><table class='dataframe'>{inside}</table></div>"
