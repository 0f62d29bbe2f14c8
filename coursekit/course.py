"""The course: where it lies, and what `course.yml` makes of it.

The full course is `book/_toc.yml`. An instructor's `course.yml` chooses from it: chapters and their order, a title, the
weeks, when the solutions are shown. Without a line in it the book is the full course.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from cxrlib.words import language, t, translated

#: The current folder where it is a course, else the checkout that this package is in.
ROOT = Path.cwd() if (Path.cwd() / "_config.yml").is_file() else Path(__file__).resolve().parents[1]

KEYS = ("title", "author", "logo", "language", "chapters", "pages", "solutions", "weeks")
LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Za-z]+)?")
NUMBERED = re.compile(r"[0-9]+_\w+")
#: A reference to a chapter by name in a text: {chapter}`07_grad_cam#how-coarse-is-it`; {Chapter} begins a sentence.
REFERENCE = re.compile(r"\{([Cc]hapter)\}`([^`]+)`")


@dataclass(frozen=True)
class Week:
    """One row of the plan: names of chapters, and a note for the class."""

    chapters: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Course:
    """What is taught.

    Parameters
    ----------
    root
        The folder of the course.
    chapters
        Names of the chapters (`07_grad_cam`), in their order; an appendix, which has no number, is one, too.
    full
        Those of the full course.
    title, author, logo, language
        As in `_config.yml`; none: as it says there.
    pages
        Pages of the instructor's own (`mine/rules`), shown after the first pages of the book.
    solutions
        Whether the reference answers are in the back of the book, or from which day on.
    weeks
        The plan.
    """

    root: Path
    chapters: tuple[str, ...]
    full: tuple[str, ...]
    title: str | None = None
    author: str | None = None
    logo: str | None = None
    language: str | None = None
    pages: tuple[str, ...] = ()
    solutions: bool | datetime.date = False
    weeks: tuple[Week, ...] = ()

    @classmethod
    def read(cls, root: Path = ROOT) -> Course:
        """Read `course.yml`; ValueError tells what was given, what is allowed, and the remedy."""
        return _Reader(root).course()

    def speaking(self) -> Course:
        """Let this process, and those that it starts, speak the course's language; BOOK_LANG goes before course.yml."""
        code = os.environ.get("BOOK_LANG") or self.language or "en"
        if not LANGUAGE.fullmatch(code):
            raise ValueError(f"BOOK_LANG: {code!r} is not the code of a language, such as en, ko or pt_BR")
        if code not in ("en", *translated()):
            print(f"Note: nobody has translated what widgets and buttons say into {code!r} yet: book/translate.md")
        os.environ.pop("CXR_LANG", None)
        if code in translated():
            os.environ["CXR_LANG"] = code
        return dataclasses.replace(self, language=code)

    @property
    def head(self) -> tuple[str, str]:
        """Its title and its author; what course.yml does not say is as in `_config.yml`."""
        full = _yaml(self.root / "_config.yml")
        return self.title or full["title"], self.author or full["author"]

    @property
    def credit(self) -> str:
        """Whose work it was, as the licence asks for, where the course has another title or author; else nothing."""
        title, author = full = dataclasses.replace(self, title=None, author=None).head
        return f'After "{title}" by {author}, changed.' if self.head != full else ""

    @property
    def numbered(self) -> tuple[str, ...]:
        """The chapters that have a number."""
        return tuple(filter(NUMBERED.fullmatch, self.chapters))

    def chapter_of(self, exercise: str) -> str | None:
        """Return the chapter that has an exercise's number; none where the course has no such chapter."""
        number = exercise.partition("_")[0]
        return next((name for name in self.numbered if name.partition("_")[0] == number), None)

    def knows(self, docname: str) -> bool:
        """Whether a page is a chapter of the full course or of this one."""
        folder, _, name = docname.rpartition("/")
        return folder == "chapters" and name in {*self.full, *self.chapters}

    def leaves_out(self, docname: str) -> bool:
        """Whether a page is a chapter that this course does not have."""
        return self.knows(docname) and docname.rpartition("/")[2] not in self.chapters

    def title_of(self, name: str) -> str:
        """Return a chapter's title."""
        return title_in((self.root / "chapters" / f"{name}.md").read_text(encoding="utf-8")) or name

    def refer(self, reference: str, *, begins: bool = False) -> tuple[str, str | None]:
        """Return how to call a chapter, as Markdown, and the page and anchor that it leads to.

        ``reference`` is its name, and perhaps an anchor: `07_grad_cam#how-coarse-is-it`; ``begins`` says whether a
        sentence begins with it. It is "chapter 7", or in a course without it "the chapter *Grad-CAM* of the full
        course", which leads to no page. Raises ValueError where there is no such chapter.
        """
        name = reference.partition("#")[0]
        if not self.knows(f"chapters/{name}"):
            raise ValueError(f"there is no chapter {name!r}{_nearest(name, {*self.full, *self.chapters})}")
        if name in self.numbered:
            text, page = t("chapter {0}", self.numbered.index(name) + 1), f"chapters/{reference}"
        elif name in self.chapters:
            text, page = t("the appendix"), f"chapters/{reference}"
        else:
            text, page = t("the chapter *{0}* of the full course", self.title_of(name)), None
        return (text[0].upper() + text[1:] if begins else text), page

    def spelled(self, text: str) -> str:
        """Return a text whose references to chapters are words: "chapter 7"."""
        return REFERENCE.sub(lambda m: self.refer(m[2], begins=m[1] == "Chapter")[0], text)

    def shows_solutions(self, today: datetime.date | None = None) -> bool:
        """Whether a book that is built today has the reference answers."""
        if isinstance(self.solutions, bool):
            return self.solutions
        return (today or datetime.date.today()) >= self.solutions

    def solution_pages(self) -> list[str]:
        """Return the solutions of the course's chapters in their order, then those that belong to no chapter."""
        names = sorted(path.stem for path in self.root.glob("solutions/[0-9]*.md"))
        own = [name for chapter in self.numbered for name in names if self.chapter_of(name) == chapter]
        taught = {name.partition("_")[0] for name in self.full}
        return own + [name for name in names if name not in own and name.partition("_")[0] not in taught]

    def contents(self) -> dict[str, Any]:
        """Return the table of contents, as `book/_toc.yml` has it, of this course."""
        toc = _yaml(self.root / "book" / "_toc.yml")
        for part in toc["parts"]:
            pages = [page["file"] for page in part["chapters"]]
            if any(NUMBERED.fullmatch(Path(page).name) and self.knows(page) for page in pages):
                pages = [f"chapters/{name}" for name in self.numbered]
            pages = [page for page in pages if not self.leaves_out(page)]
            part["chapters"] = [{"file": page} for page in pages]
            caption = part["caption"]
            part["caption"] = t(caption)
        toc["parts"][0]["chapters"] += [{"file": page} for page in self.pages]
        toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
        if self.shows_solutions():
            answers = [{"file": f"solutions/{name}"} for name in self.solution_pages()]
            toc["parts"].append({"caption": t("Solutions"), "chapters": answers})
        return toc

    def configuration(self) -> dict[str, Any]:
        """Return the book's configuration, as `_config.yml` has it, of this course."""
        settings = _yaml(self.root / "_config.yml")
        extensions = settings["sphinx"].get("local_extensions", {})  # by their path from where this is written
        settings["sphinx"]["local_extensions"] = {name: str(self.root / path) for name, path in extensions.items()}
        footer = f"{self.credit} {settings.get('html', {}).get('extra_footer', '')}".strip()
        settings["html"] = settings.get("html", {}) | ({"extra_footer": footer} if footer else {})
        settings |= {key: value for key in ("title", "author", "logo") if (value := getattr(self, key))}
        if self.language:
            settings["sphinx"]["config"]["language"] = self.language
        if language():  # what MyST-NB says is no part of Sphinx's catalogues
            prompts = {"nb_code_prompt_show": t("Show the code"), "nb_code_prompt_hide": t("Hide the code")}
            settings["sphinx"]["config"] |= prompts
        return settings

    def lacking(self) -> list[str]:
        """Say which chapters build on what the course does not have, or has later: the table for instructors knows."""
        page = self.root / "book" / "instructors.md"
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        said = []
        for name, needs in re.findall(r"^\| \[[^\]]+\]\(\.\./chapters/(\w+)\.md\) \| ([^|]*) \|", text, re.M):
            if name not in self.chapters:
                continue
            for _, need in REFERENCE.findall(needs):
                if need not in self.chapters:
                    said.append(f"{name} builds on {need}, which the course leaves out")
                elif self.chapters.index(need) > self.chapters.index(name):
                    said.append(f"{name} builds on {need}, which comes later")
        return said


