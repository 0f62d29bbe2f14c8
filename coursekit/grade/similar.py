"""Answers that are nearly the same: a reason to look at two submissions, not a proof of anything.

Short correct answers to the same question are alike by nature. So what the stub gave to everybody is taken out, and so
is what more than half of the class wrote; only answers of which enough is left are compared. Two students who were
taught the same trick, or who used the same page on the web, still show up here. The reverse also holds: who rewrites a
copied answer line by line does not.
"""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse

WIDTH = 5  # tokens in a shingle
MIN_SHINGLES = 12  # an answer with fewer of its own is too short to say anything
MIN_BATCH = 6  # from this many answers on, what more than half of them share does not count
MAX_CHARS = 100_000  # of one answer
MAX_PAIRS = 5_000

# One alternative always matches and none can try twice (possessive), so the time is linear in the text.
_TOKEN = re.compile(
    r'''
    (?P<comment>\#[^\n]*+)
  | (?P<string>[rbfuRBFU]{0,2}(?:"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?|\'\'\'(?:[^'\\]|\\.|'(?!''))*+(?:\'\'\')?
        |"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?))
  | (?P<name>[^\W\d]\w*+)
  | (?P<number>\d[\w.]*+)
  | (?P<newline>\n)
  | (?P<space>[^\S\n]++|\\\n)
  | (?P<sign>\*\*|//|[<>=!]=|->|:=|.)
''',
    re.VERBOSE | re.DOTALL,
)
_KEPT = frozenset(keyword.kwlist) | frozenset(dir(builtins))


@dataclass(frozen=True)
class Pair:
    """Two submissions (their keys) with nearly the same answers in `tasks`; similarity is between 0 and 1."""

    a: str
    b: str
    similarity: float
    tasks: tuple[str, ...]


def near_identical(answers: dict[str, dict[str, str]], given: dict[str, str], threshold: float = 0.9) -> list[Pair]:
    """Return the pairs of submissions with nearly identical answers, most similar first (at most MAX_PAIRS).

    answers: per submission (its key) the source of each task's answer
    given: per task the source that was handed out
    threshold: the least similarity (Jaccard index of the answers' own shingles) that counts

    Comments, docstrings, blank space, strings and the names of variables do not matter, so renaming hides nothing.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: give a number above 0 and at most 1, got {threshold!r}")
    shared: dict[tuple[str, str], list] = {}
    for task in sorted({task for by_task in answers.values() for task in by_task}):
        keys = sorted(key for key, by_task in answers.items() if task in by_task)
        sets = [shingles(answers[key][task]) - shingles(given.get(task, "")) for key in keys]
        for i, j, both, either in _alike(sets, threshold):
            found = shared.setdefault((keys[i], keys[j]), [0, 0, []])
            found[0] += both
            found[1] += either
            found[2].append(task)
    pairs = [Pair(a, b, both / either, tuple(tasks)) for (a, b), (both, either, tasks) in shared.items()]
    return sorted(pairs, key=lambda p: (-p.similarity, -len(p.tasks), p.a, p.b))[:MAX_PAIRS]


def tokens(source: str) -> list[str]:
    """Return the words of a program, with one sign for every variable and one for every string. Never raises."""
    found: list[str] = []
    fresh, dotted = True, False  # at the start of a line; after a dot
    for match in _TOKEN.finditer(source[:MAX_CHARS]):
        kind, text = match.lastgroup, match.group()
        if kind in ("comment", "space"):
            continue
        if kind == "newline":
            fresh = True
            continue
        if kind == "string":
            after = source[match.end() : match.end() + 80].lstrip(" \t")
            if not (fresh and after[:1] in ("", "\n", "#", ";")):  # a string that stands alone is a comment
                found.append("'")
        elif kind == "name":
            found.append(text if dotted or text in _KEPT else "x")
        else:
            found.append(text)
        fresh, dotted = False, text == "."
    return found


def shingles(source: str) -> frozenset[tuple[str, ...]]:
    """Every run of WIDTH tokens in a program."""
    words = tokens(source)
    return frozenset(tuple(words[i : i + WIDTH]) for i in range(len(words) - WIDTH + 1))


def _alike(sets: list[frozenset], threshold: float):
    """Pairs of sets whose Jaccard index reaches the threshold, as (i, j, size of both, size of either)."""
    number: dict[tuple, int] = {}
    columns = [[number.setdefault(s, len(number)) for s in found] for found in sets]
    if not number:
        return
    starts = np.cumsum([0, *map(len, columns)])
    table = sparse.csr_matrix(
        (np.ones(starts[-1], np.int32), np.concatenate([np.array(c, np.int64) for c in columns]), starts),
        shape=(len(sets), len(number)),
    )
    if len(sets) >= MIN_BATCH:
        table = table[:, np.flatnonzero(np.asarray(table.sum(axis=0)).ravel() <= len(sets) / 2)]
    size = np.asarray(table.sum(axis=1)).ravel()
    kept = np.flatnonzero(size >= MIN_SHINGLES)
    table, size = table[kept], size[kept]
    other = table.T.tocsr()
    for start in range(0, len(kept), 256):  # in strips, so that the product stays small
        both = (table[start : start + 256] @ other).tocoo()
        rows, columns_ = both.row + start, both.col
        either = size[rows] + size[columns_] - both.data
        near = (rows < columns_) & (both.data >= threshold * either)
        for i, j, n, m in zip(rows[near], columns_[near], both.data[near], either[near], strict=True):
            yield int(kept[i]), int(kept[j]), int(n), int(m)
