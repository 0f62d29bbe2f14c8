"""Build the book: _build/html/index.html. Run by `make book`.

Chapters are executed once and their outputs kept. An edit of prose re-uses them; an edit of the library or of
the pins, or another CXR_DATA, CXR_DATA_DIR or CXR_FAST, throws them away, because Sphinx would not notice.
A warning, a missing reference or a failing cell makes the build fail.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from . import execute_chapters, notebooks
from .course import ROOT

SETTINGS = ("CXR_DATA", "CXR_DATA_DIR", "CXR_FAST")


def build_key(root: Path, environment: dict[str, str]) -> str:
    """Return a hash of everything outside of the chapters that their outputs depend on."""
    digest = hashlib.sha256(platform.python_version().encode())
    files = [*root.glob("cxrlib/**/*"), *root.glob("book/_ext/*.py"), root / "constraints.txt"]
    files += root.glob("results/*.json")  # the chapters quote them
    for path in sorted(f for f in files if f.is_file() and "__pycache__" not in f.parts):
        digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    for name in SETTINGS:
        digest.update(f"\0{name}={environment.get(name, '')}".encode())
    return digest.hexdigest()


def build_environment() -> dict[str, str]:
    """Return the environment of the build and of the chapters' kernels."""
    env = dict(
        os.environ,
        TQDM_DISABLE="1",
        JUPYTER_PREFER_ENV_PATH="1",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        OMP_NUM_THREADS="1",
    )  # there are as many kernels as cores
    # a relative folder is meant from where `make` was called, but the kernels run in chapters/
    if env.get("CXR_DATA_DIR"):
        env["CXR_DATA_DIR"] = str(Path(env["CXR_DATA_DIR"]).expanduser().resolve())
    return env


def table_of_contents(root: Path, build: Path) -> Path:
    """Return the book's table of contents; with `show_solutions: true`, a copy that ends with the solutions."""
    original = root / "book" / "_toc.yml"
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    if not settings["sphinx"]["config"]["show_solutions"]:
        return original
    contents = yaml.safe_load(original.read_text(encoding="utf-8"))
    pages = sorted(path.relative_to(root).with_suffix("") for path in root.glob("solutions/[0-9]*.md"))
    contents["parts"].append({"caption": "Solutions", "chapters": [{"file": page.as_posix()} for page in pages]})
    extended = build / "_toc.yml"
    extended.write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
    return extended


def pages_of(toc: Path, root: Path) -> list[Path]:
    """Return the source files that a table of contents names."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    names = [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]
    return [root / f"{name}.md" for name in names]


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the files of the chapters, in the order of the book; an appendix, which has no number, is none."""
    return [page for page in pages_of(root / "book" / "_toc.yml", root) if page.match("chapters/[0-9]*.md")]


def main() -> int:
    """Build the book."""
    env = build_environment()
    build = ROOT / "_build"
    key_file, complete = build / ".key", build / ".complete"
    key = build_key(ROOT, env)
    if build.exists() and (not key_file.exists() or key_file.read_text() != key):
        print("The library, the pins or the settings changed: the chapters are executed again.")
        shutil.rmtree(build)
    if not complete.exists():
        # Sphinx does not repeat the warnings of pages it has read, and stamps a style sheet that an earlier build left:
        # after a build that did not end, all pages are made again, from the executed chapters
        for part in (".doctrees", "html"):
            shutil.rmtree(build / part, ignore_errors=True)
    build.mkdir(exist_ok=True)
    key_file.write_text(key)
    complete.unlink(missing_ok=True)

    # a profile of its own: no start-up files of the user, no notices of the kernel about its transport
    profile = build / ".ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.json").write_text('{"IPKernelApp": {"log_level": 40}}')
    env["IPYTHONDIR"] = str(profile.parent)

    site = notebooks.Site.read()
    if site.is_placeholder:
        print("Note: the repository has no address yet, so the Colab buttons lead nowhere: make address URL=...")
    os.environ.update(env)  # for the kernels
    toc = table_of_contents(ROOT, build)
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["execute"]
    if settings["execute_notebooks"] != "off":
        execute_chapters.execute_all(pages_of(toc, ROOT), build / ".jupyter_cache", settings["timeout"])

    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--config", "_config.yml"]
    command += ["--toc", str(toc), "-W", "--keep-going", "-n", *sys.argv[1:]]
    code = subprocess.run(command, cwd=ROOT, env=env).returncode
    if code == 0:
        try:
            notebooks.make_all(build / "html" / "notebooks", site)
        except ValueError as error:
            print(error, file=sys.stderr)
            code = 1
    if code:
        print("The book was not built: the messages above say why.", file=sys.stderr)
        return code
    complete.touch()
    print(f"The book: {build / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
