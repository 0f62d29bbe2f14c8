"""Ask every address that the book links whether it still answers. Run by `make links`, weekly; it needs the network."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .build_book import jupyter_book, put
from .course import ROOT, Course
from .notebooks import PLACEHOLDER, Site

#: What publishers answer to programs, while people get the page.
SHY = ("401", "403", "429", "503")
SETTINGS = {"linkcheck_timeout": 30, "linkcheck_retries": 3, "linkcheck_anchors": False}


def broken(lines: Iterable[str]) -> list[str]:
    """Return the links that lead nowhere, from the lines of Sphinx's ``output.json``."""
    found = []
    for link in map(json.loads, lines):
        if link["status"] == "broken" and not any(f" {code} " in f" {link['info']} " for code in SHY):
            found.append(f"{link['filename']}:{link['lineno']}: {link['uri']}: {link['info']}")
    return found


def main() -> int:
    """Check the links of all pages; nothing is executed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    course, site = Course.read(ROOT), Site.read()
    settings = course.configuration()
    settings["execute"]["execute_notebooks"] = "off"
    # one's own pages are checked by the tests
    ignored = [rf"{address}.*" for address in (PLACEHOLDER, site.url, site.book)]
    settings["sphinx"]["config"] |= SETTINGS | {"linkcheck_ignore": ignored}
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), course.contents(), settings)
        options = ("--builder", "linkcheck", "--quiet", "--path-output", folder)
        jupyter_book(Path(folder), *options, stdout=subprocess.DEVNULL)
        outputs = list(Path(folder).rglob("output.json"))
        if not outputs:
            print("the pages could not be read: make book says why", file=sys.stderr)
            return 1
        found = broken(outputs[0].read_text(encoding="utf-8").splitlines())
    print("\n".join([*found, f"{len(found)} links lead nowhere"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