def title_in(text: str) -> str:
    """Return the title in a text of Markdown, or nothing."""
    found = re.search(r"^# (.+)$", text, re.M)
    return found[1].strip() if found else ""


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _nearest(name: object, allowed: set[str]) -> str:
    near = difflib.get_close_matches(str(name), sorted(allowed), 1, 0.4)
    known = ", ".join(sorted(allowed)) or "none"
    return f"; did you mean {near[0]}? There are {known}" if near else f"; there are {known}"


class _Reader:
    """Reads `course.yml`, which a person wrote."""

    def __init__(self, root: Path):
        self.root, self.file, toc = root, root / "course.yml", root / "book" / "_toc.yml"
        parts = _yaml(toc)["parts"] if toc.is_file() else []
        files = [Path(page["file"]) for part in parts for page in part["chapters"]]
        self.full = tuple(file.name for file in files if file.parent.name == "chapters")

    def fail(self, what: str) -> NoReturn:
        raise ValueError(f"course.yml: {what}")

    def course(self) -> Course:
        if not self.file.is_file():
            return Course(self.root, self.full, self.full)
        try:
            said = _yaml(self.file) or {}
        except (yaml.YAMLError, ValueError) as error:  # the second for a date such as 2027-02-30
            remedy = "; put a text with a colon in quotation marks" if "mapping values" in str(error) else ""
            self.fail(f"it cannot be read as YAML: {' '.join(str(error).split())}{remedy}")
        if not isinstance(said, dict):
            self.fail(f"it holds {said!r}, not lines such as `title: X-rays`; the keys are {', '.join(KEYS)}")
        for key in said:
            if key not in KEYS:
                self.fail(f"the key {key!r} is unknown{_nearest(key, set(KEYS))}")
        words = {key: self.words(key, said.get(key)) for key in ("title", "author", "logo", "language")}
        if words["logo"] and not (self.root / words["logo"]).is_file():
            self.fail(f"logo: there is no file {words['logo']}; give a path from the folder of course.yml")
        if words["language"] and not LANGUAGE.fullmatch(words["language"]):
            self.fail(f"language: {words['language']!r} is not the code of a language, such as en, ko or pt_BR")
        chapters = self.chapters(said.get("chapters"))
        pages = tuple(self.page(page) for page in self.listed("pages", said.get("pages") or []))
        weeks = tuple(
            self.week(n, week, chapters) for n, week in enumerate(self.listed("weeks", said.get("weeks") or []), 1)
        )
        solutions = self.solutions(said.get("solutions"))
        return Course(self.root, chapters, self.full, **words, pages=pages, solutions=solutions, weeks=weeks)

    def words(self, key: str, value: object) -> str | None:
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        self.fail(f"{key}: {value!r} is not text; put it in quotation marks, or leave the line out")

    def listed(self, key: str, value: object) -> list:
        if not isinstance(value, list):
            self.fail(f"{key}: {value!r} is no list; give one entry per line, each behind a dash")
        return value

    def chapter(self, name: object) -> str:
        own = {path.stem for path in self.root.glob("chapters/*.md")}
        if not isinstance(name, str) or name not in {*self.full, *own}:
            self.fail(f"there is no chapter {name!r}{_nearest(name, {*self.full, *own})}")
        if name not in self.full and not NUMBERED.fullmatch(name):
            self.fail(
                f"the name of the chapter {name!r} begins with no number; call your file NN_{name}.md, NN from 20"
            )
        return name

    def chapters(self, value: object) -> tuple[str, ...]:
        if value is None or value == "all":
            return self.full
        listed = self.listed("chapters", value)
        names = [name for one in listed for name in (self.full if one == "all" else [self.chapter(one)])]
        if not any(map(NUMBERED.fullmatch, names)):
            self.fail(f"chapters: {names} has no numbered chapter; list at least one, or write `chapters: all`")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            self.fail(f"chapters: {', '.join(twice)} is there twice; list each chapter once")
        return tuple(names)

    def page(self, page: object) -> str:
        name = str(page).removesuffix(".md")
        if not (self.root / f"{name}.md").is_file() or ".." in Path(name).parts or Path(name).is_absolute():
            self.fail(f"pages: there is no file {name}.md; give a path from the folder of course.yml")
        return name

    def solutions(self, value: object) -> bool | datetime.date:
        if value in (None, "hide", "show"):
            return value == "show"
        if type(value) is datetime.date:
            return value
        self.fail(
            f"solutions: {value!r} is not a day in the form 2027-02-15 without quotation marks; write hide, show, or "
            "the day from which on a build has them"
        )

    def week(self, number: int, value: object, chosen: tuple[str, ...]) -> Week:
        said = value if isinstance(value, dict) else {"chapters": value}
        if unknown := [key for key in said if key not in ("chapters", "note")]:
            self.fail(f"week {number}: the key {unknown[0]!r} is unknown; the keys are chapters, note")
        names = said.get("chapters") or []
        names = tuple(self.chapter(name) for name in (names if isinstance(names, list) else [names]))
        if outside := [name for name in names if name not in chosen]:
            self.fail(
                f"week {number}: {outside[0]} is not among the course's chapters; add it there, or take it out here"
            )
        return Week(names, self.words(f"week {number}, note", said.get("note")) or "")
