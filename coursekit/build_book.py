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
    env = dict(
        os.environ,
        CXR_BOOK="1",  # TensorFlow.js lies beside the pages, and not in each widget
        TQDM_DISABLE="1",
        JUPYTER_PREFER_ENV_PATH="1",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
        OMP_NUM_THREADS="1",
    )  # there are as many kernels as cores
    # a relative folder is meant from where `make` was called, but the kernels run in chapters/
    if env.get("CXR_DATA_DIR"):
        env["CXR_DATA_DIR"] = str(Path(env["CXR_DATA_DIR"]).expanduser().resolve())
    return env


def pages_of(contents: dict[str, Any], root: Path) -> list[Path]:
    """Return the source files that a table of contents names."""
    names = [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]
    return [root / f"{name}.md" for name in names]


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the files of the course's chapters, in their order; an appendix, which has no number, is none."""
    return [root / "chapters" / f"{name}.md" for name in Course.read(root).numbered]


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
    toc, config = build / "_toc.yml", build / "_config.yml"
    contents, settings = course.contents(), course.configuration()
    made = {path: yaml.safe_dump(it, sort_keys=False) for path, it in ((toc, contents), (config, settings))}
    if not complete.exists() or any(not path.is_file() or path.read_text() != text for path, text in made.items()):
        # Sphinx does not repeat the warnings of pages it has read, stamps a style sheet that an earlier build left, and
        # keeps pages that are no longer in the book: after a build that did not end, or of another course, all pages
        # are made again, from the executed chapters
        for part in (".doctrees", "html"):
            shutil.rmtree(build / part, ignore_errors=True)
    build.mkdir(exist_ok=True)
    key_file.write_text(key)
    complete.unlink(missing_ok=True)
    for path, text in made.items():
        path.write_text(text)

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

    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--config", str(config)]
    command += ["--toc", str(toc), "-W", "--keep-going", "-n", *options]
    code = subprocess.run(command, cwd=ROOT, env=env).returncode
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
