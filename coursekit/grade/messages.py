"""What students and teachers are told: no words of the student's code, no hidden input, no path of this machine."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
from functools import cache
from pathlib import Path

from .inside import codec
from .sandbox import LIBRARY, StudentError

MAX_MESSAGE = 500  # characters of a check's message: it may quote numbers, but not room for all that came in
NOT_YET = "not attempted yet: the answer cell is still the one that was handed out"
STILL_RAISES = (
    "the line `raise NotImplementedError()` is still in the answer and ends the function: delete it, then run the test "
    "below the cell"
)
_QUOTES = "“”„‟‘’‚‛«»"
_KINDS = ("Tensor", "Figure", "function", "module", "Sequential", "type", "object", "bytes", "complex", "Image")
_CODEC = (
    "a dictionary whose keys are not all text",
    f"a value nested more than {codec.MAX_DEPTH} deep",
    "a value of too many parts; return arrays instead of long lists",
    "a whole number of more than 64 bits",
    f"more than {codec.MAX_FRAME // 2**20} MB of arrays",
)


def of_cell(error: StudentError, source: str, python: str) -> str:
    """Say what is said of an error that a cell raised when it was run: its text is the student's own.

    source: of the cell. python: the version that the notebook was saved with, or "".
    """
    line = f", line {error.line}" if error.line else ""
    text = f"{error.kind}{line}: {re.sub(r' [(]<[^>]*>, line [0-9]+[)]', '', error.text)}"
    if error.kind not in ("SyntaxError", "IndentationError"):
        return clean(text)
    here = platform.python_version().rpartition(".")[0]
    if any(quote in source for quote in _QUOTES) and "invalid character" in error.text:
        return clean(f"{text}. Quotation marks from a chat or a text program are not Python: type them again")
    if python and tuple(map(int, python.split("."))) > tuple(map(int, here.split("."))):
        versions = f"The notebook is from Python {python}, and this grader runs Python {here}"
        return clean(f"{text}. {versions}: is it newer syntax?")
    return clean(f"{text} (graded with Python {here})")


def of_call(task: str, error: StudentError, source: str, line: int) -> str:
    """Say what is said of an error in a call. It never repeats a text that the student's code made up.

    source: of the task's answer. line: of the answer cell where it happened, or 0.
    """
    if error.kind == "NotImplementedError":
        return STILL_RAISES if "NotImplementedError" in source else NOT_YET
    if error.kind == "value":
        return f"{task} returned what cannot be compared: {_own_words(error.text)}"
    # a name that the student wrote; a made-up one could carry inputs out
    named = f" (the name {error.name})" if re.search(rf"\b{re.escape(error.name)}\b", source) and error.name else ""
    return f"{task} raised {error.kind}{named}{f' in line {line} of its cell' if line else ''}"


def _own_words(text: str) -> str:
    """Say what the course's own codec says, word for word: the student's code can raise its error with other words."""
    kind, _, rest = text.partition("; ")
    if text in _CODEC or (kind.removeprefix("a ") in _KINDS and rest == "return numbers, lists or arrays"):
        return text
    return "return numbers, lists or arrays of numbers"


def clean(text: str, most: int = 4000) -> str:
    """Text for a JSON file and a page: no control characters, not endless, and nothing about the grading machine."""
    text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    for word, shown in _machine():
        text = text.replace(word, shown)
    return text if len(text) <= most else text[:most] + " …"


@cache
def _machine() -> list[tuple[str, str]]:
    """Words that tell about this machine, the longest first, and what stands for them."""
    course = Path(__file__).resolve().parents[2]
    folders = {Path(sys.prefix), Path(sys.base_prefix), LIBRARY.parent, course, Path.home()}
    folders |= {folder.parent for folder in folders if len(folder.parts) > 3}
    told = {str(folder) for folder in folders if len(folder.parts) > 1} - {"/usr", "/tmp", "/usr/local", "/home"}
    words = dict.fromkeys(told, "(folder)")
    if len(name := socket.gethostname()) > 3:
        words[name] = "(machine)"
    if len(user := os.environ.get("USER", "")) > 3:
        words[user] = "(user)"
    return sorted(words.items(), key=lambda pair: -len(pair[0]))
