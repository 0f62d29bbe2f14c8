"""The README: its Python runs as it stands, its links lead somewhere, its table has the book's chapters."""

import json
import re
from pathlib import Path

import cxrlib as cxr
from coursekit.build_book import chapters

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run(monkeypatch):
    """As they stand; only the images are few and small, and there is one epoch."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    lines = [line for line in block.splitlines() if line]
    assert len(lines) <= 11
    load = cxr.load
    monkeypatch.setattr(cxr, "load", lambda name, size: load(name, size, n=80, progress=False))
    monkeypatch.setitem(cxr.recipes, "baseline", cxr.recipes["baseline"].replace(epochs=1, size=32))
    space = {}
    exec(block, space)
    assert space["data"].size == space["recipe"].size and len(space["maps"]) == len(space["test"][:16])


def test_the_table_has_the_chapters_of_the_book_in_their_order():
    rows = re.findall(r"^\| \d+ \[[^\]]+\]\(chapters/(\w+)\.md\) \| [^|]*\|$", README, re.M)
    book = [path.stem for path in chapters() if path.stem[0].isdigit()]  # an appendix has no number
    assert rows == book, "run `make generated`"


def test_the_time_of_a_build_is_the_measured_one():
    rows = json.loads((ROOT / "benchmarks" / "book.json").read_text(encoding="utf-8"))["rows"]
    (cold,) = [row["seconds"] / 60 for row in rows if row["what"] == "cold"]
    assert "about eight minutes in all on two cores" in README.replace("\n", " ") and round(cold) == 8


def test_what_it_links_is_there():
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 20 and not [link for link in links if not (ROOT / link).exists()]
