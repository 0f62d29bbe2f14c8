"""What a built page of the book shows: the cells of its tables, what its code printed, its figures."""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path

from bs4 import BeautifulSoup, Tag


class NotShown(LookupError):
    """The page of a chapter is not there, or does not show what is asked for."""


class Page:
    """A chapter of the built book, from its HTML file; ``figure`` writes into the folder ``pictures``.

    The file is read when something is asked for; where it is absent, that raises `NotShown`.
    """

    def __init__(self, path: Path, pictures: Path) -> None:
        self.path, self.pictures = path, pictures

    @functools.cached_property
    def _soup(self) -> BeautifulSoup:
        if not self.path.is_file():
            raise NotShown(f"{self.path} is not there; build the book: make book")
        return BeautifulSoup(self.path.read_text(encoding="utf-8"), "html.parser")

    def cell(self, row: str, column: str) -> float:
        """Return the number in the first table that has this row and this column; LookupError where there is none."""
        for table in self._soup.select("table"):
            head = table.select("thead tr")
            names = [_text(cell) for cell in head[0].select("th, td")] if head else []
            for line in table.select("tbody tr") if column in names else ():
                cells = [_text(cell) for cell in line.select("th, td")]
                if row in cells[:1] and len(cells) == len(names):
                    return _number(cells[names.index(column)])
        raise NotShown(f"{self.path.name} shows no table with the row {row!r} and the column {column!r}")

    def printed(self, pattern: str) -> float:
        """Return the number that a regular expression's group finds in what the code printed, or a figure's text."""
        texts = [output.get_text() for output in self._soup.select(".cell_output pre")]
        for text in texts + [str(picture["alt"]) for picture in self._soup.select("img.cxr-figure")]:
            if found := re.search(pattern, text, re.M):
                return _number(found[1])
        raise NotShown(f"the code of {self.path.name} printed nothing that matches {pattern!r}")

    def figure(self, words: str) -> str:
        """Return the first figure whose alternative text holds these words, as Markdown; the PNG is written."""
        for picture in self._soup.select("img.cxr-figure"):
            alt = " ".join(str(picture["alt"]).split())
            if words in alt:
                name = f"{self.path.stem}-{re.sub('[^a-z0-9]+', '-', words.lower()).strip('-')}.png"
                content = base64.b64decode(str(picture["src"]).partition("base64,")[2], validate=True)
                (self.pictures / name).write_bytes(content)
                alt = re.sub(r"([\[\]\\*_`])", r"\\\1", alt)
                return f"![{alt}]({(self.pictures / name).as_posix()})"
        raise NotShown(f"{self.path.name} shows no figure whose alternative text holds {words!r}")


def _text(cell: Tag) -> str:
    return " ".join(cell.get_text().split())


def _number(text: str) -> float:
    """Read a number as tables show it: 1,600 or 74% or 0.83 (0.80–0.86)."""
    found = re.match(r"[-+−]?[\d,]*\.?\d+(?:e[-+]?\d+)?", text.strip())
    if not found:
        raise NotShown(f"{text!r} is not a number")
    value = float(found[0].replace(",", "").replace("−", "-"))
    return value / 100 if text.strip()[found.end() :].startswith("%") else value
