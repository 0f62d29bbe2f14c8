"""Nothing that comes from outside is run or unpacked: what ruff's S and TID251 rules (pyproject.toml) do not find."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cxrlib", "coursekit", "tools", "benchmarks", "solutions", "book")


def dangers(source: str) -> list[str]:
    """Loads that may run what is in the file, and archives that are unpacked wherever they want."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("torch", "numpy"):
            found += [f"line {node.lineno}: {node.module}.load by another name" for a in node.names if a.name == "load"]
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        called, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
        if called == "torch.load" and given.get("weights_only") != "True":
            found.append(f"line {node.lineno}: torch.load without weights_only=True")
        if given.get("allow_pickle", "False") != "False":
            found.append(f"line {node.lineno}: {called} with allow_pickle")
        if node.func.attr in ("extract", "extractall") and given.get("filter") != "'data'":
            found.append(f"line {node.lineno}: {called} without filter='data'")  # zipfile has none: read its members
    return found


def test_nothing_from_outside_is_run_or_unpacked():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = {path.relative_to(ROOT).as_posix(): dangers(path.read_text(encoding="utf-8")) for path in files}
    assert not {name: what for name, what in found.items() if what}


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=flag)",
        "from torch import load as l\nl(f)",
        "np.load(f, allow_pickle=True)",
        "zipfile.ZipFile(f).extractall(d)",
        "archive.extract(m, d)",
        "tarfile.open(f).extractall(d, filter='tar')",
    ],
)
def test_each_danger_is_found(source):
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f, weights_only=True)",
        "json.load(f)",
        "np.load(f, mmap_mode='c')",
        "tarfile.open(f).extractall(d, filter='data')",
        "traceback.extract_tb(t)",
    ],
)
def test_what_is_safe_is_let_pass(source):
    assert not dangers(source)
