"""Cells as IPython reads them: magic commands, shell lines and help marks become Python; what a cell binds and uses.

It parses what strangers wrote, so it runs inside the sandbox only, before any of their code does.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator

# Cell magics whose body is no Python, or Python of another process. The body of every other one is run as it stands.
FOREIGN = (
    *("bash", "sh", "cmd", "script", "system", "!", "shell", "html", "svg", "latex", "markdown", "javascript", "js"),
    *("perl", "ruby", "cython", "R", "sql", "bigquery", "python", "python2", "python3", "pypy", "writefile", "file"),
)
TIMED = frozenset(("time", "timeit", "prun", "memit", "mprun", "lprun", "debug"))  # line magics that run what follows
_OPTIONS = re.compile(r"(?:-\w+(?:\s+\d+)?\s+)*")
_SPECIAL = re.compile(r"^\s*[%!?]|[?!%]", re.M)
_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_INDIRECT = {"__import__", "import_module", "eval", "exec"}
MOST = 2000  # names and statements that are told of one cell


def parse(source: str) -> ast.Module:
    """Parse a cell as IPython does. Raises SyntaxError about the student's own text."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        if not _SPECIAL.search(source):
            raise
        from IPython.core.inputtransformer2 import TransformerManager

        try:
            return ast.parse(TransformerManager().transform_cell(source))
        except SyntaxError:
            raise error from None


def command(line: str) -> str:
    """Return the Python of a line such as ``%timeit -n 10 f(x)``, without the options."""
    return line[_OPTIONS.match(line).end() :]


def look(sources: list[str], allowed: list[str]) -> dict:
    """Say what can be said about cells without running them.

    allowed: libraries that answers may use beside Python's own; an empty list allows all.

    Returns ``cells``: per cell ``code`` (a hash that comments and layout do not change, "" where the cell is no
    Python), ``binds`` (names that it gives a value) and ``parts`` ([first line, last line, whether it defines
    something] per statement); and ``foreign``: [cell, line, library] per use of another library inside a function.
    """
    trees = [_tree(source) for source in sources]
    cells = []
    for tree in trees:
        if tree is None:
            cells.append({"code": "", "binds": [], "parts": []})
            continue
        parts = [[node.lineno, node.end_lineno or node.lineno, isinstance(node, _DEFINES)] for node in tree.body[:MOST]]
        binds = sorted(set(bound(tree.body)))[:MOST]
        code = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        cells.append({"code": code, "binds": binds, "parts": parts})
    return {"cells": cells, "foreign": _foreign(trees, set(allowed))[:MOST] if allowed else []}


def _tree(source: str) -> ast.Module | None:
    try:
        tree = parse(source)
        ast.dump(tree)
        return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that statements bind where they stand, also below if, for, with and try, and in the body of a magic."""
    for node in body:
        yield from _bound(node)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    if isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Call) and (hidden := _body_of_magic(node)):
        tree = _tree(hidden)
        yield from bound(tree.body) if tree else ()
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _body_of_magic(call: ast.Call) -> str:
    """Return the Python in ``get_ipython().run_cell_magic("time", "", "…")``, or nothing."""
    if not isinstance(call.func, ast.Attribute) or not call.func.attr.startswith("run_"):
        return ""
    words = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if call.func.attr == "run_cell_magic" and len(words) == 3 and words[0] not in FOREIGN:
        return words[2]
    if call.func.attr == "run_line_magic" and len(words) == 2 and words[0] in TIMED:
        return command(words[1])
    return ""


def _foreign(trees: list[ast.Module | None], allowed: set[str]) -> list[list]:
    """Return uses, inside functions, of libraries that are neither allowed nor Python's own."""

    def strange(module: str | None) -> bool:
        root = (module or "").partition(".")[0]
        return bool(root) and root not in allowed and root not in sys.stdlib_module_names

    def imported(node: ast.AST) -> list[tuple[str, str]]:
        """Return the (name, module) pairs of an import of another library."""
        if isinstance(node, ast.Import):
            pairs = [((a.asname or a.name).partition(".")[0], a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            pairs = [(a.asname or a.name, node.module or "") for a in node.names]
        else:
            return []
        return [(name, module) for name, module in pairs if strange(module)]

    names = {name: module for tree in trees if tree for node in ast.walk(tree) for name, module in imported(node)}
    found = []
    for cell, tree in enumerate(trees):
        functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)] if tree else []
        lines = {}
        for node in (inner for function in functions for inner in ast.walk(function)):
            for _, module in imported(node):
                lines.setdefault(node.lineno, module)
            if isinstance(node, ast.Name) and node.id in names:
                lines.setdefault(node.lineno, names[node.id])
            called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if called in _INDIRECT:
                lines.setdefault(node.lineno, called)
        if tree:  # auc = roc_auc_score is a function, too
            for node in tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
                    lines.setdefault(node.lineno, names[node.value.id])
        found += [[cell, line, module] for line, module in sorted(lines.items())]
    return found
