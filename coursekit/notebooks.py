"""Make notebooks/*.ipynb, which Colab opens, from chapters/*.md, which people edit.

Run by `make generated`, which also refreshes the chapters' set-up cell, and the README's badge and table.
Colab shows MyST directives raw, so admonitions become block quotes, links to pages of the book become web
addresses, and what cannot be carried over is an error that names it. Outputs, cell ids and book-only tags are left
out: the same chapter always gives the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import jupytext
import nbformat
import yaml

from cxrlib.words import language, t

from .course import ROOT, Course

PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"

BOOTSTRAP = """\
# {what}
import sys

if "google.colab" in sys.modules:
    %pip install -q "cxrlib @ git+{url}@{branch}"
"""
LANGUAGE = """
import os

os.environ["CXR_LANG"] = "{language}"
"""
BOOTSTRAP_TAGS = "[bootstrap, remove-cell]"
COLAB_BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"

ADMONITIONS = ("note", "tip", "hint", "important", "attention", "warning", "caution", "danger", "error", "seealso")
FULL_COURSE = " (in the full course)"  # behind a link to a chapter that the course leaves out
HEADLINE = {"seealso": "See also"}
HIDDEN = {"hide-input", "hide-cell", "remove-cell", "remove-input"}  # tags: the book folds the code, or leaves it out

ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
BRANCH = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{))[A-Za-z0-9._/@+-]{1,200}(?<![/.])")


@dataclass(frozen=True)
class Site:
    """Where the repository and the book are, from `_config.yml`."""

    url: str
    branch: str
    book: str

    def __post_init__(self):
        if not ADDRESS.fullmatch(self.url):
            raise ValueError(
                f"{self.url!r} is not of the form https://github.com/OWNER/NAME. Colab, the set-up cell and the "
                "workflow that publishes read from GitHub. Is your copy elsewhere? Let it push a mirror to GitHub "
                "(GitLab: Settings, Repository, Mirroring repositories), and give the mirror's address"
            )
        if not BRANCH.fullmatch(self.branch):
            raise ValueError(f"{self.branch!r} is not a branch that links can name: letters, digits and . _ - / + @")

    @classmethod
    def read(cls, config: Path = ROOT / "_config.yml") -> Site:
        """Read it from the book's configuration."""
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        url = settings["repository"]["url"].rstrip("/").removesuffix(".git")
        owner, name = url.split("/")[-2:]
        book = settings.get("html", {}).get("baseurl") or f"https://{owner.lower()}.github.io/{name}"
        return cls(url, str(settings["repository"]["branch"]), book.rstrip("/"))

    @property
    def is_placeholder(self) -> bool:
        """Whether the address has not been set yet."""
        return self.url == PLACEHOLDER

    @property
    def _tree(self) -> str:
        return self.branch.replace("/", "%2F")  # else nobody can tell where the branch ends and the path begins

    @property
    def _slug(self) -> str:
        return self.url.removeprefix("https://github.com/")

    def colab(self, path: str) -> str:
        """Return the address that opens a notebook in Colab."""
        return f"https://colab.research.google.com/github/{self._slug}/blob/{self._tree}/{path}"

    def binder(self, path: str) -> str:
        """Return the address that opens a notebook in Binder."""
        return f"https://mybinder.org/v2/gh/{self._slug}/{self._tree}?urlpath=lab/tree/{path}"

    def raw(self, path: str) -> str:
        """Return the address of a file's bytes."""
        return f"{self.url}/raw/{self._tree}/{path}"

    def file(self, path: str) -> str:
        """Return the address of the page that shows a file."""
        return f"{self.url}/blob/{self._tree}/{path}"

    def page(self, docname: str, anchor: str = "") -> str:
        """Return the address of a page of the book."""
        return f"{self.book}/{docname}.html{'#' + anchor if anchor else ''}"

    def bootstrap(self) -> str:
        """Return the source of the set-up cell."""
        what = t("In Colab this line installs the course's library. Anywhere else the cell does nothing.")
        cell = BOOTSTRAP.format(what=what, url=self.url, branch=self.branch)
        return cell + (LANGUAGE.format(language=language()) if language() else "")


