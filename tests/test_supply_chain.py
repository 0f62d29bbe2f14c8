"""Nothing that comes from outside is run: no pickle, no eval, no archive unpacked wherever it wants, no shell."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The grader's job is to run programs: the checks of a course folder, which a teacher wrote, and inside the sandbox
# what a student wrote.
ALLOWED = {"coursekit/grade/exercise.py": {"exec"}, "coursekit/grade/inside/runner.py": {"exec"}}
PICKLES = ("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib")
SAFE_YAML = ("SafeLoader", "CSafeLoader", "BaseLoader")


def dangers(source: str) -> list[tuple[int, str]]:
    """(line, what) of every call that runs or unpacks what it is given."""
    tree, names, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = full_name(node.func, names)
            given = {k.arg: k.value for k in node.keywords}
            if what := danger(called, given, node.args):
                found.append((node.lineno, what))
    return sorted(found)


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """torch.load for `torch.load`, and for `load` after `from torch import load`; ?.load where it is not known."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return "?"


def danger(called: str, given: dict, args: list) -> str:
    head, _, last = called.rpartition(".")
    if called in ("eval", "exec", "builtins.eval", "builtins.exec", "os.system", "os.popen"):
        return called.removeprefix("builtins.")
    if head.partition(".")[0] in PICKLES and last in ("load", "loads", "Unpickler", "open"):
        return called
    if last in ("read_pickle", "unsafe_load", "full_load") or called == "torch.hub.load":
        return called
    if called == "torch.load" and not is_constant(given.get("weights_only"), True):
        return "torch.load without weights_only=True"
    if called == "numpy.load" and "allow_pickle" in given and not is_constant(given["allow_pickle"], False):
        return "numpy.load with allow_pickle"
    if called in ("yaml.load", "yaml.load_all"):
        loader = given.get("Loader") or (args[1] if len(args) > 1 else None)
        if not isinstance(loader, ast.Attribute | ast.Name) or ast.unparse(loader).rpartition(".")[2] not in SAFE_YAML:
            return f"{called} without a safe loader"
    if last in ("extract", "extractall") and "." in called and not is_constant(given.get("filter"), "data"):
        return f'{last} without filter="data"'  # zipfile has no filters: its members are read one by one
    if called == "shutil.unpack_archive" and not is_constant(given.get("filter"), "data"):
        return 'shutil.unpack_archive without filter="data"'
    if "shell" in given and not is_constant(given["shell"], False):
        return "a shell"
    return ""


def is_constant(node: ast.expr | None, value) -> bool:
    return (
        isinstance(node, ast.Constant)
        and node.value is value
        or (isinstance(node, ast.Constant) and isinstance(value, str) and node.value == value)
    )


def sources() -> list[Path]:
    folders = ("cxrlib", "tools", "benchmarks", "solutions", "book")
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def test_nothing_from_outside_is_run_or_unpacked():
    files = sources()
    assert len(files) > 60
    found = [
        f"{name}:{line}: {what}"
        for path in files
        if (name := path.relative_to(ROOT).as_posix())
        for line, what in dangers(path.read_text(encoding="utf-8"))
        if what not in ALLOWED.get(name, ())
    ]
    assert not found, "\n".join(found)


def test_the_exceptions_are_still_needed():
    for name, allowed in ALLOWED.items():
        assert {what for _, what in dangers((ROOT / name).read_text(encoding="utf-8"))} == allowed


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(f)",
        "from pickle import loads\nloads(b)",
        "import pickle as p\np.Unpickler(f)",
        "import joblib\njoblib.load(f)",
        "import pandas as pd\npd.read_pickle(f)",
        "import torch\ntorch.load(f)",
        "import torch\ntorch.load(f, weights_only=False)",
        "from torch import load as l\nl(f)",
        "import torch\ntorch.load(f, weights_only=flag)",
        "import torch\ntorch.hub.load('a/b', 'c')",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "eval('1')",
        "exec(text)",
        "import builtins\nbuiltins.exec(t)",
        "import zipfile\nzipfile.ZipFile(f).extractall(d)",
        "import zipfile as z\nwith z.ZipFile(f) as a:\n    a.extract(m, d)",
        "import tarfile\ntarfile.open(f).extractall(d)",
        "import tarfile\ntarfile.open(f).extractall(d, filter='tar')",
        "import shutil\nshutil.unpack_archive(f, d)",
        "import yaml\nyaml.load(t)",
        "import yaml\nyaml.load(t, Loader=yaml.Loader)",
        "import yaml\nyaml.unsafe_load(t)",
        "import subprocess\nsubprocess.run(c, shell=True)",
        "import os\nos.system(c)",
        "import subprocess as s\ns.Popen(c, shell=flag)",
    ],
)
def test_each_danger_is_found(source):
    assert dangers(source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(f, weights_only=True)",
        "import json\njson.load(f)",
        "model.eval()",
        "import re\nre.compile('x')",
        "import numpy as np\nnp.load(f, mmap_mode='c')",
        "import tarfile\ntarfile.open(f).extractall(d, filter='data')",
        "import yaml\nyaml.safe_load(t)",
        "import yaml\nyaml.load(t, yaml.SafeLoader)",
        "import subprocess\nsubprocess.run([p])",
        "import pickle\npickle.dumps(x)",
        "df.query('a > 1')",
        "import traceback\ntraceback.extract_tb(t)",
    ],
)
def test_what_is_safe_is_let_pass(source):
    assert not dangers(source)
