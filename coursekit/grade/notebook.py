"""The code cells of what a student handed in. Everything in it was chosen by somebody we do not trust."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass

MAX_CELLS = 1000
MAX_SOURCE = 200_000
MAX_ALL = 2_000_000


class Unreadable(ValueError):
    """A file that is not a submission of this exercise."""


@dataclass(frozen=True)
class Handed:
    """A code cell as it was handed in; the ids are empty where the notebook has none."""

    source: str
    grade_id: str = ""
    id: str = ""


@dataclass(frozen=True)
class HandedIn:
    """A notebook: its code cells, and the version of Python that it was saved with ("" where it does not say)."""

    cells: tuple[Handed, ...]
    python: str = ""


def read_notebook(data: bytes) -> HandedIn:
    """Read the code cells of a notebook's bytes. Raises Unreadable with the reason and the remedy."""
    try:
        wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        notebook = json.loads(data.decode("utf-16" if wide else "utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable(
            "the file is not a notebook: it is not UTF-8 text; save the notebook in Jupyter again"
        ) from None
    except RecursionError:
        raise Unreadable("the file is not a notebook: it is nested too deep") from None
    except ValueError as error:
        reason = "the file is empty" if not data.strip() else f"the file is not valid JSON ({str(error)[:80]})"
        raise Unreadable(f"{reason}; save the notebook again and hand that in") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        if isinstance(notebook, dict) and "worksheets" in notebook:
            raise Unreadable("the notebook is in an old format; open and save it in a current Jupyter")
        raise Unreadable("the file is JSON but not a notebook: it has no list of cells")
    if len(notebook["cells"]) > MAX_CELLS:
        raise Unreadable(f"the notebook has {len(notebook['cells'])} cells; at most {MAX_CELLS} are read")
    cells = [_cell(cell) for cell in notebook["cells"] if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    if sum(len(cell.source) for cell in cells) > MAX_ALL:
        raise Unreadable(f"the notebook's code has more than {MAX_ALL:,} characters; clear what is not your code")
    found = notebook.get("metadata")
    for key in ("language_info", "version"):
        found = found.get(key) if isinstance(found, dict) else None
    version = re.match(r"3\.\d{1,2}", found) if isinstance(found, str) else None
    return HandedIn(tuple(cells), version[0] if version else "")


def _cell(cell: dict) -> Handed:
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Unreadable("the notebook has a code cell whose source is not text")
    if len(source) > MAX_SOURCE:
        raise Unreadable(f"the notebook has a cell of {len(source)} characters; at most {MAX_SOURCE} are read")
    metadata = cell.get("metadata")
    grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = grading.get("grade_id") if isinstance(grading, dict) else None
    # surrogates cannot be sent to the sandbox, and Python would refuse them in a program anyway
    source = source.encode("utf-8", "replace").decode().replace("\r\n", "\n")
    return Handed(source, *(x if isinstance(x, str) else "" for x in (grade_id, cell.get("id"))))


def plain(source: str) -> str:
    """Return a source without what a program may change when it saves: blank space."""
    return re.sub(r"\s+", " ", source).strip()
