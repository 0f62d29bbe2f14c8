"""The course in another language: collect what is to be translated, and put the words where they are used.

`make gettext BOOK_LANG=ko` runs it. Two kinds of catalogues lie in `locale/LANGUAGE/LC_MESSAGES`: `course.po` holds
what widgets, buttons and the set-up cell say, from the marks t`…` and t("…") in the code; `book/*.po` and
`chapters/*.po` hold the prose, paragraph by paragraph, as Sphinx collects it. The words of `course.po` go to
`cxrlib/locale/LANGUAGE.json`, which is part of the library.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel import Locale, UnknownLocaleError
from babel.messages import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from .build_book import jupyter_book, put
from .course import ROOT, Course

MARK = re.compile(r"(?<![\w$.])t`")
PLACE = re.compile(r"\{\d+\}")


def collected(root: Path = ROOT) -> Catalog:
    """Return a catalogue of all marked sentences, each with the files that say it."""
    found = Catalog(fuzzy=False)
    python = [path for folder in ("cxrlib", "coursekit", "book/_ext") for path in (root / folder).rglob("*.py")]
    scripts = [*(root / "cxrlib" / "widgets").glob("*.js"), *(root / "book" / "_static").glob("*.js")]
    for path in sorted([*python, *scripts]):
        if path.name in ("words.js", "tfjs.js"):  # the function itself, and what others wrote
            continue
        if path.suffix == ".py":
            sentences = [sentence for _, sentence, *_ in extract_from_file("python", path, keywords={"t": None})]
        else:
            sentences = list(of_script(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()))
        for sentence in sentences:
            found.add(sentence, locations=[(path.relative_to(root).as_posix(), 0)])
    for part in yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))["parts"]:
        found.add(part["caption"], locations=[("book/_toc.yml", 0)])
    return found


def of_script(script: str, name: str) -> Iterator[str]:
    """Yield the sentences that are marked t`…` in a script, with {0}, {1} where something is put in."""
    for mark in MARK.finditer(script):
        sentence, _ = _template(script, mark.end())
        if "\\" in sentence:
            raise ValueError(f"{name}: t`{sentence}`: a marked sentence has no escapes; put the letter in with ${{}}")
        yield sentence


def _template(script: str, at: int) -> tuple[str, int]:
    """Read a template literal from behind its first backtick: its sentence, and where it ends."""
    sentence, count = "", 0
    while script[at] != "`":
        if script.startswith("${", at):
            sentence, at, count = f"{sentence}{{{count}}}", _behind(script, at + 2), count + 1
        else:
            step = 2 if script[at] == "\\" else 1
            sentence, at = sentence + script[at : at + step], at + step
    return sentence, at + 1


def _behind(script: str, at: int) -> int:
    """Return where the expression in ${…} ends that begins here; in it may be texts and other template literals."""
    depth = 1
    while depth:
        letter = script[at]
        if letter in "\"'":
            at = script.index(letter, at + 1) + 1
        elif letter == "`":
            at = _template(script, at + 1)[1]
        else:
            depth, at = depth + (letter == "{") - (letter == "}"), at + 1
    return at


def update(file: Path, template: Catalog, language: str) -> Catalog:
    """Bring a catalogue up to date: what is new is empty, what has changed is fuzzy, what is gone is dropped."""
    about = f"# Translation of the course into {Locale.parse(language).english_name}."
    catalog = Catalog(locale=language, fuzzy=False, header_comment=about, creation_date=template.creation_date)
    if file.is_file():
        with open(file, "rb") as stream:
            catalog = read_po(stream, locale=language)
    template.creation_date = catalog.creation_date  # or every call would change every file
    catalog.update(template, no_fuzzy_matching=False, update_creation_date=False)
    catalog.obsolete.clear()
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as stream:
        write_po(stream, catalog, width=100, include_lineno=False, ignore_obsolete=True)
    return catalog


def words(catalog: Catalog) -> dict[str, str]:
    """Return what is translated, by the English sentence; ValueError where something to be put in is lost."""
    known = {m.id: m.string for m in catalog if m.id and m.string and not m.fuzzy}
    for english, own in known.items():
        if sorted(PLACE.findall(english)) != sorted(PLACE.findall(own)):
            raise ValueError(f"course.po: {own!r}: it must have the same {{0}}, {{1}} as {english!r}, each once")
    return known


def prose(root: Path, folder: Path) -> dict[str, Catalog]:
    """Return a catalogue of every page of the full course, as Sphinx collects it; no code is run."""
    settings = Course(root, (), ()).configuration()
    settings["execute"]["execute_notebooks"] = "off"
    folder.mkdir(parents=True, exist_ok=True)
    put(folder, yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8")), settings)
    options = ("--path-output", folder, "--builder", "custom", "--custom-builder", "gettext", "--quiet")
    jupyter_book(folder, *options, cwd=root, check=True, stdout=subprocess.DEVNULL)
    made, found = folder / "_build" / "gettext", {}
    for path in sorted(made.rglob("*.pot")):
        with open(path, "rb") as stream:
            template = read_po(stream)
        name = path.relative_to(made).with_suffix("").as_posix()
        found[name] = Catalog(fuzzy=False, creation_date=template.creation_date)
        for message in template:
            if message.id:
                found[name].add(message.id, locations=[(f"{name}.md", 0)])
    return found


def main() -> int:
    """Bring the catalogues of a language up to date, and say what is left to do."""
    parser = argparse.ArgumentParser(prog="make gettext")
    parser.add_argument("language", help="a code such as ko, de or pt_BR")
    parser.add_argument("pages", nargs="*", help="pages to begin with, such as chapters/07_grad_cam")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        Locale.parse(given.language)
    except (UnknownLocaleError, ValueError):
        parser.error(f"{given.language!r} is not the code of a language, such as ko, de or pt_BR")
    folder = given.root / "locale" / given.language / "LC_MESSAGES"
    try:
        pages = prose(given.root, given.root / "_build" / "gettext")
    except subprocess.CalledProcessError:
        return 1  # Jupyter Book has said why
    if unknown := sorted(set(given.pages) - pages.keys()):
        parser.error(f"there is no page {unknown[0]}; the pages are {', '.join(pages)}")
    try:
        course = update(folder / "course.po", collected(given.root), given.language)
        table = json.dumps(words(course), ensure_ascii=False, indent=0)
    except ValueError as error:
        parser.error(str(error))
    target = given.root / "cxrlib" / "locale" / f"{given.language}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{table}\n", encoding="utf-8")
    tell("course.po", course)
    for name, template in pages.items():
        if name in given.pages or (folder / f"{name}.po").is_file():
            tell(f"{name}.po", update(folder / f"{name}.po", template, given.language))
    return 0


def tell(name: str, catalog: Catalog) -> None:
    """Print how far a catalogue is translated."""
    messages = [message for message in catalog if message.id]
    fuzzy = sum(message.fuzzy for message in messages)
    done = sum(bool(message.string) and not message.fuzzy for message in messages)
    again = f", {fuzzy} to be looked at again (fuzzy)" if fuzzy else ""
    print(f"{name}: {done} of {len(messages)} translated{again}")


if __name__ == "__main__":
    sys.exit(main())
