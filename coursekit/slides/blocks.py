"""A chapter's Markdown cut into blocks, and its sentences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

FENCE = re.compile(r"^(`{3,}|~{3,}|:{3,})\s*(?:\{([\w:-]+)\})?")
ITEM = re.compile(r"^(?:[-*]|\d+\.) ")
#: Not behind "e.g.", and not where the next word goes on with a small letter.
SENTENCE = re.compile(r"(?<=[.!?:])(?<!e\.g\.)(?<!i\.e\.)(?<! al\.)(?<!vs\.)[)*\"”]*\s+(?=[A-Z\"“(*\[{$])")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Give the blocks of Markdown, each with its kind.

    Kinds: ``heading``, ``text``, ``list``, ``table``, ``math``, ``comment``, and the name of a directive; a block of
    code that is not a directive is ``code``.
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if not line.strip():
            continue
        if fence := FENCE.match(line):
            while at < len(lines) and lines[at].strip() != fence[1]:
                at += 1
            at += 1
            kind = fence[2] or "code"
        elif line.startswith("$$"):
            while at < len(lines) and not lines[at - 1].rstrip().endswith("$$", 2 * (at - 1 == start)):
                at += 1
            kind = "math"
        elif line.startswith("#"):
            kind = "heading"
        elif line.startswith("% "):
            kind = "comment"
        else:
            while at < len(lines) and lines[at].strip() and not FENCE.match(lines[at]) and not _begins(line, lines[at]):
                at += 1
            kind = "list" if ITEM.match(line) else "table" if line.startswith("|") else "text"
        yield kind, "\n".join(lines[start:at])


def _begins(first: str, line: str) -> bool:
    """Whether a line begins a block of its own within a paragraph."""
    return line.startswith(("#", "$$")) or (ITEM.match(line) is not None and not ITEM.match(first))


def sentences(text: str) -> list[str]:
    """Cut a paragraph into its sentences."""
    flat, cut, found = " ".join(text.split()), 0, []
    for match in SENTENCE.finditer(flat):
        before = flat[cut : match.end()]
        if before.count("`") % 2 == 0 and before.count("(") == before.count(")"):
            found.append(flat[cut : match.end()].strip())
            cut = match.end()
    return [*found, flat[cut:]]


def first(text: str, words: int = 36) -> str:
    """Return a paragraph's first sentence, and the next ones as long as all have at most so many words together."""
    found = " ".join(_few(sentences(text), words))
    return found.removesuffix(":") + ("." if found.endswith(":") else "")


def last(text: str, words: int = 36) -> str:
    """Return a paragraph's last sentence, and those before it as long as all have at most so many words together."""
    return " ".join(_few(sentences(text)[::-1], words)[::-1])


def _few(parts: list[str], words: int) -> list[str]:
    """Return the first part, and the next ones as long as all have at most so many words together."""
    lengths = list(itertools.accumulate(len(part.split()) for part in parts))
    return parts[: max(1, sum(length <= words for length in lengths))]


def items(text: str) -> list[str]:
    """Return the items of a list, without their marks."""
    found: list[str] = []
    for line in text.split("\n"):
        if ITEM.match(line):
            found.append(ITEM.sub("", line))
        elif found:
            found[-1] += f" {line.strip()}"
    return found
