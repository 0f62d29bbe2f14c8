"""How the packages are built: no import circles, no reaching into another module's insides, a map that is true."""

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cxrlib", "coursekit")
FILES = {path: path.relative_to(ROOT) for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))}


def name_of(path: Path) -> str:
    """cxrlib.data for cxrlib/data/__init__.py."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): ast.parse(file.read_text(encoding="utf-8")) for file, path in FILES.items()}
INITS = {name_of(path) for path in FILES.values() if path.name == "__init__.py"}


def imports(module: str) -> list[tuple[str, str]]:
    """(module, name) of each import, those within functions too; what only a type checker reads is left out."""
    found, tree = [], MODULES[module]
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".") if module in INITS else module.split(".")[:-1]
            home = (
                ".".join([*base[: len(base) + 1 - node.level], *filter(None, [node.module])])
                if node.level
                else node.module
            )
            found += [(home, alias.name) for alias in node.names]
    return found


def test_no_circle_of_imports():
    graph = {
        module: {dep for home, name in imports(module) for dep in (f"{home}.{name}", home) if dep in MODULES} - {module}
        for module in MODULES
    }
    for module, needed in graph.items():  # `from .data import load` needs data, `from . import plot` only plot
        graph[module] = {d for d in needed if not any(other.startswith(f"{d}.") for other in needed) or d in INITS}
        graph[module] -= {package for package in INITS if module.startswith(f"{package}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_library_does_not_know_the_kit():
    assert not [m for m in MODULES if m.startswith("cxrlib") for home, _ in imports(m) if home.startswith("coursekit")]


def test_no_module_reaches_into_the_insides_of_another():
    private = re.compile(r"^_[a-z]")
    reached = [
        f"{module}: {home}.{name}"
        for module in MODULES
        for home, name in imports(module)
        if home and home.partition(".")[0] in PACKAGES and private.match(name) and f"{home}.{name}" not in MODULES
    ]
    assert not reached


def test_the_map_has_every_module_in_a_few_words():
    """CONTRIBUTING.md: rows of `| folder, topic | `name` words · `name` words |`."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    mapped = {}
    for folder, row in re.findall(r"^\| `((?:cxrlib|coursekit)[\w/]*)/`[^|]* \| ([^|]*) \|$", text, re.M):
        for entry in row.split(" · "):
            name, words = re.fullmatch(r"`([\w.]+)` (.+)", entry).groups()
            mapped[f"{folder}/{name}.py"] = words
    there = {path.as_posix() for path in FILES.values() if path.name not in ("__init__.py", "__main__.py")}
    assert set(mapped) == there, f"not in the map: {there - set(mapped)}; not there: {set(mapped) - there}"
    assert all(len(words.split()) <= 7 for words in mapped.values())


def test_the_wheels_hold_the_packages_and_nothing_else():
    """Fuzz, faults, benchmarks and tests lie outside of the folders that hatch packs."""
    library, kit = (
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
        for folder in (".", "coursekit")
    )
    assert library == {"packages": ["cxrlib"]}
    assert kit["sources"] == {"": "coursekit"} and not any(".." in Path(path).parts for path in kit["include"])
    packed = {file for pattern in kit["include"] for file in (ROOT / "coursekit").glob(pattern.lstrip("/"))}
    needed = [path for path in (ROOT / "coursekit").rglob("*") if path.suffix in (".py", ".html", ".css")]
    assert all(path in packed or not packed.isdisjoint(path.parents) for path in needed)


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.startswith("coursekit.") and "__main__" in ast.dump(MODULES[m])]
)
def test_a_module_that_runs_says_how_and_does_nothing_else(module):
    """Without a parser, --help would do the work."""
    run = ast.dump(MODULES[module])
    assert "ArgumentParser" in run or "grade.inside" in module
