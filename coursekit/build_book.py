"""Build the book: _build/html/index.html. Run by `make book`.

`course.yml` says what is in it. Chapters are executed once and their outputs kept. An edit of prose re-uses them; an
edit of the library or of the pins, or another CXR_DATA, CXR_DATA_DIR or CXR_FAST, throws them away, because Sphinx
would not notice.
A warning, a missing reference or a failing cell makes the build fail.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from . import build_notes, execute_chapters, notebooks
from .course import ROOT, Course

SETTINGS = ("CXR_DATA", "CXR_DATA_DIR", "CXR_FAST", "CXR_LANG")


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
    # CXR_BOOK: TensorFlow.js lies beside the pages, and not in each widget; and there are as many kernels as cores
    names = "CXR_BOOK", "TQDM_DISABLE", "JUPYTER_PREFER_ENV_PATH", "PYDEVD_DISABLE_FILE_VALIDATION", "OMP_NUM_THREADS"
    env = dict(os.environ) | dict.fromkeys(names, "1")
    # a relative folder is meant from where `make` was called, but the kernels run in chapters/
    if env.get("CXR_DATA_DIR"):
        env["CXR_DATA_DIR"] = str(Path(env["CXR_DATA_DIR"]).expanduser().resolve())
    return env


def pages_of(contents: dict[str, Any], root: Path) -> list[Path]:
    """Return the source files that a table of contents names."""
    names = [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]
    return [root / f"{name}.md" for name in names]


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the files of the course's chapters, in their order; an appendix, which has no number, is one, too."""
    return [root / "chapters" / f"{name}.md" for name in Course.read(root).chapters]


def chosen(starts: Sequence[str]) -> list[Path]:
    """Return the files of the chapters whose names begin so, of all for no start; ValueError where one fits none."""
    names = {path.stem: path for path in chapters()}
    for start in starts:
        if not any(name.startswith(start) for name in names):
            raise ValueError(f"{start}: there is no such chapter; the book has {', '.join(names)}")
    return [path for name, path in names.items() if name.startswith(tuple(starts) or "")]


def put(folder: Path, contents: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Write a table of contents and a configuration into a folder; return whether other ones, or none, were there."""
    changed = False
    for name, made in (("_toc.yml", contents), ("_config.yml", settings)):
        path, text = folder / name, yaml.safe_dump(made, sort_keys=False)
        changed |= not path.is_file() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
    return changed


def jupyter_book(folder: Path, *options: str | Path, cwd: Path = ROOT, **how) -> int:
    """Run ``jupyter-book build`` by the table of contents and the configuration in a folder."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--config", folder / "_config.yml"]
    return subprocess.run([*command, "--toc", folder / "_toc.yml", *options], cwd=cwd, **how).returncode


def main() -> int:
    """Build the book."""
    parser = argparse.ArgumentParser("make book", description=__doc__, epilog="Other options go to jupyter-book build.")
    _, options = parser.parse_known_args()
    try:
        course = Course.read(ROOT).speaking()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for said in course.lacking():
        print(f"Note: {said} (book/instructors.md has what each chapter needs)")
    env = build_environment()
    build = ROOT / "_build"
    key_file, complete = build / ".key", build / ".complete"
    key = build_key(ROOT, env)
    if build.exists() and (not key_file.exists() or key_file.read_text() != key):
        print("The library, the pins or the settings changed: the chapters are executed again.")
        shutil.rmtree(build)
    contents, settings = course.contents(), course.configuration()
    ended = complete.exists()
    build.mkdir(exist_ok=True)
    key_file.write_text(key)
    complete.unlink(missing_ok=True)
    if put(build, contents, settings) or not ended:
        # Sphinx does not repeat the warnings of pages it has read, stamps a style sheet that an earlier build left, and
        # keeps pages that are no longer in the book: after a build that did not end, or of another course, all pages
        # are made again, from the executed chapters
        for part in (".doctrees", "html"):
            shutil.rmtree(build / part, ignore_errors=True)

    # a profile of its own: no start-up files of the user, no notices of the kernel about its transport
    profile = build / ".ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.json").write_text('{"IPKernelApp": {"log_level": 40}}')
    env["IPYTHONDIR"] = str(profile.parent)

    site = notebooks.Site.read()
    if site.is_placeholder:
        print("Note: the repository has no address yet, so the Colab buttons lead nowhere: make address URL=...")
    os.environ.update(env)  # for the kernels
    if settings["execute"]["execute_notebooks"] != "off":
        pages = pages_of(contents, ROOT)
        execute_chapters.execute_all(pages, build / ".jupyter_cache", settings["execute"]["timeout"])

    code = jupyter_book(build, "-W", "--keep-going", "-n", *options, env=env)
    if code == 0:
        try:
            fresh = notebooks.make_all(build / "html" / "notebooks", site, course.chapters)
        except ValueError as error:
            print(error, file=sys.stderr)
            code = 1
    if code:
        print("The book was not built: the messages above say why.", file=sys.stderr)
        return code
    build_notes.end_build(build, env)
    _, other, missing = filecmp.cmpfiles(
        build / "html" / "notebooks", ROOT / "notebooks", [path.name for path in fresh], shallow=False
    )
    if (ROOT / "notebooks").is_dir() and (other or missing):
        print("Note: notebooks/, which Colab opens, does not fit the chapters and course.yml yet: make generated")
    print(f"The book: {build / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
