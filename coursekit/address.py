"""Write the repository's address into everything that needs it. Run by `make address URL=…`.

The address lives in _config.yml. From there the set-up cells, badges, buttons and links of chapters, notebooks and
exercises are made again; CITATION.cff gets it, too.

    python -m coursekit.address https://github.com/OWNER/NAME [--branch main]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import yaml

from . import exercises, notebooks
from .notebooks import Site


def set_address(root: Path, url: str, branch: str | None = None) -> Site:
    """Put the address into _config.yml and CITATION.cff of a copy of the repository; return what _config.yml says now.

    ``url`` is https://github.com/OWNER/NAME, ``branch`` the one that Colab reads and the workflow publishes (None: as
    it is). Raises ValueError for an address or a branch that does not work; then nothing was changed.
    """
    url = url.strip().rstrip("/").removesuffix(".git")
    Site(url, branch or "main", "")  # refuses what does not work
    config, citation = root / "_config.yml", root / "CITATION.cff"
    text = config.read_text(encoding="utf-8")
    own = yaml.safe_dump(branch).splitlines()[0] if branch else ""
    lines = re.compile(r"^(repository:\n  url: ).*(\n  branch: )(.*)$", re.M)
    text, found = lines.subn(lambda m: f"{m[1]}{url}{m[2]}{own or m[3]}", text)
    if found != 1:
        raise ValueError(f"{config} has no lines 'repository:', '  url:' and '  branch:' one after the other")
    config.write_text(text, encoding="utf-8", newline="\n")
    text = re.sub(r"^repository-code: .*\n", "", citation.read_text(encoding="utf-8"), flags=re.M)
    text = re.sub(r"^(license: .*\n)", lambda m: f"{m[1]}repository-code: {url}\n", text, flags=re.M)
    citation.write_text(text, encoding="utf-8", newline="\n")
    return Site.read(config)


def main() -> int:
    """Set the address, and make again what holds it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", help="https://github.com/OWNER/NAME")
    parser.add_argument("--branch", help="branch that Colab reads and the workflow publishes [default: as it is]")
    asked = parser.parse_args()
    try:
        site = set_address(notebooks.ROOT, asked.url, asked.branch)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    sys.argv[1:] = []
    if failed := notebooks.main() or exercises.main():
        return failed
    print(f"Colab reads and the workflow publishes the branch {site.branch}; BRANCH=NAME names another one.")
    print(f"The book will be at {site.book}. Commit what has changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
