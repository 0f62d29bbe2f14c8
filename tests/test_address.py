"""One place names the repository's address; `make address` carries it everywhere, and each link leads to a file."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from coursekit import address, notebooks

pytestmark = pytest.mark.slow  # it copies the repository and makes its notebooks again

ROOT = Path(__file__).resolve().parents[1]
URL, BOOK = "https://github.com/Someone/x-rays", "https://someone.github.io/x-rays"
BRANCH, TREE = "course/x-rays", "course%2Fx-rays"  # a slash in it must not run into the path
FOLDERS = ("book", "chapters", "coursekit", "cxrlib", "exercises", "notebooks", "solutions")
FILES = ("_config.yml", "CITATION.cff", "README.md")


def copy(target: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, target)
    return target


@pytest.fixture(scope="module")
def addressed(tmp_path_factory):
    """A copy of the repository with an address."""
    root = copy(tmp_path_factory.mktemp("addressed"))
    done = subprocess.run(
        [sys.executable, "-m", "coursekit.address", URL, "--branch", BRANCH], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"publishes the branch {BRANCH}" in done.stdout and BOOK in done.stdout
    return root


def texts(root: Path) -> dict[str, str]:
    """What readers see: text of the pages, and of the cells of the notebooks."""
    found = {}
    for path in [*root.glob("chapters/*.md"), *root.glob("book/*.md"), root / "README.md", root / "CITATION.cff"]:
        found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    for path in [*root.glob("notebooks/*.ipynb"), *root.glob("exercises/*.ipynb")]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found[path.relative_to(root).as_posix()] = "\n\n".join("".join(cell["source"]) for cell in cells)
    return found


def test_no_placeholder_is_left(addressed):
    assert not [name for name, text in texts(addressed).items() if "OWNER/REPOSITORY" in text]
    settings = yaml.safe_load((addressed / "_config.yml").read_text())
    assert settings["repository"] == {"url": URL, "branch": BRANCH}
    assert yaml.safe_load((addressed / "CITATION.cff").read_text())["repository-code"] == URL


def test_every_link_into_the_repository_or_the_book_leads_to_a_file(addressed):
    seen = 0
    for name, text in texts(addressed).items():
        for link in re.findall(r"https?://[^\s)\"'>\]]+", text):
            path = None
            if colab := re.match(rf"https://colab\.research\.google\.com/github/Someone/x-rays/blob/{TREE}/(.+)", link):
                path = addressed / unquote(colab[1])
            elif binder := re.match(rf"https://mybinder\.org/v2/gh/Someone/x-rays/{TREE}\?urlpath=lab/tree/(.+)", link):
                path = addressed / unquote(binder[1])
            elif file := re.match(rf"{re.escape(URL)}/(?:blob|raw)/{TREE}/([^#]+)", link):
                path = addressed / unquote(file[1])
            elif page := re.match(rf"{re.escape(BOOK)}/([^#]+)\.html", link):
                path = addressed / f"{page[1]}.md"
            elif "Someone" in link or "someone.github" in link:
                assert link.startswith((f"{URL}@{BRANCH}", BOOK)) or link == URL, f"{name}: {link}"
            if path is not None:
                seen += 1
                assert path.is_file(), f"{name}: {link}"
    assert seen > 20


def test_the_set_up_cell_installs_from_the_address_in_one_line(addressed):
    for folder in ("notebooks", "exercises"):
        for name, text in texts(addressed).items():
            if name.startswith(folder):
                line = f'    %pip install -q "cxrlib @ git+{URL}@{BRANCH}"'
                assert re.findall(r"^\s*%pip .*$", text, re.M) == [line], name


def test_making_it_again_changes_nothing(addressed):
    """The badge of the README grew with each run when the branch had a slash."""
    before = (addressed / "README.md").read_bytes()
    for _ in range(2):
        notebooks.refresh(notebooks.Site.read(addressed / "_config.yml"), root=addressed)
    assert (addressed / "README.md").read_bytes() == before


def test_a_second_address_replaces_the_first(tmp_path, addressed):
    for name in FILES:
        shutil.copy(addressed / name, tmp_path)
    (tmp_path / "chapters").mkdir()
    site = address.set_address(tmp_path, "https://github.com/other/name.git/", "1.0")
    assert site.branch == "1.0", "a number is a name, too"
    notebooks.refresh(site, root=tmp_path)
    assert "x-rays/blob" not in (tmp_path / "README.md").read_text()
    assert "x-rays" not in (tmp_path / "_config.yml").read_text() + (tmp_path / "CITATION.cff").read_text()
    assert (tmp_path / "CITATION.cff").read_text().count("https://github.com/other/name\n") == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        "https://github.com/a b/c",
        "https://github.com/-a/b",
        'https://github.com/a/b"; rm -rf /',
    ],
)
def test_what_is_no_address_is_refused(tmp_path, url):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    with pytest.raises(ValueError, match="OWNER/NAME.* push a mirror to GitHub"):
        address.set_address(tmp_path, url)
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in FILES)


@pytest.mark.parametrize("branch", ["a b", "-x", "/x", "x/", "a..b", "a//b", "x@{1}", "a?b", 'x"', "x\ny"])
def test_what_is_no_branch_is_refused(tmp_path, branch):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    with pytest.raises(ValueError, match="is not a branch"):
        address.set_address(tmp_path, URL, branch)


def test_an_address_elsewhere_that_was_written_by_hand_is_refused_with_a_remedy(tmp_path):
    """It gave links that lead nowhere."""
    (tmp_path / "_config.yml").write_text("repository: {url: https://gitlab.com/a/b, branch: main}\n")
    with pytest.raises(ValueError, match="mirror"):
        notebooks.Site.read(tmp_path / "_config.yml")