def with_bootstrap(text: str, site: Site) -> str:
    """Return a chapter's text with the current set-up cell: refreshed in place, or put before the first code."""
    cell = f"```{{code-cell}} ipython3\n:tags: {BOOTSTRAP_TAGS}\n\n{site.bootstrap()}```\n"
    for match in re.finditer(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1[ ]*\n", text, re.M | re.S):
        if re.search(r"^:tags:.*\bbootstrap\b|^tags:.*\bbootstrap\b", match[2], re.M):
            return text[: match.start()] + cell + text[match.end() :]
    first = re.search(r"^`{3,}\{code-cell\}", text, re.M)
    if first is None:
        return text
    return f"{text[: first.start()]}{cell}\n{text[first.start() :]}"


def with_badges(text: str, site: Site) -> str:
    """Return a text with its links to Colab and Binder on this repository."""
    # a branch may have slashes in it, so the address ends where the folder begins
    colab = r"https://colab\.research\.google\.com/github/[^\s)]*?(?=notebooks/|exercises/)"
    binder = r"https://mybinder\.org/v2/gh/[^\s)]*?(?=notebooks/|exercises/)"
    return re.sub(binder, lambda _: site.binder(""), re.sub(colab, lambda _: site.colab(""), text))


def with_chapters(text: str, course: Course) -> str:
    """Return the README's text with the course's chapters in its table, and the first of them behind its badge."""
    if not course.numbered:
        return text
    page = (course.root / "book" / "instructors.md").read_text(encoding="utf-8")
    asked = dict(re.findall(r"^\| \[[^\]]+\]\(\.\./chapters/(\w+)\.md\) \| ([^|]+\?) \|", page, re.M))
    rows = [
        f"| {number} [{course.title_of(name)}](chapters/{name}.md) | {asked.get(name, '')} |"
        for number, name in enumerate(course.numbered, 1)
    ]
    table = "\n".join(["| chapter | its question |", "|---|---|", *rows])
    text = re.sub(r"(?<=notebooks/)[\w]+(?=\.ipynb\))", course.numbered[0], text)
    return re.sub(
        r"(<!-- chapters:begin[^>]*-->\n).*?(?=\n<!-- chapters:end -->)", lambda m: m[1] + table, text, flags=re.S
    )


def find_labels(root: Path = ROOT) -> dict[str, str]:
    """Return label -> page of every `(label)=` in the book."""
    pages = [*root.glob("chapters/*.md"), *root.glob("book/*.md")]
    return {
        label: page.relative_to(root).with_suffix("").as_posix()
        for page in pages
        for label in re.findall(r"^\(([^)\s]+)\)=\s*$", page.read_text(encoding="utf-8"), re.M)
    }


class Markdown:
    """The Markdown of one chapter, turned into what Colab shows."""

    def __init__(self, source: Path, root: Path, site: Site):
        self.source, self.root, self.site = source, root, site
        self.course = Course.read(root)

    def fail(self, what: str) -> NoReturn:
        """Refuse what Colab would show raw."""
        raise ValueError(f"{self.source.name}: {what}. Colab would show it raw; write it in plain Markdown.")

    def convert(self, text: str) -> str:
        """Convert the text of a cell."""
        return "\n".join(self.lines(text.split("\n"))).strip("\n")

    def lines(self, lines: list[str]) -> list[str]:
        """Convert lines, and the blocks among them."""
        out: list[str] = []
        i = 0
        while i < len(lines):
            if fence := re.match(r"^(\s*)(`{3,}|~{3,}|:{3,})\s*(.*?)\s*$", lines[i]):
                end = self.closing(lines, i, fence[2])
                out += self.block(fence, lines[i + 1 : end])
                i = end
            elif not re.match(r"^\([^)\s]+\)=\s*$|% ", lines[i]):  # a label or a comment is the book's business
                out.append(self.inline(lines[i]))
            i += 1
        return out

    def closing(self, lines: list[str], start: int, fence: str) -> int:
        """Return the number of the line that closes a block."""
        for j in range(start + 1, len(lines)):
            bare = lines[j].strip()
            if bare and set(bare) == {fence[0]} and len(bare) >= len(fence):
                return j
        self.fail(f"the block opened by {lines[start].strip()!r} is never closed")

    def block(self, fence: re.Match, body: list[str]) -> list[str]:
        """Convert a directive, or leave a block of code as it is."""
        indent, ticks, info = fence.groups()
        directive = re.match(r"^\{([\w:-]+)\}\s*(.*)$", info)
        if not directive:
            if ticks[0] == ":":
                self.fail(f"an unnamed block {ticks}{info}")
            return [f"{indent}{ticks}{info}", *body, f"{indent}{ticks}"]
        name, title = directive.groups()
        options, body = self.options(body)
        if name in ADMONITIONS or name in ("admonition", "dropdown"):
            title = self.inline(title) or HEADLINE.get(name, name.capitalize())
            if name == "dropdown" or "dropdown" in options.get("class", ""):
                opened = f"<details><summary><b>{title}</b></summary>"
                return [opened, "", *self.lines(body), "", "</details>"]
            return ["> " + line if line else ">" for line in [f"**{title}**", "", *self.lines(body)]]
        if name == "predict":
            choices = [f"- {choice.strip()}" for choice in options.get("choices", "").split("|") if choice.strip()]
            asked = "**" + t("Predict first.") + f"** {body[0]}"
            return self.lines([asked, *body[1:], *([""] if choices else []), *choices])
        if name in ("figure", "image"):
            picture = f"![{options.get('alt', '')}]({self.picture(title)})"
            caption = "\n".join(self.lines(body)).strip()
            return [picture, "", f"*{caption}*"] if caption else [picture]
        if name == "math":
            return ["$$", *([title] if title else []), *body, "$$"]
        if name in ("code-block", "code"):
            return [f"```{title}", *body, "```"]
        self.fail(f"the directive {{{name}}}")

    @staticmethod
    def options(body: list[str]) -> tuple[dict[str, str], list[str]]:
        """Split off the `:name: value` lines at the top of a directive."""
        options = {}
        while body and (match := re.match(r"^:([\w-]+):\s*(.*)$", body[0])):
            options[match[1]] = match[2]
            body = body[1:]
        while body and not body[0].strip():
            body = body[1:]
        return options, body

    def inline(self, line: str) -> str:
        """Convert the links and roles of one line, outside of `code`."""
        pieces = re.split(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", line)
        # pieces: text, ticks, code, text, ticks, code, ..., text; a role is {name} at the end of a text piece
        out = ""
        for k in range(0, len(pieces), 3):
            text = pieces[k]
            role = re.search(r"\{([\w:-]+)\}$", text) if k + 2 < len(pieces) else None
            out += self.links(text[: role.start()] if role else text)
            if role:
                out += self.role(role[1], pieces[k + 2])
            elif k + 2 < len(pieces):
                out += pieces[k + 1] + pieces[k + 2] + pieces[k + 1]
        return out

    def role(self, name: str, content: str) -> str:
        """Convert a role."""
        if name in ("chapter", "Chapter"):
            text, page = self.course.refer(content, begins=name == "Chapter")
            return f"[{text}]({self.site.page(*page.split('#'))})" if page else text
        if name == "math":
            return f"${content}$"
        target = re.match(r"^(.*?)\s*<(.+)>$", content)
        if name == "term":  # in the book a link to the glossary; here the word itself
            return target[1] if target else content
        if name in ("doc", "ref") and target:
            where = target[2] + ".md" if name == "doc" else "#" + target[2]
            return f"[{target[1]}]({self.address(where)})"
        self.fail(f"the role {{{name}}}`{content}`")

    def links(self, text: str) -> str:
        """Convert the links and pictures of a text."""
        if re.search(r"\[\^[^\]]+\]", text):
            self.fail(f"a footnote in {text.strip()!r}")
        if re.search(r"(?<!!)\[\]\(", text):
            self.fail(f"a link without text in {text.strip()!r}")
        text = re.sub(r"(!\[[^\]]*\]\()([^)\s]+)", lambda m: m[1] + self.picture(m[2]), text)
        return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", lambda m: self.link(m[1], m[2]), text)

    def link(self, text: str, target: str) -> str:
        """Return a link with its web address; to a chapter that the course leaves out there is none."""
        path = target.partition("#")[0]
        if path.endswith(".md") and self.course.leaves_out(self.relative(path).removesuffix(".md")):
            return f"{text}{FULL_COURSE}"
        return f"[{text}]({self.address(target)})"

    def picture(self, path: str) -> str:
        """Return the web address of a picture."""
        return path if re.match(r"^(https?|data):", path) else self.site.raw(self.relative(path))

    def address(self, target: str) -> str:
        """Return the web address that a link leads to."""
        if re.match(r"^(https?|mailto):", target):
            return target
        path, _, anchor = target.partition("#")
        if not path:
            own = self.source.relative_to(self.root).with_suffix("").as_posix()
            return self.site.page(find_labels(self.root).get(anchor, own), anchor)
        if path.endswith(".md"):
            return self.site.page(self.relative(path).removesuffix(".md"), anchor)
        return self.site.file(self.relative(path))

    def relative(self, path: str) -> str:
        """Return the path of a linked file from the root of the repository."""
        full = (self.root / path[1:] if path.startswith("/") else self.source.parent / path).resolve()
        if not full.exists():
            self.fail(f"a link to {path}, which does not exist")
        return full.relative_to(self.root.resolve()).as_posix()


def to_notebook(source: Path, site: Site, *, root: Path = ROOT) -> str:
    """Return the notebook of one chapter, as JSON text; ValueError names the construct that Colab could not show."""
    chapter = jupytext.reads(with_bootstrap(source.read_text(encoding="utf-8"), site), fmt="md:myst")
    markdown = Markdown(source, root, site)
    docname = source.relative_to(root).with_suffix("").as_posix()
    made = t("Made from `{0}.md`.", docname)
    if not markdown.course.leaves_out(docname):
        made = f"{made} " + t("[Read this chapter in the book]({0}).", site.page(docname))
    badge = f"{COLAB_BADGE}({site.colab(f'notebooks/{source.stem}.ipynb')})\n\n*{made}*"
    cells = [nbformat.v4.new_markdown_cell(badge)]
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            if text := markdown.convert(cell.source):
                cells.append(nbformat.v4.new_markdown_cell(text))
        elif cell.cell_type == "code":
            cells += code_cell(cell)
    for cell in cells:
        del cell["id"]
    return nbformat.writes(of_cells(cells, nbformat_minor=4)) + "\n"


def of_cells(cells: list[nbformat.NotebookNode], **more: int) -> nbformat.NotebookNode:
    """Return a notebook for Python of these cells."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata, **more)
    nbformat.validate(notebook)
    return notebook


def code_cell(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return a chapter's code cell for Colab: folded where the book hides it; none where it guards the book's text."""
    tags = set(cell.metadata.get("tags", ()))
    if "claims" in tags:
        return []
    made = nbformat.v4.new_code_cell(cell.source)
    if tags & HIDDEN and "bootstrap" not in tags:
        title = t("Code behind the lesson: run it, open it if you like")
        made.source = f"# @title {title}\n{cell.source}"
        made.metadata = {"cellView": "form", "jupyter": {"source_hidden": True}}
    return [made]


def make_all(target: Path, site: Site, names: Collection[str] | None = None, *, root: Path = ROOT) -> list[Path]:
    """Write the notebooks of these chapters, or of all, into `target` and remove those of other chapters."""
    chapters = [path for path in sorted(root.glob("chapters/*.md")) if names is None or path.stem in names]
    made = {target / f"{it.stem}.ipynb": to_notebook(it, site, root=root) for it in chapters}
    target.mkdir(parents=True, exist_ok=True)
    for stale in set(target.glob("*.ipynb")) - made.keys():
        stale.unlink()
    for path, text in made.items():
        write_changed(path, text)
    return list(made)


def write_changed(path: Path, text: str) -> None:
    """Write a text, unless the file has it already: what did not change keeps its time."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8", newline="\n")


def refresh(site: Site, *, root: Path = ROOT) -> None:
    """Put the current address into the set-up cells and the README, and the course's chapters into its table."""
    for path in root.glob("chapters/*.md"):
        write_changed(path, with_bootstrap(path.read_text(encoding="utf-8"), site))
    for path in filter(Path.is_file, (root / "README.md", root / "book" / "where-it-runs.md")):
        text = with_badges(path.read_text(encoding="utf-8"), site)
        write_changed(path, with_chapters(text, Course.read(root)) if path.name == "README.md" else text)


def main() -> int:
    """Make all notebooks."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        Course.read().speaking()
        site = Site.read()
        refresh(site)
        made = make_all(ROOT / "notebooks", site)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(made)} notebooks in notebooks/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
